"""Pictures of codes, a part of a video at a time; and real videos through the autoencoder."""

from collections.abc import Iterable, Iterator
from itertools import islice

import torch
from torch import Tensor

from vidbench.generator import OnReal, VideoSource

from .config import VQGANModel
from .vqgan import VQGAN, decoder_reach

CHUNK = 8
"""Latent frames that are decoded at once, besides those that they depend on."""


def pictures(vqgan: VQGAN, frames: Iterable[Tensor]) -> Iterator[Tensor]:
    """The pictures of latent frames, in order, `[N, 3, T, H, W]` in [-1, 1] on the CPU, in constant memory.

    They are those of the whole video decoded at once: all latent frames that a picture depends on are decoded with it,
    so that it comes later than its own codes.

    Args:
        vqgan: in evaluation mode.
        frames: codes `[N, h, w]`; where they end, so does the video.
    """
    left, right = decoder_reach(vqgan.downsample)
    coming, window, shown = iter(frames), list[Tensor](), 0
    while True:
        needed = shown + CHUNK + right
        window += islice(coming, needed - len(window))
        stop = shown + CHUNK if len(window) == needed else len(window)
        if stop > shown:
            with torch.inference_mode():
                clips = vqgan.decode(torch.stack(window, dim=1))
            per = clips.shape[2] // len(window)
            yield (2 * clips[:, :, shown * per : stop * per]).clamp(-1, 1).float().cpu()
        if len(window) < needed:
            return
        window, shown = window[max(stop - left, 0) :], min(stop, left)


class Reconstructed(OnReal):
    """Real videos through the autoencoder, clip by clip: what no transformer can surpass.

    Args:
        vqgan: the autoencoder, in evaluation mode.
        model: its configuration.
        source: real videos of the size that it makes.
        num_frames: the length of its videos.
    """

    fingerprint: str | None = None
    checkpoint_hash: str | None = None
    max_frames: int

    def __init__(self, vqgan: VQGAN, model: VQGANModel, source: VideoSource, num_frames: int) -> None:
        per = model.downsample[0]
        self.count = -(-num_frames // per) * per
        super().__init__(source, (self.count - 1) * model.time_step + 1)
        self.vqgan, self.model, self.max_frames, self.size = vqgan, model, num_frames, source.size

    @property
    def fps(self) -> float:  # type: ignore[override]
        """Of the frames that are taken."""
        return super().fps / self.model.time_step

    def stream(self, seed: int) -> Iterator[Tensor]:
        """The video."""
        made = 0
        for chunk in pictures(self.vqgan, self._latents(seed)):
            yield chunk[0, :, : self.max_frames - made]
            made += chunk.shape[2]

    def _latents(self, seed: int) -> Iterator[Tensor]:
        """Codes `[1, h, w]` of each latent frame; clips are encoded each on its own, as in training."""
        video, first = self.pick(seed)
        step, device = self.model.time_step, self.vqgan.codebook.N.device
        for start in range(0, self.count, self.model.frames):
            stop = min(start + self.model.frames, self.count)
            clip = self.source.read(video, first + start * step, first + (stop - 1) * step + 1, step)
            with torch.inference_mode():
                codes = self.vqgan.encode(torch.from_numpy(clip)[None].to(device).float() / 255 - 0.5)
            yield from codes.unbind(dim=1)
