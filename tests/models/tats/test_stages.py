"""The stages' steps: what moves when, what is drawn for whom, what is kept, and what is seen of them."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.models.resuming import take_over
from tests.models.tats.small import FRAMES, SIDE, build, config, copied, made, moved, samples, update
from tests.models.two_processes import together
from vidbench.models.tats import TATS, VQGANTraining
from vidbench.models.tats import vqgan_stage as module
from vidbench.models.tats.config import TransformerStage, VQGANStage
from vidbench.models.tats.perceptual import CONVOLUTIONS, Perceptual, load_perceptual
from vidbench.models.tats.reader import Reader
from vidbench.models.tats.transformer_stage import next_code_loss
from vidbench.sources import source_from_array
from vidbench.stage import Origin, Step

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
EVERY_STAGE = {"steps": 1, "batch": 6, "checkpoint_every": 1, "evaluate_every": 1, "metric": "fvd16"}


def trained(stage, network):
    return {f"{network}/{name}" for name, _ in stage.networks[network].named_parameters()}


def test_the_authors_values_are_the_defaults():
    first, second = VQGANStage(**EVERY_STAGE), TransformerStage(**EVERY_STAGE)
    assert (first.lr, first.accumulation, first.clip) == (9e-5, 6, 1)
    assert (first.l1_weight, first.feature_weight, first.perceptual_weight) == (4, 4, 4)
    assert (first.discriminator_start * 30_000, first.restart_below, first.vgg) == (10_000, 0, None)
    assert (second.lr, second.weight_decay) == (1.08e-4, 0.01)


def test_optimisers_are_the_authors():
    for optimizer in build("vqgan").optimizers.values():
        [group] = optimizer.param_groups
        assert (group["lr"], group["betas"], group["eps"], group["weight_decay"]) == (0.001, (0.5, 0.9), 1e-8, 0)
    stage = build("transformer")
    decayed, others = stage.optimizers["transformer"].param_groups
    assert (decayed["betas"], decayed["weight_decay"], others["weight_decay"]) == ((0.9, 0.95), 0.01, 0)
    names = {parameter: name for name, parameter in stage.transformer.named_parameters()}
    found = {names[parameter].removeprefix("blocks.0.") for parameter in decayed["params"]}
    layers = {f"attn.{name}.weight" for name in ("key", "query", "value", "proj")} | {"mlp.0.weight", "mlp.2.weight"}
    assert {name for name in found if not name.startswith("blocks.")} == layers | {"head.weight"}
    assert len(decayed["params"]) + len(others["params"]) == len(names)


def test_discriminators_are_heard_and_trained_from_their_step_on():
    stage = build("vqgan")
    before = copied(stage)
    logs = update(stage, 4)
    now = moved(before, stage)
    assert logs.keys() == {"l1", "commitment", "perplexity", "loss_D"}
    assert logs["loss_D"] == 0
    assert not any(name.startswith("D_") for name in now)
    assert trained(stage, "vqgan") <= now
    assert {"vqgan/codebook.embeddings", "vqgan/codebook.N", "vqgan/codebook.z_avg"} <= now
    before = copied(stage)
    logs = update(stage, 5)
    assert logs.keys() == {"l1", "commitment", "perplexity", "adversarial", "features", "loss_D"}
    assert logs["loss_D"] > 0
    assert {f"D_{name}/model0.0.weight" for name in ("image", "video")} <= moved(before, stage)
    assert trained(stage, "vqgan") <= moved(before, stage)
    assert all(value.numel() == 1 and torch.isfinite(value) for value in logs.values())


def test_the_codebook_follows_twice_a_step():
    stage = build("vqgan")
    update(stage, 0)
    vectors = 4 * FRAMES // 2 * (SIDE // 4) ** 2
    expected = 12.0
    for _ in range(2):
        expected = 0.99 * expected + 0.01 * vectors
    assert stage.vqgan.codebook.N.sum().item() == pytest.approx(expected, rel=1e-5)


def test_both_optimisers_step_along_gradients_of_at_most_unit_norm(monkeypatch):
    stage, norms = build("vqgan"), {}
    for name, optimizer in stage.optimizers.items():
        parameters = optimizer.param_groups[0]["params"]

        def measure(name=name, parameters=parameters):
            norms[name] = torch.stack([each.grad.norm() for each in parameters if each.grad is not None]).norm().item()

        monkeypatch.setattr(optimizer, "step", measure)
    update(stage, 9)
    assert norms.keys() == {"vqgan", "D"}
    assert all(norm <= 1 + 1e-4 for norm in norms.values())
    assert norms["vqgan"] == pytest.approx(1, rel=1e-3)


def test_gradients_of_parts_are_added_up(monkeypatch):
    stage = build("vqgan", vqgan={"accumulation": 2})
    steps, parts = [], []
    for name, optimizer in stage.optimizers.items():
        monkeypatch.setattr(optimizer, "step", lambda name=name: steps.append(name))
    own = stage._reconstruct
    monkeypatch.setattr(stage, "_reconstruct", lambda real, *rest: parts.append(len(real)) or own(real, *rest))
    update(stage, 9)
    assert steps == ["vqgan", "D"]
    assert parts == [2] * 4
    assert stage.group == 2


@pytest.mark.parametrize("name", ["vqgan", "transformer"])
def test_a_run_goes_on_from_its_tensors_alone(name):
    stage, other = build(name), build(name)
    for index in (4, 5):
        update(stage, index)
    take_over(other, stage)
    for index in (6, 7):
        update(stage, index)
        update(other, index)
    assert not moved(copied(stage), other)


@pytest.mark.parametrize("name", ["vqgan", "transformer"])
def test_two_processes_stay_alike(name, monkeypatch):
    own, beside = map(copied, together(update, lambda: build(name), 9, monkeypatch))
    assert all(torch.equal(tensor, beside[key]) for key, tensor in own.items())


def test_two_processes_learn_what_one_does(monkeypatch):
    """Transformers; the autoencoder's batch norm is each process's own."""

    def make():
        stage = build("transformer")
        stage.optimizers["transformer"] = torch.optim.SGD(stage.transformer.parameters(), 0.1)
        return stage

    stage, (own, _) = make(), together(update, make, 0, monkeypatch)
    update(stage, 0)
    for name, tensor in copied(own).items():
        torch.testing.assert_close(tensor, copied(stage)[name], rtol=1e-4, atol=1e-6)


def test_the_codebook_follows_the_vectors_of_all_processes(monkeypatch):
    first, second = together(update, lambda: build("vqgan"), 0, monkeypatch)
    vectors = 4 * FRAMES // 2 * (SIDE // 4) ** 2
    expected = 0.99 * (0.99 * 12 + 0.01 * vectors) + 0.01 * vectors
    for stage in (first, second):
        assert stage.vqgan.codebook.N.sum().item() == pytest.approx(expected, rel=1e-5)


def test_the_codebook_starts_among_the_first_vectors_and_never_again():
    stage = build("vqgan")
    assert not stage.vqgan.codebook.N.any()
    update(stage, 0)
    first = stage.vqgan.codebook.z_avg.clone()
    update(stage, 1)
    torch.testing.assert_close(stage.vqgan.codebook.z_avg, first, rtol=0.3, atol=0.1)


def test_frames_that_are_seen_are_drawn_anew_for_each_pass_and_sample(monkeypatch):
    stage, times = build("vqgan", vqgan={"batch": 40}), []
    own = stage._times
    monkeypatch.setattr(stage, "_times", lambda *given: times.append(own(*given)) or times[-1])
    update(stage, 9)
    assert len(times) == 2
    assert not torch.equal(*times)
    assert all(set(each.tolist()) == set(range(FRAMES)) for each in times)
    monkeypatch.undo()
    step = [Step(0, "vqgan", 9, 40, rank, 2) for rank in (0, 1)]
    halves = [stage._times("autoencoder/0", each.samples, each) for each in step]
    assert torch.equal(torch.stack(halves, dim=1).flatten(), times[0])


@pytest.mark.parametrize(
    ("name", "hierarchical"), [("transformer", False), ("transformer", True), ("interpolation", True)]
)
def test_transformers_learn_the_codes_of_clips_and_leave_the_autoencoder_alone(name, hierarchical, monkeypatch):
    stage = build(name, hierarchical)
    frames = {("transformer", False): 4, ("transformer", True): 8, ("interpolation", True): 6}[name, hierarchical]
    assert (stage.reader, stage.frames) == (Reader(frames, 1), frames)
    before = copied(stage)
    logs = update(stage, 0)
    count = {"transformer": 2, "interpolation": 3}[name] * 4
    used = {f"transformer/{key}" for key, _ in stage.transformer.named_parameters()}
    assert moved(before, stage) <= used
    assert {"transformer/head.weight", "transformer/pos_emb", "transformer/tok_emb.weight"} <= moved(before, stage)
    assert stage.transformer.pos_emb.shape[1] == count
    assert logs["loss"] > 0
    step = Step(0, name, 0, 4)
    codes = stage.vqgan.encode(samples(stage, step)["clip"].float() / 255 - 0.5)
    taken = codes[:, ::2] if (name, hierarchical) == ("transformer", True) else codes
    stage = build(name, hierarchical)
    assert next_code_loss(stage.transformer, taken.flatten(1)).item() == pytest.approx(logs["loss"].item(), rel=1e-5)


def test_the_loss_is_of_every_code_after_those_before_it():
    stage = build("transformer")
    codes = torch.arange(8).view(1, 8)
    logits = stage.transformer(torch.tensor([[0, 0, 1, 2, 3, 4, 5, 6]]))
    assert next_code_loss(stage.transformer, codes).item() == pytest.approx(F.cross_entropy(logits[0], codes[0]).item())


def test_a_stage_needs_those_before_it():
    for name, hierarchical, missing in (("transformer", False, "vqgan"), ("interpolation", True, "transformer")):
        with pytest.raises(ValueError, match=rf"the stage {missing} is not trained$"):
            build(name, hierarchical, {})
    settings = config()
    model = settings.model.model_copy(
        update={"transformer": settings.model.transformer.model_copy(update={"classes": 3})}
    )
    with pytest.raises(ValueError, match="can be sampled, but not trained"):
        TATS.stages["transformer"](
            settings.model_copy(update={"model": model}), Origin((8, 8), 25.0), "cpu", made(until="transformer")
        )


def noise(frames: int = 40):
    videos = np.random.default_rng(0).integers(0, 256, (3, frames, SIDE, SIDE, 3), np.uint8)
    return source_from_array("noise", videos, 25.0).resized((SIDE, SIDE))


@pytest.mark.parametrize("step", [1, 3])
def test_a_sample_is_any_clip_of_a_video(step):
    source, reader = noise(12), Reader(4, step)
    video, starts = source.videos[1], set()
    whole = torch.from_numpy(source.read(video, 0, 12))
    for seed in range(80):
        clip = reader(source, video, torch.Generator().manual_seed(seed))["clip"]
        assert (clip.shape, clip.dtype) == ((3, 4, SIDE, SIDE), torch.uint8)
        starts |= {t for t in range(13 - reader.span) if torch.equal(whole[:, t : t + reader.span : step], clip)}
    assert starts == set(range(13 - reader.span))


@pytest.mark.parametrize("name", ["vqgan", "transformer"])
@pytest.mark.parametrize("step", [1, 3])
def test_a_video_weighs_as_much_as_others_or_as_its_clips(name, step):
    stage = build(name)
    stage.reader = Reader(4, step)
    assert {stage.weight(length) for length in range(stage.reader.span, 30)} == {1}
    stage.reader = Reader(4, step, every_clip=True)
    assert [stage.weight(stage.reader.span + extra) for extra in (0, 1, 7)] == [1, 2, 8]


def test_the_autoencoder_is_seen_on_real_videos():
    stage, source = build("vqgan"), noise()
    update(stage, 0)
    preview = stage.preview(source, 6)
    assert (preview.size, preview.fps, preview.max_frames) == ((SIDE, SIDE), 25, 6)
    video, first = preview.pick(3)
    clip = torch.from_numpy(source.read(video, first, first + 6))[None] / 255 - 0.5
    network = copy.deepcopy(stage.vqgan).eval()
    with torch.no_grad():
        codes = torch.cat([network.encode(clip[:, :, :4]), network.encode(clip[:, :, 4:])], dim=1)
        expected = (2 * network.decode(codes)).clamp(-1, 1)
    torch.testing.assert_close(preview.sample([3], 6), expected, rtol=0, atol=1e-5)
    assert stage.vqgan.training
    update(stage, 1)  # sampling leaves it trainable


@pytest.mark.parametrize(
    ("name", "hierarchical"), [("transformer", False), ("transformer", True), ("interpolation", True)]
)
def test_transformers_are_seen_as_they_are(name, hierarchical):
    stage = build(name, hierarchical)
    videos = stage.preview(noise(), 5).sample([0, 1], 5)
    assert videos.shape == (2, 3, 5, SIDE, SIDE)
    update(stage, 0)
    assert stage.transformer.training and stage.transformer.pos_emb.dtype == torch.float32


def vgg() -> Perceptual:
    """Random weights in the place of VGG's; the lines are non-negative, as the authors' are."""
    torch.manual_seed(0)
    network = Perceptual().requires_grad_(False)
    for name, parameter in network.named_parameters():
        if name.startswith("lin"):
            parameter.abs_()
    return network


def test_the_distance_of_features_is_none_between_an_image_and_itself():
    network, images = vgg(), torch.rand(2, 3, 16, 16) - 0.5
    chances = [torch.Generator().manual_seed(i) for i in range(2)]
    assert network(images, images, chances) == 0
    far = images.flip(0).requires_grad_()
    distance = network(images, far, chances)
    assert distance > 0
    assert torch.autograd.grad(distance, far)[0].abs().max() > 0
    assert sum(len(places) for places in CONVOLUTIONS) == 13


def test_vgg_is_taken_from_an_imported_checkpoint_and_off_without(tmp_path, monkeypatch):
    from safetensors.torch import save_file

    for weights, message in (
        ({"networks/vqgan/x": torch.zeros(1)}, "is without VGG's weights"),
        (None, "cannot be read"),
    ):
        path = tmp_path / "last.safetensors"
        path.unlink(missing_ok=True)
        if weights:
            save_file(weights, path)
        with pytest.raises(ValueError, match=message):
            load_perceptual(str(path), "cpu")
    network = vgg()
    save_file({f"networks/perceptual/{name}": x for name, x in network.state_dict().items()}, path)
    found = load_perceptual(str(path), "cpu")
    assert all(torch.equal(x, network.state_dict()[name]) for name, x in found.state_dict().items())
    monkeypatch.setattr(module, "load_perceptual", lambda path, device: found)
    on = VQGANTraining(config(vqgan={"vgg": str(path), "perceptual_weight": 1}), Origin((8, 8), 25.0), "cpu", {})
    assert build("vqgan", vqgan={"perceptual_weight": 1}).perceptual is None
    monkeypatch.setattr(found, "forward", lambda real, made, chances: (real - made).square().mean())
    assert update(on, 0)["perceptual"] > 0
