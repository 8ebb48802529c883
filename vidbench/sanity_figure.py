"""The figure of a sanity check: one small panel a corruption, scores over levels, against the floor."""

from collections.abc import Iterator

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .figures import COLORS, STYLE
from .metrics.sanity import SEEN
from .sanity_report import RowReport, SanityReport, TrialReport

KINDS = {"S": COLORS[0], "T": COLORS[1], "D": COLORS[1]}
ONE_LEVEL = {"C": ("controls", COLORS[2]), "R": ("not judged", COLORS[3])}
COLUMNS = 6


def sanity_figure(report: SanityReport) -> Figure:
    """Ratios to the floor on a logarithmic axis (z where they mean nothing), a line a seed, and the floor's band."""
    head = report.trials[0]
    rows = [row for row in head.rows if row.kind in KINDS]
    count = len(rows) + len(ONE_LEVEL)
    as_ratio = all(row.ratio is not None for trial in report.trials for row in trial.rows)
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(
            -(-count // COLUMNS), COLUMNS, figsize=(12.5, 7.2), layout="constrained", sharey=True, squeeze=False
        )
        panels = list(grid.ravel())
        for axes, row in zip(panels, rows, strict=False):
            draw_row(axes, report, row, as_ratio)
        for axes, kind in zip(panels[len(rows) :], ONE_LEVEL, strict=False):
            draw_single_levels(axes, report, kind, as_ratio)
        for axes in panels[count:]:
            axes.remove()
        for axes in panels[:count]:
            axes.set_yscale("log" if as_ratio else "symlog", **({} if as_ratio else {"linthresh": SEEN}))
        figure.supylabel("score over the floor of real clips, v/f" if as_ratio else "z = (v - v0)/s")
        figure.supxlabel(
            "level of corruption; a line a seed; band: the floor within five of its standard deviations;"
            " dashed: the same clips as they are",
            fontsize=8,
            color="dimgray",
        )
        figure.suptitle(report.heading(), x=0.01, ha="left", fontsize=10)
    return figure


def curves(report: SanityReport, name: str, as_ratio: bool) -> Iterator[tuple[list[float], float]]:
    """What is drawn of a corruption, of each seed: its levels, and the same clips as they are."""
    for trial in report.trials:
        row = next(row for row in trial.rows if row.name == name)
        yield (row.ratio, row.uncorrupted / trial.mean) if as_ratio and row.ratio is not None else (row.z, 0.0)


def draw_band(axes: Axes, trial: TrialReport, as_ratio: bool) -> None:
    """The floor, within the five deviations that count as seen."""
    low, high = -SEEN, SEEN
    if as_ratio:
        spread = SEEN * trial.std / trial.mean
        low, high = max(1 - spread, 0.01), 1 + spread
    axes.axhspan(low, high, color="gray", alpha=0.2, linewidth=0)


def draw_row(axes: Axes, report: SanityReport, row: RowReport, as_ratio: bool) -> None:
    """One corruption over its levels; the clips as they are dashed."""
    color, levels = KINDS[row.kind], range(1, len(row.levels) + 1)
    draw_band(axes, report.trials[0], as_ratio)
    for values, uncorrupted in curves(report, row.name, as_ratio):
        axes.plot(levels, values, "o-", color=color, markersize=3, linewidth=1.2, alpha=0.8)
        axes.axhline(uncorrupted, color=color, linestyle="--", linewidth=0.7)
    axes.set_xticks(levels, [f"{level:g}".removeprefix("0") for level in row.levels], fontsize=7)
    title_panel(axes, row.name, report, [row.name])


def draw_single_levels(axes: Axes, report: SanityReport, kind: str, as_ratio: bool) -> None:
    """Corruptions of one level, beside each other; the clips as they are dashed."""
    title, color = ONE_LEVEL[kind]
    names = [row.name for row in report.trials[0].rows if row.kind == kind]
    draw_band(axes, report.trials[0], as_ratio)
    for place, name in enumerate(names):
        for values, uncorrupted in curves(report, name, as_ratio):
            axes.plot(place, values[0], "o", color=color, markersize=4, alpha=0.8)
            axes.hlines(uncorrupted, place - 0.3, place + 0.3, color=color, linestyle="--", linewidth=0.7)
    axes.set_xticks(range(len(names)), [name.replace(" ", "\n") for name in names], fontsize=7)
    axes.set_xlim(-0.5, len(names) - 0.5)
    title_panel(axes, title, report, names)


def title_panel(axes: Axes, title: str, report: SanityReport, names: list[str]) -> None:
    """A panel's title; in red, with the rules, where one of its corruptions fails any."""
    failed = sorted({rule for trial in report.trials for name in names for rule in trial.failed(name)})
    rules = f" (fails rule {', '.join(map(str, failed))})" if failed else ""
    axes.set_title(title + rules, fontsize=9, color="crimson" if failed else "black")
