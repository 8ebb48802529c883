"""`vidbench show`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from .common import debug_option, json_option


@click.command("show")
@click.argument("records", nargs=-1, required=True, metavar="RECORD...", type=click.Path(path_type=Path))
@json_option
@debug_option
def command(records: tuple[Path, ...], as_json: bool) -> None:
    """One record: ready for a paper. Two or more: which is better, and is the difference more than chance?

    Of one record: the score, its whole protocol in one sentence, BibTeX of what it rests on, and a row of a LaTeX
    table. Of several: their differences, by a jackknife that is paired where they were scored against the same real
    clips. Records that cannot be compared are refused (exit code 2), with every field in which they differ.

    \b
    vidbench show runs/records/freeze.json
    vidbench show runs/records/freeze.json runs/records/loop.json
    vidbench show runs/records/freeze.json runs/records/loop.json runs/records/noise.json --json
    """
    from ..comparison import difference, ranking, told_apart
    from ..prose import difference_sentence
    from ..record import load_record

    loaded = told_apart([load_record(path) for path in records])
    if len(loaded) == 1:
        show_one(loaded[0], as_json)
    elif len(loaded) == 2:
        found = difference(*loaded)
        if as_json:
            click.echo(json.dumps({**asdict(found), "sentence": difference_sentence(found)}, indent=1))
            return
        show_scores(loaded)
        click.echo(difference_sentence(found))
    else:
        ranked = ranking(loaded)
        if as_json:
            rows = [
                {"model": record.model, "value": record.value, "se": record.se, "to_the_best": asdict(found)}
                for record, found in ranked
            ]
            click.echo(json.dumps(rows, indent=1))
            return
        show_ranking(ranked)


def show_one(record: Any, as_json: bool) -> None:
    """Everything that a paper needs of one record."""
    from ..prose import bibtex, latex, score_line, sentence

    if as_json:
        words = {"score": score_line(record), "sentence": sentence(record), "bibtex": bibtex(record)}
        words["latex"] = latex(record)
        click.echo(json.dumps({**words, "record": record.model_dump(mode="json")}, indent=1))
        return
    show_scores([record])
    for title, text in (("Sentence", sentence(record)), ("BibTeX", bibtex(record)), ("LaTeX", latex(record))):
        click.echo(f"\n{click.style(title, bold=True)}\n\n{text}")


def show_scores(records: list[Any]) -> None:
    """The scores, a line each, with everything that a reader should know before believing them."""
    from ..prose import score_line
    from ..tables import FLOOR

    for record in records:
        click.echo(score_line(record))
        for warning in [*record.warnings, *([FLOOR] if record.floor_of else [])]:
            click.echo(f"  warning: {warning}")


def show_ranking(ranked: list[Any]) -> None:
    """A table, best first, with every record's difference to the best."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from ..prose import plus_minus, real_set, would_do
    from ..tables import FLOOR, shown_name

    best = ranked[0][0]
    caption = (
        f"{best.better} is better; ± is one standard error, of a difference that of the jackknife (* not paired:"
        " other real clips or groups); verdicts at 95 %, each for itself"
    )
    if any(record.floor_of for record, _ in ranked):
        caption += f"; † {FLOOR}"
    title = Text(f"{best.metric} against {real_set(best)}", "bold")
    table = Table(title=title, caption=caption, title_justify="left", caption_justify="left", box=box.SIMPLE_HEAD)
    for name in ("model", "value", "difference to the best", "verdict"):
        table.add_column(name, justify="left" if name in ("model", "verdict") else "right")
    for record, found in ranked:
        words = {
            "worse": "worse",
            "undecided": f"cannot be told apart with {found.clips:,} clips; {would_do(found)}",
            "same": "the same" if record is not best else "best",
        }
        apart = "" if record is best else plus_minus(found.value, found.se) + ("" if found.paired else " *")
        verdict = words.get(found.verdict, "no error to judge by")
        table.add_row(Text(shown_name(record)), plus_minus(record.value, record.se), apart, verdict)
    Console().print(table)
    for record, _ in ranked:
        for warning in record.warnings:
            click.echo(f"warning: {record.model}: {warning}")
