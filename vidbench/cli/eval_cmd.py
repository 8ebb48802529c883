"""`vidbench eval`."""

from pathlib import Path
from typing import Any

import click

from .common import out_option, progress_bars, request_from, say, scoring_options, wide_console


@click.command("eval")
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    default=["fvd16"],
    show_default=True,
    metavar="NAME|FILE.yaml",
    help="A metric of vidbench list (fvd16@512 for 512 clips), or a protocol's file; repeatable.",
)
@out_option("Records and contact sheets go to DIR/records.")
@scoring_options
def command(metrics: tuple[str, ...], out: Path, as_json: bool, dry_run: bool, **values: Any) -> None:
    """Score generated videos against real ones.

    Every score becomes a record (JSON, with protocol and provenance) and a contact sheet of what was compared. The
    reference generators stand beside every score: `real` is the floor, `freeze`, `loop`, `shuffle` and `noise` each
    break one thing. What has a record already is not computed again.

    \b
    # the reference generators on the built-in toy-ride data set
    vidbench eval
    # 128-frame clips, two metrics at once
    vidbench eval --metric fvd128 --metric color-drift
    # any two folders, zips or arrays
    vidbench eval --metric fvd16 --backbone toy3d --fake samples --real data --clips 24
    # your generator, from one file
    vidbench eval --metric fvd16 --model my_model.py:MyModel --clips 64
    # what would be done, and how long it would take
    vidbench eval --metric fvd128 --data toy-sky --dry-run
    # for scripts
    vidbench eval --metric fvd16@64 --no-references --model freeze --json
    """
    from ..evaluation import evaluate
    from ..ranks import is_first

    with progress_bars() as track:
        records = evaluate(request_from(metrics, out, values), track, say, dry_run=dry_run)
    if not is_first():
        return
    if as_json:
        click.echo("[" + ",\n".join(record.model_dump_json() for record in records) + "]")
    elif records:
        print_tables(records)
        say(f"Records and contact sheets: {out / 'records'}. Draw them: vidbench plot fvd, vidbench plot color-drift.")


def print_tables(records: list[Any]) -> None:
    """Tables of records on standard output."""
    from ..tables import grouped, table

    console = wide_console()
    for group in grouped(records):
        console.print(table(group))
