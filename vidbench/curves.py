"""Learning curves: losses and scores of training runs over steps, from their logs."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .errors import UserError
from .figures import COLORS, STYLE
from .journal import read_log

ABOUT = ("stage", "step", "samples", "seconds_a_step", "metric", "value", "se")
"""What lines of a log hold beside losses."""
RAW, SMOOTH = 0.25, 30  # opacity of single points, and how many windows a smoothed line has


def find_runs(out: Path) -> list[Path]:
    """Folders of training runs below a folder.

    Raises:
        UserError: there is none.
    """
    found = sorted(path.parent for path in out.rglob("log.jsonl"))
    if not found:
        raise UserError(f"There is no training run below {out}. Train one with vidbench train, or name its folder.")
    return found


def training_figure(runs: Sequence[Path]) -> Figure:
    """A column for every stage: its losses in a panel each, the metric that checkpoints are chosen by at the bottom.

    Args:
        runs: folders of runs; each has its colour.

    Raises:
        UserError: a run has logged nothing yet, or its log is none.
    """
    logs = {run: read_log(run / "log.jsonl") for run in runs}
    for run, lines in logs.items():
        if not lines:
            raise UserError(f"{run} has no log of a training yet. Train on, or leave it out.")
    stages = list(dict.fromkeys(line["stage"] for lines in logs.values() for line in lines))
    panels = {stage: panels_of([line for lines in logs.values() for line in lines], stage) for stage in stages}
    losses = {name for lines in logs.values() for line in lines for name in line}
    rows = max(len(names) for names in panels.values())
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(
            rows,
            len(stages),
            figsize=(max(6.5, 4.5 * len(stages)), 1.7 * rows + 0.6),
            layout="constrained",
            squeeze=False,
            sharex="col",
        )
        for column, stage in zip(grid.T, stages, strict=True):
            for axes in column[len(panels[stage]) :]:
                axes.set_visible(False)
            for axes, name in zip(column, panels[stage], strict=False):
                for index, (run, lines) in enumerate(logs.items()):
                    points = [point for line in lines if line["stage"] == stage and (point := point_of(line, name))]
                    draw_points(axes, points, COLORS[index % len(COLORS)], run_name(run), name not in losses)
                axes.set_ylabel(name, fontsize=8)
            column[0].set_title(f"stage {stage}", loc="left", fontsize=9)
            column[len(panels[stage]) - 1].set_xlabel("step")
            column[len(panels[stage]) - 1].tick_params(labelbottom=True)
            figure.align_ylabels(column)
        handles = {
            label: line for axes in grid.flat for line, label in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        figure.legend(handles.values(), handles.keys(), loc="outside upper left", fontsize=8, ncols=2)
    return figure


def run_name(run: Path) -> str:
    """The last two folders: model, data and tier."""
    return "/".join(run.absolute().parts[-2:])


def panels_of(lines: list[dict[str, Any]], stage: str) -> list[str]:
    """What is drawn of a stage: its losses in the order of the log, then its metrics."""
    own = [line for line in lines if line["stage"] == stage]
    losses = dict.fromkeys(
        name for line in own for name, value in line.items() if name not in ABOUT and is_number(value)
    )
    return [*losses, *dict.fromkeys(line["metric"] for line in own if "metric" in line)]


def is_number(value: Any) -> bool:
    """Whether a logged value can be drawn."""
    return isinstance(value, int | float) and math.isfinite(value)


def point_of(line: dict[str, Any], name: str) -> tuple[int, float, float] | None:
    """Step, value and standard error of a loss or metric in a line of the log; None where it holds no such thing."""
    value = line.get("value") if line.get("metric") == name else line.get(name)
    return (line["step"], float(value), line.get("se") or 0.0) if is_number(value) else None  # type: ignore[arg-type]


def smoothed(values: Sequence[float]) -> list[float]:
    """Running means."""
    reach = len(values) // SMOOTH // 2
    parts = [values[max(0, i - reach) : i + reach + 1] for i in range(len(values))]
    return [sum(part) / len(part) for part in parts]


def draw_points(axes: Axes, points: list[tuple[int, float, float]], color: str, label: str, marked: bool) -> None:
    """One curve: scores as points with two standard errors, losses faint with a running mean over them."""
    if not points:
        return
    steps, values, errors = zip(*points, strict=True)
    if marked:
        axes.errorbar(
            steps, values, [2 * error for error in errors], fmt="o-", color=color, markersize=3, capsize=2, label=label
        )
        return
    axes.plot(steps, values, color=color, alpha=RAW, linewidth=0.8)
    axes.plot(steps, smoothed(values), color=color, linewidth=1.4, label=label)
