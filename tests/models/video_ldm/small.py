"""Image networks small enough for a test, with weights that are nowhere 0 or 1."""

from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel, UNet2DModel
from einops import rearrange
from torch import Tensor, nn

from vidbench.models.video_ldm.unet import VideoUNet

LATENTS, TEXT = 4, 12


def perturbed(network: nn.Module, scale: float = 0.1) -> nn.Module:
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += scale * torch.randn(parameter.shape, generator=generator)
    return network


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def plain_unet(**settings: Any) -> nn.Module:
    torch.manual_seed(0)
    sizes = {
        "in_channels": LATENTS,
        "out_channels": LATENTS,
        "block_out_channels": (8, 16, 16),
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "attention_head_dim": 4,
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
    }
    return perturbed(UNet2DModel(**(sizes | settings)), 0.05)


def text_unet(**settings: Any) -> nn.Module:
    torch.manual_seed(0)
    sizes = {
        "in_channels": LATENTS,
        "out_channels": LATENTS,
        "block_out_channels": (8, 16, 16),
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "attention_head_dim": 4,
        "cross_attention_dim": TEXT,
        "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    }
    return perturbed(UNet2DConditionModel(**(sizes | settings)), 0.05)


def autoencoder(**settings: Any) -> nn.Module:
    torch.manual_seed(0)
    sizes = {
        "block_out_channels": (8, 16, 16),
        "down_block_types": ("DownEncoderBlock2D",) * 3,
        "up_block_types": ("UpDecoderBlock2D",) * 3,
        "layers_per_block": 1,
        "norm_num_groups": 4,
    }
    return perturbed(AutoencoderKL(**(sizes | settings)), 0.05)


def trained(network: VideoUNet, mix: float = 0.5) -> VideoUNet:
    """As after some training: temporal weights are anything."""
    perturbed(network.temporal)
    set_mix(network, mix)
    return network


def set_mix(network: nn.Module, mix: float) -> None:
    for name, parameter in network.named_parameters():
        if name.endswith(".mix"):
            parameter.data.fill_(mix)


def frames_of(z: Tensor) -> Tensor:
    return rearrange(z, "b c t h w -> (b t) c h w")


def image_by_image(image: nn.Module, z: Tensor, tau: Tensor, text: Tensor | None = None) -> Tensor:
    """What the image UNet itself makes of all frames in one batch."""
    frames = z.shape[2]
    texts = () if text is None else (text.repeat_interleave(frames, dim=0),)
    images = image(frames_of(z), tau.repeat_interleave(frames), *texts).sample
    return rearrange(images, "(b t) c h w -> b c t h w", t=frames)
