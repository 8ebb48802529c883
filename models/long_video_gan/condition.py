"""What super-resolution sees of a low-resolution video: a few frames around each, at any size (Sec. 3.3)."""

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from vidbench.models.layers.filters import kaiser_filter, linear_filter
from vidbench.models.layers.fir import upfirdn2d


class Upsample(torch.nn.Module):
    """Images at several times their sides, by linear interpolation; 0 beyond the edges."""

    filter: Tensor

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor
        self.register_buffer("filter", linear_filter(factor))

    def forward(self, x: Tensor) -> Tensor:
        """`[N, C, H, W]` to `[N, C, H * factor, W * factor]`."""
        return upsampled(x, self.filter, self.factor)


class Resize(torch.nn.Module):
    """Images at several times their sides or a fraction of them; they go on beyond the edges as their outer pixels.

    Args:
        up: factor of the sides, or 1.
        down: divisor of the sides, or 1.
    """

    filter: Tensor

    def __init__(self, up: int, down: int) -> None:
        super().__init__()
        self.up, self.down = up, down
        self.register_buffer("filter", kaiser_filter(max(up, down)))

    def forward(self, x: Tensor) -> Tensor:
        """`[N, C, H, W]` to `[N, C, H * up / down, W * up / down]`."""
        if self.down > 1:
            resized, edge = downsampled(_extended(x, self.down), self.filter, self.down), 1
        else:
            resized, edge = upsampled(_extended(x, 1), self.filter, self.up), self.up
        return resized[:, :, edge:-edge, edge:-edge]


def upsampled(x: Tensor, f: Tensor, factor: int) -> Tensor:
    """`[N, C, H, W]` to `[N, C, H * factor, W * factor]`, in place, by a filter of one axis."""
    before, after = (len(f) + factor - 1) // 2, (len(f) - factor) // 2
    return upfirdn2d(x, f, (factor, factor), (1, 1), (before, after) * 2, gain=factor**2)


def downsampled(x: Tensor, f: Tensor, factor: int) -> Tensor:
    """`[N, C, H, W]` to `[N, C, H / factor, W / factor]`, in place, by a filter of one axis."""
    before, after = (len(f) - factor + 1) // 2, (len(f) - factor) // 2
    return upfirdn2d(x, f, (1, 1), (factor, factor), (before, after) * 2)


class Condition:
    """Stacks of neighbouring low-resolution frames at the size of any layer; each frame is resized once a size.

    Args:
        video: low-resolution frames `[N, 3, T + 2 * context, h, w]`.
        context: neighbours on either side.
        margin: pixels added around the frame, after it was made square.
    """

    def __init__(self, video: Tensor, context: int, margin: int) -> None:
        self.videos, self.window = len(video), 2 * context + 1
        rows, columns = video.shape[-2:]
        side = max(rows, columns)
        left, top = (side - columns) // 2 + margin, (side - rows) // 2 + margin
        right, bottom = (side - columns + 1) // 2 + margin, (side - rows + 1) // 2 + margin
        frames = rearrange(video, "n c t h w -> (n t) c h w")
        self.frames = F.pad(frames, (left, right, top, bottom), mode="replicate")
        self.resized: dict[tuple[int, int], Tensor] = {}
        self.stacks: dict[tuple[int, int, int, int], Tensor] = {}

    def stack(self, resize: torch.nn.Module, height: int, width: int) -> Tensor:
        """For each frame itself and its neighbours, resized, then cropped or extended to a size.

        Args:
            resize: a `Resize`, or anything else for the frames as they are.
            height: of the result.
            width: of the result.

        Returns:
            `[N * T, 3 * window, height, width]`, the neighbours of a colour in a row; channels last.
        """
        factors = (resize.up, resize.down) if isinstance(resize, Resize) else (1, 1)
        if factors not in self.resized:
            self.resized[factors] = self.frames if factors == (1, 1) else resize(self.frames)
        if (*factors, height, width) not in self.stacks:
            frames = rearrange(fitted(self.resized[factors], height, width), "(n t) c h w -> n t h w c", n=self.videos)
            windows = rearrange(frames.unfold(1, self.window, 1), "n t h w c k -> (n t) h w (c k)")
            self.stacks[*factors, height, width] = rearrange(windows, "f h w s -> f s h w")
        return self.stacks[*factors, height, width]


def resize_factors(side: int, rate: int) -> tuple[int, int]:
    """Up and down, that bring a picture of `side` pixels to about `rate`."""
    return max(1, math.ceil(rate / side)), max(1, math.ceil(side / rate))


def fitted(x: Tensor, height: int, width: int) -> Tensor:
    """The centre of `[N, C, H, W]` at a size; what is missing continues the edge."""
    rows, columns = (max(0, have - want) // 2 for have, want in zip(x.shape[2:], (height, width), strict=True))
    x = x[:, :, rows : rows + height, columns : columns + width]
    missing = height - x.shape[2], width - x.shape[3]
    if missing == (0, 0):
        return x
    top, left = (m // 2 for m in missing)
    return F.pad(x, (left, missing[1] - left, top, missing[0] - top), mode="replicate")


def _extended(x: Tensor, pixels: int) -> Tensor:
    return F.pad(x, (pixels,) * 4, mode="replicate")
