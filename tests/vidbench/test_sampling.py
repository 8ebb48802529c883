"""Sampling to files: videos as they are streamed, a contact sheet, and a record of how they were made."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from tests.vidbench.systems import Hue, Paint
from vidbench import Generator
from vidbench.choosing import open_generator
from vidbench.clips import quantise
from vidbench.contenders import parse
from vidbench.draws import draw_seed
from vidbench.errors import UserError
from vidbench.sampling import limited, write_samples
from vidbench.sources import open_source


def paint():
    torch.manual_seed(0)
    return Paint(Hue(), 12.5)


def write(folder, generator=None, *, count=3, frames=20, form="png", track=lambda items, label, total: items):
    return write_samples(
        folder, generator or paint(), name="paint", count=count, frames=frames, seed=4, form=form,
        about={"checkpoint": "here"}, track=track,
    )  # fmt: skip


def test_what_is_written_is_what_is_scored(tmp_path):
    write(tmp_path / "out")
    source = open_source(tmp_path / "out" / "paint")
    expected = quantise(paint().sample([draw_seed(4, "clip", index) for index in range(3)], 20))
    assert np.array_equal(np.stack([source.read(video, 0, 20) for video in source.videos]), expected)


@pytest.mark.parametrize("form", ["mp4", "png"])
def test_every_form_can_be_read_again_and_written_again(tmp_path, form):
    for _ in range(2):
        *videos, sheet, record = write(tmp_path, form=form)
    assert [path.stem for path in videos] == ["000000", "000001", "000002"]
    source = open_source(tmp_path / "paint")
    expected = quantise(paint().sample([draw_seed(4, "clip", 0)], 20))[0]
    assert [source.length(video) for video in source.videos] == [20, 20, 20]
    assert np.abs(source.read(source.videos[0], 0, 20).astype(int) - expected).max() <= (0 if form == "png" else 12)
    assert (sheet.name, record.name) == ("paint.png", "paint.json")
    assert {path.name for path in tmp_path.iterdir()} == {"paint", "paint.png", "paint.json"}


def test_a_gif_lasts_as_long_as_the_video(tmp_path):
    first, *_ = write(tmp_path, form="gif")
    with Image.open(first) as gif:
        lengths = [gif.seek(index) or gif.info["duration"] for index in range(gif.n_frames)]
    assert sum(lengths) == 20 * 1000 / 12.5  # frames that look alike are one, shown for longer


def test_a_record_says_how_they_were_made(tmp_path):
    *videos, _, record = write(tmp_path, form="mp4")
    values = json.loads(record.read_text())
    assert [tmp_path / name for name in values["videos"]] == videos
    assert values["seeds"] == [draw_seed(4, "clip", index) for index in range(3)]
    expected = {"model": "paint", "checkpoint": "here", "seed": 4, "frames": 20, "size": [8, 8], "fps": 12.5}
    assert expected.items() <= values.items()
    assert "vidbench" in values["versions"]


def test_a_contact_sheet_shows_every_video(tmp_path):
    *_, sheet, _ = write(tmp_path, count=4)
    assert Image.open(sheet).height > 4 * 64
    *_, few, _ = write(tmp_path, count=1, frames=1)
    assert np.asarray(Image.open(few)).std() > 0


class Counted(Generator):
    """Endless; knows how many frames were made beyond those that have been written."""

    size, fps = (8, 8), 25.0

    def __init__(self):
        self.made = self.written = self.ahead = 0

    def stream(self, seed):
        while True:
            self.made += 16
            self.ahead = max(self.ahead, self.made - self.written)
            yield torch.zeros(3, 16, 8, 8)


@pytest.mark.parametrize("form", ["mp4", "png"])
def test_a_chunk_is_written_before_the_next_is_made(tmp_path, monkeypatch, form):
    generator = Counted()
    from vidbench import writing

    pictures = writing.pictures

    def counted(frames):
        for picture in pictures(frames):
            yield picture
            generator.written += 1

    monkeypatch.setattr(writing, "pictures", counted)
    write(tmp_path, generator, count=2, frames=160, form=form)
    assert generator.made == 320
    assert generator.ahead <= 32  # a chunk, and perhaps the one that is on its way


def test_no_more_is_made_than_is_asked_for(tmp_path):
    generator = Counted()
    write(tmp_path, generator, count=1, frames=17)
    assert generator.made == 32
    assert len(list((tmp_path / "paint" / "000000").iterdir())) == 17


def test_progress_counts_frames(tmp_path):
    seen = []

    def track(items, label, total):
        assert (label, total) == ("sample paint", 40)
        for item in items:
            yield item
            seen.append(item)

    write(tmp_path, count=2, frames=20, track=track)
    assert len(seen) == 40


def test_videos_that_are_not_that_long_are_refused(tmp_path):
    generator = paint()
    generator.max_frames = 10
    with pytest.raises(UserError, match=r"paint makes videos of at most 10 frames; 20 were asked for. Use --frames"):
        write(tmp_path, generator)
    assert not list(tmp_path.iterdir())
    with pytest.raises(UserError, match="ended after 5 frames; 6 were asked for"):
        list(limited([torch.zeros(3, 5, 2, 2)], 6))


def test_options_are_read_as_yaml():
    assert parse(("truncation=0.5", "mode=fast", "on=true")) == {"truncation": 0.5, "mode": "fast", "on": True}
    for odd in ("truncation", "a-b=1", "=1"):
        with pytest.raises(UserError, match="--set takes key=value"):
            parse((odd,))
    with pytest.raises(UserError, match=r"is not a value in YAML"):
        parse(("a=[1",))


def test_what_a_model_does_not_have_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mine = tmp_path / "mine.py"
    mine.write_text(
        "import vidbench, torch\n"
        "class Mine(vidbench.Generator):\n"
        "    fps, size = 25.0, (4, 4)\n"
        "    def __init__(self, level=0.0): self.level = level\n"
        "    def stream(self, seed):\n"
        "        while True: yield torch.full((3, 2, 4, 4), self.level)\n"
    )
    generator, about = open_generator(f"{mine}:Mine", None, "toy-ride", ("level=0.5",), "cpu")
    assert (float(generator.sample([0], 1).mean()), about) == (0.5, {"options": {"level": 0.5}})
    with pytest.raises(UserError, match=r"has no --fps. Leave it away"):
        open_generator(f"{mine}:Mine", None, "toy-ride", (), "cpu", 50.0)
    with pytest.raises(UserError, match=r"has no --checkpoint. Leave it away"):
        open_generator(f"{mine}:Mine", tmp_path, "toy-ride", (), "cpu")
    with pytest.raises(UserError, match=r"cannot be made of {'colour': 1}"):
        open_generator(f"{mine}:Mine", None, "toy-ride", ("colour=1",), "cpu")
    with pytest.raises(UserError, match=r"There is no checkpoint of stylegan-v for toy-talk. Train one"):
        open_generator("stylegan-v", None, "toy-talk", (), "cpu")


def test_videos_of_an_earlier_run_do_not_stay_among_those_of_this_one(tmp_path):
    write(tmp_path, count=3, form="mp4")
    (tmp_path / "paint" / "notes.txt").touch()
    write(tmp_path, count=2, form="png")
    assert sorted(path.name for path in (tmp_path / "paint").iterdir()) == ["000000", "000001", "notes.txt"]
