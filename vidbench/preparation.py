"""Preparing videos as StyleGAN-V's or LongVideoGAN's tools do: which frames, which pixels, which JPEG; in processes."""

import io
import math
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
from einops import rearrange
from PIL import Image

from .errors import BadVideoError, UserError
from .files import whole
from .sources import Info, Medium, Unreadable, Video
from .sources.decode import VideoFile
from .sources.frames import Frames
from .sources.resize import crop_and_resize

CHUNK = 64  # frames in memory at once, where a medium gives them in blocks
SUBSAMPLING = "4:2:0"


def shrink_then_crop(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """StyleGAN-V: Lanczos until the smaller edge has the size (the longer one is rounded down), then the centre."""
    side, short = size[0], min(picture.size)
    wide, high = (int(side * edge / short) for edge in picture.size)
    left, top = round((wide - side) / 2), round((high - side) / 2)  # halves go to the even number
    return picture.resize((wide, high), Image.Resampling.LANCZOS).crop((left, top, left + side, top + side))


def crop_then_shrink(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """LongVideoGAN: the largest centred box of the wanted aspect ratio, its edges rounded by Pillow, then Lanczos."""
    frame = np.asarray(picture).transpose(2, 0, 1)[:, None]
    return Image.fromarray(crop_and_resize(frame, size)[:, 0].transpose(1, 2, 0))


@dataclass(frozen=True)
class Form:
    """How one paper's tool prepares videos."""

    prepare: Callable[[Image.Image, tuple[int, int]], Image.Image]
    """Brings a picture to a height and width."""
    frame: str
    """Names of frames."""
    has_folders: bool
    """The zip has a root folder, one level of folders below it, and entries for the folders themselves."""
    qualities: tuple[int, int]
    """JPEG quality of what comes from videos, and from frames stored one by one."""
    remark: str
    """Why they are what they are."""

    def quality(self, medium: Medium) -> int:
        """JPEG quality of what comes from a medium."""
        return self.qualities[isinstance(medium, Frames)]


FORMS = {
    "styleganv": Form(
        shrink_then_crop,
        "{:06d}.jpg",
        True,
        (75, 75),
        "what StyleGAN-V's tool really writes: it asks for 95 under a keyword that Pillow ignores",
    ),
    "longvideogan": Form(
        crop_then_shrink,
        "frame_{:06d}.jpg",
        False,
        (100, 95),
        "what LongVideoGAN's tools really write: 100 from videos, 95 from frames, and subsampled colours in spite of "
        "their README, by a misspelt keyword",
    ),
}


@dataclass(frozen=True)
class Settings:
    """What the user chooses."""

    form: str
    """Whose layout and preparation: a key of `FORMS`."""
    size: tuple[int, int]
    """Height and width."""
    fps: float | None = None
    """Frames a second to thin out to; None: all frames, by index."""

    def times(self, video: Video, info: Info) -> np.ndarray:
        """Indices of the frames taken: all, or for frame k the nearest one not after k / fps. None is taken twice.

        Raises:
            UserError: the video states no frame rate, or a lower one.
        """
        if self.fps is None:
            return np.arange(info.length)
        if info.fps is None:
            raise UserError(
                f"{video.name} states no frame rate, so --fps {self.fps:.8g} cannot be met. Leave --fps away to take "
                "all frames."
            )
        if info.fps < self.fps:
            raise UserError(
                f"{video.name} has {info.fps:.8g} frames a second, fewer than --fps {self.fps:.8g}, and no frame is "
                "ever doubled. Ask for a lower rate, or leave --fps away to take all frames."
            )
        count = math.ceil(info.length * self.fps / info.fps) + 1
        times: np.ndarray = np.floor(np.arange(count) * info.fps / self.fps + 1e-9).astype(np.int64)
        return times[times < info.length]


@dataclass(frozen=True)
class Job:
    """One video on its way to a worker process."""

    video: Video
    info: Info
    settings: Settings
    quality: int
    part: Path


def jpegs(job: Job, times: np.ndarray) -> Iterator[bytes]:
    """The frames at `times`, prepared and encoded.

    Raises:
        BadVideoError: one of them cannot be read.
    """
    prepare, medium = FORMS[job.settings.form].prepare, job.video.medium
    in_one_go = isinstance(medium, VideoFile)  # gives frames one by one, and starts anew only at some cost
    blocks = [times] if in_one_go else np.split(times, range(CHUNK, len(times), CHUNK))
    try:
        for frames in chain.from_iterable(medium.read(job.info, block) for block in blocks):
            for frame in rearrange(frames, "c t h w -> t h w c"):
                data = io.BytesIO()
                picture = prepare(Image.fromarray(np.ascontiguousarray(frame)), job.settings.size)
                picture.save(data, "jpeg", quality=job.quality, subsampling=SUBSAMPLING)
                yield data.getvalue()
    except (Unreadable, OSError) as error:
        raise BadVideoError(job.video.name, getattr(error, "strerror", None) or str(error)) from error


def make_part(job: Job) -> BadVideoError | None:
    """Convert one video into a part, or say why it cannot be read."""
    name = FORMS[job.settings.form].frame
    try:
        with whole(job.part) as temporary, ZipFile(temporary, "w") as part:
            for index, data in enumerate(jpegs(job, job.settings.times(job.video, job.info))):
                part.writestr(name.format(index), data)
    except BadVideoError as error:
        return error
    return None


def start_worker() -> None:
    """Make a worker process end at once with its parent, however that ends, and at Ctrl-C."""

    def follow(parent: Any) -> None:
        parent.join()
        os._exit(1)

    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=follow, args=[multiprocessing.parent_process()], daemon=True).start()


def make_parts(jobs: list[Job], workers: int) -> Iterator[BadVideoError | None]:
    """Make some parts in processes of their own (here, if that would be one), in any order.

    Raises:
        UserError: a part cannot be written, or a process was killed.
    """
    workers = min(workers, len(jobs))
    if workers < 2:
        yield from map(make_part, jobs)
        return
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), start_worker)
    try:
        for future in as_completed([pool.submit(make_part, job) for job in jobs]):
            yield future.result()
    except BrokenProcessPool as error:
        raise UserError(
            "A process that converts videos was killed, perhaps for want of memory. Run the same command again with "
            "fewer --workers; finished videos are kept."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)
