"""Videos stored as arrays, in memory and in .npy, .npz and .h5 files."""

import functools
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from vidbench.errors import UserError
from vidbench.sources import fingerprint
from vidbench.sources.source import Source
from vidbench.sources.video import Info, Unreadable, Video

ARRAYS = (".npy", ".npz", ".h5", ".hdf5")


@dataclass(frozen=True)
class MemoryFrames:
    """A video in memory, uint8 [T, H, W, 3]."""

    frames: np.ndarray

    def probe(self) -> Info:
        """Length and size."""
        length, height, width, _ = self.frames.shape
        return Info(length, (height, width), None, "array")

    def read(self, info: Info, times: np.ndarray) -> Iterator[np.ndarray]:
        """The frames at `times`."""
        yield np.moveaxis(self.frames[times], -1, 0)


@dataclass(frozen=True)
class StoredFrames:
    """A video in a file of arrays: frames `start` to `start + length` of the array, or of its item `row`."""

    path: Path
    key: str
    row: int | None
    start: int
    length: int
    size: tuple[int, int]
    value_range: tuple[float, float] | None

    def probe(self) -> Info:
        """Length and size."""
        return Info(self.length, self.size, None, "array")

    def read(self, info: Info, times: np.ndarray) -> Iterator[np.ndarray]:
        """The frames at `times`; floats are brought to 0..255 by the range and rounded."""
        array = _arrays(self.path)[self.key]
        at = self.start + times
        frames = np.asarray(array[at] if self.row is None else array[self.row, at])
        if self.value_range:
            if not np.isfinite(frames).all():
                raise Unreadable("it holds values that are not finite numbers")
            low, high = self.value_range
            frames = np.clip((frames - low) * (255 / (high - low)) + 0.5, 0, 255).astype(np.uint8)
        yield np.moveaxis(frames, -1, 0)


def source_from_array(name: str, videos: np.ndarray, fps: float | None = None) -> Source:
    """A source of videos in memory.

    Args:
        name: What messages call it; `<name>/000000` is its first video.
        videos: uint8 [N, T, H, W, 3].
        fps: Frames per second.

    Raises:
        UserError: The array has another shape or type.
    """
    if videos.dtype != np.uint8 or videos.ndim != 5 or videos.shape[-1] != 3:
        raise UserError(f"{name} is {videos.dtype} {list(videos.shape)}; uint8 [N, T, H, W, 3] is needed.")
    listed = [Video(f"{name}/{i:06d}", f"{i:06d}", MemoryFrames(frames)) for i, frames in enumerate(videos)]
    content = fingerprint.of_bytes(repr(videos.shape).encode(), np.ascontiguousarray(videos).tobytes())
    return Source(name, listed, content, fps=fps)


def open_arrays(path: Path, *, split: str | None, key: str | None, value_range: tuple[float, float] | None) -> Source:
    """A source of the videos in a .npy, .npz or .h5 file: uint8 [N, T, H, W, 3] or [T, H, W, 3].

    An .h5 file may also hold `train_data` [frames, H, W, 3], all videos in one row, and `train_idx`, the first frame of
    each; the same with `test_`.

    Raises:
        UserError: It is not such a file, or it does not say which array, or which range of floats, is meant.
    """
    arrays = _arrays(path)
    splits = tuple(name.removesuffix("_idx") for name in arrays if name.endswith("_idx"))
    if splits and key is None:
        split = split or ("train" if "train" in splits else splits[0])
        key = f"{split}_data"
    elif split:
        raise UserError(f"{path} has no splits; leave --split {split} away.")
    key = key or _only(path, arrays)
    if key not in arrays:
        raise UserError(f"{path} has no array {key!r}; it holds {', '.join(arrays)}: name one with --key.")
    array = arrays[key]
    _check(path, array, value_range)
    value_range = None if array.dtype == np.uint8 else value_range
    *_, height, width, _ = array.shape

    def video(i: int, row: int | None, start: int, length: int) -> Video:
        medium = StoredFrames(path, key, row, start, length, (height, width), value_range)
        return Video(f"{path.name}/{i:06d}", f"{i:06d}", medium)

    if array.ndim == 5:
        videos = [video(i, i, 0, array.shape[1]) for i in range(len(array))]
    else:
        starts = np.asarray(arrays[f"{split}_idx"]).tolist() if splits and split else [0]
        ends = [*starts[1:], len(array)]
        videos = [video(i, None, a, b - a) for i, (a, b) in enumerate(zip(starts, ends, strict=True)) if a < b]
    content = fingerprint.of_array_file(path, "" if path.suffix.lower() == ".npy" else key, value_range)
    return Source(path.name, videos, content, split=split, splits=splits)


def _arrays(path: Path) -> Mapping[str, Any]:
    """The arrays of a file by name (an .npy file has one, named like the file); each process opens its own."""
    try:
        return _opened(path, path.stat().st_mtime_ns, os.getpid())
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise UserError(f"{path} is not a readable array file ({error}).") from error


@functools.lru_cache(maxsize=4)
def _opened(path: Path, mtime_ns: int, pid: int) -> Mapping[str, Any]:
    if path.suffix.lower() == ".npy":
        return {path.stem: np.load(path, mmap_mode="r", allow_pickle=False)}
    if path.suffix.lower() == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    try:
        import h5py
    except ImportError:
        raise UserError(f"{path} needs h5py; get it with pip install 'vidbench[h5]'.") from None
    file: Mapping[str, Any] = h5py.File(path, "r")
    return file


def _only(path: Path, arrays: Mapping[str, Any]) -> str:
    """The name of the one array that has the shape of videos."""
    names = [name for name, array in arrays.items() if _shape(array)[-1:] == (3,) and len(_shape(array)) in (4, 5)]
    if len(names) != 1:
        found = ", ".join(f"{name} {list(_shape(array))}" for name, array in arrays.items())
        raise UserError(
            f"{path} holds {len(names)} arrays of shape [N, T, H, W, 3] or [T, H, W, 3] ({found}); one is needed"
            + (": name it with --key." if names else ", so bring the axes into this order.")
        )
    return names[0]


def _shape(array: Any) -> tuple[int, ...]:
    return tuple(getattr(array, "shape", ()))  # a group of an .h5 file has none


def _check(path: Path, array: Any, value_range: tuple[float, float] | None) -> None:
    """Refuse an array that is not uint8 unless the range of its values is given."""
    if array.dtype == np.uint8 or value_range:
        return
    some = np.asarray([[frame.min(), frame.max()] for frame in fingerprint.evenly(array)])
    raise UserError(
        f"{path} holds {array.dtype} values from about {some.min():g} to {some.max():g}; uint8 from 0 to 255 is "
        "needed. Say which values are black and white, for example with --range -1,1."
    )
