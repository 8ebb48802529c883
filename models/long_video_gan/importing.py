"""LongVideoGAN's networks as its authors store them: a file a stage, with the averaged generator."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from vidbench.stage import Imported, Network, Snapshot, require_fit

from .lowres_generator import OUTPUT_SCALE, PADDING
from .networks import (
    build_lowres_discriminator,
    build_lowres_generator,
    build_superres_discriminator,
    build_superres_generator,
)
from .official import SIZES, STAGES, configuration

BUILDERS = {
    "lowres G": build_lowres_generator,
    "lowres D": build_lowres_discriminator,
    "superres G": build_superres_generator,
    "superres D": build_superres_discriminator,
}
MARKS = {
    "lowres G": r"temporal_emb\.blur_filters",
    "lowres D": r"epilogue\.conv1d_0\.weight",
    "superres G": r"SG3\.synthesis\..*",
    "superres D": r"upsample\.filter",
}
"""A tensor's name that tells a network."""
ARGUMENTS: dict[str, dict[str, Any]] = {
    "lowres G": {
        **dict.fromkeys(("out_height", "out_width", "channels", "temporal_emb_dim", "latent_w_dim", "num_fp16_layers")),
        "temporal_ksize": 3,
        "spatial_ksize": 3,
        "temporal_padding": PADDING,
        "spatial_padding": 0,
        "output_scale": OUTPUT_SCALE,
        "embedding_kwargs": {
            **dict.fromkeys(("min_sampling_rate", "max_sampling_rate", "blur_widths")),
            "cutoff": 2,
            "width": 12,
            "sampling_rate_base": 2,
            "normalize_per_filter": 1,
        },
        "mapping_kwargs": {"num_layers": 2, "activation": "lrelu", "lrate_mul": 0.01, "normalize_input": True},
    },
    "lowres D": {
        **dict.fromkeys(("seq_length", "max_edge", "block_channels", "num_fp16_res", "channels_base", "channels_max")),
        "channels": 3,
        "temporal_ksize": 5,
        "spatial_ksize": 3,
        "conv_clamp": 256,
        "epilogue_kwargs": {"channels": None, "num_downsamples": 0, "num_conv1d_layers": 4, "num_linear_layers": 2},
    },
    "superres G": {
        **dict.fromkeys((*SIZES, "temporal_context", "latent_z_dim", "latent_w_dim", "margin_size", "num_layers")),
        **dict.fromkeys(("channel_base", "channel_max", "num_fp16_res")),
        "fourfeats": False,
    },
    "superres D": {
        **dict.fromkeys((*SIZES, "seq_length", "channels_base", "channels_max", "num_fp16_res")),
        "channels": 3,
        "conv_clamp": 256,
    },
}
"""What constructors may have been given: None for any value, otherwise the one that networks here have.

Any value do those have that are read, those that tensors tell, those that do nothing there, and the half precision of
the low-resolution networks, which are computed in full precision here.
"""


def read_official(snapshots: Sequence[Snapshot]) -> Imported:
    """LongVideoGAN in its authors' files: one a stage, either or both of them, in any order.

    Of a stage that is not among them the configuration says what fits the other one: low-resolution frames of the size
    that super-resolution takes, or frames of four times their size, as in the paper. All else is the paper's.

    Args:
        snapshots: the files; their networks `G_ema`, and `G` and `D` where they are in them.

    Raises:
        ValueError: they are not of LongVideoGAN, or not as expected; the message completes a sentence about them.
    """
    found: dict[str, dict[str, Network]] = {}
    for snapshot in snapshots:
        stage, networks = stage_of(snapshot)
        if stage in found:
            raise ValueError(f"two files are of the stage {stage}, of which there can be one")
        found[stage] = networks
    config = configuration(found)
    for stage, networks in found.items():
        for name, network in networks.items():
            build = BUILDERS[f"{stage} {name[0]}"]
            with torch.device("meta"):
                expected = build(config.model, "meta")
            try:
                require_fit(expected, network.tensors)
                require_filters(build(config.model, "cpu"), network.tensors)
            except ValueError as error:
                raise ValueError(f"{stage} {name}: {error}") from error
    states = {
        stage: {name: network.tensors for name, network in found[stage].items()} for stage in STAGES if stage in found
    }
    steps = {snapshot.stats.get("batch_idx") for snapshot in snapshots}
    done = steps.pop() if len(steps) == 1 else 0
    return Imported(config, states, done if isinstance(done, int) else 0)


def stage_of(snapshot: Snapshot) -> tuple[str, dict[str, Network]]:
    """The stage that a file is of, and its networks of the names G, D and G_ema.

    Raises:
        ValueError: there is no averaged generator in it, or networks that are unknown or do not belong together.
    """
    networks: dict[str, Network] = {
        name: snapshot.networks[name] for name in ("G", "D", "G_ema") if name in snapshot.networks
    }
    if "G_ema" not in networks:
        raise ValueError(
            f"a file has no averaged generator G_ema, but {', '.join(snapshot.networks)}; the authors' training writes"
            " it to a file of its own"
        )
    stage, _, _ = kind_of("G_ema", networks["G_ema"]).partition(" ")
    for name, network in networks.items():
        kind = f"{stage} {name[0]}"
        if (other := kind_of(name, network)) != kind:
            raise ValueError(f"{name} is the network {other} instead of {kind}")
        if unknown := list(unknown_arguments(network.arguments, ARGUMENTS[kind])):
            raise ValueError(f"{stage} {name} was built with unknown arguments: {', '.join(unknown)}")
    return stage, networks


def kind_of(name: str, network: Network) -> str:
    """Which of the four networks it is.

    Raises:
        ValueError: none of them.
    """
    for kind, mark in MARKS.items():
        if any(re.fullmatch(mark, tensor) for tensor in network.tensors):
            return kind
    raise ValueError(f"{name} is none of LongVideoGAN's networks")


def unknown_arguments(given: Mapping[str, Any], known: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Arguments that are not among the known ones, and those of another value than the known one."""
    for name, value in given.items():
        expected = known.get(name)
        if name not in known or (isinstance(expected, dict) and not isinstance(value, dict)):
            yield f"{path}{name}"
        elif isinstance(expected, dict):
            yield from unknown_arguments(value, expected, f"{path}{name}.")
        elif expected is not None and value != expected:
            yield f"{path}{name} = {value!r:.40} instead of {expected!r}"


def require_filters(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Compare filters with those of a network of the same shapes.

    Raises:
        ValueError: one differs by more than other versions of libraries make it.
    """
    for name, expected in network.named_buffers():
        if "filter" in name:
            scale = expected.abs().amax(dim=-1, keepdim=True)
            if not bool(((tensors[name] - expected).abs() <= 1e-4 * scale).all()):
                raise ValueError(f"the filter {name} is not that of a network with these arguments")
