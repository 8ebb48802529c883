"""Suites: what a file may say, which cells there are, and what of them is not done again."""

import json
import signal
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from tests.vidbench.systems import Listener, Paint, settings, videos
from vidbench import config, jobs, trained
from vidbench.cells import cells, preflight, status
from vidbench.checkpoints import read_about
from vidbench.errors import UserError
from vidbench.job import Job
from vidbench.registry import MEASURES, MODELS
from vidbench.report_videos import find_documents, videos_of
from vidbench.suite_table import suite_tables
from vidbench.suites import load_suite
from vidbench.training import Judge
from vidbench.work import run_cell

QUICK = {"models": ["noise"], "data": ["bright.npy"], "metrics": ["color-drift"], "clips": 4, "workers": 0}


@pytest.fixture
def suite(tmp_path, monkeypatch):
    """Writes a suite with some keys changed, and loads it."""
    monkeypatch.chdir(tmp_path)

    np.save("bright.npy", videos())

    def write(**values):
        Path("mine.yaml").write_text(yaml.safe_dump({**QUICK, **values}))
        return load_suite("mine.yaml", {})

    return write


@pytest.fixture
def paint(monkeypatch, tmp_path):
    """The system `paint` is registered, on ten videos of its size in `bright.npy`; nothing of it ships."""
    load = MODELS.load
    monkeypatch.setattr(MODELS, "load", lambda name: Paint if name == "paint" else load(name))
    for module in ("runs", "suites"):
        monkeypatch.setattr(f"vidbench.{module}.load_settings", lambda *asked: settings())
    monkeypatch.setattr(trained, "files", lambda package: tmp_path / "package")
    return {"models": [{"name": "paint", "tier": "quick"}], "backbone": "toy3d"}


@pytest.mark.parametrize("name", config.names("suites"))
def test_suites_that_ship_are_whole(name):
    loaded = load_suite(name, {})
    assert loaded.about and loaded.size == (32, 32)
    assert {entry.name for entry in loaded.models} >= {"stylegan-v", "video-ldm", "real", "noise"}
    assert len(cells(loaded, Path("runs"))) == len(loaded.models) * len(loaded.data)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metric": ["fvd16"]}, 'unknown key "metric". Did you mean metrics?'),
        ({"models": []}, "models"),
        ({"clips": 1}, "clips = 1"),
        ({"models": ["stylegan"]}, "suite mine: .*Did you mean stylegan-v"),
        ({"models": [{"name": "stylegan-v", "teir": "ci"}]}, "teir"),
        ({"models": [{"name": "stylegan-v", "tier": "cy"}]}, 'No tier of stylegan-v named "cy"'),
        ({"models": [{"name": "freeze", "tier": "ci"}]}, "freeze is not trained by vidbench, and has no tier"),
        ({"models": [{"name": "stylegan-v", "checkpoint": "a", "tier": "ci"}]}, "has a checkpoint, and so no tier"),
        ({"models": ["noise", "noise"]}, "called noise. Give one of the models another label"),
        ({"models": ["mine.py:Mine"]}, "there is no file mine.py"),
        ({"models": [{"name": "freeze", "options": {"a": 1}}]}, "freeze is a reference generator, and takes no opt"),
        ({"models": ["video-ldm[steps=4]"]}, "has its options in its name. Give them as options"),
        ({"data": ["toy-rid"]}, "Did you mean toy-ride"),
        ({"data": ["no/where"]}, "There are no videos at no/where"),
        ({"metrics": ["fvd61"]}, "Did you mean fvd16"),
        ({"slurm": {"gpu": 1}}, 'unknown key "slurm.gpu". Did you mean gpus?'),
    ],
)
def test_a_bad_suite_is_answered_in_one_sentence(suite, changes, message):
    with pytest.raises(UserError, match=message):
        suite(**changes)


def test_an_unknown_suite_is_answered_with_those_that_ship():
    with pytest.raises(UserError, match="Did you mean toy"):
        load_suite("toys", {})


def test_flags_change_a_suite():
    loaded = load_suite("ci", {"gpus": 2, "device": "cuda", "time": None, "partition": "big", "processes": 2})
    assert (loaded.device, loaded.processes) == ("cuda", 2)
    assert (loaded.slurm.gpus, loaded.slurm.partition, loaded.slurm.time) == (2, "big", 30)


def train_and_ship(loaded, place):
    """Train the one system of a suite, and move it to where systems ship."""
    [cell] = cells(loaded, place / "runs")
    run_cell(cell, "cpu", Listener())
    shipped = place / "package/results/toy/paint"
    shipped.parent.mkdir(parents=True)
    (place / "runs/paint").rename(shipped)


