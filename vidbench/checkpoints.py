"""Checkpoints: one safetensors file a stage, with everything that training goes on from and what it came from."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pydantic import Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.optim import Optimizer

from .config import Config
from .errors import UserError
from .files import whole
from .record import versions
from .stage import Stage, State, load_network

SCHEMA = 1
KEY = "vidbench checkpoint"
EXPORTED = "exported by vidbench"
"""How the origin of an export begins."""


class About(Config):
    """What a checkpoint is, and what it came from."""

    schema_version: int = SCHEMA
    """Version of the file's form."""
    model: str
    """Registered name of the system."""
    stage: str
    """Which of its stages."""
    step: int
    """Training steps done."""
    config: dict[str, Any]
    """The system's whole configuration."""
    tier: str
    """The configuration's name."""
    data: str
    """What it was trained on."""
    data_fingerprint: str | None = None
    """Fingerprint of that source."""
    split: str | None = None
    """The split of it."""
    size: tuple[int, int]
    """Height and width of the videos."""
    fps: float
    """Frames a second of the videos."""
    seed: int
    """Of all draws."""
    metric: str | None = None
    """What the best checkpoint was chosen by."""
    value: float | None = None
    """The score in that metric."""
    optimizers: tuple[str, ...] = ()
    """The optimisers whose state it holds; none: it is for sampling only."""
    origin: str = "trained by vidbench"
    """How it came about."""
    versions: dict[str, str] = Field(default_factory=versions)
    """Of vidbench and the libraries."""
    created: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    """When, UTC."""


class Checkpoint(NamedTuple):
    """A checkpoint as read."""

    path: Path
    about: About
    state: State
    optimizers: State


def save_checkpoint(path: Path, about: About, networks: State, optimizers: dict[str, Optimizer] | None = None) -> None:
    """Write a checkpoint, whole or not at all."""
    tensors = {
        f"networks/{network}/{name}": tensor for network, part in networks.items() for name, tensor in part.items()
    }
    for optimizer, own in (optimizers or {}).items():
        for index, values in own.state_dict()["state"].items():
            tensors |= {
                f"optimizers/{optimizer}/{index}/{name}": torch.as_tensor(value)
                for name, value in values.items()
                if value is not None
            }
    about = about.model_copy(update={"optimizers": tuple(optimizers or ())})
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with whole(path) as temporary:
        try:
            save_file(tensors, temporary, {KEY: about.model_dump_json()})
        except SafetensorError as error:
            raise OSError(str(error)) from error


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        UserError: it is none, is damaged, or was written by a newer vidbench.
    """
    about = read_about(path)
    parts: dict[str, State] = {"networks": {}, "optimizers": {name: {} for name in about.optimizers}}
    with reading(path), safe_open(path, "pt") as file:
        for name in file.keys():  # noqa: SIM118
            kind, owner, rest = name.split("/", 2)
            parts[kind].setdefault(owner, {})[rest] = file.get_tensor(name)
    return Checkpoint(path, about, parts["networks"], parts["optimizers"])


def read_about(path: Path) -> About:
    """What a checkpoint says of itself, without its tensors.

    Raises:
        UserError: as `load_checkpoint`.
    """
    with reading(path):
        with safe_open(path, "pt") as file:
            values = json.loads((file.metadata() or {})[KEY])
        if values["schema_version"] > SCHEMA:
            raise UserError(f"{path} was written by a newer vidbench. Upgrade to read it.")
        return About(**values)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Whatever goes wrong with a checkpoint's file is the user's to mend."""
    try:
        yield
    except FileNotFoundError as error:
        raise UserError(f"There is no checkpoint {path}. Train one with vidbench train, or import one.") from error
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, ValidationError) as error:
        reason = str(error).partition("\n")[0][:200]
        raise UserError(
            f"{path} is no checkpoint of vidbench, or is damaged ({reason}). Copy or train it anew."
        ) from error


def file_hash(paths: Iterable[Path]) -> str:
    """SHA-256 over the contents of some files."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while part := file.read(2**20):
                digest.update(part)
    return digest.hexdigest()


def restore(stage: Stage, checkpoint: Checkpoint) -> None:
    """Bring a stage to where a checkpoint left it.

    Raises:
        UserError: the checkpoint holds other networks, or no optimisers (an import, or a released generator).
    """
    origin = str(checkpoint.path)
    lacking = [
        *(stage.networks.keys() - checkpoint.state.keys()),
        *(stage.optimizers.keys() - checkpoint.optimizers.keys()),
    ]
    if lacking:
        raise UserError(f"{origin} cannot be trained on: it lacks {', '.join(sorted(lacking))}. Start another run.")
    for name, network in stage.networks.items():
        try:
            load_network(network, checkpoint.state[name])
        except ValueError as error:
            raise UserError(f"{origin}, {name}: {error}. Check the configuration.") from error
    for name, optimizer in stage.optimizers.items():
        values: dict[int, dict[str, Tensor]] = {}
        for key, tensor in checkpoint.optimizers.get(name, {}).items():
            index, _, what = key.partition("/")
            values.setdefault(int(index), {})[what] = tensor
        optimizer.load_state_dict({"state": values, "param_groups": optimizer.state_dict()["param_groups"]})
