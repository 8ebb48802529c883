"""Layers of StyleGAN3, which let through no frequency that pixels cannot hold (Karras et al., NeurIPS 2021).

A non-linearity makes new frequencies. It is therefore applied to a finer map and followed by a low-pass filter
(*Alias-Free Generative Adversarial Networks*, Sec. 3). Quickest in the channels-last memory format.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from .averages import Magnitude
from .banded import Resampling
from .convolution import modulated_pointwise, per_frame
from .filters import sinc_filter
from .linear import Linear, activated

LRELU_UPSAMPLING = 2
"""How much finer than both of its sides a layer's non-linearity is computed."""
TAPS = 6
"""Length of a filter, in samples of the coarser side."""


class Signal(NamedTuple):
    """A feature map, and the frequencies in it, per side of the picture that is in it."""

    height: int
    """In samples, as the width, both with margins."""
    width: int
    rate: int
    """Samples along the longer side of the picture, margins not counted."""
    cutoff: float
    half_width: float
    """Half the transition band of its filters."""
    channels: int


def signals(
    height: int,
    width: int,
    *,
    num_layers: int = 14,
    margin: int = 10,
    channel_base: int = 32768,
    channel_max: int = 512,
) -> list[Signal]:
    """What the layers of a generator put out, the colours last (Sec. 3.2 and App. C, configuration T).

    Frequencies grow geometrically up to the last two layers, which are critically sampled.

    Args:
        height: of the picture.
        width: of the picture; the longer side is a power of two.
        num_layers: without the one that makes the colours.
        margin: samples around the picture in all but the last two.
        channel_base: twice the channels times the cutoff...
        channel_max: ... at most so many channels.

    Raises:
        ValueError: the longer side is no power of two.
    """
    side = max(height, width)
    if side & (side - 1):
        raise ValueError(f"the longer side of frames must be a power of 2; they are {width} x {height}")
    first_stopband, last_stopband = 2**2.1, side / 2 * 2**0.3
    plan = []
    for i in range(num_layers + 1):
        exponent = min(i / (num_layers - 2), 1)
        cutoff = 2 * (side / 4) ** exponent
        stopband = first_stopband * (last_stopband / first_stopband) ** exponent
        rate = 2 ** math.ceil(math.log2(min(2 * stopband, side)))
        rows, columns = (math.ceil(rate * edge / side) + 2 * margin for edge in (height, width))
        channels = round(min(channel_base / 2 / cutoff, channel_max))
        plan.append(Signal(rows, columns, rate, cutoff, max(stopband, rate / 2) - cutoff, channels))
    plan[-2] = plan[-2]._replace(height=height, width=width)
    plan[-1] = plan[-1]._replace(height=height, width=width, channels=3)
    return plan


