"""Bilinear sampling of images that is differentiable twice in the image, which older versions of torch refuse."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def bilinear(image: Tensor, grid: Tensor) -> Tensor:
    """`grid_sample` at fixed places: half-pixel centres, 0 outside; the result is laid out channels last.

    Args:
        image: `[N, C, H, W]`.
        grid: `[N, h, w, 2]`, (x, y) from -1 to 1 between the outer edges of the image; it gets no gradient.

    Returns:
        `[N, C, h, w]`.
    """
    samples: Tensor = _Sample.apply(image, grid)  # type: ignore[no-untyped-call]
    return samples


class _Sample(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, image: Tensor, grid: Tensor) -> Tensor:
        ctx.save_for_backward(grid)
        ctx.shape = image.shape
        return F.grid_sample(image, grid, align_corners=False).contiguous(memory_format=torch.channels_last)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return _Spread.apply(grads[0], ctx.saved_tensors[0], ctx.shape), None  # type: ignore[no-untyped-call]


class _Spread(torch.autograd.Function):
    """The transpose of `_Sample`, which is in turn its transpose: each sample is added to the pixels around it."""

    @staticmethod
    def forward(ctx: Any, samples: Tensor, grid: Tensor, shape: torch.Size) -> Tensor:
        ctx.save_for_backward(grid)
        like = samples.new_empty(shape)
        image: Tensor
        image, _ = torch.ops.aten.grid_sampler_2d_backward(samples, like, grid, 0, 0, False, [True, False])
        return image.contiguous(memory_format=torch.channels_last)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return _Sample.apply(grads[0], ctx.saved_tensors[0]), None, None  # type: ignore[no-untyped-call]
