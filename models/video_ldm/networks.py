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
from .diffusion import Diffusion, Schedule, own_schedule
from .discriminator import PatchDiscriminator
from .folders import ImageModel, load_image_model
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


class TrainedOn(nn.Module):
    """What temporal layers were trained on: the image UNet, and its noise."""

    digest: Tensor
    signal: Tensor
    velocity: Tensor

    def __init__(self, image: ImageLDM) -> None:
        super().__init__()
        diffusion, device = Diffusion(image.schedule), image.digest.device
        self.register_buffer("digest", image.digest)
        self.register_buffer("signal", diffusion.signal.to(device))
        self.register_buffer("velocity", torch.tensor(diffusion.predicts_velocity, device=device))


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
        found = load_folder(model, model.image_model)
        return found.vae.requires_grad_(False).to(device), found.scaling_factor
    vae = build_vae(model, device).eval().requires_grad_(False)
    load_network(vae, tensors_of(states, "autoencoder", "vae"))
    return vae, float(states.get("image", {}).get("scale", {}).get("factor", 0)) or 1.0


def open_image_model(model: ModelConfig, states: Mapping[str, State], device: str) -> ImageLDM:
    """The image model: of a folder, or of trained stages; frozen.

    Raises:
        ValueError: a stage is not trained, a folder is not as it should be, or a prompt has nowhere to go.
    """
    folder, prompt = model.image_model, model.prompt
    if folder is None:
        if prompt:
            raise ValueError("this image model takes no prompt")
        vae, factor = open_vae(model, states, device)
        unet = build_image_unet(model, device).eval().requires_grad_(False)
        load_network(unet, tensors_of(states, "image", "unet_ema"))
        return ImageLDM(vae, unet, own_schedule(), factor, None, digest_of(unet))
    found = load_folder(model, folder)
    if prompt and found.text_width is None:
        raise ValueError(f"the image model in {folder} takes no prompt")
    text = None if found.text_width is None else encoded_prompts(folder, [prompt, ""]).to(device)
    unet, vae = (network.requires_grad_(False).to(device) for network in (found.unet, found.vae))
    return ImageLDM(vae, unet, found.schedule, found.scaling_factor, text, digest_of(unet))


def load_folder(model: ModelConfig, folder: Path) -> ImageModel:
    """The image model of a folder, for the frames of a configuration.

    Raises:
        ValueError: it is not as it should be, or frames of this size do not fit it.
    """
    found = load_image_model(folder)
    if model.height % found.unit or model.width % found.unit:
        size = f"{model.height}x{model.width}"
        raise ValueError(f"frames of {size} do not divide by {found.unit}, as the image model in {folder} needs")
    return found


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


def open_decoder(model: ModelConfig, vae: Backbone) -> VideoDecoder:
    """A copy of the autoencoder whose decoder has temporal layers."""
    return VideoDecoder(copy.deepcopy(vae), model.decoder.trains).to(vae.device)


def tensors_of(states: Mapping[str, State], stage: str, network: str) -> Mapping[str, Tensor]:
    """A network of a trained stage.

    Raises:
        ValueError: it is not trained.
    """
    if network not in states.get(stage, {}):
        raise ValueError(f"the stage {stage} is not trained")
    return states[stage][network]


def require_same(image: ImageLDM, known: Mapping[str, Tensor], other: bool) -> None:
    """Compare an image model with the one that temporal layers were trained on.

    Args:
        image: it.
        known: the tensors of `TrainedOn`.
        other: whether it may have other weights.

    Raises:
        ValueError: it has, or has another noise schedule.
    """
    own = TrainedOn(image).to(known["signal"].device)
    if own.velocity != known["velocity"] or own.signal.shape != known["signal"].shape:
        alike = False
    else:
        alike = torch.allclose(own.signal, known["signal"], rtol=1e-3, atol=1e-6)
    if not alike:
        raise ValueError("the temporal layers were trained with another noise schedule than this image model's")
    if not other and not torch.equal(own.digest, known["digest"]):
        raise ValueError(
            "the temporal layers were trained on another image model than this; other_image=true takes it nevertheless"
        )


def digest_of(network: Any) -> Tensor:
    """SHA-256 of a network's tensors, uint8 `[32]`, on its device."""
    digest, state = hashlib.sha256(), network.state_dict()
    for name in sorted(state):
        digest.update(name.encode())
        digest.update(state[name].detach().cpu().contiguous().numpy().tobytes())
    return torch.tensor(list(digest.digest()), dtype=torch.uint8, device=network.device)
