"""Which files count, and in which order."""

import functools
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

IMAGES = (".avif", ".bmp", ".jfif", ".jp2", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tga", ".tif", ".tiff", ".webp")
VIDEOS = (".avi", ".flv", ".gif", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv", ".ts", ".webm", ".wmv")


def ending(name: str) -> str:
    """The lower-case ending of a file name, with its dot."""
    return os.path.splitext(name)[1].lower()


ORIGINS = [
    re.compile(r"(?:.*/)?(v_\w+_g\d+)_c\d+"),  # UCF-101: clips of one group are cut from one video
    re.compile(r"(?:.*/)?([\w-]{11})/(?:\1_\d+|\d+_\d\d-\d+_\d\d)"),  # YouTube id, then a number or the time of the cut
]


def origin(key: str) -> str:
    """What a video was cut from, by the public data sets' ways of naming clips; its own key where none is met.

    Clips of one origin resemble each other, and count as one video wherever independent ones are counted.
    """
    found = (pattern.fullmatch(key) for pattern in ORIGINS)
    return next((match[1] for match in found if match), key)


def skipped(part: str) -> bool:
    """Whether a file or folder of this name is never looked at: hidden, or left by systems and tools."""
    return part.startswith(".") or part in ("__MACOSX", "Thumbs.db") or part.endswith("_broken_clips")


def natural_key(path: str) -> list[tuple[list[tuple[int, str]], str]]:
    """Sort key of a posix path: part by part, digits compared as numbers, ties by plain string."""
    return [(_numbered(part), part) for part in path.split("/")]


@functools.lru_cache(maxsize=2**16)  # videos share the names of their frames
def _numbered(part: str) -> list[tuple[int, str]]:
    """Text and numbers in turn; of two numbers the one with more digits is larger, leading zeros apart."""
    numbers = ((piece, piece.lstrip("0")) for piece in re.split("([0-9]+)", part))
    return [(len(number), number) if i % 2 else (0, text) for i, (text, number) in enumerate(numbers)]


def order_notes(listings: Iterable[Sequence[str]]) -> list[str]:
    """One remark if plain string order (part by part) would order any of these naturally sorted listings otherwise."""
    for before, after in (pair for names in listings for pair in pairwise(names)):
        if before.split("/") > after.split("/"):
            return [f"Digits count as numbers ({before} comes before {after}); plain string order would differ."]
    return []


def walk(root: Path) -> Iterator[tuple[str, list[str]]]:
    """Every folder below the root as (posix path, "." for the root itself; names of its files); `OSError` if it cannot.

    A link to a folder that holds it, by whatever way it was reached, is not followed: that would never end.
    """

    def stop(error: OSError) -> None:
        raise error

    for folder, inner, files in os.walk(root, onerror=stop, followlinks=True):
        inner[:] = [name for name in inner if not skipped(name) and not _leads_up(root, folder, name)]
        yield Path(folder).relative_to(root).as_posix(), [name for name in files if not skipped(name)]


def _leads_up(root: Path, folder: str, name: str) -> bool:
    """Whether a link leads to a folder that contains it, or one through which it was reached."""
    path = Path(folder, name)
    if not path.is_symlink():
        return False
    way = [path for path in (Path(folder), *Path(folder).parents) if path.is_relative_to(root)]
    return any(passed.resolve().is_relative_to(path.resolve()) for passed in way)
