"""DIGAN's two discriminators: of two frames with the time between them, and of single frames (Sec. 3.2)."""

import math

from torch import Tensor, nn

from vidbench.models.layers.precision import FULL, Precision
from vidbench.models.layers.residual import ImageDiscriminator

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
