"""What discriminators and motion generator learn from each other in a training step (MoCoGAN-HD, Sec. 3.2 and 3.3).

Calls keep the order of the authors' code, since each moves running statistics, singular vectors or queues. What needs
no gradient gets none: real clips, and first frames, in the generator's step.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from .contrastive_discriminator import ContrastiveDiscriminator
from .motion_loss import contrastive_loss, cosine_loss, hinge_loss, relativistic_loss
from .patch_discriminator import PatchDiscriminator, gradient_penalty
from .video import pair
from .views import view


class PatchLosses(NamedTuple):
    """Of a patch discriminator; it minimises the mean of the two."""

    real: Tensor
    fake: Tensor


class ContrastiveLosses(NamedTuple):
    """Of the contrastive discriminator; it minimises `real + fake + 2 * contrastive`."""

    real: Tensor
    fake: Tensor
    contrastive: Tensor


def turned(videos: Tensor, backwards: bool) -> Tensor:
    """Videos `[N, C, T, H, W]` as they are, or backwards in time; frames that stand beside all others stay there."""
    return videos.flip(2) if backwards else videos


def video_generator_loss(
    network: PatchDiscriminator, real: Tensor, fake: Tensor, backwards: tuple[bool, bool]
) -> Tensor:
    """What the motion generator minimises for its videos to look like real ones (Eq. 6).

    Args:
        network: the video discriminator.
        real: `[N, C, T, H, W]`.
        fake: `[N, C, T, H, W]`.
        backwards: whether the real ones, and the fakes, run backwards: a coin each for the whole batch.
    """
    with torch.no_grad():
        low = network(turned(real, backwards[0]))
    return torch.stack(relativistic_loss(network(turned(fake, backwards[1])), low)).mean()


def video_discriminator_losses(
    network: PatchDiscriminator, real: Tensor, fake: Tensor, backwards: tuple[bool, bool], alpha: Tensor
) -> tuple[PatchLosses, Tensor]:
    """What the video discriminator minimises, and the gradient penalty (Eq. 6).

    Args:
        network: the video discriminator.
        real: `[N, C, T, H, W]`.
        fake: `[N, C, T, H, W]`, without gradients.
        backwards: as in `video_generator_loss`; the penalty sees both forwards.
        alpha: of the penalty, `[N, 1, 1, 1, 1]`, uniform in [0, 1).
    """
    low = network(turned(fake, backwards[1]))
    losses = PatchLosses(*relativistic_loss(network(turned(real, backwards[0])), low))
    return losses, gradient_penalty(network, real, fake, alpha)


def pair_generator_loss(network: PatchDiscriminator, real: Tensor, fake: Tensor, t: int) -> Tensor:
    """What the motion generator minimises for its frames to look like real ones beside the first (Eq. 5).

    Args:
        network: the image discriminator of one domain.
        real: clips `[N, T, 3, H, W]`.
        fake: clips `[N, T, 3, H, W]`.
        t: the frame, from 1 on, the same in all clips.
    """
    high = network(pair(fake, t))
    with torch.no_grad():
        low = network(pair(real, t))
    return torch.stack(relativistic_loss(high, low)).mean()


def pair_discriminator_losses(network: PatchDiscriminator, real: Tensor, fake: Tensor, t: int) -> PatchLosses:
    """What the image discriminator of one domain minimises; arguments as in `pair_generator_loss` (Eq. 5)."""
    high = network(pair(real, t))
    return PatchLosses(*relativistic_loss(high, network(pair(fake, t))))


def view_generator_losses(
    network: ContrastiveDiscriminator, fake: Tensor, t: int, later: Tensor, first: Tensor
) -> tuple[Tensor, Tensor]:
    """What the motion generator minimises for its frames to look, and to be, like the first (Eq. 11).

    The copy's features of both frames go into the queues.

    Args:
        network: the image discriminator of two domains.
        fake: generated clips `[N, T, 3, S, S]`.
        t: the frame, from 1 on, the same in all clips.
        later: draws `[N, NUM_DRAWS]` of the views of frame t.
        first: of those of the first frame.

    Returns:
        The hinge loss, and the loss of features that do not match.
    """
    shown = view(fake[:, t], later)
    with torch.no_grad():
        start = view(fake[:, 0], first)
    network.enqueue(start, shown)
    score, features = network(shown)
    with torch.no_grad():
        _, wanted = network(start)
    return -score.mean(), cosine_loss(features, wanted)


def view_discriminator_losses(
    network: ContrastiveDiscriminator, fake: Tensor, t: int, draws: tuple[Tensor, Tensor, Tensor, Tensor]
) -> ContrastiveLosses:
    """What the image discriminator of two domains minimises (Eq. 10 and 11).

    Args:
        network: it.
        fake: generated clips `[N, T, 3, S, S]`, without gradients.
        t: the frame, from 1 on, the same in all clips.
        draws: `[N, NUM_DRAWS]` of two views of the first frame, then of two views of frame t.
    """
    judged = [network(view(frames, rows)) for frames, rows in zip(_twice(fake, t), draws, strict=True)]
    (real_score, real), (_, real2), (fake_score, fake1), (_, fake2) = judged
    q_real, q_fake = network.queues()
    contrastive = contrastive_loss(real, real2, q_real) + contrastive_loss(fake1, fake2, q_fake)
    return ContrastiveLosses(*hinge_loss(real_score, fake_score), contrastive)


def _twice(clips: Tensor, t: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return clips[:, 0], clips[:, 0], clips[:, t], clips[:, t]
