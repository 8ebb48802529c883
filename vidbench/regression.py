"""The regression check: readings of the metrics and of models, held against bands that were measured before.

Bands span runs with one and with two threads, with and without AVX-512, and some that begin with parameters nudged by
about as much as rounding does. What a change of code moves beyond rounding, it moves out of its band.
"""

import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from importlib.resources import files
from math import isfinite
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import torch

from .bands import Baseline, Moved, Reason, bands_of, load_baseline, moved
from .errors import UserError
from .files import atomic_write, check_writable
from .readings import Readings, metric_readings, model_readings
from .record import difference_of, versions
from .registry import MODELS, unknown
from .runs import Run, flat, last_step, open_run, tiers
from .sides import Track

METRICS = "metrics"
"""What the metrics are called beside the models."""
DATA = "toy-ride"
OLDER = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
"""Variables of the environment with which libraries leave AVX-512 alone."""


class Variant(NamedTuple):
    """One of the runs that bands span."""

    threads: int
    nudge: int = 0
    older: bool = False
    """Whether it is run as on an older processor."""


VARIANTS = (
    *(Variant(threads, older=older) for threads in (1, 2) for older in (False, True)),
    *(Variant(1, nudge) for nudge in (1, 2)),
)


class Check(NamedTuple):
    """What came of one subject."""

    subject: str
    numbers: int
    """How many were read."""
    changed: list[str]
    """Differences of the settings from those of the bands; where there are some, nothing is run."""
    moved: list[Moved]
    versions: list[str]
    """Differences of versions from those of the bands: they may be why."""

    @property
    def passed(self) -> bool:
        """Whether nothing moved."""
        return not (self.changed or self.moved)

    def summary(self) -> str:
        """A line for the user."""
        if self.passed:
            return f"{self.subject}: all {self.numbers:,} numbers are within their bands"
        first = self.moved and f"{len(self.moved)} readings moved, the first of them {self.moved[0].reading!r}"
        what = first or f"the bands are of other settings: {'; '.join(self.changed)}"
        versions = f"; {'; '.join(self.versions)}" if self.versions else ""
        mend = f"vidbench regress --model {self.subject} --update --reason TEXT"
        return f"{self.subject}: {what}{versions}. If that is meant: {mend}"

    def document(self) -> dict[str, Any]:
        """The same as plain values; a number that is not finite is a text."""
        rows = [{**row._asdict(), "value": row.value if isfinite(row.value) else str(row.value)} for row in self.moved]
        return {**self._asdict(), "moved": rows, "passed": self.passed}


def shipped() -> Path:
    """Where the bands of what vidbench brings lie."""
    return Path(str(files("vidbench"))) / "results" / "baselines"


def subjects(folder: Path) -> list[str]:
    """What is checked unless it is named: the metrics and every model of tier `ci`, or what a user's folder configures.

    Raises:
        UserError: a folder without configurations.
    """
    if folder == shipped():
        return [METRICS, *(name for name in MODELS.names() if "ci" in tiers(name))]
    names = sorted({path.stem for path in folder.glob("*.yaml")})
    if not names:
        raise UserError(f"{folder} configures no model: put the configuration of a dozen steps there, as <model>.yaml.")
    return names


def open_subject(subject: str, folder: Path, out: Path) -> tuple[Run, list[str]] | None:
    """A model's run, as the folder or its tier `ci` configures it, and its stages; None for the metrics.

    Raises:
        UserError: an unknown model, or one without a configuration.
    """
    if subject == METRICS:
        return None
    if subject not in MODELS.names():
        raise unknown("model", subject, [METRICS, *MODELS.names()])
    path = folder / f"{subject}.yaml"
    own = path.exists()
    if not own and "ci" not in tiers(subject):
        raise UserError(f"{subject} has no tier ci. Put a configuration of a dozen steps there: {path}.")
    return open_run(
        model=subject, stages=(), data=DATA, real=None, split=None, backbone=None, tier=None if own else "ci",
        config_path=path if own else None, changes=(), out=out, seed=0, device="cpu", workers=0, steps=None,
    )  # fmt: skip


