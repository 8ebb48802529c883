"""The sanity check on sources: which clips it takes, that it is repeatable, and what it writes."""

import json

import numpy as np
import pytest
import torch

from vidbench import Evaluator, cache, sanity
from vidbench.errors import UserError
from vidbench.metrics.corruptions import CORRUPTIONS
from vidbench.sanity import Pool, check_sanity, preflight
from vidbench.sanity_figure import sanity_figure
from vidbench.sanity_report import SanityReport, cells, markdown, save_report
from vidbench.sources import Info, Source, Unreadable, Video, source_from_array

N = 3


NAMES = ("noise", "static warp", "temporal warp", "interleave", "reorder clips", "time reversal")
SOME = [corruption for corruption in CORRUPTIONS if corruption.name in NAMES]


@pytest.fixture
def few_rows(monkeypatch):
    """For what has nothing to do with how many rows there are."""
    monkeypatch.setattr(sanity, "CORRUPTIONS", SOME)


def judge(real, metric="fvd16", **options):
    return Evaluator(metric, real, **{"backbone": "toy3d", "workers": 0, "clips": N, **options})


@pytest.fixture(scope="module")
def real(moving):
    return source_from_array("real", moving(10 * N, 17, seed=1))


@pytest.fixture(scope="module")
def report(real, module_cache):
    return check_sanity(judge(real), [0, 1])


@pytest.fixture(scope="module")
def module_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIDBENCH_CACHE", str(tmp_path_factory.mktemp("sanity")))
        yield


def test_a_report_has_all_rows_with_what_follows_from_them(report):
    assert report.metric == "fvd16[toy3d]"
    assert report.clips == N
    assert [trial.seed for trial in report.trials] == [0, 1]
    for trial in report.trials:
        assert [row.name for row in trial.rows] == [corruption.name for corruption in CORRUPTIONS]
        assert (trial.mean, trial.std) == pytest.approx((np.mean(trial.floor), np.std(trial.floor, ddof=1)))
        for row in trial.rows:
            assert row.ratio == pytest.approx([value / trial.mean for value in row.values])
            assert row.z == pytest.approx([(value - row.uncorrupted) / trial.std for value in row.values])
    assert report.passed == all(all(trial.verdicts.values()) for trial in report.trials)


def test_controls_are_exactly_neutral_on_8_bit_clips(report):
    for row in report.trials[0].rows:
        if row.kind == "C":
            assert row.values == pytest.approx([row.uncorrupted], rel=1e-4)


def test_strong_corruptions_are_seen_even_with_a_few_clips(report):
    for name in ("noise", "temporal warp", "flicker"):
        assert next(row for row in report.trials[0].rows if row.name == name).z[4] > 5


@pytest.mark.parametrize("workers", [0, 2])
def test_the_same_seed_gives_the_same_numbers_whatever_the_workers(real, report, few_rows, workers):
    again = check_sanity(judge(real, workers=workers), [1]).trials[0]
    rows = {row.name: row for row in report.trials[1].rows}
    assert again.floor == report.trials[1].floor != report.trials[0].floor
    assert again.rows == [rows[row.name] for row in again.rows]


def test_a_second_run_takes_features_from_the_cache(real, few_rows, monkeypatch):
    first = check_sanity(judge(real), [0]).trials
    assert {item.name for item in cache.items()} == {"fvd16[toy3d]"} and all(item.files for item in cache.items())
    monkeypatch.setattr(sanity, "spoilt_features", lambda *_: pytest.fail("computed again"))
    assert check_sanity(judge(real), [0]).trials == first
    with pytest.raises(pytest.fail.Exception, match="computed again"):
        check_sanity(judge(real), [3])


def test_clips_are_all_different_though_videos_are_visited_again(moving):
    """Four videos of seven windows: 28 different clips."""
    real = source_from_array("few", moving(4, 22))
    pool = Pool(judge(real), 0)
    drawn = [(pool.clips.drawn[place].video.name, pool.clips.drawn[place].start) for place in pool.places]
    assert len(set(drawn)) == len(drawn)
    assert 4 * N <= len(drawn) <= 28


def test_too_few_different_clips_are_refused_with_numbers(moving):
    """Eleven videos that are just as long as a clip."""
    real = source_from_array("few", moving(11, 16))
    with pytest.raises(UserError, match=r"few has 11 different clips of 16 frames .* needs 12.* take --clips 2\."):
        check_sanity(judge(real), [0])


def test_with_4n_clips_the_floor_redraws_its_reference(moving, few_rows):
    real = source_from_array("just", moving(4 * N, 16))
    trial = check_sanity(judge(real), [0]).trials[0]
    assert len(trial.floor) == len(set(trial.floor)) == 8


class Broken:
    """A video whose header is in order and whose frames are not."""

    def probe(self):
        return Info(length=20, size=(16, 16), fps=None, codec="rendered")

    def read(self, info, times):
        raise Unreadable("torn")
        yield


def test_a_video_that_turns_out_unreadable_stops_the_check_or_is_left_out(moving, few_rows):
    good = source_from_array("good", moving(4 * N, 20))
    real = Source("mixed", [*good.videos, Video("torn", "torn", Broken())], "f" * 64)
    with pytest.raises(UserError, match="mixed/torn cannot be read"):
        check_sanity(judge(real), [0])
    report = check_sanity(judge(real, skip_bad=True), [0])
    assert report.real.counts.unreadable == 1


