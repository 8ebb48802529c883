"""Videos at a smaller size: taken where they are stored, else made once; the same pixels with and without the cache."""

import json
import mmap
import multiprocessing
import os
import pickle
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.videos import numbered, numbers, render, render_frames, zipped
from vidbench.datasets import load_dataset
from vidbench.errors import BadVideoError, UserError
from vidbench.sources import Source, kept, open_source, source_from_array
from vidbench.sources.decode import VideoFile

SMALL = (12, 16)
LENGTH = 21


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of 8 frames; a cache that has not failed yet."""
    monkeypatch.setattr(kept, "BLOCK", 8)
    monkeypatch.setattr(kept, "STOPPED", mmap.mmap(-1, 1))


def as_file(root: Path) -> Source:
    render(root / "a.mp4", LENGTH)
    return open_source(root)


def as_folder(root: Path) -> Source:
    render_frames(root / "a", LENGTH)
    return open_source(root)


def as_zip(root: Path) -> Source:
    render_frames(root / "set" / "a", LENGTH)
    return open_source(zipped(root / "set", root / "set.zip"))


def as_array(root: Path) -> Source:
    root.mkdir()
    np.save(root / "a.npy", np.stack([numbered(t) for t in range(LENGTH)]))
    return open_source(root / "a.npy")


def as_memory(root: Path) -> Source:
    return source_from_array("samples", np.stack([numbered(t) for t in range(LENGTH)])[None])


def as_toy(root: Path) -> Source:
    return load_dataset("toy-ride").source("train", (32, 32))


def blocks(cache: Path) -> list[Path]:
    return sorted(cache.rglob("frames/**/*.safetensors"))


def undecodable(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a video was decoded")

    monkeypatch.setattr(VideoFile, "read", refuse)


@pytest.mark.parametrize("make", [as_file, as_folder, as_zip, as_array, as_memory, as_toy])
def test_pixels_are_those_of_the_resized_source(
    tmp_path: Path, make: Callable[[Path], Source], own_cache: Path
) -> None:
    source = make(tmp_path / "videos")
    video = source.videos[0]
    plain, low = source.resized(SMALL), source.reduced(SMALL)
    for visit in range(2):
        for t0, t1, stride in ((0, LENGTH, 1), (3, 5, 1), (7, 18, 2), (20, 21, 1)):
            assert np.array_equal(low.read(video, t0, t1, stride), plain.read(video, t0, t1, stride)), visit
    assert np.array_equal(low.frames(video, [0, 2, 17]), plain.frames(video, [0, 2, 17]))
    assert len(blocks(own_cache)) == (0 if make is as_toy else 3), "what is rendered is quicker rendered again"


def test_it_is_the_same_source_in_all_but_size_and_fingerprint(tmp_path: Path) -> None:
    source = as_file(tmp_path / "videos").resized((24, 32))
    video, low = source.videos[0], source.reduced(SMALL)
    assert low is source.reduced(SMALL)
    assert (low.name, low.videos, low.size, low.length(video)) == (source.name, source.videos, SMALL, LENGTH)
    assert (low.info(video).size, low.info(video).fps) == (SMALL, 25)
    assert len({source.fingerprint, low.fingerprint, source.reduced((6, 8)).fingerprint}) == 3
    assert low.fingerprint == open_source(tmp_path / "videos").reduced(SMALL).fingerprint
    assert np.array_equal(low.reduced((6, 8)).read(video, 0, 3), source.reduced((6, 8)).read(video, 0, 3))
    assert numbers(low.resized((24, 32)).read(video, 5, 8)) == [5, 6, 7]


def test_after_the_first_visit_nothing_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = as_file(tmp_path / "videos")
    first = source.reduced(SMALL).read(source.videos[0], 2, 19)
    undecodable(monkeypatch)
    again = open_source(tmp_path / "videos")
    assert np.array_equal(again.reduced(SMALL).read(again.videos[0], 2, 19), first)
    assert numbers(first) == [*range(2, 19)]


def test_a_part_of_the_videos_shares_what_is_kept(tmp_path: Path, own_cache: Path) -> None:
    for name in ("a", "b"):
        render_frames(tmp_path / "videos" / name, 4)
    source = open_source(tmp_path / "videos")
    half = source.subset(lambda video: video.key == "a", "half")
    low = half.reduced(SMALL)
    assert low.videos == source.videos[:1] and low.fingerprint != source.reduced(SMALL).fingerprint
    assert np.array_equal(low.read(low.videos[0], 0, 4), source.reduced(SMALL).read(low.videos[0], 0, 4))
    assert len(blocks(own_cache)) == 1


def test_a_size_that_videos_are_stored_in_needs_no_keeping(tmp_path: Path, own_cache: Path) -> None:
    source = as_folder(tmp_path / "videos")
    assert numbers(source.reduced((48, 64)).read(source.videos[0], 0, LENGTH)) == [*range(LENGTH)]
    assert blocks(own_cache) == []


def test_another_content_of_the_same_name_is_not_mixed_up(tmp_path: Path) -> None:
    first = as_folder(tmp_path / "videos")
    first.reduced(SMALL).read(first.videos[0], 0, 8)
    render_frames(tmp_path / "videos" / "a", [numbered(99)] * LENGTH)
    second = open_source(tmp_path / "videos")
    assert numbers(second.reduced(SMALL).read(second.videos[0], 0, 8)) == [99] * 8


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        flip,
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_text("no block"),
        lambda path: path.write_bytes(blocks(path.parents[2])[-1].read_bytes()),  # the last one, which is shorter
        lambda path: path.unlink(),
    ],
)
def test_a_damaged_block_is_made_again(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path], object]
) -> None:
    source = as_file(tmp_path / "videos")
    low = source.reduced(SMALL)
    first = low.read(source.videos[0], 0, LENGTH)
    whole = blocks(own_cache)[0].read_bytes()
    damage(blocks(own_cache)[0])
    assert np.array_equal(low.read(source.videos[0], 0, LENGTH), first)
    assert blocks(own_cache)[0].read_bytes() == whole
    undecodable(monkeypatch)
    assert np.array_equal(low.read(source.videos[0], 0, LENGTH), first)


def test_without_a_cache_it_goes_on_with_one_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = as_file(tmp_path / "videos")
    (tmp_path / "no-folder").touch()
    monkeypatch.setenv("VIDBENCH_CACHE", str(tmp_path / "no-folder"))
    with pytest.warns(UserWarning, match="videos 12x16 are reduced anew whenever they are read: .*no-folder") as notes:
        clips = [source.reduced(SMALL).read(source.videos[0], t, t + 9) for t in (0, 3, 11)]
    assert len(notes) == 1
    assert [numbers(clip) for clip in clips] == [[*range(t, t + 9)] for t in (0, 3, 11)]


def read_noting(source: Source, start: int) -> tuple[np.ndarray, list[str]]:
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        clip = source.reduced(SMALL).read(source.videos[0], start, start + 9)
    return clip, [str(note.message) for note in notes]


def test_a_full_disk_is_noted_once_by_all_processes_together_and_read_blocks_are_still_used(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = as_file(tmp_path / "videos")
    source.reduced(SMALL).read(source.videos[0], 0, 8)

    def full(path: Path, content: bytes) -> None:
        raise UserError(f"{path} cannot be written (No space left on device).")

    monkeypatch.setattr(kept, "atomic_write", full)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        clip, notes = pool.apply(read_noting, (source, 0))
    assert numbers(clip) == [*range(9)] and len(notes) == 1 and "No space left" in notes[0]
    assert read_noting(source, 12)[1] == []
    assert len(blocks(own_cache)) == 1
    undecodable(monkeypatch)
    assert numbers(source.reduced(SMALL).read(source.videos[0], 0, 8)) == [*range(8)]


def test_many_processes_at_once(tmp_path: Path, own_cache: Path) -> None:
    source = pickle.loads(pickle.dumps(as_file(tmp_path / "videos")))
    with multiprocessing.get_context("fork").Pool(4) as pool:
        found = pool.starmap(read_noting, [(source, start) for start in (0, 7, 1, 12, 3) * 4])
    assert [numbers(clip) for clip, _ in found] == [[*range(t, t + 9)] for t in (0, 7, 1, 12, 3)] * 4
    assert {note for _, notes in found for note in notes} == set()
    assert [path.suffix for path in own_cache.rglob("*") if path.is_file() and "frames" in path.parts] == [
        ".safetensors"
    ] * 3


def test_a_reduced_source_travels_to_other_processes(tmp_path: Path) -> None:
    source = as_file(tmp_path / "videos")
    low = source.reduced(SMALL)
    low.read(source.videos[0], 0, 9)
    for other in (pickle.loads(pickle.dumps(low)), pickle.loads(pickle.dumps(source)).reduced(SMALL)):
        assert np.array_equal(other.read(source.videos[0], 4, 12), low.read(source.videos[0], 4, 12))


def test_only_a_damaged_frame_itself_cannot_be_read(tmp_path: Path) -> None:
    source = as_folder(tmp_path / "videos")
    (tmp_path / "videos" / "a" / "000006.png").write_text("not an image")
    low = source.reduced(SMALL)
    assert numbers(low.read(source.videos[0], 0, 6)) == [*range(6)]
    with pytest.raises(BadVideoError, match=r"a cannot be read \(frame 000006.png"):
        low.read(source.videos[0], 0, 8)


@given(st.integers(0, 2**32))
def test_a_block_is_loaded_as_it_was_kept_or_not_at_all(seed: int) -> None:
    chance = np.random.default_rng(seed)
    frames = chance.integers(0, 256, (3, *chance.integers(1, 6, 3)), np.uint8)
    path = Path(os.environ["VIDBENCH_CACHE"], f"{seed}.safetensors")
    kept.keep(path, frames, "some 1x1")
    assert np.array_equal(kept.load(path, frames.shape), frames)
    assert kept.load(path, (*frames.shape[:3], 9)) is None
    content = bytearray(path.read_bytes())
    content[chance.integers(len(content) - frames.size, len(content))] ^= 1 << int(chance.integers(8))
    path.write_bytes(content)
    assert kept.load(path, frames.shape) is None


CLIPS = {"partition_0000.zip": {"a": 3, "b/0_31": 5}, "partition_0001.zip": {"c": 2}}


def shards(folder: Path, clips: dict[str, dict[str, int]] = CLIPS, first: int = 0) -> Path:
    """A LongVideoGAN data set at the resolution that its folder names: clips of so many frames, from a number on."""
    folder.mkdir(parents=True)
    size = tuple(int(side) for side in folder.name.split("x"))
    for name, lengths in clips.items():
        with ZipFile(folder / name, "w") as file:
            for clip, length in lengths.items():
                for t in range(length):
                    with file.open(f"{clip}/{t:06d}.png", "w") as entry:
                        Image.fromarray(numbered(first + t, size)).save(entry, "png")
            index = {clip: [f"{t:06d}.png" for t in range(length)] for clip, length in lengths.items()}
            file.writestr("frame_paths.json", json.dumps(index))
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data set at two resolutions, of which the smaller one shows other numbers, so that one sees what was read."""
    shards(tmp_path / "set" / "0024x0032")
    shards(tmp_path / "set" / "0012x0016", first=100)
    return tmp_path / "set"


