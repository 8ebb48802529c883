"""The built-in backbone: its exact values, its independence of batching, and that it sees motion."""

import json
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from vidbench.metrics import fit_toy3d, toy3d
from vidbench.metrics.fit_toy3d import sprites, tex, uniforms
from vidbench.metrics.frechet import Frechet
from vidbench.metrics.toy3d import Toy3D, features, quadrature_filters

CONSTANTS = json.loads(toy3d.CONSTANTS.read_text())


@pytest.fixture(scope="module")
def backbone() -> Toy3D:
    return Toy3D()


def render(world, role: str, indices) -> torch.Tensor:
    return torch.from_numpy(np.stack([world(f"toy3d/{world.__name__}/{role}/{i}") for i in indices]))


def distance(x: torch.Tensor, y: torch.Tensor) -> float:
    measure = Frechet(Toy3D.dim)
    sides = measure.statistics(), measure.statistics()
    for side, part in zip(sides, (x, y), strict=True):
        side.update(part)
    return measure.compare(*sides)["value"]


def test_uniform_numbers_are_the_top_53_bits_of_pcg64_words():
    words = np.random.PCG64(0x352441C2).random_raw(3)  # CRC-32 of "abc"
    assert uniforms("abc", 3).tolist() == [(int(word) >> 11) / 2**53 for word in words]


@pytest.mark.parametrize(
    ("world", "corner", "mean"),
    [(tex, (-0.028062, -0.092685, 0.080968), 0.015408), (sprites, (0.047478, 0.565006, -0.077340), 0.180921)],
)
def test_the_corpus_has_its_known_first_clips(world, corner, mean):
    clip = render(world, "fit", [0])[0]
    assert (clip.shape, clip.dtype) == ((3, 16, 32, 32), torch.float32)
    assert clip.abs().max() <= 1
    assert clip[:, 0, 0, 0].tolist() == pytest.approx(corner, abs=6e-7)
    assert clip.mean().item() == pytest.approx(mean, abs=6e-7)


def test_features_of_the_first_clip_have_their_known_values():
    found = features(render(tex, "fit", [0]), quadrature_filters().float())[0]
    known = {0: -5.13460, 40: 0.09888, 80: -2.84259, 86: 0.08882}
    assert {i: found[i].item() for i in known} == pytest.approx(known, abs=6e-6)


def test_constants_have_their_known_values():
    known = {
        0: (-5.3125, 0.5537),
        20: (-5.2503, 0.4835),
        40: (0.14188, 0.11703),
        60: (0.13542, 0.11003),
        80: (-3.0491, 0.5327),
        83: (-3.1360, 0.6905),
        86: (0.05367, 0.05102),
    }
    for i, pair in known.items():
        assert (CONSTANTS["mean"][i], CONSTANTS["std"][i]) == pytest.approx(pair, abs=6e-5), i
    assert sum(CONSTANTS["mean"]) == pytest.approx(-199.580, abs=6e-4)
    assert sum(CONSTANTS["std"]) == pytest.approx(34.646, abs=6e-4)


def test_fitting_gives_mean_and_sample_deviation_of_both_worlds(monkeypatch):
    monkeypatch.setattr(fit_toy3d, "CLIPS_PER_WORLD", 5)
    corpus = torch.cat([render(world, "fit", range(5)) for world in (tex, sprites)])
    values = features(corpus, quadrature_filters().float()).double()
    fitted = fit_toy3d.fit()
    assert fitted["mean"] == pytest.approx(values.mean(dim=0).tolist(), abs=1e-5)
    assert fitted["std"] == pytest.approx(values.std(dim=0).tolist(), abs=1e-5)


def test_fitting_writes_the_constants_in_one_step(monkeypatch, tmp_path):
    monkeypatch.setattr(fit_toy3d, "CLIPS_PER_WORLD", 1)
    monkeypatch.setattr(fit_toy3d, "CONSTANTS", tmp_path / "toy3d.json")
    fit_toy3d.main()
    assert [path.name for path in tmp_path.iterdir()] == ["toy3d.json"]
    assert json.loads((tmp_path / "toy3d.json").read_text()) == fit_toy3d.fit()


def test_forward_is_the_features_standardised_by_the_constants(backbone):
    video = render(sprites, "fit", range(2))
    mean, std = torch.tensor(CONSTANTS["mean"]), torch.tensor(CONSTANTS["std"])
    expected = (features(video, quadrature_filters().float()) - mean) / std
    torch.testing.assert_close(backbone(video), expected)
    assert (backbone(video).dtype, backbone(video).shape) == (torch.float32, (2, Toy3D.dim))


