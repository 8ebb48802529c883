"""What the motion stage minimises (MoCoGAN-HD, Sec. 3.2 and 3.3)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

TEMPERATURE = 0.07
"""Of the contrastive loss."""


def average_least_squares(logits: Sequence[Tensor], others: Sequence[Tensor], target: float) -> Tensor:
    """How far logits are from `target` above the mean of the others, over scales: a number.

    The relativistic average least squares of Jolicoeur-Martineau (ICLR 2019), with targets 1 and 0.
    """
    scales = zip(logits, others, strict=True)
    return torch.stack([(own - other.mean() - target).square().mean() for own, other in scales]).sum()


def relativistic_loss(high: Sequence[Tensor], low: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Two numbers, whose mean is minimised; the first of what should score high, the second of what should not.

    For the discriminators, real clips should score high; for the generator, its own.

    Args:
        high: logits of each scale.
        low: logits of each scale.
    """
    return average_least_squares(high, low, 1), average_least_squares(low, high, 0)


def hinge_loss(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Of scores `[N]`, two numbers, whose sum a discriminator minimises."""
    return F.relu(1 - real).mean(), F.relu(1 + fake).mean()


def contrastive_loss(first: Tensor, second: Tensor, queue: Tensor) -> Tensor:
    """How much less alike two views of one image are than others (Eq. 10).

    A view is compared with itself, too, and counts there as one at a right angle, as in the authors' code.

    Args:
        first: features of one view each, `[N, C]`.
        second: of another view each, `[N, C]`.
        queue: of earlier images, `[Q, C]`.
    """
    views, earlier = (F.normalize(x, dim=1, eps=1e-8) for x in (torch.cat([first, second]), queue))
    pairs = (views @ views.T).fill_diagonal_(0)
    similarities = torch.cat([pairs, views @ earlier.T], dim=1) / TEMPERATURE
    partners = torch.arange(len(views), device=views.device).roll(len(first))
    return F.cross_entropy(similarities, partners)


def cosine_loss(found: Tensor, wanted: Tensor) -> Tensor:
    """Minus the mean cosine between vectors `[..., C]`: of noise and what was recovered of it (Eq. 8), of features."""
    return -F.cosine_similarity(found, wanted, dim=-1).mean()
