"""Views of an image that the cross-domain image discriminator is to know as one (MoCoGAN-HD, Sec. 3.3).

Of every image a square near the border is cut out. Then it is mirrored, changed in colour, or turned, moved and scaled.
"""

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

NUM_DRAWS = 9
"""Uniform numbers of one image: size, side and place (2) of the square, which other change, and four numbers for it."""
BORDER = 0.25
"""Width of the band in which squares lie, in sides of the image; they have half of it to all of it."""
TURN, MOVE, SCALE = math.pi, 0.1, 0.05
"""Largest angle; largest shift, in half sides; largest change of size."""


def view(images: Tensor, draws: Tensor) -> Tensor:
    """Change each image by its own draws; differentiable.

    Args:
        images: `[N, 3, S, S]`, in [-1, 1].
        draws: `[N, NUM_DRAWS]`, uniform in [0, 1); best drawn in float64.

    Returns:
        `[N, 3, S, S]`; values may leave [-1, 1].

    Raises:
        ValueError: for other shapes of the draws.
    """
    if draws.shape != (len(images), NUM_DRAWS):
        raise ValueError(f"{len(images)} images take draws of shape [N, {NUM_DRAWS}]; given were {list(draws.shape)}.")
    draws = draws.double().cpu()
    images = cut_out(images, *squares(draws[:, :4], images.shape[-1]))
    kind, numbers = (3 * draws[:, 4]).floor(), draws[:, 5:]
    mirrored = (kind == 0) & (numbers[:, 0] >= 0.5)
    offsets = color_offsets(numbers[:, 0], (4 * numbers[:, 1]).floor()) * (kind == 1)[:, None]
    images = torch.where(rearrange(mirrored, "n -> n 1 1 1").to(images.device), images.flip(3), images)
    images = images + rearrange(offsets, "n c -> n c 1 1").to(images)
    moved = kind == 2
    if not moved.any():
        return images
    angle, right, down, size = (2 * numbers[moved] - 1).unbind(dim=1)
    matrices = affine_matrices(TURN * angle, MOVE * right, MOVE * down, 1 + SCALE * size)
    return images.index_put((moved.to(images.device),), transformed(images[moved.to(images.device)], matrices))


def squares(draws: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Rows, columns and lengths `[N]` of squares near the border, as `corners` gives them.

    Args:
        draws: `[N, 4]`, uniform in [0, 1): length; top, bottom, left or right; how deep; where along that side.
        size: of the image.
    """
    length, side = BORDER / 2 * (1 + draws[:, 0]), (4 * draws[:, 1]).floor()
    depth = (1 - BORDER) * (side % 2) + draws[:, 2] * (BORDER - length)
    along = draws[:, 3] * (1 - BORDER)
    lies = side < 2
    return corners(length, torch.where(lies, depth, along), torch.where(lies, along, depth), size)


def corners(length: Tensor, top: Tensor, left: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """First rows, first columns and lengths `[N]` in whole pixels, of squares given in sides of an image of `size`."""
    rows, columns = (torch.round(edge * (size - 1) - 0.5).long() for edge in (top, left))
    return rows, columns, torch.round(size * length - 0.5).long()


def cut_out(images: Tensor, rows: Tensor, columns: Tensor, lengths: Tensor) -> Tensor:
    """Images `[N, C, S, S]` with a square of zeros each."""
    offsets = torch.arange(images.shape[-1])
    inside = [(offsets >= first[:, None]) & (offsets < (first + lengths)[:, None]) for first in (rows, columns)]
    hole = rearrange(inside[0], "n h -> n 1 h 1") & rearrange(inside[1], "n w -> n 1 1 w")
    return images * (~hole).to(images)


def color_offsets(amount: Tensor, channel: Tensor) -> Tensor:
    """What is added to each channel `[N, 3]`: up to 1/2 more or less.

    Args:
        amount: `[N]`, uniform in [0, 1).
        channel: `[N]`, 1 to 3 for one of them, 0 for all.
    """
    chosen = (channel[:, None] == 0) | (channel[:, None] == torch.arange(1, 4))
    return (amount[:, None] - 0.5) * chosen


def affine_matrices(angle: Tensor, right: Tensor, down: Tensor, scale: Tensor) -> Tensor:
    """From places in the result to places in the image, both from -1 to 1: `[N, 2, 3]`, of `[N]` each."""
    cosine, sine = scale * angle.cos(), scale * angle.sin()
    return torch.stack([torch.stack([cosine, -sine, right], dim=1), torch.stack([sine, cosine, down], dim=1)], dim=1)


def transformed(images: Tensor, matrices: Tensor) -> Tensor:
    """Images `[N, C, S, S]` sampled where `affine_matrices` say, bilinearly; beyond the edges they are reflected."""
    grid = F.affine_grid(matrices.to(images), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
