"""How sure a score is: the delete-a-group jackknife, and the extrapolation to infinitely many clips."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidbench.metrics import uncertainty
from vidbench.metrics.frechet import Frechet
from vidbench.metrics.uncertainty import extrapolation, leave_one_out, merged, standard_error


@dataclass(frozen=True)
class Values:
    """The simplest statistics: numbers."""

    numbers: tuple[float, ...] = ()

    @property
    def count(self):
        return len(self.numbers)

    def merge(self, other):
        return Values(self.numbers + other.numbers)


def gap(fake, real):
    """The simplest measure: the difference of two means."""
    return {"value": float(np.mean(fake.numbers) - np.mean(real.numbers))}


def groups(*parts, number=20):
    return [Values(tuple(part)) for part in parts] + [Values()] * (number - len(parts))


def textbook(fake, real):
    """The delete-a-group jackknife, written out: parts that stand at the same place are left out together."""
    values = []
    for k in range(len(fake)):
        rest = [[x for j, part in enumerate(side) if j != k for x in part] for side in (fake, real)]
        values.append(math.fsum(rest[0]) / len(rest[0]) - math.fsum(rest[1]) / len(rest[1]))
    mean = math.fsum(values) / len(values)
    return math.sqrt((len(values) - 1) / len(values) * math.fsum((value - mean) ** 2 for value in values))


parts = st.lists(st.lists(st.floats(-100, 100), min_size=1, max_size=4), min_size=3, max_size=20)
numbers = st.lists(st.floats(-100, 100), min_size=3, max_size=20)


def jackknife(fake, real):
    """The standard error of the gap."""
    return standard_error([result["value"] for result in uncertainty.jackknife(gap, fake, real)])


@given(numbers, st.floats(-5, 5))
def test_of_a_mean_it_is_the_textbook_s_standard_error(values, constant):
    error = jackknife(groups(*([x] for x in values)), groups(*([constant] for _ in values)))
    assert error == pytest.approx(np.std(values, ddof=1) / math.sqrt(len(values)), abs=1e-9)


@given(st.data(), st.integers(3, 20))
def test_groups_are_left_out_of_both_sides_at_once(data, count):
    sides = [
        data.draw(st.lists(st.lists(st.floats(-9, 9), min_size=1, max_size=3), min_size=count, max_size=count))
        for _ in "ab"
    ]
    assert jackknife(*(groups(*side) for side in sides)) == pytest.approx(textbook(*sides), abs=1e-9)


@given(parts, st.lists(st.lists(st.floats(-9, 9), min_size=1, max_size=3), min_size=20, max_size=20))
def test_the_side_with_fewer_groups_decides_into_how_many_both_are_divided(few, many):
    regrouped = [[x for part in many[k :: len(few)] for x in part] for k in range(len(few))]
    assert jackknife(groups(*few), groups(*many)) == pytest.approx(textbook(few, regrouped), abs=1e-9)


def test_groups_without_a_clip_do_not_count_wherever_they_stand():
    values = [3.0, 5.0, 10.0]
    scattered = groups(*([values[k // 3]] if k in (0, 3, 6) else [] for k in range(20)))
    error = jackknife(scattered, groups([0.0], [0.0], [0.0]))
    assert error == pytest.approx(np.std(values, ddof=1) / math.sqrt(3))


@pytest.mark.parametrize("count", [1, 2])
def test_fewer_than_three_groups_have_no_error(count):
    assert jackknife(groups(*([1.0] * count for _ in range(count))), groups(*([k] for k in range(20)))) is None


@given(st.lists(st.lists(st.integers(), max_size=3), min_size=2, max_size=20))
def test_a_group_that_is_left_out_leaves_all_the_others_in_order(parts):
    left = leave_one_out(groups(*parts, number=len(parts)))
    for k, rest in enumerate(left):
        assert rest.numbers == tuple(x for j, part in enumerate(parts) if j != k for x in part)


@pytest.mark.parametrize("count", [0, 1])
def test_of_a_single_group_none_can_be_left_out(count):
    with pytest.raises(ValueError, match="at least 2"):
        leave_one_out([Values((1.0,))] * count)


def sides(rng, clips, shift, dim=16):
    """Twenty groups of Gaussian features on either side, whose means lie `shift` apart."""
    measure = Frechet(dim)
    for offset in (shift, 0.0):
        features = rng.standard_normal((clips, dim))
        features[:, 0] += offset
        parts = [measure.statistics() for _ in range(20)]
        for k, part in enumerate(parts):
            part.update(features[k::20])
        yield parts


@pytest.mark.parametrize("shift", [0.0, 2.0])
def test_the_extrapolation_takes_off_what_the_number_of_clips_adds(shift):
    """A Fréchet distance of few clips lies far above the truth; over 20 draws the extrapolated one is at it."""
    rng, compare = np.random.default_rng(0), Frechet(16).compare
    draws = [tuple(sides(rng, 200, shift)) for _ in range(20)]
    plain = [compare(*map(merged, draw))["value"] for draw in draws]
    limits = [extrapolation(compare, *draw) for draw in draws]
    error = np.std(limits, ddof=1) / math.sqrt(len(limits))
    assert np.mean(plain) > shift**2 + 0.6
    assert abs(np.mean(limits) - shift**2) < 4 * error
    assert np.std(limits, ddof=1) < 2 * np.std(plain, ddof=1)


def test_quarters_with_no_more_clips_than_features_do_not_bend_the_line():
    """36 clips of 16 features: halves have 18, quarters 9; with these the estimate would be about 0.8."""
    rng, compare = np.random.default_rng(0), Frechet(16).compare
    limits = [extrapolation(compare, *sides(rng, 36, 0.0)) for _ in range(60)]
    assert abs(np.mean(limits)) < 4 * np.std(limits, ddof=1) / math.sqrt(len(limits))


def test_there_is_no_extrapolation_of_too_few_clips():
    compare = Frechet(16).compare
    rng = np.random.default_rng(1)
    few = [side[:7] for side in sides(rng, 400, 0.0)]
    assert extrapolation(compare, *few) is None
    assert extrapolation(compare, *sides(rng, 32, 0.0)) is None
    assert extrapolation(compare, *sides(rng, 40, 0.0)) is not None
