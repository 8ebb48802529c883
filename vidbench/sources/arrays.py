"""Videos stored as arrays, in memory and in .npy, .npz and .h5 files."""

import functools
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import numpy as np

from vidbench.errors import UserError
from vidbench.sources import fingerprint
from vidbench.sources.decode import MAX_PIXELS, MAX_SIDE
from vidbench.sources.source import Source
from vidbench.sources.video import Info, Unreadable, Video

ARRAYS = (".npy", ".npz", ".h5", ".hdf5")
PIECE = 2**26  # numbers that are read at a time
LARGEST = 2**33  # bytes of an .npz, which is unpacked into memory
MOST_VIDEOS = 2**22


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
        for at in np.array_split(self.start + times, -(-len(times) * 3 * self.size[0] * self.size[1] // PIECE)):
            try:
                frames = np.asarray(array[at] if self.row is None else array[self.row, at])
            except (ValueError, KeyError, IndexError, RuntimeError, TypeError) as error:
                raise Unreadable(f"its array cannot be read ({type(error).__name__})") from error
            yield self._bytes(frames)

    def _bytes(self, frames: np.ndarray) -> np.ndarray:
        """Frames [t, H, W, 3] as uint8 [3, t, H, W]."""
        if self.value_range:
            if not np.isfinite(frames).all():
                raise Unreadable("it holds values that are not finite numbers")
            low, high = self.value_range
            frames = np.clip((frames - low) * (255 / (high - low)) + 0.5, 0, 255).astype(np.uint8)
        return np.moveaxis(frames, -1, 0)


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
    _require_videos(path, key, array)
    _require_range(path, array, value_range)
    value_range = None if array.dtype == np.uint8 else value_range
    *_, height, width, _ = array.shape

    def video(i: int, row: int | None, start: int, length: int) -> Video:
        medium = StoredFrames(path, key, row, start, length, (height, width), value_range)
        return Video(f"{path.name}/{i:06d}", f"{i:06d}", medium)

    if array.ndim == 5:
        videos = [video(i, i, 0, array.shape[1]) for i in range(len(array))]
    else:
        starts = _starts(path, arrays, f"{split}_idx", len(array)) if splits and split else [0]
        ends = [*starts[1:], len(array)]
        videos = [video(i, None, a, b - a) for i, (a, b) in enumerate(zip(starts, ends, strict=True)) if a < b]
    content = fingerprint.of_array_file(path, "" if path.suffix.lower() == ".npy" else key, value_range)
    return Source(path.name, videos, content, split=split, splits=splits)


def _arrays(path: Path) -> Mapping[str, Any]:
    """The arrays of a file by name (an .npy file has one, named like the file); each process opens its own."""
    try:
        return _opened(path, path.stat().st_mtime_ns, os.getpid())
    except UserError:
        raise
    except Exception as error:  # whatever a damaged file makes NumPy, zipfile and HDF5 raise
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"{path} is not a readable array file ({reason}). Copy or make it again.") from error


@functools.lru_cache(maxsize=4)
def _opened(path: Path, mtime_ns: int, pid: int) -> Mapping[str, Any]:
    if path.suffix.lower() == ".npy":
        return {path.stem: np.lib.format.open_memmap(path, mode="r")}
    if path.suffix.lower() == ".npz":
        if not is_zipfile(path):
            raise ValueError("it is no zip of .npy files")
        with np.load(path, allow_pickle=False) as arrays:
            if (size := sum(entry.file_size for entry in arrays.zip.infolist())) > LARGEST:
                raise ValueError(
                    f"it unpacks to {size:,} bytes, and {LARGEST:,} are the most; .npy files have no limit"
                )
            return {name: array for name, array in arrays.items() if isinstance(array, np.ndarray)}
    try:
        import h5py
    except ImportError:
        raise UserError(f"{path} needs h5py; get it with pip install 'vidbench[h5]'.") from None
    found: dict[str, Any] = {}

    def collect(name: str | bytes, item: Any) -> None:
        name = name if isinstance(name, str) else name.decode(errors="replace")  # bytes, where it is no text
        if isinstance(item, h5py.Dataset):
            if item.external or item.is_virtual:
                raise ValueError(f"its {name} lies in other files, which are not read")
            found[name] = item

    h5py.File(path, "r").visititems(collect)  # visits no links, which may lead to other files
    return found


def _only(path: Path, arrays: Mapping[str, Any]) -> str:
    """The name of the one array that has the shape of videos."""
    names = [name for name, array in arrays.items() if _shape(array)[-1:] == (3,) and len(_shape(array)) in (4, 5)]
    if len(names) != 1:
        found = ", ".join(f"{name} {list(_shape(array))}" for name, array in list(arrays.items())[:8])
        raise UserError(
            f"{path} holds {len(names)} arrays of shape [N, T, H, W, 3] or [T, H, W, 3] ({found}); one is needed"
            + (": name it with --key." if names else ", so bring the axes into this order.")
        )
    return names[0]


def _shape(array: Any) -> tuple[int, ...]:
    return tuple(array.shape or ())  # an empty one of an .h5 file has None


def _require_videos(path: Path, key: str, array: Any) -> None:
    """Refuse an array that cannot hold videos, or claims more than any does."""
    shape = _shape(array)
    if len(shape) not in (4, 5) or shape[-1] != 3 or not all(shape) or array.dtype.kind not in "uif":
        raise UserError(
            f"{path} holds {key} as {array.dtype} {list(shape)}; numbers of shape [N, T, H, W, 3] or [T, H, W, 3] are "
            "needed, no axis of length 0."
        )
    if max(shape[-3:]) > MAX_SIDE or shape[-3] * shape[-2] > MAX_PIXELS:
        raise UserError(f"{path} claims {shape[-3]}x{shape[-2]} pixels; the limit is {MAX_SIDE} a side. Make it again.")
    if len(shape) == 5 and shape[0] > MOST_VIDEOS:
        raise UserError(f"{path} claims {shape[0]:,} videos; the limit is {MOST_VIDEOS:,}. Make it again, or in parts.")


def _starts(path: Path, arrays: Mapping[str, Any], key: str, length: int) -> list[int]:
    """The first frame of each video, where all videos lie in one row of `length` frames."""
    index = arrays.get(key)
    if index is None or len(_shape(index)) != 1 or index.dtype.kind not in "ui" or len(index) > MOST_VIDEOS:
        raise UserError(f"{path} needs an array {key} of whole numbers, the first frame of each video. Make it again.")
    starts: list[int] = np.asarray(index).tolist()
    if any(a > b for a, b in pairwise([0, *starts, length])):
        raise UserError(f"{path} holds {key} that does not rise from 0 to {length}, its frames. Make it again.")
    return starts


def _require_range(path: Path, array: Any, value_range: tuple[float, float] | None) -> None:
    """Refuse an array that is not uint8 unless the range of its values is given."""
    if array.dtype == np.uint8 or value_range:
        return
    some = np.asarray([[frame.min(), frame.max()] for frame in fingerprint.evenly(array)])
    raise UserError(
        f"{path} holds {array.dtype} values from about {some.min():g} to {some.max():g}; uint8 from 0 to 255 is "
        "needed. Say which values are black and white, for example with --range -1,1."
    )
