"""Frames of video files, by index, through FFmpeg (PyAV)."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from vidbench.sources.video import Info, Unreadable

# Containers of videos. Play lists (hls, concat, dash, image2, ...) are not among them: they would read other files.
FORMATS = "3g2,3gp,asf,avi,flv,gif,m4a,matroska,mj2,mov,mp4,mpeg,mpegts,ogg,webm"
# Those of them that store the time stamp of every frame (others leave some to be guessed, or, as GIF, cannot seek).
STAMPING = ("asf", "flv", "matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2")
# Codecs of which each packet with a time stamp is one shown frame, so that demuxing counts frames.
ONE_PACKET_ONE_FRAME = {"av1", "ffv1", "h264", "hevc", "huffyuv", "mjpeg", "mpeg4", "png", "prores", "rawvideo", "vp9"}
# An MPEG-4 packet below this many bytes may be a place holder that shows nothing.
MPEG4_PLACE_HOLDER = 16
# How many frames probing decodes to see that the time stamps of packets are those of frames.
HEAD = 8
# From how many frames before the wanted ones a clip is decoded, if seeking to them did not do.
STEPS_BACK = (0, 64)
MAX_SIDE = 16384
MAX_PIXELS = 2**26
MOST_FRAMES = 2**22
# Pixels, of all frames together, that are decoded to count the frames where packets do not tell.
MOST_DECODED = 2**37
CUT_SHORT = "it is cut short: its header announces more than the file holds"


@dataclass(frozen=True)
class VideoFile:
    """One video file. Of several video streams the one that FFmpeg calls best; rotated as its metadata ask."""

    path: Path

    def probe(self) -> Info:
        """Count the frames by demuxing where packets tell, else by decoding; the first ones are decoded in any case."""
        with _opened(self.path) as (container, stream):
            packets = _packets(container, stream)
            if _cut_short(self.path, container, stream, packets):
                raise Unreadable(CUT_SHORT)
            codec = stream.codec_context.codec.canonical_name
            fps = float(stream.average_rate) if stream.average_rate else None
            stamped = _stamped(container.format.name, packets)
        shown: Sequence[int | None] | None = _packet_times(codec, packets) if stamped else None
        with _opened(self.path) as (container, stream):
            frames = _seen(container.decode(stream))
            head = list(islice(frames, HEAD))
            if not head:
                raise Unreadable("none of its frames can be decoded")
            times = [pts for pts, _ in head]
            if shown is None or shown[:HEAD] != times:
                shown = [*times, *(pts for pts, _ in frames)]
        return Info(len(shown), head[0][1], fps, codec, _increasing(shown) if stamped else None)

    def read(self, info: Info, times: np.ndarray) -> Iterator[np.ndarray]:
        """The frames at `times`, one by one: by seeking where time stamps are known, else from the start."""
        done = 0
        starts = [info.pts[max(0, times[0] - back)] for back in STEPS_BACK] if info.pts else []
        for start in starts:
            with suppress(Unreadable):  # the seek led too far, or into an open group of pictures
                for picture in self._read_from(start, info, times[done:]):
                    yield picture
                    done += 1
                return
        yield from self._read_from(None, info, times[done:])

    def _read_from(self, start: int | None, info: Info, times: np.ndarray) -> Iterator[np.ndarray]:
        wanted = [int(t) if info.pts is None else info.pts[t] for t in times]
        done = 0
        reformatter = VideoReformatter()
        with _opened(self.path) as (container, stream):
            if start is not None:
                container.seek(start, stream=stream)
            with suppress(av.error.FFmpegError):
                for number, frame in enumerate(container.decode(stream)):
                    mark = number if info.pts is None else frame.pts
                    if mark == wanted[done]:
                        yield _picture(frame, reformatter, info, times[done])[:, None]
                        done += 1
                    if done == len(wanted):
                        return
                    if mark is not None and mark > wanted[done]:
                        break
        raise Unreadable(f"frame {times[done]} cannot be decoded")


@contextmanager
def _opened(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The container and its best video stream, decoded in one thread; all FFmpeg errors become `Unreadable`."""
    if path.stat().st_size == 0:
        raise Unreadable("the file is empty")
    if _boxes_end(path) > path.stat().st_size:
        raise Unreadable(CUT_SHORT)
    options = {"format_whitelist": FORMATS, "protocol_whitelist": "file", "max_pixels": str(MAX_PIXELS)}
    try:
        with av.open(os.path.abspath(path), options=options, metadata_errors="replace") as container:
            stream = container.streams.best("video")
            if not isinstance(stream, VideoStream):
                raise Unreadable("it has no video stream")
            if stream.codec_context is None:
                raise Unreadable("FFmpeg has no decoder for it")
            if max(stream.width, stream.height) > MAX_SIDE:
                raise Unreadable(f"it claims {stream.width}x{stream.height} pixels; the limit is {MAX_SIDE} a side")
            if stream.frames > MOST_FRAMES:
                raise Unreadable(f"it claims {stream.frames:,} frames; the limit is {MOST_FRAMES:,}")
            stream.codec_context.thread_count = 1
            yield container, stream
    except av.error.InvalidDataError as error:
        raise Unreadable("it is not a video, or damaged or cut short") from error
    except (av.error.FFmpegError, IndexError) as error:  # IndexError: PyAV, where damage makes up another stream
        raise Unreadable(f"FFmpeg says: {error}") from error


def _seen(frames: Iterator[VideoFrame]) -> Iterator[tuple[int | None, tuple[int, int]]]:
    """Time stamp and displayed size of each frame, up to a limit."""
    total = 0
    for count, frame in enumerate(frames):
        total += frame.width * frame.height
        if total > MOST_DECODED or count >= MOST_FRAMES:
            raise Unreadable(f"it has so many frames that counting them stopped at {count:,}; cut or convert it")
        yield frame.pts, _displayed_size(frame)


