"""Which of two scores is better: errors of differences, verdicts, and how many clips would decide."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidbench.comparison import Difference, clips_needed, difference, ranking, told_apart
from vidbench.errors import UserError
from vidbench.metrics.uncertainty import standard_error
from vidbench.record import Counts, Side

numbers = st.floats(-1e6, 1e6)
groups = st.integers(3, 20).flatmap(lambda g: st.lists(st.tuples(numbers, numbers), min_size=g, max_size=g))
COUNTS = Counts(asked=512, available=100, used=512)
HALF = Side(name="road", kind="png", fingerprint="ef" * 32, counts=COUNTS)


@pytest.fixture(scope="module")
def compared(make_record):
    """Compares two scores, each a value and the values without each group."""
    record = make_record()

    def compare(a, b, **values) -> Difference:
        sides = (
            record.model_copy(update={"model": name, "value": side[0], "leave_out": side[1], **values})
            for name, side in (("wheel", a), ("sled", b))
        )
        return difference(*sides)

    return compare


@given(groups)
def test_the_paired_error_is_the_jackknife_of_the_differences(compared, pairs):
    a, b = ([float(pair[side]) for pair in pairs] for side in (0, 1))
    found = compared((3.0, a), (1.0, b))
    d, count = np.subtract(a, b), len(pairs)
    assert found.paired and found.groups == count and found.value == 2.0
    assert found.se == pytest.approx(math.sqrt((count - 1) / count * ((d - d.mean()) ** 2).sum()))


@given(groups)
def test_swapping_the_two_swaps_the_verdict_and_nothing_else(compared, pairs):
    a, b = ([float(pair[side]) for pair in pairs] for side in (0, 1))
    there, back = compared((3.0, a), (1.0, b)), compared((1.0, b), (3.0, a))
    assert (there.value, there.se, there.limit) == (-back.value, back.se, back.limit)
    swapped = {"better": "worse", "worse": "better"}
    assert there.verdict == swapped.get(back.verdict, back.verdict)


def test_what_both_share_cancels(compared):
    shared = np.random.default_rng(0).normal(10, 1, 20)
    found = compared((13.0, list(shared + 3)), (10.0, list(shared)))
    assert found.se == pytest.approx(0, abs=1e-12) and standard_error(list(shared)) > 3
    assert found.verdict == "worse"


@pytest.mark.parametrize(("better", "verdict"), [("lower", "better"), ("higher", "worse")])
def test_the_direction_is_the_measures(compared, better, verdict):
    noise = [0.01 * (-1) ** k for k in range(20)]
    assert compared((0.2, noise), (0.9, [0.0] * 20), better=better).verdict == verdict


@pytest.mark.parametrize(("count", "quantile"), [(20, 2.093024), (10, 2.262157), (3, 4.302653)])
def test_a_difference_counts_beyond_students_quantile(compared, count, quantile):
    left_out = [float(k) for k in range(count)]
    found = compared((0.0, left_out), (0.0, [0.0] * count))
    assert found.limit == pytest.approx(quantile * found.se, rel=1e-6)
    for factor, verdict in ((1.001, "worse"), (0.999, "undecided")):
        assert compared((factor * found.limit, left_out), (0.0, [0.0] * count)).verdict == verdict


def test_a_record_and_itself_are_the_same(make_record):
    record = make_record(leave_out=[1.0, 2.0, 3.0])
    found = difference(record, record)
    assert (found.value, found.se, found.verdict) == (0.0, 0.0, "same")


def test_equal_values_of_unlike_samples_are_not_the_same_and_no_number_of_clips_would_do(compared):
    found = compared((0.5, [0.1, 0.2, 0.3]), (0.5, [0.3, 0.1, 0.2]))
    assert (found.verdict, found.clips_needed) == ("undecided", None)


@given(st.integers(2, 10**6), st.floats(1e-6, 1e6), st.floats(1.001, 1e3))
def test_so_many_clips_make_the_error_small_enough_and_not_many_more_are_asked_for(clips, value, ratio):
    needed = clips_needed(clips, value, ratio * value)
    assert value >= ratio * value * math.sqrt(clips / needed) * (1 - 1e-9)
    assert needed <= max(1.11 * clips * ratio**2, clips * ratio**2 + 1)
    assert len(str(needed).rstrip("0")) <= 2


def test_an_error_four_times_too_large_asks_for_sixteen_times_the_clips(compared):
    assert clips_needed(512, 1.0, 4.0) == 8200
    left_out = [0.0, 1.0, 2.0]
    limit = compared((0.0, left_out), (0.0, [0.0] * 3)).limit
    assert compared((limit / 4, left_out), (0.0, [0.0] * 3)).clips_needed == 8200


@pytest.mark.parametrize(
    "other",
    [
        {"leave_out": [1.0, 2.0, 4.0]},  # other groups
        {"real": HALF, "floor_of": "cd" * 32},  # a floor: other real clips
    ],
)
def test_other_groups_or_other_real_clips_are_not_paired_and_their_variances_add_up(make_record, other):
    first = make_record(leave_out=[1.0, 2.0, 3.0, 5.0])
    second = make_record(**{"model": "sled", "leave_out": [1.0, 2.0, 2.0, 1.0], **other})
    found = difference(first, second)
    assert not found.paired
    assert found.se == pytest.approx(math.hypot(standard_error(first.leave_out), standard_error(second.leave_out)))
    assert found.groups == len(second.leave_out)


def test_without_the_values_of_the_groups_nothing_is_judged(make_record):
    found = difference(make_record(value=1.0), make_record(value=2.0, leave_out=[1.0, 2.0, 3.0]))
    assert (found.verdict, found.se, found.limit) == ("unknown", None, None)


def test_what_cannot_be_compared_is_refused_field_by_field(make_record):
    with pytest.raises(UserError, match=r"seed differs \(0, 1\); measure version differs \(1, 2\)"):
        difference(make_record(), make_record({"seed": 1}, measure_version=2))


@pytest.mark.parametrize(("better", "order"), [("lower", "abc"), ("higher", "cba")])
def test_a_ranking_is_best_first_with_differences_to_the_best(make_record, better, order):
    scores = {"c": 9.0, "a": 1.0, "b": 2.0}
    left_out = [0.0, 0.1, 0.2]
    ranked = ranking(
        [make_record(model=name, value=value, leave_out=left_out, better=better) for name, value in scores.items()]
    )
    assert "".join(record.model for record, _ in ranked) == order
    assert [found.value for _, found in ranked] == [scores[name] - scores[order[0]] for name in order]
    assert [found.verdict for _, found in ranked] == ["same", "worse", "worse"]


def test_models_of_one_name_are_told_apart_by_their_keys(make_record):
    records = [make_record(key="a" * 64), make_record(key="b" * 64), make_record(model="sled")]
    assert [record.model for record in told_apart(records)] == ["wheel (aaaaaaaaaa)", "wheel (bbbbbbbbbb)", "sled"]
    assert [record.model for record in told_apart(records[:1] * 2)] == ["wheel", "wheel"]


def test_the_paired_error_is_much_smaller_and_true_for_scores_that_share_their_real_clips(compared):
    """Scores are squared distances of means; 400 times both sides are drawn anew."""
    rng = np.random.default_rng(0)
    clips, count, draws = 200, 20, 400

    def score(fake: np.ndarray, real: np.ndarray) -> tuple[float, list[float]]:
        def without(x: np.ndarray) -> np.ndarray:
            parts = x.reshape(count, -1)
            return (x.sum() - parts.sum(axis=1)) / (clips - parts.shape[1])

        return float((fake.mean() - real.mean()) ** 2), list((without(fake) - without(real)) ** 2)

    found = []
    for _ in range(draws):
        real = rng.normal(0, 1, clips)
        a, b = rng.normal(4, 0.2, clips), rng.normal(4.1, 0.2, clips)
        found.append(compared(score(a, real), score(b, real)))
    truth = np.std([each.value for each in found], ddof=1)
    paired = np.sqrt(np.mean([each.se**2 for each in found]))
    alone = score(a, real)[1]
    assert paired / truth == pytest.approx(1, abs=0.15)
    assert math.sqrt(2) * standard_error(alone) > 3 * paired
    wrong = np.mean([abs(each.value - np.mean([other.value for other in found])) > each.limit for each in found])
    assert 0.02 < wrong < 0.09  # 5 % by design