def test_filters_are_in_quadrature_and_see_no_constant():
    even, odd = quadrature_filters().chunk(2)
    for part in (even, odd):
        assert part.sum(dim=(1, 2, 3, 4)).abs().max() < 1e-15
        torch.testing.assert_close(part.abs().sum(dim=(1, 2, 3, 4)), torch.ones(40, dtype=torch.float64))
    torch.testing.assert_close(even.flip(2, 3, 4), even)
    torch.testing.assert_close(odd.flip(2, 3, 4), -odd)


@pytest.mark.parametrize("frequency", [-0.25, -0.12, 0, 0.12, 0.25])
def test_a_moving_grating_excites_its_own_band_most(frequency):
    t, x = torch.arange(16.0)[:, None, None], torch.arange(32.0)
    grating = torch.cos(2 * math.pi * (x / 8 + frequency * t)).expand(16, 32, 32)
    energies = features(grating.expand(1, 3, 16, 32, 32), quadrature_filters().float())[0, :40]
    band = 20 + [-0.25, -0.12, 0, 0.12, 0.25].index(frequency)  # wavelength 8, orientation 0
    assert energies.argmax().item() == band


def test_every_group_of_a_still_grey_clip_is_at_its_floor():
    found = features(torch.full((1, 3, 9, 32, 32), 0.5), quadrature_filters().float())[0]
    torch.testing.assert_close(found[:40], torch.full((40,), math.log(2e-3)), atol=1e-4, rtol=0)
    torch.testing.assert_close(found[40:80], torch.zeros(40), atol=1e-5, rtol=0)
    floor = math.log(1e-3)
    assert found[80:].tolist() == pytest.approx([floor, floor, floor, floor, 0.5, 0, 0], abs=1e-6)


def test_a_clip_has_the_same_features_alone_and_in_a_batch(backbone, monkeypatch):
    video = render(tex, "eval", range(6))
    alone = torch.cat([backbone(clip[None]) for clip in video])
    torch.testing.assert_close(backbone(video), alone, atol=1e-4, rtol=0)
    torch.testing.assert_close(backbone(video.flip(0)).flip(0), alone, atol=1e-4, rtol=0)
    monkeypatch.setattr(toy3d, "FRAMES_AT_ONCE", 16)
    monkeypatch.setattr(toy3d, "PIXELS_AT_ONCE", 7 * 32 * 32)
    torch.testing.assert_close(backbone(video), alone, atol=1e-4, rtol=0)


def test_bytes_stand_for_minus_one_to_one(backbone):
    video = torch.randint(0, 256, (2, 3, 9, 32, 32), dtype=torch.uint8)
    torch.testing.assert_close(backbone(video), backbone(video.float() / 127.5 - 1))


@pytest.mark.parametrize("size", [(64, 48), (16, 32)])
def test_other_sizes_are_resized_frame_by_frame(backbone, size):
    video = torch.rand(2, 3, 9, *size) * 2 - 1
    frames = [F.interpolate(video[:, :, t], (32, 32), mode="bilinear", antialias=True) for t in range(9)]
    torch.testing.assert_close(backbone(video), backbone(torch.stack(frames, dim=2)), atol=1e-4, rtol=1e-4)


def test_no_gradient_is_kept(backbone):
    assert not backbone(torch.zeros(1, 3, 9, 32, 32, requires_grad=True)).requires_grad


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


@pytest.mark.parametrize("name", ["filters", "mean", "std"])
def test_the_hash_names_the_filters_and_constants(backbone, name):
    changed = Toy3D()
    assert changed.tensor_hash() == backbone.tensor_hash()
    assert len(changed.tensor_hash()) == 64
    changed.get_buffer(name).view(-1)[0] += 1e-3
    assert changed.tensor_hash() != backbone.tensor_hash()


@pytest.mark.parametrize("world", [tex, sprites])
def test_it_sees_motion_that_no_single_frame_shows(backbone, world):
    """The same frames in another order lie far above the distance between two sets of real clips."""
    reference, real = (backbone(render(world, "eval", part)) for part in (range(192), range(192, 384)))
    clips = render(world, "eval", range(192, 384))
    order = torch.randperm(16, generator=torch.Generator().manual_seed(0))
    shuffled = backbone(clips[:, :, order])
    floor = distance(reference, real)
    assert distance(reference, shuffled) > 5 * floor
    assert distance(reference, reference) < 1e-9 * floor
