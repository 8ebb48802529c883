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

# What each preset is: measure, clips, frames, stride, preparation for the backbone, normaliser of covariances.
PRESETS = {
    "fvd16": ("frechet", 2048, 16, 1, "styleganv", "n-1"),
    "fvd128": ("frechet", 2048, 128, 1, "styleganv", "n-1"),
    "fvd128-s8": ("frechet", 2048, 16, 8, "styleganv", "n-1"),
    "color-drift": ("color-similarity", 1000, 129, 1, "none", "none"),
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
    "start": "zero",
    "generated_start": "random-phase",
    "eligible": "frames*stride",
    "crop": "none",
    "filter": "bilinear/torch",
    "quantise": "truncate",
    "preparation": "none",
    "covariance": "n",
    "seed": 1,
    "split": "test",
    "size": (64, 64),
}


@pytest.mark.parametrize("name", PRESETS)
def test_the_presets_have_the_numbers_of_the_papers(name):
    protocol = load_protocol(name)
    numbers = (
        protocol.measure,
        protocol.clips,
        protocol.frames,
        protocol.stride,
        protocol.preparation,
        protocol.covariance,
    )
    assert numbers == PRESETS[name]


@pytest.mark.parametrize("name", PRESETS)
def test_the_presets_agree_in_everything_else(name):
    protocol = load_protocol(name)
    assert protocol.clips_per_video == "cycle"
    assert (protocol.order, protocol.seed) == ("shuffled", 0)
    assert (protocol.start, protocol.generated_start) == ("random", "zero")
    assert protocol.eligible == "span"
    assert (protocol.crop, protocol.filter) == ("center-to-aspect", "lanczos/pillow")
    assert protocol.quantise == "round"
    assert (protocol.split, protocol.size) == (None, None)


def test_these_are_all_presets():
    assert presets() == sorted(PRESETS)


@pytest.mark.parametrize(("name", "span"), [("fvd16", 16), ("fvd128", 128), ("fvd128-s8", 121), ("color-drift", 129)])
def test_the_spans_of_the_presets(name, span):
    assert load_protocol(name).span == span


@given(st.integers(1, 500), st.integers(1, 64))
def test_the_span_reaches_from_the_first_to_the_last_frame(frames, stride):
    protocol = load_protocol("fvd16").model_copy(update={"frames": frames, "stride": stride})
    assert len(range(0, protocol.span, stride)) == frames
    assert len(range(0, protocol.span - 1, stride)) == frames - 1


def test_every_field_either_counts_in_the_hash_or_is_for_people():
    assert {*OTHER, "about", "source"} == set(ClipProtocol.model_fields)


@pytest.mark.parametrize("field", OTHER)
def test_the_hash_changes_with_every_field_that_decides_a_score(field):
    protocol = load_protocol("fvd16")
    assert protocol.model_copy(update={field: OTHER[field]}).hash != protocol.hash


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
    assert len({load_protocol(name).hash for name in PRESETS}) == 4


@given(st.integers(2, 10**6).filter(lambda clips: clips != 2048))
def test_another_number_of_clips_changes_name_and_hash(clips):
    protocol = load_protocol(f"fvd16@{clips}")
    assert (protocol.name, protocol.clips) == (f"fvd16@{clips}", clips)
    assert protocol.hash != load_protocol("fvd16").hash


def test_the_number_of_clips_can_be_changed_twice():
    assert load_protocol("fvd16@512").resolved(clips=64) == load_protocol("fvd16@64")


def test_the_preset_s_own_number_of_clips_is_the_preset():
    assert load_protocol("fvd16@2048") == load_protocol("fvd16")
    assert load_protocol("fvd16@512").resolved(clips=2048).hash == load_protocol("fvd16").hash


def test_a_size_a_split_and_a_seed_are_filled_in_under_the_same_name():
    protocol = load_protocol("fvd16").resolved(size=(32, 64), split="train", seed=7)
    assert (protocol.name, protocol.size, protocol.split, protocol.seed) == ("fvd16", (32, 64), "train", 7)


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