@pytest.mark.parametrize("where", ["", "0024x0032", "0024x0032/partition_0000.zip"])
def test_a_stored_size_is_read_in_place(root: Path, own_cache: Path, where: str) -> None:
    source = open_source(root / where, size=None if where else (24, 32))
    assert source.videos[1].key == "b/0_31"
    for each in (source, source.resized((24, 32)), pickle.loads(pickle.dumps(source)), source.subset(bool, "all")):
        low = each.reduced(SMALL)
        assert low is each.reduced(SMALL) and low.videos == source.videos and low.size == SMALL
        assert numbers(low.read(source.videos[1], 1, 5)) == [101, 102, 103, 104]
        assert numbers(low.resized(SMALL).frames(source.videos[1], [0, 4])) == [100, 104]
        assert low.fingerprint not in (each.fingerprint, each.reduced((6, 8)).fingerprint)
    assert blocks(own_cache) == []
    assert numbers(source.reduced((18, 24)).read(source.videos[1], 0, 5)) == [*range(5)]
    assert len(blocks(own_cache)) == 1


def test_a_part_of_a_stored_set_needs_no_more(root: Path) -> None:
    source = open_source(root, size=(24, 32))
    half = source.subset(lambda video: video.key == "c", "half")
    assert numbers(half.reduced(SMALL).read(half.videos[0], 0, 2)) == [100, 101]


