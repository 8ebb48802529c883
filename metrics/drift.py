"""Drift: how a Fréchet distance changes over the length of generated videos, as errors add up."""

from typing import Any, Self

import numpy as np
import torch
from einops import rearrange

from vidbench.metrics.frechet import frechet_distance
from vidbench.metrics.moments import Moments
from vidbench.metrics.uncertainty import merged


class WindowMoments:
    """Moments of features of each of the successive windows of a side's clips.

    Args:
        dim: number of features d of a window.
    """

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self.windows: list[Moments] = []

    @property
    def count(self) -> int:
        """Number of clips."""
        return self.windows[0].count if self.windows else 0

    def update(self, features: torch.Tensor) -> None:
        """Add clips.

        Args:
            features: `[N, K d]`, of each clip's K windows in turn.

        Raises:
            ValueError: for another number of windows than before.
        """
        parts = rearrange(features, "n (k d) -> k n d", d=self.dim)
        self.windows = self.windows or [Moments(self.dim) for _ in parts]
        for moments, part in zip(self.windows, parts, strict=True):
            moments.update(part)

    def merge(self, other: "WindowMoments") -> "WindowMoments":
        """The moments of both together, window by window, as a new object.

        Raises:
            ValueError: if the numbers of windows or of features differ.
        """
        total = WindowMoments(self.dim)
        if not (self.windows and other.windows):
            total.windows = self.windows or other.windows
            return total
        total.windows = [mine.merge(theirs) for mine, theirs in zip(self.windows, other.windows, strict=True)]
        return total

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Everything as tensors, for safetensors."""
        state = {"dim": torch.tensor(self.dim)}
        for index, moments in enumerate(self.windows):
            state |= {f"{index}.{name}": value for name, value in moments.state_dict().items()}
        return state

    @classmethod
    def from_state_dict(cls, state: dict[str, torch.Tensor]) -> Self:
        """The object whose `state_dict` this is."""
        total = cls(int(state["dim"]))
        for index in range(len({name.partition(".")[0] for name in state if "." in name})):
            prefix = f"{index}."
            part = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
            total.windows.append(Moments.from_state_dict(part))
        return total


class Drift:
    """Fréchet distance of each window of generated videos to all windows of real ones, and its slope over time.

    The number of clips biases all windows alike, and so does not bias the slope.

    Args:
        dim: number of features d of a window.
        biased: covariances over N instead of N - 1.
        window: frames of a window.
    """

    version = 1
    needs_backbone = True
    better = "lower"
    value_of = "slope per 100 frames"

    def __init__(self, dim: int, biased: bool = False, window: int = 16) -> None:
        self.dim, self.biased, self.window = dim, biased, window

    def statistics(self) -> WindowMoments:
        """Empty statistics of one side, to be updated with features `[N, K d]`."""
        return WindowMoments(self.dim)

    def compare(self, fake: WindowMoments, real: WindowMoments) -> dict[str, Any]:
        """The slope of the distance as `value`, in distance per 100 frames; the distances as `curve`.

        The slope is that of the least-squares line through all windows; the `terms` are the distances of the first and
        the last window.

        Raises:
            ValueError: if the generated videos have fewer than two windows, or a side has fewer than two clips.
        """
        if len(fake.windows) < 2:
            raise ValueError(f"A drift needs at least 2 windows; there are {len(fake.windows)}.")
        moments = merged(real.windows).compute(self.biased)
        distances = [frechet_distance(*window.compute(self.biased), *moments).value for window in fake.windows]
        starts = np.arange(len(distances)) * self.window
        slope = float(np.polyfit(starts, distances, 1)[0])
        return {
            "value": 100 * slope,
            "curve": {"t": starts.tolist(), "mean": distances},
            "terms": {"first": distances[0], "last": distances[-1]},
            "rank_deficient": min(fake.count, real.count) <= self.dim,
        }
