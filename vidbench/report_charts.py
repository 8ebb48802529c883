"""Charts of a report as plain geometry: the template draws them, in the colours of the reader's scheme."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.ticker import MaxNLocator

from .comparison import told_apart
from .curves import panels_of, point_of, smoothed
from .figures import head_of
from .record import Curve, Record
from .tables import number, shown_name

WIDTH, HEIGHT = 460, 280
LEFT, RIGHT, TOP, BOTTOM = 56, 20, 10, 44
POINTS = 250  # of one line: more than can be told apart
DATA = 0
"""The colour of the data's own line; models have 1, 2 and so on."""


@dataclass(frozen=True)
class Line:
    """One line of a chart, with the band around it."""

    name: str
    """In the legend; empty for what has no place there."""
    color: int
    """`DATA`, or a model's number, from 1."""
    x: Sequence[float]
    """Where."""
    y: Sequence[float]
    """How high."""
    spread: Sequence[float] | None = None
    """Half the height of the band; None where there is none."""


def chart(
    title: str,
    lines: Sequence[Line],
    labels: tuple[str, str],
    limits: tuple[float, float] | None = None,
    logarithmic: bool = False,
) -> dict[str, Any]:
    """Everything that a template needs to draw one chart.

    Args:
        title: what it shows, for those who cannot see it too.
        lines: what is drawn; at least one, of at least one point.
        labels: of the axes.
        limits: of the vertical axis, which bands are cut off at; None: what the lines need.
        logarithmic: whether large values are squeezed, linear near 0.
    """
    values = [value for line in lines for value in line.y]
    banded = [(y, s) for line in lines if line.spread for y, s in zip(line.y, line.spread, strict=True)]
    least = unit_of(values)
    bend: Callable[[float], float] = (lambda y: math.asinh(y / least)) if logarithmic else (lambda y: y)
    low, high = limits or (min([*values, *(y - s for y, s in banded)]), max([*values, *(y + s for y, s in banded)]))
    if logarithmic:
        low = min(*values, 0.0)
    if not limits:
        high += 0.05 * (high - low) or 1.0
    first, last = min(line.x[0] for line in lines), max(line.x[-1] for line in lines)

    def right(x: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * ((x - first) / (last - first) if last > first else 0.5)

    def down(y: float) -> float:
        share = (bend(min(max(y, low), high)) - bend(low)) / (bend(high) - bend(low))
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share

    def path(xs: Sequence[float], ys: Sequence[float]) -> str:
        return " ".join(f"{right(x):.1f},{down(y):.1f}" for x, y in zip(xs, ys, strict=True))

    drawn = []
    for line in lines:
        step = math.ceil(len(line.x) / POINTS)
        x, y = line.x[::step], line.y[::step]
        only = len(x) == 1  # drawn twice, a point is a dot
        band = ""
        if line.spread is not None:
            around = list(zip(x, y, line.spread[::step], strict=True))
            band = f"{path(x, [b + s for _, b, s in around])} " + path(
                [a for a, _, _ in around[::-1]], [b - s for _, b, s in around[::-1]]
            )
        drawn.append(
            {
                "name": line.name,
                "look": look(line.color) + " dot" * only,
                "line": path([*x] * (1 + only), [*y] * (1 + only)),
                "band": band,
            }
        )
    heights = powers(least, high) if logarithmic else ticks(low, high)
    return {
        "title": title,
        "lines": drawn,
        "labels": labels,
        "x": [(f"{right(x):.1f}", short(x)) for x in ticks(first, last, whole=True)],
        "y": [(f"{down(y):.1f}", short(y)) for y in heights],
        "frame": (WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM),
    }


def look(color: int) -> str:
    """The class of a line: eight colours, four styles, both of them the next one's from model to model."""
    return "c0" if color == DATA else f"c{(color - 1) % 8 + 1} d{(color - 1 + (color - 1) // 8) % 4}"


def unit_of(values: Sequence[float]) -> float:
    """Where a logarithmic axis turns linear: at the smallest value, but no lower than a thousandth of the largest."""
    sizes = [abs(value) for value in values if value]
    return max(min(sizes), max(sizes) / 1000) if sizes else 1.0


def ticks(low: float, high: float, whole: bool = False) -> list[float]:
    """A few round numbers between two ends."""
    return [float(x) for x in MaxNLocator(5, integer=whole).tick_values(low, high) if low <= x <= high]


def powers(low: float, high: float) -> list[float]:
    """0 and powers of ten between two ends, at most six of them."""
    first, last = math.floor(math.log10(low)), math.floor(math.log10(max(high, low)))
    step = math.ceil((last - first + 1) / 6)
    return [0.0, *(10.0**power for power in range(last, first - 1, -step))]


def short(value: float) -> str:
    """A tick's number."""
    return f"{value:g}" if abs(value) < 1e4 else f"{value / 1000:g}k" if abs(value) < 1e6 else number(value)


def line_of(name: str, color: int, curve: Curve) -> Line:
    """A record's curve with its band of one deviation, or of one standard error."""
    spread = curve.std or curve.se
    return Line(name, color, curve.t, curve.mean, [s or 0.0 for s in spread] if spread else None)


def pace_chart(title: str, group: Sequence[Record], colors: Mapping[str, int]) -> dict[str, Any]:
    """S(x, t) over t of the data and every model of a comparable group."""
    head = head_of(group)
    assert head.real_curve is not None
    lines = [line_of(f"data: {head.real.name}", DATA, head.real_curve), *model_lines(group, colors)]
    return chart(title, lines, ("frame separation t", "colour similarity S(x, t)"), (0.0, 1.0))


def window_chart(title: str, group: Sequence[Record], colors: Mapping[str, int]) -> dict[str, Any]:
    """The distance of each window to real clips over the length of the videos."""
    labels = ("first frame of the window", "distance to real clips")
    return chart(title, model_lines(group, colors), labels, logarithmic=True)


def model_lines(group: Sequence[Record], colors: Mapping[str, int]) -> list[Line]:
    """The curves of a group, each model in its colour."""
    named = zip(group, told_apart(group), strict=True)
    return [line_of(shown_name(own), colors[record.model], record.curve) for record, own in named if record.curve]


def training_charts(log: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """A chart for each loss and metric of each stage of a run: losses with a running mean, metrics with two errors."""
    charts = []
    for stage in dict.fromkeys(line["stage"] for line in log):
        own = [line for line in log if line["stage"] == stage]
        metrics = {line.get("metric") for line in own}
        for name in panels_of(own, stage):
            points = [point for line in own if (point := point_of(line, name))]
            if not points:
                continue
            steps, values, errors = zip(*points, strict=True)
            lines = [Line("", DATA, steps, values), Line("", 1, steps, smoothed(values))]
            if name in metrics:
                lines = [Line("", 1, steps, values, [2 * error for error in errors])]
            charts.append(chart(f"{stage}: {name}", lines, ("step", "")))
    return charts


def bars(table_rows: Sequence[Mapping[str, Any]]) -> dict[str, tuple[str, str, str]]:
    """By a record's key: where value and ends of the interval lie on a common axis, per cent from the left."""
    ends = [(row["low"] if row["low"] is not None else row["value"], row["value"], row["high"]) for row in table_rows]
    filled = [(low, value, value if high is None else high) for low, value, high in ends]
    unit = unit_of([value for _, value, _ in filled])
    places = [[math.asinh(x / unit) for x in row] for row in filled]
    least, most = min(0.0, *(row[0] for row in places)), max(row[2] for row in places)
    span = (most - least) or 1.0
    scaled = [[f"{100 * (x - least) / span:.1f}" for x in row] for row in places]
    return {row["key"]: (a, b, c) for row, (a, b, c) in zip(table_rows, scaled, strict=True)}