def finished(cell):
    return status(cell).records is not None


def test_a_cell_is_done_until_something_that_it_rests_on_changes(suite, tmp_path):
    out = tmp_path / "runs"
    [cell] = cells(suite(), out)
    assert str(status(cell)) == "1 score"
    run_cell(cell, "cpu", Listener())
    [record] = status(cell).records
    assert (record.model, record.metric) == ("noise", "color-drift@4")
    assert finished(cells(suite(about="another text"), out)[0])
    for changes in ({"clips": 5}, {"seed": 1}, {"metrics": ["color-drift", "flicker"]}, {"size": [16, 16]}):
        assert not finished(cells(suite(**changes), out)[0])
    [path] = (out / "records").glob("*.json")
    written = path.stat().st_mtime_ns
    cell.document.write_text("{")
    assert not finished(cell)
    heard = Listener()
    run_cell(cell, "cpu", heard)
    assert "color-drift@4: its record is at hand" in heard.lines
    assert finished(cell) and path.stat().st_mtime_ns == written
    path.unlink()
    assert not finished(cell)


def test_a_model_in_a_file_is_scored_again_when_the_file_changes(suite, tmp_path):
    code = (
        "import torch, vidbench\nclass Grey(vidbench.Generator):\n    size, fps, fingerprint = (8, 8), 25.0, 'grey'\n"
        "    def __init__(self, level=0.0):\n        self.level = level\n"
        "    def stream(self, seed):\n        while True:\n            yield torch.full((3, 8, 8, 8), self.level)\n"
    )
    Path(tmp_path / "grey.py").write_text(code)
    entries = [{"name": "grey.py:Grey", "options": {"level": level}, "label": f"grey {level}"} for level in (0.0, 0.5)]
    found = cells(suite(models=entries), tmp_path / "runs")
    for cell in found:
        run_cell(cell, "cpu", Listener())
    [dark], [light] = (status(cell).records for cell in found)
    assert (dark.model, light.model) == ("grey 0.0", "grey 0.5")
    Path(tmp_path / "grey.py").write_text(code + "# changed\n")
    assert not any(finished(cell) for cell in found)


def test_a_system_is_trained_once_for_all_that_rests_on_it(suite, paint, tmp_path):
    plain, strong = {"name": "paint"}, {"name": "paint", "label": "strong", "options": {"strength": 2.0}}
    found = cells(suite(**{**paint, "models": [plain, strong]}), tmp_path / "runs")
    assert found[0].lock == found[1].lock
    assert str(status(found[0])) == "1 score; training first: first 6 steps, second 6 steps"
    assert "bright.npy" in "\n".join(preflight([status(cell) for cell in found], 1))
    first, second = Listener(), Listener()
    run_cell(found[0], "cpu", first)
    run_cell(found[1], "cpu", second)
    assert "second: step 6" in first.heard() and "step" not in second.heard()
    [one], [other] = (status(cell).records for cell in found)
    assert one.checkpoint_hash == other.checkpoint_hash and one.key != other.key
    other = status(cells(suite(**{**paint, "models": [plain]}, seed=1), tmp_path / "runs")[0])
    assert "holds another run: seed differs (0, 1)" in other.problem
    [best] = (tmp_path / "runs/paint").glob("*/second/best.safetensors")
    best.unlink()  # what was scored is not what would be scored now
    assert not finished(found[0])
    assert read_about(best.with_name("last.safetensors")).step == 6


def test_a_training_whose_last_score_was_broken_off_is_not_finished(suite, paint, tmp_path, monkeypatch):
    [cell] = cells(suite(**paint), tmp_path / "runs")
    look = Judge.look

    def stopped(self, stage, step, journal):
        if (stage.name, step) == ("second", 6):
            raise KeyboardInterrupt
        look(self, stage, step, journal)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Judge, "look", stopped)
        run_cell(cell, "cpu", Listener())
    assert not finished(cell) and cell.trained() is None
    run_cell(cell, "cpu", heard := Listener())
    assert "second: step 6, " in heard.heard() and finished(cell)


def test_what_ships_is_taken_where_there_is_no_run(suite, paint, tmp_path):
    train_and_ship(suite(**paint), tmp_path)
    for train in (True, False):
        [other] = cells(suite(**paint, train=train), tmp_path / "other")
        assert str(status(other)) == "1 score of results/toy/paint/bright.npy-quick (ships with vidbench)"
    run_cell(other, "cpu", Listener())
    assert not (tmp_path / "other/paint").exists() or not list((tmp_path / "other/paint").glob("*/*/*"))
    assert (
        status(other).records[0].checkpoint_hash
        == json.loads(next((tmp_path / "runs/records").glob("*.json")).read_text())["checkpoint_hash"]
    )


