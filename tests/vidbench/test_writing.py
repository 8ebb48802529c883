"""Writing videos: what is written is read back, and appears whole or not at all."""

import io

import numpy as np
import pytest

from vidbench.errors import UserError
from vidbench.files import atomic_write, cache_dir
from vidbench.sources import open_source
from vidbench.writing import WRITERS, whole

ENDINGS = {"mp4": "", "png": "", "zip": ".zip", "npy": ".npy"}
every = pytest.mark.parametrize("form", WRITERS)
lossless = pytest.mark.parametrize("form", [form for form in WRITERS if form != "mp4"])


def videos(moving, count=3, frames=10, size=32):
    return [(f"{i:06d}", np.moveaxis(video, -1, 0)) for i, video in enumerate(moving(count, frames, size))]


def write(form, folder, written, fps=25.0):
    path = folder / f"made{ENDINGS[form]}"
    WRITERS[form](path, iter(written), fps)
    return path


def left(folder):
    """All paths below a folder that are hidden or only half done."""
    return [path.name for path in folder.rglob("*") if path.name.startswith(".") or path.name.endswith(".part")]


@lossless
def test_what_is_written_without_loss_is_read_back_exactly(form, moving, tmp_path):
    written = videos(moving)
    source = open_source(write(form, tmp_path, written))
    assert [video.key for video in source.videos] == [name for name, _ in written]
    for video, (_, frames) in zip(source.videos, written, strict=True):
        assert np.array_equal(source.read(video, 0, 10), frames)


@pytest.mark.parametrize("size", [32, 33])
def test_an_mp4_is_read_back_nearly(moving, tmp_path, size):
    # grey, since H.264 stores colours at half the size
    written = [(name, frames[:1].repeat(3, axis=0)) for name, frames in videos(moving, size=size)]
    source = open_source(write("mp4", tmp_path, written))
    assert [video.name for video in source.videos] == ["000000.mp4", "000001.mp4", "000002.mp4"]
    for video, (_, frames) in zip(source.videos, written, strict=True):
        read = source.read(video, 0, 10)
        assert np.abs(read.astype(int) - frames).mean() < 4


@pytest.mark.parametrize("fps", [25.0, 30.0, 29.97, 30000 / 1001, 12.5])
def test_an_mp4_keeps_the_frame_rate(moving, tmp_path, fps):
    source = open_source(write("mp4", tmp_path, videos(moving, 1), fps))
    assert source.info(source.videos[0]).fps == pytest.approx(fps, rel=1e-4)
    assert source.info(source.videos[0]).length == 10


@every
def test_nothing_but_the_videos_is_left_behind(form, moving, tmp_path):
    write(form, tmp_path, videos(moving))
    assert left(tmp_path) == []


@every
def test_a_failure_leaves_nothing_half_done(form, moving, tmp_path):
    def some():
        yield from videos(moving, 1)
        raise RuntimeError("the third video is torn")

    with pytest.raises(RuntimeError, match="torn"):
        write(form, tmp_path, some())
    assert left(tmp_path) == []


@pytest.mark.parametrize("form", ["mp4", "png"])
def test_a_failure_in_the_middle_of_a_video_leaves_nothing_half_done(form, moving, tmp_path, monkeypatch):
    def stops(frames):
        yield from list(np.moveaxis(frames, 0, -1).copy())[:3]
        raise RuntimeError("interrupted")

    monkeypatch.setattr("vidbench.writing.pictures", stops)
    with pytest.raises(RuntimeError, match="interrupted"):
        write(form, tmp_path, videos(moving))
    assert left(tmp_path) == []


@every
def test_after_a_failure_the_same_can_be_written_again(form, moving, tmp_path, monkeypatch):
    def stops(frames):
        yield from list(np.moveaxis(frames, 0, -1).copy())[:3]
        raise RuntimeError("interrupted")

    with monkeypatch.context() as patch:
        patch.setattr("vidbench.writing.pictures", stops)
        patch.setattr("numpy.save", lambda *arguments: next(stops(np.zeros((3, 0, 2, 2)))))
        with pytest.raises(RuntimeError, match="interrupted"):
            write(form, tmp_path, videos(moving))
    assert len(open_source(write(form, tmp_path, videos(moving)))) == 3


@pytest.mark.parametrize("form", ["zip", "npy"])
def test_a_failure_leaves_the_old_file_as_it_was(form, moving, tmp_path):
    path = write(form, tmp_path, videos(moving))
    old = path.read_bytes()

    def some():
        yield from videos(moving, 1)
        raise RuntimeError("torn")

    with pytest.raises(RuntimeError):
        write(form, tmp_path, some())
    assert path.read_bytes() == old


@every
def test_a_place_that_cannot_be_written_to_is_named(form, moving, tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(UserError, match="cannot be written"):
        write(form, tmp_path / "file", videos(moving))


def test_a_zip_keeps_frames_of_its_own_name_below_its_root(moving, tmp_path):
    import zipfile

    with zipfile.ZipFile(write("zip", tmp_path, videos(moving, 1, 2))) as archive:
        assert archive.namelist() == ["made/000000/000000.png", "made/000000/000001.png"]
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}


# Files


def test_a_path_appears_only_when_all_went_well(tmp_path):
    with whole(tmp_path / "file") as temporary:
        temporary.write_text("content")
        assert not (tmp_path / "file").exists()
    assert (tmp_path / "file").read_text() == "content"


@pytest.mark.parametrize("content", ["text with ä", b"\x00\xff"])
def test_a_file_is_written_whole(tmp_path, content):
    atomic_write(tmp_path / "new" / "folder" / "file", content)
    expected = content.encode() if isinstance(content, str) else content
    assert (tmp_path / "new" / "folder" / "file").read_bytes() == expected
    assert left(tmp_path) == []


def test_a_file_that_cannot_be_completed_leaves_the_old_one(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("old")

    def full(self, content):
        with io.FileIO(self, "w") as file:
            file.write(content[:2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(UserError, match="No space left on device"):
        atomic_write(tmp_path / "file", "new content")
    assert (tmp_path / "file").read_text() == "old"
    assert left(tmp_path) == []


def test_the_cache_is_where_the_environment_says(own_cache):
    assert cache_dir() == own_cache
