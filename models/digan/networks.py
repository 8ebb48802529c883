"""DIGAN's networks as its configuration has them."""

from vidbench.models.layers.precision import Precision

from .config import ModelConfig
from .discriminator import Discriminator
from .generator import Generator


def build_generator(model: ModelConfig, device: str) -> Generator:
    """The generator of a configuration.

    Raises:
        ValueError: a device without the float64 that phases are computed in.
    """
    if device.startswith("mps"):
        raise ValueError("phases are computed in float64, which mps does not have; use cpu or cuda")
    network = Generator(
        resolution=model.resolution,
        z_dim=model.z_dim,
        w_dim=model.w_dim,
        mapping_layers=model.mapping_layers,
        channel_base=model.channel_base,
        channel_max=model.channel_max,
        base_resolution=model.base_resolution,
        num_waves=model.num_waves,
        motion_sigma=model.motion_sigma,
        rank=model.rank,
        extra_layers_at=model.extra_layers_at,
    )
    return network.to(device)


def build_discriminator(model: ModelConfig, device: str) -> Discriminator:
    """The discriminators of a configuration; half precision on a GPU only, limits everywhere."""
    network = Discriminator(
        resolution=model.resolution,
        channel_base=model.channel_base,
        channel_max=model.channel_max,
        mbstd_group_size=model.mbstd_group_size,
        precision=Precision(0 if device == "cpu" else model.num_fp16_res, model.conv_clamp),
    )
    return network.to(device)
