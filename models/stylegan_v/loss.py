"""StyleGAN-V's R1: the mean, not the sum, over the frames that the discriminator sees of a video."""

from einops import reduce
from torch import Tensor

from vidbench.models.layers.loss import r1_penalty


def r1_loss(real: Tensor, frames: Tensor, gamma: float) -> Tensor:
    """`[N]`: gamma / 2 times the mean of `r1_penalty` over the frames of a video.

    Args:
        real: logits `[N]` of real videos.
        frames: what they were computed from, `[N * T, C, H, W]`, requiring gradients.
        gamma: the weight.
    """
    return gamma / 2 * reduce(r1_penalty(real, frames), "(n t) -> n", "mean", n=len(real))
