"""LongVideoGAN's low-resolution discriminator: convolutions over space and time of whole videos (Sec. 3.1)."""

import math
from functools import partial

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from vidbench.models.layers.filters import linear_filter
from vidbench.models.layers.fir import downsample2d, upfirdn2d
from vidbench.models.layers.linear import GAINS, Activation, Linear, activated

from .lowres_layers import CLAMP, pointwise

RESIDUAL_GAIN = math.sqrt(0.5)
"""Factor of both ways through a block, whose sum then has their variance."""


class LowResDiscriminator(nn.Module):
    """One logit a video.

    Args:
        frames: of the videos.
        edge: side of the square that frames are padded to: the longer one of theirs, a power of two.
        channels: of what enters the first block, then of what leaves each of the four.
        head_channels: width of the layers behind the blocks.
    """

    def __init__(
        self,
        *,
        frames: int = 128,
        edge: int = 64,
        channels: tuple[int, ...] = (32, 64, 128, 256, 512),
        head_channels: int = 1024,
    ) -> None:
        super().__init__()
        self.frames, self.edge = frames, edge
        blocks = []
        for i in range(4):
            halves_space, halves_time = edge > (4 if i else 32), i > 0 and self.frames >= 2 ** (i + 1)
            blocks.append(
                Block(
                    channels[i],
                    channels[i + 1],
                    frames_joined=5 if i else 1,
                    halves_space=halves_space,
                    halves_time=halves_time,
                    from_rgb=i == 0,
                )
            )
            edge, frames = edge // (1 + halves_space), frames // (1 + halves_time)
        self.blocks = nn.ModuleList(blocks)
        self.epilogue = Epilogue(channels[-1] * edge**2, head_channels, frames)

    def forward(self, videos: Tensor) -> Tensor:
        """Logits `[N]` of videos `[N, 3, T, H, W]` in [-1, 1].

        Raises:
            ValueError: another number of frames, or frames that are larger than the square.
        """
        _, _, frames, height, width = videos.shape
        if frames != self.frames or max(height, width) > self.edge:
            raise ValueError(
                f"The discriminator sees {self.frames} frames of at most {self.edge}x{self.edge};"
                f" given were {frames} of {height}x{width}."
            )
        rows, columns = (self.edge - height) // 2, (self.edge - width) // 2
        x = F.pad(videos, (columns, self.edge - width - columns, rows, self.edge - height - rows)).contiguous(
            memory_format=torch.channels_last_3d
        )
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.epilogue(x)
        return logits


class Block(nn.Module):
    """Two convolutions, the second to half the side or half the frames, and a straight way past them."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        frames_joined: int,
        halves_space: bool,
        halves_time: bool,
        from_rgb: bool,
    ) -> None:
        super().__init__()
        kernel = (frames_joined, 3, 3)
        layer = partial(ConvLayer, in_channels, out_channels, halves_space=halves_space, halves_time=halves_time)
        self.conv_vid = ConvLayer(3, in_channels, (1, 1, 1)) if from_rgb else None
        self.conv_0 = ConvLayer(in_channels, in_channels, kernel)
        self.conv_1 = layer(kernel)
        self.conv_skip = layer((1, 1, 1), bias=False, activation="linear")

    def forward(self, x: Tensor) -> Tensor:
        """`[N, C, T, H, W]` to `[N, out_channels, T or T / 2, H or H / 2, W or W / 2]`."""
        if self.conv_vid is not None:
            x = self.conv_vid(x)
        out: Tensor = self.conv_skip(x, RESIDUAL_GAIN) + self.conv_1(self.conv_0(x), RESIDUAL_GAIN)
        return out


class ConvLayer(nn.Module):
    """Convolution with an equalised learning rate, resampling, bias and activation.

    Args:
        in_channels: of the input.
        out_channels: of the output.
        kernel: over frames, rows and columns; odd. Beyond the edges everything is 0.
        bias: whether there is one.
        activation: with its gain.
        halves_space: whether the output is of half the side.
        halves_time: whether the output has half the frames.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: tuple[int, int, int],
        *,
        bias: bool = True,
        activation: Activation = "lrelu",
        halves_space: bool = False,
        halves_time: bool = False,
    ) -> None:
        super().__init__()
        self.activation = activation
        self.padding = tuple(side // 2 for side in kernel)
        self.weight_gain = GAINS[activation] / math.sqrt(in_channels * math.prod(kernel))
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, *kernel))
        self._bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        self.downsample = Downsample(halves_space, halves_time) if halves_space or halves_time else nn.Identity()

    def forward(self, x: Tensor, gain: float = 1.0) -> Tensor:
        """`[N, in_channels, T, H, W]` to `[N, out_channels, ...]`, times `gain`."""
        weight = (self.weight * (self.weight_gain * gain)).to(x.dtype)
        if weight[0, 0].numel() == 1:  # commutes with the filter
            x = pointwise(self.downsample(x), weight)
        else:
            x = self.downsample(F.conv3d(x, weight, padding=self.padding))
        if self._bias is not None:
            x = x + rearrange(self._bias * (gain * GAINS[self.activation]), "c -> c 1 1 1").to(x.dtype)
        return activated(x, self.activation, CLAMP * gain)


