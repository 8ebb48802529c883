"""Resampling of images by short filters: upsample, filter, downsample (StyleGAN2, Karras et al., CVPR 2020).

Everything is a convolution of each channel on its own. No zeros are inserted and no samples are computed only to be
dropped, unless both directions meet in one call. Quickest, by far, in the channels-last memory format.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

Pair = tuple[int, int]


def resample_filter() -> Tensor:
    """The filter of StyleGAN2: the outer product of [1, 3, 3, 1] with itself, of sum 1; float32 `[4, 4]`."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
    return torch.outer(taps, taps) / taps.sum() ** 2


def upfirdn2d(
    x: Tensor,
    f: Tensor,
    up: Pair = (1, 1),
    down: Pair = (1, 1),
    padding: tuple[int, int, int, int] = (0, 0, 0, 0),
    flip: bool = False,
    gain: float = 1.0,
) -> Tensor:
    """Inserts zeros after samples, pads, convolves with a filter and keeps every so manieth sample, per channel.

    Args:
        x: floating `[N, C, H, W]`.
        f: the filter, `[fh, fw]`, or `[n]` for one that is applied along either axis in turn.
        up: samples that each sample becomes, `(x, y)`; all but the first are zeros.
        down: one sample in so many is kept, from the first on, `(x, y)`.
        padding: zeros around the upsampled image, `(x0, x1, y0, y1)`; negative numbers crop.
        flip: correlate instead of convolving.
        gain: factor of the result.

    Returns:
        `[N, C, h, w]` with `h = ceil((H * up + y0 + y1 - fh + 1) / down)`.
    """
    x0, x1, y0, y1 = padding
    if f.ndim == 1:
        x = upfirdn2d(x, f[None, :], (up[0], 1), (down[0], 1), (x0, x1, 0, 0), flip, gain**0.5)
        return upfirdn2d(x, f[:, None], (1, up[1]), (1, down[1]), (0, 0, y0, y1), flip, gain**0.5)
    fh, fw = f.shape
    channels = x.shape[1]
    kernel = (f * gain).to(x.dtype).expand(channels, 1, fh, fw)
    if up == (1, 1):
        (px, x0, x1), (py, y0, y1) = _shared(x0, x1), _shared(y0, y1)
        kernel = kernel if flip else kernel.flip(2, 3)
        return F.conv2d(_pad(x, x0, x1, y0, y1), kernel, None, (down[1], down[0]), (py, px), groups=channels)
    kernel = kernel.flip(2, 3) if flip else kernel
    px, x0, x1 = _shared(fw - 1 - x0, fw - up[0] - x1)
    py, y0, y1 = _shared(fh - 1 - y0, fh - up[1] - y1)
    x = F.conv_transpose2d(x, kernel, None, (up[1], up[0]), (py, px), groups=channels)
    return _pad(x, -x0, -x1, -y0, -y1)[:, :, :: down[1], :: down[0]]


def upsample2d(x: Tensor, f: Tensor, padding: int = 0, flip: bool = False) -> Tensor:
    """`[N, C, H, W]` at twice the side, in place and in brightness where it was; `padding` more zeros around it."""
    fh, fw = f.shape[0], f.shape[-1]
    sides = ((fw + 1) // 2, (fw - 2) // 2, (fh + 1) // 2, (fh - 2) // 2)
    return upfirdn2d(x, f, (2, 2), (1, 1), _wider(sides, padding), flip, gain=4.0)


def downsample2d(x: Tensor, f: Tensor, padding: int = 0, flip: bool = False) -> Tensor:
    """`[N, C, H, W]` at half the side, in place; `padding` more zeros around it, cropped where negative."""
    fh, fw = f.shape[0], f.shape[-1]
    sides = ((fw - 1) // 2, (fw - 2) // 2, (fh - 1) // 2, (fh - 2) // 2)
    return upfirdn2d(x, f, (1, 1), (2, 2), _wider(sides, padding), flip)


def filter2d(x: Tensor, f: Tensor, padding: int = 0, flip: bool = False, gain: float = 1.0) -> Tensor:
    """`[N, C, H, W]` filtered at its own size; `padding` more zeros around it."""
    fh, fw = f.shape[0], f.shape[-1]
    sides = (fw // 2, (fw - 1) // 2, fh // 2, (fh - 1) // 2)
    return upfirdn2d(x, f, (1, 1), (1, 1), _wider(sides, padding), flip, gain)


def _wider(sides: tuple[int, int, int, int], padding: int) -> tuple[int, int, int, int]:
    x0, x1, y0, y1 = sides
    return x0 + padding, x1 + padding, y0 + padding, y1 + padding


def _shared(first: int, last: int) -> tuple[int, int, int]:
    """What both sides of an axis share, which a convolution does by itself, and what is left of either side."""
    shared = max(0, min(first, last))
    return shared, first - shared, last - shared


def _pad(x: Tensor, x0: int, x1: int, y0: int, y1: int) -> Tensor:
    return F.pad(x, (x0, x1, y0, y1)) if (x0, x1, y0, y1) != (0, 0, 0, 0) else x
