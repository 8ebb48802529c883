"""MoCoGAN-HD in its authors' files: what is in them is found whole, and anything unexpected is named."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.recordings import Recording, load
from tests.recordings._mocogan_hd import split_state, tensors_below
from tests.recordings.stylegan_v import state
from tests.weights.persisting import attributes, file, module, tensor
from vidbench.models.mocogan_hd import MoCoGANHD
from vidbench.models.mocogan_hd.config import ImageModel, ModelConfig
from vidbench.models.mocogan_hd.image_networks import ImageGenerator
from vidbench.models.mocogan_hd.importing import contrastive_tensors, patch_tensors
from vidbench.models.mocogan_hd.motion_generator import MotionGenerator
from vidbench.models.mocogan_hd.networks import (
    build_frame_discriminator,
    build_image_discriminator,
    build_image_generator,
    build_motion_generator,
    build_video_discriminator,
)
from vidbench.models.mocogan_hd.official import BUILDERS, read_official
from vidbench.models.mocogan_hd.pca import StyleStatistics
from vidbench.models.mocogan_hd.video import render
from vidbench.stage import Imported, Network, Snapshot, load_network
from vidbench.weights.snapshots import open_snapshot

FOLDER = Path(__file__).parents[2] / "reference" / "mocogan_hd"
RELEASE = FOLDER / "tiny_release"
IMAGE, MOTION, FRAMES = (
    f"{RELEASE}/{name}" for name in ("image_generator.pt", "modelR_epoch_7.pth", "modelD_img_epoch_7.pth")
)
COMPONENTS = [f"{RELEASE}/pca_comp.npy", f"{RELEASE}/pca_stdev.npy"]
ANOTHER = "The principal components seem to be of another image generator"
Files = list[Snapshot]


def imported(*files: Any) -> Imported:
    return read_official([each if isinstance(each, Snapshot) else open_snapshot(Path(each)) for each in files])


def refusal(*files: Any) -> str:
    with pytest.raises(ValueError) as caught:
        imported(*files)
    assert str(caught.value).isprintable()
    return str(caught.value)


def one(tensors: dict[str, Tensor], **stats: Any) -> Snapshot:
    """A file that is one network."""
    return Snapshot({"G_ema": Network(tensors, {}, {})}, stats)


def changed(path: str, name: str = "G_ema", **tensors: Tensor | None) -> Snapshot:
    """A file with other tensors; without those that are None; underscores of their names stand for dots."""
    snapshot = open_snapshot(Path(path))
    network = snapshot.networks[name]
    merged = network.tensors | {key.replace("__", "."): x for key, x in tensors.items()}
    kept = {key: x for key, x in merged.items() if x is not None}
    return replace(snapshot, networks=snapshot.networks | {name: replace(network, tensors=kept)})


def arrays(directions: Any, deviations: Any) -> Files:
    return [
        Snapshot({}, {"pca_comp": torch.as_tensor(directions)}),
        Snapshot({}, {"pca_stdev": torch.as_tensor(deviations)}),
    ]


def network_of(found: Imported, stage: str, name: str) -> Any:
    network = BUILDERS[name](found.config.model, "cpu").eval()
    load_network(network, found.states[stage][name])
    return network


def require_near(found: Tensor, expected: Tensor) -> None:
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= 1e-4 * expected.std()


@pytest.mark.parametrize("kind", ["trained", "converted"])
@torch.no_grad()
def test_the_recorded_image_generators_make_the_recorded_images(kind: str) -> None:
    found = imported(FOLDER / f"tiny_stylegan2_{kind}.pt")
    recording = load(FOLDER / f"tiny_stylegan2_{kind}_expected.safetensors")
    assert found.states.keys() == {"image"}
    names = {"trained": {"G_ema", "G", "D"}, "converted": {"G_ema"}}[kind]
    assert found.states["image"].keys() == names
    for name, ours in (("G", "G_ema"), ("D", "D")):
        for key, x in tensors_below(recording, f"out/nvidia/{name}.").items():
            if key != "mapping.w_avg" or kind == "converted":
                assert found.states["image"][ours][key].equal(x), key
    generator = network_of(found, "image", "G_ema")
    require_near(generator.styles(recording["in/z"]), recording["out/w"])
    require_near(generator(recording["in/z"], "const"), recording["out/img_const_noise"])
    if kind == "converted":
        ws = generator.mapping(recording["in/z"], None, 0.7)
        require_near(generator.synthesis(ws, "const"), recording["out/img_const_noise_psi_0.7"])
    else:
        judged = network_of(found, "image", "D")(recording["in/x"])
        require_near(judged[:, None], recording["out/logits"])
        own = network_of(found, "image", "G")(recording["in/z"], "const")
        assert (own - recording["out/img_const_noise"]).abs().max() > 0.01


@torch.no_grad()
def test_the_recorded_release_makes_the_recorded_video() -> None:
    """Its principal components are not those of its image generator, which is said."""
    found = imported(*sorted(path for path in RELEASE.iterdir() if path.suffix != ".npz"))
    assert ANOTHER in found.notes[0]
    assert {stage: set(networks) for stage, networks in found.states.items()} == {
        "image": {"G_ema"},
        "motion": {"R", "D_image"},
    }
    assert (found.steps, found.fps, list(found.states)) == (0, None, ["image", "motion"])
    model = found.config.model
    assert (model.image.channels, model.image.z_dim, model.image.mapping_layers) == ((12, 12, 8, 8), 16, 3)
    assert (model.motion.hidden, model.motion.components, model.motion.side) == (12, 12, 32)
    assert (model.motion.cross_domain, model.motion.image_widths) == (False, (4, 2))
    generator, walk = network_of(found, "image", "G_ema"), network_of(found, "motion", "R")
    expected = {name: torch.from_numpy(array) for name, array in np.load(RELEASE / "expected.npz").items()}
    styles, _ = walk(generator.styles(expected["z"]), expected["e"])
    noise = [expected[f"noise_{i}"] for i in range(7)]
    require_near(render(generator.synthesis, styles, noise), expected["video"])
    system = MoCoGANHD.from_states(found.config, found.states, 25.0)
    assert system.sample([0, 1], 3).shape == (2, 3, 3, 32, 32)


def release(recording: Recording, prefix: str) -> Files:
    """The networks of a recorded step as the authors would save them."""
    image, motion = split_state(recording, "modelG.")
    judges = [state(recording, name) for name in ("modelD_3d.", "modelD_img.")]
    return [
        Snapshot({"g_ema": Network(image, {}, {})}, {}),
        *(one({prefix + name: x for name, x in tensors.items()}) for tensors in (motion, *judges)),
        *arrays(recording["in/pca_comp"], recording["in/pca_stdev"]),
    ]


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("domains", ["in", "cross"])
def test_releases_of_both_kinds_are_found_whole(domains: str, prefix: str) -> None:
    recording = load(FOLDER / f"train_step_{domains}_domain.safetensors")
    files = release(recording, prefix)
    found = imported(*files)
    assert imported(*reversed(files)).config == found.config
    names = contrastive_tensors if domains == "cross" else patch_tensors
    judges = {
        "D_video": patch_tensors(state(recording, "modelD_3d.")),
        "D_image": names(state(recording, "modelD_img.")),
    }
    for name, tensors in judges.items():
        ours = found.states["motion"][name]
        assert ours.keys() == tensors.keys() and all(ours[key].equal(x) for key, x in tensors.items())
        network_of(found, "motion", name)
    motion = found.config.model.motion
    if domains == "in":
        assert (motion.cross_domain, motion.video_widths, motion.image_widths) == (False, (4, 2), (4, 2))
    else:
        assert (motion.cross_domain, motion.side, motion.contrastive_width) == (True, 32, 1)
        assert (motion.contrastive_features, motion.queue) == (8, 9)


SMALL = ModelConfig(
    image=ImageModel(channels=(6, 5, 4), z_dim=8, mapping_layers=2),
    motion={"hidden": 5, "components": 4, "side": 16, "video_widths": (3, 2), "image_widths": (4, 2)},
)


def components(generator: ImageGenerator) -> Files:
    statistics = StyleStatistics(8)
    with torch.no_grad():
        statistics.add(generator.styles(torch.randn(20_000, 8, generator=torch.Generator().manual_seed(5))))
    found = statistics.components()
    return arrays(found.directions, found.deviations)


def without_steps(network: MotionGenerator) -> dict[str, Tensor]:
    return {name: x for name, x in network.state_dict().items() if name != "steps"}


@pytest.fixture
def built() -> Files:
    """Image generator, motion generator, its principal components, discriminators."""
    torch.manual_seed(0)
    generator = build_image_generator(SMALL, "cpu").eval()
    judges = [build_video_discriminator(SMALL, "cpu"), build_frame_discriminator(SMALL, 1, "cpu")]
    return [
        one(generator.state_dict()),
        one(without_steps(build_motion_generator(SMALL, "cpu"))),
        *components(generator),
        *(one({f"netD.{name}": x for name, x in judge.state_dict().items()}) for judge in judges),
    ]


def test_principal_components_of_its_own_image_generator_are_not_complained_about(built: Files) -> None:
    found = imported(*built)
    assert found.config.model == SMALL
    directions, deviations = built[2].stats["pca_comp"], built[3].stats["pca_stdev"]
    steps = found.states["motion"]["R"]["steps"]
    torch.testing.assert_close(steps, (directions * deviations[:, None])[:4].float())


def described(tensors: dict[str, Tensor], **others: Any) -> Any:
    """A network as a pickle of NVIDIA's describes it."""
    inner: dict[str, dict[str, Tensor]] = {}
    for name, x in tensors.items():
        first, _, rest = name.partition(".")
        inner.setdefault(first, {})[rest] = x
    own = {first: tensor(parts[""]) for first, parts in inner.items() if "" in parts}
    modules = {first: described(parts) for first, parts in inner.items() if "" not in parts}
    return module(attributes(own, modules, **others), prefix="")


