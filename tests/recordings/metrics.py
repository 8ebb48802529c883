"""Recordings of Fréchet distance, streaming moments and colour similarity."""

import numpy as np
import torch
from einops import rearrange

from vidbench.metrics.color import ColorSimilarity, color_similarity
from vidbench.metrics.frechet import frechet_distance
from vidbench.metrics.moments import Moments

from . import Recording


def check_color(recording: Recording) -> None:
    """Within 1e-15: all values are ratios of integers."""
    bins = recording.config["bins_per_color"]
    layout = recording.config["layout"].strip("[]").lower().replace("3", "c").replace(",", " ")
    video = rearrange(recording["in/x"], f"{layout} -> n c t h w")
    similarity = ColorSimilarity(video.shape[2], bins)
    for clip in video:
        similarity.update(clip[None])
    curve = similarity.compute()
    found = {"similarity": color_similarity(video, bins), "mean": curve.mean[1:], "std": curve.std[1:]}
    for name, value in found.items():
        np.testing.assert_allclose(value, recording[f"out64/{name}"], rtol=0, atol=1e-15, err_msg=name)


def check_frechet(recording: Recording) -> None:
    """All five numbers, relative to the traces, with either normaliser."""
    x, y = moments_of(recording["in/x"]), moments_of(recording["in/y"])
    for normaliser, biased in (("unbiased", False), ("biased", True)):
        truth = dict(zip(recording.config["order"], recording[f"out64/{normaliser}"].tolist(), strict=True))
        result = frechet_distance(*x.compute(biased), *y.compute(biased))
        allowed = frechet_tolerance(recording, x, y) * (truth["trace_x"] + truth["trace_y"])
        for name, value in truth.items():
            found = getattr(result, "value" if name == "distance" else name)
            assert abs(found - value) <= allowed, f"{normaliser} {name}: {found} instead of {value}"


def frechet_tolerance(recording: Recording, x: Moments, y: Moments) -> float:
    """What a case's own difficulty costs in float64; a root of the product C1 C2 misses each by orders of magnitude."""
    tolerance = 1e-12
    for side in (x, y):
        mean, covariance = side.compute()
        variances = np.linalg.eigvalsh(covariance)
        if side.count <= side.dim:
            tolerance = max(tolerance, 1e-11)
        elif variances[0] <= 1e-10 * variances[-1]:
            tolerance = max(tolerance, 1e-10)
        if np.linalg.norm(mean) > 1e3 * np.sqrt(variances.sum()):
            tolerance = max(tolerance, 1e-9)
    if recording.config.get("truth", "").startswith("float64"):
        tolerance = max(tolerance, 1e-10)
    return tolerance


def moments_of(features: torch.Tensor, weight: torch.Tensor | None = None) -> Moments:
    moments = Moments(features.shape[1])
    moments.update(features, weight)
    return moments


def check_moments(recording: Recording) -> None:
    """Chunks fed in turn, and merged in three orders: scatter within 1e-11 of its trace, orders within 1e-12 of it."""
    features, weights = (torch.tensor_split(recording[f"in/{name}"], recording["in/cuts"]) for name in ("x", "weight"))
    streamed, forward, backward = (Moments(features[0].shape[1]) for _ in range(3))
    for chunk, weight in zip(features, weights, strict=True):
        streamed.update(chunk, weight)
    parts = [moments_of(chunk, weight) for chunk, weight in zip(features, weights, strict=True)]
    for part in parts:
        forward, backward = forward.merge(part), part.merge(backward)
    odd_then_even = Moments(streamed.dim)
    for part in parts[1::2] + parts[::2]:
        odd_then_even = odd_then_even.merge(part)

    scatter, mean = recording["out64/scatter"].numpy(), recording["out64/mean"].numpy()
    for found in (streamed, forward, backward, odd_then_even):
        assert abs(found.scatter - scatter).max() <= 1e-11 * np.trace(scatter)
        assert abs(found.scatter - streamed.scatter).max() <= 1e-12 * np.trace(scatter)
        np.testing.assert_allclose(found.mean, mean, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(found.weight, recording["out64/weight_sum"].item(), rtol=1e-12)


CHECKS = {"color": check_color, "frechet": check_frechet, "moments": check_moments}
