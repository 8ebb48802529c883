"""`cache` through the command: shown, cleared, and computed anew."""

import json
from pathlib import Path

import numpy as np
from filelock import FileLock

from tests.e2e.running import Run
from vidbench.sources import source_from_array

SCORE = ("eval", "--metric", "fvd16@6", "--model", "freeze", "--no-references", "--workers", "0", "--json")


def test_what_a_score_leaves_is_shown_cleared_and_computed_anew(run: Run, own_cache: Path) -> None:
    value = json.loads(run(*SCORE).stdout)[0]["value"]
    shown = json.loads(run("cache", "--json").stdout)
    assert shown["place"] == str(own_cache) and shown["bytes"] == sum(row["bytes"] for row in shown["contents"]) > 0
    assert {row["kind"] for row in shown["contents"]} == {"features"}
    assert json.loads(run("cache", "show", "--json").stdout) == shown
    text = run("cache").stdout
    assert str(own_cache) in text and "features" in text
    would = run("cache", "clear", "--dry-run").stdout
    assert "would be removed" in would and json.loads(run("cache", "--json").stdout) == shown
    assert run("cache", "clear").stdout == would.replace("would be removed", "removed")
    assert json.loads(run("cache", "--json").stdout)["contents"] == []
    Path("runs").rename("before")
    assert json.loads(run(*SCORE).stdout)[0]["value"] == value


def test_weights_are_removed_only_by_those_who_say_so(run: Run, own_cache: Path) -> None:
    path = own_cache / "weights" / "i3d_torchscript.pt"
    path.parent.mkdir()
    path.write_text("weights")
    for what in ("weights", "all"):
        assert f"vidbench cache clear {what} --yes" in run("cache", "clear", what, code=2).output
        assert "1 files" in run("cache", "clear", what, "--dry-run").stdout
    run("cache", "clear")
    assert path.exists()
    run("cache", "clear", "all", "--yes")
    assert not path.exists()


def test_frames_at_a_smaller_size_are_shown_with_source_and_size_and_cleared(run: Run, own_cache: Path) -> None:
    films = source_from_array("films", np.zeros((1, 256, 32, 32, 3), np.uint8))
    films.reduced((16, 16)).read(films.videos[0], 0, 200)
    shown = json.loads(run("cache", "--json").stdout)["contents"]
    assert [(row["kind"], row["name"], row["files"]) for row in shown] == [("frames", "films 16x16", 2)]
    assert shown[0]["bytes"] > 2 * 128 * 3 * 16 * 16
    assert "frames: 2 files" in run("cache", "clear", "--dry-run").stdout
    assert "frames: 2 files" in run("cache", "clear", "frames").stdout
    assert json.loads(run("cache", "--json").stdout)["contents"] == [] and not any((own_cache / "frames").iterdir())


def test_what_another_run_is_at_is_left_and_named(run: Run, own_cache: Path) -> None:
    run(*SCORE)
    folders = [path for path in (own_cache / "features").iterdir() if path.is_dir()]
    with FileLock(f"{folders[0]}.lock"):
        found = json.loads(run("cache", "clear", "--json").stdout)
    assert found["features"]["in_use"] == [str(folders[0])]
    assert [path for path in (own_cache / "features").iterdir() if path.is_dir()] == folders[:1]
