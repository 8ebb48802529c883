"""Blocks of StyleGAN2's residual discriminator (Karras et al., CVPR 2020, Fig. 7)."""

import math

import torch
from einops import rearrange
from torch import Tensor

from .convolution import Conv2dLayer
from .fir import resample_filter
from .linear import Linear
from .minibatch_std import with_minibatch_std
from .precision import Precision


class DiscriminatorBlock(torch.nn.Module):
    """Two convolutions, the second to half the side, and a straight way past them.

    Args:
        in_channels: of the features that come in.
        hidden: channels between the convolutions.
        out_channels: of the features that go out.
        img_channels: of the image, where it comes in instead of features.
        dtype: what is computed in; None for that of the weights.
        conv_clamp: limit of the magnitude of what layers put out.
    """

    resample_filter: Tensor

    def __init__(
        self,
        in_channels: int,
        hidden: int,
        out_channels: int,
        img_channels: int | None,
        dtype: torch.dtype | None,
        conv_clamp: float | None,
    ) -> None:
        super().__init__()
        self.dtype = dtype
        self.register_buffer("resample_filter", resample_filter())
        self.fromrgb = (
            None
            if img_channels is None
            else Conv2dLayer(img_channels, in_channels, 1, activation="lrelu", conv_clamp=conv_clamp)
        )
        self.conv0 = Conv2dLayer(in_channels, hidden, 3, activation="lrelu", conv_clamp=conv_clamp)
        self.conv1 = Conv2dLayer(hidden, out_channels, 3, activation="lrelu", down=2, conv_clamp=conv_clamp)
        self.skip = Conv2dLayer(in_channels, out_channels, 1, bias=False, down=2)

    def forward(self, x: Tensor) -> Tensor:
        """`[N, C, H, W]` to `[N, out_channels, H / 2, W / 2]`."""
        x = x.to(self.conv0.weight.dtype if self.dtype is None else self.dtype)
        if self.fromrgb is not None:
            x = self.fromrgb(x)
        past = self.skip(x, gain=math.sqrt(0.5))
        out: Tensor = past + self.conv1(self.conv0(x), gain=math.sqrt(0.5))
        return out


class Epilogue(torch.nn.Module):
    """From the last 4x4 features to a vector.

    Args:
        channels: of the features.
        width: of the vector.
        conv_clamp: limit of the magnitude of what the convolution puts out.
        mbstd: size of the groups whose deviation is shown, and channels that show it; None for none.
    """

    def __init__(
        self, channels: int, width: int, conv_clamp: float | None, mbstd: tuple[int, int] | None = None
    ) -> None:
        super().__init__()
        self.mbstd = mbstd
        shown = channels + (mbstd[1] if mbstd else 0)
        self.conv = Conv2dLayer(shown, channels, 3, activation="lrelu", conv_clamp=conv_clamp)
        self.fc = Linear(channels * 16, channels, activation="lrelu")
        self.out = Linear(channels, width)

    def forward(self, x: Tensor) -> Tensor:
        """`[N, channels, 4, 4]` to `[N, width]`."""
        x = self.conv(with_minibatch_std(x, *self.mbstd) if self.mbstd else x)
        features: Tensor = self.out(self.fc(rearrange(x, "n c h w -> n (c h w)")))
        return features


class ImageDiscriminator(torch.nn.Module):
    """StyleGAN2's residual discriminator, of images of any number of channels.

    Args:
        channels: of the images.
        widths: channels of the blocks by resolution, from the highest down to 4.
        mbstd_group_size: images whose deviation is shown.
        precision: of the blocks.
    """

    def __init__(self, channels: int, widths: dict[int, int], mbstd_group_size: int, precision: Precision) -> None:
        super().__init__()
        first, *_ = self.resolutions = [res for res in widths if res > 4]
        for res in self.resolutions:
            block = DiscriminatorBlock(
                widths[res],
                widths[res],
                widths[res // 2],
                channels if res == first else None,
                precision.of(res, first),
                precision.conv_clamp,
            )
            self.add_module(f"b{res}", block)
        self.b4 = Epilogue(widths[4], 1, precision.conv_clamp, (mbstd_group_size, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Logits `[N]` of images `[N, channels, H, W]`.

        Raises:
            ValueError: a batch that does not divide into groups.
        """
        x = images.contiguous(memory_format=torch.channels_last)
        for res in self.resolutions:
            x = self.get_submodule(f"b{res}")(x)
        logits: Tensor = self.b4(x.to(self.b4.out.weight.dtype))
        return rearrange(logits, "n 1 -> n")