class _Packet(NamedTuple):
    pts: int | None
    dts: int | None
    size: int


def _packets(container: InputContainer, stream: VideoStream) -> list[_Packet]:
    """The packets of all frames that are not hidden by an edit list, in the order of the file."""
    packets: list[_Packet] = []
    for packet in container.demux(stream):
        if packet.is_corrupt:
            raise Unreadable("it is damaged or cut short")
        if packet.size and not packet.is_discard:
            if len(packets) == MOST_FRAMES:
                raise Unreadable(f"it has more than {MOST_FRAMES:,} frames")
            packets.append(_Packet(packet.pts, packet.dts, packet.size))
    return packets


def _stamped(container: str, packets: list[_Packet]) -> bool:
    """Whether a frame has the same time stamp wherever decoding starts."""
    if container == "avi":  # stores no time stamps of reordered frames
        return all(packet.pts == packet.dts for packet in packets)
    return container in STAMPING


def _packet_times(codec: str, packets: list[_Packet]) -> list[int] | None:
    """The time stamps of all shown frames in order, or None where only decoding can tell."""
    smallest = min((packet.size for packet in packets), default=0)
    if codec not in ONE_PACKET_ONE_FRAME or (codec == "mpeg4" and smallest < MPEG4_PLACE_HOLDER):
        return None
    times = _known_times(packets)
    return times if len(set(times)) == len(packets) else None


def _known_times(packets: list[_Packet]) -> list[int]:
    return sorted(packet.pts for packet in packets if packet.pts is not None)


def _cut_short(path: Path, container: InputContainer, stream: VideoStream, packets: list[_Packet]) -> bool:
    """Whether the frames end before the header says, where the container tells (FFmpeg itself ends without a word)."""
    if container.format.name == "gif":
        return not path.read_bytes().rstrip(b"\0").endswith(b";")
    if container.format.name == "avi":
        return len(packets) < stream.frames and _riff_end(path) > path.stat().st_size
    duration = re.fullmatch(r"(\d+):(\d+):([\d.]+)", stream.metadata.get("DURATION", ""))  # Matroska has such a tag
    times = _known_times(packets)
    if not duration or (packets and not times) or stream.time_base is None:
        return False
    hours, minutes, seconds = map(float, duration.groups())
    longest = max((b - a for a, b in pairwise(times)), default=0)
    end = times[-1] + 2 * longest if times else 0
    return end * stream.time_base < 3600 * hours + 60 * minutes + seconds


def _riff_end(path: Path) -> int:
    """Where an AVI file says that it ends."""
    with open(path, "rb") as file:
        return 8 + int.from_bytes(file.read(8)[4:], "little")


def _boxes_end(path: Path) -> int:
    """Where the last box of pictures or their index should end in an MP4 or MOV file; 0 for other files."""
    end, start, whole = 0, 0, path.stat().st_size
    with open(path, "rb") as file:
        while len(header := file.read(16)) >= 8:
            size, kind = int.from_bytes(header[:4], "big"), header[4:8]
            if start == 0 and kind not in (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide"):
                return 0
            size = int.from_bytes(header[8:], "big") if size == 1 else size
            if kind in (b"moov", b"moof", b"mdat"):
                end = start + size
            if kind == b"moov" and (claimed := _claimed_frames(file.read(max(0, min(size, whole) - 16)))) > MOST_FRAMES:
                raise Unreadable(f"it claims {claimed:,} frames; the limit is {MOST_FRAMES:,}")
            if not 8 <= size <= whole:  # a last box of open length, a forged one, or something else after the boxes
                break
            start += size
            file.seek(start)
    return end


def _claimed_frames(moov: bytes) -> int:
    """Frames that a video track of an MP4 file claims to have: FFmpeg would make an index of them before it looks."""
    tracks = [track for track in moov.split(b"trak") if re.search(rb"hdlr.{8}vide", track, re.DOTALL)]
    claims = [found[1] for track in tracks for found in re.finditer(rb"stsz.{8}(.{4})", track, re.DOTALL)]
    return max((int.from_bytes(claim, "big") for claim in claims), default=0)


def _increasing(pts: Sequence[int | None]) -> range | tuple[int, ...] | None:
    """Time stamps as a range where their distance is constant; None where they cannot name frames."""
    stamps = tuple(stamp for stamp in pts if stamp is not None)
    if len(stamps) < len(pts) or any(a >= b for a, b in pairwise(stamps)):
        return None
    step = stamps[1] - stamps[0] if len(stamps) > 1 else 1
    spaced = range(stamps[0], stamps[0] + len(stamps) * step, step)
    return spaced if stamps == tuple(spaced) else stamps


def _displayed_size(frame: VideoFrame) -> tuple[int, int]:
    return (frame.width, frame.height) if frame.rotation // 90 % 2 else (frame.height, frame.width)


def _picture(frame: VideoFrame, reformatter: VideoReformatter, info: Info, time: int) -> np.ndarray:
    """One upright frame as uint8 [3, H, W]."""
    if frame.is_corrupt:
        raise Unreadable(f"frame {time} is damaged")
    if _displayed_size(frame) != info.size:
        height, width = _displayed_size(frame)
        raise Unreadable(f"frame {time} has {height}x{width} pixels, the first one {info.size[0]}x{info.size[1]}")
    rgb = reformatter.reformat(frame, format="rgb24", threads=1).to_ndarray()
    return np.rot90(rgb, frame.rotation // 90).transpose(2, 0, 1)
