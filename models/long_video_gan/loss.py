"""What LongVideoGAN's networks minimise: the non-saturating logistic loss, and R1 (Mescheder et al., ICML 2018)."""

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


def r1_penalty(real: Tensor, videos: Tensor) -> Tensor:
    """Squared norm of the gradient at each video; differentiable.

    Args:
        real: logits `[N]` of real videos.
        videos: what they were computed from, before any augmentation, `[N, C, T, H, W]`, requiring gradients.

    Returns:
        `[N]`; the loss is gamma / 2 times that.
    """
    (gradient,) = torch.autograd.grad(real.sum(), videos, create_graph=True)
    return reduce(gradient.square(), "n c t h w -> n", "sum")
