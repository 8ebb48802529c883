"""Frames that are given: their mask, guidance by them, and what is sampled around them (Sec. 3.2 and 3.3)."""

from collections.abc import Callable

import torch
from einops import rearrange
from torch import Tensor

from .diffusion import Sampler, Schedule, sampled

ContextDenoiser = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""What predicts noise or velocity from latents, diffusion times and context."""


def first_frames(counts: Tensor, frames: int) -> Tensor:
    """The mask `[B, T]` of the first `counts[b]` of so many frames, boolean."""
    return torch.arange(frames, device=counts.device) < counts[:, None]


def context_frames(z: Tensor, mask: Tensor) -> Tensor:
    """The given latents and their mask, as `VideoUNet` takes them.

    Args:
        z: latents `[B, C, T, H, W]`; those that are not given may be anything.
        mask: which frames are given, boolean `[B, T]`.

    Returns:
        `[B, C + 1, T, H, W]`, 0 at frames that are not given.
    """
    shown = rearrange(mask, "b t -> b 1 t 1 1")
    return torch.cat([torch.where(shown, z, 0.0), shown.to(z.dtype).expand_as(z[:, :1])], dim=1)


def guided(network: ContextDenoiser, z: Tensor, tau: Tensor, context: Tensor | None, scale: float) -> Tensor:
    """The prediction, moved away from what it is without context (Eq. 5): `f(z) + scale * (f(z; c) - f(z))`.

    Args:
        network: called once, at scale 1 with the context alone, else with both on one batch.
        z: noisy latents `[B, ...]`.
        tau: `[B]`.
        context: as `context_frames` makes it; None for none.
        scale: 1 for no guidance.
    """
    if context is None or scale == 1:
        return network(z, tau, context)
    both = network(torch.cat([z, z]), torch.cat([tau, tau]), torch.cat([torch.zeros_like(context), context]))
    without, given = both.chunk(2)
    return without + scale * (given - without)


def completed(
    network: ContextDenoiser,
    z: Tensor,
    mask: Tensor,
    noise: Tensor,
    schedule: Schedule,
    steps: int,
    sampler: Sampler = "ddim",
    scale: float = 1.0,
) -> Tensor:
    """A window of latents of which some frames are given; those are in the result as they were.

    Args:
        network: the video UNet, with the prompt and all else that it is told.
        z: the given latents, anything at the other frames, `[B, C, T, H, W]`.
        mask: which frames are given, boolean `[B, T]`.
        noise: standard normal, as `z`.
        schedule: of the network.
        steps: of the sampler.
        sampler: its name.
        scale: of context guidance.
    """
    context = context_frames(z, mask)
    made = sampled(lambda x, tau: guided(network, x, tau, context, scale), noise, schedule, steps, sampler)
    return torch.where(rearrange(mask, "b t -> b 1 t 1 1"), z, made)


def text_guided(
    network: Callable[[Tensor, Tensor, Tensor | None, Tensor], Tensor], text: Tensor, empty: Tensor, scale: float
) -> ContextDenoiser:
    """A denoiser that is told a prompt, moved away from what it does with an empty one (Ho and Salimans, 2022).

    Args:
        network: from latents, diffusion times, context and text.
        text: tokens of the prompt, `[1, l, width]`.
        empty: tokens of the empty prompt, `[1, l, width]`.
        scale: 1 for no guidance.
    """

    def denoise(z: Tensor, tau: Tensor, context: Tensor | None) -> Tensor:
        prompts = text.expand(len(z), -1, -1)
        if scale == 1:
            return network(z, tau, context, prompts)
        contexts = None if context is None else torch.cat([context, context])
        texts = torch.cat([empty.expand(len(z), -1, -1), prompts])
        without, given = network(torch.cat([z, z]), torch.cat([tau, tau]), contexts, texts).chunk(2)
        return without + scale * (given - without)

    return denoise
