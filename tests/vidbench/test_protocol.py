"""Clip protocols: the presets' numbers, and the hash on which every comparison rests."""

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from vidbench.errors import UserError
from vidbench.protocol import ClipProtocol, load_protocol, presets
from vidbench.registry import MEASURES

# The presets, row by row and column by column.
COLUMNS = (
    "measure", "clips", "clips_per_video", "order", "frames", "stride", "start", "generated_start", "eligible", "crop",
    "filter", "quantise", "preparation", "covariance", "seed",
)  # fmt: skip
TO_ASPECT = ("center-to-aspect", "lanczos/pillow")
AS_IT_IS = ("none", "none")
COVERED = ("shorter-side", "linear/torch")
SMOOTHLY_COVERED = ("shorter-side", "linear-antialias/torch")
PRESETS = {
    "fvd16": (
        "frechet", 2048, "cycle", "shuffled", 16, 1, "random", "zero", "span", *TO_ASPECT, "round", "styleganv",
        "n-1", 0
    ),
    "fvd128": (
        "frechet", 2048, "cycle", "shuffled", 128, 1, "random", "zero", "span", *TO_ASPECT, "round", "styleganv",
        "n-1", 0
    ),
    "fvd128-s8": (
        "frechet", 2048, "cycle", "shuffled", 16, 8, "random", "zero", "span", *TO_ASPECT, "round", "styleganv",
        "n-1", 0
    ),
    "fvd16-s16": (
        "frechet", 2048, "cycle", "shuffled", 16, 16, "random", "zero", "span", *TO_ASPECT, "round", "styleganv",
        "n-1", 0
    ),
    "kvd16": (
        "kernel", 2048, "cycle", "shuffled", 16, 1, "random", "zero", "span", *TO_ASPECT, "round", "styleganv",
        "n-1", 0
    ),
    "prdc16": (
        "prdc", 2048, "cycle", "shuffled", 16, 1, "random", "zero", "span", *TO_ASPECT, "round", "styleganv",
        "none", 0
    ),
    "drift": (
        "drift", 2048, "cycle", "shuffled", 256, 1, "random", "zero", "span", *TO_ASPECT, "round", "styleganv",
        "n-1", 0
    ),
    "flicker": (
        "flicker", 2048, "cycle", "shuffled", 16, 1, "random", "zero", "span", *TO_ASPECT, "round", "none", "none", 0
    ),
    "smoothness": (
        "smoothness", 2048, "cycle", "shuffled", 16, 1, "random", "zero", "span", *TO_ASPECT, "round", "none", "none",
        0
    ),
    "repetition": (
        "repetition", 2048, "cycle", "shuffled", 128, 1, "random", "zero", "span", *TO_ASPECT, "round", "none", "none",
        0
    ),
    "color-drift": (
        "color-similarity", 1000, "cycle", "shuffled", 129, 1, "random", "zero", "span", *TO_ASPECT, "round", "none",
        "none", 0,
    ),
    "styleganv/fvd16": (
        "frechet", 2048, "one", "sorted", 16, 1, "random", "zero", "frames*stride", *AS_IT_IS, "round", "styleganv",
        "n", 0
    ),
    "styleganv/fvd128": (
        "frechet", 2048, "one", "sorted", 128, 1, "random", "zero", "frames*stride", *AS_IT_IS, "round",
        "styleganv", "n", 0,
    ),
    "styleganv/fvd128-s8": (
        "frechet", 2048, "one", "sorted", 16, 8, "random", "zero", "frames*stride", *AS_IT_IS, "round", "styleganv",
        "n", 0
    ),
    "longvideogan/fvd16": (
        "frechet", 2048, "cycle", "shuffled", 16, 1, "random", "random-phase", "span", *AS_IT_IS, "round", "styleganv",
        "n", 0,
    ),
    "longvideogan/fvd128": (
        "frechet", 2048, "cycle", "shuffled", 128, 1, "random", "random-phase", "span", *AS_IT_IS, "round", "styleganv",
        "n", 0,
    ),
    "longvideogan/fvd128-s8": (
        "frechet", 2048, "cycle", "shuffled", 16, 8, "random", "random-phase", "span", *AS_IT_IS, "round", "styleganv",
        "n", 0,
    ),
    "longvideogan/color-drift": (
        "color-similarity", 1000, "cycle", "shuffled", 129, 1, "random", "zero", "span", *AS_IT_IS, "none",
        "none", "none", 0,
    ),
    "videogpt/fvd": (
        "frechet", 256, "all", "shuffled", 16, 1, "random", "zero", "span", *COVERED, "truncate", "videogpt", "n-1", 0
    ),
    "tats/fvd": (
        "frechet", 2048, "all", "shuffled", 16, 1, "random", "zero", "span", *COVERED, "truncate", "tats", "n-1", 0
    ),
    "tats/kvd": (
        "kernel", 2048, "all", "shuffled", 16, 1, "random", "zero", "span", *COVERED, "truncate", "tats", "none", 0
    ),
    "cdfvd/fvd": (
        "frechet", 2048, "one", "shuffled", 16, 1, "random", "zero", "span", *SMOOTHLY_COVERED, "truncate",
        "cdfvd", "n", 42,
    ),
}  # fmt: skip

