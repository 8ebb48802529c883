"""How the users of I3D bring videos to its 224x224: sizes, grids and roundings differ, and move the score."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange

from .i3d import SIZE

PIXELS_AT_ONCE = 2**22


class Preparation(NamedTuple):
    """A convention: what it does to the frames, and the two choices about the network that come with it."""

    frames: Callable[[torch.Tensor], torch.Tensor]
    """Frames `[F, 3, H, W]` of floating numbers 0..255 to `[F, 3, 224, 224]` in [-1, 1], in the same precision."""
    eps: float
    """Of batch normalisation."""
    averaged: bool = True
    """Whether the convention's own output is the mean over time; if not, it is the logits of each step."""


def styleganv(frames: torch.Tensor) -> torch.Tensor:
    """To [-1, 1], then both sides to 224, aspect not kept (Skorokhodov et al., 2022, StyleGAN-V)."""
    return resized(frames / 255 * 2 - 1)


def tfhub(frames: torch.Tensor) -> torch.Tensor:
    """Both sides to 224 on the grid of TensorFlow 1, then to [-1, 1] (Unterthiner et al., 2018: the first FVD).

    Pixel i reads at i L / 224, without the shift by half a pixel.
    """
    for axis in (3, 2):
        length = frames.shape[axis]
        at = torch.arange(SIZE, device=frames.device, dtype=torch.float32) * (length / SIZE)
        lower = at.floor()
        a, b = (frames.index_select(axis, i.long().clamp(max=length - 1)) for i in (lower, lower + 1))
        fraction = (at - lower).to(frames.dtype)
        frames = a + (b - a) * (fraction if axis == 3 else fraction[:, None])
    return 2 * frames / 255 - 1


def videogpt(frames: torch.Tensor) -> torch.Tensor:
    """Shorter side to 224 and the longer in proportion, rounded up; the centre; to [-1, 1] (Yan et al., 2021)."""
    shorter = min(frames.shape[2:])
    scale = SIZE / shorter
    height, width = (SIZE if side == shorter else math.ceil(side * scale) for side in frames.shape[2:])
    top, left = (height - SIZE) // 2, (width - SIZE) // 2
    centre = resized(frames / 255, (height, width))[:, :, top : top + SIZE, left : left + SIZE]
    return (centre - 0.5) * 2


def tats(frames: torch.Tensor) -> torch.Tensor:
    """Both sides to 224, aspect not kept, then to [-1, 1] (Ge et al., 2022, TATS; 2024, content-debiased FVD)."""
    return 2 * resized(frames) / 255 - 1


def piergiaj(frames: torch.Tensor) -> torch.Tensor:
    """To [-1, 1] alone: the frames are 224x224 already."""
    return frames / 127.5 - 1


PREPARATIONS = {
    "styleganv": Preparation(styleganv, eps=1e-3),
    "tfhub": Preparation(tfhub, eps=1e-3),
    "videogpt": Preparation(videogpt, eps=1e-5),
    "tats": Preparation(tats, eps=1e-5),
    "cdfvd": Preparation(tats, eps=1e-5),
    "piergiaj": Preparation(piergiaj, eps=1e-3, averaged=False),
}


def prepared(video: torch.Tensor, preparation: str) -> torch.Tensor:
    """A video as the network takes it, a few frames at a time.

    Args:
        video: `[N, 3, T, H, W]`, uint8, or floating in 0..255.
        preparation: one of `PREPARATIONS`.

    Returns:
        `[N, 3, T, 224, 224]` in [-1, 1]; float32, or the precision of a floating video.

    Raises:
        ValueError: for an unknown preparation.
    """
    rule = preparation_of(preparation).frames
    frames = rearrange(video, "n c t h w -> (n t) c h w")
    at_once = max(1, PIXELS_AT_ONCE // max(SIZE**2, video.shape[3] * video.shape[4]))
    parts = [rule(part.float() if part.dtype == torch.uint8 else part) for part in torch.split(frames, at_once)]
    return rearrange(torch.cat(parts), "(n t) c h w -> n c t h w", t=video.shape[2])


def preparation_of(name: str) -> Preparation:
    """The convention of this name.

    Raises:
        ValueError: if there is none.
    """
    if name not in PREPARATIONS:
        raise ValueError(f'There is no preparation named "{name}" for I3D. Known: {", ".join(PREPARATIONS)}.')
    return PREPARATIONS[name]


def resized(frames: torch.Tensor, size: tuple[int, int] = (SIZE, SIZE)) -> torch.Tensor:
    """Linear between the centres of pixels, without a filter against aliasing: `[F, C, *size]`."""
    return F.interpolate(frames, size, mode="bilinear", align_corners=False)
