"""The distance of VGG's features, LPIPS (Zhang et al., CVPR 2018), as TATS takes it (ECCV 2022, Sec. 3.1)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from vidbench.stage import load_network

CONVOLUTIONS = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
"""Places of VGG-16's convolutions in its authors' list of layers, by block."""
WIDTHS = (64, 128, 256, 512, 512)
"""Channels of each block."""
DROPPED = 0.5
"""Share of a block's distances that are left out, at random."""
PLACE = "networks/perceptual/"
"""Where a checkpoint of vidbench keeps the tensors."""


class ScalingLayer(nn.Module):
    """Shift and scale of the colours."""

    shift: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188])[None, :, None, None])
        self.register_buffer("scale", torch.tensor([0.458, 0.448, 0.450])[None, :, None, None])

    def forward(self, x: Tensor) -> Tensor:
        """Images `[N, 3, H, W]` to the same."""
        return (x - self.shift) / self.scale


class Perceptual(nn.Module):
    """The distance of images; its tensors are named as in the authors' checkpoints."""

    def __init__(self) -> None:
        super().__init__()
        self.scaling_layer = ScalingLayer()
        self.net = nn.Module()
        before = 3
        for block, (places, width) in enumerate(zip(CONVOLUTIONS, WIDTHS, strict=True), 1):
            layers = nn.Module()
            for place in places:
                layers.add_module(str(place), nn.Conv2d(before, width, 3, padding=1))
                before = width
            self.net.add_module(f"slice{block}", layers)
            line = nn.Module()
            line.add_module("model", nn.ModuleList([nn.Identity(), nn.Conv2d(width, 1, 1, bias=False)]))
            self.add_module(f"lin{block - 1}", line)

    def forward(self, real: Tensor, made: Tensor, chances: Sequence[torch.Generator]) -> Tensor:
        """The mean distance, a scalar.

        Args:
            real: images `[N, 3, H, W]` in [-0.5, 0.5].
            made: the same.
            chances: of each image, the source of the random numbers of dropout, which is on in training.
        """
        x, y, total = self.scaling_layer(real), self.scaling_layer(made), real.new_zeros(())
        for block, places in enumerate(CONVOLUTIONS):
            if block:
                x, y = F.max_pool2d(x, 2), F.max_pool2d(y, 2)
            for place in places:
                convolution = self.get_submodule(f"net.slice{block + 1}.{place}")
                x, y = F.relu(convolution(x)), F.relu(convolution(y))
            kept = torch.stack([torch.rand(x.shape[1:], generator=chance) >= DROPPED for chance in chances])
            distances = (unit(x) - unit(y)).square() * kept.to(x) / (1 - DROPPED)
            total = total + self.get_submodule(f"lin{block}.model.1")(distances).mean()
        return total


def unit(features: Tensor) -> Tensor:
    """Features `[N, C, H, W]` with vectors of length 1."""
    return features / (features.square().sum(dim=1, keepdim=True).sqrt() + 1e-10)


def load_perceptual(path: str, device: str) -> Perceptual:
    """The network of a checkpoint of the stage `vqgan` that was imported from the authors' files.

    Raises:
        ValueError: the checkpoint cannot be read, or is without it.
    """
    try:
        with safe_open(path, "pt") as file:
            names = [name for name in file.keys() if name.startswith(PLACE)]  # noqa: SIM118
            tensors = {name.removeprefix(PLACE): file.get_tensor(name) for name in names}
    except (OSError, SafetensorError) as error:
        raise ValueError(f"VGG's weights cannot be read from {path} ({error})") from error
    if not tensors:
        raise ValueError(f"{path} is without VGG's weights; import the authors' checkpoint of the autoencoder")
    network = Perceptual().eval().requires_grad_(False)
    load_network(network, tensors)
    return network.to(device)
