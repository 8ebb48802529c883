"""What the recordings of StyleGAN-V and of MoCoGAN+SG2 have in common."""

from typing import Any

import torch
from torch import Tensor

from . import Recording

PRECISIONS = (("out", torch.float32, 1e-4), ("out64", torch.float64, 1e-12))


def compare(recording: Recording, found: dict[str, Tensor], prefix: str, tolerance: float) -> None:
    """Everything found that is recorded; what is constant, relative to 1."""
    recorded = {name: x for name, x in found.items() if f"{prefix}/{name}" in recording.tensors}
    for name, value in recorded.items():
        expected = recording[f"{prefix}/{name}"]
        assert value.shape == expected.shape, f"{name} has shape {list(value.shape)} instead of {list(expected.shape)}"
        error = (value.double() - expected.double()).abs().max().item() / (expected.double().std().item() or 1.0)
        assert error <= tolerance, f"{prefix}/{name} is off by {error:.2g} of its spread"


def inputs(recording: Recording, dtype: torch.dtype) -> dict[str, Tensor]:
    return {name[3:]: tensor.to(dtype) for name, tensor in recording.tensors.items() if name.startswith("in/")}


def state(recording: Recording, prefix: str = "") -> dict[str, Tensor]:
    start = f"state/{prefix}"
    return {name.removeprefix(start): x for name, x in recording.tensors.items() if name.startswith(start)}


def keep(found: dict[str, Tensor], name: str) -> Any:
    def hook(module: torch.nn.Module, args: Any, output: Any) -> None:
        parts = output if isinstance(output, tuple) else (output,)
        found.update({f"{name}_{kind}": part for kind, part in zip(("x", "img"), parts, strict=False)})

    return hook
