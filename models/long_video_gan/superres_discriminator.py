"""LongVideoGAN's super-resolution discriminator: StyleGAN2's, on the frames of both resolutions as channels.

Brooks et al., *Generating Long Videos of Dynamic Scenes*, NeurIPS 2022, Sec. 3.4.
"""

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from vidbench.models.layers.precision import Precision
from vidbench.models.layers.residual import DiscriminatorBlock, Epilogue

from .condition import Upsample
from .superres_generator import PRECISION


class SuperResDiscriminator(torch.nn.Module):
    """One logit a video, from a few of its frames and from the low-resolution ones that they should look like.

    Args:
        hr_height: of the frames, at most their width.
        hr_width: of the frames, a power of two.
        lr_height: of the low-resolution frames.
        lr_width: of the low-resolution frames.
        seq_length: frames of a video.
        channels_base: a block's channels times its resolution...
        channels_max: ... at most so many.
        precision: of the blocks.

    Attributes:
        upsample: low-resolution frames to full size.

    Raises:
        ValueError: frames that are higher than wide, or whose width is no power of two.
    """

    def __init__(
        self,
        *,
        hr_height: int,
        hr_width: int,
        lr_height: int,
        lr_width: int,
        seq_length: int = 4,
        channels_base: int = 16384,
        channels_max: int = 512,
        precision: Precision = PRECISION,
    ) -> None:
        super().__init__()
        if hr_height > hr_width or hr_width & (hr_width - 1):
            raise ValueError(
                f"frames must be as wide as a power of 2, and no higher; they are {hr_width} x {hr_height}"
            )
        self.seq_length, self.size = seq_length, (hr_height, hr_width)
        self.upsample = Upsample(hr_width // max(lr_height, lr_width))
        self.resolutions = [2**i for i in range(int(math.log2(hr_width)), 2, -1)]
        widths = {res: min(channels_base // res, channels_max) for res in [*self.resolutions, 4]}
        for res in self.resolutions:
            image = 6 * seq_length if res == hr_width else None
            dtype = precision.of(res, hr_width)
            block = DiscriminatorBlock(widths[res], widths[res], widths[res // 2], image, dtype, precision.conv_clamp)
            self.add_module(f"b{res}", block)
        self.b4 = Epilogue(widths[4], 1, precision.conv_clamp)

    def forward(self, lr_video: Tensor, hr_video: Tensor) -> Tensor:
        """Logits `[N]`.

        Args:
            lr_video: `[N, 3, T, h, w]`, about [-1, 1], or already at full size.
            hr_video: `[N, 3, T, H, W]`, about [-1, 1].

        Raises:
            ValueError: frames of another size or number.
        """
        if lr_video.shape[3:] != hr_video.shape[3:]:
            lr_video = self.upsampled(lr_video)
        wanted = (self.seq_length, *self.size)
        if hr_video.shape != lr_video.shape or tuple(hr_video.shape[2:]) != wanted:
            raise ValueError(
                f"The discriminator sees {list(wanted)} frames, rows and columns of either video; given were"
                f" {list(hr_video.shape[2:])}, and {list(lr_video.shape[2:])} of the low-resolution one at full size."
            )
        x = rearrange(torch.cat([lr_video, hr_video], dim=1), "n c t h w -> n (c t) h w")
        bars = self.size[1] - self.size[0]
        x = F.pad(x, (0, 0, bars // 2, bars - bars // 2)).contiguous(memory_format=torch.channels_last)
        for res in self.resolutions:
            x = self.get_submodule(f"b{res}")(x)
        logits: Tensor = self.b4(x.to(self.b4.out.weight.dtype))
        return logits.squeeze(1)

    def upsampled(self, lr_video: Tensor) -> Tensor:
        """Low-resolution frames `[N, 3, T, h, w]` at full size, `[N, 3, T, H, W]`, by linear interpolation."""
        frames: Tensor = self.upsample(rearrange(lr_video, "n c t h w -> (n t) c h w"))
        return rearrange(frames, "(n t) c h w -> n c t h w", n=len(lr_video))
