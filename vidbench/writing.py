"""Writing videos: mp4 files, folders of PNG frames, one zip of them, or one array; each appears whole or not at all."""

import io
import zipfile
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from einops import rearrange
from PIL import Image

from .files import whole

Videos = Iterable[tuple[str, np.ndarray]]
"""Names, and frames uint8 `[3, T, H, W]`."""


def write_mp4(folder: Path, videos: Videos, fps: float) -> None:
    """One H.264 file a video; lossy, for looking at rather than for scoring."""
    for name, frames in videos:
        with whole(folder / f"{name}.mp4") as path, av.open(str(path), "w", format="mp4") as container:
            stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001), options={"crf": "12"})
            stream.height, stream.width = frames.shape[2:]
            stream.pix_fmt = "yuv444p" if stream.height % 2 or stream.width % 2 else "yuv420p"
            for picture in pictures(frames):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode(None))


def write_frames(folder: Path, videos: Videos, fps: float) -> None:
    """One folder a video, `000000.png` and so on (the layout of StyleGAN-V)."""
    for name, frames in videos:
        with whole(folder / name) as path:
            path.mkdir()
            for index, picture in enumerate(pictures(frames)):
                Image.fromarray(picture).save(path / f"{index:06d}.png", "png")


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
