"""What the recordings of MoCoGAN-HD's stages have in common.

Bounds are relative to an output's standard deviation, or for gradients and a few numbers to the largest: 1e-4, and 1e-3
for gradients, of what was computed in float32; 1e-6 of what was computed in float64, where a constant of 1e-8 stands
before or behind a scale.
"""

from typing import Any

import torch
from torch import Tensor, nn

from vidbench.models.mocogan_hd.image_networks import ImageGenerator
from vidbench.models.mocogan_hd.importing import image_generator_tensors, motion_tensors, with_filters
from vidbench.models.mocogan_hd.motion_generator import MotionGenerator

from . import Recording
from .stylegan_v import state

PRECISIONS = (("out", torch.float32, 1e-4), ("out64", torch.float64, 1e-6))
FEW = 8
SMALLEST = 1e-6
"""Errors below are of no account in a few numbers."""


def tensors_below(recording: Recording, prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): x for name, x in recording.tensors.items() if name.startswith(prefix)}


def check_all(found: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float, gradients: bool = False) -> None:
    """Everything that is expected, of which only the first samples may be recorded."""
    assert not expected.keys() - found.keys(), f"no check of {sorted(expected.keys() - found.keys())}"
    for name, wanted in expected.items():
        value = found[name].detach()
        value = value[: len(wanted)] if wanted.ndim else value
        assert value.shape == wanted.shape, f"{name} has shape {list(value.shape)} instead of {list(wanted.shape)}"
        error = (value.double() - wanted.double()).abs().max().item()
        few = wanted.numel() < FEW
        scale = (wanted.double().abs().max() if few or gradients else wanted.double().std()).item()
        bound = max(tolerance * scale, SMALLEST if few and not gradients else 0)
        assert error <= bound, f"{name} is off by {error:.2g}, at a scale of {scale:.2g}"


def check_outputs(recording: Recording, found: dict[str, Tensor], prefix: str, tolerance: float) -> None:
    """All recorded outputs that are no gradients."""
    expected = tensors_below(recording, f"{prefix}/")
    check_all(found, {name: x for name, x in expected.items() if "grad/" not in name}, tolerance)


def gradients(loss: Tensor, network: nn.Module) -> dict[str, Tensor]:
    """By the parameter's name; zero where the loss does not depend on it. The graph is kept."""
    named = dict(network.named_parameters())
    found = torch.autograd.grad(loss, list(named.values()), retain_graph=True, allow_unused=True)
    return {
        name: torch.zeros_like(own) if gradient is None else gradient
        for (name, own), gradient in zip(named.items(), found, strict=True)
    }


def noise_of(x: dict[str, Tensor], prefix: str = "noise_") -> list[Tensor]:
    """The noise of each layer."""
    return [x[f"{prefix}{i}"] for i in range(sum(name.startswith(prefix) for name in x))]


def generator_of(config: dict[str, Any], tensors: dict[str, Tensor]) -> ImageGenerator:
    """An image generator in evaluation mode, its tensors named as in the implementation that it comes from."""
    channels = list(config["channels"].values())
    network = ImageGenerator(channels, z_dim=config["style_dim"], mapping_layers=config["n_mlp"])
    network.load_state_dict(with_filters(network, image_generator_tensors(tensors)))
    return network.eval()


def motion_of(x: dict[str, Tensor], tensors: dict[str, Tensor], strength: float) -> MotionGenerator:
    """A motion generator of recorded tensors and principal components."""
    loaded = motion_tensors(tensors, x["pca_comp"], x["pca_stdev"])
    network = MotionGenerator(loaded["steps"], hidden=len(tensors["w"]), strength=strength)
    network.load_state_dict(loaded)
    return network


def split_state(recording: Recording, prefix: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The tensors of an image generator, and those of the motion generator inside it."""
    tensors = state(recording, prefix)
    motion = {name.removeprefix("modelR."): x for name, x in tensors.items() if name.startswith("modelR.")}
    return {name: x for name, x in tensors.items() if not name.startswith("modelR.")}, motion