ARGUMENTS = {
    "z_dim": 8,
    "c_dim": 0,
    "w_dim": 8,
    "img_resolution": 16,
    "img_channels": 3,
    "mapping_kwargs": {"num_layers": 2},
    "synthesis_kwargs": {"channel_base": 64, "channel_max": 6, "num_fp16_res": 4, "conv_clamp": 256},
}


@torch.no_grad()
def test_a_pickle_of_nvidia_is_a_stage_alone(tmp_path: Path) -> None:
    generator, judge = build_image_generator(SMALL, "cpu").eval(), build_image_discriminator(SMALL, "cpu")
    generator.mapping.w_avg.normal_()
    parts = {
        "G": described(generator.state_dict(), _init_kwargs=ARGUMENTS),
        "D": described(judge.state_dict(), _init_kwargs={"epilogue_kwargs": {"mbstd_group_size": 8}}),
        "augment_pipe": None,
        "G_ema": described(generator.state_dict(), _init_kwargs=ARGUMENTS),
    }
    (tmp_path / "network-snapshot-000000.pkl").write_bytes(file(parts))
    found = imported(tmp_path / "network-snapshot-000000.pkl")
    assert found.config.model.image == SMALL.image
    assert {stage: set(networks) for stage, networks in found.states.items()} == {"image": {"G_ema"}}
    z = torch.randn(2, 8)
    again = network_of(found, "image", "G_ema")
    assert again(z, "const").equal(generator(z, "const"))
    assert again.mapping.w_avg.equal(generator.mapping.w_avg)
    system = MoCoGANHD.from_states(found.config, found.states, 25.0, still=True)
    assert system.sample([0], 2).shape == (1, 3, 2, 16, 16)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"mapping_kwargs": {"num_layers": 2, "lr_multiplier": 1}}, "lr_multiplier"),
        ({"synthesis_kwargs": {"activation": "relu", "architecture": "orig"}}, "activation, architecture"),
        ({"synthesis_kwargs": [1]}, "synthesis_kwargs"),
        ({0: 512}, "0"),
    ],
)
def test_unknown_constructor_arguments_are_named(built: Files, given: dict[str, Any], named: str) -> None:
    network = replace(built[0].networks["G_ema"], arguments=ARGUMENTS | given)
    assert refusal(Snapshot({"G_ema": network}, {})) == f"G_ema was built with unknown arguments: {named}"


