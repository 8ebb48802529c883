"""The motion network: its form, its embedded weights, that it names motions and overlooks contrast, its training."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from vidbench.metrics import motion3d, toy3d, train_motion3d
from vidbench.metrics.fit_toy3d import sprites
from vidbench.metrics.frechet import Frechet
from vidbench.metrics.motion3d import MOTIONS, WEIGHTS, Motion3D, MotionNetwork
from vidbench.metrics.toy3d import Toy3D
from vidbench.metrics.train_motion3d import CLASSES, batch, first_network, moving_texture, train_step

HASH = "8ab9842fe6102bb4722b41180811daf0596f0e2de07c0cd58b94af1b5a6c5bcb"


@pytest.fixture(scope="module")
def backbone() -> Motion3D:
    return Motion3D()


@pytest.fixture(scope="module")
def textures() -> tuple[torch.Tensor, torch.Tensor]:
    """Five fresh clips of each motion, and the motions."""
    return batch("eval", range(5 * MOTIONS))


def scores(backbone: torch.nn.Module, reference: torch.Tensor, *others: torch.Tensor) -> list[float]:
    """Fréchet distances of other clips from the reference."""
    measure = Frechet(backbone.dim)
    first, *sides = ([measure.statistics(), clips] for clips in (reference, *others))
    for side, clips in (first, *sides):
        side.update(backbone(clips))
    return [measure.compare(first[0], side)["value"] for side, _ in sides]


def test_every_stage_has_its_shape():
    layers, x, shapes = MotionNetwork().layers, torch.zeros(1, 3, 16, 32, 32), []
    for stage in range(4):
        x = layers[4 * stage : 4 * stage + 4](x)
        shapes.append(tuple(x.shape[1:]))
    assert shapes == [(16, 16, 16, 16), (32, 8, 8, 8), (64, 4, 4, 4), (64, 4, 4, 4)]


def test_it_has_91_thousand_parameters():
    convolutions = sum(
        9 * n * width + 3 * width**2 for n, width in ((3, 16), (16, 32), (32, 64), (64, 64))
    )  # 1x3x3 into the stage's width, 3x1x1 within it
    norms, classifier = 2 * 2 * (16 + 32 + 64 + 64), 64 * 21 + 21
    assert convolutions + norms + classifier == 90_821
    assert sum(weight.numel() for weight in MotionNetwork(normalised=True).parameters()) == 90_821
    assert sum(weight.numel() for weight in MotionNetwork().parameters()) == 90_821 - norms // 2


def test_the_file_is_small_and_in_half_precision(backbone):
    tensors = load_file(WEIGHTS)
    assert WEIGHTS.stat().st_size < 200_000
    assert {tensors.pop(name).dtype for name in ("mean", "std")} == {torch.float32}
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    assert {weight.dtype for weight in backbone.parameters()} == {torch.float32}


def test_the_weights_are_those_of_its_version(backbone):
    assert (backbone.version, backbone.tensor_hash()) == (1, HASH)


@pytest.mark.parametrize("name", ["network.layers.0.weight", "network.classifier.bias", "mean", "std"])
def test_the_hash_names_every_tensor(name):
    changed = Motion3D()
    changed.state_dict()[name].view(-1)[0] += 1e-3
    assert changed.tensor_hash() != HASH


def test_it_names_motions_that_it_never_saw(backbone, textures):
    clips, motions = textures
    assert (backbone.network(clips).argmax(dim=1) == motions).double().mean() > 0.95


def test_backwards_in_time_it_names_the_opposite_motion(backbone, textures):
    clips, motions = textures
    opposite = torch.tensor([CLASSES.index(min(CLASSES, key=lambda c: math.dist(c, np.negative(m)))) for m in CLASSES])
    assert opposite[:8].tolist() == [4, 5, 6, 7, 0, 1, 2, 3]
    named = backbone.network(clips.flip(2)).argmax(dim=1)
    assert (named == opposite[motions]).double().mean() > 0.95


def test_features_of_left_and_right_lie_on_two_sides_of_a_plane(backbone):
    """A plane fitted to some clips parts other clips, of another kind: shapes, not textures."""
    x, side = torch.linspace(-1, 1, 32), torch.tensor([-1.0, 1.0]).repeat(32)
    t = torch.arange(16.0)[:, None]
    places = torch.linspace(-0.4, 0.4, 64)[:, None, None]
    position = places + 0.05 * side[:, None, None] * (t - 7.5)
    bars = (torch.abs(x - position) < 0.25).float() - 0.5  # [N, T, W]
    found = backbone(bars[:, None, :, None].expand(-1, 3, -1, 32, -1))
    seen, fresh = found[:32], found[32:]
    plane = torch.linalg.lstsq(seen.T @ seen + torch.eye(64), seen.T @ side[:32]).solution
    assert torch.equal((fresh @ plane).sign(), side[32:])


def test_it_minds_motion_and_overlooks_contrast(backbone):
    """Shuffled frames lie far above the distance between real sets, pale frames do not; `toy3d` minds both alike."""
    clips = torch.from_numpy(np.stack([sprites(f"toy3d/sprites/eval/{i}") for i in range(192)]))
    reference, real = clips.chunk(2)
    order = torch.randperm(16, generator=torch.Generator().manual_seed(0))
    sides = real, real[:, :, order], 0.5 * real
    floor, shuffled, pale = scores(backbone, reference, *sides)
    toy_floor, _, toy_pale = scores(Toy3D(), reference, *sides)
    assert shuffled > 5 * floor
    assert pale < 1.5 * floor
    assert toy_pale > 5 * toy_floor


def test_features_of_the_corpus_are_standard(backbone):
    """So the constants belong to these weights."""
    clips = [render(f"toy3d/{name}/fit/{i}") for name, render in train_motion3d.WORLDS.items() for i in range(64)]
    found = backbone(torch.from_numpy(np.stack(clips)))
    assert found.mean(dim=0).abs().max() < 0.4
    assert found.std(dim=0).log().abs().max() < 0.4


def test_a_clip_has_the_same_features_alone_and_in_a_batch(backbone, textures, monkeypatch):
    video = textures[0][:18]
    alone = torch.cat([backbone(clip[None]) for clip in video])
    assert (alone.dtype, alone.shape) == (torch.float32, (18, Motion3D.dim))
    torch.testing.assert_close(backbone(video), alone, atol=1e-4, rtol=0)
    torch.testing.assert_close(backbone(video.flip(0)).flip(0), alone, atol=1e-4, rtol=0)
    monkeypatch.setattr(toy3d, "FRAMES_AT_ONCE", 80)
    torch.testing.assert_close(backbone(video), alone, atol=1e-4, rtol=0)


def test_bytes_stand_for_minus_one_to_one(backbone):
    video = torch.randint(0, 256, (2, 3, 9, 32, 32), dtype=torch.uint8)
    torch.testing.assert_close(backbone(video), backbone(video.float() / 127.5 - 1))


def test_other_sizes_are_resized_frame_by_frame(backbone):
    video = torch.rand(2, 3, 9, 64, 48) * 2 - 1
    frames = [F.interpolate(video[:, :, t], (32, 32), mode="bilinear", antialias=True) for t in range(9)]
    torch.testing.assert_close(backbone(video), backbone(torch.stack(frames, dim=2)), atol=1e-4, rtol=1e-4)


def test_no_gradient_is_kept(backbone):
    assert not backbone(torch.zeros(1, 3, 9, 32, 32, requires_grad=True)).requires_grad
    assert not any(weight.requires_grad for weight in backbone.parameters())


@pytest.mark.parametrize(
    "video",
    [torch.zeros(1, 3, 8, 32, 32), torch.zeros(3, 16, 32, 32), torch.zeros(1, 1, 16, 32, 32)],
)
def test_wrong_shapes_and_short_clips_are_refused(backbone, video):
    with pytest.raises(ValueError, match="T >= 9"):
        backbone(video)


def test_other_integers_than_bytes_are_refused(backbone):
    with pytest.raises(ValueError, match="int64"):
        backbone(torch.zeros(1, 3, 9, 32, 32, dtype=torch.int64))


@pytest.mark.parametrize("motion", range(MOTIONS))
def test_a_texture_moves_as_its_class_says(motion):
    """Of all 21 maps of an earlier frame, its own comes nearest to the later one."""
    earlier, later = torch.from_numpy(moving_texture("motion3d/eval/0", motion))[:, [5, 9]].unbind(dim=1)

    def gap(right: float, down: float, turn: float, growth: float) -> float:
        right, down, turn, growth = 4 * right, 4 * down, 4 * turn, 4 * growth
        cos, sin = math.cos(turn) / math.exp(growth), math.sin(turn) / math.exp(growth)
        back = torch.tensor([[[cos, sin, -right / 16], [-sin, cos, -down / 16]]])
        grid = F.affine_grid(back, [1, 3, 32, 32], align_corners=False)
        moved = F.grid_sample(earlier[None], grid, align_corners=False)[0]
        return (moved - later)[:, 8:24, 8:24].abs().mean().item()

    gaps = [gap(*one) for one in CLASSES]
    assert np.argmin(gaps) == motion


def test_clips_depend_on_their_names_alone():
    clips, motions = batch("train", [30, 2])
    assert (clips.shape, clips.dtype, motions.tolist()) == ((2, 3, 16, 32, 32), torch.float32, [9, 2])
    assert clips.abs().max() <= 1
    assert torch.equal(clips[0], batch("train", [30])[0][0])
    assert not torch.equal(clips[0], batch("test", [30])[0][0])


def test_the_first_weights_depend_on_their_names_alone():
    one, other = first_network().state_dict(), first_network().state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)
    weight = one["layers.3.weight"]  # 3x1x1 from 16 channels
    assert 0.99 / math.sqrt(48) < weight.abs().max() <= 1 / math.sqrt(48)


def test_steps_of_training_lessen_the_loss():
    network = first_network().train()
    optimizer = torch.optim.AdamW(network.parameters(), 2e-3)
    clips, motions = batch("train", range(MOTIONS))
    with torch.no_grad():
        start = F.cross_entropy(network(clips), motions).item()
    losses = [train_step(network, optimizer, clips, motions) for _ in range(4)]
    assert losses[0] == pytest.approx(start, rel=1e-5)
    assert losses[0] == pytest.approx(math.log(MOTIONS), abs=0.3)
    assert losses[-1] < losses[0] - 0.2


def test_the_kept_network_is_the_trained_one_to_half_precision():
    network = first_network().train()
    clips, motions = batch("train", range(MOTIONS))
    train_step(network, torch.optim.AdamW(network.parameters(), 2e-3), clips, motions)
    kept = train_motion3d.embedded(network.eval())
    assert set(kept.state_dict()) == set(MotionNetwork().state_dict())
    torch.testing.assert_close(kept(clips), network(clips), atol=5e-4, rtol=1e-2)
    for weight in kept.parameters():
        assert torch.equal(weight, weight.half().float())


def test_constants_are_those_of_both_worlds_and_idle_features_have_a_floor(backbone, monkeypatch):
    monkeypatch.setattr(train_motion3d, "CLIPS_PER_WORLD", 3)
    network = Motion3D().network
    network.layers[-2].weight[5] = 0
    clips = [render(f"toy3d/{name}/fit/{i}") for name, render in train_motion3d.WORLDS.items() for i in range(3)]
    values = network.features(torch.from_numpy(np.stack(clips))).double()
    found, std = train_motion3d.constants(network), values.std(dim=0)
    torch.testing.assert_close(found["mean"].double(), values.mean(dim=0), atol=1e-5, rtol=1e-5)
    assert std[5] < 1e-6
    std[5] = 1e-2 * std.median()
    torch.testing.assert_close(found["std"].double(), std, atol=1e-5, rtol=1e-3)


def test_training_writes_a_file_that_loads(monkeypatch, tmp_path, capsys):
    path = tmp_path / "motion3d.safetensors"
    for name, value in {"STEPS": 1, "TEST_CLIPS": 3, "CLIPS_PER_WORLD": 2, "WEIGHTS": path}.items():
        monkeypatch.setattr(train_motion3d, name, value)
    monkeypatch.setattr(torch, "set_num_threads", lambda threads: None)
    monkeypatch.setattr(motion3d, "WEIGHTS", path)
    train_motion3d.main()
    assert list(tmp_path.iterdir()) == [path]
    assert "3 held-out clips" in capsys.readouterr().out
    assert Motion3D().tensor_hash() != HASH
