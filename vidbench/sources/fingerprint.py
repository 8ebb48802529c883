"""Fingerprints of sources: hashes of names, sizes and samples of the content; the same on every machine."""

import hashlib
import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

SAMPLES = 64
PIECE = 4096
Item = TypeVar("Item")


def of_files(root: Path, names: Iterable[str], labels: Path | None) -> str:
    """Fingerprint of files below a root: paths, sizes, 4 kB from the middle of 64 of them, and the labels' content.

    What is no file, or a link to nowhere, counts as empty: whoever reads it says what is wrong.
    """
    files = sorted((name, _size(os.path.join(root, name))) for name in names)
    digest = hashlib.sha256()
    for name, size in files:
        _add(digest, name, size)
    for name, size in evenly(files):
        if not size:
            continue
        with open(root / name, "rb") as file:
            file.seek(max(0, (size - PIECE) // 2))
            digest.update(file.read(PIECE))
    if labels:
        digest.update(hashlib.sha256(labels.read_bytes()).digest())
    return digest.hexdigest()


def _size(path: str) -> int:
    """Bytes of a file; 0 for anything else, which might never end."""
    try:
        found = os.stat(path)
    except OSError:
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) else 0


def of_entries(entries: Iterable[tuple[str, int, int]], indices: Iterable[bytes]) -> str:
    """Fingerprint of zips: name, size and CRC-32 of their entries, and the content of their index or label files."""
    digest = hashlib.sha256()
    for entry in sorted(entries):
        _add(digest, *entry)
    for index in indices:
        digest.update(hashlib.sha256(index).digest())
    return digest.hexdigest()


def of_array_file(path: Path, *settings: object) -> str:
    """Fingerprint of a file of arrays: size, 64 evenly spaced pieces (the first is its header), how it is read."""
    size = path.stat().st_size
    digest = hashlib.sha256()
    _add(digest, size, *settings)
    with open(path, "rb") as file:
        for offset in evenly(range(max(1, size - PIECE + 1))):
            file.seek(offset)
            digest.update(file.read(PIECE))
    return digest.hexdigest()


def of_bytes(*parts: bytes) -> str:
    """Fingerprint of values in memory."""
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def evenly(items: Sequence[Item]) -> list[Item]:
    """Up to 64 evenly spaced items, the first and the last among them."""
    count = min(SAMPLES, len(items))
    return [items[i * (len(items) - 1) // max(1, count - 1)] for i in range(count)]


def _add(digest: "hashlib._Hash", *values: object) -> None:
    digest.update(b"\0".join(os.fsencode(str(value)) for value in values) + b"\n")
