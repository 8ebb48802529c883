"""Bad input: whatever is wrong with videos, one sentence names the file, soon and in little memory."""

import io
import json
import os
import socket
import struct
import sys
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from tests.videos import numbered, render, render_frames
from vidbench.errors import BadVideoError, UserError
from vidbench.sources import open_source

SECONDS, MEMORY = 5, 2**29
"""That a refusal may take."""
VIDEOS = np.stack([[numbered(t, (6, 8)) for t in range(4)] for _ in range(2)])


def refusal(path: Path, **options: object) -> str:
    """Why the videos at a path cannot be read: by the whole of what commands do, or at opening; within bounds."""
    began, before = time.process_time(), address_space()
    limit = limited(before + MEMORY)
    try:
        with pytest.raises(UserError) as caught:
            source = open_source(path, **options)  # type: ignore[arg-type]
            source.index(workers=1)
            for video in source.videos:
                source.read(video, 0, source.info(video).length)
    finally:
        limited(limit)
    assert time.process_time() - began < SECONDS
    message = str(caught.value)
    assert path.name in message and "\n" not in message and message.endswith(".")
    if isinstance(caught.value, BadVideoError):
        assert caught.value.reason
    return message


def address_space() -> int:
    """Bytes that this process has asked for, where the system tells."""
    status = Path("/proc/self/statm")
    return int(status.read_text().split()[0]) * os.sysconf("SC_PAGESIZE") if status.exists() else 0


def limited(size: int) -> int:
    """Bound the bytes that this process may ask for (on Linux); returns the bound before."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (size, hard))
    return soft


def picture(kind: str = "PNG", size: tuple[int, int] = (12, 16)) -> bytes:
    file = io.BytesIO()
    Image.fromarray(numbered(1, size)).save(file, kind)
    return file.getvalue()


def forged_png(width: int, height: int) -> bytes:
    content = bytearray(picture())
    content[16:24] = struct.pack(">II", width, height)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    return bytes(content)


def forged_mp4(path: Path, box: bytes, offset: int, field: bytes) -> Path:
    content = bytearray(render(path, 10).read_bytes())
    at = content.index(box) + offset
    content[at : at + len(field)] = field
    path.write_bytes(content)
    return path


def zip_of(path: Path, entries: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return path


# Mislabelled, foreign


@pytest.mark.parametrize("name", ["film.mp4", "film.avi", "film.gif", "film.webm"])
@pytest.mark.parametrize(
    "content", [b"", b"\n", b"text\n" * 999, picture(), picture("JPEG"), bytes(10**6), b"<html></html>", b"%PDF-1.7\n"]
)
def test_what_is_no_video_is_refused_under_any_ending(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert "cannot be read" in refusal(tmp_path / name)


@pytest.mark.parametrize("name", ["x.zip", "x.npy", "x.npz", "x.h5"])
@pytest.mark.parametrize("content", [b"", b"text\n" * 99, picture(), bytes(10**5), b"PK\3\4" + bytes(99), b"\x93NUMPY"])
def test_what_is_no_container_of_videos_is_refused_under_any_ending(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    refusal(tmp_path / name)


def test_a_video_among_frames_is_no_image(tmp_path: Path) -> None:
    render(tmp_path / "real.mp4", 4).rename(render_frames(tmp_path / "set" / "a", 3) / "000001.png")
    source = open_source(tmp_path / "set")
    with pytest.raises(BadVideoError, match=r"set/a cannot be read \(frame 000001\.png: it is not an image"):
        source.read(source.videos[0], 0, 3)


def test_an_npz_named_npy_and_the_other_way_round_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", VIDEOS)
    (tmp_path / "a.npz").rename(tmp_path / "b.npy")
    np.save(tmp_path / "a.npy", VIDEOS)
    (tmp_path / "a.npy").rename(tmp_path / "b.npz")
    refusal(tmp_path / "b.npy")
    assert "no zip" in refusal(tmp_path / "b.npz")


def test_postscript_is_no_image_and_starts_no_interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow would hand it to Ghostscript."""
    interpreter = tmp_path / "bin" / "gs"
    interpreter.parent.mkdir()
    interpreter.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    interpreter.chmod(0o755)
    monkeypatch.setenv("PATH", f"{interpreter.parent}:{os.environ['PATH']}")
    folder = render_frames(tmp_path / "set" / "a", 2)
    (folder / "000000.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 16 16\n%%EndComments\nshowpage\n")
    assert "not an image" in refusal(tmp_path / "set")
    assert not (tmp_path / "ran").exists()


