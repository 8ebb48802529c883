"""The pace of change in one number: the signed area between a model's colour similarity curve and the data's.

S(x, t) falls as the world changes (Brooks et al., 2022, Sec. 4 and Fig. 5): an area above 0 means colours change more
slowly than in the data, one below 0 more quickly.
"""

import math
from collections.abc import Sequence

import numpy as np


def signed_area(mean: Sequence[float], real_mean: Sequence[float]) -> float:
    """Mean over t = 1..T-1 of the generated minus the real curve: the area between them over its width, in [-1, 1].

    Args:
        mean: `[T]`, S(x, t) of the generated side, mean over clips; S(x, 0) = 1 stands in front, and does not count.
        real_mean: `[T]`, of the real side.

    Raises:
        ValueError: for curves of different lengths, or of fewer than two points.
    """
    if len(mean) != len(real_mean) or len(mean) < 2:
        raise ValueError(f"Two curves of one length are needed, of 2 points or more: {len(mean)}, {len(real_mean)}.")
    return float(np.mean(np.subtract(mean, real_mean)[1:]))


def area_error(std: Sequence[float], count: int, real_std: Sequence[float], real_count: int) -> float:
    """A standard error of `signed_area` that is never too small, from the spread of each side over clips.

    The area is a difference of two means over independent clips, each clip's own mean over t. By Minkowski's
    inequality the deviation of that mean is at most the mean of the deviations at each t, with equality where clips
    keep their rank from t to t.

    Args:
        std: `[T]`, standard deviation of S(x, t) over the generated clips; the one at t = 0 does not count.
        count: independent clips on the generated side.
        real_std: `[T]`, of the real clips; `real_count` likewise.
    """
    sides = ((std, count), (real_std, real_count))
    return math.hypot(*(float(np.mean(deviations[1:])) / math.sqrt(clips) for deviations, clips in sides))


def never_cross(mean: Sequence[float], real_mean: Sequence[float]) -> bool:
    """Whether a curve lies on one side of the other at all t: then the area is the mean absolute gap, but for sign."""
    gap = np.subtract(mean, real_mean)[1:]
    return bool((gap >= 0).all() or (gap <= 0).all())
