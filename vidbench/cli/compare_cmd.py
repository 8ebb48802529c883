"""`vidbench compare`."""

from pathlib import Path
from typing import Any

import click

from .common import debug_option, json_option, out_option, progress_bars, say, wide_console


@click.command("compare")
@click.argument("suite", default="toy", metavar="[NAME|FILE.yaml]")
@click.option("--launcher", type=click.Choice(["local", "slurm"]), default="local", show_default=True, help="Of jobs.")
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="Cells at once.  [default: 1; on a cluster all]")
@click.option("--partition", metavar="NAME", help="Of the cluster.  [default: the suite's]")
@click.option("--time", type=click.IntRange(min=1), metavar="MINUTES", help="Of one job.  [default: the suite's]")
@click.option("--memory", type=click.FloatRange(min=0, min_open=True), metavar="GB", help="Of one job.")
@click.option("--gpus", type=click.IntRange(min=0), metavar="N", help="Of one job.")
@click.option("--cpus", type=click.IntRange(min=1), metavar="N", help="Cores of one job.")
@click.option("--processes", type=click.IntRange(min=1), metavar="N", help="Of one job, by torchrun.")
@click.option("--device", metavar="NAME", help="Where networks run: cpu, cuda.  [default: the suite's]")
@click.option("--workers", type=click.IntRange(min=0), metavar="N", help="That read, of one job.")
@click.option("--cell", metavar="MODEL/DATA", help="Work on this cell alone, here, and not in a job.")
@out_option("Runs, records and logs go to DIR.")
@json_option
@click.option("--dry-run", is_flag=True, help="Say what would be done, and stop.")
@debug_option
def command(
    suite: str,
    launcher: str,
    jobs: int | None,
    cell: str | None,
    out: Path,
    as_json: bool,
    dry_run: bool,
    **values: Any,
) -> None:
    """Train, score and compare all models of a suite on its data sets; run again, it goes on where it stopped.

    A suite is a YAML file: models, data sets, metrics. Each model on each data set is a cell: it is trained where there
    is no checkpoint, in DIR or shipped, scored by every metric, sampled for vidbench report, and not touched again
    while what it rests on stays the same. A cell that fails is named at the end, and the others go on; the exit code
    is 1 then.

    \b
    # seven systems and the reference generators on the built-in data sets: how far is it, how long would it take?
    vidbench compare toy --dry-run
    # four of them as they ship, on few clips: nothing is trained
    vidbench compare demo
    # a few clips and a dozen training steps: does everything run?
    vidbench compare ci --jobs 2
    # every cell a job of a cluster
    vidbench compare toy --launcher slurm --partition gpu --gpus 1 --device cuda --time 240
    # one cell, in this process
    vidbench compare ci --cell freeze/toy-ride
    """
    from ..cells import cells, preflight, status
    from ..suites import load_suite

    found = cells(load_suite(suite, values), out)
    if cell is not None:
        found = [named(cell, found)]
        if not dry_run:
            work_on(found[0])
            return
    at_once = jobs or (1 if launcher == "local" else len(found))
    before = [status(each) for each in found]
    for line in preflight(before, at_once):
        say(line)
    if dry_run:
        return
    said = {state.cell: state.problem for state in before if state.problem}
    left_out = {state.cell: state.left_out for state in before if state.left_out}
    said |= run_jobs([state.cell for state in before if state.to_do], launcher, at_once)
    after = [status(each) for each in found if each not in left_out]
    failed = {state.cell: said.get(state.cell, str(state)) for state in after if state.records is None}
    show({state.cell: state.records for state in after if state.records is not None}, failed, left_out, as_json)
    if failed:
        raise click.exceptions.Exit(1)


def named(name: str, found: list[Any]) -> Any:
    """The cell of that name."""
    from ..registry import unknown

    by_name = {cell.name: cell for cell in found}
    if name not in by_name:
        raise unknown("cell", name, by_name)
    return by_name[name]


def work_on(cell: Any) -> None:
    """One cell, in this process or in those of `torchrun`."""
    from ..ranks import is_first, joined
    from ..training import Talk
    from ..work import run_cell
    from .train_cmd import bars

    with joined(cell.suite.device) as device, bars() as (track, status):
        run_cell(cell, device, Talk(track, say if is_first() else lambda line: None, status))
        if is_first():
            say(f"{cell.name}: finished ({cell.document})")


def run_jobs(left: list[Any], launcher: str, at_once: int) -> dict[Any, str]:
    """Run cells as jobs; the last that each said of an error."""
    if not left:
        return {}
    from ..jobs import launch

    with progress_bars() as track:
        return dict(track(launch(left, launcher, at_once, say), "cells", len(left)))


def show(records: dict[Any, Any], failed: dict[Any, str], left_out: dict[Any, str], as_json: bool) -> None:
    """All scores, what failed, and what was left out."""
    import json

    from ..suite_table import suite_tables

    if as_json:
        listed = [json.loads(record.model_dump_json()) for own in records.values() for record in own]
        why = {"failed": failed, "left_out": left_out}
        reasons = {key: {cell.name: text for cell, text in found.items()} for key, found in why.items()}
        click.echo(json.dumps({"records": listed, **reasons}, indent=1))
        return
    console = wide_console()
    for table in suite_tables(records, failed):
        console.print(table)
    for cell, text in left_out.items():
        say(f"left out: {cell.name}: {text}")
    for cell, text in failed.items():
        say(f"failed: {cell.name}: {text}")
