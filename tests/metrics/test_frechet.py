"""Fréchet distance: known values, invariances, and digits that survive singular covariances."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidbench.metrics.frechet import Frechet, frechet_distance
from vidbench.metrics.moments import Moments

seeds = st.integers(0, 2**32 - 1)


def gaussian(seed: int, dim: int = 5, rank: int = 5):
    """A random mean and covariance of the given rank."""
    rng = np.random.default_rng(seed)
    factor = rng.normal(size=(dim, rank))
    return rng.normal(size=dim), factor @ factor.T


def clips(seed: int, n: int, dim: int) -> Moments:
    moments = Moments(dim)
    moments.update(np.random.default_rng(seed).normal(size=(n, dim)))
    return moments


def test_in_one_dimension_it_is_the_gap_of_means_squared_plus_that_of_deviations():
    result = frechet_distance(np.array([1.0]), np.array([[4.0]]), np.array([3.0]), np.array([[25.0]]))
    assert result.value == pytest.approx((1 - 3) ** 2 + (2 - 5) ** 2)
    assert (result.mean_term, result.trace_x, result.trace_y) == (4, 4, 25)
    assert result.trace_sqrt == pytest.approx(10)


@given(seeds)
def test_diagonal_covariances_have_the_sum_over_dimensions(seed):
    s1, s2 = np.random.default_rng(seed).uniform(0, 10, size=(2, 6))
    s1[0] = 0
    result = frechet_distance(np.zeros(6), np.diag(s1**2), np.zeros(6), np.diag(s2**2))
    assert result.value == pytest.approx(np.sum((s1 - s2) ** 2), rel=1e-12)


@given(seeds)
def test_one_rotation_of_both_sides_changes_nothing(seed):
    (m1, c1), (m2, c2) = gaussian(seed), gaussian(seed + 1)
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(5, 5)))
    rotated = frechet_distance(q @ m1, q @ c1 @ q.T, q @ m2, q @ c2 @ q.T)
    assert rotated.value == pytest.approx(frechet_distance(m1, c1, m2, c2).value, rel=1e-11)


@given(seeds, st.integers(1, 5))
def test_it_is_symmetric_and_zero_for_equal_sides(seed, rank):
    x, y = gaussian(seed, rank=rank), gaussian(seed + 1)
    traces = np.trace(x[1]) + np.trace(y[1])
    assert frechet_distance(*x, *y).value == pytest.approx(frechet_distance(*y, *x).value, abs=1e-13 * traces)
    assert frechet_distance(*x, *x).value <= 1e-13 * traces


@given(seeds)
def test_a_translation_changes_the_mean_term_only(seed):
    (m1, c1), (m2, c2) = gaussian(seed), gaussian(seed + 1)
    moved, still = frechet_distance(m1 + 7, c1, m2, c2), frechet_distance(m1, c1, m2, c2)
    assert moved.covariance_term == still.covariance_term
    assert moved.mean_term == pytest.approx(np.sum((m1 + 7 - m2) ** 2))


@given(seeds, st.floats(1e-6, 1e6))
def test_scaling_by_c_multiplies_by_c_squared(seed, c):
    (m1, c1), (m2, c2) = gaussian(seed), gaussian(seed + 1)
    scaled = frechet_distance(c * m1, c**2 * c1, c * m2, c**2 * c2)
    assert scaled.value == pytest.approx(c**2 * frechet_distance(m1, c1, m2, c2).value, rel=1e-10)


@given(seeds, st.integers(0, 4))
def test_singular_covariances_keep_their_digits(seed, rank):
    """The trace of the root is the nuclear norm of F1^T F2; a root of the product misses it by 1e-6 and more."""
    rng = np.random.default_rng(seed)
    f1, f2 = rng.normal(size=(30, rank)), rng.normal(size=(30, 4))
    result = frechet_distance(np.zeros(30), f1 @ f1.T, np.zeros(30), f2 @ f2.T)
    truth = np.linalg.svd(f1.T @ f2, compute_uv=False).sum()
    assert result.trace_sqrt == pytest.approx(truth, abs=1e-13 * (result.trace_x + result.trace_y))


def test_value_is_the_sum_of_its_terms():
    result = frechet_distance(*gaussian(0), *gaussian(1))
    assert result.value == result.mean_term + result.covariance_term
    assert result.covariance_term == result.trace_x + result.trace_y - 2 * result.trace_sqrt


def test_matrices_that_are_no_covariances_are_refused():
    indefinite = np.diag([1.0, -1.0])
    with pytest.raises(ValueError, match="-2, below zero"):
        frechet_distance(np.zeros(2), indefinite, np.zeros(2), indefinite)
    with pytest.raises(ValueError, match="finite"):
        frechet_distance(np.zeros(2), np.diag([1.0, np.nan]), np.zeros(2), np.eye(2))
    with pytest.raises(ValueError, match="shapes"):
        frechet_distance(np.zeros(2), np.eye(2), np.zeros(3), np.eye(3))


def test_the_measure_compares_clips():
    measure = Frechet(dim=4)
    side = measure.statistics()
    side.update(np.random.default_rng(0).normal(size=(50, 4)))
    result = measure.compare(side, clips(1, n=50, dim=4))
    assert result["value"] == pytest.approx(sum(result["terms"].values()))
    assert set(result["terms"]) == {"mean", "covariance"}
    assert result["rank_deficient"] is False


def test_biased_covariances_multiply_the_covariance_term_by_n_minus_1_over_n():
    x, y = clips(0, n=16, dim=4), clips(1, n=16, dim=4)
    unbiased, biased = (Frechet(4, biased).compare(x, y)["terms"] for biased in (False, True))
    assert biased["covariance"] == pytest.approx(unbiased["covariance"] * 15 / 16)
    assert biased["mean"] == unbiased["mean"]


@pytest.mark.parametrize(("n_fake", "n_real", "deficient"), [(5, 5, False), (4, 5, True), (5, 4, True)])
def test_no_more_clips_than_features_on_a_side_is_said(n_fake, n_real, deficient):
    result = Frechet(4).compare(clips(0, n=n_fake, dim=4), clips(1, n=n_real, dim=4))
    assert result["rank_deficient"] is deficient


def test_one_clip_is_too_few():
    with pytest.raises(ValueError, match="there are 1"):
        Frechet(4).compare(clips(0, n=1, dim=4), clips(1, n=50, dim=4))
