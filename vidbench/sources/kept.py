"""Frames at a smaller size, made once and kept in the cache, in blocks: who reads them again decodes nothing."""

import fcntl
import hashlib
import mmap
import os
import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from vidbench.errors import UserError
from vidbench.files import atomic_write, cache_dir
from vidbench.sources.resize import crop_and_resize
from vidbench.sources.video import Info, Unreadable, Video

VERSION = 1  # raise it when frames are reduced in another way
BLOCK = 128  # frames
STOPPED = mmap.mmap(-1, 1)  # 1: nothing more is kept; seen by all processes that are forked from this one


@dataclass(frozen=True)
class Kept:
    """Reads the videos of a source at a smaller size: by `crop_and_resize` from what is stored, once."""

    name: str
    """What people call the source."""
    content: str
    """Fingerprint of the source."""
    size: tuple[int, int]
    """Height and width."""

    def __call__(self, video: Video, info: Info, times: np.ndarray) -> Iterator[np.ndarray]:
        """The frames at increasing indices `times` in chunks uint8 [3, t, H, W]; raises `Unreadable` or `OSError`."""
        if info.size == self.size:
            yield from video.medium.read(info, times)
            return
        if info.codec == "rendered":  # quicker than whole blocks of so many videos that few are seen again
            yield self._reduced(video, info, times)
            return
        for number in np.unique(times // BLOCK).tolist():
            yield self._frames(video, info, number, times[times // BLOCK == number])

    def _frames(self, video: Video, info: Info, number: int, times: np.ndarray) -> np.ndarray:
        """Frames that are all of one block."""
        whole = np.arange(number * BLOCK, min((number + 1) * BLOCK, info.length))
        path = self._path(video, info, number)
        block = load(path, (3, len(whole), *self.size))
        if block is None and not STOPPED[0]:
            with suppress(Unreadable, MemoryError):  # of another frame of the block, or met again below
                block = self._reduced(video, info, whole)
                keep(path, block, self.label)
        return self._reduced(video, info, times) if block is None else block[:, times - whole[0]]

    def _reduced(self, video: Video, info: Info, times: np.ndarray) -> np.ndarray:
        parts = [crop_and_resize(part, self.size) for part in video.medium.read(info, times)]
        return np.ascontiguousarray(np.concatenate(parts, axis=1))

    @property
    def label(self) -> str:
        """What people see of it: source and size."""
        return f"{self.name} {self.size[0]}x{self.size[1]}"

    def _path(self, video: Video, info: Info, number: int) -> Path:
        source = hashlib.sha256(f"{VERSION}/{self.content}/{self.size}".encode())
        which = hashlib.sha256(os.fsencode(f"{video.name}/{info.length}/{info.size}"))
        return cache_dir() / "frames" / source.hexdigest() / f"{which.hexdigest()[:24]}-{number:06d}.safetensors"


def load(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """A block uint8 [3, t, H, W]; None where there is none, or it is damaged."""
    try:
        with safe_open(path, "numpy") as file:
            block: np.ndarray = file.get_tensor("frames")
            label = (file.metadata() or {}).get("label", "")
    except (OSError, SafetensorError):
        return None
    whole = block.dtype == np.uint8 and block.shape == shape and label.endswith(f" {crc32(block.data):08x}")
    return block if whole else None


def keep(path: Path, block: np.ndarray, label: str) -> None:
    """Write a block, whole or not at all; where it cannot be written, say so and write no others."""
    content = save({"frames": block}, {"label": f"{label} {crc32(block.data):08x}"})
    try:
        frames = path.parents[1]
        frames.mkdir(parents=True, exist_ok=True)
        lock = os.open(frames, os.O_RDONLY)
        try:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(lock, fcntl.LOCK_SH)  # nobody clears the cache meanwhile
            atomic_write(path, content)
        finally:
            os.close(lock)
    except (OSError, UserError) as error:
        if not STOPPED[0]:
            STOPPED[0] = 1
            warnings.warn(f"Frames of {label} are reduced anew whenever they are read: {error}", stacklevel=2)
