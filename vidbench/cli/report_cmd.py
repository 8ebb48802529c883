"""`vidbench report`."""

from pathlib import Path

import click

from .common import debug_option, json_option, out_option, progress_bars, say


@click.command("report")
@click.argument(
    "folders",
    nargs=-1,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="[FOLDER]...",
)
@out_option("The page and its tables go into DIR.", "runs/report")
@json_option
@click.option("--dry-run", is_flag=True, help="Say what would be shown, and stop.")
@debug_option
def command(folders: tuple[Path, ...], out: Path, as_json: bool, dry_run: bool) -> None:
    """One page of all scores: leaderboard, pace, long videos, samples, training, papers, provenance.

    The page needs no network and nothing but itself. Its tables lie beside it as Markdown, CSV and LaTeX (booktabs).
    FOLDER holds records, runs and sampled videos, at any depth; without any, runs is taken. Only scores that are
    comparable stand in one table.

    \b
    # everything in runs
    vidbench report
    # only some records, to another place
    vidbench report runs/records --out report
    """
    from ..report import gather, write_report

    material = gather(folders or (Path("runs"),))
    say(f"{material.summary()}; page: {out / 'index.html'}")
    if dry_run:
        return
    with progress_bars() as track:
        written = write_report(material, out, track)
    if as_json:
        import json

        click.echo(json.dumps([str(path) for path in written], indent=1))
    else:
        say(f"Report: {written[0]}. Tables: {', '.join(path.name for path in written[1:])}.")
