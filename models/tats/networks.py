"""The networks of a configuration."""

import torch

from vidbench.stage import State, load_network

from .config import ModelConfig, TransformerModel
from .discriminators import PatchDiscriminator
from .transformer import Transformer
from .vqgan import VQGAN


def build_vqgan(model: ModelConfig, device: str) -> VQGAN:
    """The autoencoder of a configuration."""
    vqgan = model.vqgan
    network = VQGAN(vqgan.downsample, vqgan.width, vqgan.codes, vqgan.code_width, padding=vqgan.padding)
    if device == "cpu":
        network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]  # a quarter less time
    return network.to(device)


def build_image_discriminator(model: ModelConfig, device: str) -> PatchDiscriminator:
    """The discriminator of single frames."""
    return PatchDiscriminator(2, model.vqgan.discriminator_width, model.vqgan.discriminator_layers).to(device)


def build_video_discriminator(model: ModelConfig, device: str) -> PatchDiscriminator:
    """The discriminator of clips."""
    return PatchDiscriminator(3, model.vqgan.discriminator_width, model.vqgan.discriminator_layers).to(device)


def build_transformer(model: ModelConfig, name: str, device: str) -> Transformer:
    """A transformer over all codes of its latent frames but the last code, after one token of the condition.

    Args:
        model: the configuration.
        name: of the stage; `interpolation` knows the first and the last latent frame.
        device: where it runs.
    """
    part: TransformerModel = getattr(model, name)
    frame = model.vqgan.latent_frame
    return Transformer(
        part.classes + model.vqgan.codes,
        part.latent_frames * frame,
        part.layers,
        part.heads,
        part.width,
        frame if name == "interpolation" else 0,
    ).to(device)


def frozen_vqgan(model: ModelConfig, state: State, device: str) -> VQGAN:
    """The autoencoder of a trained stage, in evaluation mode.

    Raises:
        ValueError: its tensors do not fit.
    """
    network = build_vqgan(model, device).eval().requires_grad_(False)
    load_network(network, state["vqgan"])
    return network


def frozen_transformer(model: ModelConfig, name: str, state: State, device: str) -> Transformer:
    """The transformer of a trained stage, in evaluation mode and float64.

    Codes are drawn: rounding, which depends on how many videos are made at once, would now and then change one and
    with it all that follow. In float64 it does not.

    Args:
        model: the configuration.
        name: of the stage, `transformer` or `interpolation`.
        state: of the stage.
        device: where it runs.

    Raises:
        ValueError: the stage is not trained, or its tensors do not fit.
    """
    if "transformer" not in state:
        raise ValueError(f"the stage {name} is not trained")
    network = build_transformer(model, name, device)
    load_network(network, state["transformer"])
    return network.eval().requires_grad_(False).double()
