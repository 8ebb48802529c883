"""Minibatch standard deviation: shows a discriminator how much samples differ (Karras et al., ICLR 2018, Sec. 3)."""

import torch
from einops import rearrange, repeat
from torch import Tensor


def with_minibatch_std(x: Tensor, group_size: int, num_channels: int = 1) -> Tensor:
    """Appends the standard deviation over groups of samples, averaged over pixels and slabs of channels.

    Members of a group lie as far apart as there are groups: 0, N / G, 2 N / G, ...

    Args:
        x: `[N, C, H, W]`.
        group_size: samples in a group, G; a smaller batch is one group.
        num_channels: how many slabs the channels are cut into, and channels appended.

    Returns:
        `[N, C + num_channels, H, W]`.

    Raises:
        ValueError: the batch does not divide into groups.
    """
    n, _, h, w = x.shape
    groups = min(group_size, n)
    if n % groups:
        raise ValueError(f"A batch of {n} does not divide into groups of {groups}; take a multiple of {groups}.")
    slabs = rearrange(x, "(g m) (f c) h w -> g m f (c h w)", g=groups, f=num_channels)
    deviation = (slabs.var(dim=0, correction=0) + 1e-8).sqrt().mean(dim=-1)
    return torch.cat([x, repeat(deviation, "m f -> (g m) f h w", g=groups, h=h, w=w)], dim=1)
