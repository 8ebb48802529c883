"""What a sanity check leaves: one JSON document, and the same as a table for people."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from pydantic import Field

from .files import atomic_write
from .metrics.corruptions import VERSION
from .metrics.sanity import BIAS, Trial, verdicts
from .protocol import ClipProtocol
from .record import Backbone, Part, Side, versions
from .tables import number

LEGEND = (
    "v/f: score over the floor of real clips; z = (v - v0)/s: distance to the score of the same clips as they are, in"
    " standard deviations of the floor."
)


class RowReport(Part):
    """One corruption."""

    name: str
    """What was done to the clips."""
    kind: str
    """`S`: frames spoilt, `T`: motion spoilt, `D`: loop, `C`: control, `R`: not judged."""
    levels: list[float]
    """How strongly."""
    uncorrupted: float
    """v0: the score of the row's clips as they are."""
    values: list[float]
    """v: the score at each level."""
    ratio: list[float] | None
    """v/f; None where that means nothing."""
    z: list[float]
    """(v - v0)/s, positive where the score is worse."""


class CheckReport(Part):
    """One verdict."""

    rule: int
    """1: order, 2: detection, 3: controls, 4: motion matters."""
    row: str
    """Which corruption."""
    passed: bool
    """Whether it came out well."""
    detail: str
    """What was found."""


class TrialReport(Part):
    """One seed."""

    seed: int
    """Of clips and corruptions."""
    floor: list[float]
    """Scores of fresh real clips."""
    mean: float
    """f: their mean."""
    std: float
    """s: their standard deviation (n - 1)."""
    rows: list[RowReport]
    """All corruptions."""
    content_bias: list[float]
    """Temporal over static warp, at each level."""
    checks: list[CheckReport]
    """All verdicts."""
    verdicts: dict[int, bool]
    """Whether each rule holds."""

    @classmethod
    def of(cls, trial: Trial) -> "TrialReport":
        """A trial with everything that follows from it."""
        rows = [
            RowReport(**{**vars(row), "levels": list(row.levels), "values": list(row.values)}, ratio=ratio, z=z)
            for row, ratio, z in ((row, trial.ratio(row), trial.z(row)) for row in trial.rows)
        ]
        return cls(
            seed=trial.seed,
            floor=list(trial.floor),
            mean=trial.mean,
            std=trial.std,
            rows=rows,
            content_bias=trial.content_bias(),
            checks=[CheckReport(**check._asdict()) for check in trial.checks()],
            verdicts=verdicts(trial),
        )

    def failed(self, name: str) -> list[int]:
        """The rules that a row fails."""
        return sorted({check.rule for check in self.checks if check.row == name and not check.passed})


class SanityReport(Part):
    """What `vidbench sanity` found out about one metric on one real source."""

    schema_version: int = 1
    """Version of this document's form."""
    metric: str
    """Metric and backbone, such as `fvd16[toy3d]`."""
    better: str
    """Which scores are the better ones: `lower` or `higher`."""
    passed: bool
    """Whether rules 1 to 4 hold for every seed."""
    clips: int
    """n: clips of a row, and of a draw of the floor; the reference has twice as many."""
    trials: list[TrialReport]
    """One a seed."""
    disagreements: list[int]
    """Rules that hold for some seeds only."""
    real: Side
    """What the clips come from; counts are of the first seed."""
    protocol: ClipProtocol
    """Of one row's clips, with the first seed."""
    protocol_hash: str
    """Its hash."""
    corruptions_version: int = VERSION
    """Version of the corruptions."""
    measure_version: int
    """Version of the measure's computation."""
    backbone: Backbone | None
    """None for metrics on pixels."""
    numeric_mode: str
    """Precision of the backbone."""
    device: str
    """Where the backbone ran."""
    versions: dict[str, str] = Field(default_factory=versions)
    """Of vidbench and the libraries that decide numbers."""
    seconds: float
    """Wall-clock time of the computation."""
    created: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    """When, UTC."""

    def stem(self) -> str:
        """Its file name without an ending."""
        name = f"{self.metric}-{self.real.name[:60]}-n{self.clips}"
        return "".join(char if char.isalnum() or char in "-_.@[]" else "_" for char in name)

    def heading(self) -> str:
        """What it is about, in a line."""
        height, width = self.protocol.size or (0, 0)
        return (
            f"{self.metric} on {self.real.name}: {self.clips} clips of {self.protocol.frames} frames,"
            f" {height}x{width}; {'all rules hold' if self.passed else 'not all rules hold'}"
        )

    def failures(self) -> list[str]:
        """One line a verdict that did not come out well."""
        lines = [
            f"rule {check.rule}, {check.row}: {check.detail} (seed {trial.seed})"
            for trial in self.trials
            for check in trial.checks
            if not check.passed
        ]
        return lines + [f"rule 5: seeds do not agree on rule {rule}" for rule in self.disagreements]


