"""StyleGAN-V's networks as its authors store them: the configuration is read off tensors, and little else."""

import math
import re
from collections.abc import Sequence
from typing import Any

import torch

from vidbench.models.layers.tensors import highest, shape
from vidbench.stage import Imported, Network, Snapshot, require_fit

from .config import StyleGANVConfig
from .frames import FrameSampling
from .motion import PAPER
from .networks import build_discriminator, build_generator

ARGUMENTS: dict[str, dict[str, tuple[str, ...]]] = {
    "G": {
        "": ("z_dim", "c_dim", "w_dim", "img_resolution", "img_channels", "cfg", "mapping_kwargs", "synthesis_kwargs"),
        "mapping_kwargs": ("num_layers", "cfg"),
        "synthesis_kwargs": ("num_fp16_res", "conv_clamp", "channel_base", "channel_max", "cfg"),
    },
    "D": {
        "": (
            *("c_dim", "img_resolution", "img_channels", "cfg", "block_kwargs", "mapping_kwargs", "epilogue_kwargs"),
            *("num_fp16_res", "conv_clamp", "channel_base", "channel_max"),
        ),
        "block_kwargs": ("freeze_layers",),
        "mapping_kwargs": ("num_layers",),
        "epilogue_kwargs": ("mbstd_group_size", "mbstd_num_channels"),
    },
}
"""What the networks' constructors may have been given."""
OTHERS = {
    r"synthesis\.motion_encoder\.rnn\..*": "it is MoCoGAN+SG2, another system",
    r".*\.noise_const": "its generator adds noise, which StyleGAN-V's does not",
    r"synthesis\.b8\.skip\.weight": "its generator adds up features instead of colours",
}
"""Generators of the same code that are not StyleGAN-V, by a tensor's name."""
CONV_CLAMP = 256
"""The authors' limit, where none is recorded."""
BATCH, KIMG, EMA_KVIDEOS = 64, 25_000, 20
"""The authors' training of all data sets at 256x256; checkpoints do not record theirs."""


def read_official(snapshots: Sequence[Snapshot]) -> Imported:
    """StyleGAN-V in its authors' file.

    Args:
        snapshots: that file; its networks `G_ema`, and `G` and `D` where they are in it.

    Raises:
        ValueError: it is not StyleGAN-V, or not as expected; the message completes a sentence about the file.
    """
    if len(snapshots) != 1:
        raise ValueError(f"StyleGAN-V is one file, and {len(snapshots)} were given")
    networks, stats = snapshots[0].networks, snapshots[0].stats
    if "G_ema" not in networks:
        raise ValueError(f"it has no network G_ema, but {', '.join(networks)}")
    ours: dict[str, Network] = {name: networks[name] for name in ("G", "D", "G_ema") if name in networks}
    for name, network in ours.items():
        require_arguments(name, network.arguments)
    config = StyleGANVConfig(**configuration(ours["G_ema"], ours.get("D")))
    parts = {name: network.tensors for name, network in ours.items()}
    for name, tensors in parts.items():
        with torch.device("meta"):
            expected = (build_discriminator if name == "D" else build_generator)(config.model, "meta")
        try:
            require_fit(expected, tensors)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    fps = sampling(ours["G_ema"]).get("fps")
    return Imported(config, {"gan": parts}, number(stats.get("batch_idx"), 0), fps if positive(fps) else None)


def require_arguments(name: str, arguments: dict[str, Any]) -> None:
    """Refuse constructor arguments that StyleGAN-V's code does not have.

    Raises:
        ValueError: with their names.
    """
    unknown = []
    for part, known in ARGUMENTS["D" if name == "D" else "G"].items():
        given = (arguments.get(part) if part else arguments) or {}
        if isinstance(given, dict):
            unknown += [f"{part}.{key}".lstrip(".") for key in given if key not in known]
        else:
            unknown.append(part)
    if unknown:
        raise ValueError(f"{name} was built with unknown arguments: {', '.join(unknown)}")


def configuration(generator: Network, discriminator: Network | None) -> dict[str, Any]:
    """The values of a `StyleGANVConfig`, the stage as the authors train at 256x256.

    Raises:
        ValueError: a tensor is missing that they are read off, or it is another generator.
    """
    tensors = generator.tensors
    for pattern, what in OTHERS.items():
        if any(re.fullmatch(pattern, name) for name in tensors):
            raise ValueError(what)
    resolution = highest(tensors, r"synthesis\.b(\d{1,5})\..*")
    if resolution < 16 or resolution & (resolution - 1):
        raise ValueError(f"its highest resolution is {resolution}, and a power of two from 16 on is needed")
    widths = {res: shape(tensors, f"synthesis.b{res}.conv1.weight", 4)[0] for res in (4, resolution)}
    channels = shape(tensors, f"synthesis.b{resolution}.torgb.weight", 4)[0]
    if channels != 3:
        raise ValueError(f"its frames have {channels} channels, and 3 are needed")
    w_dim = shape(tensors, "mapping.w_avg", 1)[0]
    c_dim = shape(tensors, "mapping.embed.weight", 2)[1] if "mapping.embed.weight" in tensors else 0
    frames = sampling(generator)
    model = {
        "resolution": resolution,
        "z_dim": shape(tensors, "mapping.fc0.weight", 2)[1] - (w_dim if c_dim else 0),
        "w_dim": w_dim,
        "c_dim": c_dim,
        "mapping_layers": 1 + highest(tensors, r"mapping\.fc(\d{1,3})\.weight"),
        "channel_base": resolution * widths[resolution],
        "channel_max": widths[4],
        **precision(generator, discriminator),
    }
    longest, count = PAPER.max_num_frames, FrameSampling.num_frames
    if discriminator is not None:
        longest = shape(discriminator.tensors, "time_encoder.const_embed.weight", 2)[0]
        judge = joining(discriminator, resolution)
        count = judge.pop("frames")
        model |= judge
    recorded = number(frames.get("max_num_frames"), longest), number(frames.get("num_frames_per_video"), count)
    if discriminator is not None and recorded != (longest, count):
        raise ValueError(f"D knows videos of {longest} frames by {count}, and G of {recorded[0]} by {recorded[1]}")
    longest, count = recorded
    model["sampling"] = {
        "num_frames": count,
        "max_distance": number(frames.get("max_dist"), FrameSampling.max_distance),
        "max_num_frames": longest,
    }
    model["motion"] = motion(generator, c_dim) | {"max_num_frames": longest}
    return {"name": "official", "model": model, "stages": {"gan": stage(resolution, count)}}


