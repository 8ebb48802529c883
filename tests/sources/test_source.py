"""A source: probing once, reading anywhere, the same fingerprint everywhere."""

import multiprocessing
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.videos import numbered, numbers, render, render_frames, zipped
from vidbench.errors import BadVideoError, UserError
from vidbench.sources import Source, open_source, source_from_array
from vidbench.sources.decode import VideoFile
from vidbench.sources.resize import crop_and_resize


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder."""
    monkeypatch.setenv("VIDBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder of three videos, of which one is broken."""
    for name in ("a", "b"):
        render(tmp_path / "files" / f"{name}.mp4", 5)
    (tmp_path / "files" / "broken.mp4").write_text("not a video")
    return tmp_path / "files"


@pytest.fixture
def probed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are probed from now on."""
    names: list[str] = []
    probe = VideoFile.probe

    def noting(self: VideoFile):
        names.append(self.path.name)
        return probe(self)

    monkeypatch.setattr(VideoFile, "probe", noting)
    return names


def test_indexing_probes_each_video_once_and_names_the_unreadable(files: Path, probed: list[str]) -> None:
    source = open_source(files)
    done: list[int] = []
    for _ in range(2):
        assert source.index(progress=done.append) == {"broken.mp4": "it is not a video, or damaged or cut short"}
    assert sorted(probed) == ["a.mp4", "b.mp4", "broken.mp4"]
    assert done == [0, 1, 1, 1, 3]


def test_what_is_known_to_be_unreadable_is_not_read_again(files: Path, probed: list[str]) -> None:
    source = open_source(files)
    source.index()
    for _ in range(3):
        with pytest.raises(BadVideoError, match=r"broken\.mp4 cannot be read \(it is not a video"):
            source.info(source.videos[2])
    assert probed.count("broken.mp4") == 1


def test_another_run_finds_the_index(files: Path, probed: list[str]) -> None:
    first = open_source(files)
    first.index()
    probed.clear()
    second = open_source(files)
    assert [second.indexed(video) for video in second.videos] == [True, True, False]
    assert second.info(second.videos[0]) == first.info(first.videos[0])
    assert probed == []


def test_a_changed_file_is_probed_again(files: Path, probed: list[str]) -> None:
    open_source(files).index()
    probed.clear()
    render(files / "a.mp4", 7)
    source = open_source(files)
    source.index()
    assert sorted(probed) == ["a.mp4", "broken.mp4"]
    assert source.info(source.videos[0]).length == 7


@pytest.mark.parametrize("content", ["", "[]", '{"version": 0}', '{"version": 1, "videos": {"a.mp4": {}}}'])
def test_a_damaged_index_is_made_anew(files: Path, cache: Path, content: str) -> None:
    open_source(files).index()
    (index,) = (cache / "index").iterdir()
    whole = index.read_bytes()
    index.write_text(content)
    open_source(files).index()
    assert index.read_bytes() == whole


def test_a_cache_that_cannot_be_written_is_no_failure(files: Path, cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    source = open_source(files)
    source.index()
    assert source.info(source.videos[0]).length == 5


def test_nothing_is_written_beside_the_videos(files: Path) -> None:
    before = sorted(files.rglob("*"))
    source = open_source(files)
    source.index()
    source.read(source.videos[0], 0, 5)
    assert sorted(files.rglob("*")) == before


def test_some_videos_can_be_indexed_alone(files: Path, probed: list[str]) -> None:
    source = open_source(files)
    assert source.index(source.videos[:1]) == {}
    assert probed == ["a.mp4"]
    assert not source.indexed(source.videos[1])


@pytest.mark.parametrize("make", [lambda folder: folder, lambda folder: zipped(folder, folder.with_suffix(".zip"))])
def test_a_source_travels_to_other_processes(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    for name in ("a", "b"):
        render_frames(tmp_path / "set" / name, 6)
    source = open_source(make(tmp_path / "set"))
    source.read(source.videos[0], 0, 1)  # a handle is open in this process
    other = pickle.loads(pickle.dumps(source))
    assert np.array_equal(other.read(other.videos[1], 1, 6, 2), source.read(source.videos[1], 1, 6, 2))
    with multiprocessing.get_context("fork").Pool(2) as pool:
        clips = pool.starmap(source.read, [(video, t, t + 1) for video in source.videos for t in range(6)])
    assert [numbers(clip)[0] for clip in clips] == [*range(6)] * 2


def test_the_pickle_of_an_indexed_source_holds_no_pixels(files: Path) -> None:
    source = open_source(files)
    source.index()
    assert len(pickle.dumps(source)) < 5000


def as_files(root: Path) -> Path:
    for name in ("a", "b/c"):
        render(root / f"{name}.mp4", 4)
    return root


def as_folders(root: Path) -> Path:
    for name in ("a", "b/c"):
        render_frames(root / name, 4)
    return root


def as_zip(root: Path) -> Path:
    return zipped(as_folders(root), root / "set.zip")


def as_array(root: Path) -> Path:
    root.mkdir()
    np.save(root / "set.npy", np.stack([numbered(t) for t in range(10)]))
    return root / "set.npy"


@pytest.mark.parametrize("make", [as_files, as_folders, as_zip, as_array])
def test_a_fingerprint_follows_content_and_not_place_or_time(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    path = make(tmp_path / "one")
    fingerprint = open_source(path).fingerprint
    copy = tmp_path / "two" / path.relative_to(tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    for file in (tmp_path / "two").rglob("*"):
        os.utime(file, (1, 1))
    assert open_source(copy).fingerprint == fingerprint
    change_one_byte(copy)
    assert open_source(copy).fingerprint != fingerprint


def change_one_byte(path: Path) -> None:
    if path.suffix == ".zip":
        for folder in ("a", "b/c"):
            render_frames(path.parent / folder, [numbered(99)] * 4)
        path.unlink()
        zipped(path.parent, path)
        return
    file = path if path.is_file() else next(file for file in sorted(path.rglob("*")) if file.is_file())
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def test_a_zip_has_the_same_fingerprint_with_or_without_root_and_folder_entries(tmp_path: Path) -> None:
    as_folders(tmp_path / "set")
    zips = [
        zipped(tmp_path / "set", tmp_path / f"{root}{entries}.zip", root=root and "set/", entries_for_folders=entries)
        for root in ("", "root")
        for entries in (False, True)
    ]
    assert len({open_source(path).fingerprint for path in zips}) == 1


def test_a_subset_has_its_own_fingerprint_and_shares_the_index(files: Path, probed: list[str]) -> None:
    source = open_source(files)
    source.index()
    some = source.subset(lambda video: video.key == "b", "held out")
    others = source.subset(lambda video: video.key != "b", "held out")
    assert [video.key for video in some.videos] == ["b"]
    assert len({source.fingerprint, some.fingerprint, others.fingerprint}) == 3
    assert some.fingerprint == source.subset(lambda video: video.key == "b", "held out").fingerprint
    assert some.info(some.videos[0]).length == 5
    assert len(probed) == 3


def test_a_given_frame_rate_replaces_the_stored_one(files: Path) -> None:
    source = open_source(files)
    assert source.info(source.videos[0]).fps == 25
    source.fps = 10
    assert source.info(source.videos[0]).fps == 10


def test_videos_in_memory_are_a_source() -> None:
    videos = np.stack([np.stack([numbered(n + t) for t in range(6)]) for n in (0, 50)])
    source = source_from_array("samples", videos, fps=25)
    assert [video.key for video in source.videos] == ["000000", "000001"]
    assert numbers(source.read(source.videos[1], 1, 6, 2)) == [51, 53, 55]
    assert source.info(source.videos[0]).fps == 25
    assert source.fingerprint == source_from_array("other name", videos).fingerprint
    with pytest.raises(UserError, match=r"float32 \[2, 6, 48, 64, 3\]; uint8"):
        source_from_array("samples", videos.astype(np.float32))


def test_a_resized_source_reads_every_video_at_one_size(tmp_path: Path) -> None:
    for name, size in (("a", (48, 64)), ("b", (24, 24))):
        render_frames(tmp_path / name, [numbered(t, size) for t in range(3)])
    source = open_source(tmp_path).resized((24, 24))
    clips = [source.read(video, 0, 3) for video in source.videos]
    assert [clip.shape for clip in clips] == [(3, 3, 24, 24)] * 2
    assert source.info(source.videos[0]).size == (24, 24)
    assert numbers(clips[1]) == [0, 1, 2]


def test_the_largest_centred_box_is_cut_out() -> None:
    frames = np.zeros((3, 1, 10, 20), np.uint8)
    frames[..., 5:15] = 200
    assert np.all(crop_and_resize(frames, (5, 5)) == 200)
    assert crop_and_resize(frames, (10, 20)) is frames


def test_two_sources_of_the_same_folder_agree(files: Path) -> None:
    one, two = open_source(files), open_source(str(files))
    assert isinstance(one, Source)
    assert one.videos == two.videos


def test_a_thinned_source_has_every_so_many_th_frame(tmp_path: Path) -> None:
    render(tmp_path / "set" / "a.mp4", 8)
    source = open_source(tmp_path / "set")
    thin, video = source.thinned(3), source.videos[0]
    assert (thin.info(video).length, thin.length(video), thin.info(video).fps) == (3, 3, pytest.approx(25 / 3))
    assert np.array_equal(thin.read(video, 0, 3), source.read(video, 0, 7, 3))
    assert np.array_equal(thin.frames(video, [1, 1, 2]), source.frames(video, [3, 3, 6]))
    assert np.array_equal(thin.resized((24, 24)).read(video, 1, 3), source.resized((24, 24)).read(video, 3, 7, 3))
    assert np.array_equal(thin.reduced((24, 24)).read(video, 1, 3), source.reduced((24, 24)).read(video, 3, 7, 3))
    with pytest.raises(ValueError, match="has 3 frames; asked for 2 to 3"):
        thin.read(video, 2, 4)
    assert source.info(video).length == 8
    others = [source, thin, source.thinned(2), thin.reduced((24, 24)), source.reduced((24, 24))]
    assert len({each.fingerprint for each in others}) == 5
    assert source.thinned(2).thinned(2).length(video) == source.thinned(4).length(video)
