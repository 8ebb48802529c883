"""The report: what stands on the page and in its tables, and what happens where something is missing or hostile."""

import base64
import csv
import hashlib
import html
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from tests.vidbench.systems import Hue, Paint
from vidbench.errors import UserError
from vidbench.journal import Journal
from vidbench.record import Curve
from vidbench.report import gather, write_report
from vidbench.report_charts import DATA, Line, bars, chart, look, ticks, training_charts
from vidbench.report_formats import cell, comma_separated, latex, markdown
from vidbench.report_tables import interval, leaderboard, pace, printed, windows
from vidbench.report_videos import Shown, data_uri, data_videos, videos_of
from vidbench.sampling import write_samples

HOSTILE = "<script>alert(1)</script>|\"'&\\x{}_$%#\n\x1b[31m=cmd()"
DATA_MEAN = [1.0, 0.9, 0.8, 0.75, 0.7]
LEFT_OUT = [11.0, 12.0, 13.0, 14.0]


BESIDE = [("a", "tables.md"), ("a", "tables.tex")]


def silent(items, label, total):
    return items


def decoded(uri):
    with av.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:video/webm;base64,")))) as container:
        stream = container.streams.video[0]
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)], stream


@pytest.fixture
def report(tmp_path):
    """Writes records, and whatever else is put into `tmp_path / "runs"`, and gives the report's files by name."""

    def make(*records):
        for record in records:
            record.save(tmp_path / "runs" / "records")
        written = write_report(gather([tmp_path / "runs"]), tmp_path / "out", silent)
        return {path.name: path.read_text() for path in written}

    return make


@pytest.fixture
def scores(make_record):
    """Records of several models, each a computation of its own."""

    def make(protocol=None, **values):
        return [
            make_record(protocol, model=name, value=value, key=f"{name}{values}{protocol}".ljust(64, "0"), **values)
            for name, value in (("sled", 20.0), ("wheel", 12.5), ("real", 1.0))
        ]

    return make


@pytest.fixture
def make_pace(make_drift):
    """Makes a record of a colour drift under a protocol of that measure."""

    def make(model, mean, **values):
        record = make_drift(model, mean, **values)
        return record.model_copy(update={"protocol": record.protocol.resolved(measure="color-similarity")})

    return make


