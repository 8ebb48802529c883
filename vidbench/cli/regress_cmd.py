"""`vidbench regress`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from .common import debug_option, json_option, progress_bars, say


@click.command("regress")
@click.option("--model", "models", multiple=True, metavar="NAME", help="Check this, or metrics.  [default: all]")
@click.option(
    "--baselines",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Configurations and bands of your own, as <model>.yaml and .json.  [default: what ships]",
)
@click.option("--update", is_flag=True, help="Measure the bands anew instead, and write them.")
@click.option("--reason", metavar="TEXT", help="Of --update: what changed, and why that is right; it is recorded.")
@json_option
@click.option("--dry-run", is_flag=True, help="Say what would be checked, and stop.")
@debug_option
@click.pass_context
def command(
    ctx: click.Context,
    models: tuple[str, ...],
    baselines: Path | None,
    update: bool,
    reason: str | None,
    as_json: bool,
    dry_run: bool,
) -> None:
    """Did a change of code change numbers? Models are trained for a few steps, and evaluated; vidbench's metrics, too.

    Losses, parameters, videos and scores are held against bands that span what rounding does: one thread or two, with
    and without AVX-512. The exit code is 0 where all are within, and 1 where one is not, with a table of what moved. It
    runs on the CPU and needs no download. A model of your own joins by its entry point and a configuration of a dozen
    steps in a folder.

    \b
    # everything that ships, in about a minute
    vidbench regress
    # one model; the metrics alone
    vidbench regress --model stylegan-v
    vidbench regress --model metrics
    # the numbers changed, and they should: write bands, and why
    vidbench regress --model stylegan-v --update --reason longer-warmup
    """
    import json

    from .. import regression

    if update and not (reason and reason.strip()):
        raise click.UsageError("--update rewrites what numbers are held to: say why, with --reason TEXT.")
    if reason and not update:
        raise click.UsageError("--reason is for --update, which is missing.")
    folder = baselines or regression.shipped()
    chosen = list(dict.fromkeys(models)) or regression.subjects(folder)
    for line in regression.preflight(chosen, folder, update):
        say(line)
    if dry_run:
        return
    with progress_bars() as track:
        if update:
            assert reason is not None
            paths = [str(regression.update(subject, folder, reason, track)) for subject in chosen]
        else:
            checks = [regression.check(subject, folder) for subject in track(chosen, "regress", len(chosen))]
    if update:
        say(f"Bands: {', '.join(paths)}.")
        if as_json:
            click.echo(json.dumps(paths))
        return
    if as_json:
        click.echo(json.dumps({found.subject: found.document() for found in checks}, indent=1))
    else:
        print_checks(checks)
    for found in checks:
        say(found.summary())
    if not all(found.passed for found in checks):
        ctx.exit(1)


def print_checks(checks: Sequence[Any]) -> None:
    """A table of what moved on standard output, if anything did."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    for found in checks:
        if not found.moved:
            continue
        table = Table(
            title=Text(f"{found.subject}: what moved, in the order in which it was read", "bold"),
            title_justify="left",
            box=box.SIMPLE_HEAD,
        )
        for name in ("reading", "out of", "first at", "value", "band", "half widths off"):
            table.add_column(name, justify="left" if name == "reading" else "right")
        for moved in found.moved:
            table.add_row(Text(moved.reading), *moved.cells())
        Console().print(table)