@pytest.mark.parametrize("filters", ["synthesis.b8.resample_filter", "synthesis.b16.conv0.resample_filter"])
def test_another_resampling_filter_is_refused(built: Files, filters: str) -> None:
    tensors = built[0].networks["G_ema"].tensors | {filters: torch.ones(4, 4) / 16}
    assert refusal(one(tensors)) == f"its resampling filter {filters} is not that of StyleGAN2"


def test_a_network_of_another_number_of_mapping_layers_is_what_it_is(built: Files) -> None:
    """Nothing is left at random, as it would be where a network of 8 layers takes what it finds."""
    found = imported(changed(IMAGE, "g_ema", style__3__weight=None, style__3__bias=None), MOTION, *COMPONENTS)
    assert ANOTHER in found.notes[0]
    assert found.config.model.image.mapping_layers == 2
    assert "mapping.fc2.weight" not in found.states["image"]["G_ema"]
    with pytest.raises(ValueError, match="its mapping network is not that of StyleGAN2"):
        imported(changed(IMAGE, "g_ema", style__2__weight=None), MOTION, *COMPONENTS)


def test_parts_that_need_others_say_so(built: Files) -> None:
    image, motion, directions, deviations, videos, frames = built
    assert refusal(motion, directions, deviations) == "there is no image generator g_ema among them"
    assert refusal(image, videos, frames) == (
        "there are discriminators of motion among them, but no motion generator modelR"
    )
    for some in ([], [directions], [deviations]):
        said = refusal(image, motion, *some)
        assert said == "modelR needs pca_comp.npy and pca_stdev.npy of its image generator"
    assert refusal(image, directions, deviations) == (
        "there are principal components among them, but no motion generator modelR"
    )


