"""LongVideoGAN as a user meets it: two stages that are trained, sampled, exchanged and scored by themselves."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.e2e.running import Run, run_in
from vidbench.sources import open_source

OFFICIAL = Path(__file__).parents[1] / "reference" / "long_video_gan" / "tiny_lres_checkpoint.pkl"
CHANGES = [f"stages.{stage}.{key}" for stage in ("lowres", "superres") for key in ("steps=2", "metric=fvd16@4")]
TRAIN = ["train", "--model", "long-video-gan", "--tier", "ci", "--workers", "0"]
TRAIN += [word for change in CHANGES for word in ("--set", change)]
FOLDER = Path("runs/long-video-gan/toy-ride-ci+" + "+".join(CHANGES).replace("@", "_"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of both stages; its folder."""
    place = tmp_path_factory.mktemp("whole")
    result = run_in(place, TRAIN)
    first, second, third, *_ = result.stderr.splitlines()[1:]
    assert first.startswith("  lowres: 2 steps of 2 samples; parameters: G ")
    assert second.startswith("  superres: 2 steps of 2 samples; parameters: G ")
    assert third.startswith("  expected time: about ")
    assert "lowres: step 2, fvd16@4[toy3d]" in result.stderr and "superres: step 2, fvd16@4[toy3d]" in result.stderr
    return place / FOLDER


def sampled(run: Run, out: str, *arguments: object) -> np.ndarray:
    """One video, uint8 `[3, T, H, W]`, as the command makes it."""
    run("sample", "--model", "long-video-gan", "-n", 1, "--frames", 5, "--as", "png", "--out", out, *arguments)
    source = open_source(f"{out}/long-video-gan")
    return source.read(source.videos[0], 0, 5)


def test_stages_of_several_runs_are_put_together(trained: Run, tmp_path: Path) -> None:
    """The same weights from other places make the same video."""
    video = sampled(trained, "whole")
    assert video.shape == (3, 5, 32, 32)
    alone = tmp_path / "elsewhere.safetensors"
    alone.write_bytes((FOLDER / "superres" / "best.safetensors").read_bytes())
    parts = ("--lowres", FOLDER, f"--superres={alone}")
    assert np.array_equal(sampled(trained, "parts", *parts), video)
    record = json.loads(Path("parts/long-video-gan.json").read_text())
    assert str(alone) in json.dumps(record)
    assert np.array_equal(sampled(trained, "one part", "--superres", alone), video)


def test_the_first_stage_is_sampled_alone(trained: Run) -> None:
    assert sampled(trained, "low", "--set", "superres=false").shape == (3, 5, 16, 16)
    FOLDER.unlink()
    trained("train", *TRAIN[1:], "--stage", "lowres")
    assert sampled(trained, "only", "--set", "superres=false").shape == (3, 5, 16, 16)
    shown = trained("sample", "--model", "long-video-gan", "--checkpoint", FOLDER, code=2)
    assert (
        "the stage superres is not trained; vidbench sample --set superres=false makes low-resolution videos"
        in shown.stderr
    )


def test_super_resolution_of_real_frames_is_scored_beside_the_whole(trained: Run) -> None:
    """Brooks et al., 2022, Sec. 4: what of a distance is the second stage's."""
    asked = ("eval", "--model", "long-video-gan", "--metric", "fvd16", "--clips", 4, "--json")
    rows = {record["model"]: record for record in json.loads(trained(*asked).stdout)}
    whole, part = rows["long-video-gan"], rows["long-video-gan-superres-on-real"]
    assert whole["checkpoint_hash"] == part["checkpoint_hash"]
    assert part["value"] != whole["value"]
    assert "long-video-gan-superres-on-real" not in trained(*asked, "--no-references").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--superres", "{lowres}"], "is a checkpoint of the stage lowres. Give it as --lowres."),
        (["--superres", "nowhere"], "There is no checkpoint nowhere."),
        (["--superres"], "--superres takes a path"),
        (["--lowers", "x"], "No such option '--lowers'. Did you mean '--lowres'?"),
        (["--superres", "."], ". holds no superres/best.safetensors."),
        (["--model", "stylegan-v", "--lowres", "x"], "No such option '--lowres'"),
    ],
)
def test_a_wrong_part_ends_in_one_sentence(trained: Run, arguments: list[str], message: str) -> None:
    lowres = str(FOLDER / "lowres" / "best.safetensors")
    given = [word.replace("{lowres}", lowres) for word in arguments]
    assert message in trained("sample", "--model", "long-video-gan", *given, code=2).stderr


def test_an_official_low_resolution_network_is_imported_and_sampled(run: Run) -> None:
    shown = run("import", "long-video-gan", "--lowres", OFFICIAL)
    assert "lowres: G_ema" in shown.stderr
    folder = Path("runs/long-video-gan/imported-tiny_lres_checkpoint")
    video = sampled(run, "low", "--checkpoint", folder, "--set", "superres=false")
    assert video.std() > 0
