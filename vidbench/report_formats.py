"""Tables in four forms: on the page as cells, and as Markdown, CSV and LaTeX (booktabs)."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .prose import escaped, in_maths
from .tables import number

Cell = str | float | int | None
SIGNS = {"†": r"$\dagger$", "‡": r"$\ddagger$", "→": r"$\to$", "∞": r"$\infty$", "↓": r"$\downarrow$"}
SIGNS |= {"↑": r"$\uparrow$", "±": r"$\pm$", "×": r"$\times$"}
FORMULAS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # the last four: their full-width forms


@dataclass(frozen=True)
class Table:
    """One table over comparable records."""

    kind: str
    """`leaderboard`, `pace`, `windows` or `published`: tables of one kind have the same columns, and share a CSV."""
    title: str
    """What it is about."""
    note: str
    """Under which protocol, and how to read it."""
    about: Mapping[str, Cell]
    """What all rows share, for the CSV."""
    labels: Mapping[str, str]
    """The columns shown: heading by key."""
    rows: Sequence[Mapping[str, Cell]]
    """Cells by key."""

    @property
    def shown(self) -> dict[str, str]:
        """The columns that hold something."""
        return {key: label for key, label in self.labels.items() if any(row[key] is not None for row in self.rows)}

    def numeric(self, key: str) -> bool:
        """Whether a column holds numbers."""
        return all(row[key] is None or is_number(row[key]) for row in self.rows)


def is_number(value: Cell) -> bool:
    """Whether a cell is a number, or the text of one."""
    return isinstance(value, float | int) or bool(re.fullmatch(r"-?[\d.]+(e[+-]?\d+)?", str(value)))


def cell(value: Cell) -> str:
    """A cell for people, numbers as everywhere in vidbench."""
    if value is None:
        return "-"
    return number(value) if isinstance(value, float) else printable(str(value))


def printable(text: str) -> str:
    """Text from outside on one line: what cannot be shown is replaced."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def markdown(tables: Sequence[Table]) -> str:
    """All tables as Markdown."""
    lines = []
    for table in tables:
        lines += [f"## {in_markdown(table.title)}", ""]
        lines.append(f"| {' | '.join(map(in_markdown, table.shown.values()))} |")
        lines.append(f"| {' | '.join('---:' if table.numeric(key) else '---' for key in table.shown)} |")
        for row in table.rows:
            lines.append(f"| {' | '.join(in_markdown(cell(row[key])) for key in table.shown)} |")
        lines += ["", in_markdown(table.note), ""]
    return "\n".join(lines)


def in_markdown(text: str) -> str:
    """Text with what Markdown or HTML would read as markup written out."""
    text = printable(text).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", text)


def latex(tables: Sequence[Table]) -> str:
    """All tables as LaTeX, in the style of booktabs."""
    lines = [r"% \usepackage{booktabs}"]
    for table in tables:
        columns = "".join("r" if table.numeric(key) else "l" for key in table.shown)
        lines += ["", r"\begin{table}", r"\centering", rf"\caption{{{in_latex(table.title)}. {in_latex(table.note)}}}"]
        lines += [rf"\begin{{tabular}}{{{columns}}}", r"\toprule"]
        lines += [rf"{' & '.join(map(in_latex, table.shown.values()))} \\", r"\midrule"]
        for row in table.rows:
            cells = (row[key] for key in table.shown)
            lines.append(
                " & ".join(in_maths(cell(x)) if isinstance(x, float) else in_latex(cell(x)) for x in cells) + r" \\"
            )
        lines += [r"\bottomrule", r"\end{tabular}", r"\end{table}"]
    return "\n".join(lines) + "\n"


def in_latex(text: str) -> str:
    """Text in LaTeX."""
    return re.sub("|".join(SIGNS), lambda found: SIGNS[found[0]], escaped(printable(text)))


def comma_separated(tables: Sequence[Table]) -> str:
    """Tables of one kind as one CSV, numbers with all their digits; no text is a formula to a spreadsheet."""
    file = io.StringIO()
    keys = dict.fromkeys(key for table in tables for row in table.rows for key in (*table.about, *row))
    writer = csv.DictWriter(file, list(keys), lineterminator="\n")
    writer.writeheader()
    for table in tables:
        for row in table.rows:
            cells = {**table.about, **row}
            writer.writerow({key: harmless(x) if isinstance(x, str) else x for key, x in cells.items()})
    return file.getvalue()


def harmless(text: str) -> str:
    """Text that a spreadsheet would compute, behind a single quote (OWASP, CSV Injection); other text as it is."""
    text = printable(text)
    return f"'{text}" if text.startswith(FORMULAS) and not is_number(text) else text
