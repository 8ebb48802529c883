"""Speed of precision, recall, density and coverage: `python -m tests.benchmarks.bench_neighbours`.

Against their plain form; 2048 clips a side, one thread. Bar: half a second at d = 400, since an error bar takes 20.
"""

import time

import numpy as np
import torch
from scipy.spatial.distance import cdist

from vidbench.metrics.neighbours import prdc

CLIPS = 2048


def plain_prdc(real: np.ndarray, fake: np.ndarray, k: int = 5) -> tuple[float, ...]:
    """The definition as it is written, on three whole matrices of distances."""
    real, fake = real.astype(np.float64), fake.astype(np.float64)
    real_radii, fake_radii = (np.partition(cdist(side, side), k, axis=1)[:, k] for side in (real, fake))
    distances = cdist(real, fake)
    in_real, in_fake = distances < real_radii[:, None], distances < fake_radii
    return in_real.any(0).mean(), in_fake.any(1).mean(), in_real.sum(0).mean() / k, in_real.any(1).mean()


def seconds(function, *args, repeats: int = 3) -> float:
    """Best of some runs, after one to warm up."""
    function(*args)
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function(*args)
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    print(f"{'d':>5} {'seconds':>8} {'scipy cdist':>12} {'ratio':>6}")
    for dim in (87, 400):
        spread = np.arange(1, dim + 1) ** -0.5  # a spectrum as features have it
        real, fake = ((rng.normal(size=(CLIPS, dim)) * spread).astype(np.float32) for _ in range(2))
        fake *= 0.98
        np.testing.assert_allclose(prdc(real, fake), plain_prdc(real, fake), rtol=1e-12)
        ours, plain = seconds(prdc, real, fake), seconds(plain_prdc, real, fake)
        print(f"{dim:>5} {ours:>8.3f} {plain:>12.3f} {plain / ours:>6.1f}")


if __name__ == "__main__":
    main()
