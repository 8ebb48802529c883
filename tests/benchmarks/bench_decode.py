"""How fast are clips read from a long video? `python -m tests.benchmarks.bench_decode [--frames N] [--size HxW]`.

Prints clips a second by seeking and by decoding from the start (as a reader without an index must), their ratio, and
frames a second of a whole read against FFmpeg's bare decoding. One thread.
"""

import argparse
import random
import tempfile
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np

from tests.videos import numbered, render
from vidbench.sources.decode import VideoFile

CLIP = 16


def per_second(work: Callable[[], int], seconds: float = 3) -> float:
    """Units of work done in a second; `work` returns how many it has done."""
    done, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        done += work()
    return done / (time.perf_counter() - start)


def bare_decoding(path: Path) -> int:
    """Decode a whole file without looking at the pixels; returns the number of frames."""
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        return sum(1 for _ in container.decode(video=0))


def main() -> None:
    """Render a video, read clips from it, print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--size", default="144x256", help="height x width")
    arguments = parser.parse_args()
    height, width = map(int, arguments.size.split("x"))
    noise = np.random.default_rng(0).integers(0, 40, (height, width, 3), np.uint8)
    frames = [numbered(t, (height, width)) // 2 + np.roll(noise, 3 * t, 1) for t in range(arguments.frames)]
    with tempfile.TemporaryDirectory() as folder:
        video = VideoFile(render(Path(folder, "long.mp4"), frames, options={"preset": "veryfast"}))
        start = time.perf_counter()
        info = video.probe()
        probing = time.perf_counter() - start
        counted, chance = replace(info, pts=None), random.Random(0)

        def clip(known: object) -> int:
            t0 = chance.randrange(info.length - CLIP)
            deque(video.read(known, np.arange(t0, t0 + CLIP)), maxlen=0)
            return 1

        seeking, from_start = per_second(lambda: clip(info)), per_second(lambda: clip(counted))
        whole = per_second(lambda: sum(frames.shape[1] for frames in video.read(info, np.arange(500))))
        bare = per_second(lambda: bare_decoding(video.path))
    print(f"{info.length} frames of {height}x{width}, {info.codec}; probing took {1000 * probing:.0f} ms")
    ratio = f"{seeking / from_start:.1f}x"
    print(f"{CLIP}-frame clips: {seeking:.1f}/s by seeking, {from_start:.1f}/s from the start ({ratio})")
    print(f"frames: {whole:.0f}/s read to RGB, {bare:.0f}/s bare decoding ({whole / bare:.0%})")


if __name__ == "__main__":
    main()
