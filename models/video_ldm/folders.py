"""Image latent diffusion models in folders, in the layout of diffusers."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from .backbone import Backbone, require_supported


@dataclass(frozen=True)
class ImageModel:
    """An image latent diffusion model from a folder."""

    unet: Backbone
    """`UNet2DModel`, or with text `UNet2DConditionModel`."""
    vae: Backbone
    """`AutoencoderKL`."""
    schedule: dict[str, Any]
    """What the UNet was trained with; latents are not clipped, which is diffusers' default."""
    scaling_factor: float
    """Latents times this are what the UNet sees."""
    text_width: int | None
    """Of the text's tokens; None without text."""

    @property
    def unit(self) -> int:
        """What sides of frames are multiples of; UNets with text take latents of any size."""
        halvings = len(self.vae.config["block_out_channels"]) - 1
        if self.text_width is None:
            halvings += len(self.unet.config["block_out_channels"]) - 1
        return int(2**halvings)


def load_image_model(folder: Path) -> ImageModel:
    """Read `unet`, `vae` and `scheduler` of a folder, from safetensors alone, never from the network.

    Raises:
        ValueError: something is missing, or is not supported; the message names it.
    """
    if folder.is_file():
        raise ValueError(
            f"{folder} is a single file; diffusers' from_single_file reads it and save_pretrained makes the folder"
        )
    unet = load_unet(folder / "unet")
    config = read_config(folder / "vae" / "config.json")
    for key in ("shift_factor", "latents_mean", "latents_std"):
        if config.get(key) is not None:
            raise ValueError(f"the autoencoder of {folder} has {key}, which is not supported")
    channels = {unet.config["in_channels"], unet.config["out_channels"], config.get("latent_channels", 4)}
    if len(channels) > 1:
        raise ValueError(f"the UNet of {folder} does not take and give the latents of its autoencoder")
    if unet.class_embedding is not None:
        raise ValueError(f"the UNet of {folder} takes labels, which is not supported")
    return ImageModel(
        unet=unet,
        vae=load_weights(folder / "vae", ("AutoencoderKL",)),
        schedule={**read_config(folder / "scheduler" / "scheduler_config.json"), "clip_sample": False},
        scaling_factor=float(config.get("scaling_factor", 0.18215)),
        text_width=getattr(unet.config, "cross_attention_dim", None),
    )


def load_unet(folder: Path) -> Backbone:
    """Read an image UNet of either class.

    Raises:
        ValueError: as `load_image_model`.
    """
    config = read_config(folder / "config.json")
    try:
        require_supported(config)
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from None
    return load_weights(folder, ("UNet2DModel", "UNet2DConditionModel"))


def load_weights(folder: Path, classes: Sequence[str]) -> Backbone:
    """Read a network of one of some classes of diffusers, in float32.

    Raises:
        ValueError: it is of another class, has no safetensors file, or one that does not fit it.
    """
    import diffusers

    name = read_config(folder / "config.json").get("_class_name", "network of no class")
    if name not in classes:
        raise ValueError(f"{folder} holds a {name}, not a {' or a '.join(classes)}")
    files = [file.name for file in folder.glob("*.safetensors")]
    if not files:
        raise ValueError(
            f"{folder} has no .safetensors file; diffusers' save_pretrained(..., safe_serialization=True) writes one"
        )
    variant = "fp16" if all(".fp16" in file for file in files) else None
    try:
        network, read = getattr(diffusers, name).from_pretrained(
            folder,
            variant=variant,
            local_files_only=True,
            use_safetensors=True,
            low_cpu_mem_usage=False,
            output_loading_info=True,
        )
    except (OSError, RuntimeError, TypeError, ValueError, SafetensorError) as error:
        raise ValueError(f"{folder} cannot be read: {str(error).strip().splitlines()[0]}") from None
    if read["missing_keys"]:
        raise ValueError(f"{folder} has no tensor {sorted(read['missing_keys'])[0]}")
    return network.float().eval()


def read_config(file: Path) -> dict[str, Any]:
    """A configuration of diffusers.

    Raises:
        ValueError: it is not there, or not an object.
    """
    try:
        config = json.loads(file.read_text())
    except FileNotFoundError:
        raise ValueError(f"{file} does not exist; an image model is a folder with unet, vae and scheduler") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"{file} cannot be read: {error}") from None
    if not isinstance(config, dict):
        raise ValueError(f"{file} is not a configuration of diffusers")
    return config
