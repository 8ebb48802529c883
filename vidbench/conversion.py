"""Converting videos into the data sets that StyleGAN-V's and LongVideoGAN's own tools would make of them.

Worker processes convert one video at a time into a part, a small zip in `<zip>.parts/` that appears whole or not at
all; the name of a part is a hash of everything its content depends on. So a conversion that was stopped, at any time,
goes on where it was when it is run again. In the end the parts become one zip, whose bytes depend on the source, the
settings and the versions of the libraries alone.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache, cached_property
from hashlib import sha256
from itertools import chain, count
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile, ZipInfo

import av
import numpy as np
import PIL
from filelock import FileLock, Timeout
from PIL import features

import vidbench

from .errors import BadVideoError, UserError
from .files import atomic_write, whole
from .preparation import FORMS, SUBSAMPLING, Form, Job, Settings, jpegs, make_parts
from .sources import Source, Video
from .sources.zips import SHARD_INDEX

VERSION = 1  # raise it when the same source and settings give other pixels, names or bytes
HEAD = 8  # frames from which the size of all is guessed

Track = Callable[[Iterable[Any], str, int], Iterable[Any]]
"""Shows progress over an iterable: (items, what is going on, how many there will be)."""


class Conversion:
    """A source on its way to one zip.

    Args:
        source: any source, in the sizes it is stored in.
        destination: the zip, or a folder for LongVideoGAN's shards.
        settings: layout, size and frame rate.

    Raises:
        UserError: the layout has no such form, or `destination` was made from another source or with other settings.
    """

    def __init__(self, source: Source, destination: Path, settings: Settings) -> None:
        self.source, self.settings, self.form = source, settings, FORMS[settings.form]
        self.path = zip_path(destination, settings)
        self.sidecar = self.path.with_name(f"{self.path.name}.json")
        self.parts = self.path.with_name(f"{self.path.name}.parts")
        if not source.videos:
            raise self._nothing()
        self.quality = self.form.quality(source.videos[0].medium)
        if self.path.exists() and self.record is None:
            raise UserError(
                f"{self.path} exists already, and was not made from {source.name} with these settings. Choose another "
                "place, or remove it."
            )

    @property
    def identity(self) -> dict[str, Any]:
        """What the content of the zip depends on, apart from the libraries."""
        height, width = self.settings.size
        return {
            "version": VERSION,
            "settings": {"as": self.settings.form, "size": [height, width], "fps": self.settings.fps},
            "jpeg": {"quality": self.quality, "subsampling": SUBSAMPLING},
            "fingerprint": self.source.fingerprint,
        }

    @property
    def record(self) -> dict[str, Any] | None:
        """What stands beside the zip, if that is there and was made from this source with these settings."""
        try:
            record: dict[str, Any] = json.loads(self.sidecar.read_bytes())
            same = {key: record[key] for key in self.identity} == self.identity
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return record if same and self.path.exists() else None

    @cached_property
    def names(self) -> dict[str, str]:
        """How each video is called in the zip, by its name in the source.

        That is its path without ending. In StyleGAN-V's layout, which has one level of folders, `/` becomes `__` and
        `#` becomes `_`. A name that is taken then (upper and lower case count as equal) gets `-2`, `-3`, ... behind it,
        in the order of the source. Frames that lie at the top are called like the source.
        """
        names, taken = dict[str, str](), set[str]()
        for video in self.source.videos:
            plain = Path(self.source.name).stem if video.key == "." else os.fsencode(video.key).decode(errors="replace")
            if self.form.has_folders:
                plain = plain.replace("/", "__").replace("#", "_")
            candidates = chain([plain], (f"{plain}-{i}" for i in count(2)))
            name = next(name for name in candidates if name.casefold() not in taken)
            taken.add(name.casefold())
            names[video.name] = name
        return names

    def job(self, video: Video) -> Job:
        """What a worker is told of a readable video."""
        content = json.dumps([video.name, self.identity, versions()])
        part = self.parts / f"{sha256(content.encode()).hexdigest()[:32]}.zip"
        return Job(video, self.source.info(video), self.settings, self.quality, part)

    def preflight(self, skip_bad: bool) -> list[str]:
        """Lines for the user; the first readable video stands for all of them.

        Raises:
            UserError: that video cannot be read (with `skip_bad`: none can), or has not the frame rate asked for.
        """
        job, times, size = self._sample(skip_bad)
        (high, wide), (height, width), fps = job.info.size, self.settings.size, self.settings.fps
        frames = len(times) * len(self.source.videos)
        split = f" ({self.source.split})" if self.source.split else ""
        return [
            f"{self.source.name}{split}: {len(self.source.videos)} videos (the first: {job.info.length} frames, "
            f"{high}x{wide}); as {self.settings.form}, {height}x{width}, "
            f"{f'{fps:.8g} frames a second' if fps else 'all frames'}: {self.path}",
            f"JPEG quality {self.quality}, {SUBSAMPLING}, {self.form.remark}",
            f"expected: roughly {frames} frames, {frames * size / 1e6:.1f} MB (twice that while it is made)",
        ]

    def _sample(self, skip_bad: bool) -> tuple[Job, np.ndarray, float]:
        """The first readable video, the frames it gives, and the mean size in bytes of the first of these."""
        for video in self.source.videos:
            try:
                job = self.job(video)
                times = self.settings.times(video, job.info)
                return job, times, float(np.mean([len(data) for data in jpegs(job, times[:HEAD])]))
            except BadVideoError:
                if not skip_bad:
                    raise
        raise self._nothing()

    def _nothing(self) -> UserError:
        return UserError(f"Not one of the {len(self.source.videos)} videos in {self.source.name} can be read.")

    def run(self, workers: int, skip_bad: bool, track: Track, say: Callable[[str], None]) -> dict[str, Any]:
        """Make the zip and the JSON file beside it, which says how it was made; goes on where another run stopped.

        Args:
            workers: processes that convert.
            skip_bad: leave unreadable videos out instead of stopping.
            track: shows progress.
            say: takes remarks for the user.

        Returns:
            What the JSON file says.

        Raises:
            UserError: a video cannot be read, or has not the frame rate asked for; or the zip cannot be written.
        """
        bad = self._index(workers, skip_bad, track)
        jobs = [self.job(video) for video in self.source.videos if video.name not in bad]
        for job in jobs:
            self.settings.times(job.video, job.info)
        with parts_folder(self.parts):
            missing = [job for job in jobs if not job.part.exists()]
            if len(missing) < len(jobs):
                say(f"{len(jobs) - len(missing)} of {len(jobs)} videos were converted before.")
            for error in track(make_parts(missing, workers), f"convert {self.source.name}", len(missing)):
                if error:
                    note(bad, {error.video: error.reason}, skip_bad)
            if len(bad) == len(self.source.videos):
                raise self._nothing()
            return self._finish([job for job in jobs if job.video.name not in bad], bad)

    def _index(self, workers: int, skip_bad: bool, track: Track) -> dict[str, str]:
        """Probe all videos; the reasons of the unreadable ones."""
        videos, bad = self.source.videos, dict[str, str]()
        blocks = [videos[start : start + 64] for start in range(0, len(videos), 64)]
        for block in track(blocks, f"index {self.source.name}", len(blocks)):
            note(bad, self.source.index(block, workers), skip_bad)
        return bad

    def _finish(self, jobs: list[Job], bad: dict[str, str]) -> dict[str, Any]:
        """Join the parts, write the JSON file, and let the zip appear."""
        root = f"{self.path.stem.lstrip('.')}/" if self.form.has_folders else ""
        parts = {self.names[job.video.name]: job.part for job in jobs}
        renamed = {job.video.name: name for job, name in zip(jobs, parts, strict=True) if name != job.video.key}
        with whole(self.path) as temporary:
            made = self.parts / "whole"  # what a kill leaves there, the next run replaces
            frames = join_parts(made, self.form, root, parts)
            record = {
                **self.identity,
                "remark": f"JPEG: {self.form.remark}",
                "source": {"name": self.source.name, "split": self.source.split},
                "counts": {"videos": len(jobs), "frames": frames, "bytes": made.stat().st_size, "skipped": len(bad)},
                "skipped": dict(sorted(bad.items())),
                "renamed": renamed,
                "libraries": versions(),
            }
            atomic_write(self.sidecar, json.dumps(record, indent=1))
            made.rename(temporary)
        return record


def note(bad: dict[str, str], found: dict[str, str], skip_bad: bool) -> None:
    """Add newly found unreadable videos, or stop at the first."""
    if found and not skip_bad:
        raise BadVideoError(*next(iter(found.items())))
    bad.update(found)


@cache
def versions() -> dict[str, str | None]:
    """What else the bytes depend on."""
    libjpeg = features.version_feature("libjpeg_turbo") or features.version_codec("jpg")
    libavcodec = ".".join(map(str, av.library_versions["libavcodec"]))
    found = {"vidbench": vidbench.__version__, "pillow": PIL.__version__, "libjpeg": libjpeg}
    return {**found, "av": av.__version__, "libavcodec": libavcodec}


@contextmanager
def parts_folder(path: Path) -> Iterator[None]:
    """A folder of parts that only this process works in; it goes when all went well."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        with FileLock(path / "lock", timeout=0):
            for left_behind in path.glob(".*.part"):
                left_behind.unlink()
            yield
            shutil.rmtree(path, ignore_errors=True)
    except Timeout as error:
        raise UserError(f"{path.with_suffix('')} is being made by another process. Wait until that is done.") from error
    except OSError as error:
        raise UserError(f"{path} cannot be used ({error.strerror or error}). Choose another place.") from error


