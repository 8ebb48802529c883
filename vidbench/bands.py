"""Bands that readings are held to: how they are measured, kept, and compared with.

Half a band's width is `FACTOR` times the spread of a number over runs that differ in rounding alone, and a floor, which
is a part of the size of its reading.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import accumulate
from math import inf, isfinite
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field, ValidationError

from .errors import UserError
from .readings import AT_FIRST, Readings
from .record import Part, versions

FACTOR = 8.0
FLOOR = 1e-4
"""Of what is not trained."""
TRAINED_FLOOR = 5e-3
"""Of what is: under Adam, weights whose gradients are nothing but rounding go one way or the other, now and then."""
SCHEMA = 1

Band = tuple[float, float]
"""Centre and half width."""


class Reason(Part):
    """Why bands were written."""

    reason: str
    """In the words of who wrote them."""
    created: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    """When, UTC."""
    versions: dict[str, str] = Field(default_factory=versions)
    """Of vidbench and the libraries."""


class Baseline(Part):
    """The bands of one model, or of the metrics."""

    schema_version: int = SCHEMA
    """Version of this document's form."""
    subject: str
    """The model's registered name, or `metrics`."""
    reasons: list[Reason] = Field(min_length=1)
    """Why it was written, each time; the last is that of these bands."""
    settings: dict[str, Any]
    """What is trained on what, by dotted names."""
    bands: dict[str, list[Band]]
    """By the reading's name, a band a number."""

    def text(self) -> str:
        """The document, a reading a line."""
        values = json.loads(self.model_dump_json())
        bands = ",\n".join(f"  {json.dumps(name)}: {json.dumps(own)}" for name, own in values.pop("bands").items())
        return json.dumps(values, indent=1).removesuffix("\n}") + ',\n "bands": {\n' + bands + "\n }\n}\n"


class Moved(NamedTuple):
    """A reading that is not in its bands."""

    reading: str
    """Its name."""
    out: int
    """How many of its numbers are out of their bands; all of them where there are more or fewer than bands."""
    of: int
    """How many bands it has."""
    place: int
    """Which of them is the first that is out, from 1 on; 0 where numbers and bands do not pair."""
    value: float
    """That number."""
    band: Band
    """Its band."""

    @property
    def distance(self) -> float:
        """From the band's centre, in half widths."""
        centre, half = self.band
        return abs(self.value - centre) / half if half and isfinite(self.value) else inf

    def cells(self) -> list[str]:
        """What a table shows of it, beside its name."""
        if not self.place:
            return [f"{self.out} numbers, {self.of} bands", "", "", "", ""]
        centre, half = self.band
        band = f"{centre:.5g} ± {half:.2g}"
        return [f"{self.out}/{self.of}", str(self.place), f"{self.value:.5g}", band, f"{self.distance:.3g}"]


def bands_of(runs: Sequence[Readings], *, trained: bool) -> dict[str, list[Band]]:
    """Bands that span some runs, of a model that is trained or of the metrics.

    Rounding grows as training goes on, and a number may be small, or agree, by chance: its spread is the largest so far
    within its reading, and its size the largest of all.

    Raises:
        UserError: runs gave other readings than each other, or such as are not finite.
    """
    bands: dict[str, list[Band]] = {}
    for name in dict.fromkeys(name for run in runs for name in run):
        rows = [run.get(name, []) for run in runs]
        if len({len(row) for row in rows}) > 1 or not all(isfinite(value) for row in rows for value in row):
            raise UserError(f"{name} cannot be given bands: it is not finite, or differs in length from run to run.")
        columns = list(zip(*rows, strict=True))
        spreads = accumulate((max(column) - min(column) for column in columns), max)
        size = max((abs(value) for row in rows for value in row), default=0.0)
        floor = TRAINED_FLOOR if trained and not name.endswith(AT_FIRST) else FLOOR
        bands[name] = [
            (rounded((max(column) + min(column)) / 2, 8), rounded(FACTOR * spread + floor * size, 3))
            for column, spread in zip(columns, spreads, strict=True)
        ]
    return bands


def rounded(value: float, digits: int) -> float:
    """A number with so many digits."""
    return float(f"{value:.{digits}g}")


def moved(readings: Readings, bands: Mapping[str, Sequence[Band]]) -> list[Moved]:
    """Which readings are out of their bands, in the order in which they were taken; those that are gone come last."""
    found = []
    for name in dict.fromkeys([*readings, *bands]):
        numbers, own = readings.get(name, []), bands.get(name, [])
        if len(numbers) != len(own):
            found.append(Moved(name, len(numbers), len(own), 0, 0.0, (0.0, 0.0)))
            continue
        out = [
            place
            for place, (value, (centre, half)) in enumerate(zip(numbers, own, strict=True))
            if not abs(value - centre) <= half + sys.float_info.epsilon * abs(centre)  # what is not a number is out
        ]
        if out:
            found.append(Moved(name, len(out), len(own), out[0] + 1, numbers[out[0]], own[out[0]]))
    return found


def load_baseline(path: Path, subject: str) -> Baseline:
    """The bands of a subject.

    Raises:
        UserError: there are none, or the file holds something else.
    """
    again = f"vidbench regress --model {subject} --update --reason TEXT"
    try:
        baseline = Baseline.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise UserError(f"There are no bands of {subject} ({path}). Measure them: {again}.") from error
    except (OSError, ValidationError) as error:
        reason = str(error).partition("\n")[0][:200]
        raise UserError(
            f"{path} holds no bands of vidbench ({reason}). Remove it, and measure them: {again}."
        ) from error
    if baseline.schema_version > SCHEMA:
        raise UserError(f"{path} was written by a newer vidbench. Upgrade to read it.")
    if baseline.subject != subject:
        raise UserError(f"{path} holds the bands of {baseline.subject}, not of {subject}. Measure them: {again}.")
    return baseline
