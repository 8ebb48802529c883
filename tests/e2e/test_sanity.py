"""`vidbench sanity` as a user would run it."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from tests.e2e.running import Run

QUICK = ("--clips", "4", "--workers", "0")


def test_a_metric_that_sees_motion_passes_and_leaves_report_table_and_figure(run: Run) -> None:
    result = run("sanity", "--clips", 12, "--seed", 1, "--workers", 0)
    assert "fvd16[toy3d] on toy-ride: 12 clips of 16 frames, 32x32; all rules hold" in result.stdout
    assert "temporal warp" in result.stdout
    assert "clips needed: 120 different ones a seed, 48 at least" in result.stderr
    stem = Path("runs/sanity/fvd16[toy3d]-toy-ride-n12")
    report = json.loads(Path(f"{stem}.json").read_text())
    assert report["passed"]
    assert min(report["trials"][0]["content_bias"][1:4]) > 1.5
    assert Path(f"{stem}.md").read_text().startswith("# fvd16[toy3d] on toy-ride")
    assert np.asarray(Image.open(f"{stem}.png")).std() > 0


def test_a_metric_that_does_not_see_motion_fails_with_exit_code_1_and_names_rows(run: Run) -> None:
    """Colours hardly mind in which order frames come."""
    asked = ("--metric", "color-drift", "--set", "frames=9", "--json", "--out", "here")
    result = run("sanity", *asked, *QUICK, code=1)
    report = json.loads(result.stdout)
    assert not report["passed"]
    assert "fails: rule 2, local swaps: level 3: z" in result.stderr
    assert len(list(Path("here/sanity").iterdir())) == 3


def test_a_dry_run_says_what_would_be_done_and_does_nothing(run: Run) -> None:
    result = run("sanity", "--seeds", 2, "--dry-run")
    assert "n = 256 clips of 16 frames, stride 1, 32x32, seeds 0, 1; 21 corruptions" in result.stderr
    assert "expected: about" in result.stderr
    assert not result.stdout
    assert not Path("runs").exists()


def test_your_own_videos_and_another_number_of_clips_in_the_metric_s_name(run: Run) -> None:
    run("data", "render", "toy-sky", "mine", "-n", 12, "--frames", 16, "--size", "32", "--as", "png")
    asked = ("--metric", "fvd16@3", "--real", "mine", "--backbone", "toy3d", "--dry-run")
    result = run("sanity", *asked)
    assert "n = 3 clips" in result.stderr
    assert "mine: 12 videos" in result.stderr


def test_bad_input_ends_in_one_sentence(run: Run) -> None:
    run("data", "render", "toy-sky", "mine", "-n", 9, "--frames", 16, "--size", "32", "--as", "png")
    mine = ("--real", "mine", "--backbone", "toy3d", "--workers", "0")
    result = run("sanity", *mine, "--clips", 4, code=2)
    assert "mine has 9 different clips of 16 frames (stride 1); with n = 4 a sanity check needs 16" in result.stderr
    assert "take --clips 2." in result.stderr
    assert 'No metric named "fvd61"' in run("sanity", "--metric", "fvd61", code=2).stderr
    assert "both name the real videos" in run("sanity", *mine, "--data", "toy-ride", code=2).stderr
    assert "i3d" in run("sanity", "--real", "mine", code=2).stderr
    Path("file").touch()
    assert "Choose another place with --out" in run("sanity", "--out", "file", *QUICK, code=2).stderr
