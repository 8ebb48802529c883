"""The one interface of everything that makes videos."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor

from .draws import draw


class VideoSource(Protocol):
    """What a generator that stands on real videos may ask of them."""

    name: str
    fingerprint: str
    videos: list[Any]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of all frames."""
        ...

    def info(self, video: Any) -> Any:
        """Its `length` in frames, `fps`, and more."""
        ...

    def length(self, video: Any) -> int:
        """Its length in frames; 0 if it cannot be read."""
        ...

    def frames(self, video: Any, times: Sequence[int]) -> np.ndarray:
        """Frames of one video by index, in rising order, uint8 `[3, T, H, W]`."""
        ...

    def read(self, video: Any, t0: int, t1: int, stride: int = 1) -> np.ndarray:
        """Frames `t0:t1:stride` of one video, uint8 `[3, T, H, W]`."""
        ...

    def reduced(self, size: tuple[int, int]) -> "VideoSource":
        """The same videos at a smaller size (height, width), for reading them again and again."""
        ...


class Generator(ABC):
    """Anything that makes videos.

    Video `i` depends on `seeds[i]` alone: not on its neighbours in the batch, the batch size, the rank or the chunk
    size. Options (truncation, sampler steps, a prompt) belong to the constructor.

    Attributes:
        size: height and width of its frames, in pixels.
        fps: frames a second at which its videos should be played.
        max_frames: the longest video it makes; None where it is endless.
        in_workers: it is a light program for the CPU, so that evaluation may run copies of it in worker processes.
    """

    size: tuple[int, int]
    fps: float
    max_frames: int | None = None
    in_workers: bool = False
    card: ClassVar[dict[str, str]] = {}

    @abstractmethod
    def stream(self, seed: int) -> Iterator[Tensor]:
        """One video as chunks float32 `[C, t, H, W]` in [-1, 1], in constant memory, as long as the caller likes."""

    def sample(self, seeds: Sequence[int], num_frames: int, start: int = 0) -> Tensor:
        """Frames `start : start + num_frames` of one video a seed.

        Args:
            seeds: one integer in [0, 2^63) a video.
            num_frames: how many frames, at least 1.
            start: the first frame.

        Returns:
            Float32 `[N, C, T, H, W]` in [-1, 1].

        Raises:
            ValueError: the video is not that long.
        """
        return torch.stack([self._cut(seed, start, start + num_frames) for seed in seeds])

    def _cut(self, seed: int, start: int, stop: int) -> Tensor:
        if self.max_frames is not None and stop > self.max_frames:
            raise ValueError(
                f"{type(self).__name__} makes videos of at most {self.max_frames} frames; {stop} were asked for"
            )
        kept, first = [], 0
        for chunk in self.stream(seed):
            kept.append(chunk[:, max(start - first, 0) : stop - first])
            first += chunk.shape[1]
            if first >= stop:
                break
        if first < stop:
            raise ValueError(f"{type(self).__name__} ended after {first} frames; {stop} were asked for")
        return torch.cat(kept, dim=1)


class OnReal(Generator):
    """A generator that stands on real videos: a seed picks one of them, and where in it its clip starts.

    Args:
        source: real videos, all of one size.
        length: real frames that a clip is made of; shorter videos are not picked.
        left_out: names of videos that are not picked.
    """

    def __init__(self, source: VideoSource, length: int, left_out: frozenset[str] = frozenset()) -> None:
        self.source, self.length, self.left_out = source, length, left_out

    def without(self, names: Iterable[str]) -> "OnReal":
        """The same generator, on real videos without further ones that turned out to be unreadable."""
        other = copy.copy(self)
        other.left_out = self.left_out.union(names)
        other.__dict__.pop("eligible", None)
        return other

    @cached_property
    def eligible(self) -> list[Any]:
        """The real videos that are readable and long enough.

        Raises:
            ValueError: there is none.
        """
        kept = [video for video in self.source.videos if video.name not in self.left_out]
        videos = [video for video in kept if self.source.length(video) >= self.length]
        if not videos:
            raise ValueError(f"{self.source.name} has no readable video of {self.length} frames")
        return videos

    @property
    def fps(self) -> float:  # type: ignore[override]
        """Frames a second of the real videos; 25 where they state none."""
        return self.source.info(self.eligible[0]).fps or 25.0

    def pick(self, seed: int) -> tuple[Any, int]:
        """The real video of a seed and the frame at which its clip starts."""
        chance = draw(seed, "reference/video")
        video = self.eligible[int(torch.randint(len(self.eligible), (), generator=chance))]
        starts = self.source.length(video) - self.length + 1
        return video, int(torch.randint(starts, (), generator=chance))


def fitting(pixels: int, device: torch.device, *, cpu: int = 2**16, gpu: int = 2**22) -> int:
    """How many things of so many pixels are made at once: as many as a processor's caches hold, or as fill a GPU."""
    return max(1, (cpu if device.type == "cpu" else gpu) // pixels)
