"""The first score: the command on folders, zips and toy sets, as a user would run it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter
from safetensors.torch import save_file

from tests.e2e.running import Run
from tests.weights.making import generated
from vidbench.sources import open_source
from vidbench.weights.names import load_table
from vidbench.writing import write_frames, write_mp4, write_npy, write_zip

ALONE = ("--backbone", "toy3d", "--no-references", "--workers", "0", "--json")


def records(output: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(output)
    return found


def render(run: Run, name: str, count: int, frames: int = 24, data: str = "toy-ride") -> None:
    run("data", "render", data, name, "-n", count, "--frames", frames, "--size", "32", "--as", "png")


def value(run: Run, *arguments: object) -> float:
    return float(records(run("eval", *arguments, *ALONE).stdout)[0]["value"])


def test_a_folder_against_itself_is_zero_and_against_a_blurred_copy_is_not(run: Run) -> None:
    render(run, "sharp", 12)
    for frame in Path("sharp").glob("*/*.png"):
        blurred = Path("blurred") / frame.relative_to("sharp")
        blurred.parent.mkdir(parents=True, exist_ok=True)
        Image.open(frame).filter(ImageFilter.GaussianBlur(1.5)).save(blurred)
    assert value(run, "--fake", "sharp", "--real", "sharp", "--clips", 12) == pytest.approx(0, abs=1e-8)
    assert value(run, "--fake", "blurred", "--real", "sharp", "--clips", 12) > 1


@pytest.mark.parametrize("stride", [1, 2])
def test_videos_as_files_frames_zip_and_array_give_one_value(run: Run, stride: int) -> None:
    render(run, "real", 10, frames=40)
    render(run, "frames", 10, frames=40, data="toy-sky")
    source = open_source("frames")
    videos = [(video.key, source.read(video, 0, 40)) for video in source.videos]
    write_mp4(Path("lossy"), videos, 25)
    decoded = open_source("lossy")
    same = [(video.key, decoded.read(video, 0, 40)) for video in decoded.videos]
    write_frames(Path("as-frames"), same, 25)
    write_zip(Path("as-zip.zip"), same, 25)
    write_npy(Path("as-array.npy"), same, 25)
    sides = ("lossy", "as-frames", "as-zip.zip", "as-array.npy")
    asked = ("--real", "real", "--clips", 10, "--set", f"stride={stride}")
    values = [value(run, "--fake", side, *asked) for side in sides]
    assert values[0] > 1
    assert values == [values[0]] * 4


def test_one_process_and_three_workers_give_one_value(run: Run) -> None:
    render(run, "real", 10)
    render(run, "fake", 10, data="toy-sky")
    asked = (
        "eval",
        "--fake",
        "fake",
        "--real",
        "real",
        "--clips",
        10,
        "--backbone",
        "toy3d",
        "--no-references",
        "--json",
    )
    values = [records(run(*asked, "--workers", n, "--out", f"runs{n}").stdout)[0]["value"] for n in (0, 1, 3)]
    assert values == [values[0]] * 3


def test_a_corrupt_file_stops_the_run_by_name_or_is_left_out_and_counted(run: Run) -> None:
    render(run, "real", 10)
    run("data", "render", "toy-sky", "fake", "-n", 11, "--frames", 24, "--size", "32")
    asked = ("eval", "--fake", "fake", "--real", "real", "--clips", 10, *ALONE)
    broken = Path("fake/000003.mp4")
    content = broken.read_bytes()
    broken.write_bytes(content[: len(content) // 2])
    refused = run(*asked, code=2)
    assert "000003.mp4" in refused.output and "--skip-bad" in refused.output
    skipped = records(run(*asked, "--skip-bad").stdout)[0]
    assert skipped["fake"]["counts"]["unreadable"] == 1
    broken.unlink()
    assert records(run(*asked).stdout)[0]["value"] == skipped["value"]


def test_too_few_videos_are_refused_with_the_number_that_would_do(run: Run) -> None:
    render(run, "few", 5)
    output = run("eval", "--fake", "few", "--backbone", "toy3d", "--clips", 9, "--no-references", code=2).output
    assert "--clips 5" in output and "9" in output


def test_videos_that_are_too_short_are_named_and_counted(run: Run) -> None:
    render(run, "short", 8, frames=12)
    output = run("eval", "--fake", "short", "--backbone", "toy3d", "--clips", 8, "--no-references", code=2).output
    assert "8 of 8 videos in short have fewer than 16 frames" in output


def test_real_is_the_floor_of_every_table(run: Run) -> None:
    asked = ("--metric", "fvd16@96", "--metric", "fvd128@48", "--json", "--workers", "0")
    found = records(run("eval", *asked).stdout)
    for metric in ("fvd16@96[toy3d]", "fvd128@48[toy3d]"):
        scores = {record["model"]: record for record in found if record["metric"] == metric}
        assert set(scores) == {"real", "freeze", "loop", "shuffle", "noise"}
        floor = scores.pop("real")
        assert all(record["value"] > 3 * floor["value"] for record in scores.values())
        assert floor["real"]["split"] == "train" and floor["se"] > 0


def test_every_score_leaves_a_record_and_a_contact_sheet_and_is_not_computed_again(run: Run) -> None:
    asked = ("eval", "--metric", "fvd16@8", "--model", "freeze", "--no-references", "--workers", "0")
    assert "freeze" in run(*asked).stdout
    (record,) = Path("runs/records").glob("*.json")
    written = record.stat().st_mtime_ns
    assert Image.open(record.with_suffix(".png")).width > 500
    again = run(*asked)
    assert "1 of 1 scores are at hand" in again.stderr
    assert record.stat().st_mtime_ns == written


def test_a_record_says_how_its_number_was_made(run: Run) -> None:
    (record,) = records(run("eval", "--metric", "fvd16@8", "--model", "noise", "--no-references", "--json").stdout)
    assert record["metric"] == "fvd16@8[toy3d]"
    assert record["protocol"]["size"] == [32, 32] and record["protocol"]["frames"] == 16
    assert record["fake"]["counts"] == {
        "asked": 8,
        "available": 8,
        "used": 8,
        "short": 0,
        "unreadable": 0,
        "origins": None,
        "repeats": 0,
    }
    assert len(record["backbone"]["tensor_hash"]) == len(record["real"]["fingerprint"]) == 64
    assert {"vidbench", "torch", "numpy", "av"} <= set(record["versions"])
    assert record["rank_deficient"] and any("biased upwards" in warning for warning in record["warnings"])


def test_a_model_comes_from_a_single_file(run: Run) -> None:
    Path("grey.py").write_text(
        "import torch, vidbench\n"
        "class Grey(vidbench.Generator):\n"
        '    """Grey."""\n'
        "    size, fps = (24, 40), 25.0\n"
        "    def stream(self, seed):\n"
        "        while True:\n"
        "            yield torch.zeros(3, 5, 24, 40)\n"
    )
    asked = ("eval", "--metric", "fvd16@8", "--model", "grey.py:Grey", "--no-references", "--workers", "0")
    (record,) = records(run(*asked, "--json").stdout)
    assert record["model"] == "Grey" and record["protocol"]["size"] == [24, 40]
    assert any("do not move" in warning for warning in record["warnings"])
    assert "Grey" in run("eval", "--model", "grey.py:Gray", code=2).output
    assert "no file" in run("eval", "--model", "gray.py:Grey", code=2).output


def test_the_backbone_of_a_folder_is_i3d_and_its_absence_is_said(run: Run) -> None:
    render(run, "real", 3)
    assert "--backbone toy3d" in run("eval", "--real", "real", "--clips", 3, code=2).output


def test_plots_are_drawn_from_what_is_scored(run: Run) -> None:
    few = ("--clips", 6, "--workers", "0")
    run("plot", "color-drift", *few, "--out", "drift.png")
    run("plot", "fvd", "--metric", "fvd16", *few, "--out", "figures/fvd.svg")
    assert Image.open("drift.png").width > 800
    assert "real" in Path("figures/fvd.svg").read_text()
    again = run("plot", "color-drift", *few, "--out", "again.pdf")
    assert "5 of 5 scores are at hand" in again.stderr
    assert "signed area" in again.stdout and "changes too slowly" in again.stdout
    assert "must end in" in run("plot", "fvd", "--out", "fvd.doc", code=2).output


def test_inspection_counts_and_warns(run: Run) -> None:
    render(run, "mixed", 6, frames=20)
    for name in ("black", "black2"):
        Path("mixed", name).mkdir()
        for index in range(4):
            Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(f"mixed/{name}/{index}.png")
    facts = json.loads(run("data", "inspect", "mixed", "--json", "--workers", "0").stdout)
    assert facts["videos"] == 8 and facts["frames"] == 6 * 20 + 2 * 4
    assert facts["long enough for"]["fvd16"] == 6
    text = " ".join(facts["warnings"])
    for found in ("2 of 8 videos are black", "2 of 8 videos do not move", "1 of 8 videos are exact repeats"):
        assert found in text


def test_warnings_name_frame_rates_that_differ(run: Run) -> None:
    run("data", "render", "toy-sky", "fast", "-n", 4, "--frames", 16, "--size", "32")
    source = open_source("fast")
    write_mp4(Path("slow"), [(video.key, source.read(video, 0, 16)) for video in source.videos], 10)
    output = run("eval", "--fake", "slow", "--real", "fast", "--clips", 4, *ALONE).stderr
    assert "frames a second differ" in output and "10" in output


def test_a_user_mistake_leaves_no_traceback_and_debug_shows_one(run: Run) -> None:
    assert run("eval", "--metric", "fvd61", code=2).output.startswith("Error: No metric named")
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-m", "vidbench", "eval", "--metric", "fvd61", "--debug"]
    assert "Traceback" in subprocess.run(command, capture_output=True, text=True, env=environment).stderr


def test_a_full_disk_is_one_sentence_and_leaves_nothing_half_written(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    output = run("eval", "--metric", "fvd16@8", "--model", "noise", "--no-references", "--workers", "0", code=2).output
    assert "No space left on device" in output
    assert not list(Path().rglob("*.part")) and not list(Path().rglob("*.json"))


def test_a_folder_without_splits_shows_its_floor_beside_the_scores(run: Run) -> None:
    render(run, "real", 24, frames=132)
    render(run, "fake", 12, frames=132, data="toy-sky")
    asked = ("--fake", "fake", "--real", "real", "--clips", 8, "--backbone", "toy3d", "--workers", "0")
    shown = run("eval", "--metric", "fvd16", *asked).stdout
    assert "real †" in shown and shown.count("distance") == 1
    run("plot", "color-drift", *asked, "--out", "drift.svg")
    assert "real †" in Path("drift.svg").read_text()


def test_everything_in_a_table_is_compared_at_the_model_s_own_size(run: Run) -> None:
    Path("wide.py").write_text(
        "import torch, vidbench\n"
        "class Wide(vidbench.Generator):\n"
        "    size, fps = (16, 40), 25.0\n"
        "    def stream(self, seed):\n"
        "        while True:\n"
        "            yield torch.rand(3, 5, 16, 40, generator=torch.Generator().manual_seed(seed)) * 2 - 1\n"
    )
    asked = ("eval", "--metric", "fvd16@6", "--model", "wide.py:Wide", "--workers", "0", "--json")
    assert {tuple(record["protocol"]["size"]) for record in records(run(*asked).stdout)} == {(16, 40)}
    (record,) = records(run(*asked, "--size", "24", "--no-references").stdout)
    assert record["protocol"]["size"] == [24, 24]


def test_the_range_of_floats_does_not_touch_bytes(run: Run) -> None:
    levels = np.random.default_rng(0).integers(0, 256, (6, 16, 8, 8, 3)).astype(np.uint8)
    np.save("bytes.npy", levels)
    np.save("floats.npy", (levels / np.float32(127.5) - 1).astype(np.float32))
    asked = ("--real", "bytes.npy", "--clips", 6, "--range=-1,1")
    assert value(run, "--fake", "floats.npy", *asked) == pytest.approx(0, abs=1e-8)


def test_a_changed_protocol_has_a_name_of_its_own(run: Run) -> None:
    asked = ("eval", "--metric", "fvd16@64", "--set", "stride=2", "--clips", 8, "--model", "noise", *ALONE)
    assert records(run(*asked).stdout)[0]["metric"] == "fvd16+stride=2@8[toy3d]"
    assert "--size" in run("eval", "--set", "size=[64,64]", code=2).output


def test_a_place_that_cannot_hold_results_is_refused_before_anything_is_computed(run: Run) -> None:
    Path("taken").write_text("")
    assert "taken is no folder" in run("eval", "--out", "taken", code=2).output


def test_a_cache_that_cannot_be_written_does_not_stop_a_score(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDBENCH_CACHE", "/dev/null/cache")
    run("eval", "--metric", "fvd16@6", "--model", "freeze", *ALONE)


def test_weights_that_are_not_proven_are_used_when_named_and_said_to_be_so(run: Run) -> None:
    save_file({entry.name: generated(entry.name, entry.shape) for entry in load_table()}, "made.safetensors")
    render(run, "real", 3)
    asked = ("eval", "--fake", "real", "--real", "real", "--clips", 3, "--weights", "made.safetensors")
    (record,) = records(run(*asked, "--no-references", "--workers", "0", "--json").stdout)
    assert record["metric"] == "fvd16@3[i3d]" and record["value"] == pytest.approx(0, abs=1e-6)
    assert any("not proven" in warning for warning in record["warnings"])


def test_two_files_that_differ_in_their_ending_only_are_two_videos(run: Run) -> None:
    run("data", "render", "toy-sky", "twins", "-n", 2, "--frames", 16, "--size", "32")
    Path("twins/000000.mov").write_bytes(Path("twins/000001.mp4").read_bytes())
    assert value(run, "--fake", "twins", "--real", "twins", "--clips", 3) == pytest.approx(0, abs=1e-8)


def test_a_backbone_that_fails_its_sanity_check_says_so_in_every_record(run: Run) -> None:
    asked = ("eval", "--metric", "fvd16@8", "--model", "freeze", "--no-references", "--workers", "0", "--json")
    for backbone, says in (("motion3d", True), ("toy3d", False)):
        (record,) = records(run(*asked, "--backbone", backbone).stdout)
        assert any("sanity check" in warning for warning in record["warnings"]) is says
