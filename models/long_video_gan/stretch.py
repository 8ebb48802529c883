"""Videos at other speeds: what else the low-resolution discriminator sees (Brooks et al., 2022, Sec. 3.1)."""

import math

import torch
from einops import rearrange
from torch import Tensor

NUM_DRAWS = 2
"""Uniform numbers of one video: its speed, and which part of it is seen."""


def temporal_stretch(videos: Tensor, draws: Tensor) -> Tensor:
    """Each video between half and twice as long, in as many frames as before.

    Args:
        videos: `[N, C, T, H, W]`.
        draws: `[N, NUM_DRAWS]`, uniform in [0, 1); best drawn in float64.

    Returns:
        `[N, C, T, H, W]`: a part of a longer video; a shorter one with zeros, which are grey, before and after.

    Raises:
        ValueError: for other shapes of the draws.
    """
    if draws.shape != (len(videos), NUM_DRAWS):
        raise ValueError(f"{len(videos)} videos take draws of shape [N, {NUM_DRAWS}]; given were {list(draws.shape)}.")
    stretched = []
    for video, (speed, part) in zip(videos, draws.tolist(), strict=True):
        factor = 2 ** (2 * speed - 1)
        spare = stretched_length(video.shape[1], factor) - video.shape[1]
        first = int(part * (abs(spare) + 1))
        stretched.append(stretch(video, factor, first if spare > 0 else -first))
    return torch.stack(stretched)


def stretch(video: Tensor, factor: float, first: int) -> Tensor:
    """A video some times as long, linearly interpolated, from its frame `first` on; before and after it, 0.

    Args:
        video: `[C, T, H, W]`.
        factor: how many times as long.
        first: the frame that comes first; where it is negative, so many zeros do.

    Returns:
        `[C, T, H, W]`.
    """
    frames = video.shape[1]
    index = torch.arange(first, first + frames, device=video.device)
    place = ((index + 0.5).double() / factor - 0.5).clamp(0, frames - 1)
    before = place.floor().long()
    after = (before + 1).clamp(max=frames - 1)
    weight = rearrange(place - before, "t -> t 1 1").to(video)
    there = (index >= 0) & (index < stretched_length(frames, factor))
    return video[:, before].lerp(video[:, after], weight) * rearrange(there, "t -> t 1 1").to(video)


def stretched_length(frames: int, factor: float) -> int:
    """Frames of a video that is made some times as long."""
    return math.floor(frames * factor)
