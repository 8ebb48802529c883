"""Layers of StyleGAN2's generator that a style vector steers (Karras et al., CVPR 2020, Fig. 2)."""

import math
from typing import Literal

import torch
from torch import Tensor

from .convolution import modulated_conv2d, modulated_pointwise
from .fir import resample_filter
from .linear import GAINS, Linear, activated

Noise = Literal["random", "const"] | Tensor | None


class SynthesisLayer(torch.nn.Module):
    """Modulated 3x3 convolution, noise if wanted, bias, leaky ReLU.

    Args:
        in_channels: of the input.
        out_channels: of the output.
        w_dim: width of style vectors.
        resolution: side of the output.
        up: 2 for an output of twice the input's side.
        use_noise: whether one map of noise is added to all channels.
        conv_clamp: limit of the magnitude of what comes out.
    """

    resample_filter: Tensor
    noise_const: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        w_dim: int,
        resolution: int,
        up: int = 1,
        use_noise: bool = False,
        conv_clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.up, self.use_noise, self.conv_clamp = up, use_noise, conv_clamp
        self.affine = Linear(w_dim, in_channels, bias_init=1.0)
        self.weight = torch.nn.Parameter(torch.randn(out_channels, in_channels, 3, 3))
        self.bias = torch.nn.Parameter(torch.zeros(out_channels))
        self.register_buffer("resample_filter", resample_filter())
        if use_noise:
            self.register_buffer("noise_const", torch.randn(resolution, resolution))
            self.noise_strength = torch.nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, w: Tensor, noise: Noise = "random") -> Tensor:
        """`[N * T, in_channels, H, W]` to `[N * T, out_channels, H * up, W * up]`, in the precision of `x`.

        Args:
            x: features, the frames of a video in a row.
            w: style vectors `[N, w_dim]`, one a video.
            noise: drawn anew for every frame, or that of the layer; or maps `[N, 1, H, W]`, one a video; or none.
        """
        gain, bias = GAINS["lrelu"], self.bias[:, None, None]
        x = modulated_conv2d(x, self.weight, self.affine(w), self.resample_filter, bias, self.up, gain)
        if self.use_noise and noise is not None:
            x = x + (self.noise_strength * gain * self._noise(len(x), noise)).to(x.dtype)
        return activated(x, "lrelu", self.conv_clamp)

    def _noise(self, frames: int, noise: Noise) -> Tensor:
        if isinstance(noise, Tensor):
            return noise.repeat_interleave(frames // len(noise), dim=0)
        maps = self.noise_const[None, None]
        return maps if noise == "const" else torch.randn_like(maps.expand(frames, -1, -1, -1))


class ToRGB(torch.nn.Module):
    """Modulated 1x1 convolution to the colours, without demodulation or activation.

    Args:
        in_channels: of the features.
        out_channels: of the image.
        w_dim: width of style vectors.
        conv_clamp: limit of the magnitude of what comes out.
    """

    def __init__(self, in_channels: int, out_channels: int, *, w_dim: int, conv_clamp: float | None = None) -> None:
        super().__init__()
        self.conv_clamp = conv_clamp
        self.affine = Linear(w_dim, in_channels, bias_init=1.0)
        self.weight = torch.nn.Parameter(torch.randn(out_channels, in_channels, 1, 1))
        self.bias = torch.nn.Parameter(torch.zeros(out_channels))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """`[N * T, in_channels, H, W]`, steered by `w` `[N, w_dim]`, to `[N * T, out_channels, H, W]`."""
        styles = self.affine(w) / math.sqrt(self.weight.shape[1])
        return activated(modulated_pointwise(x, self.weight, styles, self.bias), "linear", self.conv_clamp)
