"""DIGAN's generator: each pixel of each frame is computed from its coordinates alone (Sec. 3.1; layers of INR-GAN).

INR-GAN: Skorokhodov et al., *Adversarial Generation of Continuous Images*, CVPR 2021.
"""

import math
from collections.abc import Collection
from functools import partial

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from vidbench.models.layers.linear import GAINS, Linear, activated
from vidbench.models.layers.mapping import MappingNetwork
from vidbench.models.layers.synthesis import ToRGB

from .coordinates import CoordinateFuser


class Generator(nn.Module):
    """From a latent of content and one of motion to the frames at any times.

    Args:
        resolution: side of the frames, a power of two.
        z_dim: width of the latent.
        w_dim: width of the style, and of the latent of motion.
        mapping_layers: of the mapping network.
        channel_base: a block's channels times its resolution...
        channel_max: ... at most so many.
        base_resolution: side that blocks up to this resolution work at, a power of two.
        num_waves: waves that coordinates become.
        motion_sigma: how quickly time moves their phases.
        rank: of the change that a style makes to a layer's weights.
        extra_layers_at: sides that blocks work at if they have a third layer.
    """

    def __init__(
        self,
        *,
        resolution: int = 128,
        z_dim: int = 512,
        w_dim: int = 512,
        mapping_layers: int = 2,
        channel_base: int = 32768,
        channel_max: int = 512,
        base_resolution: int = 32,
        num_waves: int = 128,
        motion_sigma: float = 0.25,
        rank: int = 10,
        extra_layers_at: Collection[int] = (128, 256),
    ) -> None:
        super().__init__()
        self.z_dim, self.w_dim = z_dim, w_dim
        self.mapping = MappingNetwork(z_dim, 0, w_dim, mapping_layers, num_ws=1)
        self.synthesis = SynthesisNetwork(
            resolution=resolution,
            w_dim=w_dim,
            channel_base=channel_base,
            channel_max=channel_max,
            base_resolution=base_resolution,
            num_waves=num_waves,
            motion_sigma=motion_sigma,
            rank=rank,
            extra_layers_at=extra_layers_at,
        )

    def forward(self, z: Tensor, t: Tensor, motion_z: Tensor) -> Tensor:
        """Frames.

        Args:
            z: latents `[N, z_dim]`, standard normal.
            t: times `[N, T]`, real numbers in any order; 0 to 1 is a training clip.
            motion_z: latents of motion `[N, w_dim]`, standard normal.

        Returns:
            `[N * T, 3, H, W]`, about [-1, 1], the frames of a video in a row.
        """
        frames: Tensor = self.synthesis(self.style(z), t, motion_z)
        return frames

    def style(self, z: Tensor, truncation_psi: float = 1.0) -> Tensor:
        """Styles `[N, w_dim]`, one for all layers, of latents `[N, z_dim]`; at 0 all are their average."""
        w: Tensor = self.mapping(z, None, truncation_psi)
        return rearrange(w, "n 1 w -> n w")


