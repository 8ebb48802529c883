"""`vidbench compare`, as a user would run it: killed midway, with a cell that fails, and with suites that are wrong."""

import json
import signal
import time
from pathlib import Path

import pytest

from tests.e2e.running import Run
from tests.e2e.test_train import start
from vidbench.checkpoints import read_about

SUITE = """
models:
  - noise
  - name: stylegan-v
    tier: ci
    changes: [stages.gan.checkpoint_every=1, "stages.gan.metric=fvd16@4"]
  - {name: "torn.py:Torn"}
  - {name: stylegan-v, label: absent, checkpoint: nowhere}
data: [toy-ride]
metrics: [fvd16]
clips: 4
workers: 0
"""
TORN = """
import vidbench
class Torn(vidbench.Generator):
    size, fps, fingerprint = (32, 32), 25.0, "torn"
    def stream(self, seed):
        raise vidbench.UserError("The film is torn.")
"""
PLACE = Path("runs/compare/mini")


@pytest.fixture
def mini(run: Run) -> Run:
    """The command in a folder with a suite `mini.yaml`."""
    Path("mini.yaml").write_text(SUITE)
    Path("torn.py").write_text(TORN)
    return run


def test_a_suite_that_is_stopped_goes_on_and_repeats_nothing(mini: Run) -> None:
    process = start(Path(), "compare", "mini.yaml")
    while not (found := list(Path("runs/stylegan-v").glob("*/gan/last.safetensors"))):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=90)[1]
    assert process.returncode == 1
    assert "noise/toy-ride: job" in said and "stopping; the same command goes on from here" in said
    assert "Traceback" not in said and "KeyboardInterrupt" not in said
    assert not list(Path("runs").rglob("*.part")) and not list(PLACE.glob("jobs-*"))
    [record] = Path("runs/records").glob("*noise*.json")
    written, step = record.stat().st_mtime_ns, read_about(found[0]).step
    assert 0 < step < 12

    result = mini("compare", "mini.yaml", "--json", code=1)
    assert "4 cells, 1 of them finished" in result.stderr and "noise/toy-ride: job" not in result.stderr
    assert f"gan: goes on at step {step} of 12" in (PLACE / "stylegan-v_toy-ride.log").read_text()
    assert record.stat().st_mtime_ns == written
    shown = json.loads(result.stdout)
    assert [record["model"] for record in shown["records"]] == ["noise", "stylegan-v"]
    assert shown["failed"].keys() == {"Torn/toy-ride", "absent/toy-ride"}
    assert shown["failed"]["Torn/toy-ride"] == "The film is torn."
    assert "There is no checkpoint nowhere" in shown["failed"]["absent/toy-ride"]

    mini_of_two = SUITE.replace('  - {name: "torn.py:Torn"}\n', "").replace(
        "  - {name: stylegan-v, label: absent, checkpoint: nowhere}\n", ""
    )
    Path("mini.yaml").write_text(mini_of_two)
    again = mini("compare", "mini.yaml")
    assert "2 cells, 2 of them finished" in again.stderr and "job" not in again.stderr
    assert "fvd16@4[toy3d]" in again.stdout and again.stdout.count("±") >= 2
    assert "stylegan-v/toy-ride: finished of runs/stylegan-v/toy-ride-ci" in again.stderr
    mini("report")
    text = Path("runs/report/index.html").read_text()
    assert text.count("<video") == 9 and "There are no videos at hand" not in text  # of data, noise, stylegan-v
    asked = ("eval", "--metric", "fvd16", "--clips", 4, "--workers", 0, "--model", "noise", "--no-references")
    assert "1 of 1 scores are at hand" in mini(*asked).stderr


def test_a_suite_may_train_nothing(mini: Run) -> None:
    entries, _, rest = SUITE.partition("data:")
    Path("mini.yaml").write_text(entries.partition('  - {name: "torn')[0] + "train: false\ndata:" + rest)
    result = mini("compare", "mini.yaml", "--json")
    shown = json.loads(result.stdout)
    assert [record["model"] for record in shown["records"]] == ["noise"] and not shown["failed"]
    [(cell, why)] = shown["left_out"].items()
    assert cell == "stylegan-v/toy-ride"
    assert "; vidbench train --model stylegan-v --data toy-ride --tier ci --set stages.gan" in why
    assert not Path("runs/stylegan-v").exists()


def test_a_dry_run_says_what_would_be_done_and_leaves_nothing(mini: Run) -> None:
    said = mini("compare", "mini.yaml", "--dry-run").stderr
    assert "stylegan-v/toy-ride: 1 score; training first: gan 12 steps" in said
    assert "absent/toy-ride: There is no checkpoint nowhere" in said
    assert not Path("runs").exists()


def test_one_cell_can_be_worked_on_in_this_process(mini: Run) -> None:
    assert "noise/toy-ride: finished" in mini("compare", "mini.yaml", "--cell", "noise/toy-ride").stderr
    assert "The film is torn." in mini("compare", "mini.yaml", "--cell", "Torn/toy-ride", code=2).stderr
    assert "Did you mean noise/toy-ride" in mini("compare", "mini.yaml", "--cell", "noise/toy-rid", code=2).stderr


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["toi"], 'No suite named "toi". Did you mean toy?'),
        (["nothing.yaml"], "The configuration nothing.yaml cannot be read"),
        (["bad.yaml"], 'bad.yaml: unknown key "metric". Did you mean metrics?'),
    ],
)
def test_a_mistake_ends_in_one_sentence(run: Run, asked: list[str], message: str) -> None:
    Path("bad.yaml").write_text("models: [noise]\ndata: [toy-ride]\nmetrics: [fvd16]\nmetric: fvd16\n")
    assert message in run("compare", *asked, code=2).stderr
    assert not Path("runs").exists()
