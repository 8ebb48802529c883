"""Layers of the low-resolution generator: convolutions over space and time that a style steers frame by frame.

Features are `[N, C, T, H, W]` with channels last in memory: all frames, or all lines of pixels over time, can then be
resampled as images without a copy. Gains stand in weights, styles and biases, where they cost nothing.
"""

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from vidbench.models.layers.averages import Magnitude
from vidbench.models.layers.convolution import modulated_pointwise
from vidbench.models.layers.filters import linear_filter
from vidbench.models.layers.fir import upfirdn2d, upsample2d
from vidbench.models.layers.linear import GAINS, Linear, activated

CLAMP = 256.0
"""Limit of the magnitude of what layers put out."""

Size = tuple[int, int]


class Upsample(nn.Module):
    """Linear interpolation to twice the samples, in place; beyond the edges everything is 0."""

    filter: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("filter", linear_filter(2))

    def over_time(self, x: Tensor, frames: int) -> Tensor:
        """The `frames` in the middle of twice the frames of `x`, `[N, C, T, H, W]`."""
        before = (2 * x.shape[2] - frames) // 2
        after = 2 * x.shape[2] - frames - before
        lines = rearrange(x, "n c t h w -> n c t (h w)")
        lines = upfirdn2d(lines, self.filter[:, None], (1, 2), padding=(0, 0, 2 - before, 1 - after), gain=2)
        return rearrange(lines, "n c t (h w) -> n c t h w", h=x.shape[3])

    def over_space(self, x: Tensor, size: Size) -> Tensor:
        """The middle, of the given height and width, of frames at twice their sides."""
        height, width = size
        frames = upsample2d(rearrange(x, "n c t h w -> (n t) c h w"), self.filter)
        top, left = (frames.shape[2] - height) // 2, (frames.shape[3] - width) // 2
        frames = frames[:, :, top : top + height, left : left + width]
        return rearrange(frames, "(n t) c h w -> n c t h w", n=len(x))


