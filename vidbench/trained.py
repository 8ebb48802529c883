"""Trained systems: where their checkpoints lie, and generators made of them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from . import config
from .checkpoints import Checkpoint, file_hash, load_checkpoint, read_about
from .errors import UserError
from .evaluator import check_device
from .registry import MODELS
from .stage import System

LAST = ("best.safetensors", "last.safetensors")


@dataclass(frozen=True)
class Trained:
    """Checkpoints of one system, enough to sample."""

    model: str
    """Its registered name."""
    paths: tuple[Path, ...]
    """A checkpoint a stage."""

    def __str__(self) -> str:
        """Where it lies, for the user: a run's folder, or a file that lies in none."""
        places = dict.fromkeys(run_of(path, self.model) or path for path in self.paths)
        return ", ".join(
            f"results/toy/{place.relative_to(shelf()).as_posix()} (ships with vidbench)"
            if place.is_relative_to(shelf())
            else str(place)
            for place in places
        )

    def generator(self, device: str = "cpu", **options: Any) -> System:
        """The generator, with its `fingerprint` and `checkpoint_hash`.

        Args:
            device: where it runs.
            options: of sampling, as the system takes them.

        Raises:
            UserError: a checkpoint is damaged, of another system, or one is missing; or there is no such device.
        """
        check_device(device)
        system: type[System] = MODELS.load(self.model)
        checkpoints = [load_checkpoint(path) for path in self.paths]
        checkpoint_hash = file_hash(self.paths)
        if any(read_about(checkpoint.path) != checkpoint.about for checkpoint in checkpoints):
            return self.generator(device, **options)  # a training put a newer one in its place meanwhile
        require_system(self.model, checkpoints)
        fps = {checkpoint.about.stage: checkpoint.about.fps for checkpoint in checkpoints}.get(
            system.timed_by or "", checkpoints[-1].about.fps
        )
        origin = ", ".join(str(checkpoint.path) for checkpoint in checkpoints)
        settings = config.build(system.config_type, joined(checkpoints), origin)
        states = {checkpoint.about.stage: checkpoint.state for checkpoint in checkpoints}
        try:
            generator = system.from_states(settings, states, fps, device, **options)
        except (ValueError, TypeError) as error:
            raise UserError(f"{origin}: {str(error).removesuffix('.')}.") from error
        generator.checkpoint_hash, generator.checkpoint = checkpoint_hash, str(self)
        place = "" if device == "cpu" else f"/{device.partition(':')[0]}"
        generator.fingerprint = f"{self.model}/{system.version}/{checkpoint_hash}/{sorted(options.items())}{place}"
        return generator


def joined(checkpoints: Sequence[Checkpoint]) -> dict[str, Any]:
    """The configuration of stages that may be of several runs: each one's parts are as its own checkpoint says."""
    values = {**checkpoints[-1].about.config}
    for checkpoint in checkpoints:
        stage, own = checkpoint.about.stage, checkpoint.about.config
        for part in ("model", "stages"):
            if stage in own.get(part, {}):
                values[part] = {**values[part], stage: own[part][stage]}
    return values


def require_system(model: str, checkpoints: Sequence[Checkpoint]) -> None:
    """Refuse checkpoints of other systems.

    Raises:
        UserError: there is one.
    """
    for checkpoint in checkpoints:
        if checkpoint.about.model != model:
            raise UserError(f"{checkpoint.path} is a checkpoint of {checkpoint.about.model}, not of {model}.")


def open_trained(path: Path, model: str | None = None) -> Trained:
    """The system in a run's folder, or one stage's file.

    Args:
        path: a folder with a checkpoint a stage (`<stage>/best.safetensors`, else `last.safetensors`), or a file.
        model: its registered name; default as the checkpoint says.

    Raises:
        UserError: there is no checkpoint.
    """
    if path.is_dir():
        paths = tuple(sorted(file for folder in path.iterdir() if (file := newest(path, folder.name))))
        if not paths:
            raise UserError(f"{path} holds no checkpoint. Name a run's folder, such as runs/stylegan-v/toy-ride-tiny.")
    else:
        paths = (path,)
    return Trained(model or read_about(paths[0]).model, paths)


def choose_trained(
    model: str, checkpoint: Path | None, data: str, out: Path, needed: Collection[str] | None = None
) -> Trained | None:
    """The checkpoint named, else the newest run of a system on a data set below `out`, else the one that ships.

    Args:
        model: registered name of the system.
        checkpoint: a run's folder or a file.
        data: the data set's name.
        out: where runs lie.
        needed: stages that a run must have; default those that sampling needs.

    Returns:
        None where there is none of these.

    Raises:
        UserError: there is nothing at the path named.
    """
    if checkpoint is not None:
        return open_trained(checkpoint, model)
    for place in (out / model, shelf() / model):
        named = place.glob(f"{folder_name(data)}-*")
        wanted = MODELS.load(model).needed if needed is None else needed
        runs = [run for run in named if any(run.glob("*/*.safetensors")) and all(newest(run, name) for name in wanted)]
        for run in sorted(runs, key=age):
            trained = open_trained(run, model)
            if read_about(trained.paths[0]).data == data:
                return trained
    return None


def shelf() -> Path:
    """Where checkpoints ship: in the repository, and not in what is installed from a wheel."""
    return Path(str(files("vidbench"))) / "results" / "toy"


def run_of(path: Path, model: str) -> Path | None:
    """The run's folder that a checkpoint of a system lies in; None for a file that lies elsewhere."""
    return path.parents[1] if path.name in LAST and path.parent.name in MODELS.load(model).stages else None


def exchange_stages(trained: Trained | None, model: str, stages: Mapping[str, Path]) -> Trained:
    """A system some stages of which are taken from elsewhere.

    Args:
        trained: what the others are of; None if there is nothing.
        model: its registered name.
        stages: by stage, a run's folder or a checkpoint.

    Raises:
        UserError: there is no checkpoint of that stage.
    """
    paths = {read_about(path).stage: path for path in (trained.paths if trained else ())}
    for stage, path in stages.items():
        found = newest(path, stage) if path.is_dir() else path
        if found is None:
            raise UserError(f"{path} holds no {stage}/{LAST[0]}. Name the folder of a run that trained {stage}.")
        if (own := read_about(found).stage) != stage:
            raise UserError(f"--{stage} {path} is a checkpoint of the stage {own}. Give it as --{own}.")
        paths[stage] = found
    return Trained(model, tuple(paths[stage] for stage in MODELS.load(model).stages if stage in paths))


def folder_name(text: str) -> str:
    """A run's name as a folder has it: what file systems or patterns may take amiss is replaced."""
    return "".join(char if char.isalnum() or char in "-_.+=" else "_" for char in text)


def age(run: Path) -> tuple[float, str]:
    """Orders runs by when their weights were last written, the newest first."""
    return -max(path.stat().st_mtime for path in run.glob("*/*.safetensors")), run.name


def newest(run: Path, stage: str) -> Path | None:
    """A stage's best checkpoint, else its last."""
    return next((run / stage / name for name in LAST if (run / stage / name).exists()), None)


def no_weights(model: str, data: str) -> UserError:
    """The error for a system without a checkpoint."""
    return UserError(
        f"There is no checkpoint of {model} for {data}. Train one: vidbench train --model {model} --data {data}; or"
        " name one with --checkpoint."
    )