def test_a_suite_that_trains_nothing_leaves_out_what_has_no_checkpoint(suite, paint, tmp_path):
    [cell] = cells(suite(**paint, train=False), tmp_path / "runs")
    left_out = status(cell)
    assert not left_out.to_do and not left_out.problem
    assert "left out: There is no checkpoint, and this suite trains none; vidbench train --model paint" in str(left_out)
    assert f"--seed 0 --out {tmp_path / 'runs'} makes one." in str(left_out)
    assert "0 of them finished" in next(preflight([left_out], 1))


def test_videos_of_a_cell_are_sampled_once_to_where_the_report_looks(suite, paint, tmp_path):
    out = tmp_path / "runs"
    [cell] = cells(suite(**paint, videos=2), out)
    run_cell(cell, "cpu", Listener())
    written = sorted((out / "compare/mine/samples/bright.npy/paint").glob("*.mp4"))
    assert [path.name for path in written] == ["000000.mp4", "000001.mp4"]
    before = [path.stat().st_mtime_ns for path in written]
    [record] = status(cell).records
    assert videos_of(record, find_documents([out]), [out]).videos[0].shape == (3, 64, 8, 8)
    [other] = cells(suite(**paint, videos=2, metrics=["flicker"]), out)
    run_cell(other, "cpu", Listener())
    assert [path.stat().st_mtime_ns for path in written] == before
    written[1].unlink()
    assert status(other).to_do
    run_cell(other, "cpu", Listener())
    assert written[1].exists() and not status(other).to_do


def test_suites_do_not_replace_each_other_s_videos(suite, paint, tmp_path):
    [cell] = cells(suite(**paint, videos=2), tmp_path / "runs")
    [other] = cells(cell.suite.model_copy(update={"name": "other", "videos": 1}), tmp_path / "runs")
    for each in (cell, other):
        run_cell(each, "cpu", Listener())
    assert finished(cell) and finished(other)


