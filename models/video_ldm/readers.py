"""Training samples of all stages: clips, and at which of several rates their frames were taken."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vidbench.generator import VideoSource


@dataclass(frozen=True)
class ClipReader:
    """Makes a training sample: a clip from anywhere in a video."""

    frames: int
    strides: Sequence[int] = (1,)
    """Of which each sample has one."""

    @property
    def span(self) -> int:
        """Frames of a video that the longest clip needs."""
        return (self.frames - 1) * max(self.strides) + 1

    def __call__(self, source: VideoSource, video: Any, chance: torch.Generator) -> dict[str, Tensor]:
        """`clip` uint8 `[3, T, H, W]`, and `rate`, the number of its stride."""
        rate = torch.randint(len(self.strides), (), generator=chance)
        stride = self.strides[int(rate)]
        span = (self.frames - 1) * stride + 1
        start = int(torch.randint(source.length(video) - span + 1, (), generator=chance))
        return {"clip": torch.from_numpy(source.read(video, start, start + span, stride)), "rate": rate}


def normalised(clips: Tensor) -> Tensor:
    """8 bits to [-1, 1]."""
    return clips.float() / 127.5 - 1
