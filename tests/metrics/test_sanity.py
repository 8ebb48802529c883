"""Verdicts on numbers: a good metric's pass, and each rule fails for its own reason alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vidbench.metrics.corruptions import CORRUPTIONS
from vidbench.metrics.sanity import Row, Trial, deal, disagreements, verdicts

FLOOR = (2.8, 2.9, 3.0, 3.1, 3.2, 3.0, 2.9, 3.1)
S = float(np.std(FLOOR, ddof=1))
ALL_HOLD = {1: True, 2: True, 3: True, 4: True}


def row(name: str, kind: str, *z: float) -> Row:
    """A row by its deviations z; v0 is a little above the floor."""
    levels = tuple(float(level + 1) for level in range(len(z)))
    return Row(name, kind, levels, 3.05, tuple(3.05 + S * value for value in z))


def rows() -> list[Row]:
    """What a good metric gives."""
    z = {"S": (1, 6, 9, 12, 15), "T": (5, 20, 30, 40, 50), "D": (30, 20, 25, 10), "C": (0.5,), "R": (100.0,)}
    return [row(corruption.name, corruption.kind, *z[corruption.kind]) for corruption in CORRUPTIONS]


def trial(*changed: Row, better: str = "lower") -> Trial:
    others = {each.name: each for each in changed}
    return Trial(0, FLOOR, tuple(others.get(each.name, each) for each in rows()), better)


def failing(*changed: Row) -> set[tuple[int, str]]:
    return {(check.rule, check.row) for check in trial(*changed).checks() if not check.passed}


def test_a_good_metric_passes():
    assert verdicts(trial()) == ALL_HOLD
    assert not failing()


def test_z_counts_from_the_row_s_own_clips_in_deviations_of_the_floor_and_ratio_from_the_floor():
    good = trial()
    assert good.mean == pytest.approx(3.0)
    assert good.std == pytest.approx(S)
    assert good.z(good.row("blur")) == pytest.approx([1, 6, 9, 12, 15])
    assert good.ratio(good.row("blur")) == pytest.approx([(3.05 + S * z) / 3 for z in (1, 6, 9, 12, 15)])


@pytest.mark.parametrize("z", [(1, 6, 9, 12, 11.9), (1, 9, 6, 12, 15), (1, 6, 9, 9, 15), (1, 6, 9, 12, 8)])
@pytest.mark.parametrize(("name", "kind"), [("rectangle", "S"), ("static warp", "S"), ("freeze", "T")])
def test_rule_1_scores_strictly_rise_from_level_2_on(name, kind, z):
    assert (1, name) in failing(row(name, kind, *z))
    assert verdicts(trial(row(name, kind, *z)))[1] is False


@pytest.mark.parametrize("z", [(20, 6, 9, 12, 15), (1, 2.9, 1, -2.9, 15), (1, 8, 2, 9, 15), (1, 2.9, 2.8, 2.7, 2.6)])
def test_rule_1_leaves_level_1_and_pairs_below_three_deviations_out(z):
    assert not failing(row("rectangle", "S", *z))


def test_rule_1_judges_levels_on_either_side_of_one_that_is_left_out():
    assert failing(row("rectangle", "S", 1, 8, 2, 7, 15)) == {(1, "rectangle")}


def test_rule_1_judges_a_score_far_below_that_of_the_clips_as_they_are():
    assert failing(row("rectangle", "S", 1, 4, -9, -8, -7)) == {(1, "rectangle")}


def test_rule_1_has_no_order_among_loops():
    assert not failing(row("ping-pong", "D", 6, 40, 7, 12))


@pytest.mark.parametrize(("name", "kind"), [("noise", "S"), ("blur", "S"), ("contrast", "S"), ("jitter", "T")])
def test_rule_2_level_3_must_be_seen(name, kind):
    assert failing(row(name, kind, 1, 4, 4.9, 12, 15)) == {(2, name)}
    assert not failing(row(name, kind, 1, 4, 5.1, 12, 15))


def test_rule_2_asks_nothing_of_other_corruptions_of_frames():
    assert not failing(row("rectangle", "S", 0, 0, 0, 4, 5))


@pytest.mark.parametrize("level", range(4))
def test_rule_2_every_loop_must_be_seen(level):
    z = [30.0, 20.0, 25.0, 10.0]
    z[level] = 4.9
    assert failing(row("ping-pong", "D", *z)) == {(2, "ping-pong")}


@pytest.mark.parametrize("z", [3.1, -3.1])
def test_rule_3_controls_must_not_be_seen(z):
    assert failing(row("PNG round trip", "C", z)) == {(3, "PNG round trip")}
    assert not failing(row("PNG round trip", "C", 2.9))


@pytest.mark.parametrize("level", [1, 2, 3])
def test_rule_4_motion_must_cost_more_than_frames_at_levels_2_to_4(level):
    z = [5.0, 20.0, 30.0, 40.0, 50.0]
    static = [value / 1.6 for value in z]
    static[level] = z[level] / 1.4
    assert failing(row("static warp", "S", *static)) == {(4, "temporal warp")}
    static[level] = z[level] / 1.55
    assert not failing(row("static warp", "S", *static))


def test_rule_4_does_not_judge_levels_1_and_5():
    assert not failing(row("static warp", "S", 5, 10, 15, 20, 50))


def test_rule_4_divides_by_one_deviation_at_least():
    """Static warp may sit at the floor, or below the same clips unwarped."""
    blind = trial(row("static warp", "S", -3, -2, 0, 0.5, 1))
    assert blind.content_bias() == pytest.approx([5, 20, 30, 40, 50])
    assert verdicts(blind) == ALL_HOLD
    assert not verdicts(trial(row("static warp", "S", *[0] * 5), row("temporal warp", "T", *[1.4] * 5)))[4]


def test_where_higher_is_better_a_fall_is_what_counts():
    fallen = [replace(each, values=tuple(2 * each.uncorrupted - v for v in each.values)) for each in rows()]
    higher = trial(*fallen, better="higher")
    assert verdicts(higher) == ALL_HOLD
    assert higher.z(higher.row("blur")) == pytest.approx([1, 6, 9, 12, 15])
    assert higher.ratio(higher.row("blur")) is None
    assert not verdicts(trial(*fallen))[2]


def test_a_ratio_of_scores_that_may_be_negative_is_none():
    assert (
        Trial(0, (*FLOOR[:7], -0.1), (row("blur", "S", 1, 2, 3, 4, 5),)).ratio(row("blur", "S", 1, 2, 3, 4, 5)) is None
    )


def test_a_floor_without_spread_still_gives_numbers():
    flat = Trial(0, (0.0,) * 8, (row("blur", "S", 1, 2, 3, 4, 5),))
    assert np.isfinite(flat.z(flat.rows[0])).all()


def test_rule_5_seeds_agree():
    bad = trial(row("jitter", "T", 1, 4, 4.9, 12, 15))
    assert disagreements([trial(), trial()]) == []
    assert disagreements([bad, bad]) == []
    assert disagreements([trial(), bad]) == [2]


@given(st.integers(2, 12), st.integers(0, 40), st.integers(0, 2**31))
def test_a_deal_of_enough_clips_is_disjoint(n, more, seed):
    dealt = deal(10 * n + more, n, torch.Generator().manual_seed(seed))
    reference = set(dealt.draws[0].reference.tolist())
    fresh = [set(draw.fresh.tolist()) for draw in dealt.draws]
    assert len(reference) == 2 * n
    assert [len(each) for each in fresh] == [n] * 8
    assert len(reference.union(*fresh)) == 10 * n
    assert all(
        draw.reference is dealt.draws[0].reference or set(draw.reference.tolist()) == reference for draw in dealt.draws
    )
    assert set(dealt.rest.tolist()) == set.union(*fresh)


@settings(max_examples=30)
@given(st.integers(2, 12), st.data())
def test_a_deal_of_fewer_clips_redraws_the_reference_too(n, data):
    available = data.draw(st.integers(4 * n, 10 * n - 1))
    dealt = deal(available, n, torch.Generator().manual_seed(0))
    assert len(dealt.draws) == 8
    assert len({tuple(sorted(draw.reference.tolist())) for draw in dealt.draws}) > 1
    for reference, fresh in dealt.draws:
        assert len(reference) == 2 * n
        assert len(set(reference.tolist()) | set(fresh.tolist())) == 3 * n
    assert not set(dealt.rest.tolist()) & set(dealt.draws[0].reference.tolist())


@given(st.integers(2, 12), st.integers(4, 12), st.integers(0, 2**31))
def test_a_row_has_clips_and_others_that_are_no_reference(n, times, seed):
    dealt = deal(times * n, n, torch.Generator().manual_seed(0))
    own, others = dealt.row(n, torch.Generator().manual_seed(seed))
    assert len(own) == len(others) == n
    assert len(set(own.tolist()) | set(others.tolist())) == 2 * n
    assert not set(own.tolist() + others.tolist()) & set(dealt.draws[0].reference.tolist())


def test_too_few_clips_are_refused_with_numbers():
    with pytest.raises(ValueError, match="64 clips are needed for n = 16; there are 63"):
        deal(63, 16, torch.Generator())
