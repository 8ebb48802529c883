"""The four networks of a configuration."""

from vidbench.models.layers.precision import Precision

from .config import ModelConfig, SuperResModel
from .lowres_discriminator import LowResDiscriminator
from .lowres_generator import LowResGenerator
from .superres_discriminator import SuperResDiscriminator
from .superres_generator import PRECISION, SuperResGenerator


def build_lowres_generator(model: ModelConfig, device: str) -> LowResGenerator:
    """The low-resolution generator of a configuration."""
    low = model.lowres
    network = LowResGenerator(
        height=low.height,
        width=low.width,
        channels=low.channels,
        temporal_emb_dim=low.temporal_emb_dim,
        w_dim=low.w_dim,
        scales=low.scales,
    )
    return network.to(device)


def build_lowres_discriminator(model: ModelConfig, device: str) -> LowResDiscriminator:
    """The low-resolution discriminator of a configuration."""
    low = model.lowres
    network = LowResDiscriminator(
        frames=low.frames,
        edge=max(low.height, low.width),
        channels=low.discriminator_channels,
        head_channels=low.head_channels,
    )
    return network.to(device)


def build_superres_generator(model: ModelConfig, device: str) -> SuperResGenerator:
    """The super-resolution generator of a configuration."""
    low, high = model.lowres, model.superres
    network = SuperResGenerator(
        hr_height=high.height,
        hr_width=high.width,
        lr_height=low.height,
        lr_width=low.width,
        temporal_context=high.context,
        latent_z_dim=high.z_dim,
        latent_w_dim=high.w_dim,
        margin_size=high.margin,
        num_layers=high.num_layers,
        channel_base=high.channel_base,
        channel_max=high.channel_max,
        precision=precision_of(high, device),
    )
    return network.to(device)


def build_superres_discriminator(model: ModelConfig, device: str) -> SuperResDiscriminator:
    """The super-resolution discriminator of a configuration."""
    low, high = model.lowres, model.superres
    network = SuperResDiscriminator(
        hr_height=high.height,
        hr_width=high.width,
        lr_height=low.height,
        lr_width=low.width,
        seq_length=high.frames,
        channels_base=high.discriminator_channel_base,
        channels_max=high.discriminator_channel_max,
        precision=precision_of(high, device),
    )
    return network.to(device)


def precision_of(high: SuperResModel, device: str) -> Precision:
    """Half precision is for GPUs; the first stage has none anywhere."""
    return Precision(high.num_fp16_res, PRECISION.conv_clamp) if device.startswith("cuda") else PRECISION
