"""TATS in its authors' files: its configuration, and its stages (Ge et al., ECCV 2022; release)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from pydantic import ValidationError
from torch import nn

from vidbench.models.layers.tensors import highest, shape
from vidbench.stage import Imported, Snapshot, State, require_fit

from .config import ModelConfig, TATSConfig, TATSHierarchicalConfig, VQGANModel
from .importing import Part, parts_of
from .networks import build_image_discriminator, build_transformer, build_video_discriminator, build_vqgan
from .perceptual import Perceptual

BUILDERS: dict[str, Callable[[ModelConfig, str], nn.Module]] = {
    "vqgan": build_vqgan,
    "D_image": build_image_discriminator,
    "D_video": build_video_discriminator,
    "perceptual": lambda model, device: Perceptual(),
}
STAGES = {
    "vqgan": {"steps": 30_000, "batch": 96},
    "transformer": {"steps": 500_000, "batch": 24},
    "interpolation": {"steps": 500_000, "batch": 24},
}
"""A training like the authors', for a configuration that needs one; files do not record theirs."""
SETTINGS = {"metric": "fvd16", "checkpoint_every": 500, "evaluate_every": 5000}
"""Of all stages."""


def read_official(snapshots: Sequence[Snapshot], *, hierarchical: bool) -> Imported:
    """TATS in its authors' files, in any order: the autoencoder's, and those of transformers.

    Args:
        snapshots: the files.
        hierarchical: whether a second transformer fills in latent frames that the first leaves out.

    Returns:
        Stage `vqgan` with `vqgan`, `D_image` and `D_video`, and VGG's weights as `perceptual` where they are in the
        file; stages `transformer` and `interpolation`, where they are given, with `vqgan` and `transformer`.

    Raises:
        ValueError: they are not of TATS, or not as expected; the message completes a sentence about them.
    """
    parts = parts_of(snapshots)
    if "interpolation" in parts and not hierarchical:
        raise ValueError("there is a transformer among them that fills in latent frames, as in tats-hierarchical alone")
    config = config_of(parts, hierarchical)
    require_one_autoencoder(parts)
    states = {stage: fitted(stage, part, config.model) for stage, part in parts.items()}
    left_out = parts["vqgan"].networks.keys() - states["vqgan"].keys()
    notes = ("VGG's weights are not whole, and are left out.",) if left_out else ()
    return Imported(config, states, steps=next(reversed(parts.values())).steps, notes=notes)


def config_of(parts: Mapping[str, Part], hierarchical: bool) -> TATSConfig:
    """The configuration of these stages.

    Raises:
        ValueError: something is missing that it is read off, or the stages do not fit each other.
    """
    vqgan = vqgan_model(parts)
    model = {"vqgan": vqgan}
    for stage, part in parts.items():
        if stage != "vqgan":
            model[stage] = transformer_model(part, vqgan)
    if "transformer" in parts:
        every = parts["transformer"].arguments.get("sample_every_n_latent_frames") or 1
        wanted = model.get("interpolation", {"latent_frames": every + 1})["latent_frames"] - 1 if hierarchical else 1
        if every != wanted:
            raise ValueError(f"its transformer makes one latent frame of {every}, and {wanted} is needed here")
    stages = {
        stage: settings | SETTINGS for stage, settings in STAGES.items() if hierarchical or stage != "interpolation"
    }
    if hierarchical:
        stages["transformer"] |= {"batch": 32, "lr": 1.44e-4}
    kind = TATSHierarchicalConfig if hierarchical else TATSConfig
    try:
        return kind.model_validate({"name": "official", "model": model, "stages": stages})
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def vqgan_model(parts: Mapping[str, Part]) -> dict[str, Any]:
    """The values of a `VQGANModel`; how much it reduces no tensor tells, and its own file alone says."""
    if "vqgan" not in parts:
        raise ValueError("how much its autoencoder reduces is said in that one's own file alone; give it, too")
    part = parts["vqgan"]
    tensors, judge, given = part.networks["vqgan"], part.networks.get("D_image", {}), part.arguments
    codes, code_width = shape(tensors, "codebook.embeddings", 2)
    downsample, time_step = given.get("downsample"), number(given, "sample_every_n_frames", 1)
    length = number(given, "sequence_length")
    if not isinstance(downsample, list | tuple) or len(downsample) != 3:
        raise ValueError("its arguments do not say downsample")
    model = {
        "side": number(given, "resolution"),
        "frames": length if given.get("image_folder") else -(-length // time_step),
        "time_step": time_step,
        "every_clip": not given.get("image_folder"),
        "downsample": downsample,
        "width": shape(tensors, "encoder.conv_first.conv.weight", 5)[0],
        "codes": codes,
        "code_width": code_width,
        "padding": given.get("padding_type", "replicate"),
    }
    if judge:
        model["discriminator_width"] = shape(judge, "model0.0.weight", 4)[0]
        model["discriminator_layers"] = highest(judge, r"model(\d{1,2})\.0\.weight") - 1
    return VQGANModel.model_validate(model).model_dump()


def transformer_model(part: Part, vqgan: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a `TransformerModel`."""
    if (kind := part.arguments.get("cond_stage_key", "label")) != "label":
        raise ValueError(f"its transformer is conditioned on {str(kind)[:40]}, and classes alone are known here")
    tensors = part.networks["transformer"]
    vocabulary, width = shape(tensors, "tok_emb.weight", 2)
    block, frame = shape(tensors, "pos_emb", 3)[1], VQGANModel.model_validate(vqgan).latent_frame
    if block % frame:
        raise ValueError(f"its {block} tokens are no clip of latent frames of {frame} codes after one token")
    if part.unmasked not in (0, frame):
        raise ValueError(f"it knows {part.unmasked} codes of a latent frame of {frame}")
    return {
        "latent_frames": block // frame,
        "classes": vocabulary - vqgan["codes"],
        "layers": 1 + highest(tensors, r"blocks\.(\d{1,3})\.ln1\.weight"),
        "heads": number(part.arguments, "n_head"),
        "width": width,
    }


def require_one_autoencoder(parts: Mapping[str, Part]) -> None:
    """Refuse transformers that were trained on another autoencoder than is given.

    Raises:
        ValueError: one was.
    """
    expected = parts["vqgan"].networks["vqgan"]
    for stage, part in parts.items():
        own = part.networks["vqgan"]
        if own.keys() != expected.keys() or not all(torch.equal(own[name], expected[name]) for name in own):
            raise ValueError(f"the stage {stage} was trained on another autoencoder than is given")


def fitted(stage: str, part: Part, model: ModelConfig) -> State:
    """The networks of a stage, names and shapes as in ours; VGG's weights only where they are whole.

    Raises:
        ValueError: they differ.
    """
    state: State = {}
    for name, tensors in part.networks.items():
        with torch.device("meta"):
            own = build_transformer(model, stage, "meta") if name == "transformer" else BUILDERS[name](model, "meta")
        try:
            require_fit(own, tensors)
        except ValueError as error:
            if name == "perceptual":
                continue
            raise ValueError(f"{stage}, {name}: {error}") from error
        state[name] = tensors
    return state


def number(arguments: Mapping[str, Any], name: str, default: int | None = None) -> int:
    """A whole number above 0 among arguments.

    Raises:
        ValueError: it is none, or is missing and there is no default.
    """
    value = arguments.get(name, default)
    if value is None:
        raise ValueError(f"its arguments do not say {name}")
    if type(value) is not int or value < 1:
        raise ValueError(f"its argument {name} is {str(value)[:40]}")
    return value
