"""Tables of records: one a metric and real set, never mixing what cannot be compared."""

from collections.abc import Iterable, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from .record import Record, require_comparable, shown_with

GIVEN_REAL = "-on-real"
"""How the names of stages end that are scored on real videos."""
FLOOR = "one half of the real videos against the other: a floor, not to be compared to the digit"


def grouped(records: Iterable[Record]) -> list[list[Record]]:
    """Records that may stand in one table, best first; the tables in order of first appearance."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(f"{record.metric} {shown_with(record)}", []).append(record)
    return [sorted(group, key=rank_of) for group in groups.values()]


def rank_of(record: Record) -> float:
    """What records are sorted by, best first."""
    return record.value if record.better == "lower" else -record.value


def table(records: Sequence[Record]) -> Table:
    """One table over comparable records.

    Raises:
        UserError: two of them cannot be compared.
    """
    require_comparable(records)
    head = next((record for record in records if not record.floor_of), records[0])
    protocol = head.protocol
    height, width = protocol.size or (0, 0)
    real = f"{head.real.name}{f' ({head.real.split})' if head.real.split else ''}"
    caption = (
        f"{protocol.clips} clips a side, {protocol.frames} frames, stride {protocol.stride}, {height}x{width}, seed"
        f" {protocol.seed}; protocol {head.protocol_hash[:8]} v{protocol.version};"
        " ± is one standard error (jackknife over videos)"
    )
    if any(record.extrapolated is not None for record in records):
        caption += "; N → ∞: extrapolated to infinitely many clips"
    if any(record.floor_of for record in records):
        caption += f"; † {FLOOR}"
    if any(record.model.endswith(GIVEN_REAL) for record in records):
        caption += "; ‡ goes on from real videos: a part of a system, and no generator by itself"
    title = Text(f"{head.metric} against {real}", "bold")
    result = Table(title=title, caption=caption, title_justify="left", caption_justify="left", box=box.SIMPLE_HEAD)
    result.add_column("model")
    result.add_column(f"{head.value_of} {'↓' if head.better == 'lower' else '↑'}", justify="right")
    result.add_column("± se", justify="right")
    limits = any(record.extrapolated is not None for record in records)
    if limits:
        result.add_column("N → ∞", justify="right")
    names = list(head.terms)
    for name in names:
        result.add_column(name, justify="right")
    result.add_column("clips used/asked", justify="right")
    for record in records:
        spread = "-" if record.se is None else number(record.se)
        terms = [number(record.terms[name]) for name in names]
        counts = f"{record.fake.counts.used}/{record.fake.counts.asked}"
        limit = ["-" if record.extrapolated is None else number(record.extrapolated)] if limits else []
        result.add_row(Text(shown_name(record)), number(record.value), spread, *limit, *terms, counts)
    return result


def shown_name(record: Record) -> str:
    """The model's name, marked where its score is a floor made of one half of the real videos, or it is given some."""
    if record.model.endswith(GIVEN_REAL):
        return f"{record.model} ‡"
    return f"{record.model} †" if record.floor_of else record.model


def number(value: float) -> str:
    """Four significant digits, without an exponent where people can do without; what rounding left is 0."""
    if abs(value) < 1e-12:
        return "0"
    if 1e3 <= abs(value) < 1e5:
        return f"{value:.0f}"
    return f"{value:.4g}" if 1e-3 <= abs(value) < 1e3 else f"{value:.3e}"