class StyledLayer(Magnitude):
    """What is common to the layers: a style, weights, and the magnitude of what comes in."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, w_dim: int) -> None:
        super().__init__()
        self.affine = Linear(w_dim, in_channels, bias_init=1.0)
        self.weight = torch.nn.Parameter(torch.randn(out_channels, in_channels, kernel_size, kernel_size))
        self.bias = torch.nn.Parameter(torch.zeros(out_channels))


class AliasFreeLayer(StyledLayer):
    """Modulated 3x3 convolution, bias, and leaky ReLU on a finer map (Fig. 4b).

    Args:
        in_channels: of the input.
        source: the signal that comes in, other channels that join it notwithstanding.
        target: the signal that goes out.
        w_dim: width of style vectors.
        conv_clamp: limit of the magnitude on the finer map.

    Attributes:
        up_filter: `[TAPS * up]`.
        down_filter: `[TAPS * down]`.
    """

    up_filter: Tensor
    down_filter: Tensor

    def __init__(
        self, in_channels: int, source: Signal, target: Signal, *, w_dim: int, conv_clamp: float | None = None
    ) -> None:
        super().__init__(in_channels, target.channels, 3, w_dim)
        self.conv_clamp = conv_clamp
        rate = LRELU_UPSAMPLING * max(source.rate, target.rate)
        up, down = rate // source.rate, rate // target.rate
        self.register_buffer("up_filter", sinc_filter(TAPS * up, source.cutoff, 2 * source.half_width, rate))
        self.register_buffer("down_filter", sinc_filter(TAPS * down, target.cutoff, 2 * target.half_width, rate))
        self.finer = [
            Resampling(size, TAPS * up, up, 1, padding) for size, padding in _paddings(source, target, up, down)
        ]
        self.coarser = [Resampling(axis.length, TAPS * down, 1, down) for axis in self.finer]

    def forward(self, x: Tensor, w: Tensor, beta: float = 1.0) -> Tensor:
        """Features `[N * T, C, H, W]` of the target's shape, in the precision of `x`.

        Args:
            x: `[N * T, in_channels, H, W]`, the frames of a video in a row.
            w: style vectors `[N, w_dim]`, one a video.
            beta: decay of the average of the input's magnitude; 1 leaves it alone.
        """
        weight = self.weight * self.weight.square().sum(dim=(1, 2, 3), keepdim=True).rsqrt()
        styles = self.affine(w)
        styles = styles * styles.square().mean(dim=1, keepdim=True).rsqrt()
        norms = torch.rsqrt(styles.square() @ weight.square().sum(dim=(2, 3)).T + 1e-8)
        before, after = (per_frame(scale, len(x)).to(x.dtype) for scale in (styles * self.input_gain(x, beta), norms))
        x = F.conv2d(x * before, weight.to(x.dtype), padding=2)
        return self._activated(torch.addcmul(self.bias[:, None, None].to(x.dtype), x, after))

    def _activated(self, x: Tensor) -> Tensor:
        """The filtered non-linearity; its gain, the square root of 2, stands in a filter, where it costs nothing."""
        (rows, columns), (fewer_rows, fewer_columns) = self.finer, self.coarser
        up = rows.up
        x = columns(rearrange(x, "n c h w -> n h w c"), columns.matrix(self.up_filter, up))
        x = rows(rearrange(x, "n h w c -> n h (w c)"), rows.matrix(self.up_filter, up * math.sqrt(2)))
        x = activated(x, "lrelu", self.conv_clamp)
        x = fewer_rows(x, fewer_rows.matrix(self.down_filter))
        x = rearrange(x, "n h (w c) -> n h w c", w=columns.length)
        x = fewer_columns(x, fewer_columns.matrix(self.down_filter))
        return rearrange(x, "n h w c -> n c h w")


def _paddings(source: Signal, target: Signal, up: int, down: int) -> list[tuple[int, tuple[int, int]]]:
    """By axis, the size after the convolution, which widens maps by 2, and the zeros that lead to the target's size."""
    axes = []
    for before, after in ((source.height, target.height), (source.width, target.width)):
        total = (after - 1) * down + 1 - (before + 2) * up + TAPS * (up + down) - 2
        first = (total + up) // 2
        axes.append((before + 2, (first, total - first)))
    return axes


class AliasFreeToRGB(StyledLayer):
    """Modulated 1x1 convolution to the colours, without demodulation or activation.

    Args:
        in_channels: of the features.
        out_channels: of the image.
        w_dim: width of style vectors.
        conv_clamp: limit of the magnitude of what comes out.
    """

    def __init__(self, in_channels: int, out_channels: int, *, w_dim: int, conv_clamp: float | None = None) -> None:
        super().__init__(in_channels, out_channels, 1, w_dim)
        self.conv_clamp = conv_clamp

    def forward(self, x: Tensor, w: Tensor, beta: float = 1.0) -> Tensor:
        """`[N * T, in_channels, H, W]`, steered by `w` `[N, w_dim]`, to `[N * T, out_channels, H, W]`.

        `beta` is the decay of the average of the input's magnitude; 1 leaves it alone.
        """
        styles = self.affine(w) * (self.input_gain(x, beta) / math.sqrt(self.weight.shape[1]))
        return activated(modulated_pointwise(x, self.weight, styles, self.bias), "linear", self.conv_clamp)
