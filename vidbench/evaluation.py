"""A whole evaluation: which generators, in which order, with which records; what `eval` and `plot` run."""

import importlib.util
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from . import config
from .datasets import DEFAULT, DataSet
from .draws import draw_seed
from .errors import UserError
from .evaluator import Evaluator, quiet
from .generator import Generator
from .passes import Track
from .preflight import preflight
from .protocol import load_protocol
from .ranks import exchange, is_first, joined
from .record import Record, load_record
from .registry import MODELS
from .sheets import contact_sheet
from .sides import commonest, named_dataset
from .sources import Source, open_source
from .sources.arrays import ARRAYS

MIN_TO_HALVE = 20  # videos below which a folder without splits is not divided into two halves
HELD_OUT = ("test", "val", "valid", "validation")


@dataclass(frozen=True)
class Request:
    """What the user asks to be scored, as on the command line."""

    metrics: Sequence[str] = ("fvd16",)
    """Presets, or paths of YAML files."""
    models: Sequence[str] = ()
    """Registered names, or `file.py:Class`."""
    fake: Sequence[str] = ()
    """Paths of generated videos."""
    real: str | None = None
    """Real videos: a path or a data set's name; None: the default data set."""
    is_path: bool = False
    """Whether `real` is a path whatever it looks like."""
    split: str | None = None
    """Split of the real set."""
    key: str | None = None
    """Array of an HDF5 or npz file."""
    value_range: tuple[float, float] | None = None
    """What floating-point arrays are scaled from."""
    kind: Literal["videos", "images"] | None = None
    """`videos` or `images`, where a folder holds both."""
    references: bool = True
    """Whether the reference generators are scored too."""
    changes: Sequence[str] = ()
    """`key=value` changes of the protocol."""
    out: Path = Path("runs")
    """Where records go, in a folder `records`."""
    options: dict[str, Any] = field(default_factory=dict)
    """Further arguments of the `Evaluator`."""


@dataclass
class Contender:
    """Something to be scored under one evaluator."""

    name: str
    evaluator: Evaluator
    side: Generator | Source


def evaluate(
    request: Request, track: Track = quiet, say: Callable[[str], None] = lambda line: None, *, dry_run: bool = False
) -> list[Record]:
    """Score everything asked for; records that are at hand already are not computed again.

    Args:
        request: what is asked for.
        track: shows progress.
        say: takes remarks for the user, a line each.
        dry_run: stop after the preflight.

    Returns:
        One record a metric and generator; none in a dry run.

    Raises:
        UserError: a mistake in the request.
    """
    with joined(request.options.get("device", "cpu")) as device:
        if not is_first():
            track, say = quiet, lambda line: None
        request = replace(request, options={**request.options, "device": device})
        return run(request, track, say, dry_run=dry_run)


def run(request: Request, track: Track, say: Callable[[str], None], *, dry_run: bool) -> list[Record]:
    """`evaluate`, in each of several processes."""
    fakes = [open_path(request, path, None, request.options.get("size")) for path in request.fake]
    entries = [entry for metric in request.metrics for entry in contenders(request, metric, fakes, track, say)]
    folder = request.out / "records"
    keys = [entry.evaluator.key(entry.side) for entry in entries]
    at_hand = {record.key: record for record in stored_records(folder) if record.key in keys}
    exchange(None)
    for line in preflight([(entry.evaluator, entry.name, entry.side) for entry in entries], set(at_hand)):
        say(line)
    if dry_run:
        return []
    waiting = [entry for entry, key in zip(entries, keys, strict=True) if key not in at_hand]
    left_out = {id(entry) for entry in waiting if not can_score(entry, say)}
    records = []
    for entry, key in zip(entries, keys, strict=True):
        if id(entry) in left_out:
            continue
        found = at_hand.get(key)
        records.append(found.named(entry.name, entry.evaluator.real_name) if found else score(entry, folder))
    for warning in dict.fromkeys(f"warning: {record.metric}: {text}" for record in records for text in record.warnings):
        say(warning)
    return records


def can_score(entry: Contender, say: Callable[[str], None]) -> bool:
    """Index all that is needed and fail early; False for a reference generator that has nothing to stand on."""
    evaluator = entry.evaluator
    protocol = evaluator.resolve(entry.side)
    if evaluator.real is not None:
        evaluator.clips(evaluator.real, protocol, cycle=True)
    if getattr(entry.side, "is_reference", False):
        reference: Any = entry.side
        evaluator.index(reference.source)
        try:
            return bool(reference.eligible)
        except ValueError as error:
            say(f"{entry.name} is left out: {error}.")
            return False
    evaluator.clips(entry.side, protocol)
    return True


def score(entry: Contender, folder: Path) -> Record:
    """Score one contender; its record and contact sheet are saved."""
    record, side, real = entry.evaluator.score_with_passes(entry.side, entry.name)
    if is_first():
        path = record.save(folder)
        shown = {f"real: {record.real.name}": real.first, record.model: side.first}
        contact_sheet(path.with_suffix(".png"), record.metric, {name: clips for name, clips in shown.items() if clips})
    return record


def stored_records(folder: Path) -> list[Record]:
    """All records in a folder; files that are none are passed over."""
    records = []
    for path in sorted(folder.glob("*.json")):
        try:
            records.append(load_record(path))
        except UserError:
            continue
    return records


