"""Is the standard error right? The mean jackknife error over fresh draws, against the spread of the scores themselves.

    python -m tests.benchmarks.bench_jackknife [DRAWS] [CLIPS]

Every draw has clips of its own on both sides; features are cached, so a second run takes seconds. A ratio of 1 is
right, above 1 is careful. For the distance between equal distributions (`real`) theory has it at up to the root of 2,
since the jackknife counts what is quadratic in the data twice (Efron and Stein, 1981).
"""

import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from vidbench.clips import GROUPS
from vidbench.datasets import load_dataset
from vidbench.evaluator import Evaluator
from vidbench.metrics.frechet import Frechet
from vidbench.metrics.kernel import KernelDistance
from vidbench.metrics.neighbours import Neighbours
from vidbench.metrics.uncertainty import extrapolation, jackknife, merged, standard_error
from vidbench.passes import blocks
from vidbench.registry import MODELS

FAKES = ("real", "loop", "shuffle", "freeze")


def pool(evaluator: Evaluator, side: Any, *, cycle: bool) -> np.ndarray:
    """Features `[N, d]` of all clips of a side."""
    protocol = evaluator.resolve(side)
    job = evaluator._job(side, protocol, "")
    clips = evaluator.clips(side, protocol, cycle=cycle)
    return np.concatenate([block.features for block in blocks(clips, job)])


def grouped(measure: Any, features: np.ndarray) -> list[Any]:
    """Statistics of the jackknife's groups."""
    groups = [measure.statistics() for _ in range(GROUPS)]
    for k, group in enumerate(groups):
        group.update(torch.from_numpy(features[k::GROUPS]))
    return groups


def scores(measure: Any, fakes: np.ndarray, reals: np.ndarray) -> Iterator[tuple[float, float, float]]:
    """Value, standard error and extrapolated value of every draw."""
    for fake, real in zip(fakes, reals, strict=True):
        sides = grouped(measure, fake), grouped(measure, real)
        left_out = [part["value"] for part in jackknife(measure.compare, *sides)]
        limit = extrapolation(measure.compare, *sides) if isinstance(measure, Frechet) else None
        yield measure.compare(*map(merged, sides))["value"], standard_error(left_out) or 0.0, limit or np.nan


def main(draws: int, clips: int, data: str = "toy-ride") -> None:
    """Print a line a measure and generator."""
    evaluator = Evaluator(f"fvd16@{draws * clips}", data, workers=2)
    card = load_dataset(data)
    shape = (draws, clips, -1)
    real = pool(evaluator, card.source("train"), cycle=True).reshape(shape)
    print(f"{data}, {draws} draws of {clips} clips a side")
    print("measure     generator   value      sd of values  mean se   ratio   extrapolated  its sd")
    for name in FAKES:
        fake = pool(evaluator, MODELS.load(name)(card.source("test").resized((32, 32)), 16), cycle=False).reshape(shape)
        for kind in (Frechet, KernelDistance, Neighbours):
            values, errors, limits = np.array(list(scores(kind(fake.shape[2]), fake, real))).T
            spread = values.std(ddof=1)
            limit = f"{limits.mean():12.3f} {limits.std(ddof=1):8.3f}" if kind is Frechet else ""
            print(
                f"{kind.__name__:15} {name:8} {values.mean():9.3f} {spread:12.4f} {errors.mean():9.4f}"
                f" {errors.mean() / spread:7.2f} {limit}"
            )


def step(dim: int, clips: int) -> None:
    """Print how long a Fréchet distance and its twenty jackknife groups take, on one thread."""
    rng = np.random.default_rng(0)
    scale = np.sqrt(100 / np.arange(1, dim + 1))
    sides = [grouped(Frechet(dim), rng.standard_normal((clips, dim)) * scale) for _ in range(2)]
    measure = Frechet(dim)
    began = time.perf_counter()
    measure.compare(*map(merged, sides))
    plain = time.perf_counter() - began
    jackknife(measure.compare, *sides)
    whole = time.perf_counter() - began
    print(f"d = {dim}, {clips} clips a side: distance {plain:.3f} s, with its jackknife {whole:.2f} s")


if __name__ == "__main__":
    torch.set_num_threads(1)
    step(400, 2048)
    main(*map(int, sys.argv[1:3] or ("50", "512")))
