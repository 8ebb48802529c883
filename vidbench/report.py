"""A report: one page that needs nothing but itself, and its tables as Markdown, CSV and LaTeX beside it."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from .comparison import told_apart
from .curves import run_name
from .errors import UserError
from .evaluation import stored_records
from .files import atomic_write, check_writable
from .journal import read_log
from .prose import plus_minus, sentence
from .record import Record, Side
from .report_charts import bars, pace_chart, training_charts, window_chart
from .report_formats import Table, cell, comma_separated, latex, markdown, printable
from .report_tables import leaderboard, pace, printed, windows
from .report_videos import BUDGET, LARGEST_VIDEO, Shown, data_uri, data_videos, find_documents, videos_of
from .sides import Track
from .tables import grouped
from .trained import shelf

KINDS = ("leaderboard", "pace", "windows", "published")
"""Of tables."""


@dataclass(frozen=True)
class Material:
    """Everything that a report shows, found in some folders and below."""

    folders: Sequence[Path]
    """Where it was found."""
    records: Sequence[Record]
    """Scores, each once."""
    runs: Sequence[Path]
    """Folders of training runs."""
    documents: Sequence[tuple[Path, dict[str, Any]]]
    """What sampled videos are."""
    committed: frozenset[str] = frozenset()
    """Keys of the scores that ship with vidbench, and were not computed here."""

    def summary(self) -> str:
        """What there is, in a line."""
        models, sets = ({*found} for found in zip(*((r.model, r.real.name) for r in self.records), strict=True))
        return (
            f"{counted(len(self.records), 'score')} of {counted(len(models), 'model')} on"
            f" {counted(len(sets), 'data set')}, {counted(len(self.runs), 'training run')},"
            f" {counted(len(self.documents), 'folder')} of sampled videos"
        )


def counted(count: int, what: str) -> str:
    """Such as `2 models`."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def gather(folders: Sequence[Path]) -> Material:
    """Find records, runs and sampled videos.

    Raises:
        UserError: there is no record.
    """
    places = sorted({path.parent for folder in folders for path in folder.rglob("*.json")})
    found = {place: stored_records(place) for place in places}
    records = {record.key: record for own in found.values() for record in own}
    shipped = shelf().resolve()
    ours = {r.key for place, own in found.items() if not place.resolve().is_relative_to(shipped) for r in own}
    if not records:
        where = ", ".join(map(str, folders))
        raise UserError(f"There is no score in {where}. Make some with vidbench eval, or name another folder.")
    runs = sorted({path.parent for folder in folders for path in folder.rglob("log.jsonl")})
    committed = frozenset(records.keys() - ours)
    return Material(folders, list(records.values()), runs, find_documents(folders), committed)


def write_report(material: Material, out: Path, track: Track) -> list[Path]:
    """Write the page and its tables.

    Args:
        material: of `gather`.
        out: the folder that they go into.
        track: shows progress over videos.

    Returns:
        The files: `index.html`, `tables.md`, `tables.tex`, and a CSV for each kind of table.
    """
    check_writable(out)
    groups = grouped(sorted(material.records, key=place_of))
    tables = [leaderboard(group) for group in groups]
    tables += [pace(group) for group in curved(groups, "color-similarity")]
    tables += [windows(group) for group in curved(groups, "drift")]
    papers = printed(material.records)
    tables += [papers] if papers else []
    texts = {"index.html": page(material, groups, tables, track)}
    texts |= {"tables.md": markdown(tables), "tables.tex": latex(tables)}
    for kind, alike in groupby(tables, key=lambda table: table.kind):
        texts[f"{kind}.csv"] = comma_separated(list(alike))
    for name, text in texts.items():
        atomic_write(out / name, text)
    for kind in {*KINDS} - {table.kind for table in tables}:
        (out / f"{kind}.csv").unlink(missing_ok=True)  # of an earlier report
    return [out / name for name in texts]


def place_of(record: Record) -> tuple[Any, ...]:
    """Orders the tables: by real set, Fréchet distances first, short clips before long ones, many before few."""
    protocol = record.protocol
    return record.real.name, protocol.measure != "frechet", protocol.frames, -protocol.clips, record.metric


def curved(groups: Sequence[Sequence[Record]], measure: str) -> list[list[Record]]:
    """The groups of one measure, without records whose curves are not whole."""
    found = [[record for record in group if has_curves(record)] for group in groups]
    return [group for group in found if group and group[0].protocol.measure == measure]


def has_curves(record: Record) -> bool:
    """Whether there is a curve, and one of the real side where there must be, of one length."""
    curves = [record.curve, record.real_curve] if record.protocol.measure == "color-similarity" else [record.curve]
    lengths = {len(part) for c in curves if c for part in (c.t, c.mean, c.std, c.se) if part is not None}
    return all(curves) and len(lengths) == 1 and min(lengths) > 1


