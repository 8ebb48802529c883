"""What the temporal upsampler sees: a noisy low-resolution video (Sec. 3.4).

Noise-augmented conditioning is that of Ho et al., *Cascaded Diffusion Models*, JMLR 2022: in training the condition has
noise of any strength up to a limit, of which the network is told, and in sampling a little.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from vidbench.draws import normal

from .diffusion import Diffusion, own_schedule, sampled
from .unet import VideoUNet
from .windows import regrouped

WINDOW = 8
"""Frames that are made together."""
MAX_NOISE = 350
"""Of diffusion times drawn for the condition in training."""
SAMPLING_NOISE = 20
"""The condition's diffusion time in sampling."""


def resized(video: Tensor, size: tuple[int, int]) -> Tensor:
    """A video `[N, C, T, H, W]` at another size, bilinear; antialiased where it becomes smaller."""
    frames = rearrange(video, "n c t h w -> (n t) c h w")
    small = F.interpolate(frames, size, mode="bilinear", antialias=size[0] < video.shape[3])
    return rearrange(small, "(n t) c h w -> n c t h w", n=len(video))


def aligned_patches(video: Tensor, low: Tensor, rows: Tensor, columns: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """The same part of videos of two sizes, the same for all frames.

    Args:
        video: `[N, C, T, H, W]`.
        low: the same `[N, C, T, h, w]`, its sides a whole fraction.
        rows: uniform in [0, 1), `[N]`: where parts begin, as a share of where they can.
        columns: as `rows`.
        side: of the low-resolution parts, at most the sides of `low`.

    Returns:
        `[N, C, T, side * H / h, side * W / w]` and `[N, C, T, side, side]`.
    """
    factor = video.shape[3] // low.shape[3]
    tops = (rows * (low.shape[3] - side + 1)).long().tolist()
    lefts = (columns * (low.shape[4] - side + 1)).long().tolist()
    parts = []
    for frames, scale in ((video, factor), (low, 1)):
        edge = side * scale
        corners = zip(frames, tops, lefts, strict=True)
        parts.append(
            torch.stack([x[:, :, i * scale : i * scale + edge, j * scale : j * scale + edge] for x, i, j in corners])
        )
    return parts[0], parts[1]


def noisy_condition(low: Tensor, noise: Tensor, tau: Tensor, diffusion: Diffusion, size: tuple[int, int]) -> Tensor:
    """What is concatenated to the noisy video: the low-resolution one with noise, enlarged.

    Args:
        low: `[N, C, T, h, w]`.
        noise: standard normal, as `low`.
        tau: diffusion time of the noise, `[N]`, which the network is told as its label.
        diffusion: of the network.
        size: height and width of the noisy video; for an upsampler of latents, whose sides are those of `low`, that.

    Returns:
        `[N, C, T, *size]`.
    """
    noised = diffusion.noised(low, noise, tau)
    return noised if noised.shape[3:] == size else resized(noised, size)


@dataclass(frozen=True)
class Upsampler:
    """Videos of high resolution from those of low, eight frames at a time."""

    network: VideoUNet
    """Frozen, in evaluation mode."""
    factor: int
    """By which sides grow."""
    noise: int
    """Diffusion time of the noise on the low resolution."""
    steps: int
    """Of the sampler, which is DDIM: it clips, as pixels may be."""
    framewise: bool = False
    """Without temporal layers."""

    def enlarged(self, seeds: Sequence[int], videos: Iterator[Tensor]) -> Iterator[Tensor]:
        """Videos `[N, 3, t, h, w]`, one piece after the other, as `[N, 3, 8, factor * h, factor * w]`.

        What the last piece lacks is its last frame again, and left away in the end.
        """
        diffusion = Diffusion(own_schedule(pixels=True))
        for k, piece in enumerate(regrouped(videos, WINDOW)):
            missing = WINDOW - piece.shape[2]
            low = torch.cat([piece, piece[:, :, -1:].expand(-1, -1, missing, -1, -1)], dim=2)
            tau = torch.full((len(low),), self.noise, device=low.device)
            size = (low.shape[3] * self.factor, low.shape[4] * self.factor)
            low_noise = normal(seeds, "upsampler-condition", k, *low.shape[1:]).to(low)
            condition = noisy_condition(low, low_noise, tau, diffusion, size)

            def denoise(x: Tensor, t: Tensor, condition: Tensor = condition, labels: Tensor = tau) -> Tensor:
                out: Tensor = self.network(
                    torch.cat([x, condition], dim=1), t, labels=labels, image_mode=self.framewise
                )
                return out

            noise = normal(seeds, "upsampler", k, *low.shape[1:3], *size).to(low)
            yield sampled(denoise, noise, diffusion.schedule, self.steps)[:, :, : WINDOW - missing]
