"""Moving averages of networks, which are what is sampled."""

import copy
from typing import TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


def averaged(network: Network, *shared: nn.Module) -> Network:
    """A frozen copy of a network; modules in it that are `shared` are the network's own, not copies."""
    copied = copy.deepcopy(network, {id(module): module for module in shared})
    return copied.eval().requires_grad_(False)


@torch.no_grad()
def follow(mean: nn.Module, network: nn.Module, decay: float, index: int) -> None:
    """Move the average towards the network, faster in the first steps, as latent diffusion models do."""
    weight = 1 - min(decay, (1 + index) / (10 + index))
    for old, new in zip(mean.state_dict().values(), network.state_dict().values(), strict=True):
        old.lerp_(new, weight)