def test_files_that_are_there_twice_or_unknown_are_named(built: Files) -> None:
    image, motion, directions, deviations, _, frames = built
    assert refusal(image, image) == "two files hold the network G_ema of the stage image"
    assert refusal(*built, frames) == "two files hold the network D_image of the stage motion"
    expected = "where one pca_comp and one pca_stdev are expected"
    assert refusal(image, motion, directions, directions, deviations) == f"an array is called pca_comp, {expected}"
    assert refusal(image, Snapshot({}, {"frames": torch.ones(2)})) == f"an array is called frames, {expected}"
    others = {"state": Network({"w": torch.ones(1)}, {}, {}), "ema": Network({"w": torch.ones(1)}, {}, {})}
    assert refusal(Snapshot(others, {})) == "a file has no network g_ema, but state, ema"
    assert refusal(one({"w": torch.ones(1)})) == "G_ema is none of MoCoGAN-HD's networks"
    theirs = open_snapshot(FOLDER / "tiny_stylegan2_trained.pt")
    swapped = {"g_ema": theirs.networks["g_ema"], "d": theirs.networks["g"]}
    assert refusal(Snapshot(swapped, {})) == "d is none of MoCoGAN-HD's networks"
    stylegan_v = open_snapshot(FOLDER.parent / "stylegan_v" / "tiny_checkpoint.pkl")
    assert refusal(stylegan_v) == "G is none of MoCoGAN-HD's networks"


def test_networks_that_do_not_fit_each_other_are_refused(built: Files) -> None:
    image, motion, directions, deviations, _, frames = built
    said = refusal(image, MOTION, *COMPONENTS)
    assert said == "motion is in styles of width 16, and the image generator has 8"
    assert refusal(IMAGE, motion, directions, *arrays(torch.eye(8), torch.ones(7))[1:]).startswith(
        "its styles have width 8, and the principal components have shapes [8, 8] and [7]"
    )
    assert "shapes [16, 16] and [16]" in refusal(image, motion, *COMPONENTS)
    files = release(load(FOLDER / "train_step_cross_domain.safetensors"), "")
    assert refusal(image, motion, directions, deviations, files[2], frames) == (
        "of modelD_3d and modelD_img one is of one domain, the other of two"
    )
    said = refusal(image, motion, directions, deviations, files[3])
    assert said.startswith("model: ") and "frames of 16 pixels are no multiple of the 32 that are judged" in said


def test_missing_left_over_and_misshapen_tensors_are_named() -> None:
    unfit = "the tensors do not fit the network:"
    cases: list[tuple[list[Any], str]] = [
        ([changed(IMAGE, "g_ema", more=torch.ones(1))], f"G_ema: {unfit} more is unknown"),
        (
            [changed(IMAGE, "g_ema", conv1__activate__bias=None)],
            f"G_ema: {unfit} synthesis.b4.conv1.bias is missing",
        ),
        (
            [IMAGE, changed(MOTION, fc1__bias=torch.ones(3)), *COMPONENTS],
            f"R: {unfit} fc1.bias has shape [3] instead of [16]",
        ),
        (
            [IMAGE, MOTION, *COMPONENTS, changed(FRAMES, module__netD__scale1_layer2__0__bias=None)],
            f"D_image: {unfit} scale1_layer2.0.bias is missing",
        ),
    ]
    for files, reason in cases:
        assert refusal(*files) == reason
    wide = replace(open_snapshot(Path(IMAGE)), stats={"latent_avg": torch.ones(3)})
    assert refusal(wide) == f"G_ema: {unfit} mapping.w_avg has shape [3] instead of [16]"


ESSENTIAL = [
    (IMAGE, "style.1.weight"),
    (IMAGE, "input.input"),
    (IMAGE, "convs.0.conv.weight"),
    (IMAGE, "to_rgb1.conv.weight"),
    (MOTION, "w"),
    (MOTION, "cell.weight_ih"),
    (MOTION, "fc2.weight"),
    (FRAMES, "module.netD.scale0_layer0.0.weight"),
    (FRAMES, "module.netD.scale1_layer0.0.weight"),
]


@pytest.mark.parametrize(("path", "name"), ESSENTIAL)
@pytest.mark.parametrize("value", [None, torch.zeros(0), torch.zeros(2, 0), torch.zeros(1, 4), torch.zeros(1, 1, 1, 1)])
def test_what_the_configuration_is_read_off_may_be_anything(path: str, name: str, value: Tensor | None) -> None:
    files: list[Any] = [IMAGE, MOTION, FRAMES, *COMPONENTS]
    files[files.index(path)] = changed(path, "g_ema" if path == IMAGE else "G_ema", **{name.replace(".", "__"): value})
    assert refusal(*files)
