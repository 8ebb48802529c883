"""DIGAN's two discriminators: of two frames with the time between them, and of single frames (Sec. 3.2)."""

import math

import torch
from einops import rearrange
from torch import Tensor, nn

from vidbench.models.layers.precision import FULL, Precision
from vidbench.models.layers.residual import DiscriminatorBlock, Epilogue

from .pairs import frames_of


class Discriminator(nn.Module):
    """Logits of pairs of frames, and of each of the frames.

    Args:
        resolution: side of the frames, a power of two.
        channel_base: a block's channels times its resolution...
        channel_max: ... at most so many.
        mbstd_group_size: samples whose deviation is shown.
        precision: of the blocks.
    """

    def __init__(
        self,
        *,
        resolution: int = 128,
        channel_base: int = 32768,
        channel_max: int = 512,
        mbstd_group_size: int = 4,
        precision: Precision = FULL,
    ) -> None:
        super().__init__()
        resolutions = [2**i for i in range(int(math.log2(resolution)), 1, -1)]
        widths = {res: min(channel_base // res, channel_max) for res in resolutions}
        self.videoD = ImageDiscriminator(7, widths, mbstd_group_size, precision)
        self.imageD = ImageDiscriminator(3, widths, mbstd_group_size, precision)

    def forward(self, pairs: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of pairs `[N]`, and of their frames `[2 * N]`, the two of a pair in a row.

        Args:
            pairs: `[N, 7, H, W]`: two frames in [-1, 1] and a plane that holds the time from one to the other.

        Raises:
            ValueError: a batch that does not divide into groups.
        """
        return self.videoD(pairs), self.imageD(frames_of(pairs))


class ImageDiscriminator(nn.Module):
    """StyleGAN2's residual discriminator, of images of any number of channels.

    Args:
        channels: of the images.
        widths: channels of the blocks by resolution, from the highest down to 4.
        mbstd_group_size: samples whose deviation is shown.
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
