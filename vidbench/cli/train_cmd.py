"""`vidbench train`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from .common import debug_option, json_option, out_option, say


@click.command("train")
@click.option("--model", default="stylegan-v", show_default=True, metavar="NAME", help="The system to train.")
@click.option("--stage", "stages", multiple=True, metavar="NAME", help="Train this stage; repeatable.  [default: all]")
@click.option("--data", default="toy-ride", show_default=True, metavar="NAME", help="Data set, by name.")
@click.option("--content-dataset", metavar="NAME|PATH", help="Of MoCoGAN-HD: what things look like.  [default: --data]")
@click.option("--motion-dataset", metavar="NAME|PATH", help="Of MoCoGAN-HD: how they move.  [default: --data]")
@click.option(
    "--image-model",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Of Video LDM: an image model of diffusers to start from.",
)
@click.option("--prompt", metavar="TEXT", help="Of Video LDM: what the videos show, for an image model with text.")
@click.option("--real", metavar="PATH", help="Train on these videos instead: a folder, zip or array file.")
@click.option("--split", metavar="NAME", help="Split of the videos.  [default: train]")
@click.option(
    "--backbone", metavar="NAME", help="What checkpoints are scored with.  [default: toy3d for toy sets, else i3d]"
)
@click.option("--tier", metavar="NAME", help="Configuration that ships.  [default: tiny]")
@click.option(
    "--config", "config_path", type=click.Path(path_type=Path), metavar="FILE", help="Configuration of your own."
)
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change one value of it; repeatable.")
@click.option(
    "--steps", type=click.IntRange(min=1), metavar="N", help="Stop each stage here.  [default: the configuration's]"
)
@out_option("The run goes to DIR/<model>/<data>-<tier>.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, metavar="N", help="Of all draws.")
@click.option("--device", default="cpu", show_default=True, metavar="NAME", help="cpu, cuda, cuda:1.")
@click.option("--workers", type=click.IntRange(min=0), default=1, show_default=True, metavar="N", help="That read.")
@json_option
@click.option("--dry-run", is_flag=True, help="Say what would be trained, and stop.")
@debug_option
def command(
    as_json: bool,
    dry_run: bool,
    content_dataset: str | None,
    motion_dataset: str | None,
    image_model: Path | None,
    prompt: str | None,
    changes: tuple[str, ...],
    **values: Any,
) -> None:
    """Train a system, stage after stage; run again, it goes on where it stopped.

    Checkpoints, sample grids, a log and TensorBoard's files go to the run's folder. Ctrl-C ends after the current step,
    or breaks off a score, which is made when the run goes on.

    \b
    # StyleGAN-V on the built-in toy-ride, about twenty minutes on two cores
    vidbench train
    # how far it is
    vidbench plot training
    # your own videos, another size
    vidbench train --model stylegan-v --real data --tier small
    # what would be trained
    vidbench train --tier paper-sky-timelapse --dry-run
    # the look of one data set, the motion of another
    vidbench train --model mocogan-hd --content-dataset toy-sky --motion-dataset toy-ride
    # temporal layers in an image model of yours
    vidbench train --model video-ldm --image-model my-model --stage temporal
    # two processes
    torchrun --nproc-per-node 2 -m vidbench train --model stylegan-v
    """
    import json

    from ..ranks import is_first, joined
    from ..runs import describe_run, open_run
    from ..training import Talk, train

    with joined(values["device"]) as device, bars() as (track, status):
        speak = say if is_first() else lambda line: None
        given = {"content": content_dataset, "motion": motion_dataset}
        domains = {domain: name for domain, name in given.items() if name}
        parts = {"image_model": None if image_model is None else str(image_model), "prompt": prompt}
        changes += tuple(f"model.{key}={json.dumps(text)}" for key, text in parts.items() if text is not None)
        run, stages = open_run(**{**values, "device": device}, changes=changes, domains=domains)
        for line in describe_run(run, stages, values["steps"]):
            speak(line)
        if dry_run:
            if as_json and is_first():
                click.echo(json.dumps(run.describe(), indent=1))
            return
        train(run, stages, values["steps"], Talk(track, speak, status))
        if as_json and is_first():
            click.echo(json.dumps({"folder": str(run.folder), **run.describe()}, indent=1))
        speak(f"Sample it: vidbench sample --model {run.model} --checkpoint {run.folder}")


@contextmanager
def bars() -> Iterator[tuple[Any, Any]]:
    """Progress bars on standard error with a line for the state of the losses."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from ..ranks import is_first

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[status]}"),
    )
    shown = console.is_terminal and is_first()
    with Progress(*columns, console=console, transient=True, disable=not shown) as progress:

        def track(items: Any, label: str, total: int) -> Iterator[Any]:
            task = progress.add_task(label, total=total, status="")
            for item in items:
                yield item
                progress.advance(task)
            progress.remove_task(task)

        def status(text: str) -> None:
            progress.update(progress.task_ids[0], status=text)

        yield track, status
