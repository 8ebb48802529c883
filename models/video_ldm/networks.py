"""The networks of a configuration: built, or taken from the stages that were trained before."""

import copy
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vidbench.stage import State, load_network

from .backbone import Backbone, build_autoencoder, build_unet
from .config import ModelConfig
from .decoder import VideoDecoder
from .diffusion import Schedule, own_schedule
from .discriminator import PatchDiscriminator
from .folders import load_image_model
from .text import encoded_prompts
from .unet import VideoUNet

NOISE_LEVELS = 1000
"""Labels of the upsampler: diffusion times of the noise on the low resolution."""


@dataclass(frozen=True)
class ImageLDM:
    """A frozen image latent diffusion model."""

    vae: Backbone
    unet: Backbone
    schedule: Schedule
    """What the UNet was trained with."""
    scaling_factor: float
    """Latents times this are what it sees."""
    text: Tensor | None
    """Tokens of a prompt and of the empty one, `[2, l, width]`; None for a model without text."""
    digest: Tensor
    """SHA-256 of the UNet's tensors, uint8 `[32]`."""


class Scale(nn.Module):
    """What latents are multiplied by, so that their deviation is 1; 0 until it is measured."""

    factor: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("factor", torch.zeros([]))


class Trained(nn.Module):
    """Which image UNet temporal layers were trained on."""

    digest: Tensor

    def __init__(self, digest: Tensor) -> None:
        super().__init__()
        self.register_buffer("digest", digest)


def build_vae(model: ModelConfig, device: str) -> Backbone:
    """The image autoencoder of a configuration."""
    own = model.autoencoder
    size = (model.height, model.width)
    return build_autoencoder(own.channels, own.layers, own.groups, own.latent_channels, size).to(device)


def build_image_unet(model: ModelConfig, device: str) -> Backbone:
    """The denoiser of frames of a configuration."""
    own, latents = model.image, model.autoencoder.latent_channels
    return build_unet(latents, latents, own.channels, own.layers, own.groups, own.attention, own.head_width).to(device)


def build_image_discriminator(model: ModelConfig, device: str) -> PatchDiscriminator:
    """What the autoencoder is trained against."""
    return PatchDiscriminator(2, model.autoencoder.discriminator_channels).to(device)


def build_video_discriminator(model: ModelConfig, device: str) -> PatchDiscriminator:
    """What the decoder is trained against."""
    return PatchDiscriminator(3, model.decoder.discriminator_channels).to(device)


def build_upsampler(model: ModelConfig, device: str) -> VideoUNet:
    """The upsampler: it sees a noisy video beside the low resolution, and is told how noisy that is."""
    own = model.upsampler
    attention = (False,) * len(own.channels)
    unet = build_unet(6, 3, own.channels, own.layers, own.groups, attention, num_labels=NOISE_LEVELS)
    return VideoUNet(unet, frozen=False).to(device)


def open_vae(model: ModelConfig, states: Mapping[str, State], device: str) -> tuple[Backbone, float]:
    """The autoencoder and its scaling factor: of a folder, or of trained stages; frozen.

    Raises:
        ValueError: a stage is not trained, or a folder is not as it should be.
    """
    if model.image_model is not None:
        found = load_image_model(model.image_model)
        return found.vae.requires_grad_(False).to(device), found.scaling_factor
    vae = build_vae(model, device).eval().requires_grad_(False)
    load_network(vae, tensors_of(states, "autoencoder", "vae"))
    scale = states.get("image", {}).get("scale", {}).get("factor")
    return vae, 1.0 if scale is None else float(scale)


def open_image_model(
    model: ModelConfig,
    states: Mapping[str, State],
    device: str,
    folder: Path | None = None,
    prompt: str | None = None,
) -> ImageLDM:
    """The image model: of a folder, or of trained stages; frozen.

    Args:
        model: the configuration.
        states: of the stages before.
        device: where it runs.
        folder: another one than the configuration's.
        prompt: another one than the configuration's.

    Raises:
        ValueError: a stage is not trained, a folder is not as it should be, or a prompt has nowhere to go.
    """
    folder = folder or model.image_model
    asked = model.prompt if prompt is None else prompt
    if folder is None:
        if asked:
            raise ValueError("this image model takes no prompt")
        vae, factor = open_vae(model, states, device)
        unet = build_image_unet(model, device).eval().requires_grad_(False)
        load_network(unet, tensors_of(states, "image", "unet_ema"))
        return ImageLDM(vae, unet, own_schedule(), factor, None, digest_of(unet))
    found = load_image_model(folder)
    if asked and found.text_width is None:
        raise ValueError(f"the image model in {folder} takes no prompt")
    text = None if found.text_width is None else encoded_prompts(folder, [asked, ""]).to(device)
    unet, vae = (network.requires_grad_(False).to(device) for network in (found.unet, found.vae))
    return ImageLDM(vae, unet, found.schedule, found.scaling_factor, text, digest_of(unet))


def open_temporal(model: ModelConfig, image: ImageLDM) -> VideoUNet:
    """The image UNet, frozen, with new temporal layers."""
    own = model.temporal
    return VideoUNet(
        image.unet,
        context=int(image.unet.config["in_channels"]) if own.context else None,
        alphas=own.alphas,
        convolutions=own.convolutions,
        placement=own.placement,
    ).to(image.digest.device)


def open_interpolation(model: ModelConfig, image: ImageLDM) -> VideoUNet:
    """A copy of the image UNet that is trained with its temporal layers; each level has a frame rate of its own."""
    return VideoUNet(
        copy.deepcopy(image.unet),
        context=int(image.unet.config["in_channels"]),
        regimes=model.levels,
        placement=model.temporal.placement,
        frozen=False,
    ).to(image.digest.device)


def open_decoder(model: ModelConfig, states: Mapping[str, State], device: str) -> VideoDecoder:
    """A copy of the autoencoder whose decoder has temporal layers."""
    vae, _ = open_vae(model, states, device)
    return VideoDecoder(copy.deepcopy(vae), model.decoder.trains).to(device)


def tensors_of(states: Mapping[str, State], stage: str, network: str) -> Mapping[str, Tensor]:
    """A network of a trained stage.

    Raises:
        ValueError: it is not trained.
    """
    if network not in states.get(stage, {}):
        raise ValueError(f"the stage {stage} is not trained")
    return states[stage][network]


def digest_of(network: Any) -> Tensor:
    """SHA-256 of a network's tensors, uint8 `[32]`, on its device."""
    digest, state = hashlib.sha256(), network.state_dict()
    for name in sorted(state):
        digest.update(name.encode())
        digest.update(state[name].detach().cpu().contiguous().numpy().tobytes())
    return torch.tensor(list(digest.digest()), dtype=torch.uint8, device=network.device)
