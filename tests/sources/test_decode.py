"""Frames of video files are exact: by index, from any start, at any stride, in every container."""

import random
from pathlib import Path

import av
import numpy as np
import pytest

from tests.videos import SIZE, number, numbered, numbers, render
from vidbench.errors import BadVideoError
from vidbench.sources import Source, open_source

LENGTH = 40
KEYFRAMES = {"g": "12"}
EVERY_B_FRAME = {"g": "12", "bf": "3", "x264-params": "scenecut=0:open-gop=1:b-adapt=0"}
IRREGULAR = [t * 40 + (t * 7919) % 31 for t in range(LENGTH)]

# file name, codec, further arguments of `render`, whether clips are found by seeking
KINDS = [
    ("b-frames-and-audio.mp4", "libx264", {"options": EVERY_B_FRAME, "audio": True}, True),
    ("fragments.mp4", "libx264", {"options": KEYFRAMES, "container": {"movflags": "frag_keyframe+empty_moov"}}, True),
    ("index-first.mp4", "libx264", {"options": KEYFRAMES, "container": {"movflags": "faststart"}}, True),
    ("two-video-streams.mp4", "libx264", {"small_first": True}, True),
    ("ten-bit.mp4", "libx264", {"pix_fmt": "yuv420p10le"}, True),
    ("open-gop.mp4", "libx265", {"options": {"x265-params": "log-level=none:keyint=10:open-gop=1"}}, True),
    ("mp4v.mp4", "mpeg4", {"options": KEYFRAMES}, True),
    ("variable-rate.mkv", "libx264", {"options": EVERY_B_FRAME, "times_ms": IRREGULAR}, True),
    ("open-gop.mkv", "libx265", {"options": {"x265-params": "log-level=none:keyint=10:open-gop=1"}}, True),
    ("lossless.mkv", "ffv1", {"pix_fmt": "bgr0"}, True),
    ("vp9.webm", "libvpx-vp9", {"options": {"g": "12", "auto-alt-ref": "1", "lag-in-frames": "16"}}, True),
    ("vp8.webm", "libvpx", {"options": {"g": "12", "auto-alt-ref": "1", "lag-in-frames": "16"}}, True),
    ("mpeg4.avi", "mpeg4", {"options": KEYFRAMES}, True),
    ("mpeg4-b-frames.avi", "mpeg4", {"options": {"g": "12", "bf": "2"}}, False),
    ("h264-b-frames.avi", "libx264", {"options": EVERY_B_FRAME}, False),
    ("motion-jpeg.avi", "mjpeg", {"pix_fmt": "yuvj420p"}, True),
    ("prores.mov", "prores_ks", {"pix_fmt": "yuv422p10le"}, True),
    ("rotated.mov", "libx264", {"options": KEYFRAMES, "rotation": 90}, True),
    ("windows.wmv", "wmv2", {"options": KEYFRAMES}, True),
    ("broadcast.ts", "libx264", {"options": EVERY_B_FRAME}, False),
    ("disc.mpg", "mpeg2video", {"options": {"g": "12", "bf": "2"}}, False),
    ("animation.gif", "gif", {"pix_fmt": "rgb8"}, False),
]


def one(path: Path) -> Source:
    return open_source(path)


@pytest.mark.parametrize(("name", "codec", "how", "seeks"), KINDS, ids=[kind[0] for kind in KINDS])
def test_any_clip_equals_the_same_frames_of_the_whole_video(
    tmp_path: Path, name: str, codec: str, how: dict, seeks: bool
) -> None:
    rotated = how.get("rotation")
    frames = [np.rot90(numbered(t), -1) if rotated else numbered(t) for t in range(LENGTH)]
    source = one(render(tmp_path / name, frames, codec, **how))
    video = source.videos[0]
    info = source.info(video)
    assert (info.length, info.size) == (LENGTH, SIZE)
    assert (info.pts is not None) == seeks
    whole = source.read(video, 0, LENGTH)
    assert numbers(whole) == list(range(LENGTH))
    chance = random.Random(name)
    for _ in range(6):
        t0, stride = chance.randrange(LENGTH), chance.choice((1, 2, 3, 8))
        t1 = chance.randrange(t0, LENGTH) + 1
        assert np.array_equal(source.read(video, t0, t1, stride), whole[:, t0:t1:stride])


