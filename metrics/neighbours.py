"""Precision, recall, density and coverage: how two sets of features lie in each other's nearest-neighbour balls."""

import math
from typing import Any, NamedTuple

import torch
from einops import rearrange

from vidbench.metrics.kernel import Features, Matrix

ROWS_AT_ONCE = 1024
NUMBERS_AT_ONCE = 2**22


class PRDC(NamedTuple):
    """Precision, recall and coverage are shares, in [0, 1]; density is at least 0, and about 1 for like sets."""

    precision: float
    recall: float
    density: float
    coverage: float


def prdc(real: Matrix, fake: Matrix, k: int = 5, rows_at_once: int = ROWS_AT_ONCE) -> PRDC:
    """Precision and recall (Kynkäänniemi et al., NeurIPS 2019), density and coverage (Naeem et al., ICML 2020).

    A row's ball reaches to its k-th nearest neighbour on its own side, itself not counted, and holds what is strictly
    nearer. Precision: fakes in the ball of any real row; recall: real rows in the ball of any fake; density: mean
    number of real balls that a fake is in, over k; coverage: real rows with a fake in their ball. Distances are
    Euclidean, in float64. A matrix product gives most comparisons; those too close for its rounding are made again from
    differences, so that equal distances are equal.

    Args:
        real: `[N, d]`, any dtype, any device, N above k.
        fake: `[M, d]`, likewise.
        k: which neighbour bounds a ball.
        rows_at_once: distances of so many rows are held at a time, so that memory is proportional to this times the
            larger of N and M.

    Raises:
        ValueError: for other shapes, for k rows or fewer, for k below 1, for numbers that are not finite, and for
            such that are so large that distances are not.
    """
    real, fake = (torch.as_tensor(side).detach().to("cpu", torch.float64) for side in (real, fake))
    if real.ndim != 2 or fake.ndim != 2 or real.shape[1] != fake.shape[1] or not real.shape[1]:
        shapes = f"{list(real.shape)} and {list(fake.shape)}"
        raise ValueError(f"Samples have shapes {shapes}; [N, d] and [M, d] are needed.")
    if k < 1:
        raise ValueError(f"Neighbours count from 1; k is {k}.")
    if min(len(real), len(fake)) <= k:
        raise ValueError(f"Neighbour {k} needs at least {k + 1} rows a side; there are {len(real)} and {len(fake)}.")
    for name, side in (("real", real), ("fake", fake)):
        finite = side.isfinite().all(dim=1)
        if not finite.all():
            raise ValueError(f"Row {int(finite.int().argmin())} of the {name} sample is not finite.")
    origin = real.median(dim=0).values  # amid the rows, so that little cancels, and of their digits: integers stay so
    real, fake = real - origin, fake - origin
    largest = max(side.square().sum(dim=1).max().item() for side in (real, fake))
    error = 2 * (4 * real.shape[1] + 16) * torch.finfo(torch.float64).eps * largest
    if not math.isfinite(error):
        raise ValueError(f"Distances overflow: rows differ by {max(real.abs().max(), fake.abs().max()).item():.3g}.")

    real_radii, fake_radii = (_radii(side, k, error, rows_at_once) for side in (real, fake))
    precise = torch.zeros(len(fake), dtype=torch.bool)
    balls, recalled, covered = 0, 0, 0
    for start in range(0, len(real), rows_at_once):
        part = slice(start, start + rows_at_once)
        rows, radii = real[part], rearrange(real_radii[part], "n -> n 1")
        squares = _squares(rows, fake)
        close = ((squares - radii).abs_() <= 2 * error).logical_or_((squares - fake_radii).abs_() <= 2 * error)
        _settle(squares, rows, fake, close)
        inside = squares < radii
        precise |= inside.any(dim=0)
        balls += int(inside.sum())
        covered += int(inside.any(dim=1).sum())
        recalled += int((squares < fake_radii).any(dim=1).sum())
    return PRDC(
        precision=int(precise.sum()) / len(fake),
        recall=recalled / len(real),
        density=balls / (k * len(fake)),
        coverage=covered / len(real),
    )


def _squares(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Squared distances `[N, M]` of rows, within `error` of those of `_settle`."""
    norms = rearrange(a.square().sum(dim=1), "n -> n 1")
    return torch.addmm(b.square().sum(dim=1), a, b.T, alpha=-2).add_(norms)


def _settle(squares: torch.Tensor, a: torch.Tensor, b: torch.Tensor, where: torch.Tensor) -> None:
    """Replace some squared distances of rows by what their differences give."""
    for pairs in torch.split(where.nonzero(), max(1, NUMBERS_AT_ONCE // a.shape[1])):
        i, j = pairs.unbind(dim=1)
        squares[i, j] = (a[i] - b[j]).square().sum(dim=1)


def _radii(x: torch.Tensor, k: int, error: float, rows_at_once: int) -> torch.Tensor:
    """Squared distance `[N]` of every row to its k-th nearest neighbour."""
    radii = []
    for start in range(0, len(x), rows_at_once):
        rows = x[start : start + rows_at_once]
        squares = _squares(rows, x)
        squares.diagonal(start).fill_(math.inf)
        _settle(squares, rows, x, squares <= squares.topk(k, largest=False).values[:, -1:] + 2 * error)
        radii.append(squares.topk(k, largest=False).values[:, -1])
    return torch.cat(radii)


class Neighbours:
    """Coverage, with precision, recall and density beside it, of features of two sets of clips, at neighbour 5.

    Precision falls with bad samples, recall and coverage with modes that are missing; the Fréchet distance mixes both.
    Clips of one and the same distribution have a coverage of about 1 - 2^-5 = 0.97 (Naeem et al., 2020).

    Args:
        dim: number of features d.
        biased: taken as every measure with a backbone takes it; there is no covariance here.

    Raises:
        ValueError: if `biased`.
    """

    version = 1
    needs_backbone = True
    value_of = "coverage"
    better = "higher"

    def __init__(self, dim: int, biased: bool = False) -> None:
        if biased:
            raise ValueError("Neighbours have no covariance that could be divided by n: set covariance to none.")
        self.dim = dim

    def statistics(self) -> Features:
        """Empty statistics of one side, to be updated with features `[N, d]`."""
        return Features(self.dim)

    def compare(self, fake: Features, real: Features) -> dict[str, Any]:
        """Coverage as `value`; as `terms` precision, recall and density.

        Raises:
            ValueError: if a side has five clips or fewer.
        """
        found = prdc(real.compute(), fake.compute())._asdict()
        return {"value": found.pop("coverage"), "terms": found}
