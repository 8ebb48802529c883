"""Writing videos: mp4 files, folders of PNG frames, one zip of them, or one array; each appears whole or not at all."""

import io
import zipfile
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from einops import rearrange
from PIL import Image

from .files import whole

Videos = Iterable[tuple[str, np.ndarray]]
"""Names, and frames uint8 `[3, T, H, W]`."""
Chunks = Iterable[np.ndarray]
"""Successive frames of one video, uint8 `[3, t, H, W]` each."""


def stream_mp4(stem: Path, chunks: Chunks, size: tuple[int, int], fps: float) -> Path:
    """One H.264 file; lossy, for looking at rather than for scoring."""
    path = stem.parent / f"{stem.name}.mp4"
    with whole(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001), options={"crf": "12"})
        stream.height, stream.width = size
        stream.pix_fmt = "yuv444p" if stream.height % 2 or stream.width % 2 else "yuv420p"
        for picture in (picture for chunk in chunks for picture in pictures(chunk)):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def stream_gif(stem: Path, chunks: Chunks, size: tuple[int, int], fps: float) -> Path:
    """One endlessly repeated GIF, 256 colours a frame; players hold no frame for less than 20 ms."""
    path = stem.parent / f"{stem.name}.gif"
    frames = (Image.fromarray(picture) for chunk in chunks for picture in pictures(chunk))
    with whole(path) as temporary:
        first = next(frames)
        options: dict[str, Any] = {"duration": max(round(1000 / fps), 20), "loop": 0}
        first.save(temporary, "gif", save_all=True, append_images=frames, **options)
    return path


def stream_frames(stem: Path, chunks: Chunks, size: tuple[int, int], fps: float) -> Path:
    """One folder of frames, `000000.png` and so on (the layout of StyleGAN-V)."""
    with whole(stem) as temporary:
        temporary.mkdir()
        for index, picture in enumerate(picture for chunk in chunks for picture in pictures(chunk)):
            Image.fromarray(picture).save(temporary / f"{index:06d}.png", "png")
    return stem


STREAMS: dict[str, Callable[[Path, Chunks, tuple[int, int], float], Path]] = {
    "mp4": stream_mp4,
    "gif": stream_gif,
    "png": stream_frames,
}
"""Writers of one video as it is made; each returns the path."""


def write_mp4(folder: Path, videos: Videos, fps: float) -> None:
    """One H.264 file a video."""
    for name, frames in videos:
        stream_mp4(folder / name, [frames], frames.shape[2:], fps)


def write_frames(folder: Path, videos: Videos, fps: float) -> None:
    """One folder of PNG frames a video."""
    for name, frames in videos:
        stream_frames(folder / name, [frames], frames.shape[2:], fps)


def write_zip(path: Path, videos: Videos, fps: float) -> None:
    """The same folders in one zip, stored, not deflated."""
    with whole(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for name, frames in videos:
            for index, picture in enumerate(pictures(frames)):
                data = io.BytesIO()
                Image.fromarray(picture).save(data, "png")
                archive.writestr(f"{path.stem}/{name}/{index:06d}.png", data.getvalue())


def write_npy(path: Path, videos: Videos, fps: float) -> None:
    """One uint8 array `[N, T, H, W, 3]`; all videos must have one shape."""
    with whole(path) as temporary, temporary.open("wb") as file:
        np.save(file, np.stack([rearrange(frames, "c t h w -> t h w c") for _, frames in videos]))


WRITERS: dict[str, Callable[[Path, Videos, float], None]] = {
    "mp4": write_mp4,
    "png": write_frames,
    "zip": write_zip,
    "npy": write_npy,
}


def pictures(frames: np.ndarray) -> Iterator[np.ndarray]:
    """Frames uint8 `[3, T, H, W]` one by one, `[H, W, 3]`."""
    yield from np.ascontiguousarray(rearrange(frames, "c t h w -> t h w c"))