@pytest.mark.parametrize(
    ("clips", "difference"),
    [
        ({**CLIPS, "partition_0002.zip": {"d": 1}}, "only 0012x0016 has partition_0002.zip"),
        ({"partition_0000.zip": CLIPS["partition_0000.zip"]}, "only 0024x0032 has partition_0001.zip"),
        ({**CLIPS, "partition_0001.zip": {"c": 2, "d": 1}}, "only 0012x0016 has partition_0001.zip/d"),
        ({**CLIPS, "partition_0000.zip": {"b/0_31": 5}}, "only 0024x0032 has partition_0000.zip/a"),
        (
            {**CLIPS, "partition_0001.zip": {"c": 3}},
            "frame 2 of partition_0001.zip/c is missing in the first and 000002.png in the second",
        ),
    ],
)
def test_resolutions_that_differ_are_refused_with_the_first_difference(
    tmp_path: Path, clips: dict[str, dict[str, int]], difference: str
) -> None:
    large = shards(tmp_path / "set" / "0024x0032")
    small = shards(tmp_path / "set" / "0012x0016", clips)
    with pytest.raises(UserError) as error:
        open_source(large).reduced(SMALL)
    assert str(error.value) == (
        f"{large} and {small} must list the same clips and frames, but {difference}. Make both from the same videos, or"
        " remove the smaller one."
    )


def test_a_clip_that_is_damaged_in_the_smaller_size_is_named_with_it(root: Path) -> None:
    path = root / "0012x0016" / "partition_0001.zip"
    with ZipFile(path) as file:
        index = file.read("frame_paths.json")
    with ZipFile(path, "w") as file:
        file.writestr("frame_paths.json", index)
    low = open_source(root, size=(24, 32)).reduced(SMALL)
    with pytest.raises(BadVideoError, match=r"0012x0016/partition_0001.zip/c cannot be read \(2 of its frames are not"):
        low.read(low.videos[2], 0, 2)


@pytest.mark.parametrize("beside", ["empty", "file"])
def test_what_is_no_resolution_is_no_hindrance(root: Path, beside: str) -> None:
    shutil.rmtree(root / "0012x0016")
    (root / "0012x0016").mkdir() if beside == "empty" else (root / "0012x0016").touch()
    source = open_source(root / "0024x0032")
    assert numbers(source.reduced(SMALL).read(source.videos[0], 0, 3)) == [0, 1, 2]
