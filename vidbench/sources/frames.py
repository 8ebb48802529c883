"""Videos stored as one image a frame, in folders and in zips."""

import functools
import io
import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import numpy as np
from PIL import Image, UnidentifiedImageError

from vidbench.sources.decode import MAX_PIXELS, MAX_SIDE
from vidbench.sources.video import Info, Unreadable

# What images may be, whatever their names say. Pillow knows others, of which some start programs (EPS: Ghostscript).
KINDS = ("AVIF", "BMP", "JPEG", "JPEG2000", "PNG", "PPM", "TGA", "TIFF", "WEBP")
LARGEST = 2**28  # bytes of one image file


@dataclass(frozen=True)
class Frames(ABC):
    """A video of image files `names`, in playing order; pictures are taken as stored and brought to RGB."""

    folder: str
    names: tuple[str, ...]

    @abstractmethod
    def load(self, name: str) -> bytes:
        """The content of one image file."""

    def probe(self) -> Info:
        """Count the frames and open the first one."""
        with self._opened(self.names[0]) as image:
            codec = str(image.format).lower()
            return Info(len(self.names), (image.height, image.width), None, codec)

    def read(self, info: Info, times: np.ndarray) -> Iterator[np.ndarray]:
        """The frames at `times`, one by one."""
        for name in (self.names[t] for t in times):
            with self._opened(name) as image:
                if (image.height, image.width) != info.size:
                    raise Unreadable(
                        f"frame {name} has {image.height}x{image.width} pixels, the first one "
                        f"{info.size[0]}x{info.size[1]}"
                    )
                yield self._rgb(name, image)[:, None]

    def _opened(self, name: str) -> Image.Image:
        try:
            image = Image.open(io.BytesIO(self.load(name)), formats=_kinds())
        except Unreadable:
            raise
        except UnidentifiedImageError as error:
            raise Unreadable(f"frame {name}: it is not an image, or damaged") from error
        except Exception as error:  # whatever else a damaged file or archive makes Pillow or zipfile raise
            raise Unreadable(f"frame {name}: {_first_line(error)}") from error
        if max(image.size) > MAX_SIDE:
            raise Unreadable(f"frame {name} claims {image.width}x{image.height} pixels; the limit is {MAX_SIDE} a side")
        if image.width * image.height > MAX_PIXELS:
            raise Unreadable(f"frame {name} claims {image.width * image.height:,} pixels; the limit is {MAX_PIXELS:,}")
        return image

    def _rgb(self, name: str, image: Image.Image) -> np.ndarray:
        """The picture as uint8 [3, H, W] (16-bit grey is brought to 8 bits)."""
        try:
            if image.mode.startswith("I;16"):
                return np.repeat((np.asarray(image) >> 8).astype(np.uint8)[None], 3, axis=0)
            if image.mode in ("I", "F"):
                raise ValueError("its pixels have 32 bits; 8 or 16 are needed")
            return np.asarray(image.convert("RGB")).transpose(2, 0, 1)
        except Exception as error:
            raise Unreadable(f"frame {name}: {_first_line(error)}") from error


@dataclass(frozen=True)
class FolderFrames(Frames):
    """Image files in a folder."""

    def load(self, name: str) -> bytes:
        """The content of one image file."""
        path = Path(self.folder, name)
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise Unreadable(f"frame {name}: it is not a file")
        _require_small(name, found.st_size)
        return path.read_bytes()


@dataclass(frozen=True)
class ZipFrames(Frames):
    """Image files in a zip; `folder` is their folder inside it ("" or ending in "/"). Nothing is extracted to disk."""

    archive: Path

    def probe(self) -> Info:
        """Count the frames, see that all are there, and open the first one."""
        try:
            entries = self._zip().NameToInfo
        except (BadZipFile, ValueError) as error:
            raise Unreadable(f"{self.archive.name} is not a zip any more") from error
        missing = [name for name in self.names if self.folder + name not in entries]
        if missing:
            raise Unreadable(f"{len(missing)} of its frames are not in {self.archive.name}, first {missing[0]}")
        return super().probe()

    def load(self, name: str) -> bytes:
        """The content of one entry; no more of it is unpacked than its directory says."""
        file = self._zip()
        entry = file.getinfo(self.folder + name)
        _require_small(name, entry.file_size)
        return file.read(entry)

    def _zip(self) -> ZipFile:
        return _opened_zip(self.archive, self.archive.stat().st_mtime_ns, os.getpid())


@functools.lru_cache(maxsize=64)
def _opened_zip(path: Path, mtime_ns: int, pid: int) -> ZipFile:
    """One handle for each process: after a fork, two processes must not move the same file position."""
    return ZipFile(path)


def _require_small(name: str, size: int) -> None:
    if size > LARGEST:
        raise Unreadable(f"frame {name} has {size:,} bytes; the limit is {LARGEST:,}")


@functools.cache
def _kinds() -> list[str]:
    """Those of `KINDS` that this Pillow reads."""
    Image.init()
    return [kind for kind in KINDS if kind in Image.OPEN]


def _first_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).partition("\n")[0] or type(error).__name__