# Forged


CLAIMS = {
    "60,000 x 60,000 pixels": (b"avc1", 28, struct.pack(">HH", 60_000, 60_000)),
    "5 million frames of a byte": (b"stsz", 8, struct.pack(">II", 1, 5_000_000)),
    "10^8 frames of a byte": (b"stsz", 8, struct.pack(">II", 1, 10**8)),
    "10^9 frames": (b"stsz", 12, struct.pack(">I", 10**9)),
    "a box of 2^31 bytes": (b"moov", -4, struct.pack(">I", 2**31)),
}


@pytest.mark.parametrize("claim", [claim for claim in CLAIMS if "pixels" not in claim])
def test_an_mp4_that_claims_too_much_is_refused(tmp_path: Path, claim: str) -> None:
    refusal(forged_mp4(tmp_path / "forged.mp4", *CLAIMS[claim]))


def test_the_size_that_an_mp4_claims_is_not_believed(tmp_path: Path) -> None:
    source = open_source(forged_mp4(tmp_path / "forged.mp4", *CLAIMS["60,000 x 60,000 pixels"]))
    assert source.info(source.videos[0]).size == (48, 64)  # that of the pictures in it


def test_sound_may_have_as_many_samples_as_it_likes(tmp_path: Path) -> None:
    path = render(tmp_path / "a.mp4", 10, audio=True)
    content = bytearray(path.read_bytes())
    content = content.replace(b"SoundHandler", b"of the video")
    at = content.index(b"stsz", content.index(b"of the video")) + 12
    content[at : at + 4] = struct.pack(">I", 10**9)
    path.write_bytes(content)
    assert "claims" not in refusal(path)  # that FFmpeg does not like it is another thing


def gif(width: int, height: int, frames: int) -> bytes:
    """A GIF of single pixels that show nothing on a large canvas: 23 bytes a frame."""
    frame = b"\x21\xf9\x04\0\4\0\0\0\x2c" + bytes(4) + b"\1\0\1\0\0" + b"\2\2\x4c\1\0"
    return b"GIF89a" + struct.pack("<HH", width, height) + b"\xf0\0\0" + bytes(6) + frame * frames + b";"


@pytest.mark.parametrize("side", [9000, 60_000])
def test_a_gif_of_a_huge_canvas_is_refused(tmp_path: Path, side: int) -> None:
    (tmp_path / "huge.gif").write_bytes(gif(side, side, 3))
    refusal(tmp_path / "huge.gif")


def test_counting_by_decoding_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidbench.sources.decode.MOST_DECODED", 100 * 64 * 48)
    (tmp_path / "many.gif").write_bytes(gif(64, 48, 101))
    assert "stopped at 100" in refusal(tmp_path / "many.gif")
    (tmp_path / "many.gif").write_bytes(gif(64, 48, 100))
    assert open_source(tmp_path / "many.gif").index() == {}


@pytest.mark.parametrize("side", [10_000, 60_000])
def test_an_image_that_claims_too_much_is_refused(tmp_path: Path, side: int) -> None:
    folder = render_frames(tmp_path / "set" / "a", 2)
    (folder / "000000.png").write_bytes(forged_png(side, side))
    assert "pixels" in refusal(tmp_path / "set")


def npy(shape: tuple[int, ...], kind: str = "|u1", content: bytes = b"") -> bytes:
    header = repr({"descr": kind, "fortran_order": False, "shape": shape}).encode()
    return b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header + content


