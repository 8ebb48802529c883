"""`vidbench plot`."""

from pathlib import Path
from typing import Any

import click

from .common import debug_option, out_option, progress_bars, request_from, say, scoring_options, wide_console

figure_option = out_option(
    "The figure (.png, .pdf, .svg); or a folder, whose sub-folder records gets it.", metavar="FILE|DIR"
)


@click.group("plot")
def command() -> None:
    """Draw figures; what is missing for them is scored first.

    \b
    vidbench plot color-drift --out color-drift.png
    vidbench plot fvd --out fvd.pdf
    vidbench plot training
    """


@command.command("color-drift")
@figure_option
@scoring_options
def color_drift(out: Path, as_json: bool, dry_run: bool, **values: Any) -> None:
    """Colour similarity S(x, t) over frame separation t: does the world change at the right pace?

    The curve of the real videos and of every generator, mean over clips, after Figure 5 of LongVideoGAN; the band of
    one standard deviation is drawn of the real videos, and of up to four generators. Below it, one number a generator:
    the signed area between its curve and that of the real videos.

    \b
    # the reference generators on toy-ride
    vidbench plot color-drift
    # your videos against real ones, as a vector figure
    vidbench plot color-drift --fake samples --real data --clips 24 --out drift.pdf
    # another data set
    vidbench plot color-drift --data toy-talk --clips 64 --out talk.png
    """
    draw(["color-drift"], "color-drift", out, as_json, dry_run, values)


@command.command("drift")
@figure_option
@scoring_options
def drift(out: Path, as_json: bool, dry_run: bool, **values: Any) -> None:
    """Fréchet distance of generated videos window by window: does quality hold over a long video?

    \b
    # the reference generators on toy-ride
    vidbench plot drift
    # longer videos
    vidbench plot drift --set frames=1024 --clips 64
    """
    draw(["drift"], "drift", out, as_json, dry_run, values)


@command.command("fvd")
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    default=["fvd16", "fvd128"],
    show_default=True,
    metavar="NAME",
    help="Which Fréchet distances; repeatable.",
)
@figure_option
@scoring_options
def fvd(metrics: tuple[str, ...], out: Path, as_json: bool, dry_run: bool, **values: Any) -> None:
    """Fréchet video distances of all generators, with their errors.

    \b
    # the reference generators on toy-ride
    vidbench plot fvd
    # one metric, your videos
    vidbench plot fvd --metric fvd16 --backbone toy3d --fake samples --real data --clips 24 --out fvd.svg
    """
    draw(metrics, "fvd", out, as_json, dry_run, values)


@command.command("training")
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path), metavar="[RUN]...")
@figure_option
@click.option("--dry-run", is_flag=True, help="Say what would be drawn, and stop.")
@debug_option
def training(runs: tuple[Path, ...], out: Path, dry_run: bool) -> None:
    """Learning curves: losses, and the metric that checkpoints are chosen by, over training steps.

    RUN is a run's folder, or one with runs below it; without any, all runs below --out are drawn.

    \b
    # all runs below runs
    vidbench plot training
    # one of them, as a vector figure
    vidbench plot training runs/stylegan-v/toy-ride-tiny --out curves.pdf
    """
    from ..curves import find_runs, training_figure
    from ..figures import save_figure

    below, figure = places(out, "training")
    found = [run for folder in runs or (below,) for run in find_runs(folder)]
    if not dry_run:
        save_figure(figure, training_figure(found))
    say(f"Figure: {figure}. Runs: {', '.join(map(str, found))}.")


def places(out: Path, name: str) -> tuple[Path, Path]:
    """The folder of runs and records, and the figure's file, that `--out` means.

    Raises:
        UserError: a file whose ending is none of a figure.
    """
    from ..figures import check_format

    figure = out if out.suffix else out / "records" / f"{name}.png"
    check_format(figure)
    return Path("runs") if out.suffix else out, figure


def draw(
    metrics: list[str] | tuple[str, ...], name: str, out: Path, as_json: bool, dry_run: bool, values: dict[str, Any]
) -> None:
    """Score what is missing, then draw."""
    from ..evaluation import evaluate
    from ..figures import color_drift_figure, drift_figure, fvd_figure, save_figure
    from ..ranks import is_first

    runs, figure = places(out, name)
    with progress_bars() as track:
        records = evaluate(request_from(metrics, runs, values), track, say, dry_run=dry_run)
    if dry_run or not is_first():
        return
    make = {"color-drift": color_drift_figure, "drift": drift_figure, "fvd": fvd_figure}[name]
    save_figure(figure, make(records))
    if as_json:
        click.echo("[" + ",\n".join(record.model_dump_json() for record in records) + "]")
    elif name == "color-drift":
        print_pace(records)
    say(f"Figure: {figure}. Records: {runs / 'records'}.")


def print_pace(records: list[Any]) -> None:
    """The pace of every model in one number, on standard output."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from ..report_formats import cell
    from ..report_tables import pace

    found = pace(records)
    shown = Table(title=Text(found.title, "bold"), caption=Text(found.note), box=box.SIMPLE_HEAD)
    shown.title_justify = shown.caption_justify = "left"
    for key, label in found.shown.items():
        shown.add_column(label, justify="right" if found.numeric(key) else "left")
    for row in found.rows:
        shown.add_row(*(Text(cell(row[key])) for key in found.shown))
    console = wide_console()
    console.print(shown)