@pytest.mark.parametrize("name", ["b-frames-and-audio.mp4", "variable-rate.mkv", "vp9.webm", "vp8.webm", "mpeg4.avi"])
def test_a_clip_is_found_by_seeking_and_not_from_the_start(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, codec, how, _ = next(kind for kind in KINDS if kind[0] == name)
    source = one(render(tmp_path / name, LENGTH, codec, **how))
    source.info(source.videos[0])
    decoded = count_decoded(monkeypatch)
    assert numbers(source.read(source.videos[0], 30, 32)) == [30, 31]
    assert len(decoded) < 25


def count_decoded(monkeypatch: pytest.MonkeyPatch) -> list[int | None]:
    """Time stamps of all frames that are brought out of a decoder from now on."""
    from vidbench.sources import decode

    times: list[int | None] = []
    opened = decode._opened

    class Counting:
        def __init__(self, container: av.container.InputContainer) -> None:
            self.container = container

        def __getattr__(self, name: str) -> object:
            return getattr(self.container, name)

        def decode(self, stream: av.VideoStream):
            for frame in self.container.decode(stream):
                times.append(frame.pts)
                yield frame

    from contextlib import contextmanager

    @contextmanager
    def counting(path: Path):
        with opened(path) as (container, stream):
            yield Counting(container), stream

    monkeypatch.setattr(decode, "_opened", counting)
    return times


@pytest.mark.parametrize("size", [(49, 64), (48, 63), (35, 33)])
def test_odd_sizes_keep_every_row_and_column(tmp_path: Path, size: tuple[int, int]) -> None:
    frames = [numbered(t, size) for t in range(4)]
    source = one(render(tmp_path / "odd.mkv", frames, "ffv1", pix_fmt="bgr0"))
    whole = source.read(source.videos[0], 0, 4)
    assert np.array_equal(whole, np.stack(frames).transpose(3, 0, 1, 2))


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_the_picture_stands_as_a_player_shows_it(tmp_path: Path, rotation: int) -> None:
    upright = numbered(5)
    stored = np.ascontiguousarray(np.rot90(upright, -(rotation // 90)))
    source = one(render(tmp_path / "turned.mp4", [stored] * 4, rotation=rotation))
    video = source.videos[0]
    assert source.info(video).size == SIZE
    assert number(source.read(video, 0, 1)[:, 0]) == 5


@pytest.mark.parametrize(
    ("pix_fmt", "color_range"), [("yuv420p", None), ("yuv444p", 1), ("yuvj420p", 2), ("gray", 2), ("yuv420p10le", None)]
)
def test_colours_survive_limited_full_and_grey_ranges(tmp_path: Path, pix_fmt: str, color_range: int | None) -> None:
    levels = [np.full((*SIZE, 3), level, np.uint8) for level in (0, 16, 90, 200, 255)]
    path = render(tmp_path / "levels.mp4", levels, pix_fmt=pix_fmt, color_range=color_range, options={"qp": "4"})
    source = one(path)
    seen = source.read(source.videos[0], 0, 5).mean((2, 3))
    assert np.abs(seen - [0, 16, 90, 200, 255]).max() <= 2


def test_of_two_video_streams_the_one_that_ffmpeg_calls_best_is_read(tmp_path: Path) -> None:
    source = one(render(tmp_path / "two.mp4", 4, small_first=True))
    assert source.info(source.videos[0]).size == SIZE


def test_an_edit_list_hides_the_frames_before_it(tmp_path: Path) -> None:
    """Cutting without encoding anew keeps the frames from the last key frame on, and an edit list that hides them."""
    whole = render(tmp_path / "whole.mp4", LENGTH, options=KEYFRAMES)
    cut = tmp_path / "cut.mp4"
    with av.open(str(whole)) as source, av.open(str(cut), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.size and packet.pts >= 12 * 512:
                packet.pts, packet.dts = packet.pts - 17 * 512, packet.dts - 17 * 512
                packet.stream = stream
                target.mux(packet)
    opened = one(cut)
    video = opened.videos[0]
    length = opened.info(video).length
    assert numbers(opened.read(video, 0, length)) == list(range(LENGTH - length, LENGTH))
    assert numbers(opened.read(video, 10, 14)) == list(range(LENGTH - length + 10, LENGTH - length + 14))


def test_not_coded_pictures_of_mpeg4_are_no_frames(tmp_path: Path) -> None:
    """Xvid writes tiny packets for pictures that repeat the last one; FFmpeg shows nothing for them."""
    whole = render(tmp_path / "whole.avi", 10, "mpeg4")
    path = tmp_path / "holes.avi"
    with av.open(str(whole)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.size:
                data = bytes(packet) if packet.pts != 4 else b"\0\0\1\xb6\x52\x4f"
                other = av.Packet(data)
                other.pts, other.dts, other.time_base = packet.pts, packet.dts, packet.time_base
                other.stream, other.is_keyframe = stream, packet.is_keyframe
                target.mux(other)
    source = one(path)
    with av.open(str(path)) as container:
        shown = sum(1 for _ in container.decode(video=0))
    assert source.info(source.videos[0]).length == shown


def bad(path: Path, t0: int | None = None) -> str:
    """The reason why a video, or its frame `t0`, cannot be read."""
    source = one(path)
    with pytest.raises(BadVideoError) as error:
        source.info(source.videos[0])
        source.read(source.videos[0], t0 or 0, (t0 or 0) + 1)
    assert error.value.video == path.name
    return error.value.reason


def test_an_empty_file_says_so(tmp_path: Path) -> None:
    path = tmp_path / "empty.mp4"
    path.touch()
    assert bad(path) == "the file is empty"


def test_a_file_that_is_no_video_says_so(tmp_path: Path) -> None:
    path = tmp_path / "text.mp4"
    path.write_text("not a video\n" * 100)
    assert "not a video" in bad(path)


def test_a_file_with_sound_only_says_so(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as file:
        sound = file.add_stream("aac", rate=8000, layout="mono")
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        silence.sample_rate, silence.pts = 8000, 0
        file.mux(sound.encode(silence))
        file.mux(sound.encode(None))
    assert bad(path) == "it has no video stream"


@pytest.mark.parametrize(
    ("name", "codec", "how"),
    [
        ("index-last.mp4", "libx264", {}),
        ("index-first.mp4", "libx264", {"container": {"movflags": "faststart"}}),
        ("fragments.mp4", "libx264", {"container": {"movflags": "frag_keyframe+empty_moov"}, "options": KEYFRAMES}),
        ("silent-end.mkv", "libx264", {}),
        ("silent-end.webm", "libvpx-vp9", {}),
        ("mpeg4.avi", "mpeg4", {}),
        ("animation.gif", "gif", {"pix_fmt": "rgb8"}),
    ],
)
@pytest.mark.parametrize("share", [0.5, 0.75, 0.9])
def test_a_truncated_file_is_bad(tmp_path: Path, name: str, codec: str, how: dict, share: float) -> None:
    path = render(tmp_path / name, LENGTH, codec, **how)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert "cut short" in bad(path)


def test_a_damaged_frame_makes_only_reads_that_need_it_fail(tmp_path: Path) -> None:
    path = render(tmp_path / "scratched.avi", LENGTH, "mjpeg", pix_fmt="yuvj420p")
    with av.open(str(path)) as container:
        damaged = next(packet for packet in container.demux(video=0) if packet.pts == 20)
    content = bytearray(path.read_bytes())
    content[damaged.pos + 8 : damaged.pos + 8 + damaged.size] = bytes(damaged.size)
    path.write_bytes(content)
    source = one(path)
    video = source.videos[0]
    assert numbers(source.read(video, 0, 15)) == list(range(15))
    with pytest.raises(BadVideoError, match=r"scratched\.avi cannot be read \(.*20"):
        source.read(video, 18, 22)


def test_a_video_whose_frames_change_size_is_bad(tmp_path: Path) -> None:
    small = render(tmp_path / "small.avi", 10, "mjpeg", pix_fmt="yuvj420p")
    large = render(tmp_path / "large.avi", [numbered(t, (96, 128)) for t in range(10)], "mjpeg", pix_fmt="yuvj420p")
    both = tmp_path / "both.avi"
    with av.open(str(small)) as first, av.open(str(large)) as second, av.open(str(both), "w") as target:
        stream = target.add_stream_from_template(first.streams.video[0])
        for packet in (*first.demux(video=0), *second.demux(video=0)):
            if packet.size:
                packet.pts = packet.dts = packet.pts + 10 * (packet.stream.container is second)
                packet.stream = stream
                target.mux(packet)
    source = one(both)
    with pytest.raises(BadVideoError, match="96x128"):
        source.read(source.videos[0], 0, source.info(source.videos[0]).length)


@pytest.mark.parametrize("content", ["#EXTM3U\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n", "ffconcat version 1.0\nfile '{}'\n"])
def test_play_lists_are_not_followed(tmp_path: Path, content: str) -> None:
    real = render(tmp_path / "real.mp4", 4)
    path = tmp_path / "list.mp4"
    path.write_text(content.format(real))
    assert bad(path)


def test_a_header_that_claims_an_absurd_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "huge.gif"
    render(path, 2, "gif", pix_fmt="rgb8")
    content = bytearray(path.read_bytes())
    content[6:10] = b"\xff\xff\xff\xff"  # width and height of the canvas
    path.write_bytes(content)
    assert bad(path)


def test_there_are_no_frames_beyond_the_end(tmp_path: Path) -> None:
    source = one(render(tmp_path / "short.mp4", 4))
    with pytest.raises(ValueError, match="has 4 frames"):
        source.read(source.videos[0], 2, 5)
