"""Discriminators of patches, of single frames and of clips (TATS, ECCV 2022, Sec. 3.1; Isola et al., CVPR 2017)."""

from itertools import pairwise
from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor, nn

WIDEST = 512
"""Channels at most."""


class PatchDiscriminator(nn.Module):
    """Logits of overlapping patches.

    Args:
        axes: 2 for images, 3 for videos, whose time is reduced as well.
        width: channels of the first layer.
        layers: that halve the sides; each later one has twice as many channels as the one before.
    """

    def __init__(self, axes: Literal[2, 3], width: int = 64, layers: int = 3) -> None:
        super().__init__()
        conv: Any = nn.Conv2d if axes == 2 else nn.Conv3d
        norm: Any = nn.BatchNorm2d if axes == 2 else nn.BatchNorm3d
        widths = [3, *(min(width * 2**i, WIDEST) for i in range(layers + 1)), 1]
        self.count = layers + 2
        for i, (before, after) in enumerate(pairwise(widths)):
            layer = nn.Sequential(conv(before, after, 4, 2 if i < layers else 1, padding=2))
            if 0 < i <= layers:
                layer.append(norm(after))
            self.add_module(f"model{i}", layer)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Outputs of each layer of `[N, 3, H, W]` or `[N, 3, T, H, W]` in [-0.5, 0.5]; the last are the logits."""
        outputs = [x]
        for i in range(self.count):
            y = self.get_submodule(f"model{i}")(outputs[-1])
            outputs.append(y if i == self.count - 1 else F.leaky_relu(y, 0.2))
        return outputs[1:]
