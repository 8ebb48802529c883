"""MoCoGAN+SG2's networks as the code of StyleGAN-V's authors stores them: the configuration is read off tensors."""

import math
from collections.abc import Sequence
from typing import Any

import torch

from vidbench.models.layers.tensors import highest, shape
from vidbench.stage import Imported, Network, Snapshot, require_fit

from .config import MoCoGANSG2Config
from .discriminator import FRAMES
from .networks import build_discriminator, build_generator

CONV_CLAMP = 256
"""The authors' limit, where none is recorded."""
BATCH, KIMG, EMA_KVIDEOS = 64, 25_000, 20
"""The authors' training of all data sets at 256x256; checkpoints do not record theirs."""


def read_official(snapshots: Sequence[Snapshot]) -> Imported:
    """MoCoGAN+SG2 in a file of StyleGAN-V's authors' code.

    Args:
        snapshots: that file; its networks `G_ema`, and `G` and `D` where they are in it.

    Raises:
        ValueError: it is not MoCoGAN+SG2, or not as expected; the message completes a sentence about the file.
    """
    if len(snapshots) != 1:
        raise ValueError(f"MoCoGAN+SG2 is one file, and {len(snapshots)} were given")
    networks, stats = snapshots[0].networks, snapshots[0].stats
    if "G_ema" not in networks:
        raise ValueError(f"it has no network G_ema, but {', '.join(networks)}")
    ours = {name: networks[name] for name in ("G", "D", "G_ema") if name in networks}
    config = MoCoGANSG2Config(**configuration(ours["G_ema"], ours.get("D")))
    for name, network in ours.items():
        with torch.device("meta"):
            expected = (build_discriminator if name == "D" else build_generator)(config.model, "meta")
        try:
            require_fit(expected, network.tensors)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    steps, fps = stats.get("batch_idx"), sampling(ours["G_ema"]).get("fps")
    return Imported(
        config,
        {"gan": {name: network.tensors for name, network in ours.items()}},
        steps if isinstance(steps, int) else 0,
        fps if isinstance(fps, int | float) and 0 < fps < math.inf else None,
    )


def configuration(generator: Network, discriminator: Network | None) -> dict[str, Any]:
    """The values of a `MoCoGANSG2Config`, the stage as the authors train at 256x256.

    Raises:
        ValueError: a tensor is missing that they are read off, or it is another generator.
    """
    tensors = generator.tensors
    if not any(name.startswith("synthesis.motion_encoder.rnn.") for name in tensors):
        raise ValueError("its motion code has no LSTM: it is not MoCoGAN+SG2")
    if "mapping.embed.weight" in tensors:
        raise ValueError("it is a model of several classes, which the authors' code could not train")
    resolution = highest(tensors, r"synthesis\.b(\d{1,5})\..*")
    if resolution < 16 or resolution & (resolution - 1):
        raise ValueError(f"its highest resolution is {resolution}, and a power of two from 16 on is needed")
    widths = {res: shape(tensors, f"synthesis.b{res}.conv1.weight", 4)[0] for res in (4, resolution)}
    motion_v_dim, motion_z_dim = shape(tensors, "synthesis.motion_encoder.mapping.fc0.weight", 2)
    given = generator.arguments.get("synthesis_kwargs")
    precision = given if given and isinstance(given, dict) else {"conv_clamp": CONV_CLAMP}
    model = {
        "resolution": resolution,
        "z_dim": shape(tensors, "mapping.fc0.weight", 2)[1],
        "w_dim": shape(tensors, "mapping.w_avg", 1)[0],
        "mapping_layers": 1 + highest(tensors, r"mapping\.fc(\d{1,3})\.weight"),
        "channel_base": resolution * widths[resolution],
        "channel_max": widths[4],
        "motion_z_dim": motion_z_dim,
        "motion_v_dim": motion_v_dim,
        "num_fp16_res": precision.get("num_fp16_res", 0),
        "conv_clamp": precision.get("conv_clamp"),
    }
    if discriminator is not None:
        model["video_width"] = shape(discriminator.tensors, "video_discr.main.1.weight", 5)[0]
        model["mbstd_group_size"] = discriminator.attributes.get("image_discr.b4.mbstd.group_size", 4)
    if (longest := sampling(generator).get("max_num_frames")) is not None:
        model["max_num_frames"] = longest
    stage = {
        "steps": KIMG * 1000 // (BATCH * FRAMES),
        "batch": BATCH,
        "gamma": 0.0002 * resolution**2 / BATCH,
        "ema_kvideos": EMA_KVIDEOS,
        "checkpoint_every": 100,
        "evaluate_every": 1000,
        "metric": "fvd16",
    }
    return {"name": "official", "model": model, "stages": {"gan": stage}}


def sampling(generator: Network) -> dict[str, Any]:
    """The sampling of frames that the generator keeps."""
    found = generator.attributes.get("sampling_dict")
    return found if isinstance(found, dict) else {}