HEADERS = {
    "10^9 frames": npy((1, 10**9, 6, 8, 3)),
    "10^9 empty videos": npy((10**9, 0, 6, 8, 3)),
    "60,000 x 60,000 pixels": npy((1, 1, 60_000, 60_000, 3)),
    "more than there are numbers": npy((2**62, 2**62, 2**62, 8, 3)),
    "less than nothing": npy((-1, 4, 6, 8, 3)),
    "objects": npy((1, 1, 1, 1, 3), "|O", bytes(24)),
    "texts": npy((1, 1, 1, 1, 3), "<U1", bytes(12)),
    "complex numbers": npy((1, 1, 1, 1, 3), "<c8", bytes(24)),
    "dates": npy((1, 1, 1, 1, 3), "<M8[s]", bytes(24)),
    "one number": npy((), "|u1", b"\0"),
    "code": b"\x93NUMPY\1\0\x20\0" + b"__import__('os').system('true') ".ljust(32),
    "a nest": b"\x93NUMPY\1\0" + (9000).to_bytes(2, "little") + b"(" * 9000,
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
@pytest.mark.parametrize("ending", [".npy", ".npz"])
def test_an_array_that_claims_too_much_is_refused(tmp_path: Path, header: bytes, ending: str) -> None:
    path = tmp_path / f"forged{ending}"
    if ending == ".npy":
        path.write_bytes(header)
    else:
        zip_of(path, {"videos.npy": header})
    refusal(path)


def test_an_npz_that_unpacks_to_more_than_memory_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vidbench.sources.arrays.LARGEST", 10**6)
    np.savez_compressed(tmp_path / "bomb.npz", np.zeros((1, 100, 100, 100, 3), np.uint8))
    assert "unpacks to 3,000" in refusal(tmp_path / "bomb.npz")


def test_an_array_named_by_key_must_hold_videos_too(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", videos=VIDEOS, labels=np.arange(3))
    assert "labels as int64 [3]" in refusal(tmp_path / "x.npz", key="labels")


def h5(path: Path, **arrays: object) -> Path:
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
    return path


@pytest.mark.parametrize("starts", [[0, 9], [3, 1], [-1, 2], [0.5], [[0]], ["a"]], ids=str)
def test_first_frames_that_lie_outside_are_refused(tmp_path: Path, starts: list) -> None:
    path = h5(
        tmp_path / "x.h5", train_data=VIDEOS[0], train_idx=np.array(starts, dtype="S1" if starts == ["a"] else None)
    )
    assert "train_idx" in refusal(path)


def test_a_split_without_its_first_frames_is_refused(tmp_path: Path) -> None:
    path = h5(tmp_path / "x.h5", train_data=VIDEOS[0], train_idx=[0], test_data=VIDEOS[0])
    assert "test_idx" in refusal(path, split="test")


@pytest.mark.parametrize("shape", [(10**9, 1, 6, 8, 3), (1, 1, 60_000, 60_000, 3)], ids=str)
def test_hdf5_that_stores_nothing_of_what_it_claims_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("videos", shape, np.uint8, chunks=(1, 1, 6, 8, 3))
    assert "claims" in refusal(tmp_path / "x.h5")


def test_names_in_hdf5_need_not_be_text(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file[b"\xff\xfe"] = VIDEOS
        file[b"\xff_idx"] = [0]
    assert "has no array" in refusal(tmp_path / "x.h5")
    with h5py.File(tmp_path / "y.h5", "w") as file:
        file[b"\xff\xfe"] = VIDEOS
    assert len(open_source(tmp_path / "y.h5")) == 2


def test_hdf5_reads_no_other_file(tmp_path: Path) -> None:
    h5(tmp_path / "secret.h5", videos=VIDEOS)
    np.save(tmp_path / "secret.npy", VIDEOS)
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["videos"] = h5py.ExternalLink("secret.h5", "videos")
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file.create_dataset("videos", VIDEOS.shape, np.uint8, external=[(str(tmp_path / "secret.npy"), 0, VIDEOS.size)])
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        layout = h5py.VirtualLayout(VIDEOS.shape, np.uint8)
        layout[:] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "videos", VIDEOS.shape)
        file.create_virtual_dataset("videos", layout)
    for name in ("link.h5", "raw.h5", "virtual.h5"):
        refusal(tmp_path / name)
        refusal(tmp_path / name, key="videos")


# Play lists and other things that name files


LISTS = {
    "m3u8": "#EXTM3U\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n",
    "master": '#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{0}\n#EXT-X-MEDIA:TYPE=VIDEO,URI="{0}"\n',
    "ffconcat": "ffconcat version 1.0\nfile '{}'\n",
    "sdp": "v=0\ns=-\nc=IN IP4 127.0.0.1\nm=video {port} RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    "dash": '<?xml version="1.0"?><MPD type="static"><Period><BaseURL>{}</BaseURL></Period></MPD>',
    "asx": '<asx version="3.0"><entry><ref href="{}"/></entry></asx>',
    "address": "{}\n",
}


@pytest.mark.parametrize("ending", [".mp4", ".ts", ".avi", ".mkv"])
@pytest.mark.parametrize("content", LISTS.values(), ids=LISTS)
@pytest.mark.parametrize("scheme", ["", "file://", "http"])
def test_no_list_is_followed_to_a_file_or_an_address(tmp_path: Path, content: str, scheme: str, ending: str) -> None:
    target = render(tmp_path / "target" / "real.mp4", 4)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        named = f"http://127.0.0.1:{port}/real.mp4" if scheme == "http" else f"{scheme}{target}"
        path = tmp_path / f"list{ending}"
        path.write_text(content.format(named, port=port))
        refusal(path)  # and if it had been followed to the file, it would have been read
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()


# Links, pipes, devices


@pytest.mark.parametrize("name", ["x.mp4", "x.zip", "x.npy", "x.h5", "x"])
@pytest.mark.parametrize("target", ["nowhere", "{name}"], ids=["nowhere", "itself"])
def test_a_link_to_nowhere_is_named(tmp_path: Path, name: str, target: str) -> None:
    (tmp_path / name).symlink_to(target.format(name=name))
    assert "link to nowhere" in refusal(tmp_path / name)


@pytest.mark.parametrize("target", ["nowhere", "b.mp4"], ids=["nowhere", "itself"])
def test_among_videos_a_link_to_nowhere_is_one_bad_video(tmp_path: Path, target: str) -> None:
    render(tmp_path / "a.mp4", 4)
    (tmp_path / "b.mp4").symlink_to(target)
    source = open_source(tmp_path)
    assert list(source.index()) == ["b.mp4"]
    assert source.info(source.videos[0]).length == 4


@pytest.mark.parametrize("target", ["nowhere", "/dev/zero"])
def test_among_frames_a_link_to_what_is_no_file_makes_its_video_bad(tmp_path: Path, target: str) -> None:
    folder = render_frames(tmp_path / "set" / "a", 3)
    (folder / "000001.png").unlink()
    (folder / "000001.png").symlink_to(target)
    assert "000001.png" in refusal(tmp_path / "set")


@pytest.mark.parametrize("name", ["b.mp4", "b.png"])
def test_a_pipe_is_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    refusal(tmp_path)


def test_a_shard_that_is_a_link_to_nowhere_is_not_passed_over(tmp_path: Path) -> None:
    zip_of(tmp_path / "partition_0000.zip", {"a/0.png": picture(), "frame_paths.json": b'{"a": ["0.png"]}'})
    (tmp_path / "partition_0001.zip").symlink_to("nowhere")
    with pytest.raises(UserError, match=r"partition_0001\.zip"):
        open_source(tmp_path)


def test_links_that_lead_to_each_other_are_not_followed_for_ever(tmp_path: Path) -> None:
    for name, other in (("a", "b"), ("b", "a")):
        render_frames(tmp_path / name, 2)
        (tmp_path / name / "link").symlink_to(tmp_path / other)
    names = [video.name for video in open_source(tmp_path).videos]
    assert names == ["a", "a/link", "b", "b/link"]


def test_a_folder_that_cannot_be_listed_is_not_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    render(tmp_path / "a.mp4", 4)
    (tmp_path / "closed").mkdir()
    scandir: Callable = os.scandir

    def closed(path: str) -> object:
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    assert f"Permission denied (at {tmp_path / 'closed'})" in refusal(tmp_path)


def test_a_path_that_no_system_takes_is_refused(tmp_path: Path) -> None:
    refusal(tmp_path / ("x" * 300))


# Zips


@pytest.mark.parametrize("name", ["../a/0.png", "a/../../0.png", "/a/0.png", "..\\a\\0.png", "\\a\\0.png"])
@pytest.mark.parametrize("index", [False, True])
def test_a_zip_whose_entries_point_outside_is_refused(tmp_path: Path, name: str, index: bool) -> None:
    entries = {"b/0.png": picture(), name: picture()}
    entries |= {"frame_paths.json": json.dumps({"b": ["0.png"]}).encode()} if index else {}
    assert "points outside" in refusal(zip_of(tmp_path / "x.zip", entries))


def test_dots_in_names_point_nowhere(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "x.zip", {"a..b/0..png.png": picture(), "a..b/...1.png": picture()})
    assert len(open_source(path)) == 1


INDICES = {
    "names outside": b'{"a": ["../../secret.png"]}',
    "missing frames": b'{"a": ["0.png", "9.png"]}',
    "no frames": b'{"a": []}',
    "nothing": b"{}",
    "halves of characters": b'{"a": ["\\ud800.png"], "\\udcff": ["0.png"]}',
    "a nest": b'{"a":' * 100_000,
}


@pytest.mark.parametrize("content", INDICES.values(), ids=INDICES)
def test_an_index_that_does_not_fit_its_zip(tmp_path: Path, content: bytes) -> None:
    path = zip_of(tmp_path / "x.zip", {"b/0.txt": b"", "frame_paths.json": content})
    refusal(path)


@pytest.mark.parametrize("name", ["a/0.png", "frame_paths.json", "dataset.json"])
def test_an_entry_that_unpacks_to_more_than_any_is_not_unpacked(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vidbench.sources.frames.LARGEST", 10**6)
    monkeypatch.setattr("vidbench.sources.zips.LARGEST", 10**6)
    path = zip_of(tmp_path / "x.zip", {"b/0.png": picture(), name: bytes(10**6 + 1)}, zipfile.ZIP_DEFLATED)
    assert "1,000,001 bytes; the limit is" in refusal(path)


DIRECTORY = {
    "a name that is no text": (b"PK\1\2", 46, b"\xff\xfe"),
    "text in Unicode": (b"PK\1\2", 8, b"\0\x08"),
    "an unknown compression": (b"PK\1\2", 10, b"\x63\0"),
    "encryption": (b"PK\1\2", 8, b"\1\0"),
    "a huge entry": (b"PK\1\2", 20, b"\xff" * 8),
    "an offset behind the end": (b"PK\1\2", 42, b"\xff\xff\xff\x7f"),
    "a directory that is elsewhere": (b"PK\5\6", 16, b"\0\0\0\x7f"),
    "ZIP64 that is not there": (b"PK\5\6", 8, b"\xff" * 12),
    "a version of the future": (b"PK\1\2", 6, b"\xff\xff"),
}


@pytest.mark.parametrize(("mark", "offset", "field"), DIRECTORY.values(), ids=DIRECTORY)
def test_a_forged_directory_of_a_zip_is_refused(tmp_path: Path, mark: bytes, offset: int, field: bytes) -> None:
    path = zip_of(tmp_path / "x.zip", {"\N{CJK UNIFIED IDEOGRAPH-4E00}/0.png": picture(), "dataset.json": b"{}"})
    content = bytearray(path.read_bytes())
    at = content.index(mark) + offset
    content[at : at + len(field)] = field
    path.write_bytes(content)
    if field == b"\0\x08":  # what the entry has anyway
        assert len(open_source(path)) == 1
    else:
        refusal(path)


def test_a_deep_cached_index_counts_as_none(tmp_path: Path, own_cache: Path) -> None:
    render(tmp_path / "a.mp4", 4)
    open_source(tmp_path).index()
    (index,) = (own_cache / "index").iterdir()
    index.write_text("[" * 100_000)
    assert open_source(tmp_path).index() == {}
