"""What is seen in the frames of one clip, and how it is distributed over clips: flicker, smoothness, repetition."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from scipy.stats import wasserstein_distance

from vidbench.metrics.kernel import Features

PIXELS_AT_ONCE = 2**18
GRID = 16


def flicker(video: torch.Tensor) -> torch.Tensor:
    """1 - mean |x(t+1) - x(t)| / 255 over pixels, colours and frames (Huang et al., CVPR 2024, "VBench"): 1 is still.

    VBench has it as a score of videos that are to be still. Where things move, it is the real videos' value that is
    right.

    Args:
        video: uint8 `[N, 3, T, H, W]`, T at least 2.

    Returns:
        float64 `[N]`, in [0, 1].

    Raises:
        ValueError: for another shape or dtype, or too few frames.
    """
    _require(video, 2)
    return 1 - _mean_level(video, lambda x: x.diff(dim=1).abs_()) / 255


def smoothness(video: torch.Tensor) -> torch.Tensor:
    """1 - mean |x(t) - (x(t-1) + x(t+1)) / 2| / 255 over pixels, colours and t = 1, 3, 5, ... < T-1: 1 is no jerk.

    The motion smoothness of VBench (Huang et al., CVPR 2024) with the mean of both neighbours in place of a learned
    interpolation: another number.

    Args:
        video: uint8 `[N, 3, T, H, W]`, T at least 3.

    Returns:
        float64 `[N]`, in [0, 1].

    Raises:
        ValueError: for another shape or dtype, or too few frames.
    """
    _require(video, 3)
    return 1 - _mean_level(video, lambda x: (2 * x[:, 1:-1:2] - x[:, :-2:2] - x[:, 2::2]).abs_()) / (2 * 255)


def repetition(video: torch.Tensor) -> torch.Tensor:
    """Repetition index: how far a clip comes back to what it was, after having moved away from it.

    With g(t) the `descriptors` and R(tau) = mean over t of |g(t + tau) - g(t)|, tau = 1..3T/4, it is the maximum over
    tau of (P - R) / P, P(tau) the maximum of R up to tau. A scene that moves on has 0, a loop or a ping-pong within
    3T/4 frames 1, noise a little more than 0 (0.02 at T = 128). A clip that stands still is nothing but repetition: 1.

    Args:
        video: uint8 `[N, 3, T, H, W]`, T at least 3.

    Returns:
        float64 `[N]`, in [0, 1].

    Raises:
        ValueError: for another shape or dtype, or too few frames.
    """
    _require(video, 3)
    return torch.tensor([_repetition(descriptors(clip)) for clip in video], dtype=torch.float64)


def _repetition(g: torch.Tensor) -> float:
    """The index of descriptors `[T, d]`."""
    distances = torch.cdist(g, g, compute_mode="donot_use_mm_for_euclid_dist")  # zero between equal frames
    apart = torch.stack([distances.diagonal(tau).mean() for tau in range(1, 3 * len(g) // 4 + 1)])
    farthest = apart.cummax(dim=0).values
    return float((1 - apart / farthest).nan_to_num(1).max())


def descriptors(clip: torch.Tensor) -> torch.Tensor:
    """Frames as 16x16 area means of grey (the mean of red, green and blue), less their mean, over their deviation.

    So a scene is the same in other light. Deviations below one level of 255 count as one, so that what little there is
    in a frame of one colour is not blown up.

    Args:
        clip: uint8 `[3, T, H, W]`.

    Returns:
        float64 `[T, 256]`.
    """
    frames = rearrange(clip, "c t h w -> t c h w")
    parts = torch.split(frames, max(1, PIXELS_AT_ONCE // (clip.shape[2] * clip.shape[3])))
    grey = torch.cat([F.adaptive_avg_pool2d(part.float(), GRID).double().mean(dim=1).flatten(1) for part in parts])
    centred = grey - grey.mean(dim=1, keepdim=True)
    return centred / centred.square().mean(dim=1, keepdim=True).sqrt().clamp(min=1)


def _mean_level(video: torch.Tensor, change: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """Mean of an integer change of successive frames, exact, some frames at a time: float64 `[N]`.

    Args:
        video: uint8 `[N, 3, T, H, W]`.
        change: of int16 `[3, t, H, W]`; parts share a frame, and begin with an even one.
    """
    num_frames, step = video.shape[2], 2 * max(1, PIXELS_AT_ONCE // (2 * video.shape[3] * video.shape[4]))
    means = []
    for clip in video:
        changes = [change(clip[:, start : start + step + 1].short()) for start in range(0, num_frames - 1, step)]
        means.append(sum(int(part.sum()) for part in changes) / sum(part.numel() for part in changes))
    return torch.tensor(means, dtype=torch.float64)


def _require(video: torch.Tensor, frames: int) -> None:
    if video.ndim != 5 or video.shape[1] != 3 or video.shape[2] < frames:
        raise ValueError(
            f"The video has shape {list(video.shape)}; [N, 3, T, H, W] with at least {frames} frames is needed."
        )
    if video.dtype != torch.uint8:
        raise ValueError(f"The video has dtype {video.dtype}; uint8 is needed.")


class ClipScalar(ABC):
    """Compares how one number of a clip is distributed over two sets of clips.

    Args:
        num_frames: T, frames a clip.

    Raises:
        ValueError: if those are too few.
    """

    version = 1
    needs_backbone = False
    value_of = "W1"
    better = "lower"
    min_frames = 3

    def __init__(self, num_frames: int) -> None:
        if num_frames < self.min_frames:
            raise ValueError(f"{type(self).__name__} needs at least {self.min_frames} frames; there are {num_frames}.")

    @abstractmethod
    def features(self, videos: torch.Tensor) -> torch.Tensor:
        """The number of each of the clips uint8 `[N, 3, T, H, W]`: float64 `[N, 1]`."""

    def statistics(self) -> Features:
        """Empty statistics of one side, to be updated with `features`."""
        return Features(1)

    def compare(self, fake: Features, real: Features) -> dict[str, Any]:
        """The Wasserstein-1 distance between both distributions as `value`; as `terms` their means and deviations.

        Raises:
            ValueError: if a side has no clip.
        """
        if not (fake.count and real.count):
            raise ValueError(f"Distributions need at least 1 clip; there are {fake.count} and {real.count}.")
        sides = {name: side.compute()[:, 0].double().numpy() for name, side in (("fake", fake), ("real", real))}
        means = {name: float(values.mean()) for name, values in sides.items()}
        deviations = {f"{name} std": float(np.std(values)) for name, values in sides.items()}
        return {"value": float(wasserstein_distance(*sides.values())), "terms": {**means, **deviations}}


class Flicker(ClipScalar):
    """Distance between the distributions of `flicker` over clips."""

    min_frames = 2

    def features(self, videos: torch.Tensor) -> torch.Tensor:
        """`flicker` of each clip: float64 `[N, 1]`."""
        return rearrange(flicker(videos), "n -> n 1")


class Smoothness(ClipScalar):
    """Distance between the distributions of `smoothness` over clips."""

    def features(self, videos: torch.Tensor) -> torch.Tensor:
        """`smoothness` of each clip: float64 `[N, 1]`."""
        return rearrange(smoothness(videos), "n -> n 1")


class Repetition(ClipScalar):
    """Distance between the distributions of `repetition` over clips: real videos repeat themselves, too."""

    def features(self, videos: torch.Tensor) -> torch.Tensor:
        """`repetition` of each clip: float64 `[N, 1]`."""
        return rearrange(repetition(videos), "n -> n 1")
