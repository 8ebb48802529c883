"""Real videos that go through a part of Video LDM: how much of a score is that part's."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from vidbench.generator import Generator, OnReal, VideoSource

from .autoencoder import encoded

AT_ONCE = 16
"""Videos that are made together."""
READ = 16
"""Real frames that are read at once."""

Remake = Callable[[Sequence[int], Iterator[Tensor]], Iterator[Tensor]]
"""From seeds and clips `[N, 3, t, H, W]`, one after the other, clips again."""


class Chained(Generator):
    """Makes several videos at once, piece by piece, always from their first frame on."""

    @abstractmethod
    def pieces(self, seeds: Sequence[int]) -> Iterator[Tensor]:
        """Videos, `[N, 3, t, H, W]` one after the other, about [-1, 1]."""

    @torch.inference_mode()
    def stream(self, seed: int) -> Iterator[Tensor]:
        """One video, piece by piece."""
        for piece in self.pieces([seed]):
            yield finished(piece)[0]

    def sample(self, seeds: Sequence[int], num_frames: int, start: int = 0) -> Tensor:
        """Frames `start : start + num_frames` of one video a seed, `[N, 3, T, H, W]` in [-1, 1]."""
        if self.max_frames is not None and start + num_frames > self.max_frames:
            raise ValueError(f"these videos have {self.max_frames} frames; {start + num_frames} were asked for")
        videos = [
            self._window(seeds[i : i + AT_ONCE], start, start + num_frames) for i in range(0, len(seeds), AT_ONCE)
        ]
        return torch.cat(videos)

    @torch.inference_mode()
    def _window(self, seeds: Sequence[int], start: int, stop: int) -> Tensor:
        kept, first = [], 0
        for piece in self.pieces(seeds):
            kept.append(finished(piece[:, :, max(start - first, 0) : stop - first]))
            first += piece.shape[2]
            if first >= stop:
                break
        return torch.cat(kept, dim=2)


class Remade(Chained, OnReal):
    """Real videos that went through something.

    Args:
        source: the videos.
        num_frames: the length of its videos.
        remake: what they go through.
    """

    fingerprint: str | None = None
    checkpoint_hash: str | None = None

    def __init__(self, source: VideoSource, num_frames: int, remake: Remake) -> None:
        super().__init__(source, num_frames)
        self.max_frames, self.size, self.remake = num_frames, source.size, remake

    def pieces(self, seeds: Sequence[int]) -> Iterator[Tensor]:
        """The videos of some seeds."""
        return self.remake(seeds, self._clips([self.pick(seed) for seed in seeds]))

    def _clips(self, picked: list[tuple[Any, int]]) -> Iterator[Tensor]:
        for t in range(0, self.length, READ):
            count = min(READ, self.length - t)
            clips = [self.source.read(video, first + t, first + t + count) for video, first in picked]
            yield torch.stack([torch.from_numpy(clip) for clip in clips]).float() / 127.5 - 1


def reconstructed(
    vae: Any,
    decode: Callable[[Tensor], Tensor],
    windows: Callable[[Iterator[Tensor], Callable[[Tensor], Tensor]], Iterator[Tensor]] | None = None,
) -> Remake:
    """Encode and decode.

    Args:
        vae: the autoencoder, which encodes.
        decode: latents `[N, C, t, h, w]`, as the encoder gives them, to frames.
        windows: how clips of latents are cut for it; None for as they are.
    """

    def remake(seeds: Sequence[int], clips: Iterator[Tensor]) -> Iterator[Tensor]:
        latents = (encoded(vae, clip.to(vae.device)) for clip in clips)
        return map(decode, latents) if windows is None else windows(latents, decode)

    return remake


def finished(frames: Tensor) -> Tensor:
    """Frames as generators hand them out: in [-1, 1], on the CPU."""
    return frames.float().clamp(-1, 1).cpu()
