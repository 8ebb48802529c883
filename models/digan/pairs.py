"""What DIGAN's discriminators see of a video: two of its frames, and the time between them (Sec. 3.2)."""

import torch
from einops import rearrange, repeat
from torch import Tensor

from vidbench.models.layers.diffaug import NUM_COLOR_TRANSLATION_DRAWS, color_translation

NUM_DRAWS = NUM_COLOR_TRANSLATION_DRAWS
"""Uniform numbers that a pair is augmented by."""


def two_times(draws: Tensor) -> Tensor:
    """Times of two frames: one of Beta(2, 1), which is often late, and one of Beta(1, 2), which is often early.

    Args:
        draws: `[..., 2]`, uniform in [0, 1).

    Returns:
        `[..., 2]` in [0, 1], rising.
    """
    late, early = draws.unbind(dim=-1)
    return torch.stack([late.sqrt(), 1 - (1 - early).sqrt()], dim=-1).sort(dim=-1).values


def paired(frames: Tensor, distances: Tensor) -> Tensor:
    """Frames `[2 * N, 3, H, W]`, the two of a video in a row, and times between them `[N]`, to `[N, 7, H, W]`."""
    images = rearrange(frames, "(n t) c h w -> n (t c) h w", t=2)
    h, w = images.shape[2:]
    return torch.cat([images, repeat(distances.to(images), "n -> n 1 h w", h=h, w=w)], dim=1)


def frames_of(pairs: Tensor) -> Tensor:
    """The frames `[2 * N, 3, H, W]` of pairs `[N, 7, H, W]`."""
    return rearrange(pairs[:, :6], "n (t c) h w -> (n t) c h w", t=2)


def augmented(pairs: Tensor, draws: Tensor) -> Tensor:
    """Pairs `[N, 7, H, W]` whose frames change colour and place; the two of a pair alike, by draws `[N, NUM_DRAWS]`.

    Each frame's contrast changes about its own mean.
    """
    stills = rearrange(frames_of(pairs), "n c h w -> n c 1 h w")
    changed = color_translation(stills, repeat(draws, "n k -> (n t) k", t=2))
    return torch.cat([rearrange(changed, "(n t) c 1 h w -> n (t c) h w", t=2), pairs[:, 6:]], dim=1)
