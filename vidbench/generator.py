"""The one interface of everything that makes videos."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor


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
