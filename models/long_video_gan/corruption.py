"""Corruption of the low-resolution condition in training: generated videos are not as clean as reduced ones.

Brooks et al., *Generating Long Videos of Dynamic Scenes*, NeurIPS 2022, Sec. 3.3: slight geometric transforms and pixel
noise, each with a probability, the same for all frames of a video.
"""

import torch
from einops import rearrange
from torch import Tensor

from vidbench.models.layers.augment import NUM_DRAWS, Augment

STRENGTHS = {"scale": 0.08, "rotate_pre": 0.016, "rotate_post": 0.016, "aniso": 0.08, "xfrac": 0.016}
"""Of `Augment`, in training."""
NOISE = 0.08
"""Standard deviation over videos of the standard deviation of their pixel noise."""
NUM_CORRUPTION_DRAWS = NUM_DRAWS + 2
"""Uniform numbers that one video takes: those of `Augment`, the strength of its noise, what p is compared with."""


def condition_corruption() -> Augment:
    """The geometric part, each step with probability 1/2."""
    augment = Augment(STRENGTHS)
    augment.p.fill_(0.5)
    return augment


def corrupted(augment: Augment, videos: Tensor, draws: Tensor, noise: Tensor) -> Tensor:
    """Videos moved and scaled a little, then made noisy.

    Args:
        augment: what `condition_corruption` makes.
        videos: `[N, 3, T, H, W]` in [-1, 1].
        draws: `[N, NUM_CORRUPTION_DRAWS]`, uniform in [0, 1); best drawn in float64.
        noise: standard normal, of the shape of `videos`.

    Returns:
        `[N, 3, T, H, W]`; values may leave [-1, 1].
    """
    geometric, strength, happens = draws[:, :NUM_DRAWS], draws[:, NUM_DRAWS], draws[:, NUM_DRAWS + 1]
    sigma = NOISE * torch.special.ndtri(strength.clamp(min=2**-54)).abs() * (happens < augment.p.cpu())
    moved: Tensor = augment(videos, geometric) + rearrange(sigma.to(videos), "n -> n 1 1 1 1") * noise
    return moved
