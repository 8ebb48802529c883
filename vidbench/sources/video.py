"""What one video is, apart from how it is stored."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np


class Unreadable(Exception):
    """Why a medium cannot be read, in words; the source adds which video it is."""


@dataclass(frozen=True)
class Info:
    """What probing found out about one video."""

    length: int
    """Number of frames."""
    size: tuple[int, int]
    """Height and width as displayed, after rotation."""
    fps: float | None
    """Mean frames per second, where the medium states it."""
    codec: str
    """How pixels are stored: "h264", "png", "jpeg", "array", "rendered", ..."""
    pts: range | tuple[int, ...] | None = field(default=None, repr=False)
    """Time stamp of each frame in the container's unit; None where frames can only be counted."""


class Medium(Protocol):
    """How one video is stored. Media are small frozen values: they travel to worker processes."""

    def probe(self) -> Info:
        """Find out length, size and codec without reading all pixels; raises `Unreadable` or `OSError`."""

    def read(self, info: Info, times: np.ndarray) -> Iterator[np.ndarray]:
        """Frames at increasing indices `times` in chunks uint8 [3, t, H, W]; raises `Unreadable` or `OSError`."""


@dataclass(frozen=True)
class Video:
    """One video of a source."""

    name: str
    """Path below the root, for messages."""
    key: str
    """Path below the root without its ending (posix): the same for files, frame folders and zip entries."""
    medium: Medium
