"""What probing found, remembered in memory and, for video files, on disk."""

import contextlib
import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vidbench.errors import UserError
from vidbench.files import atomic_write, cache_dir
from vidbench.sources.decode import VideoFile
from vidbench.sources.video import Info, Video

VERSION = 1  # raise it when probing changes its mind about anything


class Index:
    """The known videos of one root folder, by name: an `Info`, or the reason why a video is unreadable.

    Only video files are kept on disk (probing other media costs no more than looking them up), and only readable
    ones. An entry counts as long as the file keeps its size and modification time. A damaged index file counts as none.
    """

    def __init__(self, root: Path | None = None) -> None:
        self._path = root and cache_dir() / "index" / f"{hashlib.sha256(os.fsencode(root)).hexdigest()[:24]}.json"
        self._known: dict[str, Info | str] = {}
        self._stored: dict[str, Any] = _load(self._path) if self._path else {}

    def get(self, video: Video) -> Info | str | None:
        """What is known about a video, or None."""
        if video.name not in self._known and video.name in self._stored:
            with contextlib.suppress(KeyError, TypeError, ValueError, OSError):
                entry = self._stored[video.name]
                if entry["stamp"] == _stamp(video):
                    self._known[video.name] = _info(entry["info"])
        return self._known.get(video.name)

    def put(self, video: Video, found: Info | str) -> None:
        """Remember what probing found."""
        self._known[video.name] = found
        if self._path and isinstance(found, Info) and isinstance(video.medium, VideoFile):
            self._stored[video.name] = {"stamp": _stamp(video), "info": _entry(found)}

    def save(self) -> None:
        """Write the index file; a cache that cannot be written is no failure."""
        if self._path and self._stored:
            with contextlib.suppress(UserError):
                atomic_write(self._path, json.dumps({"version": VERSION, "videos": self._stored}))


def _load(path: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        content = json.loads(path.read_bytes())
        if content["version"] == VERSION:
            return dict(content["videos"])
    return {}


def _stamp(video: Video) -> list[int]:
    assert isinstance(video.medium, VideoFile)
    stat = video.medium.path.stat()
    return [stat.st_size, stat.st_mtime_ns]


def _entry(info: Info) -> dict[str, Any]:
    pts = {"first": info.pts.start, "step": info.pts.step} if isinstance(info.pts, range) else info.pts
    return {**asdict(info), "pts": pts}


def _info(entry: dict[str, Any]) -> Info:
    length, (height, width), pts = entry["length"], entry["size"], entry["pts"]
    if isinstance(pts, dict):
        pts = range(pts["first"], pts["first"] + length * pts["step"], pts["step"])
    elif pts is not None:
        pts = tuple(pts)
    return Info(length, (height, width), entry["fps"], entry["codec"], pts)
