"""How many frames a second the toys render on one core.

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_toys.py

The last column compares the time with that of plain passes over as many pixels: how often a float32 array of the frames'
shape could be multiplied by a number in the meantime.
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
    print(f"{'':10}{'size':>6}{'frames':>8}{'frames/s':>10}{'passes':>8}")
    for toy in ("ride", "sky", "talk"):
        render = import_module(f"vidbench.toys.{toy}").render
        for side in (32, 128):
            for count in (16, 128):
                clip = seconds(lambda i: render(f"toy-{toy}/train/{i:06d}", np.arange(count), (side, side)))  # noqa: B023
                plain = np.ones((3, count, side, side), np.float32)
                once = seconds(lambda i: np.multiply(plain, np.float32(1), out=plain))  # noqa: B023
                print(f"{'toy-' + toy:10}{side:6}{count:8}{count / clip:10.0f}{clip / once:8.0f}")


if __name__ == "__main__":
    main()
