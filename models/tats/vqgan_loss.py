"""What autoencoder and discriminators minimise (TATS, ECCV 2022, Sec. 3.1, Eq. 1 to 3)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor


def frames_at(clips: Tensor, times: Tensor) -> Tensor:
    """A frame of each clip `[N, 3, T, H, W]`, by index `[N]`: `[N, 3, H, W]`."""
    return rearrange(clips, "n c t h w -> n t c h w")[torch.arange(len(clips), device=clips.device), times]


def adversarial_loss(image: Tensor, video: Tensor) -> Tensor:
    """The autoencoder's, of both discriminators' logits of what it made: a scalar."""
    return -image.mean() - video.mean()


def feature_loss(fake: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
    """How far features are from those of the real clip, summed over a discriminator's layers but the logits: a scalar.

    Args:
        fake: outputs of each layer.
        real: the same, without gradients.
    """
    return torch.stack([F.l1_loss(own, wanted) for own, wanted in zip(fake[:-1], real[:-1], strict=True)]).sum()
