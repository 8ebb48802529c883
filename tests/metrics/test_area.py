"""The signed area between two colour similarity curves, and its error."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidbench.metrics.area import area_error, never_cross, signed_area
from vidbench.metrics.color import ColorDrift

curves = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=20)


def test_a_curve_that_stays_up_has_a_positive_area():
    assert signed_area([1.0, 0.9, 0.8], [1.0, 0.7, 0.4]) == pytest.approx(0.3)
    assert signed_area([1.0, 0.7, 0.4], [1.0, 0.9, 0.8]) == pytest.approx(-0.3)


@given(curves)
def test_the_area_changes_its_sign_with_the_sides_and_is_the_gap_where_curves_do_not_cross(points):
    mean, real = zip(*points, strict=True)
    area, gap = signed_area(mean, real), float(np.abs(np.subtract(mean, real)[1:]).mean())
    assert area == -signed_area(real, mean)
    assert abs(area) <= gap + 1e-12
    if never_cross(mean, real):
        assert abs(area) == pytest.approx(gap)


def test_the_area_is_what_color_drift_calls_signed():
    rng = np.random.default_rng(0)
    measure = ColorDrift(6)
    sides = []
    for _ in range(2):
        statistics = measure.statistics()
        statistics.update(np.concatenate([np.full((9, 1), 50), rng.integers(0, 51, (9, 5))], axis=1))
        sides.append(statistics)
    result = measure.compare(*sides)
    area = signed_area(result["curve"]["mean"], result["real_curve"]["mean"])
    assert area == pytest.approx(result["terms"]["signed"], abs=1e-12)


@pytest.mark.parametrize("kept", [0.0, 0.7, 1.0])
def test_the_error_is_never_below_that_of_the_clips_own_areas(kept):
    """`kept` is how far clips keep their rank from t to t: wholly, and the bound is the error itself."""
    rng = np.random.default_rng(1)
    fake, real = (
        0.5 + 0.1 * (kept * rng.normal(size=(n, 1)) + math.sqrt(1 - kept**2) * rng.normal(size=(n, 30)))
        for n in (40, 60)
    )
    exact = math.hypot(*(side[:, 1:].mean(axis=1).std(ddof=1) / math.sqrt(len(side)) for side in (fake, real)))
    bound = area_error(list(fake.std(axis=0, ddof=1)), 40, list(real.std(axis=0, ddof=1)), 60)
    assert bound >= exact - 1e-12
    assert bound == pytest.approx(exact) if kept == 1 else bound > 1.1 * exact


@pytest.mark.parametrize(("mean", "real"), [([1.0, 0.5], [1.0]), ([1.0], [1.0]), ([], [])])
def test_curves_that_do_not_fit_are_refused(mean, real):
    with pytest.raises(ValueError, match="of one length"):
        signed_area(mean, real)
