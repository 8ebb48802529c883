"""Flicker, smoothness, repetition: known answers, exact sums however frames are cut, and distributions over clips."""

import pickle

import numpy as np
import pytest
import torch
from einops import rearrange, repeat
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance

from vidbench.metrics import temporal
from vidbench.metrics.temporal import (
    Flicker,
    Repetition,
    Smoothness,
    descriptors,
    flicker,
    repetition,
    smoothness,
)

seeds = st.integers(0, 2**32 - 1)
measures = pytest.mark.parametrize("measure", [Flicker, Smoothness, Repetition])
scalars = pytest.mark.parametrize("scalar", [flicker, smoothness, repetition])


def normal(seed: int, n: int = 2, frames: int = 32, size: int = 16) -> torch.Tensor:
    return torch.randn(n, 3, frames, size, size, generator=torch.Generator().manual_seed(seed))


def levels(x: torch.Tensor) -> torch.Tensor:
    return (128 + x).round().clamp(0, 255).byte()


def noise(seed: int, **shape) -> torch.Tensor:
    return levels(40 * normal(seed, **shape))


def walk(seed: int, **shape) -> torch.Tensor:
    """Every pixel walks at random."""
    return levels(4 * normal(seed, **shape).cumsum(dim=2))


def direct(video: torch.Tensor) -> tuple[list[float], list[float]]:
    """Flicker and smoothness as they are written."""
    x = video.numpy().astype(float)
    last = x.shape[2] - 1
    steps = [abs(x[:, :, t + 1] - x[:, :, t]) for t in range(last)]
    jerks = [abs(x[:, :, t] - (x[:, :, t - 1] + x[:, :, t + 1]) / 2) for t in range(1, last, 2)]
    return tuple((1 - np.mean(parts, axis=(0, 2, 3, 4)) / 255).tolist() for parts in (steps, jerks))