class Downsample(nn.Module):
    """Half the side, half the frames, or both, after a low pass; beyond the edges everything is 0."""

    _downsample_filter: Tensor

    def __init__(self, space: bool, time: bool) -> None:
        super().__init__()
        self.space, self.time = space, time
        self.register_buffer("_downsample_filter", linear_filter(2))

    def forward(self, x: Tensor) -> Tensor:
        """`[N, C, T, H, W]` to `[N, C, T or T / 2, H or H / 2, W or W / 2]`."""
        f, n = self._downsample_filter, len(x)
        if self.space:
            frames = downsample2d(rearrange(x, "n c t h w -> (n t) c h w"), f)
            x = rearrange(frames, "(n t) c h w -> n c t h w", n=n)
        if self.time:
            lines = rearrange(x, "n c t h w -> n c t (h w)")
            lines = upfirdn2d(lines, f[:, None], down=(1, 2), padding=(0, 0, 1, 1))
            x = rearrange(lines, "n c t (h w) -> n c t h w", h=x.shape[3])
        return x


class Epilogue(nn.Module):
    """From the last features to the logit: convolutions over time, then fully connected layers."""

    def __init__(self, in_channels: int, channels: int, frames: int) -> None:
        super().__init__()
        self.conv1d_0 = Conv1dLayer(in_channels, channels, 1)
        self.conv1d_1 = Conv1dLayer(channels, channels, 3)
        self.conv1d_2 = Conv1dLayer(channels, channels, 3)
        self.conv1d_3 = Conv1dLayer(channels, channels, 3)
        self.linear_0 = Linear(channels * frames, channels, activation="lrelu")
        self.linear_1 = Linear(channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """`[N, C, T, H, W]` to `[N]`."""
        x = rearrange(x.to(self.linear_0.weight.dtype), "n c t h w -> n (c h w) t")
        x = self.conv1d_3(self.conv1d_2(self.conv1d_1(self.conv1d_0(x))))
        logits: Tensor = self.linear_1(self.linear_0(rearrange(x, "n c t -> n (c t)")))
        return rearrange(logits, "n 1 -> n")


class Conv1dLayer(nn.Module):
    """Convolution over time with an equalised learning rate, bias and leaky ReLU; beyond the ends everything is 0."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int) -> None:
        super().__init__()
        self.padding = kernel // 2
        self.weight_gain = GAINS["lrelu"] / math.sqrt(in_channels * kernel)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel))
        self._bias = nn.Parameter(torch.zeros(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        """`[N, in_channels, T]` to `[N, out_channels, T]`."""
        bias = self._bias * GAINS["lrelu"]
        return activated(F.conv1d(x, self.weight * self.weight_gain, bias, padding=self.padding), "lrelu")
