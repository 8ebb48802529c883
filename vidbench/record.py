"""Records: one JSON document per score, with everything that is needed to believe it a year later."""

import hashlib
import json
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .errors import UserError
from .files import atomic_write
from .protocol import ClipProtocol

SCHEMA = 1
LARGEST = 2**24  # bytes; a curve of ten thousand points takes a tenth of it


class Part(BaseModel):
    """A part of a record."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class Counts(Part):
    """How many there were, and how many were used."""

    asked: int
    """Clips that the protocol asks for."""
    available: int
    """Videos that are readable and long enough; of a generator, the clips asked for."""
    used: int
    """Clips that the score rests on."""
    short: int = 0
    """Videos left out because they are shorter than a clip's span."""
    unreadable: int = 0
    """Videos left out because they cannot be read (`--skip-bad`)."""
    origins: int | None = None
    """Videos, counted once where they were cut from one (a UCF-101 group, a YouTube id); the jackknife's units."""
    repeats: int = 0
    """Clips that are exact repeats of another (same video, same start)."""


class Side(Part):
    """What one side of a score was made from."""

    name: str
    """The model's name, or the name of the folder, archive or data set."""
    kind: str
    """`generator`, or how the videos were stored (codec or image format)."""
    fingerprint: str | None
    """Stable over machines; None for a generator that does not state one."""
    split: str | None = None
    """The split of a data set."""
    fps: float | None = None
    """Frames a second; frames are never resampled in time."""
    counts: Counts
    """Asked, available, used, skipped."""


class Curve(Part):
    """A curve over frame separation."""

    t: list[int]
    """Frame separation."""
    mean: list[float]
    """Mean over clips."""
    std: list[float] | None = None
    """Sample standard deviation over clips (n - 1), where there is a value for each clip."""
    se: list[float | None] | None = None
    """Standard error of the mean by the jackknife, where there is none."""


class Backbone(Part):
    """The network whose features were compared."""

    name: str
    """Its registered name."""
    version: int
    """Raised whenever its features change."""
    tensor_hash: str
    """SHA-256 of its tensors."""
    weights: str | None = None
    """What its weights were proven to be."""


class Record(Part):
    """One score: value, uncertainty, counts, protocol, provenance."""

    schema_version: int = SCHEMA
    """Version of this document's form."""
    metric: str
    """Protocol and backbone, such as `fvd16@512[toy3d]`."""
    model: str
    """What was scored."""
    value: float
    """The score."""
    value_of: str = "value"
    """What the value is, such as `distance` or `coverage`."""
    better: Literal["lower", "higher"] = "lower"
    """Which scores are the better ones."""
    se: float | None
    """Standard error by the delete-a-group jackknife over videos of both sides at once."""
    leave_out: list[float] = []
    """The value with each jackknife group left out; scores against the same real clips are compared by these."""
    extrapolated: float | None = None
    """The value extrapolated to infinitely many clips; its standard error is about that of the value. None for measures
    that the number of clips does not bias, and where there are too few clips."""
    terms: dict[str, float] = {}
    """Parts of the value, and measures beside it."""
    terms_se: dict[str, float] = {}
    """Standard error of each term, by the same jackknife; empty where there is none."""
    curve: Curve | None = None
    """The generated side's curve, for metrics that have one."""
    real_curve: Curve | None = None
    """The real side's curve."""
    rank_deficient: bool = False
    """A side has no more clips than the backbone has features: the covariance term is biased upwards."""
    protocol: ClipProtocol
    """The whole clip protocol."""
    protocol_hash: str
    """Its hash."""
    measure_version: int
    """Version of the measure's computation."""
    backbone: Backbone | None
    """None for metrics on pixels."""
    fake: Side
    """The generated side."""
    real: Side
    """The real side."""
    floor_of: str | None = None
    """Of `real` on one half of a set without splits, scored against the other half: the whole set's fingerprint. It is
    the floor of scores against the whole set, and shown beside them."""
    checkpoint_hash: str | None = None
    """SHA-256 of the model's weights; None for what has none."""
    checkpoint: str | None = None
    """Where they lay."""
    key: str
    """Identity of the computation: equal keys give equal values."""
    warnings: list[str] = []
    """What a reader should know before believing the value."""
    numeric_mode: str = "float32"
    """Precision of the backbone; `exact` for integer measures on pixels."""
    device: str
    """Where the backbone ran."""
    versions: dict[str, str] = Field(default_factory=lambda: versions())
    """Of vidbench and the libraries that decide numbers."""
    seconds: float
    """Wall-clock time of the computation."""
    created: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    """When, UTC."""

    @property
    def comparable_by(self) -> dict[str, Any]:
        """What two records must agree in to be compared, flat."""
        fields = self.protocol.identity
        fields["real set"] = self.real.fingerprint
        fields["backbone"] = self.backbone.model_dump() if self.backbone else None
        fields["measure version"], fields["numeric mode"] = self.measure_version, self.numeric_mode
        return fields

    def stem(self) -> str:
        """Its file name without an ending."""
        name = f"{self.protocol.name[:40]}-{self.model[:60]}-{self.real.name[:60]}-{self.key[:10]}"
        return "".join(char if char.isalnum() or char in "-_.@" else "_" for char in name)

    def named(self, model: str, real: str) -> "Record":
        """The same score of sides that have other names now; what was compared is in the fingerprints."""
        fake_side, real_side = (
            side.model_copy(update={"name": name}) for side, name in ((self.fake, model), (self.real, real))
        )
        return self.model_copy(update={"model": model, "fake": fake_side, "real": real_side})

    def save(self, folder: Path) -> Path:
        """Write it whole into `folder`, and say where."""
        path = folder / f"{self.stem()}.json"
        atomic_write(path, self.model_dump_json(indent=1) + "\n")
        return path


