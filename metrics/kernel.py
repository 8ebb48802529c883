"""Squared maximum mean discrepancy (MMD) with a polynomial kernel, between features of two sets of clips."""

import math
from typing import Any, NamedTuple, Self

import numpy.typing as npt
import torch

Matrix = torch.Tensor | npt.NDArray[Any]

ROWS_AT_ONCE = 1024


class KernelMeans(NamedTuple):
    """Mean kernel values within each of two samples and across them; squared MMD = x + y - 2 cross."""

    x: float
    y: float
    cross: float

    @property
    def mmd(self) -> float:
        """Squared MMD."""
        return self.x + self.y - 2 * self.cross


def polynomial_mmd(x: Matrix, y: Matrix, degree: int = 3, offset: float = 1.0, biased: bool = False) -> float:
    """Squared MMD between two samples, with kernel k(a, b) = (a.b/d + c)^degree (Gretton et al., JMLR 2012).

    With N rows x and M rows y of the same distribution the unbiased estimate has mean zero, and so may be negative:
    mean of k(x_i, x_j), i != j, plus mean of k(y_i, y_j), i != j, minus twice the mean of k(x_i, y_j). The biased one
    keeps i = j. Either is computed in float64, to about 1e-15 of the mean kernel value, some rows at a time.

    Args:
        x: `[N, d]`, any dtype, any device, N at least 2.
        y: `[M, d]`, likewise.
        degree: of the polynomial.
        offset: c.
        biased: keep i = j.

    Raises:
        ValueError: for other shapes, for fewer than two rows, for numbers that are not finite, and for such that are so
            large that the kernel is not.
    """
    return kernel_means(x, y, degree, offset, biased).mmd


def kernel_means(
    x: Matrix,
    y: Matrix,
    degree: int = 3,
    offset: float = 1.0,
    biased: bool = False,
    rows_at_once: int = ROWS_AT_ONCE,
) -> KernelMeans:
    """The three means that make up `polynomial_mmd`; arguments and errors are the same.

    Args:
        x: `[N, d]`.
        y: `[M, d]`.
        degree: of the polynomial.
        offset: c.
        biased: keep i = j.
        rows_at_once: kernel rows held at a time, so that memory is proportional to this times the larger of N and M.
    """
    x, y = (torch.as_tensor(side).detach().to("cpu", torch.float64) for side in (x, y))
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or not x.shape[1]:
        raise ValueError(f"Samples have shapes {list(x.shape)} and {list(y.shape)}; [N, d] and [M, d] are needed.")
    if min(len(x), len(y)) < 2:
        raise ValueError(f"A kernel distance needs at least 2 rows on either side; there are {len(x)} and {len(y)}.")
    for name, side in (("first", x), ("second", y)):
        finite = side.isfinite().all(dim=1)
        if not finite.all():
            raise ValueError(f"Row {int(finite.int().argmin())} of the {name} sample is not finite.")

    def mean(a: torch.Tensor, b: torch.Tensor, diagonal: bool) -> float:
        sums = list[float]()
        for start in range(0, len(a), rows_at_once):
            kernel = (a[start : start + rows_at_once] @ b.T).div_(a.shape[1]).add_(offset).pow_(degree)
            if not diagonal:  # left out, not subtracted later: it may be much larger than all the rest
                kernel.diagonal(start).zero_()
            sums += kernel.sum(dim=1).tolist()
        if not all(map(math.isfinite, sums)):
            largest = max(a.abs().max().item(), b.abs().max().item())
            raise ValueError(f"The kernel of degree {degree} overflows: features reach {largest:.3g}.")
        return math.fsum(sums) / (len(a) * (len(b) if diagonal else len(b) - 1))

    return KernelMeans(mean(x, x, biased), mean(y, y, biased), mean(x, y, True))


class Features:
    """The features themselves, in float32, for measures that moments do not suffice for.

    A new object is empty. Merging is exact and associative, with an empty object as its neutral element; it orders the
    rows, which no measure depends on. Merged objects share memory with their parts.

    Args:
        dim: number of features d.

    Attributes:
        count: number of rows N.
    """

    def __init__(self, dim: int) -> None:
        self.dim, self.count = dim, 0
        self._parts: list[torch.Tensor] = []

    def update(self, features: Matrix) -> None:
        """Add a batch.

        Args:
            features: `[N, d]`, any floating dtype, any device; N may be 0.

        Raises:
            ValueError: for another shape, and for a feature that is not finite in float32 (naming its row).
        """
        part = torch.as_tensor(features).detach().to("cpu", torch.float32, copy=True)
        if part.ndim != 2 or part.shape[1] != self.dim:
            raise ValueError(f"Features have shape {list(part.shape)}; [N, {self.dim}] is needed.")
        finite = part.isfinite().all(dim=1)
        if not finite.all():
            raise ValueError(f"Features of row {int(finite.int().argmin())} of the batch are not finite.")
        self._parts.append(part)
        self.count += len(part)

    def merge(self, other: "Features") -> "Features":
        """The features of both, as a new object.

        Raises:
            ValueError: if the numbers of features differ.
        """
        if other.dim != self.dim:
            raise ValueError(f"Rows of {self.dim} and of {other.dim} features cannot be merged.")
        total = Features(self.dim)
        total._parts, total.count = self._parts + other._parts, self.count + other.count
        return total

    def compute(self) -> torch.Tensor:
        """All rows, float32 `[N, d]`, in the order in which they came; to be read only."""
        if len(self._parts) != 1:
            self._parts = [torch.cat([torch.zeros(0, self.dim), *self._parts])]
        return self._parts[0]

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Everything as tensors, for safetensors."""
        return {"features": self.compute().clone()}

    @classmethod
    def from_state_dict(cls, state: dict[str, torch.Tensor]) -> Self:
        """The object whose `state_dict` this is."""
        features = cls(state["features"].shape[1])
        features.update(state["features"])
        return features


class KernelDistance:
    """Kernel video distance: unbiased squared MMD, kernel (a.b/d + 1)^3 (Ge et al., 2022; KID: Binkowski et al., 2018).

    With I3D logits it is the KVD of TATS (Ge et al., ECCV 2022, "Long video generation with time-agnostic VQGAN and
    time-sensitive transformer"); the kernel and the estimate are those of the kernel inception distance (Binkowski et
    al., ICLR 2018, "Demystifying MMD GANs"). No number of clips biases it, and its value may be negative.

    Args:
        dim: number of features d.
        biased: the biased estimate, never negative, that falls with the number of clips.
    """

    version = 1
    needs_backbone = True
    better = "lower"
    value_of = "squared MMD"

    def __init__(self, dim: int, biased: bool = False) -> None:
        self.dim, self.biased = dim, biased

    def statistics(self) -> Features:
        """Empty statistics of one side, to be updated with features `[N, d]`."""
        return Features(self.dim)

    def compare(self, fake: Features, real: Features) -> dict[str, Any]:
        """The distance as `value`; its `terms` add up to it: mean kernels within the sides, and minus twice across.

        Raises:
            ValueError: if a side has fewer than two clips.
        """
        means = kernel_means(fake.compute(), real.compute(), biased=self.biased)
        return {"value": means.mmd, "terms": {"fake": means.x, "real": means.y, "across": -2 * means.cross}}
