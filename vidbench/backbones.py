"""Backbones by name, ready for a protocol's clips."""

import inspect
from pathlib import Path
from typing import Any

from .errors import UserError
from .metrics.i3d_fast import I3DBackbone
from .protocol import ClipProtocol
from .registry import BACKBONES
from .weights import load_i3d_state


def i3d(preparation: str, numeric_mode: str = "float32", weights: Path | None = None, name: str = "i3d") -> I3DBackbone:
    """I3D of the field's FVD: Kinetics-400, trained from scratch (Carreira and Zisserman, CVPR 2017).

    Args:
        preparation: how pixels are brought to the network (`styleganv`, `tfhub`, `videogpt`, `tats`, `cdfvd`).
        numeric_mode: `float32`, or `bfloat16`, which is quicker where the processor has it, and another number.
        weights: a file; default the cache.
        name: which of the two networks of this form.

    Raises:
        UserError: no weights at hand, or a file that holds something else.
    """
    state = load_i3d_state(name, weights)
    backbone = I3DBackbone(state.tensors, preparation, numeric_mode, name)
    object.__setattr__(backbone, "weights_verdict", state.verdict)
    object.__setattr__(backbone, "weights_proven", state.proven)
    return backbone


def i3d_imagenet(preparation: str, numeric_mode: str = "float32", weights: Path | None = None) -> I3DBackbone:
    """I3D that started from ImageNet weights (`rgb_imagenet`): another network than FVD's, and another metric."""
    return i3d(preparation, numeric_mode, weights, "i3d-imagenet")


def load_backbone(name: str, protocol: ClipProtocol, numeric_mode: str, weights: Path | None) -> Any:
    """A backbone for a protocol's clips, in evaluation mode.

    Raises:
        UserError: an unknown one, clips that are too short for it, or an option that it does not have.
    """
    make = BACKBONES.load(name)
    asked: dict[str, Any] = {"numeric_mode": numeric_mode} if numeric_mode != "float32" else {}
    asked |= {"weights": weights} if weights else {}
    lacking = [option for option in asked if option not in inspect.signature(make).parameters]
    if lacking:
        flags = {"numeric_mode": f"--precision {numeric_mode}", "weights": f"--weights {weights}"}
        raise UserError(
            f"The backbone {name} has no {' and no '.join(flags[option] for option in lacking)}. Leave it away."
        )
    try:
        backbone = make(protocol.preparation, **asked).eval()
    except ValueError as error:
        raise UserError(f"{name}, {protocol.name}: {error}") from error
    if protocol.seen < backbone.min_frames:
        raise UserError(
            f"{name} needs clips of {backbone.min_frames} frames or more; {protocol.name} has {protocol.seen}."
        )
    return backbone
