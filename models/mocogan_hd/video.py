"""From walks to videos, and videos as the discriminators see them (MoCoGAN-HD, Sec. 3.2 and 3.3)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor

from .image_networks import SynthesisNetwork


def render(synthesis: SynthesisNetwork, styles: Tensor, noise: Sequence[Tensor] | None) -> Tensor:
    """The frames of walks.

    Args:
        synthesis: of the image generator.
        styles: `[N, T, w_dim]`, each for all layers of its frame.
        noise: of each layer, `[N, 1, H, W]`, the same for all frames of a video; None for none.

    Returns:
        `[N, T, 3, H, W]`, about [-1, 1].
    """
    ws = repeat(styles, "n t w -> (n t) l w", l=synthesis.num_ws)
    frames: Tensor = synthesis(ws, noise)
    return rearrange(frames, "(n t) c h w -> n t c h w", n=len(styles))


def interpolated(styles: Tensor) -> Tensor:
    """`[N, T, w_dim]` with the midpoint between any two neighbours: `[N, 2 T - 1, w_dim]`."""
    between = styles[:, :-1].lerp(styles[:, 1:], 0.5)
    pairs = rearrange(torch.stack([styles[:, :-1], between], dim=2), "n t two w -> n (t two) w")
    return torch.cat([pairs, styles[:, -1:]], dim=1)


def reduced(clips: Tensor, side: int) -> Tensor:
    """Clips `[N, T, 3, H, W]` averaged down to squares of so many pixels.

    Raises:
        ValueError: their side is no multiple of it.
    """
    if clips.shape[-1] % side:
        raise ValueError(
            f"frames of {clips.shape[-1]} pixels cannot be reduced to {side}; the image generator's side must be a"
            " multiple of the discriminators'"
        )
    if clips.shape[-1] == side:
        return clips
    frames = F.avg_pool2d(rearrange(clips, "n t c h w -> (n t) c h w"), clips.shape[-1] // side)
    return rearrange(frames, "(n t) c h w -> n t c h w", n=len(clips))


def pair(clips: Tensor, t: int) -> Tensor:
    """The first frame and frame t of clips `[N, T, 3, H, W]`: `[N, 6, H, W]`."""
    return torch.cat([clips[:, 0], clips[:, t]], dim=1)


def pairs(clips: Tensor) -> Tensor:
    """The first frame beside each later one, of clips `[N, T, 3, H, W]`: `[N, 6, T - 1, H, W]`."""
    later = clips[:, 1:]
    return rearrange(torch.cat([clips[:, :1].expand_as(later), later], dim=2), "n t c h w -> n c t h w")


def plain(clips: Tensor) -> Tensor:
    """Clips `[N, T, 3, H, W]` as they are, `[N, 3, T, H, W]`: where content must not be compared with motion's."""
    return rearrange(clips, "n t c h w -> n c t h w")
