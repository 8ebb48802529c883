"""A suite's scores as tables: models x metrics, one a data set."""

from collections.abc import Iterator, Mapping

from rich import box
from rich.table import Table
from rich.text import Text

from .cells import Cell
from .record import Record
from .tables import FLOOR, grouped, number, shown_name


def suite_tables(records: Mapping[Cell, list[Record]], failed: Mapping[Cell, str]) -> Iterator[Table]:
    """One table a data set; what cannot be compared stands in columns of its own.

    Args:
        records: the scores of each finished cell.
        failed: the other cells, and why they failed.
    """
    all_cells = [*records, *failed]
    for data in dict.fromkeys(data for cell in all_cells for data in cell.suite.data):
        rows = {cell.entry.title: records.get(cell, []) for cell in all_cells if cell.data == data}
        columns = grouped(record for own in rows.values() for record in own)
        yield table(data, rows, columns)


def table(data: str, rows: Mapping[str, list[Record]], columns: list[list[Record]]) -> Table:
    """The scores of all models on one data set, best first by the first column."""
    title = Text(data, "bold")
    result = Table(title=title, title_justify="left", caption_justify="left", box=box.SIMPLE_HEAD, min_width=78)
    result.add_column("model")
    notes = ["± is one standard error (jackknife over videos)"]
    for column in columns:
        head = column[0]
        result.add_column(Text(f"{head.metric} {'↓' if head.better == 'lower' else '↑'}"), justify="right")
        height, width = head.protocol.size or (0, 0)
        notes.append(
            f"{head.metric}: {head.protocol.clips} clips a side, {height}x{width}, protocol {head.protocol_hash[:8]}"
        )
    if any(record.floor_of for column in columns for record in column):
        notes.append(f"† {FLOOR}")
    result.caption = Text("; ".join(notes))
    ranked = [record.model for record in columns[0]] if columns else []
    for model in [*ranked, *(model for model in rows if model not in ranked)]:
        own = rows[model]
        shown = [next((score(record) for record in column if record in own), "failed") for column in columns]
        result.add_row(Text(shown_name(own[0]) if own else model), *shown)
    return result


def score(record: Record) -> str:
    """A value and its standard error."""
    return number(record.value) + (f" ± {number(record.se)}" if record.se is not None else "")
