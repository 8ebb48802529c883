"""What only the image stage of StyleGAN2 has: mixed styles and path length (Karras et al., CVPR 2019 and 2020)."""

import math

import torch
from torch import Tensor

PATH_DECAY = 0.01
"""Weight of a batch in the moving average of path lengths."""


def mixed(first: Tensor, second: Tensor, index: int) -> Tensor:
    """Styles `[N, num_ws, w_dim]`: the first below layer `index`, the second from there (2019, Sec. 3.1)."""
    return torch.cat([first[:, :index], second[:, index:]], dim=1)


def path_lengths(images: Tensor, ws: Tensor, noise: Tensor) -> Tensor:
    """How far an image moves with its styles, `[N]`; differentiable (2020, Eq. 4).

    Args:
        images: `[N, 3, H, W]`.
        ws: what they were made of, `[N, num_ws, w_dim]`.
        noise: standard normal, of the shape of `images`.
    """
    height, width = images.shape[2:]
    (gradient,) = torch.autograd.grad((images * noise).sum() / math.sqrt(height * width), ws, create_graph=True)
    lengths: Tensor = gradient.square().sum(dim=2).mean(dim=1).sqrt()
    return lengths


def path_penalty(lengths: Tensor, mean: Tensor, batch: Tensor) -> tuple[Tensor, Tensor]:
    """How unequal the lengths are, and their moving average with this batch in it.

    As in the implementation that MoCoGAN-HD builds on, gradients flow through the moving average.

    Args:
        lengths: `[N]`.
        mean: the moving average before; 0 at first.
        batch: the mean length over all processes, without gradients.
    """
    moved, own = mean + PATH_DECAY * (batch - mean), lengths.mean()
    through = 2 * PATH_DECAY * (batch - moved) * (own - own.detach())  # 0, with the gradients of the moving average
    return (lengths - moved).square().mean() - through, moved