def page(material: Material, groups: Sequence[list[Record]], tables: Sequence[Table], track: Track) -> str:
    """The page, as HTML."""
    environment = Environment(
        loader=PackageLoader("vidbench"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: value if isinstance(value, Markup) else printable(str(value)),
    )
    style, script = (Markup(environment.get_template(f"report.{kind}").render()) for kind in ("css", "js"))
    models = dict.fromkeys(record.model for record in material.records)
    colors = {model: index for index, model in enumerate(sorted(models), 1)}
    by_kind: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
    for table in tables:
        by_kind[table.kind].append({"table": table, "chart": None, "bars": {}})
    for entry in by_kind["leaderboard"]:
        entry["bars"] = bars(entry["table"].rows)
    for kind, measure, draw in (("pace", "color-similarity", pace_chart), ("windows", "drift", window_chart)):
        for entry, group in zip(by_kind[kind], curved(groups, measure), strict=True):
            entry["chart"] = draw(entry["table"].title, group, colors)
            entry["frames"] = group[0].protocol.span
    newest = max(record.created for record in material.records)
    return environment.get_template("report.html").render(
        style=style,
        script=script,
        policy=f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'",
        cell=cell,
        summary=material.summary(),
        newest=newest,
        version=version("vidbench"),
        datasets=sorted({record.real.name for record in material.records}),
        metrics=sorted({record.metric for record in material.records}),
        samples=sample_sections(material, groups, track),
        runs=[(run_name(run), training_charts(read_log(run / "log.jsonl"))) for run in material.runs],
        sources=[provenance(record) for group in groups for record in told_apart(group)],
        committed=material.committed,
        colors=colors,
        **by_kind,
    )


def sample_sections(material: Material, groups: Sequence[list[Record]], track: Track) -> list[dict[str, Any]]:
    """Videos by data set, and the models of which there are none."""
    found: dict[str, dict[str, Shown | None]] = {}
    wanted = {(r.real.name, r.model, r.checkpoint_hash): r for group in groups for r in group}
    for (dataset, model, _), record in track(wanted.items(), "read videos", len(wanted)):
        if dataset not in found:
            found[dataset] = {f"data: {dataset}": data_videos(record)}
        section = found[dataset]
        if section.get(model) is None:
            section[model] = videos_of(record, material.documents, material.folders)
    shown = [video for section in found.values() for one in section.values() if one for video in one.videos]
    limit = min(BUDGET // max(len(shown), 1), LARGEST_VIDEO)
    sections = []
    for dataset, section in found.items():
        there = [one for one in section.values() if one]
        encoded = [
            (one, [Markup(data_uri(video, one.fps, limit)) for video in one.videos])
            for one in track(there, f"encode videos of {dataset}", len(there))
        ]
        missing = [name for name, one in section.items() if one is None]
        sections.append({"dataset": dataset, "tiles": encoded, "missing": missing})
    return sections


def provenance(record: Record) -> dict[str, Any]:
    """How one number was made, as pairs of a name and a text."""
    backbone = record.backbone
    facts = {
        "value": plus_minus(record.value, record.se),
        "terms": ", ".join(
            f"{key} {plus_minus(value, record.terms_se.get(key))}" for key, value in record.terms.items()
        ),
        "protocol": f"{record.protocol.name} v{record.protocol.version}, hash {record.protocol_hash}",
        "backbone": f"{backbone.name} v{backbone.version}, tensors {backbone.tensor_hash}" if backbone else "",
        "weights": (backbone.weights or "") if backbone else "",
        "real side": described(record.real),
        "generated side": described(record.fake),
        "checkpoint": ", SHA-256 ".join(filter(None, (record.checkpoint, record.checkpoint_hash))),
        "seed": str(record.protocol.seed),
        "computed": f"measure v{record.measure_version}, {record.numeric_mode}, on {record.device},"
        f" in {record.seconds:.1f} s, {record.created}",
        "versions": ", ".join(f"{name} {number}" for name, number in record.versions.items()),
        "key": record.key,
    }
    return {
        "record": record,
        "sentence": sentence(record),
        "facts": {name: text for name, text in facts.items() if text},
    }


def described(side: Side) -> str:
    """One side of a score."""
    counts = ", ".join(f"{name} {value}" for name, value in side.counts.model_dump().items() if value)
    split = f" ({side.split})" if side.split else ""
    return f"{side.name}{split}, {side.kind}; fingerprint {side.fingerprint or 'not stated'}; {counts}"
