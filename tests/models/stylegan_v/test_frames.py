"""Which frames are seen: all that the rule allows, equally often, and differences that are alike for real and fake."""

import collections

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, chisquare, kstest

from vidbench.models.stylegan_v.frames import FrameSampling

seeds = st.integers(0, 2**63 - 1)
DRAWS = 4000


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@st.composite
def cases(draw):
    """A sampling and the length of a video that is long enough for it."""
    num_frames = draw(st.integers(2, 9))
    needed = 2 ** (num_frames - 2).bit_length() + 1
    sampling = FrameSampling(num_frames, draw(st.integers(needed - 1, 64)), draw(st.integers(needed, 200)))
    return sampling, draw(st.integers(needed, 400))


@given(cases(), seeds)
def test_real_frames_are_distinct_and_in_order_and_in_the_video(case, seed):
    sampling, length = case
    start, times = sampling.real(length, generator(seed))
    assert times.dtype == torch.int64
    assert len(times) == sampling.num_frames
    assert (times.diff() >= 1).all()
    assert times[0] >= 0
    assert times[-1] < min(length, sampling.max_num_frames)
    assert start >= 0
    assert start + times[-1] < length
    assert start == 0 or length > sampling.max_num_frames
    assert times[-1] - times[0] in sampling.distances(length)


@given(cases(), seeds)
def test_fake_times_are_whole_steps_from_anywhere(case, seed):
    sampling, length = case
    times = sampling.fake(length, generator(seed))
    assert times.dtype == torch.float64
    assert len(times) == sampling.num_frames
    assert times[0] >= 0
    assert times[-1] <= min(length, sampling.max_num_frames) - 1
    steps = times.diff()
    assert (steps.round() >= 1).all()
    assert steps.tolist() == pytest.approx(steps.round().tolist(), abs=1e-9)
    assert round(float(times[-1] - times[0])) in sampling.distances(length)


@given(cases())
def test_distances_are_the_powers_of_two_that_fit(case):
    sampling, length = case
    longest = min(length - 1, sampling.max_distance, sampling.max_num_frames - 1)
    expected = [d for d in (1, 2, 4, 8, 16, 32, 64) if sampling.num_frames - 1 <= d <= longest]
    assert sampling.distances(length) == expected


@given(cases(), seeds)
def test_the_same_generator_gives_the_same_frames(case, seed):
    sampling, length = case
    one, other = (sampling.real(length, generator(seed)) for _ in range(2))
    assert one[0] == other[0]
    assert torch.equal(one[1], other[1])
    assert torch.equal(*(sampling.fake(length, generator(seed)) for _ in range(2)))


def test_the_paper_takes_three_frames_within_33():
    assert FrameSampling().distances(1024) == [2, 4, 8, 16, 32]
    assert FrameSampling().distances(20) == [2, 4, 8, 16]


def assert_uniform(values, support):
    counts = collections.Counter(values)
    assert set(counts) <= set(support)
    assert chisquare([counts[value] for value in support]).pvalue > 1e-3


def test_distances_offsets_and_inner_frames_are_equally_likely():
    sampling, random = FrameSampling(), generator()
    samples = [sampling.real(40, random)[1] for _ in range(DRAWS)]
    assert_uniform([int(t[2] - t[0]) for t in samples], [2, 4, 8, 16, 32])
    of_eight = [t for t in samples if t[2] - t[0] == 8]
    assert_uniform([int(t[0]) for t in of_eight], range(32))
    assert_uniform([int(t[1] - t[0]) for t in of_eight], range(1, 8))


def test_every_choice_of_inner_frames_is_equally_likely():
    """Of 5 frames at distance 4 there is one choice, at distance 8 there are 35."""
    sampling, random = FrameSampling(num_frames=5, max_distance=8), generator()
    samples = [tuple((t - t[0]).tolist()) for t in (sampling.real(9, random)[1] for _ in range(DRAWS))]
    assert {t for t in samples if t[-1] == 4} == {(0, 1, 2, 3, 4)}
    wide = collections.Counter(t for t in samples if t[-1] == 8)
    assert len(wide) == 35
    assert chisquare(list(wide.values())).pvalue > 1e-3


def test_the_window_of_a_long_video_lies_anywhere():
    sampling, random = FrameSampling(max_num_frames=10), generator()
    assert_uniform([sampling.real(14, random)[0] for _ in range(DRAWS)], range(5))


def test_fake_offsets_are_uniform_reals():
    sampling, random = FrameSampling(max_distance=2), generator()
    offsets = [float(sampling.fake(40, random)[0]) for _ in range(DRAWS)]
    assert kstest(offsets, "uniform", (0, 37)).pvalue > 1e-3


@pytest.mark.parametrize("length", [5, 20, 2000])
def test_differences_of_real_and_fake_times_are_distributed_alike(length):
    sampling = FrameSampling()
    real, fake = generator(1), generator(2)
    samples = ([sampling.real(length, real)[1], sampling.fake(length, fake)] for _ in range(DRAWS))
    tables = [
        collections.Counter(tuple(times.diff().round().int().tolist()) for times in side)
        for side in zip(*samples, strict=True)
    ]
    every = sorted(set().union(*tables))
    assert chi2_contingency([[table[steps] for steps in every] for table in tables]).pvalue > 1e-3


def test_short_videos_are_refused_with_the_length_that_is_needed():
    for num_frames, needed in ((2, 2), (3, 3), (4, 5), (5, 5), (6, 9)):
        sampling = FrameSampling(num_frames)
        sampling.real(needed, generator())
        for draw in (sampling.real, sampling.fake):
            with pytest.raises(ValueError, match=f"of {needed - 1} frames is too short: .* needs {needed}"):
                draw(needed - 1, generator())


@pytest.mark.parametrize("numbers", [(1, 32, 1024), (4, 3, 1024), (3, 32, 2), (0, 32, 1024)])
def test_samplings_that_no_video_fits_are_refused(numbers):
    with pytest.raises(ValueError, match="do not fit"):
        FrameSampling(*numbers)
