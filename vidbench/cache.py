"""What lies in the cache, and clearing it: only what vidbench has made, known by its name, and never through links."""

import fcntl
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open

from .errors import UserError
from .files import cache_dir
from .weights.public import FILES

KINDS = ("features", "frames", "index", "weights")
PART = r"\.[0-9a-f]{32}\.part"
"""What a run that was killed leaves behind."""
WEIGHTS = "|".join([*(re.escape(file.name) for file in FILES), *{rf"{file.backbone}\.safetensors" for file in FILES}])
NAMES = {
    "features": rf"[\w-]+-[0-9a-f]{{16}}\.safetensors|{PART}",
    "frames": rf"[0-9a-f]{{24}}-\d{{6,}}\.safetensors|{PART}",
    "index": rf"[0-9a-f]{{24}}\.json|{PART}",
    "weights": rf"(?:{WEIGHTS})(?:\.part)?|{PART}",
}
FOLDERS = ("features", "frames")
"""Kinds that are kept in folders: of one side's features under one protocol, of one source's frames at one size."""
FOLDER = r"[0-9a-f]{64}"
"""Name of such a folder."""


@dataclass(frozen=True)
class Item:
    """One thing in the cache: a folder of features or of frames, or a file."""

    kind: str
    """One of `KINDS`."""
    name: str
    """The metric of features; source and size of frames; the name of a weights file."""
    path: Path
    """Where it is."""
    files: tuple[Path, ...]
    """What it consists of."""
    bytes: int
    """How large it is."""
    written: float
    """When it was last written, in seconds since 1970."""


def items() -> Iterator[Item]:
    """Everything in the cache that vidbench has made; whatever else lies there is passed over, and so are links."""
    for kind in KINDS:
        folder = cache_dir() / kind
        if kind in FOLDERS:
            for inner in entries(folder):
                if re.fullmatch(FOLDER, inner.name):
                    yield from item(kind, name_of(inner, kind), inner, own_files(inner, kind))
        else:
            for file in own_files(folder, kind):
                yield from item(kind, file.name if kind == "weights" else "what probing videos found", file, [file])


def entries(folder: Path) -> list[Path]:
    """What is in a folder; nothing where it is a link or not there.

    Raises:
        UserError: it cannot be read.
    """
    if folder.is_symlink() or not folder.is_dir():
        return []
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise UserError(f"{folder} cannot be read ({error.strerror}). Change the permissions there.") from error


def own_files(folder: Path, kind: str) -> list[Path]:
    """Files in a folder that vidbench has made there."""
    files = [path for path in entries(folder) if re.fullmatch(NAMES[kind], path.name)]
    return [path for path in files if path.is_file() and not path.is_symlink()]


def item(kind: str, name: str, path: Path, files: Sequence[Path]) -> Iterator[Item]:
    """One item; none where another process has just removed it."""
    with suppress(FileNotFoundError):
        stats = [file.lstat() for file in files]
        written = max((stat.st_mtime for stat in stats), default=path.lstat().st_mtime)
        yield Item(kind, name, path, tuple(files), sum(stat.st_size for stat in stats), written)


def name_of(folder: Path, kind: str) -> str:
    """The metric that features were computed for, or source and size of frames, which their blocks say."""
    for block in folder.glob("*.safetensors"):
        with suppress(OSError, SafetensorError), safe_open(block, "numpy") as file:
            label: str = (file.metadata() or {}).get("label", "unknown")
            return label.partition(" ")[0] if kind == "features" else label.rpartition(" ")[0] or label
    return "unknown"


def clear(kinds: Sequence[str], *, dry_run: bool = False) -> tuple[list[Item], list[Item]]:
    """Remove everything of some kinds, except what another run is working on.

    Returns:
        What was removed, or would be, and what was left because it is in use.

    Raises:
        UserError: something cannot be removed.
    """
    removed, in_use = list[Item](), list[Item]()
    for found in list(items()):
        if found.kind in kinds:
            with alone(found) as free:
                (removed if free else in_use).append(found)
                if free and not dry_run:
                    remove(found)
    return removed, in_use


@contextmanager
def alone(found: Item) -> Iterator[bool]:
    """Keep other runs off an item for a while; False where one is at it."""
    if found.kind == "index":
        yield True
    elif found.kind == "features":
        lock = FileLock(f"{found.path}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            yield False
            return
        except OSError as error:
            raise cannot_remove(found, error) from error
        try:
            yield True
        finally:
            lock.release()
    else:
        folder = os.open(found.path.parent, os.O_RDONLY)
        try:
            with suppress(BlockingIOError):
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield True
                return
            yield False
        finally:
            os.close(folder)


def remove(found: Item) -> None:
    """Remove an item; of a folder whatever vidbench has made in it, and the folder if nothing else is in there."""
    try:
        for file in found.files:
            file.unlink(missing_ok=True)
    except OSError as error:
        raise cannot_remove(found, error) from error
    if found.kind in FOLDERS:
        with suppress(OSError):  # something else is in there
            found.path.rmdir()


def cannot_remove(found: Item, error: OSError) -> UserError:
    """The error for what resists."""
    return UserError(f"{found.path} cannot be removed ({error.strerror}). Change the permissions there.")


def readable(size: float) -> str:
    """A number of bytes for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            break
        size /= 1024
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
