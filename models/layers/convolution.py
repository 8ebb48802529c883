"""Convolutions of StyleGAN2: with resampling and with styles (Karras et al., CVPR 2020, Sec. 2.2 and App. B)."""

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from .fir import downsample2d, resample_filter, upfirdn2d, upsample2d
from .linear import GAINS, Activation, activated


def resampled_conv2d(
    x: Tensor, weight: Tensor, f: Tensor, bias: Tensor | None = None, up: int = 1, down: int = 1
) -> Tensor:
    """Correlation at the same, twice or half the side; at twice the side a convolution, as the authors' weights mean.

    Args:
        x: `[N, I, H, W]`.
        weight: `[O, I, 3, 3]` or `[O, I, 1, 1]`.
        f: the resampling filter `[4, 4]`.
        bias: `[O]`, without upsampling only.
        up: 1 or 2.
        down: 1 or 2.

    Returns:
        `[N, O, H * up / down, W * up / down]`.
    """
    pointwise = weight.shape[-1] == 1
    if up == 2 and pointwise:
        return upsample2d(F.conv2d(x, weight), f)
    if up == 2:
        return upfirdn2d(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2), f, padding=(1, 1, 1, 1), gain=4.0)
    if down == 2 and pointwise:
        return F.conv2d(downsample2d(x, f), weight, bias)
    if down == 2:
        return F.conv2d(upfirdn2d(x, f, padding=(2, 2, 2, 2)), weight, bias, stride=2)
    return F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2)


def modulated_conv2d(
    x: Tensor, weight: Tensor, styles: Tensor, f: Tensor, offset: Tensor, up: int = 1, gain: float = 1.0
) -> Tensor:
    """Convolution with weights that are scaled by styles along the input and to unit norm along the output.

    The weights are the same for all: features are scaled before and after.

    Args:
        x: `[N * T, I, H, W]`, the frames of a video in a row.
        weight: `[O, I, 3, 3]`.
        styles: `[N, I]`.
        f: the resampling filter `[4, 4]`.
        offset: bias and noise; broadcasts to the result.
        up: 1, or 2 for twice the side.
        gain: factor of the result.

    Returns:
        `[N * T, O, H * up, W * up]`.
    """
    if x.dtype == torch.float16:  # keeps sums within its range; demodulation undoes it
        weight = weight / (weight.abs().amax(dim=(1, 2, 3), keepdim=True) * math.sqrt(weight[0].numel()))
        styles = styles / styles.abs().amax(dim=1, keepdim=True)
    norms = torch.rsqrt(styles.square() @ weight.square().sum(dim=(2, 3)).T + 1e-8)
    before, after = (per_frame(scale, len(x)).to(x.dtype) for scale in (styles, norms * gain))
    x = resampled_conv2d(x * before, weight.to(x.dtype), f, up=up)
    return torch.addcmul((offset * gain).to(x.dtype), x, after)


def per_frame(scale: Tensor, frames: int) -> Tensor:
    """`[N, C]` of videos to `[N * T, C, 1, 1]` of all their frames."""
    return scale.repeat_interleave(frames // len(scale), dim=0)[:, :, None, None]


def modulated_pointwise(x: Tensor, weight: Tensor, styles: Tensor, bias: Tensor) -> Tensor:
    """Convolution by one pixel, with weights scaled by styles along the input and left at that.

    Args:
        x: `[N * T, I, H, W]`, the frames of a video in a row.
        weight: `[O, I, 1, 1]`.
        styles: `[N, I]`.
        bias: `[O]`.

    Returns:
        `[N * T, O, H, W]`.
    """
    n, h, w = len(styles), *x.shape[2:]
    weights = rearrange(weight, "o i 1 1 -> i o") * styles[:, :, None]
    pixels = rearrange(x, "(n t) i h w -> n (t h w) i", n=n)
    pixels = torch.baddbmm(bias.to(x.dtype), pixels, weights.to(x.dtype))
    return rearrange(pixels, "n (t h w) o -> (n t) o h w", h=h, w=w)


class Conv2dLayer(torch.nn.Module):
    """Convolution with an equalised learning rate, resampling, bias and activation; a discriminator's layer.

    Args:
        in_channels: of the input.
        out_channels: of the output.
        kernel_size: 1 or 3.
        bias: whether there is one.
        activation: with its gain.
        down: 2 for half the side.
        conv_clamp: limit of the magnitude of what comes out.
    """

    resample_filter: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        bias: bool = True,
        activation: Activation = "linear",
        down: int = 1,
        conv_clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.activation, self.down, self.conv_clamp = activation, down, conv_clamp
        self.weight_gain = 1 / math.sqrt(in_channels * kernel_size**2)
        self.weight = torch.nn.Parameter(torch.randn(out_channels, in_channels, kernel_size, kernel_size))
        self.bias = torch.nn.Parameter(torch.zeros(out_channels)) if bias else None
        self.register_buffer("resample_filter", resample_filter())

    def forward(self, x: Tensor, gain: float = 1.0) -> Tensor:
        """`[N, in_channels, H, W]` to `[N, out_channels, H / down, W / down]`, in the precision of `x`.

        Args:
            x: the image.
            gain: factor of the result and of its limit.
        """
        clamp = None if self.conv_clamp is None else self.conv_clamp * gain
        gain *= GAINS[self.activation]
        weight = (self.weight * (self.weight_gain * gain)).to(x.dtype)
        bias = None if self.bias is None else (self.bias * gain).to(x.dtype)
        return activated(
            resampled_conv2d(x, weight, self.resample_filter, bias, down=self.down), self.activation, clamp
        )
