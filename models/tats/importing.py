"""Which networks are in files of TATS's authors, under our names; errors complete a sentence about the file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vidbench.models.layers.tensors import shape
from vidbench.stage import Snapshot, State

from .transformer import attention_mask

JUDGES = {"image_discriminator.": "D_image", "video_discriminator.": "D_video"}
FIRST, SECOND, VGG = "first_stage_model.", "transformer.", "perceptual_model."
MASK = ".attn.mask"
"""Which tokens see which, in each layer."""


@dataclass(frozen=True)
class Part:
    """A stage in a file."""

    networks: State
    """By our names; of the authors' files the tensors alone."""
    arguments: Mapping[str, Any]
    """Of the training script."""
    steps: int
    """Training steps done."""
    unmasked: int = 0
    """Of a transformer that fills in: tokens of the frames that it knows."""


def parts_of(snapshots: Sequence[Snapshot]) -> dict[str, Part]:
    """What is in the files, by stage, in the stages' order.

    Raises:
        ValueError: a file is not of TATS, or two are of one stage.
    """
    found: dict[str, Part] = {}
    for snapshot in snapshots:
        if list(snapshot.networks) != ["state_dict"]:
            raise ValueError("a file has no state_dict")
        tensors = snapshot.networks["state_dict"].tensors
        hyper = snapshot.stats.get("hyper_parameters")
        arguments = hyper.get("args", {}) if isinstance(hyper, dict) else {}
        steps = snapshot.stats.get("global_step")
        stage, networks, unmasked = transformer(tensors) if f"{SECOND}tok_emb.weight" in tensors else vqgan(tensors)
        if stage in found:
            raise ValueError(f"two files hold the stage {stage}")
        found[stage] = Part(networks, arguments, steps if isinstance(steps, int) else 0, unmasked)
    return {stage: found[stage] for stage in ("vqgan", "transformer", "interpolation") if stage in found}


def below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin so, without that beginning."""
    return {name.removeprefix(prefix): x for name, x in tensors.items() if name.startswith(prefix)}


def vqgan(tensors: Mapping[str, Tensor]) -> tuple[str, State, int]:
    """The networks of the stage `vqgan`; VGG's, or what there is of it, as `perceptual`."""
    networks = {"vqgan": autoencoder(tensors)}
    networks |= {name: own for prefix, name in JUDGES.items() if (own := below(tensors, prefix))}
    if vgg := below(tensors, VGG):
        networks["perceptual"] = vgg
    return "vqgan", networks, 0


def autoencoder(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of our `VQGAN`.

    Raises:
        ValueError: there is none, or it has group norm.
    """
    own = {name: x for name, x in tensors.items() if not name.startswith((*JUDGES, VGG))}
    shape(own, "encoder.conv_first.conv.weight", 5)
    if "encoder.final_block.0.running_mean" not in own:
        raise ValueError("its autoencoder has group norm, with which a frame depends on the whole video")
    return own


def transformer(tensors: Mapping[str, Tensor]) -> tuple[str, State, int]:
    """The networks of the stage `transformer` or `interpolation`, and the tokens of the frames that it knows.

    Raises:
        ValueError: its masks are none of TATS's.
    """
    own = below(tensors, SECOND)
    masks = {name: x for name, x in own.items() if name.endswith(MASK)}
    block = shape(own, "pos_emb", 3)[1]
    seen = int(first_mask(masks, block)[0].sum()) if masks else 1
    unmasked = 0 if seen == 1 else seen // 2
    expected = attention_mask(block, unmasked)
    if not all(torch.equal(mask[0, 0] != 0, expected) for mask in masks.values()):
        raise ValueError("what its tokens see is not as in TATS")
    networks = {
        "vqgan": autoencoder(below(tensors, FIRST)),
        "transformer": {name: x for name, x in own.items() if name not in masks},
    }
    return "interpolation" if unmasked else "transformer", networks, unmasked


def first_mask(masks: Mapping[str, Tensor], block: int) -> Tensor:
    """The first of the masks, `[block, block]`.

    Raises:
        ValueError: one has another shape.
    """
    wrong = [name for name, mask in masks.items() if mask.shape != (1, 1, block, block)]
    if wrong:
        raise ValueError(f"the tensor {wrong[0]} has shape {list(masks[wrong[0]].shape)}")
    first: Tensor = next(iter(masks.values()))[0, 0]
    return first
