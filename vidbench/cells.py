"""The cells of a suite, one model on one data set each, and how far each of them is."""

import inspect
import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from .checkpoints import file_hash, read_about
from .contenders import is_trained, load_model
from .errors import UserError
from .journal import scored_steps
from .pace import duration, probe_seconds
from .protocol import load_protocol
from .record import Record, identity, load_record, versions
from .registry import MEASURES
from .runs import Run, claim, open_run, stage_config
from .sides import open_real
from .suites import Entry, Suite
from .trained import Trained, folder_name, newest, open_trained, shelf


@dataclass(frozen=True, eq=False)
class Cell:
    """One model on one data set: it is trained if need be, and scored by every metric."""

    suite: Suite
    entry: Entry
    data: str
    out: Path

    @property
    def name(self) -> str:
        """Such as `stylegan-v/toy-ride`."""
        return f"{self.entry.title}/{Path(self.data).name}"

    @property
    def document(self) -> Path:
        """Where a finished cell says what it rests on; its log lies beside it."""
        return folder_of(self.suite, self.out) / f"{folder_name(self.name)}.json"

    @property
    def lock(self) -> Path:
        """Held while the cell is worked on; by cells that rest on one training, one after the other."""
        if self.trains:
            return self.run[0].folder.with_name(f".{self.run[0].folder.name}.lock")
        return self.document.with_suffix(".lock")

    @cached_property
    def is_system(self) -> bool:
        """Whether the model is a system that is trained in stages."""
        return is_trained(self.entry.name)

    @property
    def trains(self) -> bool:
        """Whether it is trained where there is no checkpoint."""
        return self.is_system and self.entry.checkpoint is None

    @cached_property
    def run(self) -> tuple[Run, list[str]]:
        """The training, and its stages."""
        entry, suite = self.entry, self.suite
        return open_run(
            model=entry.name,
            stages=(),
            data=entry.trained_on or self.data,
            real=None,
            split=None,
            backbone=suite.backbone,
            tier=entry.tier,
            config_path=None,
            changes=entry.changes,
            out=self.out,
            seed=suite.seed,
            device="cpu",
            workers=1 if suite.workers is None else suite.workers,
            steps=None,
        )

    def trained(self) -> Trained | None:
        """The checkpoints to score: those given, else of the finished run, else the ones that ship, trained on the same
        videos by the same seed. A run that is not finished goes on, in a suite that trains.

        Returns:
            None where there are none yet.

        Raises:
            UserError: there is nothing where the entry says, or the training cannot begin.
        """
        if self.entry.checkpoint is not None:
            given = open_trained(self.entry.checkpoint, self.entry.name)
            for path in given.paths:
                read_about(path)  # says what is wrong
            return given
        run, stages = self.run
        done = steps_done(run, stages)
        if any(done.values()):
            claim(run)  # refuses weights of another configuration
        ends = {stage: stage_config(run, stage).steps for stage in stages}
        if all(done[stage] >= end and end in scored_steps(run.folder, stage) for stage, end in ends.items()):
            return open_trained(run.folder, run.model)
        shipped = shelf() / run.model / run.folder.name
        ours = all(
            (file := newest(shipped, stage))
            and (about := read_about(file)).seed == run.seed
            and about.data_fingerprint == run.source_of(stage).fingerprint
            for stage in run.system.needed
        )
        return open_trained(shipped, run.model) if ours and not (any(done.values()) and self.suite.train) else None

    def rests_on(self, trained: Trained | None) -> str:
        """Identity of everything that the cell's records rest on: what was asked for, real videos, weights."""
        suite = self.suite
        scored = suite.model_dump(mode="json", include={"clips", "size", "backbone", "seed", "device", "videos"})
        protocols = [load_protocol(metric) for metric in suite.metrics]
        measured = [(each.identity, MEASURES.load(each.measure).version) for each in protocols]
        weights = trained and file_hash(trained.paths)
        real = open_real(self.data, None, suite.size)[0].fingerprint
        code, entry = own_code(self.entry.name), self.entry.model_dump(mode="json")
        return identity("cell", 2, entry, scored, measured, weights, real, code, versions()["vidbench"])

    def records(self, trained: Trained | None) -> list[Record] | None:
        """The records of a finished cell; None where it is not, rests on something else, or its videos are gone."""
        try:
            found = json.loads(self.document.read_text())
            if found["rests_on"] != self.rests_on(trained):
                return None
            if not all((self.out / video).exists() for video in found["videos"]):
                return None
            return [
                load_record(self.out / "records" / name).named(self.entry.title, real)
                for name, real in found["records"]
            ]
        except (OSError, ValueError, TypeError, KeyError, UserError):
            return None


