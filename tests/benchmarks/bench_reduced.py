"""How much faster is a video read at a smaller size when its frames are kept in the cache?

    OMP_NUM_THREADS=1 python -m tests.benchmarks.bench_reduced [--frames N] [--clip N]

Clips at random places of a 256x256 video file and of a 144x256 zip of frames, reduced to 64x64 and 36x64: frames a
second without the cache, in one visit to an empty cache from the first clip to the last, and ever after. One thread.
"""

import argparse
import os
import random
import tempfile
import time
from pathlib import Path

import numpy as np

from tests.videos import numbered, render, render_frames, zipped
from vidbench.sources import Source, open_source

CLIPS = 24


def pictures(count: int, size: tuple[int, int]) -> list[np.ndarray]:
    """Frames with numbers and moving noise."""
    noise = np.random.default_rng(0).integers(0, 40, (*size, 3), np.uint8)
    return [numbered(t, size) // 2 + np.roll(noise, 3 * t, 1) for t in range(count)]


def frames_per_second(source: Source, length: int) -> float:
    """Over some clips, always of the same places."""
    video, chance = source.videos[0], random.Random(0)
    last = source.length(video) - length
    began = time.perf_counter()
    for start in (chance.randrange(last) for _ in range(CLIPS)):
        source.read(video, start, start + length)
    return CLIPS * length / (time.perf_counter() - began)


def main() -> None:
    """Render both, read clips, print a line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=600)
    parser.add_argument("--clip", type=int, default=128)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["VIDBENCH_CACHE"] = folder
        film = render(Path(folder, "film.mp4"), pictures(arguments.frames, (256, 256)), options={"preset": "veryfast"})
        render_frames(Path(folder, "set", "a"), pictures(arguments.frames, (144, 256)), "{:06d}.jpg")
        archive = zipped(Path(folder, "set"), Path(folder, "set.zip"))
        for path, size in ((film, (64, 64)), (archive, (36, 64))):
            source = open_source(path)
            source.index()
            plain = frames_per_second(source.resized(size), arguments.clip)
            first, again = (frames_per_second(source.reduced(size), arguments.clip) for _ in range(2))
            print(
                f"{path.name} to {size[0]}x{size[1]}, clips of {arguments.clip} frames:"
                f" {plain:,.0f} frames/s without the cache, {first:,.0f} on the first visit, {again:,.0f} after it"
                f" ({again / plain:.0f}x)"
            )


if __name__ == "__main__":
    main()
