"""Videos and latents of an image autoencoder, frame by frame; latents as the encoder gives them, not scaled."""

from typing import Any

from einops import rearrange
from torch import Tensor


def moments(vae: Any, images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and log-variance `[N, C, h, w]` of the latents of images `[N, 3, H, W]` in [-1, 1]."""
    posterior = vae.encode(images).latent_dist
    return posterior.mean, posterior.logvar


def encoded(vae: Any, videos: Tensor, noise: Tensor | None = None) -> Tensor:
    """Latents `[N, C, T, h, w]` of videos `[N, 3, T, H, W]` in [-1, 1].

    Args:
        vae: diffusers' `AutoencoderKL`.
        videos: frames.
        noise: standard normal, as the latents, for a sample of their distribution, as in training; None for its mean.
    """
    mean, logvar = (
        rearrange(part, "(n t) c h w -> n c t h w", n=len(videos))
        for part in moments(vae, rearrange(videos, "n c t h w -> (n t) c h w"))
    )
    return mean if noise is None else mean + (0.5 * logvar).exp() * noise


def decoded_frames(vae: Any, latents: Tensor) -> Tensor:
    """Videos `[N, 3, T, H, W]`, about [-1, 1], of latents `[N, C, T, h, w]`, each frame alone."""
    frames: Tensor = vae.decode(rearrange(latents, "n c t h w -> (n t) c h w")).sample
    return rearrange(frames, "(n t) c h w -> n c t h w", n=len(latents))


def scaling_factor(latents: Tensor) -> float:
    """What gives latents of any shape standard deviation 1 (Rombach et al., CVPR 2022, App. G)."""
    return 1 / float(latents.std())
