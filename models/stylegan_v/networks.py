"""StyleGAN-V's networks as its configuration has them."""

from vidbench.models.layers.precision import Precision

from .config import ModelConfig
from .discriminator import Discriminator
from .generator import Generator


def precision_of(model: ModelConfig, device: str) -> Precision:
    """Half precision on a GPU only; limits everywhere.

    Raises:
        ValueError: a device without the float64 that times are computed in.
    """
    if device.startswith("mps"):
        raise ValueError("times are computed in float64, which mps does not have; use cpu or cuda")
    return Precision(0 if device == "cpu" else model.num_fp16_res, model.conv_clamp)


def build_generator(model: ModelConfig, device: str) -> Generator:
    """The generator of a configuration."""
    network = Generator(
        resolution=model.resolution,
        z_dim=model.z_dim,
        c_dim=model.c_dim,
        w_dim=model.w_dim,
        mapping_layers=model.mapping_layers,
        channel_base=model.channel_base,
        channel_max=model.channel_max,
        motion=model.motion,
        precision=precision_of(model, device),
    )
    return network.to(device)


def build_discriminator(model: ModelConfig, device: str) -> Discriminator:
    """The discriminator of a configuration."""
    network = Discriminator(
        resolution=model.resolution,
        c_dim=model.c_dim,
        num_frames=model.sampling.num_frames,
        max_num_frames=model.motion.max_num_frames,
        channel_base=model.channel_base,
        channel_max=model.channel_max,
        concat_res=model.concat_res,
        concat_divisor=model.concat_divisor,
        mbstd_group_size=model.mbstd_group_size,
        precision=precision_of(model, device),
    )
    return network.to(device)
