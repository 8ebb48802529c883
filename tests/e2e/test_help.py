"""Help that promises what the code does not do is a bug: every example of every help page is run."""

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import torch

from tests.e2e.running import Run
from tests.models.long_video_gan.test_importing import described, official
from tests.models.video_ldm.small import plain_unet
from tests.models.video_ldm.test_folders import saved
from tests.weights.persisting import file
from vidbench.checkpoints import About, save_checkpoint
from vidbench.cli import cli
from vidbench.journal import Journal
from vidbench.models.long_video_gan.config import ModelConfig, SuperResModel
from vidbench.runs import load_settings, load_system
from vidbench.stage import Origin


def pages(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    yield " ".join(path), command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from pages(inner, (*path, name))


DRY = [["data", "inspect"], ["data", "render"], ["data", "convert"], ["weights", "fetch"], ["cache", "clear"]]
LONG = ["eval", "plot", "sanity", "train", "sample", "compare", "regress"]
PAGES = dict(pages(cli))
EXAMPLES = sorted(
    {
        line.strip()
        for page in PAGES.values()
        for line in (page.help or "").splitlines()
        if re.match(r"\s*vidbench ", line)
    }
)


@pytest.mark.parametrize("path", [path for path, page in PAGES.items()])
def test_every_help_page_says_what_it_does_and_shows_examples(path: str) -> None:
    page = PAGES[path]
    assert page.help and "vidbench" in page.help
    if not isinstance(page, click.Group):
        assert all(parameter.help for parameter in page.params if isinstance(parameter, click.Option))


def untrained(model: str) -> None:
    """A run of a system on toy-ride at its very beginning."""
    system = load_system(model)
    settings = load_settings(system, model, "tiny", None, ())
    for name, build in system.stages.items():
        about = About(
            model=model, stage=name, step=0, config=settings.model_dump(mode="json"), tier="tiny", data="toy-ride",
            size=(32, 32), fps=25, seed=0
        )  # fmt: skip
        stage = build(settings, Origin((32, 32), 25.0), "cpu", {})
        save_checkpoint(Path("runs") / model / "toy-ride-tiny" / name / "last.safetensors", about, stage.state())


def official_files(words: list[str]) -> None:
    """Files of the authors under the names that an example gives them."""
    reference = Path(__file__).parents[1] / "reference"
    if words[1] == "stylegan-v":
        shutil.copy(reference / "stylegan_v" / "tiny_checkpoint.pkl", words[2])
        return
    shutil.copy(reference / "long_video_gan" / "tiny_lres_checkpoint.pkl", words[words.index("--lowres") + 1])
    sizes = {"height": 72, "width": 128, "z_dim": 4, "w_dim": 4, "num_layers": 4, "channel_base": 128, "channel_max": 4}
    network = official(ModelConfig(superres=SuperResModel(**sizes)))["superres"]["G_ema"]
    written = file(described(network.tensors, _init_kwargs=network.arguments))
    Path(words[words.index("--superres") + 1]).write_bytes(written)


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_runs(example: str, run: Run) -> None:
    for folder in ("samples", "data"):
        run("data", "render", "toy-talk", folder, "-n", "24", "--frames", "16", "--size", "8", "--as", "png")
    with open("my_model.py", "w") as file:
        file.write(
            "import torch, vidbench\n"
            "class MyModel(vidbench.Generator):\n"
            "    size, fps = (16, 16), 25.0\n"
            "    def stream(self, seed):\n"
            "        while True:\n"
            "            yield torch.rand(3, 8, 16, 16, generator=torch.Generator().manual_seed(seed)) * 2 - 1\n"
        )
    words = example.split()[1:]
    if words[:2] == ["weights", "verify"]:
        for name in ("i3d_torchscript.pt", "i3d_pretrained_400.pt", "rgb_imagenet.pt"):
            torch.save({"weight": torch.zeros(3)}, name)
        assert "not" in run(*words, code=1).output
        return
    if words[0] == "show":
        models = [word for name in ("freeze", "loop", "noise") for word in ("--model", name)]
        run("eval", "--metric", "fvd16@4", *models, "--no-references", "--workers", "0")
        for path in Path("runs/records").glob("*.json"):
            path.rename(path.with_name(path.name.split("-")[1] + ".json"))
    if words[0] == "report":
        run("eval", "--metric", "fvd16@4", "--model", "noise", "--no-references", "--workers", "0")
    if words[0] == "import":
        official_files(words)
    if words[:2] == ["plot", "training"]:
        with Journal(Path("runs/stylegan-v/toy-ride-tiny"), "gan", 0) as journal:
            journal.write(1, loss=1.0)
    if words[0] in ("sample", "export"):
        untrained("long-video-gan" if "long-video-gan" in words else "stylegan-v")
    if "--image-model" in words:
        saved(Path("my-model"), plain_unet())
    takes_long = words[0] in LONG or words[:2] in DRY
    run(*words, *(["--dry-run"] if takes_long and "--dry-run" not in words else []))


def test_an_unknown_verb_is_answered_with_the_nearest(run: Run) -> None:
    assert "Did you mean eval?" in run("evil", code=2).output


def test_help_comes_in_under_half_a_second() -> None:
    command, seconds = [sys.executable, "-m", "vidbench", "--help"], []
    for _ in range(4):
        began = time.monotonic()
        subprocess.run(command, check=True, capture_output=True)
        seconds.append(time.monotonic() - began)
    assert min(seconds) < 0.5
