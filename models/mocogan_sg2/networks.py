"""MoCoGAN+SG2's networks as its configuration has them."""

from vidbench.models.layers.precision import Precision

from .config import ModelConfig
from .discriminator import Discriminator
from .generator import Generator


def precision_of(model: ModelConfig, device: str) -> Precision:
    """Half precision on a GPU only; limits everywhere."""
    return Precision(0 if device == "cpu" else model.num_fp16_res, model.conv_clamp)


def build_generator(model: ModelConfig, device: str) -> Generator:
    """The generator of a configuration."""
    network = Generator(
        resolution=model.resolution,
        z_dim=model.z_dim,
        w_dim=model.w_dim,
        mapping_layers=model.mapping_layers,
        channel_base=model.channel_base,
        channel_max=model.channel_max,
        motion_z_dim=model.motion_z_dim,
        motion_v_dim=model.motion_v_dim,
        precision=precision_of(model, device),
    )
    return network.to(device)


def build_discriminator(model: ModelConfig, device: str) -> Discriminator:
    """Both discriminators of a configuration."""
    network = Discriminator(
        resolution=model.resolution,
        channel_base=model.channel_base,
        channel_max=model.channel_max,
        video_width=model.video_width,
        mbstd_group_size=model.mbstd_group_size,
        norm_group_size=model.norm_group_size,
        precision=precision_of(model, device),
    )
    return network.to(device)
