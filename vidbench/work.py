"""The work of one cell: what is missing is trained, every metric scored that has no record, and videos sampled."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from .cells import Cell, folder_of, own_code
from .contenders import Contender, Request, build_evaluator, build_model, contenders, is_reference
from .errors import UserError
from .evaluation import can_score, score, stored_records
from .files import atomic_write, check_writable
from .generator import Generator
from .ranks import exchange, is_first
from .record import identity
from .sampling import write_samples
from .sides import named_dataset
from .trained import Trained, folder_name
from .training import Talk, train

FRAMES = 64
"""Of a sampled video, where the model makes so many."""


def run_cell(cell: Cell, device: str, talk: Talk) -> None:
    """Train what is missing, score, sample, and write down that the cell is finished.

    Args:
        cell: one model on one data set.
        device: where networks run in this process.
        talk: tells the user.

    Raises:
        UserError: it cannot be done.
    """
    check_writable(cell.document.parent)
    with alone(cell, talk.say) if is_first() else nullcontext():
        exchange(None)
        trained = checkpoints(cell, device, talk)
        entries = [
            entry
            for metric in dict.fromkeys(cell.suite.metrics)
            for entry in to_score(cell, metric, trained, device, talk)
        ]
        keys = [entry.evaluator.key(entry.side) for entry in entries]
        folder = cell.out / "records"
        at_hand = {record.key: record for record in stored_records(folder) if record.key in keys}
        exchange(None)
        written = []
        for entry, key in zip(entries, keys, strict=True):
            record = at_hand.get(key)
            talk.say(f"{entry.evaluator.metric}: {'its record is at hand' if record else 'is computed'}")
            record = record or score(entry, folder)
            written.append((f"{record.stem()}.json", record.real.name))
        if is_first():
            document = {
                "rests_on": cell.rests_on(trained),
                "checkpoint": trained and str(trained),
                "records": written,
                "videos": videos(cell, entries[0].side, trained, talk),
            }
            atomic_write(cell.document, json.dumps(document, indent=1) + "\n")


@contextmanager
def alone(cell: Cell, say: Callable[[str], None]) -> Iterator[None]:
    """Wait until no other process works on the cell, or on the training that it rests on."""
    cell.lock.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(cell.lock)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"{cell.name} waits for another process that works on it, or on its training")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def checkpoints(cell: Cell, device: str, talk: Talk) -> Trained | None:
    """The checkpoints of the cell's model, trained now where there are none; None for a model that has none.

    Raises:
        UserError: there are none, and the suite trains none.
    """
    if not cell.is_system:
        return None
    trained = cell.trained()
    if trained is None and not cell.suite.train:
        raise UserError(f"There is no checkpoint of {cell.entry.name}, and the suite trains none.")
    if trained is None:
        run, stages = cell.run
        train(replace(run, device=device), stages, None, talk)
        trained = cell.trained()
        assert trained is not None
    talk.say(f"{cell.name}: {', '.join(map(str, trained.paths))}")
    return trained


def to_score(cell: Cell, metric: str, trained: Trained | None, device: str, talk: Talk) -> list[Contender]:
    """The cell's model under one metric.

    Raises:
        UserError: it cannot be scored on these videos.
    """
    suite, entry, said = cell.suite, cell.entry, list[str]()
    passed = {key: getattr(suite, key) for key in ("clips", "size", "backbone", "seed", "workers")}
    known = named_dataset(cell.data) is not None
    request = Request(
        models=(entry.name,),
        data=cell.data if known else None,
        real=None if known else cell.data,
        references=False,
        out=cell.out,
        options={**passed, "device": device},
    )
    if is_reference(entry.name):
        found = contenders(request, metric, talk.track, said.append)
    else:
        generator: Generator = (
            trained.generator(device, **entry.options) if trained else build_model(entry.name, **entry.options)
        )
        options: dict[str, Any] = {"track": talk.track, **request.options, "size": suite.size or generator.size}
        found = [Contender(entry.title, build_evaluator(request, metric, options), generator)]
    if not found or not all(can_score(each, said.append) for each in found):
        raise UserError(said[-1])
    return [replace(each, name=entry.title) for each in found]


def videos(cell: Cell, generator: Any, trained: Trained | None, talk: Talk) -> list[str]:
    """Sample a few videos, as `vidbench sample` does, to where `vidbench report` looks; those at hand are left alone.

    Returns:
        Their paths below `cell.out`; none of a reference generator, of which the report makes its own.
    """
    suite, name = cell.suite, cell.entry.name
    if not suite.videos or is_reference(name):
        return []
    folder = folder_of(suite, cell.out) / "samples" / folder_name(Path(cell.data).name)
    stem = folder_name(cell.entry.title)
    frames = min(FRAMES, generator.max_frames or FRAMES)
    weights, fingerprint = (getattr(generator, key, None) for key in ("checkpoint_hash", "fingerprint"))
    options = cell.entry.model_dump(mode="json")["options"]
    made_of = identity("videos", 1, own_code(name), fingerprint, weights, options, suite.seed, suite.videos, frames)
    found = said_of(folder / f"{stem}.json")
    if found.get("made_of") != made_of or not all((folder / video).exists() for video in found["videos"]):
        about = {
            "model": cell.entry.title,
            "checkpoint": trained and ", ".join(map(str, trained.paths)),
            "checkpoint_hash": weights,
            "options": options,
            "made_of": made_of,
        }
        wanted: dict[str, Any] = {"name": stem, "count": suite.videos, "frames": frames, "seed": suite.seed}
        write_samples(folder, generator, **wanted, form="mp4", about=about, track=talk.track)
        found = said_of(folder / f"{stem}.json")
    return [str((folder / video).relative_to(cell.out)) for video in found["videos"]]


def said_of(document: Path) -> dict[str, Any]:
    """What is written down of videos; nothing where there are none."""
    try:
        found = json.loads(document.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
