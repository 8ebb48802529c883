"""Both stages take the recorded training steps, from recorded tensors and draws, as a whole."""

from functools import partial
from pathlib import Path

import pytest
import torch

from tests.recordings import load
from tests.recordings._mocogan_hd import check_all, split_state, tensors_below
from tests.recordings._mocogan_hd_steps import Draws, compare_step, generator_config, grad
from tests.recordings.stylegan_v import inputs, state
from vidbench.models.mocogan_hd import ImageGAN, MotionGAN, image_stage
from vidbench.models.mocogan_hd.config import MoCoGANHDConfig
from vidbench.models.mocogan_hd.importing import (
    contrastive_tensors,
    image_discriminator_tensors,
    image_generator_tensors,
    motion_tensors,
    patch_tensors,
    with_filters,
)
from vidbench.models.mocogan_hd.networks import build_image_generator
from vidbench.models.mocogan_hd.sizes import contrastive_configuration, patch_configuration
from vidbench.stage import Origin, Step

RECORDED = Path(__file__).parents[2] / "reference" / "mocogan_hd"


class RecordedStep(Step):
    """A step whose latents, noise and shares of the penalty are recorded ones."""

    given: dict[str, torch.Tensor]

    def normal(self, name, *shape):
        found = self.given[recorded_name(self.stage, *name.split("/"))]
        assert found.shape[1:] == shape
        return found

    def uniform(self, name, *shape):
        assert (name, shape) == ("D/alpha", ())
        return self.given["d_alpha"].flatten()


def recorded_name(stage, part, what, *layer):
    """What a recording calls random numbers: of motion `g_...` and `d_...`, of images `path_...` or no prefix."""
    if stage == "motion":
        return "_".join(["d" if part == "D" else "g", what, *layer])
    known = {"z": "z1", "second": "z2", "y": "image_noise"}
    return "_".join([*(["path"] if part == "path" else []), known.get(what, what), *layer])


def recorded_step(stage, recording, batch):
    step = RecordedStep(0, stage, 0, batch)
    object.__setattr__(step, "given", inputs(recording, torch.float32))
    return step


def recorded_stage(recording, monkeypatch):
    """The stage of a recording, which takes coins, frames and views as they were drawn."""
    settings, x = recording.config, inputs(recording, torch.float32)
    image, motion = split_state(recording, "modelG.")
    own = generator_config(image)
    judges = {"D_video": patch_tensors(state(recording, "modelD_3d."))}
    motion = motion_tensors(motion, x["pca_comp"], x["pca_stdev"])
    walks = {
        "frames": settings["n_frames_G"], "side": settings["video_frame_size"], "hidden": len(motion["w"]),
        "components": len(motion["b"]), "cross_domain": settings["cross_domain"],
        "video_widths": patch_configuration(judges["D_video"])["widths"],
    }  # fmt: skip
    if settings["cross_domain"]:
        judges["D_image"] = contrastive_tensors(state(recording, "modelD_img."))
        judges["D_image"]["q_ptr"] = judges["D_image"]["q_ptr"].long()
        sizes = contrastive_configuration(judges["D_image"])
        walks |= {"contrastive_width": sizes["width"], "contrastive_features": sizes["features"]}
        walks["queue"] = sizes["length"]
    else:
        judges["D_image"] = patch_tensors(state(recording, "modelD_img."))
        walks["image_widths"] = patch_configuration(judges["D_image"])["widths"]
    networks = {
        "channels": tuple(own["channels"].values()), "z_dim": own["style_dim"], "mapping_layers": own["n_mlp"]
    }  # fmt: skip
    stage = {"steps": 1, "batch": settings["batchSize"], "checkpoint_every": 1, "evaluate_every": 1, "metric": "fvd16"}
    steps = {"generator_steps": settings["G_step"], "match": settings["w_match"]}
    model = {"image": networks, "motion": walks}
    made = MoCoGANHDConfig(name="recorded", model=model, stages={"image": stage, "motion": stage | steps})
    tensors = image_generator_tensors(image)
    generator = with_filters(build_image_generator(made.model, "cpu"), tensors)
    stage = MotionGAN(made, Origin((64, 64), 25.0), "cpu", {"image": {"G_ema": generator}})
    for name, tensors in {"R": motion, **judges}.items():
        stage.networks[name].load_state_dict(tensors)
    take_recorded_draws(stage, recording, monkeypatch)
    return stage


def take_recorded_draws(stage, recording, monkeypatch):
    """Across domains the authors draw a frame that they do not use, and views in another order than they are judged."""
    across = recording.config["cross_domain"]
    draws = {name: Draws(recording.config, name) for name in "gd"}
    now = ["g"]
    generate = stage._generate

    def generated(name, step):
        now[0] = "d" if name == "D" else "g"
        return generate(name, step)

    def frame(chance):
        if across and now[0] == "d":
            draws["d"].integer()
        return draws[now[0]].integer()

    def coins(chance):
        first, second = draws[now[0]].backwards(), draws[now[0]].backwards()
        return (first, second) if now[0] == "g" else (second, first)

    def views(name, count, step):
        rows = [draws[now[0]].views(step.batch) for _ in range(count)]
        return rows if name != "D" else [rows[i] for i in (1, 0, 3, 2)]

    for name, recorded in {"_generate": generated, "_frame": frame, "_coins": coins, "_views": views}.items():
        monkeypatch.setattr(stage, name, recorded)
    stage.draws = draws