def test_what_ships_is_not_taken_for_other_videos_of_the_same_name(suite, paint, tmp_path):
    train_and_ship(suite(**paint), tmp_path)
    np.save("bright.npy", videos() // 2)
    [other] = cells(suite(**paint), tmp_path / "other")
    assert status(other).trained is None and "training first" in str(status(other))


def test_what_ships_is_not_taken_for_another_seed_s(suite, paint, tmp_path):
    train_and_ship(suite(**paint), tmp_path)
    [same], [other] = (cells(suite(**paint, seed=seed), tmp_path / "other") for seed in (0, 1))
    assert status(same).trained is not None
    assert status(other).trained is None and "training first" in str(status(other))


def test_a_cell_of_an_older_measure_or_system_is_not_finished(suite, paint, tmp_path, monkeypatch):
    [cell] = cells(suite(**paint), tmp_path / "runs")
    run_cell(cell, "cpu", Listener())
    assert finished(cell)
    for owner in (Paint, MEASURES.load("color-similarity")):
        with monkeypatch.context() as patch:
            patch.setattr(owner, "version", owner.version + 1)
            assert not finished(cell)
    assert finished(cell)


def test_jobs_of_a_cluster_read_a_suite_of_their_own_and_with_their_own_cores(suite, tmp_path, monkeypatch):
    """A suite that is launched again with other flags changes nothing for jobs that still wait."""
    loaded, seen = suite(slurm={"cpus": 6}, processes=2, workers=None), dict[str, str]()

    def submit(executor, cell, launcher, count, place):
        seen[str(place)] = (place / "suite.yaml").read_text()
        return SimpleNamespace(job_id="7", cancel=lambda check: None)

    monkeypatch.setattr(jobs, "submit", submit)
    monkeypatch.setattr(jobs, "executor_for", lambda *asked: None)
    monkeypatch.setattr(jobs, "is_over", lambda job: True)
    found = cells(loaded, tmp_path / "runs")
    for _ in range(2):
        assert [cell for cell, _ in jobs.launch(found, "slurm", 1, lambda line: None)] == found
    assert len(seen) == 2 and all(yaml.safe_load(text)["workers"] == 3 for text in seen.values())


def test_the_report_makes_videos_of_reference_generators_itself(suite, tmp_path):
    [cell] = cells(suite(), tmp_path / "runs")
    run_cell(cell, "cpu", Listener())
    assert not list((tmp_path / "runs").rglob("samples")) and finished(cell)


def test_a_checkpoint_that_is_not_there_is_the_cell_s_problem_alone(suite, tmp_path):
    loaded = suite(models=["noise", {"name": "stylegan-v", "checkpoint": "nowhere"}])
    noise, absent = (status(cell) for cell in cells(loaded, tmp_path / "runs"))
    assert not noise.problem
    assert "There is no checkpoint nowhere" in absent.problem


def test_tables_have_a_row_a_model_and_a_column_a_metric(suite, make_record, tmp_path):
    ride, gone = cells(suite(models=["noise", "freeze"]), tmp_path)
    scores = [make_record(model="noise"), make_record({"stride": 2}, model="noise", metric="fvd16+stride=2[toy3d]")]
    [table] = suite_tables({ride: scores}, {gone: "no"})
    assert [str(column.header) for column in table.columns] == [
        "model",
        "fvd16@512[toy3d] ↓",
        "fvd16+stride=2[toy3d] ↓",
    ]
    assert [list(map(str, column.cells)) for column in table.columns] == [
        ["noise", "freeze"],
        ["12.5 ± 0.75", "failed"],
        ["12.5 ± 0.75", "failed"],
    ]


def test_a_job_passes_the_end_on_and_leaves_a_checkpoint(tmp_path, monkeypatch):
    """The command ignores the cluster's signal, and is told to end by another one."""
    monkeypatch.setenv("SUBMITIT_EXECUTOR", "local")
    log = tmp_path / "log"
    code = (
        "import os, signal, sys, time\n"
        "signal.signal(signal.SIGINT, lambda *_: sys.exit(print('saved', flush=True)))\n"
        "os.kill(os.getpid(), signal.SIGUSR2)\n"
        "print(os.environ['ONE'], os.environ.get('PATH'), flush=True)\n"
        "time.sleep(60)\n"
    )
    job = Job([sys.executable, "-c", code], log, {"ONE": "1", "PATH": None})
    thread = threading.Thread(target=job)
    thread.start()
    while not (log.exists() and log.read_text()):
        time.sleep(0.05)
    again = job.checkpoint()
    thread.join()
    assert log.read_text().splitlines() == ["1 None", "saved"]
    assert again.function.command == job.command and not hasattr(again.function, "process")


def test_a_job_of_a_cluster_is_over_when_it_has_left_the_queue_or_a_result(tmp_path, monkeypatch):
    queue, result = tmp_path / "squeue", tmp_path / "result.pkl"
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    job = SimpleNamespace(job_id="7", paths=SimpleNamespace(result_pickle=result))
    for answer, over in (
        ("echo 7 RUNNING", False),
        ("exit 1", False),
        ("echo 'Invalid job id' >&2; exit 1", True),
        ("true", True),
    ):
        queue.write_text(f"#!/bin/sh\n{answer}\n")
        queue.chmod(0o755)
        assert jobs.is_over(job) is over, answer
    queue.write_text("#!/bin/sh\necho 7 RUNNING\n")
    result.touch()
    assert jobs.is_over(job)


def test_a_cell_s_command_is_torchrun_s_where_it_asks_for_several_processes(suite, tmp_path):
    [alone], [four] = (cells(suite(processes=count), tmp_path) for count in (1, 4))
    words = ["vidbench", "compare", "place/suite.yaml", "--cell", "noise/bright.npy", "--out", str(tmp_path)]
    assert jobs.command_for(alone, Path("place")) == [sys.executable, "-m", *words]
    torchrun = ["torch.distributed.run", "--standalone", "--nproc-per-node", "4", "-m"]
    assert jobs.command_for(four, Path("place")) == [sys.executable, "-m", *torchrun, *words]


def test_the_last_error_of_a_log_is_the_reason(suite, tmp_path):
    [cell] = cells(suite(), tmp_path)
    assert "never began" in jobs.last_words(cell)
    cell.document.parent.mkdir(parents=True)
    jobs.log_of(cell).write_text("Error: first.\nsomething\nError: No room.\n")
    assert jobs.last_words(cell) == "No room."
    jobs.log_of(cell).write_text("killed\n")
    assert "ended early; see" in jobs.last_words(cell)


def test_there_is_no_slurm_everywhere(suite, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(UserError, match="There is no Slurm here"):
        next(jobs.launch(cells(suite(), tmp_path / "runs"), "slurm", 1, print))
    assert signal.getsignal(signal.SIGINT) is before
