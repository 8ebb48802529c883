"""Streaming mean and covariance of features."""

from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch

Array = npt.NDArray[np.floating[Any]]


class Moments:
    """Total weight W, mean m and centred scatter S = sum of w (x - m)(x - m)^T of features, in float64.

    Batches are centred on their own mean before they are merged (Chan, Golub and LeVeque, "Algorithms for computing the
    sample variance", 1983), so that a mean far from zero costs no digits. A new object is empty; merging is commutative
    and associative to rounding, and an empty object is its neutral element.

    Attributes:
        count: number of rows with a positive weight.
        weight: W, their total weight.
        mean: m, `[d]`.
        scatter: S, `[d, d]`.
        unit_weights: whether every weight so far was 1.
    """

    def __init__(self, dim: int) -> None:
        self.count, self.weight, self.unit_weights = 0, 0.0, True
        self.mean: Array = np.zeros(dim)
        self.scatter: Array = np.zeros((dim, dim))

    @property
    def dim(self) -> int:
        """Number of features d."""
        return len(self.mean)

    def update(self, features: torch.Tensor | Array, weight: torch.Tensor | Array | None = None) -> None:
        """Add a batch.

        Args:
            features: `[N, d]`, any floating dtype, any device; N may be 0.
            weight: `[N]`, at least 0; 1 each by default. Rows of weight 0 do not count.

        Raises:
            ValueError: for another shape, for a feature that is not finite (naming its row), and for such or negative
                weights.
        """
        x = torch.as_tensor(features).detach().double().cpu().numpy()
        if x.ndim != 2 or x.shape[1] != self.dim:
            raise ValueError(f"Features have shape {list(x.shape)}; [N, {self.dim}] is needed.")
        if not np.isfinite(x).all():
            row = int(np.argmin(np.isfinite(x).all(axis=1)))
            raise ValueError(f"Features of row {row} of the batch are not finite.")
        w = np.ones(len(x)) if weight is None else torch.as_tensor(weight).detach().double().cpu().numpy()
        if w.shape != (len(x),) or not np.isfinite(w).all() or (w < 0).any():
            raise ValueError(f"Weights must be finite and at least 0, one for each of the {len(x)} rows.")
        x, w = x[w > 0], w[w > 0]
        if len(x):
            mean = w @ x / w.sum()
            centred = x - mean
            self._add(len(x), float(w.sum()), mean, (w * centred.T) @ centred, bool((w == 1).all()))

    def merge(self, other: "Moments") -> "Moments":
        """The moments of both together, as a new object.

        Raises:
            ValueError: if the numbers of features differ.
        """
        if other.dim != self.dim:
            raise ValueError(f"Moments of {self.dim} and of {other.dim} features cannot be merged.")
        total = Moments(self.dim)
        for part in (self, other):
            if part.count:
                total._add(part.count, part.weight, part.mean, part.scatter, part.unit_weights)
        return total

    def _add(self, count: int, weight: float, mean: Array, scatter: Array, unit_weights: bool) -> None:
        total = self.weight + weight
        delta = mean - self.mean
        self.scatter = self.scatter + scatter + np.outer(delta, delta) * (self.weight * weight / total)
        self.mean = self.mean + delta * (weight / total)
        self.weight, self.count = total, self.count + count
        self.unit_weights = self.unit_weights and unit_weights

    def compute(self, biased: bool = False) -> tuple[Array, Array]:
        """Mean `[d]` and covariance `[d, d]`.

        Args:
            biased: divide the scatter by W instead of W - 1.

        Raises:
            ValueError: for fewer than two rows, or if the unbiased covariance of weighted rows is asked for.
        """
        if self.count < 2:
            raise ValueError(f"A covariance needs at least 2 rows of features; there are {self.count}.")
        if not biased and not self.unit_weights:
            raise ValueError("The unbiased covariance is defined for unit weights only; use biased=True with weights.")
        return self.mean.copy(), self.scatter / (self.weight if biased else self.weight - 1)

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Everything as tensors, for safetensors."""
        return {
            "count": torch.tensor(self.count),
            "weight": torch.tensor(self.weight, dtype=torch.float64),
            "mean": torch.from_numpy(self.mean.copy()),
            "scatter": torch.from_numpy(self.scatter.copy()),
            "unit_weights": torch.tensor(self.unit_weights),
        }

    @classmethod
    def from_state_dict(cls, state: dict[str, torch.Tensor]) -> Self:
        """The object whose `state_dict` this is."""
        moments = cls(len(state["mean"]))
        moments.count, moments.weight = int(state["count"]), float(state["weight"])
        moments.mean, moments.scatter = state["mean"].numpy().copy(), state["scatter"].numpy().copy()
        moments.unit_weights = bool(state["unit_weights"])
        return moments
