"""Learning curves: all losses, the metric, every run and stage."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from vidbench.curves import find_runs, training_figure
from vidbench.errors import UserError
from vidbench.journal import Journal


@pytest.fixture(autouse=True)
def closed():
    """Figures do not pile up."""
    yield
    plt.close("all")


def log(folder, stages=("gan",), metric="fvd16@32[toy3d]", offset=0.0):
    for stage in stages:
        with Journal(folder, stage, 0) as journal:
            for step in range(10, 410, 10):
                journal.write(step, samples=step, seconds_a_step=0.5, loss=1 / step + offset, broken=float("nan"))
                if step % 100 == 0:
                    journal.write(step, metric=metric, value=500 / step, se=0.5)
    return folder


def panels(figure):
    return {axes.get_ylabel(): axes for axes in figure.axes if axes.get_visible()}


def test_a_panel_for_every_loss_and_the_metric(tmp_path):
    made = panels(training_figure([log(tmp_path / "run")]))
    assert list(made) == ["loss", "fvd16@32[toy3d]"]
    raw, smooth = made["loss"].get_lines()
    assert raw.get_xdata().tolist() == list(range(10, 410, 10))
    assert np.allclose(raw.get_ydata(), 1 / np.arange(10, 410, 10), rtol=1e-4)
    assert len(smooth.get_ydata()) == 40
    scores = made["fvd16@32[toy3d]"].containers[0].lines[0]
    assert scores.get_xdata().tolist() == [100, 200, 300, 400]
    assert scores.get_ydata().tolist() == [5, 2.5, pytest.approx(500 / 300), 1.25]


def test_every_run_has_its_colour_and_name(tmp_path):
    figure = training_figure([log(tmp_path / "m" / name) for name in ("a", "b")])
    [legend] = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["m/a", "m/b"]
    assert len({line.get_color() for line in panels(figure)["loss"].get_lines()}) == 2


def test_every_stage_has_its_column(tmp_path):
    figure = training_figure([log(tmp_path / "run", ("image", "motion"))])
    titles = [axes.get_title("left") for axes in figure.axes]
    assert [title for title in titles if title] == ["stage image", "stage motion"]


def test_metrics_are_not_mixed(tmp_path):
    runs = [log(tmp_path / "a"), log(tmp_path / "b", metric="fvd16@64[toy3d]")]
    assert list(panels(training_figure(runs))) == ["loss", "fvd16@32[toy3d]", "fvd16@64[toy3d]"]


def test_runs_are_found_wherever_they_are_below(tmp_path):
    runs = [log(tmp_path / "out" / name) for name in ("m/a", "n/b")]
    assert find_runs(tmp_path / "out") == runs
    assert find_runs(runs[0]) == runs[:1]


def test_nothing_to_draw_is_said(tmp_path):
    with pytest.raises(UserError, match=r"There is no training run below .*Train one"):
        find_runs(tmp_path)
    (tmp_path / "log.jsonl").touch()
    with pytest.raises(UserError, match="has no log of a training yet"):
        training_figure([tmp_path])
