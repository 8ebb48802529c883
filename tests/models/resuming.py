"""A stage that goes on where another one stands, as a resumed training does."""

import copy

import torch

from vidbench.stage import Stage


def take_over(other: Stage, stage: Stage) -> None:
    """Give a stage what a checkpoint keeps of another one: the tensors of its networks and of its optimisers."""
    for name, network in other.networks.items():
        network.load_state_dict(stage.networks[name].state_dict())
    for name, optimizer in other.optimizers.items():
        optimizer.load_state_dict(copy.deepcopy(stage.optimizers[name].state_dict()))
    torch.rand(5)  # global random state plays no part
