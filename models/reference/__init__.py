"""Reference generators: the floors and ceilings that stand beside every score.

`real` is the floor: other real videos. The others break one thing each and keep the rest, so that a reader sees what a
metric makes of it: `freeze` has no motion, `loop` has no new content, `shuffle` has no order, `noise` has nothing.
"""

from collections.abc import Iterator
from itertools import count
from typing import ClassVar

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from vidbench.draws import draw
from vidbench.generator import OnReal, VideoSource

BLOCK = 16  # frames: the length of loop's period and of shuffle's blocks, and of a chunk


class Reference(OnReal):
    """A generator that makes its videos of real ones.

    Args:
        source: real videos, all of one size, that the real side of the score does not use.
        num_frames: the length of the clips wanted; `real` and `shuffle` make no longer ones and pick no real videos
            that are shorter, the others are endless.
        left_out: names of videos that are not picked.
    """

    version = 1
    in_workers = True
    is_reference = True
    needs: ClassVar[int | None] = None  # real frames used of one video; None: all num_frames

    def __init__(self, source: VideoSource, num_frames: int, left_out: frozenset[str] = frozenset()) -> None:
        super().__init__(source, self.needs or num_frames, left_out)
        self.size = source.size
        self.max_frames = num_frames if self.needs is None else None

    @property
    def fingerprint(self) -> str:
        """Identity of its videos."""
        return f"{type(self).__name__}/{self.version}/{self.source.fingerprint}/{self.length}/{self.size}"

    def read(self, seed: int, start: int, stop: int) -> Tensor:
        """Real frames `start:stop` of a seed's clip, float32 `[3, t, H, W]` in [-1, 1]."""
        video, first = self.pick(seed)
        frames = self.source.read(video, first + start, first + stop)
        return torch.from_numpy(np.ascontiguousarray(frames)).float() / 127.5 - 1

    def blocks(self) -> Iterator[tuple[int, int]]:
        """Starts and ends of successive blocks of frames, to the end of the video."""
        for start in count(step=BLOCK):
            stop = start + BLOCK if self.max_frames is None else min(start + BLOCK, self.max_frames)
            if stop <= start:
                return
            yield start, stop


class Real(Reference):
    """Real videos that were held out: the score of a perfect model."""

    card: ClassVar[dict[str, str]] = {
        "title": "Held-out real videos",
        "what": "The floor: what a metric gives to real videos against other real videos.",
    }

    def stream(self, seed: int) -> Iterator[Tensor]:
        """The real clip itself, in chunks `[3, t, H, W]`."""
        for start, stop in self.blocks():
            yield self.read(seed, start, stop)


class Freeze(Reference):
    """The first frame of a real clip, held: right content, no motion."""

    needs = 1
    card: ClassVar[dict[str, str]] = {
        "title": "First frame of a real clip, held",
        "what": "Perfect pictures without motion: a metric that likes it does not look at time.",
    }

    def stream(self, seed: int) -> Iterator[Tensor]:
        """The same frame for ever, in chunks `[3, t, H, W]`."""
        still = self.read(seed, 0, 1)
        for start, stop in self.blocks():
            yield still.expand(-1, stop - start, -1, -1)


class Loop(Reference):
    """A real clip of 16 frames, repeated, entered at a phase drawn from the seed: no new content."""

    needs = BLOCK
    card: ClassVar[dict[str, str]] = {
        "title": "A real clip of 16 frames, repeated",
        "what": "Right at every instant, but the world never changes; a jump every 16 frames.",
    }

    def stream(self, seed: int) -> Iterator[Tensor]:
        """The repeated clip in chunks `[3, t, H, W]`."""
        phase = int(torch.randint(BLOCK, (), generator=draw(seed, "loop/phase")))
        period = self.read(seed, 0, BLOCK).roll(-phase, dims=1)
        for start, stop in self.blocks():
            yield period[:, : stop - start]


class Shuffle(Reference):
    """A real clip whose frames are permuted within blocks of 16: right frames, wrong order."""

    card: ClassVar[dict[str, str]] = {
        "title": "A real clip with its frames permuted in blocks of 16",
        "what": "Every frame is real and near its place, but motion is destroyed.",
    }

    def stream(self, seed: int) -> Iterator[Tensor]:
        """The permuted clip in chunks `[3, t, H, W]`."""
        for index, (start, stop) in enumerate(self.blocks()):
            order = torch.randperm(stop - start, generator=draw(seed, "shuffle/order", index))
            yield self.read(seed, start, stop)[:, order]


class Noise(Reference):
    """Independent uniform noise in every pixel: the ceiling."""

    needs = 1
    card: ClassVar[dict[str, str]] = {
        "title": "Independent uniform noise",
        "what": "The ceiling: neither content nor motion.",
    }

    def stream(self, seed: int) -> Iterator[Tensor]:
        """Noise in chunks `[3, t, H, W]`."""
        for index, (start, stop) in enumerate(self.blocks()):
            noise = torch.rand(stop - start, 3, *self.size, generator=draw(seed, "noise", index))
            yield rearrange(noise, "t c h w -> c t h w") * 2 - 1