def contenders(
    request: Request, metric: str, fakes: Sequence[Source], track: Track, say: Callable[[str], None]
) -> list[Contender]:
    """Everything that is to be scored under one metric, the user's own first."""
    options: dict[str, Any] = {"track": track, **request.options}
    options["size"] = options.get("size") or (commonest(fakes[0], "size") if fakes else None)
    protocol = load_protocol(metric)
    if "@" in metric:
        options["clips"] = options.get("clips") or protocol.clips
    if request.changes:
        protocol = config.change(protocol, [*request.changes, f"name={protocol.name}+{'+'.join(request.changes)}"])
    taken = options.get("real_stats")
    if taken is not None and taken.exists() and request.real is None:
        real = None
    else:
        real = request.real or DEFAULT if card_of(request) else open_real(request, request.split, options["size"])
    evaluator = Evaluator(protocol, real, split=request.split, **options)
    found = [Contender(fake.name, evaluator, fake) for fake in fakes]
    registered = importable_models(say) if request.references or not (request.models or fakes) else []
    models = request.models or ([] if fakes else registered)
    own = [name for name in models if not is_reference(name)]
    found += [Contender(name.rpartition(":")[2], evaluator, build_model(name)) for name in own]
    references = [name for name in request.models if is_reference(name)]
    if request.references and not references:
        references = [name for name in registered if is_reference(name)]
    if evaluator.real is None and references:
        say("The reference generators are left out: they stand on real videos, and there are only their statistics.")
        return found
    return found + reference_contenders(request, references, evaluator, options, say)


def importable_models(say: Callable[[str], None]) -> list[str]:
    """Names of the registered models; one that cannot be imported is left out, and said."""
    names = []
    for name in MODELS.names():
        try:
            MODELS.load(name)
        except UserError as error:
            say(f"{name} is left out: {error}")
        else:
            names.append(name)
    return names


def reference_contenders(
    request: Request, names: Sequence[str], evaluator: Evaluator, options: dict[str, Any], say: Callable[[str], None]
) -> list[Contender]:
    """The reference generators, on real videos that the score does not use where there are such."""
    real = evaluator.real
    assert real is not None
    held_out, floor = hold_out(request, real, evaluator.size)
    size = evaluator.size or commonest(real, "size")
    found = []
    for name in names:
        judge = evaluator
        if name == "real" and held_out is None:
            say(
                f"real is left out: {real.name} has no other split, and {len(real.videos)} videos are too few to halve."
            )
            continue
        if name == "real" and floor is not real:
            say(f"real is one half of {real.name} against the other, so that no video is on both sides.")
            judge = Evaluator(
                evaluator.protocol, floor, **{**options, "backbone": evaluator.backbone_name, "real_stats": None}
            )
        generator = MODELS.load(name)((held_out or real).resized(size), evaluator.protocol.span)
        found.append(Contender(name, judge, generator))
    return found


def hold_out(request: Request, real: Source, size: tuple[int, int] | None) -> tuple[Source | None, Source]:
    """Real videos for the reference generators, and the real side for `real` among them.

    That is the held-out split and the whole real side; of a set without splits one half, by a hash of each video's
    key, and the other; of fewer than 20 videos nothing.
    """
    others = [split for split in HELD_OUT if split in real.splits and split != real.split]
    others += [split for split in real.splits if split not in (*HELD_OUT, real.split)]
    if others:
        return open_real(request, others[0], size), real
    if len(real.videos) < MIN_TO_HALVE:
        return None, real
    return real.subset(lambda video: half(video.key) == 1, "half"), real.subset(
        lambda video: half(video.key) == 0, "other half"
    )


def half(key: str) -> int:
    """Which half, 0 or 1, of its set a video is in."""
    return draw_seed(0, f"half/{key}") % 2


def card_of(request: Request) -> DataSet | None:
    """The card of the real side, where that is a data set."""
    return None if request.is_path else named_dataset(request.real)


def open_real(request: Request, split: str | None, size: tuple[int, int] | None) -> Source:
    """The real side as it was asked for."""
    card = card_of(request)
    return card.source(split, size) if card else open_path(request, str(request.real), split, size)


def open_path(request: Request, path: str, split: str | None, size: tuple[int, int] | None) -> Source:
    """The videos at a path; what is said of arrays holds for arrays."""
    if Path(path).suffix in ARRAYS:
        return open_source(path, split=split, key=request.key, value_range=request.value_range)
    return open_source(path, split=split, size=size, kind=request.kind)


def load_model(name: str) -> Any:
    """A model's class: a registered one, or `path/to/file.py:Class`.

    Raises:
        UserError: an unknown name, or a file or class that is not there or cannot be imported.
    """
    path, colon, attribute = name.rpartition(":")
    if not colon or not path.endswith(".py"):
        return MODELS.load(name)
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    if spec is None or spec.loader is None or not Path(path).is_file():
        raise UserError(f"--model {name}: there is no file {path}.")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UserError(f"--model {name}: {path} cannot be imported ({type(error).__name__}: {error}).") from error
    if not hasattr(module, attribute):
        classes = [key for key, value in vars(module).items() if inspect.isclass(value)]
        raise UserError(f"--model {name}: {path} has no {attribute}. It has {', '.join(classes) or 'no class'}.")
    return getattr(module, attribute)


def is_reference(name: str) -> bool:
    """Whether a model is one of the reference generators."""
    return bool(getattr(load_model(name), "is_reference", False))


def build_model(name: str) -> Generator:
    """A generator, made without arguments.

    Raises:
        UserError: it cannot be made, or is none.
    """
    try:
        generator = load_model(name)()
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"--model {name} cannot be made without arguments ({type(error).__name__}: {error})."
        ) from error
    missing = [part for part in ("sample", "size", "fps", "max_frames") if not hasattr(generator, part)]
    if missing:
        raise UserError(
            f"--model {name} is no generator: it has no {', '.join(missing)}. Derive it from vidbench.Generator."
        )
    return generator  # type: ignore[no-any-return]
