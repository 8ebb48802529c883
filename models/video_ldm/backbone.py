"""The image networks, which are those of diffusers: how they are made, and which of them can carry temporal layers."""

from collections.abc import Mapping, Sequence
from typing import Any

Backbone = Any
"""A network of diffusers, or a part of one, whose types PyTorch does not tell."""

BLOCKS = {
    "DownBlock2D",
    "AttnDownBlock2D",
    "CrossAttnDownBlock2D",
    "UpBlock2D",
    "AttnUpBlock2D",
    "CrossAttnUpBlock2D",
    "UNetMidBlock2D",
    "UNetMidBlock2DCrossAttn",
}
MIDDLES = {"UNet2DModel": "UNetMidBlock2D", "UNet2DConditionModel": "UNetMidBlock2DCrossAttn"}
"""Classes that are supported, and the middle block of each."""
PLAIN = {
    "time_embedding_type": "positional",
    "center_input_sample": False,
    "dual_cross_attention": False,
    "addition_embed_type": None,
    "encoder_hid_dim_type": None,
    "class_embeddings_concat": False,
}
"""Settings of image UNets, with the one value that is supported, which is the default."""


def require_supported(config: Mapping[str, Any]) -> None:
    """Look through the configuration of a diffusers UNet, before it is made or loaded.

    Raises:
        ValueError: it is of another class, or has blocks or settings that temporal layers cannot be put between.
    """
    name = str(config.get("_class_name"))
    if name not in MIDDLES:
        raise ValueError(f"an image UNet is a {' or a '.join(MIDDLES)}, not a {name}")
    middle = config.get("mid_block_type", MIDDLES[name])
    blocks = [*config.get("down_block_types", ()), middle, *config.get("up_block_types", ())]
    unknown = [str(block) for block in blocks if block not in BLOCKS]
    if unknown:
        raise ValueError(f"an image UNet with {', '.join(unknown)} is not supported, only {', '.join(sorted(BLOCKS))}")
    for key, plain in PLAIN.items():
        if config.get(key, plain) != plain:
            raise ValueError(f"an image UNet with {key} = {config[key]} is not supported")
    if config.get("norm_num_groups", 32) is None:
        raise ValueError("an image UNet without group norm is not supported")


def build_autoencoder(
    channels: Sequence[int], layers: int, groups: int, latent_channels: int, size: tuple[int, int]
) -> Backbone:
    """An autoencoder whose latents have sides smaller by 2 to the number of levels less one.

    Args:
        channels: of each level, beginning with the pixels'.
        layers: residual blocks of a level.
        groups: of the norms.
        latent_channels: of the latents.
        size: of the images, noted in its configuration.
    """
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=tuple(channels),
        down_block_types=("DownEncoderBlock2D",) * len(channels),
        up_block_types=("UpDecoderBlock2D",) * len(channels),
        layers_per_block=layers,
        norm_num_groups=groups,
        latent_channels=latent_channels,
        sample_size=max(size),
    )


def build_unet(
    in_channels: int,
    out_channels: int,
    channels: Sequence[int],
    layers: int,
    groups: int,
    attention: Sequence[bool],
    head_width: int = 8,
    num_labels: int | None = None,
) -> Backbone:
    """An image UNet without text.

    Args:
        in_channels: of what is denoised and what is concatenated to it.
        out_channels: of what is denoised.
        channels: of each level.
        layers: residual blocks of a level.
        groups: of the norms.
        attention: whether each level has it; the middle has it where any level does, so that a network without it is
            a convolution, for images of any size.
        head_width: channels of a head of attention.
        num_labels: as many labels it is told, such as the noise level of what is concatenated.
    """
    from diffusers import UNet2DModel

    down = tuple("AttnDownBlock2D" if has else "DownBlock2D" for has in attention)
    return UNet2DModel(
        in_channels=in_channels,
        out_channels=out_channels,
        block_out_channels=tuple(channels),
        down_block_types=down,
        up_block_types=tuple(block.replace("Down", "Up") for block in reversed(down)),
        layers_per_block=layers,
        norm_num_groups=groups,
        attention_head_dim=head_width,
        add_attention=any(attention),
        num_class_embeds=num_labels,
    )
