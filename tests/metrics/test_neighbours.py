"""Precision, recall, density, coverage: known balls, invariances, and ties that no rounding breaks."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vidbench.metrics import neighbours
from vidbench.metrics.kernel import Features
from vidbench.metrics.neighbours import PRDC, Neighbours, prdc

seeds = st.integers(0, 2**32 - 1)
grids = st.lists(st.tuples(*[st.integers(-2, 2)] * 3), min_size=4, max_size=15)


def draw(seed: int, n: int = 30, dim: int = 4):
    return np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)


def features_of(x) -> Features:
    features = Features(x.shape[1])
    features.update(torch.from_numpy(x))
    return features


def direct_prdc(real, fake, k: int) -> tuple[float, ...]:
    """As it is written, pair by pair, in integers or float64."""

    def square(a, b):
        return ((a - b) ** 2).sum()

    def radii(side):
        others = [[square(a, b) for j, b in enumerate(side) if j != i] for i, a in enumerate(side)]
        return [sorted(squares)[k - 1] for squares in others]

    in_real = np.array([[square(r, f) < radius for f in fake] for r, radius in zip(real, radii(real), strict=True)])
    in_fake = np.array([[square(r, f) < radius for f, radius in zip(fake, radii(fake), strict=True)] for r in real])
    return in_real.any(0).mean(), in_fake.any(1).mean(), in_real.sum() / (k * len(fake)), in_real.any(1).mean()


def test_points_on_a_line_by_hand():
    """Radii of the real points 0, 1, 3, 7 are 1, 1, 2, 4; of the fakes 0.5, 0.75, 9 they are .25, .25, 8.25."""
    real, fake = np.array([[0.0], [1], [3], [7]]), np.array([[0.5], [0.75], [9]])
    assert prdc(real, fake, k=1) == (1, 3 / 4, 5 / 3, 3 / 4)  # no fake ball holds 0, no fake is within 2 of 3


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize(("n", "m"), [(6, 6), (7, 30), (30, 7)])
def test_it_is_the_direct_formula_over_all_pairs(n, m, k):
    real, fake = draw(0, n).astype(float), draw(1, m).astype(float) + 0.3
    assert prdc(real, fake, k) == pytest.approx(direct_prdc(real, fake, k), rel=1e-15)


@given(grids, grids, st.sampled_from([1, 2, 3]), st.integers(1, 30))
def test_ties_on_a_grid_are_ties(real, fake, k, rows):
    """Integers, so that the truth is exact: most distances are equal to others, many are zero."""
    truth = direct_prdc(np.array(real), np.array(fake), k)
    far_away = np.array([100001, -30007, 5])
    for shift in (0, far_away):
        assert prdc(np.array(real) + shift, np.array(fake) + shift, k, rows) == pytest.approx(truth, rel=1e-15)


@given(seeds)
def test_copies_do_not_lie_in_balls_that_reach_to_them(seed):
    """Fakes are the real rows themselves, in another order: every k-th neighbour is on the sphere, not in the ball."""
    real = draw(seed, n=40, dim=87)
    fake = np.random.default_rng(seed).permutation(real)
    k = 5
    assert prdc(real, fake, k) == (1, 1, pytest.approx(1, rel=1e-15), 1)  # oneself and k - 1 neighbours are in
    twice = np.concatenate([real, real])
    assert prdc(twice, fake, k=1) == (0, 1, 0, 0)  # real balls reach to the twin and have no inside


def test_pairs_that_are_settled_in_small_parts_are_the_same(monkeypatch):
    real, fake = draw(0).round(), draw(1).round()
    whole = prdc(real, fake)
    monkeypatch.setattr(neighbours, "NUMBERS_AT_ONCE", 5)
    assert prdc(real, fake) == whole


@given(seeds)
def test_permuted_rows_and_permuted_features_change_nothing(seed):
    real, fake, rng = draw(seed), draw(seed + 1, n=20), np.random.default_rng(seed)
    value, columns = prdc(real, fake), rng.permutation(4)
    assert prdc(rng.permutation(real), rng.permutation(fake)) == value
    assert prdc(real[:, columns], fake[:, columns]) == value


@given(seeds, st.integers(-60, 60))
def test_scale_and_place_change_nothing(seed, exponent):
    real, fake = draw(seed).astype(float), draw(seed + 1, n=20).astype(float)
    scaled = [np.ldexp(side, exponent) for side in (real, fake)]
    assert prdc(*scaled) == prdc(real, fake)
    assert prdc(real + 1e3, fake + 1e3) == prdc(real, fake)


@given(seeds)
def test_precision_and_recall_change_places_with_the_sides(seed):
    x, y = draw(seed), draw(seed + 1, n=20) + 1
    one, other = prdc(x, y), prdc(y, x)
    assert (one.precision, one.recall) == (other.recall, other.precision)


def test_missing_modes_and_bad_samples_are_told_apart():
    real = np.concatenate([draw(0, 100), draw(1, 100) + 20])
    half, bad = draw(2, 200), np.concatenate([draw(3, 100), draw(4, 100) + 60])
    dropped, wrong = prdc(real, half), prdc(real, bad)
    assert dropped.precision > 0.85 and dropped.recall < 0.55 and dropped.coverage < 0.55
    assert 0.4 < wrong.precision < 0.55 and wrong.density < 0.8
    apart = prdc(real, real + 1000)
    assert apart == (0, 0, 0, 0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_any_floating_dtype_is_computed_in_float64(dtype):
    real, fake = (torch.from_numpy(draw(seed)).to(dtype).requires_grad_() for seed in (0, 1))
    assert prdc(real, fake) == prdc(real.detach().double().numpy(), fake.detach().double())


def test_too_few_rows_and_different_features_are_refused_with_numbers():
    for n, m in ((5, 9), (9, 5), (0, 9)):
        with pytest.raises(ValueError, match=f"at least 6 rows a side; there are {n} and {m}"):
            prdc(draw(0, n), draw(1, m))
    with pytest.raises(ValueError, match="count from 1; k is 0"):
        prdc(draw(0), draw(1), k=0)
    for wrong in (draw(0, dim=5), draw(0)[0]):
        with pytest.raises(ValueError, match=r"\[30, 4\] and \[\d.*\[N, d\]"):
            prdc(draw(0), wrong)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused_with_their_row(bad):
    x = draw(0)
    x[17, 1] = bad
    with pytest.raises(ValueError, match="Row 17 of the real"):
        prdc(x, draw(1))
    with pytest.raises(ValueError, match="Row 17 of the fake"):
        prdc(draw(1), x)


def test_numbers_that_are_too_large_are_refused():
    x = draw(0).astype(float)
    x[17, 1] = 1e160
    for sides in itertools.permutations((x, draw(1))):
        with pytest.raises(ValueError, match=r"overflow: rows differ by 1e\+160"):
            prdc(*sides)


def test_the_measure_compares_clips():
    measure = Neighbours(dim=4)
    fake, real = measure.statistics(), measure.statistics()
    fake.update(draw(0))
    real.update(draw(1, n=20))
    result, direct = measure.compare(fake, real), prdc(draw(1, n=20), draw(0), k=5)
    assert PRDC(**result["terms"], **{measure.value_of: result["value"]}) == direct
    assert measure.needs_backbone
    assert measure.better == "higher"


def test_five_clips_are_too_few():
    with pytest.raises(ValueError, match="there are 30 and 5"):
        Neighbours(4).compare(features_of(draw(0, n=5)), features_of(draw(1)))


def test_there_is_no_biased_coverage():
    with pytest.raises(ValueError, match="covariance to none"):
        Neighbours(4, biased=True)