# Frames from the first to the last of a clip, and frames that a video must have to count.
SPANS = {
    "fvd16-s16": (241, 241),
    "fvd16": (16, 16),
    "fvd128": (128, 128),
    "fvd128-s8": (121, 121),
    "kvd16": (16, 16),
    "prdc16": (16, 16),
    "drift": (256, 256),
    "flicker": (16, 16),
    "smoothness": (16, 16),
    "repetition": (128, 128),
    "color-drift": (129, 129),
    "styleganv/fvd16": (16, 16),
    "styleganv/fvd128": (128, 128),
    "styleganv/fvd128-s8": (121, 128),
    "longvideogan/fvd16": (16, 16),
    "longvideogan/fvd128": (128, 128),
    "longvideogan/fvd128-s8": (121, 121),
    "longvideogan/color-drift": (129, 129),
    "videogpt/fvd": (16, 16),
    "tats/fvd": (16, 16),
    "tats/kvd": (16, 16),
    "cdfvd/fvd": (16, 16),
}

# What differs from fvd16 in every field that decides a score.
OTHER = {
    "name": "mine",
    "version": 2,
    "measure": "color-similarity",
    "clips": 2047,
    "clips_per_video": "one",
    "order": "sorted",
    "frames": 17,
    "stride": 2,
    "window": 4,
    "start": "zero",
    "generated_start": "random-phase",
    "eligible": "frames*stride",
    "crop": "none",
    "filter": "linear/torch",
    "quantise": "truncate",
    "preparation": "none",
    "covariance": "n",
    "seed": 1,
    "split": "test",
    "size": (64, 64),
}


@pytest.mark.parametrize("name", PRESETS)
def test_the_presets_are_those_of_the_papers_in_every_column(name):
    protocol = load_protocol(name)
    assert {column: getattr(protocol, column) for column in COLUMNS} == dict(zip(COLUMNS, PRESETS[name], strict=True))
    assert (protocol.name, protocol.split, protocol.size) == (name, None, None)


def test_the_columns_are_all_there_is_to_a_preset():
    assert {*COLUMNS, "name", "version", "about", "source", "split", "size", "window"} == set(ClipProtocol.model_fields)


def test_these_are_all_presets():
    assert presets() == sorted(PRESETS)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_registered_with_its_measure(name):
    protocol = load_protocol(name)
    measure = MEASURES.load(protocol.measure)
    assert (protocol.preparation == "none") == (not measure.needs_backbone)


@pytest.mark.parametrize("name", PRESETS)
def test_the_spans_of_the_presets(name):
    protocol = load_protocol(name)
    assert (protocol.span, protocol.needed) == SPANS[name]


@given(st.integers(1, 500), st.integers(1, 64))
def test_the_span_reaches_from_the_first_to_the_last_frame(frames, stride):
    protocol = load_protocol("fvd16").model_copy(update={"frames": frames, "stride": stride})
    assert len(range(0, protocol.span, stride)) == frames
    assert len(range(0, protocol.span - 1, stride)) == frames - 1


@given(st.integers(1, 500), st.integers(1, 64))
def test_every_stride_has_frames_of_its_own_where_that_many_are_asked_for(frames, stride):
    protocol = load_protocol("fvd16").model_copy(
        update={"frames": frames, "stride": stride, "eligible": "frames*stride"}
    )
    assert protocol.needed == frames * stride == protocol.span + stride - 1
    assert protocol.model_copy(update={"eligible": "span"}).needed == protocol.span


def test_only_drift_looks_through_windows():
    assert {name: load_protocol(name).window for name in PRESETS if load_protocol(name).window} == {"drift": 16}


def test_the_real_side_of_windows_has_clips_of_one_window():
    protocol = load_protocol("drift")
    assert (protocol.seen, protocol.of_real.frames, protocol.of_real.needed) == (16, 16, 16)
    assert load_protocol("fvd128").of_real == load_protocol("fvd128")


def test_every_field_either_counts_in_the_hash_or_is_for_people():
    assert {*OTHER, "about", "source"} == set(ClipProtocol.model_fields)


@pytest.mark.parametrize("field", OTHER)
def test_the_hash_changes_with_every_field_that_decides_a_score(field):
    protocol = load_protocol("fvd16")
    assert protocol.model_copy(update={field: OTHER[field]}).hash != protocol.hash