@given(seeds, st.integers(3, 12), st.integers(1, 500))
def test_flicker_and_smoothness_are_the_formulas_however_frames_are_cut(seed, frames, pixels):
    video = noise(seed, frames=frames, size=5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(temporal, "PIXELS_AT_ONCE", pixels)
        found = flicker(video).tolist(), smoothness(video).tolist()
    for values, truth in zip(found, direct(video), strict=True):
        assert values == pytest.approx(truth, rel=1e-13)


def test_black_and_white_in_turn_is_the_worst_of_both():
    video = repeat(torch.tensor([0, 255] * 5, dtype=torch.uint8), "t -> n c t h w", n=2, c=3, h=4, w=6)
    assert flicker(video).tolist() == smoothness(video).tolist() == [0, 0]


def test_even_change_is_smooth_and_a_still_clip_is_all_three():
    ramp = repeat(torch.arange(0, 250, 10), "t -> n c t h w", n=1, c=3, h=4, w=6).byte()
    assert smoothness(ramp).item() == 1
    assert flicker(ramp).item() == pytest.approx(1 - 10 / 255)
    still = noise(0, frames=1).expand(-1, -1, 20, -1, -1)
    for scalar in (flicker, smoothness, repetition):
        assert scalar(still).tolist() == [1, 1]


def test_smoothness_looks_at_the_middle_of_three_frames():
    """Frames 1, 3, 5, ... against their neighbours; the last of an even number of frames is not seen."""
    video = torch.zeros(1, 3, 8, 2, 2, dtype=torch.uint8)
    video[:, :, 7] = 200
    assert smoothness(video).item() == 1
    video[:, :, 4] = 51
    assert smoothness(video).item() == pytest.approx(1 - (25.5 + 25.5) / 3 / 255)


def test_a_walk_does_not_come_back():
    assert repetition(walk(0, n=8, frames=128)).tolist() == [0] * 8


@pytest.mark.parametrize("size", [16, 32, 50])
def test_noise_comes_back_a_little(size):
    assert repetition(noise(0, n=4, frames=128, size=size)).mean() == pytest.approx(0.02, abs=0.005)


@pytest.mark.parametrize("period", [2, 16, 32, 96])
def test_loops_come_back(period):
    loop = torch.cat([walk(0, frames=period)] * 64, dim=2)[:, :, :128]
    assert repetition(loop).tolist() == [1, 1]


def test_a_loop_longer_than_three_quarters_of_the_clip_is_not_seen():
    loop = torch.cat([walk(0, frames=120)] * 2, dim=2)[:, :, :128]
    assert (repetition(loop) < 0.3).all()


def test_ping_pong_comes_back():
    there = walk(0, frames=33)
    ping_pong = torch.cat([there[:, :, :-1], there.flip(2)[:, :, :-1]] * 2, dim=2)
    assert repetition(ping_pong).tolist() == [1, 1]


def test_a_scene_that_returns_in_other_light_returns():
    loop = torch.cat([walk(0, frames=32)] * 4, dim=2).float()
    light = torch.linspace(0.5, 1, 128)[:, None, None]
    assert (repetition((loop * light + 10 * light).round().byte()) > 0.95).all()


def test_frames_of_one_colour_do_not_turn_into_noise():
    """A black clip with a grain of one level lies still, as far as its descriptors can tell."""
    grain = torch.randint(0, 2, (3, 64, 64, 64), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    assert descriptors(grain).norm(dim=1).max() < 3  # 16 for a picture
    assert (descriptors(torch.full((3, 5, 8, 8), 7, dtype=torch.uint8)) == 0).all()


def test_descriptors_are_standardised_area_means_of_grey():
    blocks = torch.randint(0, 256, (3, 4, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    grey = rearrange(blocks.double().mean(dim=0), "t h w -> t (h w)")
    expected = (grey - grey.mean(dim=1, keepdim=True)) / grey.std(dim=1, keepdim=True, correction=0)
    large = repeat(blocks, "c t h w -> c t (h 3) (w 2)")
    for clip in (blocks, large, blocks.flip(0)):
        torch.testing.assert_close(descriptors(clip), expected, rtol=0, atol=1e-5)


@scalars
def test_a_clip_does_not_depend_on_its_neighbours_and_there_may_be_none(scalar):
    video = walk(0, n=3)
    assert scalar(video).tolist() == [scalar(clip[None]).item() for clip in video]
    assert scalar(video[:0]).shape == (0,)
    assert ((scalar(video) >= 0) & (scalar(video) <= 1)).all()


@pytest.mark.parametrize(("scalar", "frames"), [(flicker, 2), (smoothness, 3), (repetition, 3)])
def test_wrong_videos_are_refused(scalar, frames):
    video = noise(0, frames=frames)
    assert scalar(video).shape == (2,)
    for wrong in (video[:, :, 1:], video[:, :2], video[0]):
        with pytest.raises(ValueError, match=f"at least {frames} frames"):
            scalar(wrong)
    with pytest.raises(ValueError, match=r"torch\.float32; uint8"):
        scalar(video.float())


@measures
def test_the_measure_compares_distributions_over_clips(measure):
    made = measure(32)
    fake, real = made.statistics(), made.statistics()
    fake_values, real_values = (made.features(video) for video in (noise(0, n=5), walk(1, n=3)))
    for values in fake_values.split(2):  # in parts
        fake.update(values)
    real.update(real_values)
    result = made.compare(fake, real)
    assert result["value"] == pytest.approx(wasserstein_distance(fake_values[:, 0], real_values[:, 0]), abs=1e-7)
    assert result["terms"] == {
        "fake": pytest.approx(fake_values.mean().item(), abs=1e-7),
        "real": pytest.approx(real_values.mean().item(), abs=1e-7),
        "fake std": pytest.approx(fake_values.std(correction=0).item(), abs=1e-7),
        "real std": pytest.approx(real_values.std(correction=0).item(), abs=1e-7),
    }
    assert made.compare(fake, fake)["value"] == 0
    assert not made.needs_backbone


def test_equal_means_do_not_hide_other_distributions():
    """Half of the clips loop: their mean may be that of real videos, whose every clip repeats itself half."""
    measure = Repetition(16)
    fake, real = measure.statistics(), measure.statistics()
    fake.update(torch.tensor([[0.0], [1.0]]))
    real.update(torch.tensor([[0.5], [0.5]]))
    result = measure.compare(fake, real)
    assert result["terms"]["fake"] == result["terms"]["real"]
    assert result["value"] == 0.5


@measures
def test_a_side_without_clips_and_too_few_frames_are_refused(measure):
    made = measure(3)
    some = made.statistics()
    some.update(torch.ones(2, 1))
    with pytest.raises(ValueError, match="there are 2 and 0"):
        made.compare(some, made.statistics())
    with pytest.raises(ValueError, match=f"{measure.__name__} needs at least . frames; there are 1"):
        measure(1)


@measures
def test_worker_processes_get_the_features(measure):
    features = pickle.loads(pickle.dumps(measure(32).features))
    video = walk(0)
    assert torch.equal(features(video), measure(32).features(video))
    assert features(video).shape == (2, 1)