def watch_slopes(stage):
    """Gradients as the optimisers see them, by the names of the recordings."""
    slopes = {}
    for name, start in {"R": "g_grad/", "D_video": "d_grad/modelD_3d.", "D_image": "d_grad/modelD_img."}.items():

        def keep(optimizer, args, kwargs, name=name, start=start):
            for key, parameter in stage.networks[name].named_parameters():
                slopes[start + key] = grad(parameter)

        stage.optimizers[name].register_step_pre_hook(keep)
    return slopes


@pytest.mark.parametrize("domains", ["in", "cross"])
def test_a_step_of_motion_is_the_recorded_one(domains, monkeypatch):
    """Losses, gradients and all networks after one step of the motion generator and one of the discriminators."""
    recording = load(RECORDED / f"train_step_{domains}_domain.safetensors")
    stage = recorded_stage(recording, monkeypatch)
    assert stage.settings.lr == recording.config["lr"]
    slopes, step = watch_slopes(stage), recorded_step("motion", recording, recording.config["batchSize"])
    logs = stage.update({"real": {"clip": (recording["in/real"] + 1) * 127.5}}, step)
    assert all(draws.all_used() for draws in stage.draws.values())
    named = {"loss_image": "g_loss_2d", "loss_video": "g_loss_3d", "information": "g_loss_mutual"}
    named |= {"match": "g_loss_match", "contrastive": "d_loss_contrastive"} if domains == "cross" else {}
    found = {name: logs[own] for own, name in named.items()}
    found |= {f"g_after/{name}": value for name, value in stage.R.named_parameters()}
    places = {"modelD_3d.": stage.D_video, "modelD_img.": stage.D_image}
    found |= {f"d_after/{start}{name}": y for start, part in places.items() for name, y in part.state_dict().items()}
    if domains == "cross":
        found |= {f"g_{name}_after": getattr(stage.D_image, name) for name in ("q_real", "q_fake")}
    sums = ("d_loss_real", "d_loss_fake", "d_loss_real_3d", "d_loss_fake_3d")
    tensors = {name: x for name, x in recording.tensors.items() if name.removeprefix("out/") not in sums}
    compare_step(recording._replace(tensors=tensors), found, slopes)
    real, fake, real_3d, fake_3d = (recording[f"out/{name}"].item() for name in sums)
    assert logs["loss_D_video"].item() == pytest.approx((real_3d + fake_3d) / 2, rel=1e-4)
    image = (real + fake) / 2
    if domains == "cross":
        image = real + fake + 2 * recording["out/d_loss_contrastive"].item()
    assert logs["loss_D_image"].item() == pytest.approx(image, rel=1e-4)


def test_a_step_of_images_is_the_recorded_one(monkeypatch):
    """Losses, and the gradients of each part at the networks where they are."""
    recording = load(RECORDED / "image_stage_losses.safetensors")
    settings = recording.config
    networks = {
        "channels": tuple(settings["channels"].values()), "z_dim": settings["style_dim"],
        "mapping_layers": settings["n_mlp"],
    }  # fmt: skip
    model = {"image": networks, "motion": {"side": settings["size"], "components": 4}}
    stage = {"steps": 1, "batch": settings["batch"], "checkpoint_every": 1, "evaluate_every": 1, "metric": "fvd16"}
    made = MoCoGANHDConfig(name="recorded", model=model, stages={"image": stage | {"mixing": 1}, "motion": stage})
    stage = ImageGAN(made, Origin((32, 32), 25.0), "cpu", {})
    stage.G.load_state_dict(with_filters(stage.G, image_generator_tensors(state(recording, "G."))))
    stage.D.load_state_dict(with_filters(stage.D, image_discriminator_tensors(state(recording, "D."))))
    stage.path.mean.fill_(settings["path_mean_before"])
    mixed = image_stage.mixed
    monkeypatch.setattr(image_stage, "mixed", lambda one, two, index: mixed(one, two, settings["mix_index"]))
    slopes = []

    def keep(optimizer, args, kwargs, name):
        slopes.append({key: grad(parameter) for key, parameter in stage.networks[name].named_parameters()})

    for name in "GD":
        stage.optimizers[name] = torch.optim.SGD(stage.networks[name].parameters(), 0.0)
        stage.optimizers[name].register_step_pre_hook(partial(keep, name=name))
    real = {"real": {"frame": (recording["in/real"] + 1) * 127.5}}
    logs = stage.update(real, recorded_step("image", recording, settings["batch"]))
    found = {
        "d_loss": logs["loss_D"], "r1": logs["r1"] / (settings["r1"] / 2), "g_loss": logs["loss_G"],
        "path_penalty": logs["path_penalty"], "path_mean_after": stage.path.mean,
    }  # fmt: skip
    check_all(found, {name: recording[f"out/{name}"] for name in found}, 1e-4)
    for name, part in zip(("d_loss", "r1_weighted", "g_loss", "path_weighted"), slopes, strict=True):
        expected = tensors_below(recording, f"out/grad/{name}/")
        if name in ("g_loss", "path_weighted"):
            expected = image_generator_tensors(expected, torch.ones(1))
            del expected["mapping.w_avg"]
        else:
            expected = image_discriminator_tensors(expected)
        check_all(part, expected, 1e-3, gradients=True)
