"""Several processes, and processes that are killed: the same record, digit for digit, and nothing half-written."""

import json
import os
import random
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import vidbench
from vidbench.errors import UserError
from vidbench.passes import load_block
from vidbench.ranks import exchange, is_first, joined, rank, world
from vidbench.record import load_record
from vidbench.writing import write_frames

EVAL = ["-m", "vidbench", "eval", "--no-references", "--workers", "0", "--json"]
FREEZE = ["--metric", "fvd16@160", "--model", "freeze"]  # 160 clips are two whole blocks and a half
TORCHRUN = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port"]


def free_port():
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return str(probe.getsockname()[1])


def environment(place):
    root = str(Path(vidbench.__file__).parents[1])
    return {**os.environ, "VIDBENCH_CACHE": str(place / "cache"), "PYTHONPATH": root, "OMP_NUM_THREADS": "1"}


def run(place, *arguments, processes=1):
    """Run Python in a folder with a cache of its own; gives what it printed."""
    launcher = [*TORCHRUN, free_port()] if processes > 1 else []
    command = [sys.executable, *launcher, *arguments]
    result = subprocess.run(command, cwd=place, env=environment(place), capture_output=True, text=True, timeout=80)
    assert result.returncode == 0, result.stderr
    return result.stdout


def evaluated(place, *arguments, processes=1):
    """Evaluate in such a folder; gives the records that were printed."""
    return json.loads(run(place, *EVAL, *arguments, "--out", str(place / "out"), processes=processes))


def digits(record):
    """All of a record but when and how quickly it was computed."""
    return {name: value for name, value in record.items() if name not in ("seconds", "created")}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The record of one process that nothing interrupts."""
    [record] = evaluated(tmp_path_factory.mktemp("alone"), *FREEZE)
    assert record["se"] > 0
    assert record["real"]["counts"]["used"] == record["fake"]["counts"]["used"] == 160
    return record


# Several processes


@pytest.mark.parametrize("batch", [4, 16])  # that of one process is 32
def test_two_processes_give_the_record_of_one_whatever_the_batch(alone, tmp_path, batch):
    [record] = evaluated(tmp_path, *FREEZE, "--batch", str(batch), processes=2)
    assert digits(record) == digits(alone)
    [path] = (tmp_path / "out" / "records").glob("*.json")
    assert load_record(path).model_dump(mode="json") == record
    assert len(list((tmp_path / "cache").glob("features/*/*.safetensors"))) == 6
    assert list(tmp_path.rglob("*.part")) == []


SCRIPT = """
import json
from pathlib import Path

from vidbench import Evaluator
from vidbench.errors import BadVideoError
from vidbench.ranks import joined, rank

with joined("cpu"):
    record = Evaluator("fvd16@66", "real", backbone="toy3d", workers=0, skip_bad=True).score("made")
    said = None
    try:
        Evaluator("fvd16@66", "real", backbone="toy3d", workers=0).score("made")
    except BadVideoError as error:
        said = str(error)
    Path(f"rank{rank()}.json").write_text(json.dumps([record.model_dump(mode="json"), said]))
"""


def test_two_processes_skip_or_refuse_the_same_videos_as_one(moving, tmp_path, monkeypatch):
    for name, seed in (("real", 1), ("made", 2)):
        videos = [(f"{i:03d}", np.moveaxis(video, -1, 0)) for i, video in enumerate(moving(70, 17, 8, seed=seed))]
        write_frames(tmp_path / name, videos, 25)
    for damaged in ("real/003", "real/068", "made/001", "made/069"):
        (tmp_path / damaged / "000009.png").write_bytes(b"damaged")
    (tmp_path / "script.py").write_text(SCRIPT)
    run(tmp_path, "script.py", processes=2)
    monkeypatch.chdir(tmp_path)
    exec(SCRIPT.replace("rank{rank()}", "alone"), {})
    alone, first, second = (json.loads(Path(f"{name}.json").read_text()) for name in ("alone", "rank0", "rank1"))
    assert digits(first[0]) == digits(second[0]) == digits(alone[0])
    assert first[0]["real"]["counts"]["unreadable"] >= 1
    assert first[0]["fake"]["counts"]["unreadable"] >= 1
    assert first[1] == second[1] == alone[1]
    assert "cannot be read" in first[1]


def test_one_process_is_the_first_of_one(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined("cpu") as device:
        assert (device, rank(), world(), is_first()) == ("cpu", 0, 1, True)
        assert exchange("mine") == ["mine"]


@pytest.mark.parametrize(("value", "first"), [("0", True), ("1", False), ("10", False)])
def test_only_the_process_of_rank_0_writes_and_prints(monkeypatch, value, first):
    monkeypatch.setenv("RANK", value)
    assert is_first() == first


# Killed


def require_whole(place):
    """Nothing under a folder is half-written."""
    assert list(place.rglob("*.part")) == []
    blocks = list((place / "cache").glob("features/*/*.safetensors"))
    assert all(load_block(path) is not None for path in blocks)
    for path in (place / "out").glob("records/*.json"):
        load_record(path)
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in blocks}


def kill_after(place, blocks, delay):
    """Start an evaluation and kill it some time after so many blocks are there; whether it was still running."""
    command = [sys.executable, *EVAL, *FREEZE, "--out", str(place / "out")]
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, cwd=place, env=environment(place), **silent) as process:
        deadline = time.monotonic() + 60
        while len(list(place.glob("cache/features/*/*.safetensors"))) < blocks and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        time.sleep(delay)
        process.kill()
        return process.wait(10) != 0


def test_a_killed_evaluation_leaves_nothing_half_written_and_goes_on_where_it_was(alone, tmp_path):
    chance = random.Random()  # other moments every time
    killed = 0
    for blocks in (0, 2, 4):
        before = require_whole(tmp_path)
        killed += kill_after(tmp_path, max(blocks, len(before)), chance.uniform(0, 0.4 if blocks else 3))
        after = require_whole(tmp_path)
        assert before.items() <= after.items()  # neither removed nor written again
    assert killed > 0
    [record] = evaluated(tmp_path, *FREEZE)
    assert digits(record) == digits(alone)
    finished = require_whole(tmp_path)
    assert after.items() <= finished.items()
    assert len(finished) == 6


@pytest.mark.parametrize(("device", "local"), [("cuda", 3), ("cuda:0", 0)])
def test_every_process_needs_a_gpu_of_its_own(monkeypatch, device, local):
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_RANK", str(local))
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    with pytest.raises(UserError, match="GPU of its own, and there are 2"), joined(device):
        pass
