"""Discriminators of patches, of images for the autoencoder and of videos for the video decoder.

The image one is PatchGAN's (Isola et al., CVPR 2017) as in Rombach et al., *High-Resolution Image Synthesis with Latent
Diffusion Models*, CVPR 2022, with group norm for batch norm; the video one has 3-D convolutions (Blattmann et al.,
CVPR 2023, Sec. 3.1.1, which does not name its layers).
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor, nn

VIDEO_STRIDES = ((1, 2, 2), (1, 2, 2), (2, 2, 2))


class PatchDiscriminator(nn.Module):
    """Convolutions of 4 x 4 pixels, of videos over 3 frames too, of which all but the last two halve the sides.

    Args:
        dims: 2 for images, 3 for videos.
        channels: after each convolution but the last, which gives logits.
        groups: of the norms, which all convolutions but the first and last have.
    """

    def __init__(self, dims: Literal[2, 3], channels: Sequence[int] = (64, 128, 256, 512), groups: int = 8) -> None:
        super().__init__()
        conv: Any = nn.Conv2d if dims == 2 else nn.Conv3d
        kernel = (4, 4) if dims == 2 else (3, 4, 4)
        inputs, outputs = [3, *channels], [*channels, 1]
        strides = [*(VIDEO_STRIDES if dims == 3 else ((2, 2),) * 3)[: len(channels) - 1], (1,) * dims, (1,) * dims]
        self.convs = nn.ModuleList(
            conv(i, o, kernel, stride, padding=1) for i, o, stride in zip(inputs, outputs, strides, strict=True)
        )
        self.norms = nn.ModuleList(nn.GroupNorm(groups, width) for width in channels[1:])
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            else:
                nn.init.normal_(parameter, float(name.startswith("norms")), 0.02)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Activations of each layer of images `[N, 3, H, W]` or videos `[N, 3, T, H, W]`; the last are the logits."""
        features = [F.leaky_relu(self.convs[0](x), 0.2)]
        for conv, norm in zip(self.convs[1:-1], self.norms, strict=True):
            features.append(F.leaky_relu(norm(conv(features[-1])), 0.2))
        return [*features, self.convs[-1](features[-1])]
