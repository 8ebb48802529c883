"""What the GANs here minimise: logistic and hinge losses, and R1 (Mescheder et al., ICML 2018, Eq. 9)."""

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


def hinge_loss(real: Tensor, fake: Tensor) -> Tensor:
    """A discriminator's hinge loss, half the sum over both sides, of its logits of any shape: a scalar."""
    return (F.relu(1 - real).mean() + F.relu(1 + fake).mean()) / 2


def r1_penalty(real: Tensor, pixels: Tensor) -> Tensor:
    """Squared norm of the gradient at each frame, or video; differentiable.

    Args:
        real: logits of real videos.
        pixels: what they were computed from, `[N, ...]`, requiring gradients.

    Returns:
        `[N]`.
    """
    (gradient,) = torch.autograd.grad(real.sum(), pixels, create_graph=True)
    return reduce(gradient.square(), "n ... -> n", "sum")
