"""Exporting: of a training run only what sampling reads, in half precision; a fraction of its size."""

from collections.abc import Collection
from pathlib import Path

import torch
from torch import Tensor

from .checkpoints import EXPORTED, Checkpoint, load_checkpoint, read_about, save_checkpoint
from .errors import UserError
from .files import atomic_write, check_writable
from .registry import MODELS, unknown
from .stage import State, System
from .trained import Trained, require_system, run_of

SMALL = 1024
"""Numbers of a tensor that stays as it is: running averages, filters and frequencies are, and cost nothing."""
BESIDE = ("config.yaml", "log.jsonl")
"""Files of a run that go with its checkpoints: what was asked for, and how training went."""


def exported(trained: Trained, stages: Collection[str], precision: torch.dtype) -> list[Checkpoint]:
    """Checkpoints with the networks that sampling reads, and no others.

    Args:
        trained: what is exported.
        stages: which of its stages; empty for all that sampling reads.
        precision: of weights. Small tensors, those that would overflow, and networks whose bits matter stay exact.

    Raises:
        UserError: a checkpoint is damaged, or of another system; or there is none of a stage.
    """
    system: type[System] = MODELS.load(trained.model)
    found = {checkpoint.about.stage: checkpoint for checkpoint in map(load_checkpoint, trained.paths)}
    require_system(trained.model, list(found.values()))
    known = [stage for stage in found if stage in system.sampled or not system.sampled]
    if not known:
        raise UserError(f"{trained} holds nothing that {trained.model} samples with: {', '.join(system.needed)}.")
    for stage in stages:
        if stage not in known:
            raise unknown(f"stage of {trained.model} to export", stage, known)
    return [reduced(found[stage], system, precision) for stage in dict.fromkeys(stages or known)]


def reduced(checkpoint: Checkpoint, system: type[System], precision: torch.dtype) -> Checkpoint:
    """A checkpoint of one stage with what sampling reads of it."""
    stage = checkpoint.about.stage
    names = system.sampled.get(stage, tuple(checkpoint.state))
    state: State = {
        name: {
            key: tensor if f"{stage}/{name}" in system.exact else rounded(tensor, precision)
            for key, tensor in checkpoint.state[name].items()
        }
        for name in names
        if name in checkpoint.state
    }
    origin = f"{EXPORTED} for sampling, weights in {str(precision).removeprefix('torch.')}; {checkpoint.about.origin}"
    return checkpoint._replace(about=checkpoint.about.model_copy(update={"origin": origin}), state=state, optimizers={})


def rounded(tensor: Tensor, precision: torch.dtype) -> Tensor:
    """Weights in a precision; small tensors, integers, and what would overflow as they are."""
    if not tensor.is_floating_point() or tensor.numel() <= SMALL:
        return tensor
    weights = tensor.to(precision)
    return weights if bool(weights.isfinite().all()) else tensor


def save_export(checkpoints: Collection[Checkpoint], folder: Path) -> list[Path]:
    """Write a folder as a run's: `<stage>/best.safetensors`, and the run's configuration and log; an older export goes.

    Raises:
        UserError: a training run lies there, or it cannot be written.
    """
    check_writable(folder)
    older = [path for path in folder.glob("*/*.safetensors") if path.name in ("best.safetensors", "last.safetensors")]
    if any(not read_about(path).origin.startswith(EXPORTED) for path in older):
        raise UserError(f"{folder} holds a training run. Export to another folder.")
    written = []
    for checkpoint in checkpoints:
        written.append(folder / checkpoint.about.stage / "best.safetensors")
        save_checkpoint(written[-1], checkpoint.about, checkpoint.state)
    for path in {*older} - {*written}:
        path.unlink()
    runs = [run for each in checkpoints if (run := run_of(each.path, each.about.model))]
    for name in BESIDE:
        if found := [run / name for run in runs if (run / name).exists()]:
            atomic_write(folder / name, found[-1].read_bytes())
        elif older:
            (folder / name).unlink(missing_ok=True)
    return written