@pytest.mark.parametrize("workers", [0, 1])
def test_a_metric_on_pixels_is_judged_too(moving, few_rows, workers):
    real = source_from_array("long", moving(2, 140))
    report = check_sanity(judge(real, "color-drift", clips=2, workers=workers), [0])
    assert report.metric == "color-drift"
    assert report.backbone is None
    assert report.trials[0].rows[0].values[4] > report.trials[0].rows[0].uncorrupted


def test_a_metric_that_is_better_when_higher_is_judged_by_its_fall(real, report, few_rows, monkeypatch):
    evaluator = judge(real)
    compare = evaluator.measure.compare
    monkeypatch.setattr(evaluator.measure, "better", "higher", raising=False)
    monkeypatch.setattr(evaluator.measure, "compare", lambda *sides: {"value": -compare(*sides)["value"]})
    turned = check_sanity(evaluator, [0])
    assert turned.better == "higher"
    z = {row.name: row.z for row in report.trials[0].rows}
    assert {row.name: row.z for row in turned.trials[0].rows} == {c.name: pytest.approx(z[c.name]) for c in SOME}
    assert {row.ratio for row in turned.trials[0].rows} == {None}
    assert {axes.get_yscale() for axes in sanity_figure(turned).axes} == {"symlog"}


def test_what_a_measure_refuses_is_the_user_s_to_mend(real, few_rows, monkeypatch):
    evaluator = judge(real)

    def refuse(fake, real):
        raise ValueError("7 clips are needed")

    monkeypatch.setattr(evaluator.measure, "compare", refuse)
    with pytest.raises(UserError, match=r"fvd16\[toy3d\]: 7 clips are needed"):
        check_sanity(evaluator, [0])


def test_a_backbone_that_gives_no_numbers_is_named_with_the_corruption(real, few_rows, monkeypatch):
    evaluator = judge(real)
    monkeypatch.setattr(evaluator, "features", lambda clips: torch.full((len(clips), 87), torch.nan))
    with pytest.raises(UserError, match="Features of clips with real clips are not finite"):
        check_sanity(evaluator, [5])


def test_a_report_survives_its_file(report, tmp_path):
    path = save_report(report, tmp_path)
    assert path.name == "fvd16[toy3d]-real-n3.json"
    assert SanityReport.model_validate_json(path.read_text()) == report
    assert json.loads(path.read_text())["trials"][0]["rows"][0]["name"] == "noise"
    assert path.with_suffix(".md").read_text() == markdown(report)


def test_the_markdown_table_names_rows_and_verdicts(report):
    lines = markdown(report).splitlines()
    assert lines[0].startswith("# fvd16[toy3d] on real: 3 clips of 16 frames, 16x16; ")
    tables = [line for line in lines if line.startswith("| ") and "corruption" not in line and "---" not in line]
    assert len(tables) == 2 * len(CORRUPTIONS)
    assert {line.count("|") for line in tables} == {9}
    failed = [line for line in tables if "fails rule" in line]
    assert len(failed) == sum(verdict.startswith("fails") for t in report.trials for *_, verdict in cells(t))


def test_one_row_that_has_no_ratio_leaves_z_alone_in_all_cells(report):
    """Scores that may be negative: what stands in the cells is what the heading says."""
    trial = report.trials[0]
    assert all("(" in cell for *_, shown, _ in cells(trial) for cell in shown)
    mixed = trial.model_copy(update={"rows": [trial.rows[0].model_copy(update={"ratio": None}), *trial.rows[1:]]})
    assert "Cells are z." in markdown(report.model_copy(update={"trials": [mixed]}))
    assert not any("(" in cell for *_, shown, _ in cells(mixed) for cell in shown)


def test_failures_name_rule_row_and_seed(report):
    bad = report.trials[0].checks[0].model_copy(update={"passed": False, "rule": 2, "row": "blur", "detail": "z 1.0"})
    trial = report.trials[0].model_copy(update={"checks": [bad]})
    changed = report.model_copy(update={"trials": [trial], "disagreements": [2]})
    assert changed.failures() == [
        "rule 2, blur: z 1.0 (seed 0)",
        "rule 5: seeds do not agree on rule 2",
    ]
    assert [verdict for _, name, _, verdict in cells(trial) if name == "blur"] == ["fails rule 2"]


def test_the_figure_has_a_panel_a_corruption_with_levels_and_one_each_for_the_rest(report):
    figure = sanity_figure(report)
    titles = [axes.get_title().partition(" (")[0] for axes in figure.axes]
    assert titles == [c.name for c in CORRUPTIONS if len(c.levels) > 1] + ["controls", "not judged"]
    assert {axes.get_yscale() for axes in figure.axes} == {"log"}


def test_the_preflight_says_how_many_clips_are_needed_and_how_long_it_takes(real):
    lines = "\n".join(preflight(judge(real), [0, 1]))
    assert f"n = {N} clips of 16 frames, stride 1, 16x16, seeds 0, 1; {len(CORRUPTIONS)} corruptions" in lines
    assert f"{10 * N} different ones a seed, {4 * N} at least; real: {10 * N} videos" in lines
    assert "expected: about" in lines
