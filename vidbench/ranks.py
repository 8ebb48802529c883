"""Several processes under `torchrun`: who this one is, and how they exchange what they found."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
from torch import distributed

from .errors import UserError

T = TypeVar("T")
PATIENCE = timedelta(days=7)
"""With the first process, which alone writes and scores, and may wait for another training."""


def rank() -> int:
    """Which process this is; 0 where there is only one."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def world() -> int:
    """How many processes there are."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def exchange(mine: T) -> list[T]:
    """What every process has, in order of rank, for every process."""
    if world() == 1:
        return [mine]
    everyones: list[T] = [mine] * world()
    distributed.all_gather_object(everyones, mine)
    return everyones


def is_first() -> bool:
    """Whether this process is the one that writes and prints."""
    return int(os.environ.get("RANK", "0")) == 0


@contextmanager
def joined(device: str) -> Iterator[str]:
    """Join the processes that `torchrun` started, if it did; yields this process's device.

    NCCL between GPUs, Gloo otherwise.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield device
        return
    if device.startswith("cuda"):
        local, there = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if device != "cuda" or local >= there:
            raise UserError(
                f"Process {local} of this machine needs a GPU of its own, and there are {there}. Start as many"
                f" processes as there are GPUs, with --device cuda."
            )
        device = f"cuda:{local}"
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo", timeout=PATIENCE)
    try:
        yield device
    finally:
        distributed.destroy_process_group()
