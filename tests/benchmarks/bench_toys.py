"""How many frames a second the toys render on one core.

    OMP_NUM_THREADS=1 python -m tests.benchmarks.bench_toys

The last column is the same time in plain passes over its pixels: as if a large float32 array of as many pixels
were multiplied by a number so many times.
"""

import time
from collections.abc import Callable
from importlib import import_module

import numpy as np
import torch


def seconds(work: Callable[[int], object]) -> float:
    """The median time of a call, over a second and at least five calls; each call gets a number of its own."""
    work(-1)
    laps: list[float] = []
    while len(laps) < 5 or sum(laps) < 1:
        start = time.perf_counter()
        work(len(laps))
        laps.append(time.perf_counter() - start)
    return float(np.median(laps))


def main() -> None:
    """Print a line for each toy, size and length of clip."""
    torch.set_num_threads(1)
    plain = np.ones(2**24, np.float32)
    pass_over_pixel = seconds(lambda _: np.multiply(plain, 1.0, out=plain)) / plain.size
    print(f"{'':10}{'size':>6}{'frames':>8}{'frames/s':>10}{'passes':>8}")
    for toy in ("ride", "sky", "talk"):
        render = import_module(f"vidbench.toys.{toy}").render
        for side in (32, 128):
            for count in (16, 128):
                times = np.arange(count)
                clip = seconds(lambda i: render(f"toy-{toy}/train/{i:06d}", times, (side, side)))  # noqa: B023
                passes = clip / (count * side**2) / pass_over_pixel
                print(f"{'toy-' + toy:10}{side:6}{count:8}{count / clip:10.0f}{passes:8.0f}")


if __name__ == "__main__":
    main()
