"""Moments: streaming in any order and grouping gives the mean and covariance of all rows together."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vidbench.metrics.moments import Moments


def draw(seed: int, n: int = 40, dim: int = 3, offset: float = 0.0):
    return np.random.default_rng(seed).normal(size=(n, dim)) + offset


def moments_of(*batches, weights=None):
    moments = Moments(batches[0].shape[1])
    for i, batch in enumerate(batches):
        moments.update(batch, None if weights is None else weights[i])
    return moments


def assert_same(one: Moments, other: Moments, tolerance: float = 1e-12):
    assert one.count == other.count
    assert one.weight == pytest.approx(other.weight, rel=tolerance)
    np.testing.assert_allclose(one.mean, other.mean, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(one.scatter, other.scatter, rtol=0, atol=tolerance * (1 + np.trace(one.scatter)))


seeds = st.integers(0, 2**32 - 1)
cuts = st.lists(st.integers(0, 40), max_size=5).map(sorted)


@pytest.mark.parametrize("biased", [False, True])
def test_mean_and_covariance_are_numpys(biased):
    x = draw(0)
    mean, covariance = moments_of(x).compute(biased)
    np.testing.assert_allclose(mean, x.mean(axis=0), atol=1e-15)
    np.testing.assert_allclose(covariance, np.cov(x.T, bias=biased), atol=1e-15)


@given(seeds, cuts)
def test_batch_size_does_not_matter_and_empty_batches_are_neutral(seed, cuts):
    x = draw(seed)
    assert_same(moments_of(*np.split(x, cuts)), moments_of(x))


@given(seeds, st.permutations(range(4)))
def test_order_of_updates_does_not_matter(seed, order):
    batches = np.split(draw(seed), [3, 11, 12])
    assert_same(moments_of(*(batches[i] for i in order)), moments_of(*batches))


@given(seeds, st.permutations(range(4)))
def test_merged_parts_equal_the_whole_in_any_order_and_grouping(seed, order):
    x = draw(seed)
    parts = [moments_of(batch) for batch in np.split(x, [1, 11, 30])]
    a, b, c, d = (parts[i] for i in order)
    assert_same(a.merge(b).merge(c.merge(d)), moments_of(x))
    assert_same(a.merge(b.merge(c.merge(d))), moments_of(x))


def test_merging_changes_neither_part():
    one, other = moments_of(draw(0)), moments_of(draw(1))
    one.merge(other)
    assert_same(one, moments_of(draw(0)), tolerance=0)
    assert_same(other, moments_of(draw(1)), tolerance=0)


def test_empty_moments_are_neutral_to_the_last_bit():
    x, empty = moments_of(draw(0)), Moments(3)
    for merged in (x.merge(empty), empty.merge(x)):
        assert_same(merged, x, tolerance=0)
    assert_same(empty.merge(Moments(3)), empty, tolerance=0)


@given(seeds, cuts)
def test_a_weight_counts_like_repeated_rows(seed, cuts):
    x = draw(seed)
    weight = np.random.default_rng(seed).integers(0, 4, len(x))
    weighted = moments_of(*np.split(x, cuts), weights=np.split(weight, cuts))
    repeated = moments_of(np.repeat(x, weight, axis=0))
    assert weighted.weight == repeated.weight
    for one, other in zip(weighted.compute(biased=True), repeated.compute(biased=True), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)


def test_a_mean_far_from_zero_costs_no_digits():
    x = draw(0, n=1000, offset=1e5)
    exact = np.cov((x - 1e5).T)
    _, covariance = moments_of(*np.split(x, 10)).compute()
    assert np.abs(covariance - exact).max() < 1e-12 * np.trace(exact)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_any_floating_dtype_is_summed_in_float64(dtype):
    x = torch.from_numpy(draw(0, offset=100)).to(dtype)
    moments = moments_of(x)
    assert moments.mean.dtype == moments.scatter.dtype == np.float64
    np.testing.assert_allclose(moments.mean, x.double().mean(dim=0).numpy(), rtol=1e-14)


def test_the_state_survives_a_file(tmp_path):
    from safetensors.torch import load_file, save_file

    moments = moments_of(draw(0), weights=[np.full(40, 0.5)])
    save_file(moments.state_dict(), tmp_path / "moments.safetensors")
    restored = Moments.from_state_dict(load_file(tmp_path / "moments.safetensors"))
    assert_same(restored, moments, tolerance=0)
    assert restored.unit_weights is False
    restored.update(draw(1))
    assert_same(moments, moments_of(draw(0), weights=[np.full(40, 0.5)]), tolerance=0)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_features_that_are_not_finite_are_refused_with_their_row(bad):
    x, moments = draw(0), Moments(3)
    x[17, 1] = bad
    with pytest.raises(ValueError, match="row 17 "):
        moments.update(x)
    assert moments.count == 0


@pytest.mark.parametrize("rows", [0, 1])
def test_too_few_rows_are_refused_with_both_numbers(rows):
    with pytest.raises(ValueError, match=f"at least 2 rows of features; there are {rows}"):
        moments_of(draw(0, n=rows)).compute()


def test_the_unbiased_covariance_needs_unit_weights_even_if_they_sum_to_the_count():
    moments = moments_of(draw(0, n=2), weights=[np.array([0.5, 1.5])])
    assert moments.weight == moments.count
    with pytest.raises(ValueError, match="unit weights"):
        moments.compute()


def test_wrong_shapes_and_weights_are_refused():
    with pytest.raises(ValueError, match=r"\[N, 3\]"):
        Moments(3).update(draw(0, dim=4))
    with pytest.raises(ValueError, match="3 and of 4"):
        Moments(3).merge(Moments(4))
    for weight in (np.ones(39), np.full(40, -1.0), np.full(40, np.nan)):
        with pytest.raises(ValueError, match="Weights"):
            Moments(3).update(draw(0), weight)
