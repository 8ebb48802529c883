"""A source: something videos are read from."""

import copy
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from vidbench.errors import BadVideoError
from vidbench.sources.index import Index
from vidbench.sources.kept import Kept
from vidbench.sources.resize import Fit, crop_and_resize
from vidbench.sources.video import Info, Unreadable, Video

Size = tuple[int, int]


class Source:
    """Videos with random access to their frames, read in place and never modified.

    Args:
        name: What messages and records call the source.
        videos: The videos, in order.
        fingerprint: Hash of the content; the same on every machine.
        split: Which split was opened, where the source has splits.
        splits: Names of all splits there are.
        notes: One-line remarks for the user about how the source was read.
        fps: Frame rate to report instead of what the media state (frames in folders state none).
        index: What is already known about the videos.
        beside: Opens the same videos as they are stored at another size (height, width); None where they are not.
    """

    def __init__(
        self,
        name: str,
        videos: Sequence[Video],
        fingerprint: str,
        *,
        split: str | None = None,
        splits: Sequence[str] = (),
        notes: Sequence[str] = (),
        fps: float | None = None,
        index: Index | None = None,
        beside: "Callable[[Size], Source | None] | None" = None,
    ) -> None:
        self.name = name
        self.videos = list(videos)
        self.fingerprint = fingerprint
        self.split = split
        self.splits = tuple(splits)
        self.notes = list(notes)
        self.fps = fps
        self._index = index or Index()
        self._size: Size | None = None
        self._step = 1
        self._fit: Fit = crop_and_resize
        self._content = fingerprint
        self._beside = beside
        self._pictures: Callable[[Video, Info, np.ndarray], Iterator[np.ndarray]] = _as_stored
        self._reduced: dict[Size, Source] = {}

    def __len__(self) -> int:
        return len(self.videos)

    def __repr__(self) -> str:
        return f"Source({self.name!r}, {len(self)} videos)"

    def indexed(self, video: Video) -> bool:
        """Whether `info` answers (or raises) for this video without reading it."""
        return self._index.get(video) is not None

    def info(self, video: Video) -> Info:
        """Length, size, frame rate and codec of a video; probes it if need be.

        Raises:
            BadVideoError: The video cannot be read.
        """
        stored, step = self._stored(video), self._step
        fps, length = self.fps or stored.fps, -(-stored.length // step)
        return replace(stored, length=length, fps=fps and fps / step, size=self._size or stored.size)

    def _stored(self, video: Video) -> Info:
        found = self._index.get(video)
        if found is None:
            found = _probe(video)
            self._index.put(video, found)
        if isinstance(found, str):
            raise BadVideoError(video.name, found, self.name)
        return found

    def length(self, video: Video) -> int:
        """Length of a video in frames; 0 if it cannot be read."""
        try:
            return self.info(video).length
        except BadVideoError:
            return 0

    @property
    def size(self) -> Size:
        """Height and width of all frames of a resized source.

        Raises:
            ValueError: Videos are read in the size they are stored in.
        """
        if self._size is None:
            raise ValueError(f"{self.name} is read in the sizes it is stored in.")
        return self._size

    def resized(self, size: Size, fit: Fit = crop_and_resize) -> "Source":
        """The same videos, read at one size (height, width); by default centre crop to its aspect ratio, Lanczos."""
        other = copy.copy(self)
        other._size, other._fit, other._reduced = size, fit, {}
        return other

    def thinned(self, step: int) -> "Source":
        """The same videos without all frames but every so many-th, from the first on."""
        other = copy.copy(self)
        other._step, other._reduced = self._step * step, {}
        other.fingerprint = hashlib.sha256(f"{self.fingerprint}\nevery {step}".encode()).hexdigest()
        return other

    def reduced(self, size: Size) -> "Source":
        """The same videos at a smaller size (height, width), to be read again and again.

        Where the data set is stored at that size too, its frames are taken; elsewhere they are made as by `resized`,
        from the frames as stored, and kept in the cache unless they are rendered. It takes the videos of this source
        as well as its own.

        Raises:
            UserError: The data set is stored at that size too, but with other clips or frames.
        """
        if size not in self._reduced:
            other = self.resized(size)
            beside = self._beside(size) if self._beside else None
            other._pictures = Elsewhere(beside) if beside else Kept(self.name, self._content, size)
            what = beside.fingerprint if beside else f"reduced to {size[0]}x{size[1]}"
            other.fingerprint = hashlib.sha256(f"{self.fingerprint}\n{what}".encode()).hexdigest()
            self._reduced[size] = other
        return self._reduced[size]

    def index(
        self,
        videos: Sequence[Video] | None = None,
        workers: int = 0,
        progress: Callable[[int], object] | None = None,
    ) -> dict[str, str]:
        """Probe every video that is not known yet, in threads, and remember what was found for the next time.

        Args:
            videos: Which videos; all by default.
            workers: Number of threads; 0 takes one per core.
            progress: Called with the number of videos that have become known since the last call.

        Returns:
            The reasons of the unreadable videos, by name.
        """
        videos = self.videos if videos is None else videos
        progress = progress or (lambda count: None)
        missing = [video for video in videos if not self.indexed(video)]
        progress(len(videos) - len(missing))
        pool = ThreadPoolExecutor(workers or os.cpu_count())
        try:
            for video, found in zip(missing, pool.map(_probe, missing), strict=True):
                self._index.put(video, found)
                progress(1)
        finally:
            pool.shutdown(cancel_futures=True)
            if missing:
                self._index.save()
        known = {video.name: self._index.get(video) for video in videos}
        return {name: reason for name, reason in known.items() if isinstance(reason, str)}

    def read(self, video: Video, t0: int, t1: int, stride: int = 1) -> np.ndarray:
        """Frames `[t0 : t1 : stride]` by index.

        Returns:
            uint8 [3, T, H, W], RGB, T = ceil((t1 - t0) / stride).

        Raises:
            BadVideoError: One of these frames cannot be read.
            ValueError: The video has no such frames.
        """
        if not t0 < t1 or stride < 1:
            raise ValueError(f"{video.name} was asked for [{t0}:{t1}:{stride}]")
        return self.frames(video, range(t0, t1, stride))

    def frames(self, video: Video, times: Sequence[int]) -> np.ndarray:
        """Frames by index, in rising order.

        Returns:
            uint8 [3, T, H, W], RGB.

        Raises:
            BadVideoError: One of these frames cannot be read.
            ValueError: The video has no such frames.
        """
        info, length = self._stored(video), self.info(video).length
        if not 0 <= times[0] <= times[-1] < length:
            raise ValueError(f"{video.name} has {length} frames; asked for {times[0]} to {times[-1]}")
        done = 0
        try:
            clip = np.empty((3, len(times), *(self._size or info.size)), np.uint8)
            for frames in self._pictures(video, info, np.asarray(times) * self._step):
                clip[:, done : done + frames.shape[1]] = self._fit(frames, self._size) if self._size else frames
                done += frames.shape[1]
        except (Unreadable, OSError, MemoryError) as error:
            raise BadVideoError(video.name, _reason(error), self.name) from error
        return clip

    def subset(self, keep: Callable[[Video], bool], label: str) -> "Source":
        """Another source with only the videos for which `keep` holds; `label` says which these are."""
        videos = [video for video in self.videos if keep(video)]
        digest = hashlib.sha256(f"{self.fingerprint}\n{label}".encode())
        for video in videos:
            digest.update(b"\n" + os.fsencode(video.key))
        other = copy.copy(self)
        other.name, other.videos, other.fingerprint = f"{self.name} ({label})", videos, digest.hexdigest()
        other._reduced = {}
        return other


class Elsewhere:
    """Reads the videos of a source from another one, where they have the same names and frames."""

    def __init__(self, source: Source) -> None:
        self.source, self.videos = source, {video.name: video for video in source.videos}

    def __call__(self, video: Video, info: Info, times: np.ndarray) -> Iterator[np.ndarray]:
        """The frames at increasing indices `times`, uint8 [3, t, H, W]; raises `BadVideoError`."""
        yield self.source.frames(self.videos[video.name], times.tolist())


def _as_stored(video: Video, info: Info, times: np.ndarray) -> Iterator[np.ndarray]:
    return video.medium.read(info, times)


def _probe(video: Video) -> Info | str:
    try:
        return video.medium.probe()
    except (Unreadable, OSError, MemoryError) as error:
        return _reason(error)


def _reason(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "it needs more memory than there is"
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
