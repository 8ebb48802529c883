"""Discriminators that judge patches at several scales, of images or of videos (MoCoGAN-HD, Sec. 3.2, Eq. 5 and 6).

The form is that of pix2pixHD (Wang et al., CVPR 2018), with four-sided kernels over time as well.
"""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDEST = 512
"""Channels at most."""
TINY = 1e-24
"""What a squared norm is above, so that a norm of 0 has a gradient; too small to change any other."""
LONGEST_AT_FULL_RATE = 16
"""Frames of a longer video are averaged between scales, too."""


class PatchDiscriminator(nn.Module):
    """Logits of overlapping patches.

    Args:
        axes: 2 for images, 3 for videos.
        in_channels: of the input.
        widths: of the first layer of each network; the last network sees full resolution, each one before it half.
            Later layers are twice as wide as the one before.
    """

    def __init__(self, axes: Literal[2, 3], in_channels: int, widths: Sequence[int] = (64, 64)) -> None:
        super().__init__()
        self.axes, self.num_scales = axes, len(widths)
        convolution, norm = (nn.Conv2d, nn.InstanceNorm2d) if axes == 2 else (nn.Conv3d, nn.InstanceNorm3d)
        for i, width in enumerate(widths):
            before = in_channels
            for j, stride in enumerate((2, 2, 2, 1, 1)):
                after = 1 if j == 4 else min(width * 2**j, WIDEST)
                patches = convolution(before, after, 4, stride, padding=2)
                nn.init.normal_(patches.weight, std=0.02)
                layer = nn.Sequential(patches)
                if 0 < j < 4:
                    layer.append(norm(after, track_running_stats=True))
                if j < 4:
                    layer.append(nn.LeakyReLU(0.2, inplace=True))
                self.add_module(f"scale{i}_layer{j}", layer)
                before = after

    def forward(self, x: Tensor) -> list[Tensor]:
        """Logits `[N, 1, h, w]` or `[N, 1, t, h, w]` of each scale, full resolution first.

        Args:
            x: `[N, in_channels, H, W]` or `[N, in_channels, T, H, W]`, in [-1, 1].
        """
        x = x.contiguous(memory_format=torch.channels_last if self.axes == 2 else torch.channels_last_3d)
        logits = []
        long = self.axes == 3 and x.shape[2] > LONGEST_AT_FULL_RATE
        for i in reversed(range(self.num_scales)):
            features = x
            for j in range(5):
                features = self.get_submodule(f"scale{i}_layer{j}")(features)
            logits.append(features)
            if i:
                x = self._reduced(x, long)
        return logits

    def _reduced(self, x: Tensor, long: bool) -> Tensor:
        if self.axes == 2:
            return F.avg_pool2d(x, 3, 2, padding=1, count_include_pad=False)
        return F.avg_pool3d(x, 3, (1 + long, 2, 2), padding=1, count_include_pad=False)


def gradient_penalty(network: PatchDiscriminator, real: Tensor, fake: Tensor, alpha: Tensor) -> Tensor:
    """How far the norms of gradients are from 1, between real and generated videos (Gulrajani et al., NeurIPS 2017).

    As in the authors' code the norm is that of a pixel's channels, not of a video.

    Args:
        network: a discriminator.
        real: `[N, C, T, H, W]`.
        fake: `[N, C, T, H, W]`.
        alpha: the share of the real ones, `[N, 1, 1, 1, 1]`, uniform in [0, 1).

    Returns:
        The mean over pixels, videos and scales of the squared distance; it starts near 1.
    """
    between = torch.lerp(fake.detach(), real.detach(), alpha).requires_grad_()
    penalties = []
    for logits in network(between):
        (gradient,) = torch.autograd.grad(logits.sum(), between, create_graph=True)
        norm = (gradient.square().sum(dim=1) + TINY).sqrt()
        penalties.append((norm - 1).square().mean())
    return torch.stack(penalties).mean()
