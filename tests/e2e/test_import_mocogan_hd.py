"""`vidbench import mocogan-hd`: four files of the authors' forms become a run that plays, or are refused in a sentence.

The files are of the size of a thumbnail: 16x16 pixels, styles of width 8, four directions of motion.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor

from tests.e2e.running import Run
from vidbench.checkpoints import load_checkpoint
from vidbench.models.layers.fir import resample_filter
from vidbench.models.mocogan_hd.importing import image_generator_tensors, mapped_styles
from vidbench.models.mocogan_hd.motion_generator import MotionGenerator
from vidbench.models.mocogan_hd.pca import StyleStatistics
from vidbench.sources import open_source

FILES = ["image.pt", "modelR.pth", "pca_comp.npy", "pca_stdev.npy"]
IMPORT = ["import", "mocogan-hd", *FILES]
FOLDER = Path("runs/mocogan-hd/imported-image")
WIDTH = 8
"""Of styles."""


def image_generator() -> dict[str, Tensor]:
    """`g_ema` as the PyTorch StyleGAN2 that the authors train with names it: layers at 4, 8, 8, 16 and 16 pixels."""
    chance = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=chance)

    def modulated(before: int, *kernel: int) -> dict[str, Tensor]:
        styles = {"modulation.weight": normal(before, WIDTH), "modulation.bias": torch.ones(before)}
        return {f"conv.{name}": x for name, x in styles.items()} | {"conv.weight": normal(1, *kernel)}

    def colors(before: int) -> dict[str, Tensor]:
        return modulated(before, 3, before, 1, 1) | {"bias": torch.zeros(1, 3, 1, 1)}

    def layer(before: int, after: int) -> dict[str, Tensor]:
        rest = {"noise.weight": torch.full((1,), 0.1), "activate.bias": torch.zeros(after)}
        return modulated(before, after, before, 3, 3) | rest

    upsampling = {"conv.blur.kernel": 4 * resample_filter()}
    parts = {f"style.{i}": {"weight": 100 * normal(WIDTH, WIDTH), "bias": torch.zeros(WIDTH)} for i in (1, 2)}
    parts |= {"input": {"input": normal(1, 6, 4, 4)}, "conv1": layer(6, 6), "to_rgb1": colors(6)}
    parts |= {"convs.0": layer(6, 5) | upsampling, "convs.1": layer(5, 5)}
    parts |= {"convs.2": layer(5, 4) | upsampling, "convs.3": layer(4, 4)}
    for i, before in enumerate((5, 4)):
        parts[f"to_rgbs.{i}"] = colors(before) | {"upsample.kernel": 4 * resample_filter()}
    parts["noises"] = {f"noise_{i}": normal(1, 1, side, side) for i, side in enumerate((4, 8, 8, 16, 16))}
    return {f"{part}.{name}": x for part, tensors in parts.items() for name, x in tensors.items()}


def motion_generator() -> dict[str, Tensor]:
    """`modelR`, whose steps are far: amounts are not near 0."""
    torch.manual_seed(1)
    state = MotionGenerator(torch.zeros(4, WIDTH), hidden=5).state_dict()
    state["w"] *= 100
    return {name: x for name, x in state.items() if name != "steps"}


@pytest.fixture
def files(run: Run) -> dict[str, Tensor]:
    """The four files, where the command runs; the styles of the image generator that is in them."""
    generator = image_generator()
    styles = mapped_styles(image_generator_tensors(generator), 5000)
    torch.save({"g_ema": generator, "latent_avg": styles.mean(dim=0)}, "image.pt")
    torch.save({f"module.{name}": x for name, x in motion_generator().items()}, "modelR.pth")
    statistics = StyleStatistics(WIDTH)
    statistics.add(styles)
    found = statistics.components()
    np.save("pca_comp.npy", found.directions.numpy())
    np.save("pca_stdev.npy", found.deviations.numpy())
    return {"directions": found.directions, "deviations": found.deviations, "mean": styles.mean(dim=0)}


def test_four_files_become_a_run_that_plays(run: Run, files: dict[str, Tensor]) -> None:
    shown = run(*IMPORT, "--fps", 30)
    assert "image: G_ema, " in shown.stderr and "motion: R, " in shown.stderr
    assert "another image generator" not in shown.stderr
    described = yaml.safe_load((FOLDER / "config.yaml").read_text())
    assert list(described["imported"]) == FILES
    assert described["config"]["model"]["image"] == {"channels": [6, 5, 4], "z_dim": WIDTH, "mapping_layers": 2}
    image, motion = (load_checkpoint(FOLDER / stage / "last.safetensors").state for stage in ("image", "motion"))
    assert image["G_ema"]["mapping.w_avg"].equal(files["mean"])
    steps = (files["deviations"][:, None] * files["directions"])[:4]
    torch.testing.assert_close(motion["R"]["steps"], steps.float())

    run("sample", "--model", "mocogan-hd", "--checkpoint", FOLDER, "-n", 2, "--frames", 20)
    played = open_source("samples/mocogan-hd")
    assert [(played.length(video), played.info(video).fps) for video in played.videos] == [(20, 15.0)] * 2
    first, second = (played.read(video, 0, 20).astype(int) for video in played.videos)
    assert first.shape == (3, 20, 16, 16) and first.std() > 10
    assert np.abs(first - second).mean() > 10, "another seed, another video"
    assert np.abs(np.diff(first, axis=1)).mean() > 1, "it moves"
    assert json.loads(Path("samples/mocogan-hd.json").read_text())


def test_the_image_generator_alone_is_a_run_of_stills(run: Run, files: dict[str, Tensor]) -> None:
    run("import", "mocogan-hd", "image.pt")
    sample = ["sample", "--model", "mocogan-hd", "--checkpoint", FOLDER, "-n", 1, "--frames", 3, "--as", "png"]
    assert "the stage motion is not trained" in run(*sample, code=2).stderr
    run(*sample, "--set", "still=true")
    still = open_source("samples/mocogan-hd")
    frames = still.read(still.videos[0], 0, 3)
    assert (frames == frames[:, :1]).all() and frames.std() > 10


@pytest.mark.parametrize(
    ("absent", "reason"),
    [
        ("image.pt", "there is no image generator g_ema among them"),
        ("modelR.pth", "there are principal components among them, but no motion generator modelR"),
        ("pca_comp.npy", "modelR needs pca_comp.npy and pca_stdev.npy of its image generator"),
        ("pca_stdev.npy", "modelR needs pca_comp.npy and pca_stdev.npy of its image generator"),
    ],
)
def test_a_file_that_is_missing_is_asked_for(run: Run, files: dict[str, Tensor], absent: str, reason: str) -> None:
    given = [name for name in FILES if name != absent]
    shown = run("import", "mocogan-hd", *given, code=2)
    assert shown.stderr.count("\n") == 1 and f"{reason}. Check file and model." in shown.stderr
    Path(absent).unlink()
    shown = run(*IMPORT, code=2)
    assert shown.stderr.count("\n") == 1 and f"{absent} cannot be read" in shown.stderr
    assert not Path("runs").exists()


def test_components_of_another_image_generator_are_said_to_be(run: Run, files: dict[str, Tensor]) -> None:
    np.save("pca_stdev.npy", 2 * files["deviations"].numpy())
    shown = run(*IMPORT, "--dry-run")
    assert "The principal components seem to be of another image generator" in shown.stderr


@pytest.mark.parametrize("name", FILES)
def test_damaged_files_end_in_one_sentence(run: Run, files: dict[str, Tensor], name: str) -> None:
    Path(name).write_bytes(Path(name).read_bytes()[:-40])
    shown = run(*IMPORT, code=2)
    assert shown.stderr.count("\n") == 1 and f"{name} is not a readable file of networks" in shown.stderr
    assert not Path("runs").exists()