def settings(subject: str, folder: Path) -> dict[str, Any]:
    """What is trained on what, by dotted names."""
    with TemporaryDirectory() as out:
        opened = open_subject(subject, folder, Path(out))
    described = {} if opened is None else opened[0].describe()
    found: dict[str, Any] = json.loads(json.dumps(flat(described)))
    return found


def take(subject: str, folder: Path, variant: Variant) -> Readings:
    """Readings of one subject, from nothing: what is trained and cached lies in a temporary folder."""
    before = torch.get_num_threads()
    with TemporaryDirectory() as out, environment({"VIDBENCH_CACHE": str(Path(out) / "cache")}):
        torch.set_num_threads(variant.threads)
        try:
            opened = open_subject(subject, folder, Path(out))
            return metric_readings() if opened is None else model_readings(*opened, variant.nudge)
        finally:
            torch.set_num_threads(before)


@contextmanager
def environment(values: dict[str, str]) -> Iterator[None]:
    """Variables of the environment, for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def check(subject: str, folder: Path) -> Check:
    """Hold one subject against its bands.

    Raises:
        UserError: it has none.
    """
    baseline = load_baseline(folder / f"{subject}.json", subject)
    newer = difference_of(baseline.reasons[-1].versions, versions())
    if changed := difference_of(baseline.settings, settings(subject, folder)):
        return Check(subject, 0, changed, [], newer)
    readings = take(subject, folder, Variant(min(torch.get_num_threads(), 2)))
    return Check(subject, sum(map(len, readings.values())), [], moved(readings, baseline.bands), newer)


def update(subject: str, folder: Path, reason: str, track: Track) -> Path:
    """Measure the bands of one subject anew, and write them; say where.

    Raises:
        UserError: no configuration, readings that no band can be given, or a place that cannot be written to.
    """
    check_writable(folder)
    path, described = folder / f"{subject}.json", settings(subject, folder)
    reasons = load_baseline(path, subject).reasons if path.exists() else []
    variants = variants_of(subject)
    runs = [taken_apart(subject, folder, each) for each in track(variants, f"bands of {subject}", len(variants))]
    bands, reasons = bands_of(runs, trained=subject != METRICS), [*reasons, Reason(reason=reason)]
    atomic_write(path, Baseline(subject=subject, reasons=reasons, settings=described, bands=bands).text())
    return path


def variants_of(subject: str) -> list[Variant]:
    """The runs that a subject's bands span: the metrics have no parameters to nudge."""
    return [variant for variant in VARIANTS if subject != METRICS or not variant.nudge]


def taken_apart(subject: str, folder: Path, variant: Variant) -> Readings:
    """Readings as on an older processor take a process of their own."""
    if not variant.older:
        return take(subject, folder, variant)
    with environment(OLDER), ProcessPoolExecutor(1, get_context("spawn")) as apart:
        return apart.submit(take, subject, folder, variant).result()


def preflight(chosen: Sequence[str], folder: Path, updating: bool) -> Iterator[str]:
    """Lines for the user: what will be run, and against bands of when and why.

    Raises:
        UserError: an unknown model, or one without a configuration or bands.
    """
    for subject in chosen:
        with TemporaryDirectory() as out:
            opened = open_subject(subject, folder, Path(out))
        work = "every preset, backbone and measure"
        if opened is not None:
            work = ", ".join(f"{stage} {last_step(opened[0], stage, None)} steps" for stage in opened[1])
        if updating:
            yield f"{subject}: {work}; {len(variants_of(subject))} times, for new bands"
        else:
            last = load_baseline(folder / f"{subject}.json", subject).reasons[-1]
            yield f"{subject}: {work}; against bands of {last.created[:10]} ({last.reason})"
