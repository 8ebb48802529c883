"""Blocks of StyleGAN2's generator, in which each resolution adds to the colours (Karras et al., CVPR 2020, Fig. 7)."""

from functools import partial

import torch
from torch import Tensor, nn

from .fir import resample_filter, upsample2d
from .synthesis import Noise, SynthesisLayer, ToRGB


class SynthesisBlock(nn.Module):
    """Layers of one resolution: the first block's are its input and `conv1`; the others' are `conv0` and `conv1`.

    Args:
        in_channels: of the features that come in, or that the input makes.
        out_channels: of the features that go out.
        resolution: side of the features that go out.
        img_channels: of the image.
        w_dim: width of style vectors.
        first: the input: what the first block makes its 4x4 features by; None in the others.
        use_noise: whether layers add noise.
        dtype: what is computed in; None for that of what comes in.
        conv_clamp: limit of the magnitude of what layers put out.
    """

    resample_filter: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        resolution: int,
        img_channels: int,
        w_dim: int,
        first: nn.Module | None = None,
        use_noise: bool = False,
        dtype: torch.dtype | None = None,
        conv_clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.dtype = dtype
        self.register_buffer("resample_filter", resample_filter())
        layer = partial(SynthesisLayer, w_dim=w_dim, resolution=resolution, use_noise=use_noise, conv_clamp=conv_clamp)
        self.input = first
        self.conv0 = layer(in_channels, out_channels, up=2) if first is None else None
        self.conv1 = layer(out_channels if first is None else in_channels, out_channels)
        self.torgb = ToRGB(out_channels, img_channels, w_dim=w_dim, conv_clamp=conv_clamp)

    def forward(self, x: Tensor, img: Tensor | None, ws: Tensor, noise: Noise = "random") -> tuple[Tensor, Tensor]:
        """The features and the colours so far to those of this block.

        Args:
            x: features `[N * T, in_channels, H / 2, W / 2]`; in the first block what its input takes.
            img: colours `[N * T, C, H / 2, W / 2]`; None in the first block.
            ws: styles of this block's layers `[N, 2 or 3, w_dim]`.
            noise: drawn, or that of the layers.
        """
        styles = iter(ws.unbind(dim=1))
        x = x if self.dtype is None else x.to(self.dtype)
        if self.conv0 is not None:
            x = self.conv0(x, next(styles), noise)
        elif self.input is not None:
            x = self.input(x)
        x = self.conv1(x, next(styles), noise)
        rgb = self.torgb(x, next(styles)).to(ws.dtype)
        return x, rgb if img is None else upsample2d(img, self.resample_filter) + rgb
