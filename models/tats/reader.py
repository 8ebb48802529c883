"""Training samples of all stages: clips."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vidbench.generator import VideoSource


@dataclass(frozen=True)
class Reader:
    """Makes a training sample: every so many frames of a video."""

    frames: int
    time_step: int
    every_clip: bool = False

    @property
    def span(self) -> int:
        """Frames of the data that a clip lies in."""
        return (self.frames - 1) * self.time_step + 1

    def weight(self, length: int) -> int:
        """What a video of so many frames counts as: 1, or as many samples as it has clips."""
        return length - self.span + 1 if self.every_clip else 1

    def __call__(self, source: VideoSource, video: Any, chance: torch.Generator) -> dict[str, Tensor]:
        """`clip` uint8 `[3, T, H, W]`."""
        start = int(torch.randint(source.length(video) - self.span + 1, (), generator=chance))
        return {"clip": torch.from_numpy(source.read(video, start, start + self.span, self.time_step))}