class Page(HTMLParser):
    """Tags with their attributes, and the text between them."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.words.append(data)


def test_the_page_holds_the_scores_best_first_with_their_intervals(report, scores):
    page = report(*scores(leave_out=LEFT_OUT))["index.html"]
    names = re.findall(r'<th scope="row"><a href="#r-[^"]*">([^<]*)', page)
    assert names == ["real", "wheel", "sled"]
    low, high = interval(12.5, 0.75, 4)
    assert low is not None and high is not None
    for value in (12.5, low, high):
        assert f">{cell(value)}</td>" in page


def test_an_interval_is_student_s_with_one_degree_of_freedom_less_than_groups():
    assert interval(0.0, 1.0, 20) == pytest.approx((-2.093, 2.093), abs=1e-3)
    assert interval(0.0, 1.0, 2)[1] == pytest.approx(12.706, abs=1e-3)
    assert interval(1.0, None, 20) == interval(1.0, 1.0, 1) == (None, None)


def test_real_videos_and_floors_do_not_compete(scores):
    rows = leaderboard(sorted(scores(leave_out=LEFT_OUT), key=lambda record: record.value)).rows
    assert [(row["model"], row["verdict"]) for row in rows] == [
        ("real", "does not compete"),
        ("wheel", "best"),
        ("sled", "worse"),
    ]


def test_scores_that_cannot_be_told_apart_are_said_to_be_so(make_record):
    group = [
        make_record(model="wheel", value=12.0, leave_out=[10.0, 12.0, 14.0, 12.0], key="a"),
        make_record(model="sled", value=12.1, leave_out=[14.0, 12.0, 10.0, 12.0], key="b"),
        make_record(model="skate", value=13.0, key="c"),
    ]
    assert [row["verdict"] for row in leaderboard(group).rows] == [
        "best",
        "cannot be told apart",
        "no error to judge by",
    ]


def test_only_comparable_scores_stand_in_one_table(report, scores):
    written = report(*scores(), *scores({"seed": 1}), *scores(measure_version=2))
    assert written["index.html"].count("<table>") == 3
    assert written["tables.md"].count("## fvd16@512") == written["tables.tex"].count(r"\toprule") == 3
    rows = list(csv.DictReader(io.StringIO(written["leaderboard.csv"])))
    assert [row["model"] for row in rows] == ["real", "wheel", "sled"] * 3
    assert len({row["protocol"] for row in rows}) == 2


def test_scores_that_ship_are_marked_unless_they_were_computed_here_too(report, scores, tmp_path, monkeypatch):
    monkeypatch.setattr("vidbench.report.shelf", lambda: tmp_path / "runs" / "toy")
    sled, wheel, _ = scores()
    for record in (sled, wheel):
        record.save(tmp_path / "runs" / "toy" / "records")
    page = report(wheel)["index.html"]
    assert "Committed, not computed now:</strong> 1 of 2 scores" in page
    assert page.count("Committed, not computed now.</strong>") == 1
    (tmp_path / "runs" / "records").rename(tmp_path / "elsewhere")
    assert "Committed, not computed now:</strong> all scores" in report()["index.html"]


def test_a_table_of_an_earlier_report_goes(report, scores, make_pace, tmp_path):
    report(*scores(), make_pace("wheel", [1.0] * 5))
    assert (tmp_path / "out" / "pace.csv").exists()
    (tmp_path / "runs" / "records").rename(tmp_path / "elsewhere")
    report(*scores())
    assert not (tmp_path / "out" / "pace.csv").exists()
    assert (tmp_path / "out" / "leaderboard.csv").exists()


def test_one_score_found_in_two_folders_is_shown_once(report, scores, tmp_path):
    for record in scores():
        record.save(tmp_path / "runs" / "elsewhere")
    assert report(*scores())["leaderboard.csv"].count("wheel") == 2  # in its key as well


def test_the_page_needs_nothing_but_itself(report, scores, make_pace):
    page = report(*scores(), make_pace("wheel", [1.0] * 5))["index.html"]
    parsed = Page(page)
    for tag, attributes in parsed.tags:
        for name in ("src", "href", "poster", "srcset", "action"):
            value = attributes.get(name) or ""
            assert (
                value.startswith(("#", "data:")) or (tag == "a" and value in ("tables.md", "tables.tex")) or not value
            )
    assert not re.search(r"@import|url\(|https?://", page)
    [policy] = [a["content"] for t, a in parsed.tags if t == "meta" and a.get("http-equiv")]
    script = page.split("<script>")[1].split("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.startswith("default-src 'none'") and f"script-src 'sha256-{digest}'" in policy


def test_the_page_can_be_read_without_eyes(report, scores, make_pace):
    parsed = Page(report(*scores(), make_pace("wheel", [1.0] * 5))["index.html"])
    ids = [attributes["id"] for _, attributes in parsed.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    anchors = {attributes["href"][1:] for _, attributes in parsed.tags if attributes.get("href", "").startswith("#")}
    assert anchors <= set(ids)
    assert [tag for tag, _ in parsed.tags if tag in ("h1", "main", "header", "footer")].count("main") == 1
    for tag, attributes in parsed.tags:
        if tag == "svg":
            assert attributes.get("aria-hidden") or attributes.get("aria-label")
        if tag in ("select", "input") and attributes.get("type") != "search":
            assert attributes.get("aria-label") or attributes.get("name")


def test_every_number_says_how_it_was_made(report, make_record):
    record = make_record(checkpoint_hash="ef" * 32, warnings=["few clips"])
    page = html.unescape(report(record)["index.html"])
    for fact in (
        record.protocol_hash, record.real.fingerprint, record.checkpoint_hash, record.created, "few clips",
        "ab" * 32, f"torch {record.versions['torch']}", "512 clips", record.key,
    ):  # fmt: skip
        assert str(fact) in page


def test_hostile_names_stay_text_in_every_form(report, make_record, make_pace, tmp_path):
    names = {"model": HOSTILE, "key": '"><img src=x onerror=alert(1)>'}
    side = make_record().real.model_copy(update={"name": HOSTILE})
    records = [make_record(real=side, warnings=[HOSTILE], **names), make_pace(HOSTILE, [1.0] * 5, real=side)]
    run = tmp_path / "runs" / "<b>bold" / "tiny"
    with Journal(run, "<i>", 0) as journal:
        journal.write(1, **{"<u>": 1.0})
    written = report(*records)
    parsed = Page(written["index.html"])
    tags = [tag for tag, _ in parsed.tags]
    assert tags.count("script") == 1 and not {"img", "b", "i", "u"} & set(tags)
    assert not any(name.startswith("on") for _, attributes in parsed.tags for name in attributes)
    assert any("<script>alert(1)</script>" in word for word in parsed.words)
    assert not any("\x1b" in text for text in written.values())
    assert "<script" not in written["tables.md"]
    lines = written["tables.md"].splitlines()
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines[2:5]}) == 1
    assert r"\textbackslash{}x\{\}\_\$\%\#" in written["tables.tex"]
    [row] = csv.DictReader(io.StringIO(written["pace.csv"]))
    assert row["model"] == HOSTILE.replace("\n", "\N{REPLACEMENT CHARACTER}").replace(
        "\x1b", "\N{REPLACEMENT CHARACTER}"
    )


def test_what_is_missing_is_said_in_a_sentence(report, scores):
    page = report(*scores())["index.html"]
    for sentence in (
        "No colour similarity has been measured",
        "No long videos have been measured",
        "There is no training run",
        "No paper at hand prints",
        "There are no videos at hand of data: road, real, wheel, sled",
    ):
        assert sentence in page
    assert "<video" not in page and "<figure" not in page


def test_no_score_at_all_is_an_error_with_the_mend(tmp_path):
    with pytest.raises(UserError, match=r"There is no score in .*Make some with vidbench eval"):
        gather([tmp_path])


def test_the_same_material_gives_the_same_bytes(report, scores, make_pace):
    records = [*scores(), make_pace("wheel", [1.0] * 5)]
    assert report(*records) == report()


def test_the_pace_of_a_model_is_the_signed_area_between_the_curves(make_pace):
    found = {"slow": (0.2, 0.01), "fast": (-0.6, 0.02), "alike": (0.01, 0.01)}
    group = [
        make_pace(name, [1.0] * 5, terms={"signed": area}, terms_se={"signed": se}, leave_out=LEFT_OUT, key=name)
        for name, (area, se) in found.items()
    ]
    rows = {row["model"]: row for row in pace(group).rows}
    assert {name: (row["area"], row["se"]) for name, row in rows.items()} == found
    assert (rows["slow"]["low"], rows["slow"]["high"]) == interval(0.2, 0.01, 4)
    assert [rows[name]["verdict"] for name in found] == [
        "changes too slowly",
        "changes too fast",
        "cannot be told from the data's pace",
    ]


def test_a_record_from_before_areas_had_errors_is_shown_without_one(make_pace):
    old, older = pace([make_pace("old", [1.0] * 5), make_pace("older", [1.0] * 5, terms={}, key="b")]).rows
    assert (old["area"], old["se"], old["low"], old["verdict"]) == (-0.1, None, None, "no error to judge by")
    assert (older["area"], older["verdict"]) == (None, "no error to judge by")


def test_curves_are_drawn_of_the_data_and_of_every_model(report, make_pace):
    page = report(*(make_pace(name, [1.0] * 5, key=name.ljust(64, "0")) for name in ("wheel", "sled")))["index.html"]
    assert page.count("<polyline") == 3
    assert {"data: road", "wheel", "sled"} <= set(re.findall(r"<span>([^<]*)</span>", page))


def test_records_whose_curves_are_not_whole_have_no_chart(report, make_pace):
    torn = [
        make_pace("short", [1.0] * 5).model_copy(update={"curve": Curve(t=[0], mean=[1.0]), "key": "a" * 64}),
        make_pace("uneven", [1.0] * 5).model_copy(update={"curve": Curve(t=[0, 1], mean=[1.0]), "key": "b" * 64}),
        make_pace("none", [1.0] * 5).model_copy(update={"curve": None, "key": "c" * 64}),
    ]
    written = report(*torn)
    assert "<polyline" not in written["index.html"] and "pace.csv" not in written
    assert "uneven" in written["leaderboard.csv"]


def test_long_videos_are_judged_by_their_windows(make_record):
    protocol = {"measure": "drift", "frames": 64, "window": 16}
    curve = Curve(t=[0, 16, 32, 48], mean=[10.0, 12.0, 15.0, 30.0], se=[1.0, 1.0, None, 1.0])
    group = [
        make_record(protocol, value=value, se=1.0, leave_out=LEFT_OUT, curve=curve, key=str(value))
        for value in (30.0, 0.5, -30.0)
    ]
    rows = windows(group).rows
    assert [row["verdict"] for row in rows] == ["gets worse", "no change can be told", "gets better"]
    assert (rows[0]["first"], rows[0]["last"]) == (10.0, 30.0)


def test_printed_numbers_stand_apart_as_they_were_printed(make_record):
    side = make_record().real.model_copy(update={"name": "sky-timelapse"})
    table = printed([make_record(model="stylegan-v", real=side, value=80.0)])
    assert table is not None and "another protocol" in table.labels["ours"]
    rows = [row for row in table.rows if (row["model"], row["dataset"]) == ("StyleGAN-V", "SkyTimelapse")]
    by_value = {row["printed"]: row["ours"] for row in rows}
    assert by_value["79.52"] == "80 (fvd16@512[toy3d])" and by_value["197"] == "not measured"
    assert "1773.4" in {row["printed"] for row in table.rows}
    assert printed([make_record()]) is None


def test_training_curves_are_drawn_by_stage(report, scores, tmp_path):
    run = tmp_path / "runs" / "sledge" / "toy-ride-tiny"
    with Journal(run, "image", 0) as journal:
        for step in range(1, 100):
            journal.write(step, loss=1 / step, broken=float("nan"))
        journal.write(100, metric="fvd16@8[toy3d]", value=20.0, se=2.0)
    page = report(*scores())["index.html"]
    assert "sledge/toy-ride-tiny" in page and "image: loss" in page and "image: fvd16@8[toy3d]" in page
    assert "image: broken" not in page and "nan" not in "".join(re.findall(r'points="([^"]*)"', page))


def test_a_log_without_a_line_is_a_sentence(report, scores, tmp_path):
    (tmp_path / "runs" / "empty").mkdir(parents=True)
    (tmp_path / "runs" / "empty" / "log.jsonl").write_text("")
    assert "Nothing has been logged yet." in report(*scores())["index.html"]


@pytest.mark.parametrize("values", [[0.0, 0.0], [1e-14, 1e-14], [-5.0, 5e6], [3.0, 3.0]])
@pytest.mark.parametrize("logarithmic", [False, True])
def test_charts_stay_inside_their_frame(values, logarithmic):
    drawn = chart("title", [Line("a", DATA, [0, 1], values, [1.0, 2.0])], ("x", "y"), logarithmic=logarithmic)
    width, height, *_ = drawn["frame"]
    points = " ".join(part for line in drawn["lines"] for part in (line["line"], line["band"])).split()
    for x, y in (map(float, point.split(",")) for point in points):
        assert 0 <= x <= width and 0 <= y <= height
    assert all(0 <= float(place) <= height for place, _ in drawn["y"])


def test_long_lines_are_thinned():
    drawn = chart("title", [Line("a", DATA, range(10_000), [float(i) for i in range(10_000)])], ("x", "y"))
    assert len(drawn["lines"][0]["line"].split()) <= 250
    assert ticks(0, 10_000)[-1] == 10_000


def test_a_single_point_is_a_dot_in_the_middle_with_its_error():
    drawn = chart("title", [Line("a", DATA, [5], [2.0], [1.0])], ("x", "y"))
    [line], (width, height, left, right, top, bottom) = drawn["lines"], drawn["frame"]
    first, second = line["line"].split()
    assert first == second and "dot" in line["look"].split()
    x, y = map(float, first.split(","))
    assert x == (left + width - right) / 2 and top < y < height - bottom
    assert len({point.split(",")[1] for point in line["band"].split()}) == 2


def test_no_two_of_thirty_two_models_look_alike():
    assert len({look(index) for index in range(33)}) == 33


def test_bars_lie_on_one_axis():
    rows = [
        {"key": "a", "low": 1.0, "value": 2.0, "high": 3.0},
        {"key": "b", "low": None, "value": 4.0, "high": None},
        {"key": "c", "low": -1e-14, "value": 0.0, "high": 1e-14},
    ]
    places = {key: [float(x) for x in place] for key, place in bars(rows).items()}
    assert min(map(min, places.values())) >= 0 and max(map(max, places.values())) == 100
    assert places["a"] == sorted(places["a"]) and places["b"] == [100] * 3 and max(places["c"]) == 0


def test_training_without_a_number_has_no_chart():
    assert training_charts([{"stage": "gan", "step": 1, "metric": "fvd", "value": float("nan")}]) == []


def test_a_video_is_a_small_webm_that_plays(moving):
    video = np.ascontiguousarray(moving(1, 12, 33)[0].transpose(3, 0, 1, 2))
    frames, stream = decoded(data_uri(video, 12.5, 100_000))
    assert (len(frames), frames[0].shape) == (12, (66, 66, 3))
    assert stream.codec_context.name.endswith("vp9") and float(stream.average_rate) == 12.5
    assert np.abs(frames[5][::2, ::2].astype(int) - video[:, 5].transpose(1, 2, 0)).mean() < 10
    assert data_uri(video, 12.5, 100_000) == data_uri(video, 12.5, 100_000)


def test_videos_that_do_not_compress_keep_to_their_share():
    noise = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 32), np.uint8)
    assert len(base64.b64decode(data_uri(noise, 25, 20_000).partition(",")[2])) < 40_000


def test_samples_are_shown_of_the_very_weights_that_were_scored(report, make_record, tmp_path):
    torch.manual_seed(0)
    write_samples(
        tmp_path / "runs" / "samples", Paint(Hue(), 12.5), name="paint", count=4, frames=6, seed=0, form="png",
        about={"checkpoint_hash": "aa"}, track=silent,
    )  # fmt: skip
    page = report(make_record(model="paint", checkpoint_hash="aa"))["index.html"]
    assert page.count("<video") == 3
    (tmp_path / "runs" / "records").rename(tmp_path / "old")
    page = report(make_record(model="paint", checkpoint_hash="bb"))["index.html"]
    assert page.count("<video") == 0 and "There are no videos at hand of data: road, paint" in page


def test_the_data_and_reference_generators_are_shown_anew(make_record, monkeypatch):
    monkeypatch.setattr("vidbench.report_videos.FRAMES", 9)
    from vidbench.datasets import load_dataset

    source = load_dataset("toy-ride").source("train", (32, 32))
    real = make_record().real.model_copy(update={"name": "toy-ride", "split": "train"})
    record = make_record(model="freeze", real=real.model_copy(update={"fingerprint": source.fingerprint}))
    shown = data_videos(record), videos_of(record, [], [])
    for one in shown:
        assert isinstance(one, Shown) and [video.shape for video in one.videos] == [(3, 9, 32, 32)] * 3
    assert shown[1] is not None and (shown[1].videos[0][:, :1] == shown[1].videos[0]).all()
    other = record.model_copy(update={"real": real})
    assert data_videos(other) is videos_of(other, [], []) is None  # the set has changed since


def test_a_file_that_is_no_record_of_samples_is_passed_over(report, scores, tmp_path):
    for name, text in (("a", "["), ("b", "[]"), ("c", json.dumps({"model": 1, "videos": 2, "seeds": 3, "created": 4}))):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / f"{name}.json").write_text(text)
    assert "<video" not in report(*scores())["index.html"]


def test_tables_agree_in_every_form(scores):
    tables = [leaderboard(scores(leave_out=LEFT_OUT))]
    heads = list(tables[0].shown.values())
    assert f"| {' | '.join(heads)} |" in markdown(tables)
    assert "| sled | 20 | 0.75 |" in markdown(tables)
    assert r"sled & $20$ & $0.75$ &" in latex(tables)
    assert latex(tables).count("{") == latex(tables).count("}")
    assert float(next(csv.DictReader(io.StringIO(comma_separated(tables))))["se"]) == 0.75


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20", "=-1+", "-2*"])
def test_no_text_is_a_formula_to_a_spreadsheet(make_record, start):
    name = f'{start}HYPERLINK("x")'
    [row] = csv.DictReader(io.StringIO(comma_separated([leaderboard([make_record(model=name)])])))
    assert row["model"] == f"'{name}"


def test_numbers_and_other_texts_stand_in_a_spreadsheet_as_they_are(make_record):
    table = leaderboard([make_record(model="a=b", value=-0.5)])
    [row] = csv.DictReader(io.StringIO(comma_separated([replace(table, about={"printed": "-1.5"})])))
    assert (row["model"], row["value"], row["printed"]) == ("a=b", "-0.5", "-1.5")


def test_the_templates_ship():
    patterns = Path(__file__).parents[2].joinpath("pyproject.toml").read_text()
    assert '"templates/*"' in patterns
    names = {entry.name for entry in (files("vidbench") / "templates").iterdir()}
    assert {"report.html", "report.css", "report.js"} <= names
