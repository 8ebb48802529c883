"""The report by the command, after a small evaluation, as a user would make it."""

import csv
import json
from pathlib import Path

from tests.e2e.running import Run

LIMIT = 15 * 10**6  # bytes of a page with a few models


def test_a_report_of_a_small_evaluation(run: Run) -> None:
    models = [word for name in ("real", "freeze", "noise") for word in ("--model", name)]
    run(
        "eval", "--metric", "fvd16", "--metric", "color-drift", "--clips", 6, "--workers", 0, *models, "--no-references"
    )
    said = run("report", "--dry-run").stderr
    assert "6 scores of 3 models on 1 data set" in said and not Path("runs/report").exists()
    written = json.loads(run("report", "--json").stdout)
    assert [Path(path).name for path in written] == [
        "index.html", "tables.md", "tables.tex", "leaderboard.csv", "pace.csv"
    ]  # fmt: skip
    page = Path("runs/report/index.html")
    text = page.read_text()
    assert page.stat().st_size < LIMIT
    assert text.count("<video") == 12  # three each of the data and of every model
    assert text.count("<polyline") == 4 and "cannot be told" in text
    with Path("runs/report/leaderboard.csv").open() as file:
        rows = list(csv.DictReader(file))
    records = {
        record["key"]: record
        for path in Path("runs/records").glob("*.json")
        for record in [json.loads(path.read_text())]
    }
    assert {row["key"]: float(row["value"]) for row in rows} == {key: own["value"] for key, own in records.items()}
    assert "Report: elsewhere/index.html" in run("report", "runs/records", "--out", "elsewhere").stderr


def test_a_folder_without_scores_is_refused(run: Run) -> None:
    Path("empty").mkdir()
    assert "There is no score in empty" in run("report", "empty", code=2).output
    assert "There is no score in runs" in run("report", code=2).output
    assert "does not exist" in run("report", "nowhere", code=2).output


def test_videos_that_were_scored_as_files_are_shown(run: Run) -> None:
    for name, data in (("real", "toy-ride"), ("fake", "toy-sky")):
        run("data", "render", data, name, "-n", 8, "--frames", 16, "--size", 16, "--as", "png")
    asked = ("--backbone", "toy3d", "--no-references", "--workers", 0, "--clips", 6)
    run("eval", "--fake", "fake", "--real", "real", *asked)
    run("report", "runs", "fake")
    text = Path("runs/report/index.html").read_text()
    assert text.count("<video") == 3 and "There are no videos at hand of data: real" in text
