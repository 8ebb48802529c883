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
from vidbench.checkpoints import About, save_checkpoint
from vidbench.cli import cli
from vidbench.journal import Journal
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
LONG = ["eval", "plot", "sanity", "train", "sample"]
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


def untrained(folder: Path) -> None:
    """A run of StyleGAN-V at its very beginning."""
    system = load_system("stylegan-v")
    settings = load_settings(system, "stylegan-v", "tiny", None, ())
    about = About(
        model="stylegan-v", stage="gan", step=0, config=settings.model_dump(mode="json"), tier="tiny", data="toy-ride",
        size=(32, 32), fps=25, seed=0
    )  # fmt: skip
    stage = system.stages["gan"](settings, Origin((32, 32), 25.0), "cpu", {})
    save_checkpoint(folder / "gan" / "last.safetensors", about, stage.state())


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
    if words[0] == "import":
        shutil.copy(Path(__file__).parents[1] / "reference" / "stylegan_v" / "tiny_checkpoint.pkl", words[2])
    if words[:2] == ["plot", "training"]:
        with Journal(Path("runs/stylegan-v/toy-ride-tiny"), "gan", 0) as journal:
            journal.write(1, loss=1.0)
    if words[0] == "sample":
        untrained(Path("runs/stylegan-v/toy-ride-tiny"))
    takes_long = words[0] in LONG or words[:2] in DRY
    run(*words, *(["--dry-run"] if takes_long and "--dry-run" not in words else []))


def test_an_unknown_verb_is_answered_with_the_nearest(run: Run) -> None:
    assert "Did you mean eval?" in run("evil", code=2).output


def test_help_comes_in_under_half_a_second() -> None:
    command = [sys.executable, "-m", "vidbench", "--help"]
    subprocess.run(command, check=True, capture_output=True)
    began = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    assert time.monotonic() - began < 0.5


def test_help_imports_neither_torch_nor_numpy() -> None:
    script = "import sys; from vidbench.cli import cli; cli(['--help'], standalone_mode=False); print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout.split()
    assert not {"torch", "numpy", "matplotlib", "pydantic", "rich"} & set(modules)