def save_report(report: SanityReport, folder: Path) -> Path:
    """Write a report as JSON and as Markdown into a folder, and say where the first one is."""
    path = folder / f"{report.stem()}.json"
    atomic_write(path, report.model_dump_json(indent=1) + "\n")
    atomic_write(path.with_suffix(".md"), markdown(report))
    return path


def has_ratios(trial: TrialReport) -> bool:
    """Whether v/f means something in every row."""
    return all(row.ratio is not None for row in trial.rows)


def cells(trial: TrialReport, brief: bool = False) -> Iterator[tuple[str, str, list[str], str]]:
    """For a table: kind, corruption, a cell a level as `cell_of` says, and which rules the row fails.

    `brief` leaves z away where there is v/f.
    """
    judged, as_ratio = {check.row for check in trial.checks}, has_ratios(trial)
    for row in trial.rows:
        shown = [f"{z:.1f}" if abs(z) < 10 else f"{z:.0f}" for z in row.z]
        if as_ratio and row.ratio is not None:
            shown = [number(ratio) + ("" if brief else f" ({z})") for ratio, z in zip(row.ratio, shown, strict=True)]
        failed = trial.failed(row.name)
        verdict = f"fails rule {', '.join(map(str, failed))}" if failed else "holds" if row.name in judged else "-"
        yield row.kind, row.name, shown, verdict


def cell_of(trial: TrialReport, brief: bool = False) -> str:
    """What stands in a cell: z alone where v/f would mean nothing."""
    if not has_ratios(trial):
        return "z"
    return "v/f" if brief else "v/f (z)"


def summary(trial: TrialReport) -> str:
    """One trial in a line."""
    index = ", ".join(f"{value:.3g}" for value in trial.content_bias[1:4])
    return (
        f"seed {trial.seed}: floor f = {trial.mean:.4g}, s = {trial.std:.3g};"
        f" content bias index at levels 2 to 4: {index} (must exceed {BIAS})"
    )


def markdown(report: SanityReport) -> str:
    """The verdict table of every seed as a Markdown text."""
    lines = [f"# {report.heading()}", "", f"Cells are {cell_of(report.trials[0])}. {LEGEND}", ""]
    for trial in report.trials:
        lines += [summary(trial), "", *markdown_table(trial), ""]
    lines += [f"- {line}" for line in report.failures()]
    return "\n".join(lines).rstrip() + "\n"


def markdown_table(trial: TrialReport) -> Iterator[str]:
    """Lines of one trial's table."""
    yield "| kind | corruption | level 1 | 2 | 3 | 4 | 5 | verdict |"
    yield "| --- | --- | ---: | ---: | ---: | ---: | ---: | --- |"
    for kind, name, shown, verdict in cells(trial):
        padded = islice([*shown, *[""] * 5], 5)
        yield f"| {kind} | {name} | {' | '.join(padded)} | {verdict} |"