def add(archive: ZipFile, name: str, data: bytes | str = b"") -> None:
    """Add a file, or a folder where the name ends in "/", with neither clock nor user in its bytes."""
    entry = ZipInfo(name)  # dated 1 January 1980
    entry.create_system = 3  # Unix, on every platform
    entry.external_attr = 0o040755 << 16 | 0x10 if name.endswith("/") else 0o100644 << 16
    archive.writestr(entry, data)


def join_parts(path: Path, form: Form, root: str, parts: dict[str, Path]) -> int:
    """Make one zip of the parts, which are given by the names of their videos.

    Returns:
        How many frames there are.

    Raises:
        UserError: a part is damaged.
    """
    frames = dict[str, list[str]]()
    with ZipFile(path, "w") as archive:
        if form.has_folders:
            add(archive, root)
        for name, part in parts.items():
            if form.has_folders:
                add(archive, f"{root}{name}/")
            try:
                with ZipFile(part) as stored:
                    frames[name] = stored.namelist()
                    for frame in frames[name]:
                        add(archive, f"{root}{name}/{frame}", stored.read(frame))
            except BadZipFile as error:
                part.unlink()
                raise UserError(f"{name} was damaged on disk after it was converted. Run it again.") from error
        if not form.has_folders:
            add(archive, SHARD_INDEX, json.dumps(frames, indent=1))
    return sum(map(len, frames.values()))


def zip_path(destination: Path, settings: Settings) -> Path:
    """Which zip is made: `destination`, or the first shard in a folder where LongVideoGAN's layout has one.

    Raises:
        UserError: StyleGAN-V's layout has no such form.
    """
    height, width = settings.size
    if settings.form == "styleganv" and height != width:
        raise UserError(
            f"StyleGAN-V's videos are square; {height}x{width} is not. Give one number, such as --size {height}, or "
            "choose --as longvideogan."
        )
    if destination.suffix == ".zip":
        return destination
    if settings.form == "styleganv":
        raise UserError(f"{destination} does not end in .zip. Call it {destination}.zip.")
    return destination / f"{height:04d}x{width:04d}" / "partition_0000.zip"
