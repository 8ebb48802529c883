"""Convolutions that repeat the border instead of putting zeros around it, so that codes do not tell their time.

TATS (Ge et al., ECCV 2022), Sec. 3.1: with zeros a feature tells how far it is from the ends of the clip.
"""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

Padding = Literal["replicate", "constant", "reflect", "circular"]
Norm = Literal["batch", "group"]
Factors = tuple[int, int, int]
"""Of T, H and W."""


def padding_of(kernel: int, strides: Factors) -> list[int]:
    """What is put before and after the axes T, H and W, in the order of `torch.nn.functional.pad`.

    Of the difference between kernel and stride, the larger half comes before.
    """
    amounts = [kernel - stride for stride in strides]
    return [side for amount in reversed(amounts) for side in ((amount + 1) // 2, amount // 2)]


class PaddedConv3d(nn.Module):
    """A convolution whose output has the input's sides over its strides.

    Args:
        in_channels: of the input.
        out_channels: of the output.
        kernel: side of the kernel.
        strides: over T, H and W.
        padding: what stands around the input; `constant` are zeros.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        strides: Factors = (1, 1, 1),
        padding: Padding = "replicate",
    ) -> None:
        super().__init__()
        self.sides, self.padding = padding_of(kernel, strides), padding
        self.conv = nn.Conv3d(in_channels, out_channels, kernel, strides)

    def forward(self, x: Tensor) -> Tensor:
        """`[N, C, T, H, W]` to `[N, C', T', H', W']`."""
        y: Tensor = self.conv(F.pad(x, self.sides, self.padding) if any(self.sides) else x)
        return y


class PaddedConvTranspose3d(nn.Module):
    """A transposed convolution, of kernel 4, whose output has the input's sides times its strides.

    Args:
        in_channels: of the input.
        out_channels: of the output.
        strides: over T, H and W, 1 or 2.
    """

    def __init__(self, in_channels: int, out_channels: int, strides: Factors) -> None:
        super().__init__()
        self.sides = padding_of(4, strides)
        self.convt = nn.ConvTranspose3d(in_channels, out_channels, 4, strides, padding=3)

    def forward(self, x: Tensor) -> Tensor:
        """`[N, C, T, H, W]` to `[N, C', T', H', W']`."""
        y: Tensor = self.convt(F.pad(x, self.sides, "replicate"))
        return y


def make_norm(norm: Norm, channels: int) -> nn.Module:
    """Batch norm, which in evaluation sees a frame alone; or group norm, which sees the whole clip."""
    return nn.BatchNorm3d(channels) if norm == "batch" else nn.GroupNorm(32, channels, eps=1e-6)


class ResidualBlock(nn.Module):
    """Two convolutions of 3 frames by 3 x 3 pixels, each after a norm and SiLU, and a straight way past them."""

    def __init__(self, channels: int, norm: Norm) -> None:
        super().__init__()
        self.norm1, self.conv1 = make_norm(norm, channels), PaddedConv3d(channels, channels, 3)
        self.norm2, self.conv2 = make_norm(norm, channels), PaddedConv3d(channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        """`[N, C, T, H, W]` to the same."""
        y = self.conv1(F.silu(self.norm1(x)))
        z: Tensor = x + self.conv2(F.silu(self.norm2(y)))
        return z
