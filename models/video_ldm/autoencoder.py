"""Videos and latents of an image autoencoder, frame by frame; latents as the encoder gives them, not scaled."""

from collections.abc import Callable
from typing import Any

import torch
from einops import rearrange
from torch import Tensor


def moments(vae: Any, images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and log-variance `[N, C, h, w]` of the latents of images `[N, 3, H, W]` in [-1, 1]."""
    posterior = vae.encode(images).latent_dist
    return posterior.mean, posterior.logvar


def encoded(vae: Any, videos: Tensor, normal: Callable[..., Tensor] | None = None) -> Tensor:
    """Latents `[N, C, T, h, w]` of videos `[N, 3, T, H, W]` in [-1, 1].

    Args:
        vae: diffusers' `AutoencoderKL`.
        videos: frames.
        normal: from the shape of one video's latents, standard normal numbers for all, for a sample of their
            distribution, as in training; None for its mean.
    """
    mean, logvar = (
        rearrange(part, "(n t) c h w -> n c t h w", n=len(videos))
        for part in moments(vae, rearrange(videos, "n c t h w -> (n t) c h w"))
    )
    return mean if normal is None else mean + (0.5 * logvar).exp() * normal(*mean.shape[1:])


def decoded_frames(vae: Any, latents: Tensor) -> Tensor:
    """Videos `[N, 3, T, H, W]`, about [-1, 1], of latents `[N, C, T, h, w]`, each frame alone."""
    frames: Tensor = vae.decode(rearrange(latents, "n c t h w -> (n t) c h w")).sample
    return rearrange(frames, "(n t) c h w -> n c t h w", n=len(latents))


def scaling_factor(latents: Tensor, mean: Callable[[Tensor], Tensor]) -> Tensor:
    """What gives latents of any shape standard deviation 1 (Rombach et al., CVPR 2022, App. G), a scalar.

    Args:
        latents: of this process.
        mean: over all processes.
    """
    first, second = mean(torch.stack([latents.mean(), latents.square().mean()]))
    factor: Tensor = (second - first.square()).rsqrt()
    return factor