def test_the_identity_is_every_field_that_counts():
    protocol = load_protocol("styleganv/fvd16").resolved(size=(32, 64))
    assert set(protocol.identity) == set(OTHER)
    assert all(protocol.identity[field] == getattr(protocol, field) for field in COLUMNS)
    assert protocol.identity["size"] == [32, 64]  # as JSON has it


@pytest.mark.parametrize("field", ["about", "source"])
def test_the_hash_does_not_change_with_texts_for_people(field):
    protocol = load_protocol("fvd16")
    assert protocol.model_copy(update={field: "another text"}).hash == protocol.hash


def test_the_hash_is_the_same_in_another_process():
    code = "from vidbench.protocol import load_protocol; print(load_protocol('fvd16@64').resolved(size=(32, 64)).hash)"
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    other = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert other.stdout.strip() == load_protocol("fvd16@64").resolved(size=(32, 64)).hash


def test_the_presets_have_different_hashes():
    assert len({load_protocol(name).hash for name in PRESETS}) == len(PRESETS)


@given(st.integers(2, 10**6).filter(lambda clips: clips != 2048))
def test_another_number_of_clips_changes_name_and_hash(clips):
    protocol = load_protocol(f"fvd16@{clips}")
    assert (protocol.name, protocol.clips) == (f"fvd16@{clips}", clips)
    assert protocol.hash != load_protocol("fvd16").hash


def test_an_imitation_s_number_of_clips_can_be_changed_and_changed_back():
    protocol = load_protocol("styleganv/fvd16@64")
    assert (protocol.name, protocol.clips, protocol.order) == ("styleganv/fvd16@64", 64, "sorted")
    assert protocol.resolved(clips=2048) == load_protocol("styleganv/fvd16")


def test_the_number_of_clips_can_be_changed_twice():
    assert load_protocol("fvd16@512").resolved(clips=64) == load_protocol("fvd16@64")


def test_the_preset_s_own_number_of_clips_is_the_preset():
    assert load_protocol("fvd16@2048") == load_protocol("fvd16")
    assert load_protocol("fvd16@512").resolved(clips=2048).hash == load_protocol("fvd16").hash


def test_a_size_a_split_and_a_seed_are_filled_in_under_the_same_name():
    protocol = load_protocol("fvd16").resolved(size=(32, 64), split="train", seed=7)
    assert (protocol.name, protocol.size, protocol.split, protocol.seed) == ("fvd16", (32, 64), "train", 7)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("clips_per_video", "two"),
        ("order", "natural"),
        ("start", "middle"),
        ("generated_start", "random"),
        ("eligible", "frames"),
        ("crop", "left"),
        ("filter", "bilinear/torch"),
        ("quantise", "floor"),
        ("preparation", "piergiaj"),
        ("covariance", "n-2"),
    ],
)
def test_a_value_that_nothing_here_can_do_is_refused_with_those_that_can_be_had(field, value):
    with pytest.raises(UserError, match=f"fvd16: {field} = '{value}': Input should be ") as caught:
        load_protocol("fvd16").resolved(**{field: value})
    assert str(getattr(load_protocol("fvd16"), field)) in str(caught.value)


@pytest.mark.parametrize("name", ["fvd16@", "fvd16@many", "fvd16@-3", "fvd16@1.5"])
def test_after_the_at_sign_stands_a_number(name):
    with pytest.raises(UserError, match="fvd16@512"):
        load_protocol(name)


@pytest.mark.parametrize("clips", [0, 1])
def test_fewer_than_two_clips_are_refused(clips):
    with pytest.raises(UserError, match=f"fvd16: clips = {clips}"):
        load_protocol(f"fvd16@{clips}")


def test_an_unknown_preset_is_answered_with_the_nearest():
    with pytest.raises(UserError, match="Did you mean fvd128"):
        load_protocol("fvd127")


def test_a_user_s_file_is_a_protocol(tmp_path):
    text = load_protocol("fvd16").model_dump_json(exclude={"name"}).replace('"frames":16', '"frames":24')
    (tmp_path / "mine.yaml").write_text(text)  # JSON is YAML
    protocol = load_protocol(str(tmp_path / "mine.yaml"))
    assert (protocol.name, protocol.frames, protocol.clips) == ("mine", 24, 2048)


def test_an_unknown_key_of_a_user_s_file_is_answered_with_the_nearest(tmp_path):
    text = load_protocol("fvd16").model_dump_json(exclude={"name"}).replace('"stride"', '"strides"')
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(UserError, match=r'mine\.yaml: unknown key "strides"\. Did you mean stride\?'):
        load_protocol(str(tmp_path / "mine.yaml"))


def test_a_protocol_is_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        load_protocol("fvd16").clips = 4
