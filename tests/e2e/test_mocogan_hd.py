"""MoCoGAN-HD as a user meets it: an image generator and its motion, of one data set or of two."""

from pathlib import Path

import numpy as np
import pytest

from tests.e2e.running import Run, run_in
from vidbench.checkpoints import read_about
from vidbench.sources import open_source

CHANGES = [f"stages.{stage}.{key}" for stage in ("image", "motion") for key in ("steps=2", "metric=fvd16@4")]
TRAIN = ["train", "--model", "mocogan-hd", "--tier", "ci", "--workers", "0"]
TRAIN += [word for change in CHANGES for word in ("--set", change)]
ENDING = "-ci+" + "+".join(CHANGES).replace("@", "_")
RUNS = Path("runs/mocogan-hd")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of both stages; its folder."""
    place = tmp_path_factory.mktemp("whole")
    result = run_in(place, TRAIN)
    first, second, *_ = result.stderr.splitlines()[1:]
    assert first.startswith("  image: 2 steps of 4 samples; parameters: G ")
    assert second == "  motion: 2 steps of 2 samples, after the stages before it"
    assert "image: step 2, fvd16@4[toy3d]" in result.stderr and "motion: step 2, fvd16@4[toy3d]" in result.stderr
    return place / RUNS / f"toy-ride{ENDING}"


def sampled(run: Run, out: str, *arguments: object, frames: int = 20) -> np.ndarray:
    """One video, `[3, T, H, W]`, as the command makes it."""
    run("sample", "--model", "mocogan-hd", "-n", 1, "--frames", frames, "--as", "png", "--out", out, *arguments)
    source = open_source(f"{out}/mocogan-hd")
    return source.read(source.videos[0], 0, frames).astype(int)


def test_videos_begin_alike_and_move_as_far_as_is_asked(trained: Run) -> None:
    video = sampled(trained, "plain")
    assert video.shape == (3, 20, 32, 32)
    assert abs(sampled(trained, "short", frames=5) - video[:, :5]).max() <= 1
    still = sampled(trained, "still", "--set", "strength=0")
    assert abs(np.diff(still, axis=1)).max() == 0
    assert abs(still[:, 0] - video[:, 0]).max() <= 1
    far = sampled(trained, "far", "--set", "strength=50")
    assert abs(np.diff(far, axis=1)).max() > 1
    twice = sampled(trained, "twice", "--set", "strength=50", "--set", "interpolate=true")
    assert abs(twice[:, ::2] - far[:, :10]).max() <= 1


def test_the_image_generator_is_sampled_alone(trained: Run, whole: Path) -> None:
    image = whole / "image" / "last.safetensors"
    video = sampled(trained, "stills", "--checkpoint", image, "--set", "still=true")
    assert abs(np.diff(video, axis=1)).max() == 0
    assert video.std() > 0
    shown = trained("sample", "--model", "mocogan-hd", "--checkpoint", image, code=2)
    assert "the stage motion is not trained; still=true makes videos without motion." in shown.stderr


def test_content_and_motion_of_two_data_sets(run: Run) -> None:
    shown = run(*TRAIN, "--content-dataset", "toy-sky", "--motion-dataset", "toy-ride")
    folder = RUNS / f"toy-sky+toy-ride{ENDING}"
    assert "on toy-sky (train): 10,000 videos at 32x32 and toy-ride (train): 10,000 videos at 32x32" in shown.stderr
    for stage in ("image", "motion"):
        about = read_about(folder / stage / "last.safetensors")
        assert (about.step, about.data) == (2, "toy-sky+toy-ride")
        assert about.config["model"]["motion"]["cross_domain"]
    text = (folder / "config.yaml").read_text()
    assert "data of image:" in text and "name: toy-sky" in text
    assert sampled(run, "both", "--checkpoint", folder).shape == (3, 20, 32, 32)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--model", "stylegan-v", "--content-dataset", "toy-sky"],
            "stylegan-v learns from one data set, and has no --content-dataset. Give it --data.",
        ),
        (
            ["--model", "mocogan-hd", "--tier", "ci", "--stage", "motion"],
            "The stage motion cannot begin: the stage image is not trained.",
        ),
        (["--model", "mocogan-hd", "--tier", "ci", "--motion-dataset", "nowhere"], "nowhere"),
    ],
)
def test_a_wrong_use_ends_in_one_sentence(run: Run, arguments: list[str], message: str) -> None:
    shown = run("train", *arguments, code=2)
    assert message in shown.stderr
    assert "Traceback" not in shown.stderr
    assert not list(Path.cwd().rglob("*.safetensors"))
