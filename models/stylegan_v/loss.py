"""What StyleGAN-V's networks minimise: the non-saturating logistic loss and R1 (Mescheder et al., ICML 2018, Eq. 9)."""

import torch
import torch.nn.functional as F
from einops import reduce
from torch import Tensor


def generator_loss(fake: Tensor) -> Tensor:
    """`[N]` of the logits `[N]` of generated videos."""
    return F.softplus(-fake)


def discriminator_loss(fake: Tensor, real: Tensor) -> Tensor:
    """`[N]` of the logits `[N]` of generated and of real videos."""
    return F.softplus(fake) + F.softplus(-real)


def r1_penalty(real: Tensor, frames: Tensor) -> Tensor:
    """Squared norm of the gradient at each frame; differentiable.

    Args:
        real: logits `[N]` of real videos.
        frames: what they were computed from, `[N * T, C, H, W]`, requiring gradients.

    Returns:
        `[N * T]`.
    """
    (gradient,) = torch.autograd.grad(real.sum(), frames, create_graph=True)
    return reduce(gradient.square(), "f c h w -> f", "sum")


def r1_loss(real: Tensor, frames: Tensor, gamma: float) -> Tensor:
    """`[N]`: gamma / 2 times the mean, not the sum, of `r1_penalty` over the frames of a video."""
    return gamma / 2 * reduce(r1_penalty(real, frames), "(n t) -> n", "mean", n=len(real))
