"""From scores to a paper: `show` on records that the command has just written."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.running import Run

ALONE = ("--no-references", "--workers", "0")


@pytest.fixture
def score(run: Run) -> Any:
    """Scores a generator on toy-ride; the path of its record."""

    def make(model: str, metric: str = "fvd16", clips: int = 24, **options: Any) -> Path:
        flags = [word for name, value in options.items() for word in (f"--{name}", value)]
        before = set(Path("runs/records").glob("*.json"))
        run("eval", "--metric", f"{metric}@{clips}", "--model", model, *ALONE, *flags)
        [path] = set(Path("runs/records").glob("*.json")) - before
        return path

    return make


def test_one_record_is_ready_for_a_paper(run: Run, score: Any) -> None:
    path = score("freeze")
    record = json.loads(path.read_text())
    shown = run("show", path).stdout
    for part in (
        "fvd16@24[toy3d] of freeze against toy-ride (train split): ",
        "We report fvd16@24[toy3d] = ",
        "16 consecutive frames at 32×32 pixels",
        "@article{unterthiner2018fvd,",
        "@article{efron1981jackknife,",
        r"% \begin{tabular}",
        record["protocol_hash"][:12],
    ):
        assert part in shown, part
    assert all(f"warning: {warning}" in shown for warning in record["warnings"]) and record["warnings"]
    words = json.loads(run("show", path, "--json").stdout)
    assert words["record"] == record
    assert all(words[name] in shown for name in ("score", "sentence", "bibtex", "latex"))


def test_two_records_are_compared_by_what_their_groups_say(run: Run, score: Any) -> None:
    paths = [score(model) for model in ("noise", "freeze")]
    noise, freeze = (json.loads(path.read_text()) for path in paths)
    found = json.loads(run("show", *paths, "--json").stdout)
    assert found["paired"] and found["verdict"] == "worse" and found["groups"] == len(noise["leave_out"])
    assert found["value"] == noise["value"] - freeze["value"]
    shown = run("show", *paths).stdout
    assert "freeze is better than noise by " in shown and found["sentence"] in shown


def test_a_record_and_itself_score_the_same(run: Run, score: Any) -> None:
    path = score("loop")
    assert "loop and loop score the same" in run("show", path, path).stdout


def test_what_cannot_be_compared_is_refused_with_all_differences(run: Run, score: Any) -> None:
    first, other = score("freeze"), score("freeze", clips=16, seed=1)
    shown = run("show", first, other, code=2).output
    for part in ("clips differs (24, 16)", "seed differs (0, 1)"):
        assert part in shown


def test_more_than_two_are_a_table_best_first(run: Run, score: Any) -> None:
    paths = [score(model) for model in ("noise", "freeze", "loop")]
    rows = json.loads(run("show", *paths, "--json").stdout)
    assert [row["value"] for row in rows] == sorted(row["value"] for row in rows)
    assert rows[0]["to_the_best"]["verdict"] == "same" and rows[-1]["model"] == "noise"
    shown = run("show", *paths).stdout
    assert shown.index(rows[0]["model"]) < shown.index(rows[1]["model"]) < shown.index(rows[2]["model"])
    assert "best" in shown and "worse" in shown


@pytest.mark.parametrize("content", [None, "", "{}", '{"schema_version": 99}', "[1, 2]"])
def test_what_is_no_record_is_named(run: Run, content: str | None) -> None:
    if content is not None:
        Path("record.json").write_text(content)
    assert "record.json" in run("show", "record.json", code=2).output