class SynthesisNetwork(nn.Module):
    """From styles and times to frames: blocks `b4`, `b8` and so on, the colours added up over them."""

    def __init__(
        self,
        *,
        resolution: int,
        w_dim: int,
        channel_base: int,
        channel_max: int,
        base_resolution: int,
        num_waves: int,
        motion_sigma: float,
        rank: int,
        extra_layers_at: Collection[int],
    ) -> None:
        super().__init__()
        self.resolutions = [2**i for i in range(2, int(math.log2(resolution)) + 1)]
        before = None
        for res in self.resolutions:
            side, width = max(res, base_resolution), min(channel_base // res, channel_max)
            fresh = before is None or res > base_resolution
            block = SynthesisBlock(
                before,
                width,
                side=side,
                coord_fuser=CoordinateFuser(w_dim, num_waves, motion_sigma) if fresh else None,
                w_dim=w_dim,
                rank=rank,
                extra=side in extra_layers_at,
            )
            self.add_module(f"b{res}", block)
            before = width

    def forward(self, w: Tensor, t: Tensor, motion_z: Tensor) -> Tensor:
        """Frames `[N * T, 3, H, W]` of styles `[N, w_dim]`, times `[N, T]` and latents of motion `[N, w_dim]`."""
        x: Tensor | None = None
        img: Tensor | None = None
        for res in self.resolutions:
            x, img = self.get_submodule(f"b{res}")(x, img, w, t, motion_z)
        assert img is not None
        return img


class SynthesisBlock(nn.Module):
    """Layers of one resolution: `conv0` except in the first block, `conv1`, and perhaps one more.

    Args:
        in_channels: of the features that come in; None in the first block, which has coordinates alone.
        out_channels: of the features that go out.
        side: of the frames that it works at; features of half the side are doubled.
        coord_fuser: adds coordinates to the features.
        w_dim: width of styles.
        rank: of the change that a style makes to weights.
        extra: whether there is one more layer.
    """

    def __init__(
        self,
        in_channels: int | None,
        out_channels: int,
        *,
        side: int,
        coord_fuser: CoordinateFuser | None,
        w_dim: int,
        rank: int,
        extra: bool,
    ) -> None:
        super().__init__()
        self.side, self.coord_fuser = side, coord_fuser
        layer = partial(FactorisedLayer, w_dim=w_dim, rank=rank)
        width = (in_channels or 0) + (2 * coord_fuser.num_waves if coord_fuser else 0)
        self.conv0 = None if in_channels is None else layer(width, out_channels)
        self.conv1 = layer(width if in_channels is None else out_channels, out_channels)
        self.extra_convs = nn.ModuleList([layer(out_channels, out_channels)] if extra else [])
        self.torgb = ToRGB(out_channels, 3, w_dim=w_dim)

    def forward(
        self, x: Tensor | None, img: Tensor | None, w: Tensor, t: Tensor, motion_z: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The features and the colours so far to those of this block, `[N * T, C, side, side]`.

        Args:
            x: features `[N * T, in_channels, H, H]`; None in the first block.
            img: colours `[N * T, 3, H, H]`; None in the first block.
            w: styles `[N, w_dim]`.
            t: times `[N, T]`.
            motion_z: latents of motion `[N, w_dim]`.
        """
        waves = None if self.coord_fuser is None else self.coord_fuser(w, t, motion_z, self.side)
        x = waves if self.conv0 is None else self.conv0(x, w, self.side, waves)
        for layer in (self.conv1, *self.extra_convs):
            x = layer(x, w, self.side)
        assert x is not None
        rgb: Tensor = self.torgb(x, w)
        return x, rgb if img is None else doubled(img, self.side) + rgb


def doubled(x: Tensor, side: int) -> Tensor:
    """`[N, C, H, H]` with each pixel four times, unless it has that side already."""
    return x if x.shape[-1] == side else F.interpolate(x, scale_factor=2)


def multiplied(x: Tensor, weights: Tensor, bias: Tensor | None = None) -> Tensor:
    """Each pixel of `[N * T, I, H, W]` by its video's weights `[N, I, O]`, plus `[O]`: `[N * T, O, H, W]`."""
    pixels = rearrange(x, "(n t) i h w -> n (t h w) i", n=len(weights))
    y = pixels @ weights if bias is None else torch.baddbmm(bias, pixels, weights)
    return rearrange(y, "n (t h w) o -> (n t) o h w", h=x.shape[2], w=x.shape[3])


class FactorisedLayer(nn.Module):
    """One layer at each pixel: the style multiplies weights by 1 and a matrix of low rank; then they are normalised.

    INR-GAN's factorised multiplicative modulation (Sec. 3.1), with leaky ReLU.

    Args:
        in_channels: of the input.
        out_channels: of the output.
        w_dim: width of styles.
        rank: of the matrix.
    """

    def __init__(self, in_channels: int, out_channels: int, *, w_dim: int, rank: int) -> None:
        super().__init__()
        self.rank = rank
        self.affine = Linear(w_dim, rank * (in_channels + out_channels))
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(out_channels))

    def forward(self, x: Tensor, w: Tensor, side: int, waves: Tensor | None = None) -> Tensor:
        """Features, and waves beside them, to features `[N * T, out_channels, side, side]`.

        Each pixel is worked on alone, so features of half the side are multiplied first and doubled after.

        Args:
            x: the first of the input's channels, `[N * T, C, H, H]`.
            w: styles `[N, w_dim]`.
            side: H, or twice that.
            waves: the other channels of the input, `[N * T, in_channels - C, side, side]`.
        """
        gain = GAINS["lrelu"]
        weights = rearrange(self.modulated(w) * gain, "n o i -> n i o")
        y = doubled(multiplied(x, weights[:, : x.shape[1]], self.bias * gain), side)
        if waves is not None:
            y = y + multiplied(waves, weights[:, x.shape[1] :])
        return activated(y, "lrelu")

    def modulated(self, w: Tensor) -> Tensor:
        """Weights `[N, out_channels, in_channels]` of styles `[N, w_dim]`; their rows have unit norm."""
        weight = rearrange(self.weight, "o i 1 1 -> o i")
        left, right = self.affine(w).split([self.rank * side for side in weight.shape], dim=1)
        left, right = (
            rearrange(left, "n (o r) -> n o r", r=self.rank),
            rearrange(right, "n (r i) -> n r i", r=self.rank),
        )
        weights = weight * (1 + left @ right / math.sqrt(self.rank))
        unit: Tensor = weights / (weights.norm(dim=2, keepdim=True) + 1e-8)
        return unit
