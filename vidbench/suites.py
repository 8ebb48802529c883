"""Suites: models x data sets x metrics in one YAML file, and what each needs of a cluster."""

from collections import Counter
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from . import config
from .contenders import is_reference, is_trained, load_model
from .errors import UserError
from .protocol import load_protocol
from .registry import unknown
from .runs import load_settings, load_system
from .sides import named_dataset
from .trained import folder_name


class Entry(config.Config):
    """One model of a suite."""

    name: str
    """Registered name, or `file.py:Class`."""
    label: str = ""
    """What tables call it, where one model stands in several entries."""
    tier: str | None = None
    """Configuration that a system is trained with; default `tiny`."""
    changes: tuple[str, ...] = ()
    """`key=value` changes of that configuration."""
    trained_on: str | None = None
    """Data set, or path of videos, that it is trained on; default the one that it is scored against."""
    checkpoint: Path | None = None
    """A run's folder or a file, instead of training."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Of sampling, such as `truncation: 0.7`."""

    @property
    def title(self) -> str:
        """What tables call it."""
        return self.label or self.name.rpartition(":")[2]


class Slurm(config.Config):
    """What one cell needs of a cluster; further options of `sbatch` come from its own environment variables."""

    partition: str | None = None
    """Default the cluster's."""
    time: int = Field(default=60, ge=1)
    """Minutes; a cell that needs longer is requeued, and goes on where it was."""
    memory: float = Field(default=8, gt=0)
    """GB."""
    gpus: int = Field(default=0, ge=0)
    """GPUs; scores and trainings use them with `device: cuda`."""
    cpus: int = Field(default=2, ge=1)
    """Cores."""


class Suite(config.Config):
    """Everything that `compare` makes."""

    name: str
    """What it is called; its file's name."""
    about: str = ""
    """One line for people."""
    models: tuple[Entry, ...] = Field(min_length=1)
    """Each is trained where there is no checkpoint, and scored; an entry that is only a name needs no braces."""
    data: tuple[str, ...] = Field(min_length=1)
    """Names of data sets, or paths of real videos."""
    metrics: tuple[str, ...] = Field(min_length=1)
    """Presets, `fvd16@512` for 512 clips, or protocols' files."""
    clips: int | None = Field(default=None, ge=2)
    """On either side; default as the data set's card or the metric says."""
    size: tuple[int, int] | None = None
    """Height and width at which clips are compared; default the commonest of the systems that are trained."""
    backbone: str | None = None
    """Default as the data set's card says."""
    train: bool = True
    """Whether a system without a checkpoint is trained; else its cell is left out."""
    videos: int = Field(default=4, ge=0)
    """Sampled of each cell, for the report, which makes those of the data and of the reference generators itself."""
    seed: int = Field(default=0, ge=0)
    """Of all draws of training, scoring and sampling."""
    device: str = "cpu"
    """Where networks run: `cpu`, `cuda`."""
    workers: int | None = Field(default=None, ge=0)
    """Processes of a cell that read clips; default one a core for scores, and one for training."""
    processes: int = Field(default=1, ge=1)
    """Of a cell; more than one are started by `torchrun`."""
    slurm: Slurm = Slurm()
    """For `--launcher slurm`."""

    @field_validator("models", mode="before")
    @classmethod
    def names_alone(cls, models: Any) -> Any:
        """An entry may be a name alone."""
        return [{"name": entry} if isinstance(entry, str) else entry for entry in models or ()]


def load_suite(name: str, changes: dict[str, Any]) -> Suite:
    """A suite that ships, by name, or a user's file, with some values changed; what it names is looked up.

    Raises:
        UserError: an unknown suite, model, tier, data set or metric, or a wrong key or value.
    """
    shipped = config.names("suites")
    if name.endswith((".yaml", ".yml")):
        suite = config.load(Suite, Path(name))
    elif name in shipped:
        suite = config.shipped(Suite, "suites", name)
    else:
        raise unknown("suite", name, [*shipped, "a file of your own, PATH.yaml"])
    values = suite.model_dump()
    slurm = {key: changes[key] for key in Slurm.model_fields if changes.get(key) is not None}
    own = {key: changes[key] for key in Suite.model_fields if changes.get(key) is not None}
    suite = config.build(Suite, {**values, **own, "slurm": {**values["slurm"], **slurm}}, f"suite {suite.name}")
    try:
        return checked(suite)
    except UserError as error:
        raise UserError(f"suite {suite.name}: {error}") from error


def checked(suite: Suite) -> Suite:
    """The suite, with its size filled in, if there is everything that it names.

    Raises:
        UserError: there is not.
    """
    for metric in suite.metrics:
        load_protocol(metric)
    for data in suite.data:
        if named_dataset(data) is None and not Path(data).exists():
            raise UserError(f"There are no videos at {data}.")
    for what in ([entry.title for entry in suite.models], [Path(data).name for data in suite.data]):
        if twice := [name for name, count in Counter(map(folder_name, what)).items() if count > 1]:
            raise UserError(f"Two models or data sets are called {twice[0]}. Give one of the models another label.")
    sizes: Counter[tuple[int, int]] = Counter()
    for entry in suite.models:
        load_model(entry.name)
        given = [key for key in ("tier", "changes", "trained_on", "checkpoint") if getattr(entry, key)]
        if entry.options and is_reference(entry.name):
            raise UserError(f"{entry.name} is a reference generator, and takes no options. Leave them away.")
        if entry.name.endswith("]"):
            raise UserError(f"{entry.name} has its options in its name. Give them as options: {{...}}.")
        if not is_trained(entry.name):
            if given:
                raise UserError(f"{entry.name} is not trained by vidbench, and has no {given[0]}. Leave it away.")
        elif entry.checkpoint is None:
            system = load_system(entry.name)
            sizes[system.size_of(load_settings(system, entry.name, entry.tier or "tiny", None, entry.changes))] += 1
        elif len(given) > 1:
            raise UserError(f"{entry.title} has a checkpoint, and so no {given[0]}. Leave one of them away.")
    return suite if suite.size or not sizes else suite.model_copy(update={"size": sizes.most_common(1)[0][0]})
