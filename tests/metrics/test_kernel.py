"""Kernel distance: known values, invariances, an estimate without bias, and features that merge exactly."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vidbench.metrics.kernel import Features, KernelDistance, kernel_means, polynomial_mmd

seeds = st.integers(0, 2**32 - 1)
cuts = st.lists(st.integers(0, 30), max_size=5).map(sorted)
estimates = pytest.mark.parametrize("biased", [False, True])


def draw(seed: int, n: int = 30, dim: int = 4):
    return np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)


def features_of(*batches) -> Features:
    features = Features(batches[0].shape[1])
    for batch in batches:
        features.update(batch)
    return features


def assert_same(one: Features, other: Features):
    """The same rows to the last bit, in any order."""
    assert one.count == other.count
    assert sorted(one.compute().tolist()) == sorted(other.compute().tolist())


def direct_mmd(x, y, degree: int, offset: float, biased: bool) -> float:
    """All N^2 pairs, one by one."""
    x, y = x.astype(np.float64), y.astype(np.float64)

    def mean(pairs):
        return np.mean([(np.sum(a * b) / len(a) + offset) ** degree for a, b in pairs])

    def within(side):
        return itertools.product(side, side) if biased else itertools.permutations(side, 2)

    return mean(within(x)) + mean(within(y)) - 2 * mean(itertools.product(x, y))


@pytest.mark.parametrize(
    ("biased", "within_x", "within_y"),
    [(False, 1, 27), (True, (1 + 1 + 1 + 8) / 4, (8 + 27 + 27 + 125) / 4)],
)
def test_two_rows_of_one_feature_by_hand(biased, within_x, within_y):
    """k(0, b) = 1, k(1, 1) = 8, k(1, 2) = 27 and k(2, 2) = 125."""
    x, y = np.array([[0.0], [1.0]]), np.array([[1.0], [2.0]])
    assert kernel_means(x, y, biased=biased) == (within_x, within_y, (1 + 1 + 8 + 27) / 4)
    assert polynomial_mmd(x, y, biased=biased) == within_x + within_y - 2 * (1 + 1 + 8 + 27) / 4


@estimates
@pytest.mark.parametrize(("degree", "offset"), [(3, 1.0), (2, 0.0), (1, 0.5), (4, 2.0)])
@pytest.mark.parametrize(("n", "m"), [(2, 2), (7, 12), (12, 5)])
def test_it_is_the_direct_formula_over_all_pairs(n, m, degree, offset, biased):
    x, y = draw(0, n), draw(1, m) + 1
    truth = direct_mmd(x, y, degree, offset, biased)
    assert polynomial_mmd(x, y, degree, offset, biased) == pytest.approx(truth, rel=1e-12)


@given(seeds, st.booleans())
def test_a_linear_kernel_compares_means(seed, biased):
    """Then the biased estimate is |mean x - mean y|^2 / d, whatever the offset."""
    x, y = draw(seed).astype(np.float64), draw(seed + 1, n=20).astype(np.float64)
    truth = np.sum((x.mean(axis=0) - y.mean(axis=0)) ** 2) / 4
    if not biased:
        truth -= sum(np.trace(np.cov(s.T)) / (4 * len(s)) for s in (x, y))
    assert polynomial_mmd(x, y, degree=1, offset=3, biased=biased) == pytest.approx(truth, abs=1e-13)


@given(seeds, st.booleans())
def test_permuted_rows_and_permuted_features_change_nothing(seed, biased):
    x, y, rng = draw(seed), draw(seed + 1, n=20), np.random.default_rng(seed)
    value, columns = polynomial_mmd(x, y, biased=biased), rng.permutation(4)
    assert polynomial_mmd(rng.permutation(x), rng.permutation(y), biased=biased) == pytest.approx(value, abs=1e-12)
    assert polynomial_mmd(x[:, columns], y[:, columns], biased=biased) == pytest.approx(value, abs=1e-12)


@given(seeds, st.booleans())
def test_it_is_symmetric(seed, biased):
    x, y = draw(seed), draw(seed + 1, n=20)
    assert polynomial_mmd(x, y, biased=biased) == pytest.approx(polynomial_mmd(y, x, biased=biased), abs=1e-12)


@given(seeds, st.integers(1, 40), st.booleans())
def test_how_many_rows_are_held_at_once_does_not_matter(seed, rows, biased):
    x, y = draw(seed), draw(seed + 1, n=20)
    whole, chunked = (kernel_means(x, y, biased=biased, rows_at_once=k) for k in (100, rows))
    assert chunked == pytest.approx(whole, rel=1e-12)
    assert chunked.mmd == pytest.approx(whole.mmd, abs=1e-12 * sum(whole))


@given(seeds, st.floats(2, 10), st.booleans())
def test_translating_one_side_raises_it(seed, distance, biased):
    x, y = draw(seed), draw(seed + 1)
    assert polynomial_mmd(x, y + distance, biased=biased) > polynomial_mmd(x, y, biased=biased)


@given(seeds)
def test_the_biased_estimate_is_a_squared_norm(seed):
    x, y = draw(seed), draw(seed + 1, n=20)
    assert polynomial_mmd(x, y, biased=True) > 0
    assert polynomial_mmd(x, x[::-1].copy(), biased=True) == pytest.approx(0, abs=1e-13)


def test_the_unbiased_estimate_has_mean_zero_for_one_distribution():
    """Six rows a side suffice for that; the biased one has then a mean of many standard errors."""
    pairs = [(draw(seed, n=6), draw(seed + 10**6, n=6)) for seed in range(1000)]
    for biased in (False, True):
        values = np.array([polynomial_mmd(x, y, biased=biased) for x, y in pairs])
        errors = values.mean() / (values.std(ddof=1) / np.sqrt(len(values)))
        assert errors > 10 if biased else abs(errors) < 3
        assert biased or (values < 0).any()


def test_a_diagonal_much_larger_than_the_rest_costs_no_digits():
    """Rows that are orthogonal to each other: the diagonal is 1e24, all else is 1."""
    x = 2e4 * np.eye(4)
    assert kernel_means(x, x) == (1, 1, pytest.approx((4 * (1e8 + 1) ** 3 + 12) / 16))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_any_floating_dtype_is_computed_in_float64(dtype):
    x, y = (torch.from_numpy(draw(seed)).to(dtype).requires_grad_() for seed in (0, 1))
    assert polynomial_mmd(x, y) == polynomial_mmd(x.detach().double().numpy(), y.detach().double())


@estimates
def test_too_few_rows_and_different_features_are_refused_with_numbers(biased):
    for n, m in ((1, 5), (5, 1), (0, 5)):
        with pytest.raises(ValueError, match=f"at least 2 rows .* there are {n} and {m}"):
            polynomial_mmd(draw(0, n), draw(1, m), biased=biased)
    with pytest.raises(ValueError, match=r"\[30, 4\] and \[30, 5\]"):
        polynomial_mmd(draw(0), draw(0, dim=5), biased=biased)
    with pytest.raises(ValueError, match=r"\[30, 4\] and \[4\]"):
        polynomial_mmd(draw(0), draw(0)[0], biased=biased)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused_with_their_row(bad):
    x, features = draw(0), Features(4)
    x[17, 1] = bad
    with pytest.raises(ValueError, match="Row 17 of the first"):
        polynomial_mmd(x, draw(1))
    with pytest.raises(ValueError, match="Row 17 of the second"):
        polynomial_mmd(draw(1), x)
    with pytest.raises(ValueError, match="row 17 "):
        features.update(x)
    assert features.count == 0


def test_numbers_that_are_too_large_are_refused():
    x = draw(0).astype(np.float64)
    x[17, 1] = 1e120
    with pytest.raises(ValueError, match=r"degree 3 overflows: features reach 1e\+120"):
        polynomial_mmd(draw(1), x)
    with pytest.raises(ValueError, match="row 17 "):
        Features(4).update(x)


@given(seeds, cuts)
def test_batch_size_does_not_matter_and_empty_batches_are_neutral(seed, cuts):
    x = draw(seed)
    assert torch.equal(features_of(*np.split(x, cuts)).compute(), torch.from_numpy(x))


@given(seeds, st.permutations(range(4)))
def test_merged_parts_equal_the_whole_in_any_order_and_grouping(seed, order):
    x, measure, real = draw(seed), KernelDistance(4), features_of(draw(seed + 1))
    whole, parts = features_of(x), [features_of(batch) for batch in np.split(x, [1, 11, 12])]
    a, b, c, d = (parts[i] for i in order)
    for merged in (a.merge(b).merge(c.merge(d)), a.merge(b.merge(c.merge(d)))):
        assert_same(merged, whole)
        assert measure.compare(merged, real)["value"] == pytest.approx(measure.compare(whole, real)["value"], abs=1e-12)


def test_merging_changes_neither_part_and_later_updates_not_the_merged():
    one, other = features_of(draw(0)), features_of(draw(1))
    merged = one.merge(other)
    one.update(draw(2))
    assert_same(merged, features_of(draw(0), draw(1)))
    assert_same(other, features_of(draw(1)))


def test_empty_features_are_neutral():
    x, empty = features_of(draw(0)), Features(4)
    for merged in (x.merge(empty), empty.merge(x)):
        assert torch.equal(merged.compute(), x.compute())
    assert empty.merge(Features(4)).compute().shape == (0, 4)
    with pytest.raises(ValueError, match="4 and of 3"):
        empty.merge(Features(3))


def test_a_batch_that_is_overwritten_later_was_kept():
    batch = torch.from_numpy(draw(0))
    features = features_of(batch)
    batch.zero_()
    assert torch.equal(features.compute(), torch.from_numpy(draw(0)))


@pytest.mark.parametrize("rows", [0, 30])
def test_the_state_survives_a_file(tmp_path, rows):
    from safetensors.torch import load_file, save_file

    features = features_of(*np.split(draw(0, rows), 2))
    save_file(features.state_dict(), tmp_path / "features.safetensors")
    restored = Features.from_state_dict(load_file(tmp_path / "features.safetensors"))
    assert (restored.count, restored.dim) == (rows, 4)
    assert torch.equal(restored.compute(), features.compute())
    assert restored.compute().dtype == torch.float32


def test_wrong_shapes_are_refused():
    for batch in (draw(0, dim=5), draw(0)[0]):
        with pytest.raises(ValueError, match=r"\[N, 4\]"):
            Features(4).update(batch)


@estimates
def test_the_measure_compares_clips(biased):
    measure = KernelDistance(dim=4, biased=biased)
    fake, real = measure.statistics(), measure.statistics()
    fake.update(draw(0))
    real.update(draw(1, n=20))
    result = measure.compare(fake, real)
    assert result["value"] == polynomial_mmd(draw(0), draw(1, n=20), degree=3, offset=1, biased=biased)
    assert result["value"] == pytest.approx(sum(result["terms"].values()), rel=1e-15)
    assert measure.needs_backbone


def test_one_clip_is_too_few():
    with pytest.raises(ValueError, match="there are 1 and 30"):
        KernelDistance(4).compare(features_of(draw(0, n=1)), features_of(draw(1)))