@dataclass(frozen=True)
class Status:
    """How far a cell is."""

    cell: Cell
    records: list[Record] | None = None
    """Of a finished cell."""
    trained: Trained | None = None
    """The checkpoints that are scored."""
    left: dict[str, int] | None = None
    """Training steps left, by stage; None where there are checkpoints, or the model needs none."""
    problem: str = ""
    """Why it cannot be worked on."""
    left_out: str = ""
    """Why it is not to be worked on."""

    @property
    def to_do(self) -> bool:
        """Whether it is to be worked on."""
        return self.records is None and not self.problem and not self.left_out

    def __str__(self) -> str:
        if self.problem:
            return self.problem
        if self.left_out:
            return f"left out: {self.left_out}"
        count = len(self.cell.suite.metrics)
        done = "finished" if self.records is not None else f"{count} score{'s' * (count > 1)}"
        steps = ", ".join(f"{stage} {count:,} steps" for stage, count in (self.left or {}).items() if count)
        return f"{done}; training first: {steps}" if steps else f"{done}{f' of {self.trained}' if self.trained else ''}"


def own_code(name: str) -> str:
    """The version of a system, whose weights say the rest; of any other model the hash of the file that it is in."""
    path, colon, _ = name.rpartition(":")
    if colon:
        return file_hash([Path(path)])
    model = load_model(name)
    return str(model.version) if is_trained(name) else file_hash([Path(inspect.getfile(model))])


def status(cell: Cell) -> Status:
    """How far a cell is, from what lies on the disk."""
    try:
        trained = cell.trained() if cell.is_system else None
        if not cell.trains or trained is not None:
            return Status(cell, cell.records(trained), trained)
        run, stages = cell.run
        if not cell.suite.train:
            entry = cell.entry
            words = [run.model, "--data", entry.trained_on or cell.data, "--tier", entry.tier or "tiny"]
            words += [word for change in entry.changes for word in ("--set", change)]
            ask = f"vidbench train --model {shlex.join([*words, '--seed', str(run.seed), '--out', str(cell.out)])}"
            return Status(cell, left_out=f"There is no checkpoint, and this suite trains none; {ask} makes one.")
        done = steps_done(run, stages)
        return Status(cell, left={name: max(stage_config(run, name).steps - done[name], 0) for name in stages})
    except UserError as error:
        return Status(cell, problem=str(error))


def steps_done(run: Run, stages: Sequence[str]) -> dict[str, int]:
    """How far each stage of a training is."""
    return {stage: read_about(run.last(stage)).step if run.last(stage).exists() else 0 for stage in stages}


def preflight(found: Sequence[Status], jobs: int) -> Iterator[str]:
    """Lines for the user before anything long begins: every cell, what of it is finished, how long training takes."""
    suite = found[0].cell.suite
    yield (
        f"{suite.name}: {len(suite.models)} models on {', '.join(suite.data)}, scored by {', '.join(suite.metrics)};"
        f" {len(found)} cells, {sum(state.records is not None for state in found)} of them finished"
    )
    for state in found:
        yield f"  {state.cell.name}: {state}"
    configs = [(stage_config(state.cell.run[0], name), n) for state in found for name, n in (state.left or {}).items()]
    work = sum(count * config.batch * (config.cost or 0) for config, count in configs)
    if work and suite.device == "cpu":
        workers = 1 if suite.workers is None else suite.workers
        seconds = work * probe_seconds("cpu", workers) / suite.processes / jobs
        yield f"expected: about {duration(seconds)} of training on this machine as busy as it is, and scoring"


def cells(suite: Suite, out: Path) -> list[Cell]:
    """All cells of a suite: data set by data set, in the order of the file."""
    return [Cell(suite, entry, data, out) for data in suite.data for entry in suite.models]


def folder_of(suite: Suite, out: Path) -> Path:
    """Where a suite keeps what is its own: the resolved file, and a document and a log a cell."""
    return out / "compare" / folder_name(suite.name)
