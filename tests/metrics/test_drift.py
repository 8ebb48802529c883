"""Drift: a Fréchet distance window by window, and its slope."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vidbench.metrics.drift import Drift, WindowMoments
from vidbench.metrics.frechet import Frechet

DIM = 3


def clips(rng, number, offsets):
    """Features `[N, K d]` of windows whose means lie at the offsets."""
    parts = [rng.standard_normal((number, DIM)) + np.array([offset, 0, 0]) for offset in offsets]
    return torch.from_numpy(np.concatenate(parts, axis=1))


def side(features):
    moments = Drift(DIM).statistics()
    moments.update(features)
    return moments


@given(st.integers(0, 2**32), st.integers(2, 6))
def test_each_point_is_the_distance_of_that_window_to_all_real_clips(seed, count):
    rng = np.random.default_rng(seed)
    fake, real = clips(rng, 20, range(count)), clips(rng, 30, [0])
    result = Drift(DIM).compare(side(fake), side(real))
    frechet = Frechet(DIM)
    for k, distance in enumerate(result["curve"]["mean"]):
        window, whole = frechet.statistics(), frechet.statistics()
        window.update(fake[:, k * DIM : (k + 1) * DIM])
        whole.update(real)
        assert distance == pytest.approx(frechet.compare(window, whole)["value"], rel=1e-9)
    assert result["curve"]["t"] == [16 * k for k in range(count)]
    assert (result["terms"]["first"], result["terms"]["last"]) == tuple(result["curve"]["mean"][:: count - 1])


def test_the_value_is_the_slope_over_100_frames():
    """Means that drift off by sqrt(k) move the distance by 1 each window of 16 frames."""
    rng = np.random.default_rng(0)
    fake = clips(rng, 20_000, np.sqrt(np.arange(8)))
    assert Drift(DIM).compare(side(fake), side(clips(rng, 20_000, [0])))["value"] == pytest.approx(100 / 16, rel=0.03)


def test_what_does_not_drift_has_no_slope_however_few_clips_bias_it():
    rng = np.random.default_rng(0)
    slopes = [
        Drift(DIM).compare(side(clips(rng, 16, [0] * 10)), side(clips(rng, 16, [0])))["value"] for _ in range(200)
    ]
    assert abs(np.mean(slopes)) < 4 * np.std(slopes) / np.sqrt(len(slopes))


@given(st.integers(0, 2**32), st.integers(1, 19))
def test_windows_merge_one_by_one(seed, cut):
    rng = np.random.default_rng(seed)
    features = clips(rng, 20, [0, 1])
    whole, parts = side(features), side(features[:cut]).merge(side(features[cut:]))
    for mine, theirs in zip(whole.windows, parts.windows, strict=True):
        np.testing.assert_allclose(mine.scatter, theirs.scatter, rtol=1e-9, atol=1e-12)
    empty = WindowMoments(DIM)
    assert empty.count == 0 and empty.merge(whole).count == whole.merge(empty).count == 20
    assert empty.merge(empty).count == 0


def test_statistics_survive_a_round_trip_through_tensors():
    moments = side(clips(np.random.default_rng(0), 5, [0, 1, 2]))
    again = WindowMoments.from_state_dict(moments.state_dict())
    assert again.count == 5 and len(again.windows) == 3
    np.testing.assert_array_equal(again.windows[2].scatter, moments.windows[2].scatter)
    assert WindowMoments.from_state_dict(WindowMoments(DIM).state_dict()).count == 0


def test_a_single_window_has_no_slope():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="at least 2 windows"):
        Drift(DIM).compare(side(clips(rng, 5, [0])), side(clips(rng, 5, [0])))


def test_other_numbers_of_windows_are_not_mixed():
    moments = side(clips(np.random.default_rng(0), 5, [0, 1]))
    with pytest.raises(ValueError):
        moments.update(torch.zeros(5, 3 * DIM))
    with pytest.raises(ValueError):
        moments.merge(side(torch.zeros(5, DIM)))