class Block(nn.Module):
    """Two modulated convolutions and a straight way past them; then interpolation, bias and activation.

    Args:
        in_channels: of the features.
        out_channels: of the result.
        w_dim: width of style vectors.
        frames_joined: frames that a convolution joins, 3 or 1.
        doubles_time: whether there are twice the frames afterwards, less some at either end.
        doubles_space: whether frames are of twice the side afterwards, less some of the border.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        w_dim: int,
        frames_joined: int,
        doubles_time: bool,
        doubles_space: bool,
    ) -> None:
        super().__init__()
        kernel = (frames_joined, 3, 3)
        self.skip_gain = 1 / math.sqrt(in_channels)
        self.weight_0 = nn.Parameter(torch.randn(in_channels, in_channels, *kernel))
        self.weight_1 = nn.Parameter(torch.randn(out_channels, in_channels, *kernel))
        self.weight_skip = nn.Parameter(torch.randn(out_channels, in_channels, 1, 1, 1))
        self.bias_0 = nn.Parameter(torch.zeros(in_channels))
        self.bias_1 = nn.Parameter(torch.zeros(out_channels))
        self.affine_0 = Linear(w_dim, in_channels, bias_init=1.0)
        self.affine_1 = Linear(w_dim, in_channels, bias_init=1.0)
        self.input_magnitude_ema_0 = Magnitude()
        self.input_magnitude_ema_1 = Magnitude()
        self.temporal_upsample = Upsample() if doubles_time else None
        self.spatial_upsample = Upsample() if doubles_space else None

    def forward(self, x: Tensor, w: Tensor, frames: int, size: Size, beta: float = 1.0) -> Tensor:
        """Features of the next block.

        Args:
            x: `[N, in_channels, L, h, w]`.
            w: styles `[N, L, w_dim]`.
            frames: how many are kept, those in the middle.
            size: height and width that are kept, in the middle.
            beta: decay of the averages of magnitudes; 1 leaves them alone.

        Returns:
            `[N, out_channels, frames, *size]`, in the precision of `x`.
        """
        gain = self.input_magnitude_ema_0.input_gain(x, beta)
        bias_0, bias_1 = (rearrange(bias * GAINS["lrelu"], "c -> c 1 1 1") for bias in (self.bias_0, self.bias_1))
        h = modulated_conv3d(x, self.weight_0, self.affine_0(w), gain, bias_0, GAINS["lrelu"])
        h = activated(h, "lrelu", CLAMP)
        past = pointwise(x, self.weight_skip * (self.skip_gain * gain))
        # Their sum is scaled by the square root of 1/2, and the activation by that of 2.
        x = modulated_conv3d(
            h, self.weight_1, self.affine_1(w), self.input_magnitude_ema_1.input_gain(h, beta), past, 1.0
        )
        if self.temporal_upsample is not None:
            x = self.temporal_upsample.over_time(x, frames)
        else:
            x = x[:, :, (x.shape[2] - frames) // 2 :][:, :, :frames]
        if self.spatial_upsample is not None:
            x = self.spatial_upsample.over_space(x, size)
        return activated(x + bias_1.to(x.dtype), "lrelu", CLAMP)


class ToRGB(nn.Module):
    """Modulated convolution by one pixel to the colours, without demodulation or activation.

    Args:
        in_channels: of the features.
        w_dim: width of style vectors.
    """

    def __init__(self, in_channels: int, w_dim: int) -> None:
        super().__init__()
        self.affine = Linear(w_dim, in_channels, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(3, in_channels, 1, 1, 1))
        self.bias = nn.Parameter(torch.zeros(3))
        self.input_magnitude_ema = Magnitude()

    def forward(self, x: Tensor, w: Tensor, beta: float = 1.0) -> Tensor:
        """`[N, in_channels, T, H, W]`, steered by styles `[N, T, w_dim]`, to `[N, 3, T, H, W]`."""
        gain = self.input_magnitude_ema.input_gain(x, beta) / math.sqrt(x.shape[1])
        styles = rearrange(self.affine(w) * gain, "n t c -> (n t) c")
        frames = rearrange(x, "n c t h w -> (n t) c h w")
        rgb = modulated_pointwise(frames, self.weight[:, :, 0], styles, self.bias)
        return rearrange(activated(rgb, "linear", CLAMP), "(n t) c h w -> n c t h w", n=len(x))


def modulated_conv3d(
    x: Tensor, weight: Tensor, styles: Tensor, in_gain: Tensor, offset: Tensor, out_gain: float
) -> Tensor:
    """Convolution with weights that are scaled by styles along the input and to unit norm along the output.

    The weights are the same for all: features are scaled before and after, each frame by its own style. To squared
    norms is added what would be 1e-8 if the largest weight, and the largest style of the whole video, were 1; by that
    alone, by some 1e-6, a frame depends on those far away.

    Args:
        x: `[N, I, T, H, W]`.
        weight: `[O, I, t, 3, 3]`.
        styles: `[N, T, I]`.
        in_gain: factor of the input, a scalar.
        offset: added to the result; broadcasts to it.
        out_gain: factor of the convolution.

    Returns:
        `[N, O, T, H, W]`; beyond the edges everything is 0.
    """
    largest_weight = weight.abs().amax(dim=(1, 2, 3, 4)) * math.sqrt(weight[0].numel())
    floor = 1e-8 * (largest_weight * styles.abs().amax(dim=(1, 2), keepdim=True)).square()
    norms = torch.rsqrt(F.linear(styles.square(), weight.square().sum(dim=(2, 3, 4))) + floor)
    before, after = (
        rearrange(scale, "n t c -> n c t 1 1").to(x.dtype) for scale in (styles * in_gain, norms * out_gain)
    )
    padding = tuple(side // 2 for side in weight.shape[2:])
    y = F.conv3d(x * before, weight.to(x.dtype), padding=padding)
    return torch.addcmul(offset.to(x.dtype), y, after)


def pointwise(x: Tensor, weight: Tensor) -> Tensor:
    """Convolution by one pixel of one frame, of `[N, I, T, H, W]` with `[O, I, 1, 1, 1]`: `[N, O, T, H, W]`."""
    pixels = F.linear(rearrange(x, "n c t h w -> n t h w c"), rearrange(weight, "o i 1 1 1 -> o i").to(x.dtype))
    return rearrange(pixels, "n t h w c -> n c t h w")
