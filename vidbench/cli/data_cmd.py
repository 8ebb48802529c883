"""`vidbench data`."""

import json
import shlex
from pathlib import Path
from typing import Any

import click

from .common import Size, debug_option, json_option, progress_bars, reading_options, say


@click.group("data")
def command() -> None:
    """Look at videos; prepare them as the papers do; write toy videos.

    \b
    vidbench data inspect samples
    vidbench data convert samples out.zip --size 32
    vidbench data render toy-ride videos -n 4
    """


@command.command("inspect")
@click.argument("source", metavar="PATH|NAME")
@click.option("--split", metavar="NAME", help="Which split, where there are several.  [default: train]")
@click.option("--size", type=Size(), help="Which resolution, where several are stored.")
@reading_options
@click.option("--workers", type=click.IntRange(min=0), metavar="N", help="Processes that read.  [default: one a core]")
@json_option
@click.option("--dry-run", is_flag=True, help="Say what is there, without reading the videos.")
@debug_option
def inspect_command(source: str, workers: int | None, as_json: bool, dry_run: bool, **values: Any) -> None:
    """What is in a folder, zip, array file or data set: counts, lengths, sizes, rates, and what looks wrong.

    \b
    vidbench data inspect samples
    vidbench data inspect toy-sky --split test --dry-run
    vidbench data inspect data --json
    """
    import os

    from ..inspection import inspect_source

    opened = open_named(source, values, values["size"])
    split = f" ({opened.split})" if opened.split else ""
    say(f"{opened.name}{split}: {len(opened.videos)} videos, fingerprint {opened.fingerprint[:12]}")
    if dry_run:
        return
    with progress_bars() as track:
        facts = inspect_source(opened, (os.cpu_count() or 1) if workers is None else workers, track)
    if as_json:
        click.echo(json.dumps(facts, indent=1))
        return
    warnings = facts.pop("warnings")
    for what, value in facts.items():
        if isinstance(value, dict):
            value = ", ".join(f"{name}: {count}" for name, count in value.items()) or "none"
        click.echo(f"{what + ':':24} {value if value not in (None, []) else 'none'}")
    for warning in warnings:
        click.echo(f"warning: {warning}")


@command.command("render")
@click.argument("name", metavar="NAME")
@click.argument("destination", type=click.Path(path_type=Path), metavar="DST")
@click.option(
    "-n", "count", type=click.IntRange(min=1), default=8, show_default=True, metavar="N", help="How many videos."
)
@click.option(
    "--frames", type=click.IntRange(min=1), default=128, show_default=True, metavar="T", help="Frames of each."
)
@click.option("--size", type=Size(), default=(64, 64), show_default="64", help="Their size.")
@click.option("--split", metavar="NAME", help="Which split.  [default: train]")
@click.option(
    "--as",
    "form",
    type=click.Choice(["mp4", "png", "zip", "npy"]),
    default="mp4",
    show_default=True,
    help="mp4 files to look at; frame folders, a zip of them or an array, lossless, to score.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be written, and stop.")
@debug_option
def render(
    name: str,
    destination: Path,
    count: int,
    frames: int,
    size: tuple[int, int],
    split: str | None,
    form: str,
    dry_run: bool,
) -> None:
    """Write videos of a toy data set.

    \b
    # eight videos to look at
    vidbench data render toy-ride videos
    # lossless clips to score
    vidbench data render toy-talk talk.zip -n 32 --frames 16 --size 32 --as zip
    """
    from ..datasets import load_dataset
    from ..errors import UserError
    from ..writing import WRITERS

    card = load_dataset(name)
    if not card.frames:
        raise UserError(f"{name} is not rendered by vidbench, but read from disk. Render one of the toy data sets.")
    if frames > card.frames:
        raise UserError(f"Videos of {name} have {card.frames} frames; --frames {frames} is more.")
    if count > card.videos:
        raise UserError(f"A split of {name} has {card.videos} videos; -n {count} is more.")
    if destination.is_file() or (destination.is_dir() and any(destination.iterdir())):
        raise UserError(f"{destination} exists already. Choose another place, or remove it.")
    source = card.source(split, size)
    say(f"{count} videos of {frames} frames, {size[0]}x{size[1]}, {name} ({source.split}), as {form}: {destination}")
    if dry_run:
        return
    with progress_bars() as track:
        videos = track(source.videos[:count], f"render {name}", count)
        WRITERS[form](destination, ((video.key, source.read(video, 0, frames)) for video in videos), card.fps or 25)
    say(f"Look at it: vidbench data inspect {destination}")


