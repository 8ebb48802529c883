"""A whole evaluation, from a request to its records; what `eval` and `plot` run."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from .contenders import Contender, Request, contenders
from .errors import UserError
from .evaluator import quiet
from .files import check_writable
from .generator import OnReal
from .preflight import preflight
from .ranks import exchange, is_first, joined
from .record import Record, load_record
from .sheets import contact_sheet
from .sides import Track
from .sources import Source


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
    folder = request.out / "records"
    check_writable(folder)
    entries = [entry for metric in dict.fromkeys(request.metrics) for entry in contenders(request, metric, track, say)]
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
    """Index all that is needed and fail early; False for a generator that has no real videos to stand on."""
    evaluator = entry.evaluator
    protocol = evaluator.resolve(entry.side)
    if evaluator.real is not None:
        evaluator.clips(evaluator.real, protocol, cycle=True)
    if isinstance(entry.side, OnReal):
        assert isinstance(entry.side.source, Source)
        evaluator.index(entry.side.source)
        try:
            return bool(entry.side.eligible)
        except ValueError as error:
            say(f"{entry.name} is left out: {error}.")
            return False
    evaluator.clips(entry.side, protocol)
    return True


def score(entry: Contender, folder: Path) -> Record:
    """Score one contender; its record and contact sheet are saved."""
    record, side, real = entry.evaluator.score_with_passes(entry.side, entry.name)
    record = record.model_copy(update={"floor_of": entry.floor_of})
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
