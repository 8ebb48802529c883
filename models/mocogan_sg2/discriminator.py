"""MoCoGAN+SG2's discriminators: StyleGAN2's of single frames, and MoCoGAN's of 16 in a row (Tulyakov et al., 2018)."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from einops import rearrange, reduce
from torch import Tensor, nn

from vidbench.models.layers.averages import Averaging
from vidbench.models.layers.precision import FULL, Precision
from vidbench.models.layers.residual import ImageDiscriminator

FRAMES = 16
"""Frames that five kernels of four make one of."""
SIGMA = 0.1
"""Standard deviation of the noise before each convolution but the last."""
DEEPER = 256
"""Resolution at which the video discriminator has two more layers."""


class VideoDiscriminator(nn.Module):
    """Logits of patches of a video, each over all of its 16 frames.

    Layers halve the side until it is 4: for frames below 64x64 the last of them keep it, where the authors' would leave
    nothing.

    Args:
        resolution: side of the frames, a power of two, at least 16.
        width: channels of the first layer; each of three more has twice as many as the one before.
        channels: of the frames.
        norm_group_size: videos that are normalised together.
    """

    def __init__(self, resolution: int, width: int = 64, channels: int = 3, norm_group_size: int = 16) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        side = resolution
        for i in range(4):
            before, after = width * 2 ** (i - 1) if i else channels, width * 2**i
            kernel, stride = (4, 2) if side > 4 else (3, 1)
            layers += [
                Noise(),
                nn.Conv3d(before, after, (4, kernel, kernel), (1, stride, stride), (0, 1, 1), bias=False),
            ]
            layers += [BatchNorm(after, norm_group_size)] if i else []
            layers += [nn.LeakyReLU(0.2, inplace=True)]
            side //= stride
        if resolution == DEEPER:
            for _ in range(2):
                layers += [Noise(), nn.Conv3d(after, after, 3, padding=1, bias=False)]
                layers += [BatchNorm(after, norm_group_size), nn.LeakyReLU(0.2, inplace=True)]
        self.main = nn.Sequential(*layers, nn.Conv3d(after, 1, 4, bias=False))
        for layer in self.main:
            if isinstance(layer, nn.Conv3d):
                nn.init.normal_(layer.weight, std=0.02)

    def forward(self, videos: Tensor, noise: Sequence[torch.Generator] | None) -> Tensor:
        """Logits `[N, patches]`.

        Args:
            videos: `[N, C, 16, H, W]` in [-1, 1].
            noise: the source of each video's noise, on the device of the videos; None for none.

        Raises:
            ValueError: another number of frames.
        """
        if videos.shape[2] != FRAMES:
            raise ValueError(f"The video discriminator sees {FRAMES} frames; given were {videos.shape[2]}.")
        x = videos
        for layer in self.main:
            if not isinstance(layer, Noise):
                x = layer(x)
            elif noise is not None:
                x = layer(x, noise)
        return rearrange(x, "n 1 1 h w -> n (h w)")


class Noise(nn.Module):
    """Adds normal noise, in evaluation as well."""

    def forward(self, x: Tensor, sources: Sequence[torch.Generator]) -> Tensor:
        """`[N, ...]`, each sample with noise of its own source."""
        rows = [torch.randn(x.shape[1:], generator=source, device=x.device) for source in sources]
        return x + SIGMA * torch.stack(rows)


class BatchNorm(Averaging, nn.BatchNorm3d):
    """Batch normalisation over groups of videos, so that it is the same however many processes share a batch.

    Members of a group lie as far apart as there are groups, as in minibatch standard deviation.

    Args:
        channels: of what is normalised.
        group_size: videos of a group; a smaller batch is one group.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, channels: int, group_size: int) -> None:
        super().__init__(channels)
        self.group_size = group_size
        nn.init.normal_(self.weight, mean=1.0, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """`[N, C, T, H, W]` to the same, in training by the group's statistics.

        Raises:
            ValueError: the batch does not divide into groups.
        """
        if not self.training:
            return super().forward(x)
        size = min(self.group_size, len(x))
        if len(x) % size:
            raise ValueError(f"A batch of {len(x)} does not divide into groups of {size}; take a multiple of {size}.")
        groups = len(x) // size
        together = rearrange(x, "(g m) c t h w -> g (m c) t h w", m=groups)
        mean, var, weight, bias = (
            each.repeat(groups) for each in (self.running_mean, self.running_var, self.weight, self.bias)
        )
        out = F.batch_norm(together, mean, var, weight, bias, training=True)
        for average, new in ((self.running_mean, mean), (self.running_var, var)):
            self.take_in(average, reduce(new, "(m c) -> c", "mean", m=groups), 0)
        self.num_batches_tracked += 1
        return rearrange(out, "g (m c) t h w -> (g m) c t h w", m=groups)


class Discriminator(nn.Module):
    """Both.

    Args:
        resolution: side of the frames, a power of two.
        channel_base: channels of a block of the image discriminator times its resolution...
        channel_max: ... at most so many.
        video_width: channels of the video discriminator's first layer.
        mbstd_group_size: frames whose deviation the image discriminator is shown.
        norm_group_size: videos that the video discriminator normalises together.
        precision: of the image discriminator's blocks.
    """

    def __init__(
        self,
        *,
        resolution: int = 256,
        channel_base: int = 16384,
        channel_max: int = 512,
        video_width: int = 64,
        mbstd_group_size: int = 4,
        norm_group_size: int = 16,
        precision: Precision = FULL,
    ) -> None:
        super().__init__()
        widths = {2**i: min(channel_base // 2**i, channel_max) for i in range(int(math.log2(resolution)), 1, -1)}
        self.image_discr = ImageDiscriminator(3, widths, mbstd_group_size, precision)
        self.video_discr = VideoDiscriminator(resolution, video_width, norm_group_size=norm_group_size)

    def judge_frames(self, videos: Tensor) -> Tensor:
        """Logits `[N, T]` of the frames of videos `[N, 3, T, H, W]` in [-1, 1]."""
        logits: Tensor = self.image_discr(rearrange(videos, "n c t h w -> (n t) c h w"))
        return rearrange(logits, "(n t) -> n t", n=len(videos))