def motion(generator: Network, c_dim: int) -> dict[str, Any]:
    """Sizes of the motion code; the distance of its points is in no tensor, and by default the shortest period."""
    start = "synthesis.motion_encoder"
    z_dim, width, kernel_size = shape(generator.tensors, f"{start}.conv.0.weight", 3)
    if width != z_dim + c_dim:
        raise ValueError(f"its motion tokens have width {width} instead of {z_dim} + {c_dim}")
    freqs = generator.tensors.get(f"{start}.time_encoder.freqs")
    if freqs is None or freqs.ndim != 2 or not freqs.numel() or not bool((freqs > 0).all()):
        raise ValueError("its motion code has no waves")
    shortest, longest = (float(f"{2 * math.pi / float(freqs[0, i]):.6g}") for i in (-1, 0))
    recorded = settings(generator).get("motion")
    distance = recorded.get("motion_z_distance") if isinstance(recorded, dict) else None
    return {
        "z_dim": z_dim,
        "v_dim": shape(generator.tensors, f"{start}.conv.1.weight", 3)[0],
        "kernel_size": kernel_size,
        "distance": distance if positive(distance) else max(round(shortest), 1),
        "time_dim": freqs.shape[1],
        "min_period": shortest,
        "max_period": longest,
    }


def joining(discriminator: Network, resolution: int) -> dict[str, Any]:
    """Where the discriminator joins frames, how many, and of what minibatch it is shown the deviation."""
    tensors = discriminator.tensors
    width = shape(tensors, f"b{resolution}.fromrgb.weight", 4)[0]
    found: dict[str, Any] = {}
    while resolution > 4:
        rows, columns = shape(tensors, f"b{resolution}.conv0.weight", 4)[:2]
        if columns != width:
            found = {"concat_res": resolution, "concat_divisor": rows // width, "frames": columns // width}
        width = shape(tensors, f"b{resolution}.conv1.weight", 4)[0]
        resolution //= 2
    if not found:
        raise ValueError("D joins no frames")
    group = discriminator.attributes.get("b4.mbstd.group_size")
    return found | {"mbstd_group_size": number(group, 4)}


def precision(generator: Network, discriminator: Network | None) -> dict[str, Any]:
    """Half precision and limits: full precision and the authors' limit where arguments are not recorded.

    Raises:
        ValueError: the two networks differ.
    """
    found = of_arguments(generator.arguments.get("synthesis_kwargs"))
    if discriminator and discriminator.arguments and (other := of_arguments(discriminator.arguments)) != found:
        raise ValueError(f"G has {found}, and D has {other}; they must agree")
    return found


def of_arguments(given: Any) -> dict[str, Any]:
    """`num_fp16_res` and `conv_clamp` in the arguments of a constructor."""
    if not given:
        return {"num_fp16_res": 0, "conv_clamp": CONV_CLAMP}
    return {"num_fp16_res": given.get("num_fp16_res", 0), "conv_clamp": given.get("conv_clamp")}


def stage(resolution: int, frames: int) -> dict[str, Any]:
    """Settings of the authors' training at 256x256, for a configuration that needs some."""
    return {
        "steps": KIMG * 1000 // (BATCH * frames),
        "batch": BATCH,
        "gamma": 0.0002 * resolution**2 / BATCH,
        "ema_kvideos": EMA_KVIDEOS,
        "checkpoint_every": 500,
        "evaluate_every": 5000,
        "metric": "fvd16",
    }


def settings(network: Network) -> dict[str, Any]:
    """The configuration that a network keeps."""
    found = network.attributes.get("cfg")
    return found if isinstance(found, dict) else {}


def sampling(generator: Network) -> dict[str, Any]:
    """The sampling of frames that the generator keeps."""
    found = generator.attributes.get("sampling_dict") or settings(generator).get("sampling")
    return found if isinstance(found, dict) else {}


def number(value: Any, default: int) -> int:
    """A whole number, or the default for anything else."""
    return value if isinstance(value, int) else default


def positive(value: Any) -> bool:
    """Whether something is a number above 0."""
    return isinstance(value, int | float) and 0 < value < math.inf
