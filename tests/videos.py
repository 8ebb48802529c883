"""Small videos for tests: every frame shows its own number, in blocks that survive lossy codecs."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import av
import numpy as np
from av.stream import Disposition
from PIL import Image

SIZE = (48, 64)  # height, width


def numbered(number: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """A frame, uint8 [H, W, 3], that shows a number below 4096: 3x4 dark or bright blocks, one a bit."""
    blocks = (number >> np.arange(12)).reshape(3, 4) % 2
    rows, columns = np.arange(size[0]) * 3 // size[0], np.arange(size[1]) * 4 // size[1]
    levels = np.where(blocks, 200, 50)[rows][:, columns]
    return np.stack([levels, levels, levels + 20], axis=-1).astype(np.uint8)


def number(frame: np.ndarray) -> int:
    """The number that a frame, uint8 [3, H, W], shows."""
    height, width = frame.shape[1:]
    rows, columns = (2 * np.arange(3) + 1) * height // 6, (2 * np.arange(4) + 1) * width // 8
    return int(((frame[1][rows][:, columns] > 125).reshape(-1) << np.arange(12)).sum())


def numbers(clip: np.ndarray) -> list[int]:
    """The numbers that the frames of a clip, uint8 [3, T, H, W], show."""
    return [number(clip[:, t]) for t in range(clip.shape[1])]


def render(
    path: Path,
    frames: Sequence[np.ndarray] | int = 40,
    codec: str = "libx264",
    *,
    pix_fmt: str = "yuv420p",
    times_ms: Sequence[int] | None = None,
    rotation: int = 0,
    audio: bool = False,
    small_first: bool = False,
    options: dict[str, str] | None = None,
    container: dict[str, str] | None = None,
    color_range: int | None = None,
) -> Path:
    """Write a video file; an int instead of frames means that many numbered ones.

    `times_ms` makes the frame rate variable, `small_first` puts another, smaller video stream before the video,
    `rotation` asks players to turn the picture, `options` and `container` go to encoder and muxer.
    """
    frames = [numbered(t) for t in range(frames)] if isinstance(frames, int) else frames
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options=container or {}) as file:
        small = _stream(file, "libx264", (32, 32), "yuv420p", {}) if small_first else None
        stream = _stream(file, codec, frames[0].shape[:2], pix_fmt, options or {})
        stream.disposition = Disposition.default
        if rotation:
            stream.set_display_rotation(rotation)
        if color_range:
            stream.codec_context.color_range = color_range
        sound: Any = file.add_stream("aac", rate=8000) if audio else None
        stream.codec_context.time_base = Fraction(1, 1000 if times_ms else 25)
        for t, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts, frame.time_base = times_ms[t] if times_ms else t, stream.codec_context.time_base
            if color_range:
                frame = frame.reformat(format=pix_fmt, dst_color_range=color_range)
            file.mux(stream.encode(frame))
            if small:
                other = av.VideoFrame.from_ndarray(numbered(0, (32, 32)), "rgb24")
                other.pts, other.time_base = t, Fraction(1, 25)
                file.mux(small.encode(other))
            if sound:
                silence = av.AudioFrame.from_ndarray(np.zeros((1, 320), np.float32), "fltp", "mono")
                silence.sample_rate, silence.pts, silence.time_base = 8000, 320 * t, Fraction(1, 8000)
                file.mux(sound.encode(silence))
        for each in filter(None, (small, stream, sound)):
            file.mux(each.encode(None))
    return path


def _stream(file: Any, codec: str, size: tuple[int, ...], pix_fmt: str, options: dict[str, str]) -> Any:
    stream = file.add_stream(codec, rate=25, options=options)
    stream.height, stream.width, stream.pix_fmt = *size, pix_fmt
    return stream


def render_frames(folder: Path, frames: Sequence[np.ndarray] | int = 8, pattern: str = "{:06d}.png") -> Path:
    """Write a folder of images."""
    frames = [numbered(t) for t in range(frames)] if isinstance(frames, int) else frames
    folder.mkdir(parents=True, exist_ok=True)
    for t, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / pattern.format(t), quality=95)
    return folder


def zipped(folder: Path, path: Path, *, root: str = "", entries_for_folders: bool = False) -> Path:
    """Zip the content of a folder, below a root folder inside if one is named; stored, not deflated."""
    with ZipFile(path, "w") as file:
        for item in sorted(folder.rglob("*")):
            if item.is_file() or entries_for_folders:
                file.write(item, root + item.relative_to(folder).as_posix())
    return path
