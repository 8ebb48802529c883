"""The image stage's networks: StyleGAN2 with noise (Karras et al., CVPR 2020), on single frames.

Tensors are named as in NVIDIA's StyleGAN2-ADA.
"""

from collections.abc import Sequence
from functools import partial
from typing import Literal

import torch
from einops import repeat
from torch import Tensor, nn

from vidbench.models.layers.fir import resample_filter, upsample2d
from vidbench.models.layers.mapping import MappingNetwork
from vidbench.models.layers.residual import DiscriminatorBlock, Epilogue
from vidbench.models.layers.synthesis import Noise, SynthesisLayer, ToRGB

MBSTD_GROUP = 4
"""Images whose deviation the discriminator is shown."""

LayerNoise = Sequence[Tensor] | Literal["const"] | None
"""Maps `[N, 1, H, W]` of each layer, as `SynthesisNetwork.noise_sides` has them; those in the state; or none."""


def resolutions(channels: Sequence[int]) -> list[int]:
    """The side of each block, 4 for the first."""
    return [4 * 2**i for i in range(len(channels))]


class ImageGenerator(nn.Module):
    """From latents to styles, and from styles to images.

    Args:
        channels: of each block, from 4x4 upwards; their number determines the resolution.
        z_dim: width of latents and of styles.
        mapping_layers: of the mapping network.
    """

    def __init__(self, channels: Sequence[int], *, z_dim: int = 512, mapping_layers: int = 8) -> None:
        super().__init__()
        self.z_dim = z_dim
        self.synthesis = SynthesisNetwork(channels, z_dim)
        self.mapping = MappingNetwork(z_dim, 0, z_dim, mapping_layers, self.synthesis.num_ws)

    def forward(self, z: Tensor, noise: LayerNoise) -> Tensor:
        """Images `[N, 3, H, W]`, about [-1, 1], of latents `[N, z_dim]`, standard normal."""
        images: Tensor = self.synthesis(self.mapping(z, None), noise)
        return images

    def styles(self, z: Tensor) -> Tensor:
        """Styles `[N, z_dim]`, the same for all layers, of latents `[N, z_dim]`."""
        ws: Tensor = self.mapping(z, None)
        return ws[:, 0]


class SynthesisNetwork(nn.Module):
    """From styles to images: blocks `b4`, `b8` and so on, the colours added up over resolutions.

    Attributes:
        num_ws: layers that a style steers.
        noise_sides: side of the noise of each layer that has it.
    """

    def __init__(self, channels: Sequence[int], w_dim: int) -> None:
        super().__init__()
        self.resolutions = resolutions(channels)
        self.noise_sides = [side for side in self.resolutions for _ in range(1 if side == 4 else 2)]
        self.num_ws = len(self.noise_sides) + 1
        for res, before, width in zip(self.resolutions, (None, *channels), channels, strict=False):
            self.add_module(f"b{res}", SynthesisBlock(before, width, resolution=res, w_dim=w_dim))

    def forward(self, ws: Tensor, noise: LayerNoise) -> Tensor:
        """Images `[N * T, 3, H, W]`.

        Args:
            ws: styles `[N * T, num_ws, w_dim]`, the frames of a video in a row.
            noise: of each layer, `[N, 1, H, W]`, the same for all frames of a video; or that in the state; or none.
        """
        maps = [noise] * len(self.noise_sides) if noise is None or isinstance(noise, str) else noise
        x: Tensor | None = None
        img: Tensor | None = None
        for i, res in enumerate(self.resolutions):
            first = max(2 * i - 1, 0)
            x, img = self.get_submodule(f"b{res}")(x, img, ws[:, first : first + 3], maps[first : first + 2])
        assert img is not None
        return img


class SynthesisBlock(nn.Module):
    """Layers of one resolution: at 4x4 a learned constant and `conv1`; then `conv0`, to twice the side, and `conv1`."""

    resample_filter: Tensor

    def __init__(self, in_channels: int | None, out_channels: int, *, resolution: int, w_dim: int) -> None:
        super().__init__()
        self.register_buffer("resample_filter", resample_filter())
        layer = partial(SynthesisLayer, w_dim=w_dim, resolution=resolution, use_noise=True)
        if in_channels is None:
            self.const = nn.Parameter(torch.randn(out_channels, 4, 4))
        else:
            self.conv0 = layer(in_channels, out_channels, up=2)
        self.conv1 = layer(out_channels, out_channels)
        self.torgb = ToRGB(out_channels, 3, w_dim=w_dim)

    def forward(
        self, x: Tensor | None, img: Tensor | None, ws: Tensor, noise: Sequence[Noise]
    ) -> tuple[Tensor, Tensor]:
        """The features and the colours so far to those of this block.

        Args:
            x: features `[N * T, in_channels, H / 2, W / 2]`; None at 4x4.
            img: colours `[N * T, 3, H / 2, W / 2]`; None at 4x4.
            ws: styles of this block's layers `[N * T, 2 or 3, w_dim]`.
            noise: of this block's layers.
        """
        styles, maps = iter(ws.unbind(dim=1)), iter(noise)
        if x is None or img is None:
            x = repeat(self.const, "c h w -> n c h w", n=len(ws)).contiguous(memory_format=torch.channels_last)
            x = self.conv1(x, next(styles), next(maps))
            return x, self.torgb(x, next(styles))
        x = self.conv0(x, next(styles), next(maps))
        x = self.conv1(x, next(styles), next(maps))
        rgb = self.torgb(x, next(styles))
        return x, upsample2d(img, self.resample_filter) + rgb


class ImageDiscriminator(nn.Module):
    """One logit an image.

    Args:
        channels: of each resolution, from 4x4 upwards.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.resolutions = resolutions(channels)[:0:-1]
        for i, res in enumerate(self.resolutions):
            width, after = channels[-1 - i], channels[-2 - i]
            self.add_module(f"b{res}", DiscriminatorBlock(width, width, after, None if i else 3, None, None))
        self.b4 = Epilogue(channels[0], 1, None, (MBSTD_GROUP, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Logits `[N]` of images `[N, 3, H, W]` in [-1, 1].

        Raises:
            ValueError: a batch that does not divide into groups of four.
        """
        x = images.contiguous(memory_format=torch.channels_last)
        for res in self.resolutions:
            x = self.get_submodule(f"b{res}")(x)
        logits: Tensor = self.b4(x)
        return logits.squeeze(1)