@command.command("convert")
@click.argument("source", metavar="SRC")
@click.argument("destination", type=click.Path(path_type=Path), metavar="DST.zip")
@click.option("--size", type=Size(), required=True, help="Size of the frames to write.")
@click.option(
    "--as",
    "form",
    type=click.Choice(["styleganv", "longvideogan"]),
    default="styleganv",
    show_default=True,
    help="Whose layout and preparation.",
)
@click.option(
    "--fps",
    type=click.FloatRange(min=0, min_open=True),
    metavar="F",
    help="Thin out to so many frames a second.  [default: all frames]",
)
@click.option("--split", metavar="NAME", help="Which split, where there are several.  [default: train]")
@reading_options
@click.option("--skip-bad", is_flag=True, help="Leave out unreadable videos, and count them.")
@click.option("--workers", type=click.IntRange(min=1), metavar="N", help="Processes.  [default: one a core]")
@click.option("--dry-run", is_flag=True, help="Say what would be written, and stop.")
@debug_option
def convert(
    source: str,
    destination: Path,
    size: tuple[int, int],
    form: str,
    fps: float | None,
    skip_bad: bool,
    workers: int | None,
    dry_run: bool,
    **opening: Any,
) -> None:
    """Prepare videos for training and scoring, as the papers' own tools do; run it again to go on after a stop.

    SRC is a folder, zip or array file of videos, or a data set's name. For StyleGAN-V, frames are shrunk and then
    cropped to a square, and DST.zip holds one folder of frames a video. For LongVideoGAN, they are cropped to the
    aspect ratio and then shrunk, and DST.zip is one shard; if DST does not end in .zip, it is the folder of all
    resolutions. DST.zip.json says how the zip was made.

    \b
    # 32x32, JPEG of quality 75
    vidbench data convert samples out.zip --size 32
    # the first shard of LongVideoGAN's layout: horses/0036x0064/partition_0000.zip
    vidbench data convert samples horses --size 36x64 --as longvideogan
    # how large would it be at half the frame rate?
    vidbench data convert toy-ride rides.zip --size 64 --fps 12.5 --dry-run
    """
    import os

    from ..conversion import Conversion
    from ..preparation import Settings

    conversion = Conversion(open_to_convert(source, size, opening), destination, Settings(form, size, fps))
    record = conversion.record
    if record:
        say(f"{conversion.path} is done already.")
    else:
        for line in [*conversion.source.notes, *conversion.preflight(skip_bad)]:
            say(line)
        if dry_run:
            return
        with progress_bars() as track:
            record = conversion.run(workers or os.cpu_count() or 1, skip_bad, track, say)
    counts = record["counts"]
    skipped = f"; {counts['skipped']} unreadable videos left out" if counts["skipped"] else ""
    say(f"{counts['videos']} videos, {counts['frames']} frames, {counts['bytes'] / 1e6:.1f} MB{skipped}")
    say(f"Look at it: vidbench data inspect {shlex.quote(str(conversion.path))}")


def open_to_convert(source: str, size: tuple[int, int], opening: dict[str, Any]) -> Any:
    """The `Source` to convert; procedural sets are rendered at the size wanted."""
    from ..errors import UserError
    from ..sides import named_dataset

    card = named_dataset(source)
    try:
        return open_named(source, opening, size if card and card.path is None else None)
    except UserError as error:  # here, --size is that of the frames to write
        raise UserError(str(error).replace("with --size HxW", "by giving its folder")) from error


def open_named(source: str, opening: dict[str, Any], size: tuple[int, int] | None) -> Any:
    """The `Source` at a path, or of a data set's name."""
    from ..contenders import Request, open_real
    from ..sides import named_dataset

    asked = {name: opening[name] for name in ("key", "value_range", "kind")}
    request = Request(data=source, **asked) if named_dataset(source) else Request(real=source, **asked)
    return open_real(request, opening["split"], size)
