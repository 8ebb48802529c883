"""The two sides of a score: data sets by name, and remarks on what differs between real and generated videos."""

import pytest
import torch

from vidbench.datasets import load_dataset
from vidbench.errors import UserError
from vidbench.generator import Generator
from vidbench.models.reference import Freeze
from vidbench.sides import as_side, commonest, mismatches, named_dataset
from vidbench.sources import Info, Source, Unreadable, Video, source_from_array


class Film:
    def __init__(self, codec="h264", size=(16, 16), fps=25.0):
        self.about = Info(30, size, fps, codec)

    def probe(self):
        return self.about

    def read(self, info, times):
        raise AssertionError("nothing is read")


class Torn(Film):
    def probe(self):
        raise Unreadable("it is torn")


def source(*films, name="films"):
    return Source(name, [Video(f"{i}", f"{i}", film) for i, film in enumerate(films)], "0" * 64)


class Wheel(Generator):
    size, fps = (16, 16), 25.0

    def stream(self, seed):
        yield torch.zeros(3, 8, 16, 16)


def test_no_real_side_is_the_default_data_set():
    assert named_dataset(None).name == "toy-ride"


def test_a_name_is_a_data_set_and_a_path_is_none(tmp_path):
    assert named_dataset("toy-sky").title == "Toy Sky"
    assert named_dataset(tmp_path) is None
    assert named_dataset(str(tmp_path / "not" / "there")) is None


def test_a_folder_of_a_data_set_s_name_is_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toy-sky").mkdir()
    assert named_dataset("toy-sky") is None


def test_a_misspelt_data_set_is_answered_with_the_nearest():
    with pytest.raises(UserError, match="Did you mean toy-talk"):
        named_dataset("toy-tolk")


def test_a_procedural_data_set_has_a_fingerprint_for_every_split_and_size():
    card = load_dataset("toy-talk")
    sources = [card.source(), card.source("test"), card.source(size=(64, 64))]
    assert len({source.fingerprint for source in sources}) == 3
    assert card.source("train").fingerprint == sources[0].fingerprint


def test_a_procedural_data_set_is_rendered_at_the_size_asked_for():
    rendered = load_dataset("toy-talk").source("test", (24, 40))
    assert rendered.read(rendered.videos[3], 0, 2).shape == (3, 2, 24, 40)
    assert rendered.info(rendered.videos[3]).size == (24, 40)


def test_an_unknown_split_is_answered_with_the_splits_there_are():
    with pytest.raises(UserError, match="Known: test, train"):
        load_dataset("toy-talk").source("trian")


def test_a_data_set_that_is_not_at_hand_says_where_to_get_it_and_where_to_put_it(monkeypatch, tmp_path):
    with pytest.raises(UserError, match=r"VIDBENCH_DATA is not set.*crcv\.ucf\.edu.*VIDBENCH_DATA/UCF-101"):
        load_dataset("ucf101").source()
    monkeypatch.setenv("VIDBENCH_DATA", str(tmp_path))
    with pytest.raises(UserError, match=f"{tmp_path} has no UCF-101"):
        load_dataset("ucf101").source()


def test_a_user_s_card_is_a_data_set(tmp_path):
    text = "title: Roads\nabout: Roads\nlicence: mine\nhome: here\npath: roads\nbackbone: toy3d\nclips: {fvd16: 32}\n"
    (tmp_path / "roads.yaml").write_text(text)
    card = load_dataset(str(tmp_path / "roads.yaml"))
    assert (card.name, card.backbone, card.clips) == ("roads", "toy3d", {"fvd16": 32})


def test_bytes_and_floats_become_the_same_source():
    levels = torch.randint(0, 256, (2, 3, 4, 8, 8), dtype=torch.uint8)
    assert as_side(levels).fingerprint == as_side(levels.float() / 127.5 - 1).fingerprint


def test_generators_and_sources_are_taken_as_they_are():
    wheel, films = Wheel(), source(Film())
    assert as_side(wheel) is wheel
    assert as_side(films) is films


def test_the_commonest_of_the_readable_videos_counts():
    films = source(Torn(), Film(fps=30.0), Film(fps=25.0), Film(fps=30.0))
    assert commonest(films, "fps") == 30.0


def test_a_source_without_a_readable_video_is_an_error():
    with pytest.raises(UserError, match="Not one of the first 2 videos in films can be read"):
        commonest(source(Torn(), Torn()), "size")


def test_sides_that_agree_give_no_remark():
    assert mismatches(source(Film()), source(Film())) == []


@pytest.mark.parametrize(
    ("other", "remark"),
    [
        (Film(fps=30.0), "frames a second differ: real films 25.0, generated made 30.0."),
        (Film(size=(8, 16)), "pixels (height, width) differ: real films (16, 16), generated made (8, 16)."),
        (Film("png"), "storage differ: real films h264, generated made png."),
    ],
)
def test_frame_rate_size_and_storage_that_differ_are_remarked(other, remark):
    assert mismatches(source(Film()), source(other, name="made")) == [remark]


def test_kinds_of_storage_that_leave_pixels_alone_do_not_differ():
    assert mismatches(source(Film("png")), source(Film("array"))) == []


def test_a_frame_rate_that_is_not_stated_does_not_differ():
    assert mismatches(source(Film()), source(Film(fps=None))) == []


def test_a_generator_s_frame_rate_and_size_are_looked_at():
    wheel = Wheel()
    wheel.size, wheel.fps = (32, 32), 12.0
    assert [remark.partition(" differ")[0] for remark in mismatches(source(Film()), wheel)] == [
        "frames a second",
        "pixels (height, width)",
    ]


def test_nothing_is_remarked_of_a_reference_generator():
    real = source_from_array("real", torch.zeros(2, 4, 8, 8, 3, dtype=torch.uint8).numpy(), fps=10.0)
    assert mismatches(source(Film()), Freeze(real.resized((8, 8)), 4)) == []
