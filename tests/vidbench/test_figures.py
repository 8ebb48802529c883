"""Figures: the right formats, whole files, and nothing that cannot be compared."""

import io

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from vidbench.errors import UserError
from vidbench.figures import check_format, color_drift_figure, drift_figure, fvd_figure, save_figure

MEAN = [1.0, 0.8, 0.7, 0.65, 0.6]


@pytest.fixture(autouse=True)
def closed():
    """Figures do not pile up."""
    yield
    plt.close("all")


def curve(axes, label):
    [line] = [line for line in axes.get_lines() if str(line.get_label()).startswith(label)]
    return line


def test_the_drift_figure_shows_the_curve_of_every_model_and_of_the_real_videos(make_drift):
    figure = color_drift_figure([make_drift("wheel", MEAN), make_drift("sled", [1.0] * 5)])
    axes = figure.axes[0]
    assert len(axes.get_lines()) == 3
    assert curve(axes, "wheel").get_ydata().tolist() == MEAN
    assert curve(axes, "sled").get_ydata().tolist() == [1.0] * 5
    assert curve(axes, "data: road").get_ydata().tolist() == [1.0, 0.9, 0.8, 0.75, 0.7]
    assert curve(axes, "wheel").get_xdata().tolist() == [0, 1, 2, 3, 4]


def test_the_band_of_a_curve_stays_between_0_and_1(make_drift):
    axes = color_drift_figure([make_drift("wheel", [1.0, 0.99, 0.05, 0.5, 0.5])]).axes[0]
    heights = np.concatenate([path.vertices[:, 1] for band in axes.collections for path in band.get_paths()])
    assert heights.min() == 0
    assert heights.max() == 1


def test_models_have_colours_of_their_own_and_more_of_them_styles_as_well(make_drift):
    axes = color_drift_figure([make_drift(name, MEAN) for name in "abcdefghi"]).axes[0]
    assert len({line.get_color() for line in axes.get_lines()[:8]}) == 8
    assert len({(line.get_color(), line.get_linestyle()) for line in axes.get_lines()}) == 10


def test_beside_models_reference_generators_are_thin_and_grey(make_drift):
    names = ["wheel", "freeze", "sled", "noise"]
    lines = color_drift_figure([make_drift(name, MEAN) for name in names]).axes[0].get_lines()[1:]
    assert [line.get_color() == "dimgray" for line in lines] == [False, True, False, True]
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 4
    assert all(line.get_linewidth() < 1 for line in lines if line.get_color() == "dimgray")
    alone = color_drift_figure([make_drift(name, MEAN) for name in ("freeze", "noise")]).axes[0].get_lines()[1:]
    assert "dimgray" not in {line.get_color() for line in alone}


def test_of_many_models_the_data_alone_has_a_band(make_drift):
    for names, bands in (("abcd", 5), ("abcde", 1)):
        assert len(color_drift_figure([make_drift(name, MEAN) for name in names]).axes[0].collections) == bands


def test_the_legend_says_value_and_error(make_drift):
    figure = color_drift_figure(
        [make_drift("wheel", MEAN, value=0.125, se=0.03125), make_drift("sled", MEAN, value=0.5, se=None)]
    )
    texts = {text.get_text() for legend in figure.legends for text in legend.get_texts()}
    assert texts == {"data: road", "wheel  (gap 0.125 ± 0.031)", "sled  (gap 0.500)"}


def test_the_figures_say_under_which_protocol_they_were_made(make_record, make_drift):
    expected = "512 clips of 16 frames a side, stride 1, 32x32, against road"
    assert expected in color_drift_figure([make_drift("wheel", MEAN)]).get_suptitle()
    assert expected in fvd_figure([make_record()]).axes[0].get_title(loc="left")


def test_curves_that_cannot_be_compared_are_not_drawn_together(make_drift):
    with pytest.raises(UserError, match="measure version differs"):
        color_drift_figure([make_drift("wheel", MEAN), make_drift("sled", MEAN, measure_version=2)])


def test_no_record_is_an_error():
    with pytest.raises(UserError):
        color_drift_figure([])


