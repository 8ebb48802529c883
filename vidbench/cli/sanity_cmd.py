"""`vidbench sanity`."""

from pathlib import Path
from typing import Any

import click

from .common import (
    Size,
    debug_option,
    json_option,
    options,
    out_option,
    progress_bars,
    reading_options,
    require_one_real,
    say,
)

sanity_options = options(
    click.option("--real", metavar="PATH", help="Real videos: a folder, zip or array file."),
    click.option("--data", metavar="NAME", help="Real videos: a data set by name.  [default: toy-ride]"),
    click.option("--split", metavar="NAME", help="Split of the real videos.  [default: train]"),
    click.option("--clips", type=click.IntRange(min=2), metavar="N", help="Clips of a row, n.  [default: 256]"),
    click.option("--size", type=Size(), help="Bring clips to this size.  [default: the real videos' commonest]"),
    click.option("--backbone", metavar="NAME", help="Network under test.  [default: toy3d for toy sets, else i3d]"),
    click.option("--skip-bad", is_flag=True, help="Leave out unreadable videos."),
    click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change one value of the protocol."),
    reading_options,
    click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, metavar="N", help="First seed."),
    click.option("--seeds", type=click.IntRange(min=1), default=1, show_default=True, metavar="N", help="How many."),
    click.option("--device", default="cpu", show_default=True, metavar="NAME", help="Where the backbone runs."),
    click.option(
        "--precision",
        type=click.Choice(["float32", "bfloat16"]),
        default="float32",
        show_default=True,
        help="Of the backbone.",
    ),
    click.option(
        "--weights",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        help="The backbone's weights.  [default: the cache]",
    ),
    click.option(
        "--workers",
        type=click.IntRange(min=0),
        metavar="N",
        help="Processes that read and spoil clips.  [default: one a core]",
    ),
    json_option,
    click.option("--dry-run", is_flag=True, help="Say what would be done, and stop."),
    debug_option,
)
PASSED = ("clips", "size", "backbone", "skip_bad", "device", "precision", "weights", "workers")


@click.command("sanity")
@click.option("--metric", default="fvd16", show_default=True, metavar="NAME|FILE.yaml", help="The metric under test.")
@out_option("Report, table and figure go to DIR/sanity.")
@sanity_options
@click.pass_context
def command(
    ctx: click.Context,
    /,
    metric: str,
    out: Path,
    seed: int,
    seeds: int,
    as_json: bool,
    dry_run: bool,
    **values: Any,
) -> None:
    """Does a metric see motion? Real clips are spoilt by known amounts, and its scores judged.

    Every corruption of frames (noise, blur, ...) and of motion (swaps, freezing, jitter, ...) must raise the score, and
    more of it must raise it more; what changes nothing must not; and a warp that is drawn anew each frame must cost
    more than the same warp held still. The exit code is 0 where all that holds, and 1 where it does not.

    \b
    # is fvd16 with the built-in backbone to be trusted?
    vidbench sanity
    # the same twice, with different clips and corruptions
    vidbench sanity --seeds 2
    # another backbone, on your own videos
    vidbench sanity --metric fvd16 --backbone motion3d --real data
    # a quick look
    vidbench sanity --metric color-drift --clips 16
    """
    from ..contenders import Request, build_evaluator
    from ..figures import save_figure
    from ..files import check_writable
    from ..sanity import CLIPS, check_sanity, preflight
    from ..sanity_figure import sanity_figure
    from ..sanity_report import save_report

    require_one_real(values)
    check_writable(out / "sanity")
    names = ("real", "data", "split", "key", "value_range", "kind", "changes")
    request = Request(metrics=(metric,), out=out, **{name: values[name] for name in names})
    given = {name: values[name] for name in PASSED}
    given["clips"] = given["clips"] or (None if "@" in metric else CLIPS)
    trials = range(seed, seed + seeds)
    with progress_bars() as track:
        evaluator = build_evaluator(request, metric, {**given, "seed": seed, "track": track})
        for line in preflight(evaluator, trials):
            say(line)
        if dry_run:
            return
        report = check_sanity(evaluator, trials)
    path = save_report(report, out / "sanity")
    save_figure(path.with_suffix(".png"), sanity_figure(report))
    if as_json:
        click.echo(report.model_dump_json())
    else:
        print_report(report)
    for line in report.failures():
        say(f"fails: {line}")
    say(f"Report, table and figure: {path.with_suffix('')}.json, .md, .png.")
    if not report.passed:
        ctx.exit(1)


def print_report(report: Any) -> None:
    """A table a seed on standard output."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from ..sanity_report import cell_of, cells, summary

    console = Console()
    for trial in report.trials:
        table = Table(
            title=Text(report.heading(), "bold"),
            caption=f"{cell_of(trial, brief=True)} at each level; {summary(trial)}",
            title_justify="left",
            caption_justify="left",
            box=box.SIMPLE_HEAD,
        )
        for name in ("corruption", "level 1", "2", "3", "4", "5", "verdict"):
            table.add_column(name, justify="right" if name[-1].isdigit() else "left", no_wrap=True)
        for _, name, shown, verdict in cells(trial, brief=True):
            style = "red" if verdict.startswith("fails") else ""
            table.add_row(name, *shown, *[""] * (5 - len(shown)), verdict, style=style)
        console.print(table)
