"""Figures of records: colour similarity curves with their spread, and scores with their errors."""

import io
import math
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .contenders import is_reference
from .errors import UserError
from .files import atomic_write
from .record import Curve, Record, require_comparable
from .registry import MODELS
from .tables import FLOOR, grouped, number, shown_name

FORMATS = (".png", ".pdf", ".svg")
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "svg.hashsalt": "vidbench",
}
COLORS = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#7f5539",
)  # Okabe and Ito: safe for all eyes
STYLES = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)))
"""Of lines, one after the other: with the seven colours, 35 looks."""
FEW = 4
"""Models that are drawn with their bands; of more than these nothing could be told."""


def color_drift_figure(records: Sequence[Record]) -> Figure:
    """S(x, t) over frame separation t for the real side and every model: mean over clips, band of one deviation.

    Of more than four models the real side alone has a band.

    Raises:
        UserError: no record, or records that cannot be compared.
    """
    require_drawable(records)
    head = head_of(records)
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
        assert head.real_curve is not None
        draw_band(axes, head.real_curve, "black", (0, 1))
        data = f"data: {head.real.name}"
        axes.plot(head.real_curve.t, head.real_curve.mean, label=data, color="black", linewidth=2.6)
        for look, record in zip(looks(records), records, strict=True):
            assert record.curve is not None
            spread = "" if record.se is None else f" ± {record.se:.3f}"
            label = f"{shown_name(record)}  (gap {record.value:.3f}{spread})"
            if len(records) <= FEW:
                draw_band(axes, record.curve, look["color"], (0, 1))
            axes.plot(record.curve.t, record.curve.mean, label=label, **look)
        axes.set(
            xlabel="frame separation t",
            ylabel="colour similarity S(x, t)",
            xlim=(0, head.real_curve.t[-1]),
            ylim=(0, 1.02),
        )
        figure.suptitle(caption(head), x=0.01, ha="left", fontsize=8, color="dimgray")
        if any(record.floor_of for record in records):
            figure.supxlabel(f"† {FLOOR}", x=0.01, ha="left", fontsize=7, color="dimgray")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside right center", fontsize=8, handlelength=3)
    return figure


def require_drawable(records: Sequence[Record]) -> None:
    """Refuse what makes no figure.

    Raises:
        UserError: no record, or records that cannot be compared.
    """
    if not records:
        raise UserError("There is nothing to draw: no generator could be scored.")
    require_comparable(records)


def draw_band(axes: Axes, curve: Curve, color: str, limits: tuple[float, float] = (0, math.inf)) -> None:
    """A curve's band of one deviation (or one standard error), cut off at the limits."""
    spread = [0.0 if s is None else s for s in curve.std or curve.se or [0.0] * len(curve.t)]
    low, high = (np.clip(np.array(curve.mean) + sign * np.array(spread), *limits) for sign in (-1, 1))
    axes.fill_between(curve.t, low, high, color=color, alpha=0.12, linewidth=0)


def drift_figure(records: Sequence[Record]) -> Figure:
    """Distance of each window of the generated videos to real clips: mean, band of one standard error.

    Raises:
        UserError: no record, or records that cannot be compared.
    """
    require_drawable(records)
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
        for look, record in zip(looks(records), records, strict=True):
            assert record.curve is not None
            spread = "" if record.se is None else f" ± {number(record.se)}"
            label = f"{shown_name(record)}  ({number(record.value)}{spread} per 100 frames)"
            draw_band(axes, record.curve, look["color"])
            axes.plot(record.curve.t, record.curve.mean, label=label, **look)
        axes.set(xlabel="first frame of the window", ylabel="distance of the window to real clips")
        axes.set_yscale("symlog", linthresh=max(record.curve.mean[0] for record in records if record.curve) / 100)
        axes.set_ylim(bottom=0)
        figure.suptitle(caption(head_of(records)), x=0.01, ha="left", fontsize=8, color="dimgray")
        if any(record.floor_of for record in records):
            figure.supxlabel(f"† {FLOOR}", x=0.01, ha="left", fontsize=7, color="dimgray")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside right center", fontsize=8, handlelength=3)
    return figure


def fvd_figure(records: Sequence[Record]) -> Figure:
    """Scores as points with two standard errors on a logarithmic axis, a panel for each set of comparable records."""
    panels = grouped(records)
    with plt.rc_context(STYLE):
        rows = [len(panel) for panel in panels]
        figure, grid = plt.subplots(
            len(panels),
            1,
            figsize=(6.5, 0.9 * len(panels) + 0.3 * sum(rows)),
            layout="constrained",
            squeeze=False,
            gridspec_kw={"height_ratios": rows},
        )
        for axes, panel in zip(grid[:, 0], panels, strict=True):
            names = [shown_name(record) for record in panel]
            values = [record.value for record in panel]
            spreads = [2 * (record.se or 0) for record in panel]
            lower = [
                min(spread, 0.99 * value) if value > 0 else spread
                for spread, value in zip(spreads, values, strict=True)
            ]
            axes.errorbar(values, names, xerr=[lower, spreads], fmt="o", color=COLORS[0], capsize=2, markersize=4)
            axes.set_xscale("symlog", linthresh=min([v for v in values if v > 0], default=1.0))
            axes.invert_yaxis()
            axes.margins(y=0.15)
            axes.set_xlabel(f"{panel[0].metric} ({panel[0].better} is better; bars: two standard errors)")
            axes.set_title(caption(head_of(panel)), loc="left", fontsize=8, color="dimgray")
        if any(record.floor_of for record in records):
            figure.supxlabel(f"† {FLOOR}", x=0.01, ha="left", fontsize=7, color="dimgray")
    return figure


def head_of(records: Sequence[Record]) -> Record:
    """The record that says what a figure is against: one that is no floor, where there is such."""
    return next((record for record in records if not record.floor_of), records[0])


def caption(record: Record) -> str:
    """Under which protocol a figure's numbers were made."""
    protocol = record.protocol
    height, width = protocol.size or (0, 0)
    return (
        f"{record.metric}: {protocol.clips} clips of {protocol.frames} frames a side, stride {protocol.stride},"
        f" {height}x{width}, against {record.real.name}"
    )


def looks(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Colour and style of each record's line, fixed by the order of models; beside others, reference generators are
    thin and grey.
    """
    limits = [is_limit(record) for record in records]
    found, numbers = [], {True: count(), False: count()}
    for grey in limits if not all(limits) else [False] * len(limits):
        index = next(numbers[grey])
        color, width = ("dimgray", 0.9) if grey else (COLORS[index % len(COLORS)], 1.5)
        found.append({"color": color, "linestyle": STYLES[index % len(STYLES)], "linewidth": width})
    return found


def is_limit(record: Record) -> bool:
    """Whether a score is a reference generator's."""
    return record.fake.kind == "generator" and record.model in MODELS.names() and is_reference(record.model)


def check_format(path: Path) -> None:
    """Refuse a figure file whose ending is none of a figure.

    Raises:
        UserError: another ending.
    """
    if path.suffix not in FORMATS:
        raise UserError(f"{path}: a figure's name must end in {', '.join(FORMATS)}.")


def save_figure(path: Path, figure: Figure) -> None:
    """Write a figure whole or not at all; the ending chooses the format."""
    data = io.BytesIO()
    figure.savefig(data, format=path.suffix[1:], dpi=160)
    plt.close(figure)
    atomic_write(path, data.getvalue())