def test_the_score_figure_has_a_panel_for_each_set_of_comparable_records(make_record):
    records = [
        make_record(model="wheel", value=3.0),
        make_record({"seed": 1}, model="sled"),
        make_record(model="skate", value=2.0),
    ]
    figure = fvd_figure(records)
    assert [[text.get_text() for text in axes.get_yticklabels()] for axes in figure.axes] == [
        ["skate", "wheel"],
        ["sled"],
    ]


def test_the_score_figure_shows_two_standard_errors(make_record):
    figure = fvd_figure([make_record(value=10.0, se=1.5)])
    [[bar]] = (figure.axes[0].collections[0].get_segments(),)
    assert bar[:, 0].tolist() == [7.0, 13.0]


@pytest.mark.parametrize(("value", "se"), [(0.0, None), (0.0, 1.0), (1e-9, 1.0), (1e9, 1e9)])
def test_scores_of_any_size_can_be_drawn(make_record, tmp_path, value, se):
    save_figure(tmp_path / "figure.png", fvd_figure([make_record(value=value, se=se), make_record(model="sled")]))
    with Image.open(tmp_path / "figure.png") as picture:
        assert picture.format == "PNG"


def test_scores_below_zero_are_drawn_with_their_whole_bar(make_record, tmp_path):
    figure = fvd_figure([make_record(value=-0.5, se=0.25), make_record(model="sled", value=2.0)])
    save_figure(tmp_path / "figure.png", figure)
    bars = figure.axes[0].collections[0].get_segments()
    assert bars[0][:, 0].tolist() == [-1.0, 0.0]


def test_a_floor_made_of_one_half_is_marked_and_explained(make_record, make_drift):
    for draw, make in (
        (fvd_figure, make_record),
        (color_drift_figure, lambda **values: make_drift("", MEAN, **values)),
        (drift_figure, lambda **values: make_drift("", MEAN, **values)),
    ):
        floor = make().named("real", "road (other half)").model_copy(update={"floor_of": "cd" * 32})
        wheel = make().model_copy(update={"model": "wheel"})
        figure = draw([floor, wheel])
        names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
        names += [text.get_text() for legend in figure.legends for text in legend.get_texts()]
        assert sum("real †" in name for name in names) == 1
        assert not any("wheel †" in name for name in names)
        assert "one half of the real videos" in figure.get_supxlabel()
        assert (figure.get_suptitle() or figure.axes[0].get_title(loc="left")).endswith("against road")
        assert draw([wheel]).get_supxlabel() == ""


@pytest.mark.parametrize(("ending", "start"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_the_ending_of_its_name_chooses_a_figure_s_format(make_record, tmp_path, ending, start):
    save_figure(tmp_path / "new" / f"figure.{ending}", fvd_figure([make_record()]))
    assert (tmp_path / "new" / f"figure.{ending}").read_bytes().startswith(start)
    assert [path.name for path in (tmp_path / "new").iterdir()] == [f"figure.{ending}"]


def test_a_png_has_160_dots_an_inch(make_drift, tmp_path):
    save_figure(tmp_path / "figure.png", color_drift_figure([make_drift("wheel", MEAN)]))
    with Image.open(tmp_path / "figure.png") as picture:
        assert picture.size == (7 * 160, 672)
        picture.load()


def test_a_figure_that_cannot_be_drawn_leaves_the_old_file(make_record, tmp_path, monkeypatch):
    path = tmp_path / "figure.png"
    path.write_bytes(b"old")
    figure = fvd_figure([make_record()])

    def full(data: io.BytesIO, **options):
        data.write(b"half a figure")
        raise OSError("no space")

    monkeypatch.setattr(figure, "savefig", full)
    with pytest.raises(OSError, match="no space"):
        save_figure(path, figure)
    assert path.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["figure.png"]


def test_an_ending_that_is_none_of_a_figure_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"figure\.doc: a figure's name must end in \.png, \.pdf, \.svg"):
        check_format(tmp_path / "figure.doc")


def test_drawing_leaves_the_settings_of_matplotlib_as_they_were(make_record):
    before = dict(plt.rcParams)
    fvd_figure([make_record()])
    assert dict(plt.rcParams) == before
