"""The configuration of LongVideoGAN's networks in its authors' files: read off tensors and constructor arguments."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from vidbench.models.layers.alias_free import signals
from vidbench.models.layers.tensors import shape
from vidbench.stage import Network

from .config import LongVideoGANConfig
from .temporal_noise import PAPER, TimeScales

STAGES = {
    "lowres": {"steps": 100_000, "batch": 64, "accumulation": 2, "metric": "fvd128"},
    "superres": {"steps": 275_000, "batch": 32, "metric": "fvd16"},
}
"""The authors' training, where it is not what a configuration says by default; files do not record theirs."""
INTERVALS = {"checkpoint_every": 500, "evaluate_every": 5000}
"""What a configuration of a stage needs besides."""
ENLARGED = 4
"""Factor between the paper's two sizes: 36x64 to 144x256, and 64x64 to 256x256."""
NUM_FP16_RES = 4
"""Of the authors' super-resolution networks, where none is recorded."""
SIZES = ("hr_height", "hr_width", "lr_height", "lr_width")
"""Arguments of both super-resolution networks."""
LAYER = re.compile(r"(SG3\.synthesis\.L(\d{1,2})_(\d{1,4})_(\d{1,4})_(\d{1,5}))\.weight")
"""A layer of the super-resolution generator: its number, width, height and channels."""


def configuration(found: Mapping[str, Mapping[str, Network]]) -> LongVideoGANConfig:
    """The configuration of the networks of one stage or both, by stage and name.

    Raises:
        ValueError: a tensor is missing that it is read off, or the two stages do not fit each other.
    """
    model: dict[str, dict[str, Any]] = {}
    if "lowres" in found:
        low = model["lowres"] = lowres_model(found["lowres"])
        model["superres"] = {side: low[side] * ENLARGED for side in ("height", "width")}
    if "superres" in found:
        given = arguments(found["superres"]["G_ema"])
        taken = {side: positive(given, f"lr_{side}") for side in ("height", "width")}
        low = model.setdefault("lowres", taken)
        if (made := {side: low[side] for side in taken}) != taken:
            sizes = ["{height}x{width}".format(**size) for size in (made, taken)]
            raise ValueError(f"the low-resolution frames are of {sizes[0]}, and super-resolution takes {sizes[1]}")
        model["superres"] = superres_model(found["superres"])
    stages = {stage: settings | INTERVALS for stage, settings in STAGES.items()}
    try:
        return LongVideoGANConfig.model_validate({"name": "official", "model": model, "stages": stages})
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def lowres_model(networks: Mapping[str, Network]) -> dict[str, Any]:
    """The values of a `LowResModel`."""
    generator, judge = networks["G_ema"], networks.get("D")
    tensors, given = generator.tensors, arguments(generator)
    layers = [*(f"temporal_layers.{i}" for i in range(6)), *(f"spatial_layers.{i}" for i in range(4))]
    w_dim, temporal_emb_dim = shape(tensors, "latent_mapping.layer_0.weight", 2)
    count, _, reach = shape(tensors, "temporal_emb.blur_filters", 3)
    bank = generator.arguments.get("embedding_kwargs", {})
    scales = TimeScales(
        positive(bank, "min_sampling_rate", PAPER.min_rate), positive(bank, "max_sampling_rate", PAPER.max_rate), count
    )
    if scales.reach != reach:
        raise ValueError(f"its temporal filters have {reach} taps instead of {scales.reach}")
    found = {
        "height": positive(given, "out_height", 36),
        "width": positive(given, "out_width", 64),
        "channels": [
            shape(tensors, "spatial_input", 5)[1],
            *(shape(tensors, f"{layer}.weight_1", 5)[0] for layer in layers),
        ],
        "temporal_emb_dim": temporal_emb_dim,
        "w_dim": w_dim,
        "scales": scales,
    }
    if judge is not None:
        widths = [shape(judge.tensors, f"blocks.{i}.conv_1.weight", 5)[:2] for i in range(4)]
        found |= {
            "frames": positive(arguments(judge), "seq_length", 128),
            "discriminator_channels": [widths[0][1], *(after for after, _ in widths)],
            "head_channels": shape(judge.tensors, "epilogue.conv1d_0.weight", 3)[0],
        }
    return found


def superres_model(networks: Mapping[str, Network]) -> dict[str, Any]:
    """The values of a `SuperResModel`."""
    generator, judge = networks["G_ema"], networks.get("D")
    tensors = generator.tensors
    layers = {int(match[2]): match for match in map(LAYER.fullmatch, tensors) if match}
    num_layers = len(layers) - 1
    if num_layers < 4 or max(layers) != num_layers:
        raise ValueError("super-resolution has no layers L0, L1 and so on, up to L4 at least")
    width, height = int(layers[num_layers][3]), int(layers[num_layers][4])
    w_dim, z_dim = shape(tensors, "SG3.mapping.fc0.weight", 2)
    stacked = shape(tensors, f"{layers[0][1]}.weight", 4)[1]
    found = {
        "height": height,
        "width": width,
        "context": (stacked // 3 - 1) // 2,
        "z_dim": z_dim,
        "w_dim": w_dim,
        "margin": (int(layers[0][3]) - signals(height, width, num_layers=num_layers)[0].rate) // 2,
        "num_layers": num_layers,
        **generator_widths(height, width, [int(layers[i][5]) for i in range(num_layers)]),
        "num_fp16_res": arguments(generator).get("num_fp16_res", NUM_FP16_RES),
    }
    if judge is not None:
        ours, others = generator.arguments, judge.arguments
        for name in (*SIZES, "num_fp16_res"):
            if name in ours and name in others and ours[name] != others[name]:
                raise ValueError(f"G_ema has {name} = {ours[name]!r:.40}, and D has {others[name]!r:.40}")
        widths = {2**i: shape(judge.tensors, f"b{2**i}.conv0.weight", 4)[0] for i in range(3, width.bit_length())}
        widths[4] = shape(judge.tensors, "b4.conv.weight", 4)[0]
        found |= {
            "frames": shape(judge.tensors, f"b{width}.fromrgb.weight", 4)[1] // 6,
            "discriminator_channel_base": max(side * channels for side, channels in widths.items()),
            "discriminator_channel_max": max(widths.values()),
        }
    return found


def generator_widths(height: int, width: int, widths: Sequence[int]) -> dict[str, int]:
    """A base and a limit that these widths of layers come of; of several bases, what the last width says exactly.

    Raises:
        ValueError: there are none.
    """
    side, limit = max(height, width), max(widths)
    exact = side * widths[-1]
    for base in sorted(range(exact - side // 2, exact + side // 2 + 1), key=lambda base: abs(base - exact)):
        plan = signals(height, width, num_layers=len(widths), channel_base=base, channel_max=limit)
        if [signal.channels for signal in plan[:-1]] == list(widths):
            return {"channel_base": base, "channel_max": limit}
    raise ValueError(f"no such generator has layers of {', '.join(map(str, widths))} channels")


def arguments(network: Network) -> dict[str, Any]:
    """What a network was built with; attributes stand for arguments that were not recorded."""
    return network.attributes | network.arguments


def positive(values: Mapping[str, Any], name: str, default: float | None = None) -> Any:
    """A number above 0 among what a network was built with.

    Raises:
        ValueError: it is something else, or missing and without a default.
    """
    value = values.get(name, default)
    if not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ValueError(f"its {name} is {value!r:.40}, and a number above 0 is needed")
    return value
