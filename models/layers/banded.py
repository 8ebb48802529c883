"""Resampling by long filters, as products with the bands of matrices: quicker than short convolutions of channels.

What `fir.upfirdn2d` does along one axis is a matrix whose entries lie near a diagonal. It is multiplied in blocks of
rows, each with the columns that are not zero in it.
"""

from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .fir import upfirdn2d

BLOCK = 32
"""Rows of the longer side of a matrix in a block; a block of less has little to multiply, one of more many zeros."""


class Band(NamedTuple):
    """A block of rows, and the columns that are not zero there."""

    first: int
    stop: int
    first_column: int
    stop_column: int


class Resampling:
    """Zeros inserted after samples, padded, convolved with a filter, thinned out; along one axis.

    Args:
        size: samples before.
        taps: of the filter.
        up: samples that each sample becomes, all but the first zeros.
        down: one sample in so many is kept, from the first on.
        padding: zeros before and after the upsampled samples; negative numbers crop.

    Attributes:
        length: samples after.
    """

    def __init__(self, size: int, taps: int, up: int = 1, down: int = 1, padding: tuple[int, int] = (0, 0)) -> None:
        self.size, self.taps, self.up, self.down, self.padding = size, taps, up, down, padding
        self.length = (size * up + sum(padding) - taps) // down + 1

    def matrix(self, f: Tensor, gain: float = 1.0) -> Tensor:
        """`[length, size]`, of the filter `[taps]`; times `gain`."""
        unit = torch.eye(self.size, dtype=f.dtype, device=f.device)[None, None]
        return upfirdn2d(unit, f[None] * gain, (self.up, 1), (self.down, 1), (*self.padding, 0, 0))[0, 0].T

    def __call__(self, x: Tensor, matrix: Tensor) -> Tensor:
        """`[..., size, C]` to `[..., length, C]`, by a matrix of `matrix`, which gets no gradient."""
        y: Tensor = _Product.apply(x, matrix.to(x.dtype), self._rows, self._columns)  # type: ignore[no-untyped-call]
        return y

    @cached_property
    def _rows(self) -> list[Band]:
        before = self.padding[0]
        return _bands(self.length, self.size, self.down, self.up, -before, self.taps - 1 - before)

    @cached_property
    def _columns(self) -> list[Band]:
        before = self.padding[0]
        return _bands(self.size, self.length, self.up, self.down, before - self.taps + 1, before)


def _bands(rows: int, columns: int, step: int, column_step: int, reach_back: int, reach: int) -> list[Band]:
    """Row i meets columns j with `step * i + reach_back <= column_step * j <= step * i + reach`."""
    block = BLOCK if rows > columns else max(1, BLOCK * rows // columns)
    bands = []
    for first in range(0, rows, block):
        stop = min(first + block, rows)
        lowest = -(-(step * first + reach_back) // column_step)
        highest = (step * (stop - 1) + reach) // column_step
        first_column = min(max(lowest, 0), columns)
        bands.append(Band(first, stop, first_column, max(first_column, min(highest + 1, columns))))
    return bands


class _Product(torch.autograd.Function):
    """Its derivative is the product with the transposed matrix, and so it is differentiable any number of times."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, matrix: Tensor, rows: list[Band], columns: list[Band]) -> Tensor:
        ctx.save_for_backward(matrix)
        ctx.bands = rows, columns
        product = x.new_empty(*x.shape[:-2], len(matrix), x.shape[-1])
        for a, b, c, d in rows:
            product[..., a:b, :] = matrix[a:b, c:d] @ x[..., c:d, :]
        return product

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        rows, columns = ctx.bands
        product: Tensor = _Product.apply(grads[0], ctx.saved_tensors[0].T, columns, rows)  # type: ignore[no-untyped-call]
        return product, None, None, None
