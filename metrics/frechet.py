"""Fréchet distance between two Gaussians, and between two sets of clips through their features' moments."""

from typing import Any, NamedTuple

import numpy as np

from vidbench.metrics.moments import Array, Moments


class FrechetDistance(NamedTuple):
    """A Fréchet distance and what it is made of; value = mean_term + covariance_term, and never negative."""

    value: float
    mean_term: float
    covariance_term: float
    trace_x: float
    trace_y: float
    trace_sqrt: float


def frechet_distance(mean1: Array, cov1: Array, mean2: Array, cov2: Array) -> FrechetDistance:
    """Fréchet distance |m1 - m2|^2 + tr C1 + tr C2 - 2 tr (C1 C2)^(1/2) (Dowson and Landau, 1982).

    With Ci = Fi Fi^T the last trace is the nuclear norm of F1^T F2. Unlike a root of the product C1 C2 this keeps its
    digits where the covariances are singular: about 1e-14 of tr C1 + tr C2.

    Args:
        mean1: `[d]`, float64; `mean2` likewise.
        cov1: `[d, d]`, float64, symmetric and positive semi-definite; `cov2` likewise.

    Raises:
        ValueError: if the shapes disagree, a number is not finite, or the distance comes out below zero by more than
            rounding, which no two covariances can do.
    """
    shapes = [np.shape(a) for a in (mean1, cov1, mean2, cov2)]
    d = len(mean1)
    if shapes != [(d,), (d, d), (d,), (d, d)]:
        raise ValueError(f"Means and covariances have shapes {shapes}; two times [d] and [d, d] with one d are needed.")
    if not all(np.isfinite(a).all() for a in (mean1, cov1, mean2, cov2)):
        raise ValueError("Means and covariances must be finite.")
    mean_term = float(np.sum((mean1 - mean2) ** 2))
    trace_x, trace_y = float(np.trace(cov1)), float(np.trace(cov2))
    trace_sqrt = float(np.linalg.svd(_factor(cov1).T @ _factor(cov2), compute_uv=False).sum())
    covariance_term = trace_x + trace_y - 2 * trace_sqrt
    value = mean_term + covariance_term
    if value < -1e-10 * (trace_x + trace_y):
        raise ValueError(f"The distance is {value:.3g}, below zero: the matrices are not covariances of features.")
    return FrechetDistance(max(value, 0.0), mean_term, covariance_term, trace_x, trace_y, trace_sqrt)


def _factor(cov: Array) -> Array:
    """F `[d, rank]` with cov = F F^T; eigenvalues that are zero to rounding are left out, whose roots would not be."""
    values, vectors = np.linalg.eigh(cov)
    kept = values > len(cov) * 2.3e-16 * values[-1]
    factor: Array = vectors[:, kept] * np.sqrt(values[kept])
    return factor


class Frechet:
    """Fréchet distance between features of two sets of clips (FVD with I3D features: Unterthiner et al., 2018).

    Args:
        dim: number of features d.
        biased: covariances over N, as some reference implementations have them, instead of N - 1.
    """

    version = 1
    needs_backbone = True
    better = "lower"
    value_of = "distance"
    falls_with_clips = True

    def __init__(self, dim: int, biased: bool = False) -> None:
        self.dim, self.biased = dim, biased

    def statistics(self) -> Moments:
        """Empty statistics of one side, to be updated with features `[N, d]`."""
        return Moments(self.dim)

    def compare(self, fake: Moments, real: Moments) -> dict[str, Any]:
        """The distance as `value`, its `terms`, and `rank_deficient`: whether a side has no more clips than features.

        Raises:
            ValueError: if a side has fewer than two clips.
        """
        distance = frechet_distance(*fake.compute(self.biased), *real.compute(self.biased))
        return {
            "value": distance.value,
            "terms": {"mean": distance.mean_term, "covariance": distance.covariance_term},
            "rank_deficient": min(fake.count, real.count) <= self.dim,
        }
