"""The networks of a configuration."""

import torch

from vidbench.stage import State, load_network

from .config import ModelConfig
from .contrastive_discriminator import ContrastiveDiscriminator
from .image_networks import ImageDiscriminator, ImageGenerator
from .motion_generator import MotionGenerator
from .patch_discriminator import PatchDiscriminator


def build_image_generator(model: ModelConfig, device: str) -> ImageGenerator:
    """The image generator of a configuration."""
    image = model.image
    return ImageGenerator(image.channels, z_dim=image.z_dim, mapping_layers=image.mapping_layers).to(device)


def build_image_discriminator(model: ModelConfig, device: str) -> ImageDiscriminator:
    """What the image generator is trained against."""
    return ImageDiscriminator(model.image.channels).to(device)


def build_motion_generator(model: ModelConfig, device: str) -> MotionGenerator:
    """The motion generator of a configuration; its directions are 0 until they are known."""
    steps = torch.zeros(model.motion.components, model.image.z_dim)
    return MotionGenerator(steps, hidden=model.motion.hidden, strength=model.motion.strength).to(device)


def build_video_discriminator(model: ModelConfig, device: str) -> PatchDiscriminator:
    """The discriminator of videos: of one domain it sees the first frame beside each."""
    motion = model.motion
    return PatchDiscriminator(3, 3 if motion.cross_domain else 6, motion.video_widths).to(device)


def build_frame_discriminator(
    model: ModelConfig, batch: int, device: str
) -> PatchDiscriminator | ContrastiveDiscriminator:
    """The discriminator of single frames beside the first: of one domain or of two."""
    motion = model.motion
    if not motion.cross_domain:
        return PatchDiscriminator(2, 6, motion.image_widths).to(device)
    return ContrastiveDiscriminator(
        motion.side,
        batch=batch,
        width=motion.contrastive_width,
        features=motion.contrastive_features,
        length=motion.queue,
    ).to(device)


def frozen_image_generator(model: ModelConfig, state: State, device: str) -> ImageGenerator:
    """The moving average of a trained stage `image`, in evaluation mode.

    Raises:
        ValueError: the stage is not trained, or its tensors do not fit.
    """
    if "G_ema" not in state:
        raise ValueError("the stage image is not trained")
    network = build_image_generator(model, device).eval().requires_grad_(False)
    load_network(network, state["G_ema"])
    return network
