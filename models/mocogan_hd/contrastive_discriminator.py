"""The cross-domain image discriminator: real or not, and contrastive features (MoCoGAN-HD, Sec. 3.3, Eq. 10 and 11).

A network like BigGAN's (Brock et al., ICLR 2019), a copy that follows it slowly, and queues of the copy's features of
earlier images (He et al., *Momentum Contrast*, CVPR 2020).
"""

from collections.abc import Callable
from itertools import pairwise

import torch
import torch.nn.functional as F
from einops import reduce
from torch import Tensor, nn

from .spectral import SpectralConv2d, SpectralLinear

BLOCKS: dict[int, tuple[tuple[int, ...], int]] = {
    32: ((4, 4, 4, 4), 2),
    64: ((1, 2, 4, 8, 16), 4),
    128: ((1, 2, 4, 8, 16, 16), 5),
    256: ((1, 2, 4, 8, 8, 16, 16), 6),
}
"""By side of the images: the width of each block, in units, and how many blocks, from the first, halve the side."""
MOMENTUM = 0.999
"""Share of its own parameters that the copy keeps in an update."""


class Block(nn.Module):
    """Two convolutions, and a straight way past them; then half the side, if wanted."""

    def __init__(self, in_channels: int, out_channels: int, *, first: bool, halves: bool) -> None:
        super().__init__()
        self.first, self.halves = first, halves
        self.conv1 = SpectralConv2d(in_channels, out_channels, 3)
        self.conv2 = SpectralConv2d(out_channels, out_channels, 3)
        changes = halves or in_channels != out_channels
        self.conv_sc = SpectralConv2d(in_channels, out_channels, 1) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        """`[N, in_channels, H, W]` to `[N, out_channels, H, W]`, or half of both sides."""
        h = self.conv2(F.relu(self.conv1(x if self.first else F.relu(x))))
        if self.halves:  # averaging and the pointwise convolution commute
            h, x = F.avg_pool2d(h, 2), F.avg_pool2d(x, 2)
        past = x if self.conv_sc is None else self.conv_sc(x)
        out: Tensor = h + past
        return out


class ContrastiveNetwork(nn.Module):
    """A score and features of an image.

    Args:
        side: of the images, 32, 64, 128 or 256.
        width: the unit of the blocks' channels.
        features: how many.

    Raises:
        ValueError: another side.
    """

    def __init__(self, side: int, width: int, features: int) -> None:
        super().__init__()
        if side not in BLOCKS:
            raise ValueError(
                f"the cross-domain image discriminator sees {', '.join(map(str, BLOCKS))} pixels, not {side}"
            )
        widths, halving = BLOCKS[side]
        channels = [3, *(width * units for units in widths)]
        self.blocks = nn.ModuleList(
            Block(before, after, first=i == 0, halves=i < halving)
            for i, (before, after) in enumerate(pairwise(channels))
        )
        self.proj0 = SpectralLinear(channels[-1], features)
        self.linear = SpectralLinear(features, 1)
        self.proj1, self.proj2 = SpectralLinear(features, features), SpectralLinear(features, features)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Scores `[N]` and features `[N, features]` of images `[N, 3, side, side]` in [-1, 1]."""
        x = x.contiguous(memory_format=torch.channels_last)
        for block in self.blocks:
            x = block(x)
        seen = F.relu(self.proj0(reduce(F.relu(x), "n c h w -> n c", "sum")))
        score: Tensor = self.linear(seen)
        features: Tensor = self.proj2(F.relu(self.proj1(seen)))
        return score.squeeze(1), features


def of_this_process(features: Tensor) -> Tensor:
    """Features `[N, C]` as they are."""
    return features


class ContrastiveDiscriminator(nn.Module):
    """The network, the copy that follows it, and the queues.

    "Real" is the first frame of a generated video, "fake" a later one.

    Args:
        side: of the images, 32, 64, 128 or 256.
        width: the unit of the blocks' channels.
        features: of an image.
        length: of the queues.
        batch: videos of a step, over all processes.

    Attributes:
        q_real: features `[length, features]` of earlier first frames; rows beyond a multiple of the batch are not used.
        q_fake: of earlier later ones.
        q_ptr: `[1]`, the oldest row, which is replaced next.
        gather: what makes of this process's features those of all processes; set by who trains.

    Raises:
        ValueError: another side, or queues shorter than a batch.
    """

    q_real: Tensor
    q_fake: Tensor
    q_ptr: Tensor

    def __init__(self, side: int, *, batch: int, width: int = 96, features: int = 256, length: int = 4096) -> None:
        super().__init__()
        if length < batch:
            raise ValueError(f"queues of {length} rows have no room for a batch of {batch}")
        self.used = length // batch * batch
        self.gather: Callable[[Tensor], Tensor] = of_this_process
        self.network = ContrastiveNetwork(side, width, features)
        self.momentum = ContrastiveNetwork(side, width, features).requires_grad_(False)
        for own, other in zip(self.momentum.parameters(), self.network.parameters(), strict=True):
            own.copy_(other.detach())
        for name in ("q_real", "q_fake"):
            self.register_buffer(name, F.normalize(torch.randn(length, features), dim=0))
        self.register_buffer("q_ptr", torch.zeros(1, dtype=torch.int64))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Scores `[N]` and features `[N, features]` of images `[N, 3, side, side]` in [-1, 1]."""
        judged: tuple[Tensor, Tensor] = self.network(x)
        return judged

    def queues(self) -> tuple[Tensor, Tensor]:
        """The rows that are used, of first frames and of later ones."""
        return self.q_real[: self.used], self.q_fake[: self.used]

    @torch.no_grad()
    def enqueue(self, real: Tensor, fake: Tensor) -> None:
        """Put the copy's features of images `[N, 3, side, side]` in the place of the oldest."""
        rows = [self.gather(self.momentum(images)[1]) for images in (real, fake)]
        first = int(self.q_ptr)
        for queue, new in zip((self.q_real, self.q_fake), rows, strict=True):
            queue[first : first + len(new)] = new
        self.q_ptr.fill_((first + len(rows[0])) % self.used)

    @torch.no_grad()
    def follow(self) -> None:
        """Move the copy's parameters towards the network's; its singular vectors are its own."""
        for own, other in zip(self.momentum.parameters(), self.network.parameters(), strict=True):
            own.lerp_(other, 1 - MOMENTUM)
