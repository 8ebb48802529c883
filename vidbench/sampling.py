"""Sampling to files: videos of any length in constant memory, a contact sheet, and a record of how they were made."""

import json
import re
import shutil
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from .clips import quantise
from .draws import draw_seed
from .errors import UserError
from .files import atomic_write, check_writable
from .generator import Generator
from .record import versions
from .sheets import contact_sheet
from .sides import Track
from .writing import STREAMS

SHEET_FRAMES = 8
SHEET_VIDEOS = 16


def write_samples(
    folder: Path,
    generator: Generator,
    *,
    name: str,
    count: int,
    frames: int,
    seed: int,
    form: str,
    about: dict[str, Any],
    track: Track,
) -> list[Path]:
    """Write videos, one at a time and chunk by chunk; those of an earlier run in the same place are replaced.

    Video i has the seed drawn from (seed, "clip", i), as in evaluation: what is seen is what is scored.

    Args:
        folder: where to; the videos go into a folder `<name>` of their own there, so that it can be scored.
        generator: makes them.
        name: the generator's.
        count: how many videos.
        frames: how long each is.
        seed: of all draws.
        form: `mp4`, `gif` or `png` (a folder of frames a video).
        about: what else the record says of the generator.
        track: shows progress over frames.

    Returns:
        The videos, the contact sheet and the record.

    Raises:
        UserError: the generator's videos are not that long, or cannot be written.
    """
    if generator.max_frames is not None and frames > generator.max_frames:
        raise UserError(
            f"{name} makes videos of at most {generator.max_frames} frames; {frames} were asked for. Use --frames."
        )
    check_writable(folder)
    written, shown = list[Path](), list[np.ndarray]()
    seeds = [draw_seed(seed, "clip", index) for index in range(count)]
    bar = iter(track(range(count * frames), f"sample {name}", count * frames))
    times = set(np.linspace(0, frames - 1, min(SHEET_FRAMES, frames)).round().astype(int).tolist())
    for index, own in enumerate(seeds):
        kept = list[np.ndarray]()

        def chunks(own: int = own, kept: list[np.ndarray] = kept) -> Iterator[np.ndarray]:
            first = 0
            for chunk in limited(generator.stream(own), frames):
                levels = quantise(chunk)
                kept.extend(levels[:, t : t + 1] for t in range(levels.shape[1]) if first + t in times)
                first += levels.shape[1]
                yield levels
                list(islice(bar, levels.shape[1]))

        path = folder / name / f"{index:06d}"
        if path.is_dir():
            shutil.rmtree(path)
        written.append(STREAMS[form](path, chunks(), generator.size, generator.fps))
        if index < SHEET_VIDEOS:
            shown.append(np.concatenate(kept, axis=1))
    next(bar, None)
    for path in (folder / name).iterdir():  # of an earlier run, and no part of this one
        if path not in written and re.fullmatch(r"\d{6}(\.mp4|\.gif)?", path.name):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    sheet, record = folder / f"{name}.png", folder / f"{name}.json"
    contact_sheet(sheet, f"{name}: {count} videos of {frames} frames", {name: shown})
    document = {
        "model": name,
        **about,
        "videos": [path.relative_to(folder).as_posix() for path in written],
        "seeds": seeds,
        "seed": seed,
        "frames": frames,
        "size": generator.size,
        "fps": generator.fps,
        "quantised": "floor(127.5 x + 128)",
        "versions": versions(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    atomic_write(record, json.dumps(document, indent=1) + "\n")
    return [*written, sheet, record]


def limited(chunks: Iterable[Tensor], frames: int) -> Iterator[Tensor]:
    """Chunks `[C, t, H, W]` up to so many frames in all.

    Raises:
        UserError: there are fewer.
    """
    left = frames
    for chunk in chunks:
        yield chunk[:, :left]
        left -= chunk.shape[1]
        if left <= 0:
            return
    raise UserError(f"The video ended after {frames - left} frames; {frames} were asked for. Use --frames.")
