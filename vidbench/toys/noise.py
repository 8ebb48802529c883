"""Smooth random functions of place and time, shared by the toys.

Every value is computed from its coordinates by integer hashing and by additions, multiplications, divisions and square
roots, which round alike everywhere: so a frame does not depend on the frames rendered with it, nor on the machine.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vidbench.draws import draw

Floats = NDArray[np.floating[Any]]  # float32: one number a pixel
Doubles = NDArray[np.floating[Any]]  # float64: one number a frame, a row or a video

_NOWHERE = np.zeros((1, 1))
_TAPS = np.arange(-1, 3)
_CHUNK = 32 * 1024  # pixels painted at a time: they stay in the cache


class Dice:
    """The throws that make a video itself, one after the other, and `seeds` for what varies within it."""

    def __init__(self, video: str) -> None:
        self._throws = iter(torch.rand(64, generator=draw(0, video, 0), dtype=torch.float64).tolist())
        self.seeds: list[int] = torch.randint(2**31, (16,), generator=draw(0, video, 1)).tolist()

    def between(self, low: float, high: float) -> float:
        """A number in [low, high)."""
        return float(low + (high - low) * next(self._throws))

    def below(self, count: int) -> int:
        """One of 0 ... count - 1."""
        return int(self.between(0, count))

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self.between(0, 1) < probability


def palette(*rows: str) -> Doubles:
    """Colours in hexadecimal, separated by blanks: float64 [rows, colours, 3] in 0..255."""
    return np.array([[tuple(bytes.fromhex(colour)) for colour in row.split()] for row in rows], np.float64)


def hashed(seed: int, *cells: NDArray[Any]) -> Floats:
    """Independent uniform numbers in [0, 1), one for each cell of the integer lattice; coordinates broadcast."""
    h = np.array([seed], np.uint32)
    for cell in cells:
        h = (h ^ cell.astype(np.int64).astype(np.uint32)) * np.uint32(0x7FEB352D)
        h ^= h >> 15
        h *= np.uint32(0x846CA68B)
        h ^= h >> 16
    return (h >> 8).astype(np.float32) * 2.0**-24


def curve(seed: int, x: Doubles) -> Doubles:
    """A smooth random function of one variable in [0, 1): the cubic B-spline of hashed values at the integers."""
    cell = np.floor(x)
    f = x - cell
    g = 1 - f
    a, b, c, d = hashed(seed, cell + _TAPS.reshape(4, *(1,) * x.ndim)).astype(np.float64)
    total: Doubles = g * g * g * a + (4 - 3 * f * f * (2 - f)) * b + (4 - 3 * g * g * (2 - g)) * c + f * f * f * d
    return total / 6


def row_noise(seed: int, y: Doubles, x: Floats, reach: int, origin: Doubles = _NOWHERE) -> Floats:
    """A smooth random function of two variables in [0, 1], for pictures in which `y` is constant along a row.

    Args:
        seed: which function.
        y: [T, R], any range.
        x: [T, R, W]; beyond `-reach` and `reach` the function is stretched.
        reach: how many cells are computed on either side.
        origin: [T, 1], any range: where in the second variable x = 0 lies.

    Returns:
        The function at (y, origin + x), [T, R, W].
    """
    row, column = np.floor(y), np.floor(origin)
    x = np.clip(x + single(origin - column), -reach, reach)
    columns = column[..., None] + np.arange(-reach, reach + 2)
    near, far = hashed(seed, np.stack([row, row + 1])[..., None], columns)
    lattice = near + _ease(single(y - row)) * (far - near)  # [T, R, 2 reach + 2]
    left = np.floor(x)
    ease = _ease(x - left)
    start = np.arange(y.size, dtype=np.int64).reshape(*y.shape, 1) * lattice.shape[-1] + reach
    index = left.astype(np.int64) + start
    value: Floats = lattice.take(index)
    value += ease * (lattice.take(index + 1) - value)
    return value


def _ease(f: Floats) -> Floats:
    return f * f * (3 - 2 * f)


def single(x: Doubles) -> Floats:
    """One number a row [..., R], worked out in double precision, ready to meet the pixels: float32 [..., R, 1]."""
    return x.astype(np.float32)[..., None]


def paint(rgb: Floats, alpha: Floats, colour: Floats | float) -> None:
    """Lay a colour over the picture [3, T, H, W], in place, as thickly as `alpha` in 0..1 says; both broadcast."""
    change = colour - rgb
    change *= alpha
    rgb += change


def in_chunks(
    frames: Callable[[Doubles], Floats], times: NDArray[np.integer[Any]], size: tuple[int, int]
) -> NDArray[np.uint8]:
    """The frames at `times`, painted a few at a time to bound the memory.

    Args:
        frames: from times [T] to RGB [3, T, H, W] in 0..255, which is clipped and rounded.
        times: [T], frame indices in any order.
        size: (height, width).

    Returns:
        uint8 [3, T, H, W].
    """
    times = np.asarray(times)
    out = np.empty((3, len(times), *size), np.uint8)
    step = max(1, _CHUNK // (size[0] * size[1]))
    for i in range(0, len(times), step):
        rgb = frames(times[i : i + step].astype(np.float64))
        rgb += 0.5
        out[:, i : i + step] = np.clip(rgb, 0, 255, out=rgb)
    return out
