"""Which generator is meant by a name: a trained system's newest checkpoint, a registered one, or a class in a file."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .contenders import build_model, load_model, parse
from .errors import UserError
from .generator import Generator
from .stage import System
from .trained import choose_trained, exchange_stages, no_weights


def open_generator(
    model: str,
    checkpoint: Path | None,
    data: str,
    options: tuple[str, ...],
    device: str,
    fps: float | None = None,
    stages: Mapping[str, Path] | None = None,
) -> tuple[Generator, dict[str, Any]]:
    """A generator, and what a record should say of where it came from.

    Args:
        model: registered name, or `file.py:Class`.
        checkpoint: of a trained system; default the newest run on `data`, else the one that ships.
        data: the data set that it was trained on.
        options: `key=value`, for its constructor.
        device: where it runs.
        fps: frames a second, of a continuous model; the time step follows.
        stages: checkpoints of single stages, by name, instead of those of `checkpoint`.

    Raises:
        UserError: no such model, checkpoint or device, or an option that the model does not have.
    """
    kind = load_model(model)
    values = parse(options)
    if not (inspect.isclass(kind) and issubclass(kind, System)):
        if checkpoint is not None or fps is not None or stages:
            given = "--checkpoint" if checkpoint else "--fps" if fps else f"--{next(iter(stages or ()))}"
            raise UserError(f"{model} is not a trained system of vidbench, and has no {given}. Leave it away.")
        return build_model(model, **values), {"options": values}
    trained, missing = None, set(kind.needed) - set(stages or ())
    if checkpoint is not None or missing:
        trained = choose_trained(model, checkpoint, data, Path("runs"), missing)
        trained = trained or choose_trained(model, checkpoint, data, Path("runs"), ())  # it says what is missing
    if stages:
        trained = exchange_stages(trained, model, stages)
    if trained is None:
        raise no_weights(model, data)
    if fps is not None:
        if not kind.continuous:
            raise UserError(f"{model} makes frames at whole times only, and has no --fps. Leave it away.")
        values["fps"] = fps
    generator = trained.generator(device, **values)
    return generator, {
        "checkpoint": ", ".join(map(str, trained.paths)),
        "checkpoint_hash": generator.checkpoint_hash,
        "device": device,
        "options": values,
    }