def versions() -> dict[str, str]:
    """Versions of everything that decides a number."""
    libraries = ("vidbench", "torch", "numpy", "scipy", "pillow", "av")
    return {"python": platform.python_version(), **{name: version(name) for name in libraries}}


def identity(*parts: Any) -> str:
    """SHA-256 over the JSON of some parts: the key of a computation."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def load_record(path: Path) -> Record:
    """Read a record.

    Raises:
        UserError: not a record, or one of a newer schema.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise ValueError(f"it has more than {LARGEST:,} bytes")
        values = json.loads(content)
        if values["schema_version"] > SCHEMA:
            raise UserError(
                f"{path} was written by a newer vidbench (schema {values['schema_version']}). Upgrade to read it."
            )
        return Record.model_validate_json(content)
    except ValidationError as error:
        problem = error.errors(include_input=False, include_context=False, include_url=False)[0]
        where = ".".join(map(str, problem["loc"])) or "all of it"
        raise UserError(f"{path} is not a record of vidbench ({where}: {problem['msg']}).") from error
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{path} is not a record of vidbench ({type(error).__name__}: {error}).") from error


def differences(first: Record, other: Record) -> list[str]:
    """Why two records cannot be compared, field by field; empty where they can."""
    a, b = first.comparable_by, other.comparable_by
    if a["real set"] != b["real set"]:
        for side, fields in ((first.real, a), (other.real, b)):
            fields["real set"] = f"{side.name}@{(side.fingerprint or '?')[:12]}"
    return difference_of(a, b)


def difference_of(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    """Fields in which two things differ, with both values."""
    fields = dict.fromkeys([*a, *b])
    return [f"{field} differs ({a.get(field)}, {b.get(field)})" for field in fields if a.get(field) != b.get(field)]


def shown_with(record: Record) -> dict[str, Any]:
    """What records must agree in to stand in one table; a floor stands with the scores whose floor it is."""
    fields = record.comparable_by
    fields["real set"] = record.floor_of or fields["real set"]
    return fields


def require_comparable(records: Sequence[Record]) -> None:
    """Refuse a table or a figure over records that do not belong together.

    Raises:
        UserError: two of them differ, with every field in which they do.
    """
    for other in records[1:]:
        if shown_with(records[0]) != shown_with(other):
            found = differences(records[0], other)
            raise UserError(
                f"{records[0].model} and {other.model} cannot be compared: {'; '.join(found)}."
                f" Score one again under the other's protocol."
            )
