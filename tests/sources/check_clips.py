"""Check a folder of videos against its manifest.json: `python tests/sources/check_clips.py FOLDER`.

The manifest is a list of objects with `file`, `frames`, `width` and `height` as displayed, and `mean_rgb`, the mean
colour of some frames by index; two levels of difference are allowed.
"""

import json
import sys
from pathlib import Path

import numpy as np

from vidbench.sources import Source, Video, open_source


def check_clips(folder: Path) -> list[str]:
    """What differs from the manifest, a line each."""
    source = open_source(folder, kind="videos")
    videos = {video.name: video for video in source.videos}
    entries = json.loads((folder / "manifest.json").read_text())
    return [problem for entry in entries for problem in _check(source, videos[entry["file"]], entry)]


def _check(source: Source, video: Video, entry: dict) -> list[str]:
    info = source.info(video)
    expected = (entry["frames"], (entry["height"], entry["width"]))
    if (info.length, info.size) != expected:
        return [f"{video.name}: length and size are {info.length}, {info.size}, not {expected}"]
    whole = source.read(video, 0, info.length)
    problems = []
    for index, colour in entry["mean_rgb"].items():
        t = int(index)
        seen = source.read(video, t, t + 1)[:, 0]
        if not np.array_equal(seen, whole[:, t]):
            problems.append(f"{video.name}: frame {t} alone differs from the same frame of the whole video")
        if np.abs(seen.mean((1, 2)) - colour).max() > 2:
            problems.append(f"{video.name}: mean RGB of frame {t} is {seen.mean((1, 2)).round(1)}, not {colour}")
    return problems


if __name__ == "__main__":
    found = check_clips(Path(sys.argv[1]))
    print("\n".join(found) or "All frames are as the manifest says.")
    sys.exit(bool(found))
