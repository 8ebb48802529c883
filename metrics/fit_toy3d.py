"""Fit the constants of `toy3d`: `python -m vidbench.metrics.fit_toy3d` renders the corpus and writes `toy3d.json`."""

import json
import os
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from vidbench.metrics.toy3d import CONSTANTS, features, quadrature_filters

Array = npt.NDArray[np.floating[Any]]
Clip = npt.NDArray[np.float32]

CLIPS_PER_WORLD = 1024

T, Y, X = np.meshgrid(np.arange(16.0), np.arange(32.0), np.arange(32.0), indexing="ij")


def uniforms(name: str, n: int) -> Array:
    """n numbers in [0, 1) that any language can repeat: PCG64 words, seeded by the CRC-32 of the name."""
    words = np.random.PCG64(zlib.crc32(name.encode())).random_raw(n)
    u: Array = (words >> np.uint64(11)) * 2.0**-53
    return u


def fold(v: Array) -> Array:
    """Reflect a coordinate at 0 and 31."""
    return 31 - np.abs(v % 62 - 31)


def tex(name: str) -> Clip:
    """A noise texture under smooth camera motion, a moving disc over it, drifting light: float32 `[3, 16, 32, 32]`.

    Args:
        name: what all draws depend on, such as `toy3d/tex/fit/0`.
    """
    u = uniforms(name, 24 + 4 * 64 * 64)
    s, t = u[:24], np.arange(16.0)
    p_x = 1.2 * s[5] * t * np.cos(2 * np.pi * s[6]) + 2 * s[7] * np.sin(2 * np.pi * (t / (12 + 24 * s[8]) + s[9]))
    p_y = 1.2 * s[5] * t * np.sin(2 * np.pi * s[6]) + 2 * s[10] * np.sin(2 * np.pi * (t / (12 + 24 * s[11]) + s[12]))
    angle, zoom = (0.06 * s[13] - 0.03) * T, np.exp((0.03 * s[14] - 0.015) * T)
    a, b = (X - 15.5) / zoom, (Y - 15.5) / zoom
    column = a * np.cos(angle) - b * np.sin(angle) + p_x[:, None, None]
    row = a * np.sin(angle) + b * np.cos(angle) + p_y[:, None, None]
    video = bilinear_periodic(texture(s, normals(u[24:])), row, column)

    disc_x, disc_y = fold(32 * s[16] + (3 * s[17] - 1.5) * T), fold(32 * s[18] + (3 * s[19] - 1.5) * T)
    opacity = np.clip(3 + 4 * s[15] - np.hypot(X - disc_x, Y - disc_y) + 0.5, 0, 1)
    color = (1.4 * s[20:23] - 0.7)[:, None, None, None]
    video = video * (1 - opacity) + color * opacity + 0.15 * np.sin(2 * np.pi * (T / 24 + s[23]))
    clip: Clip = video.clip(-1, 1).astype(np.float32)
    return clip


def normals(u: Array) -> Array:
    """Standard normal numbers from uniform ones, pair by pair (Box and Muller, 1958)."""
    radius, turn = np.sqrt(-2 * np.log1p(-u[::2])), 2 * np.pi * u[1::2]
    return np.stack([radius * np.cos(turn), radius * np.sin(turn)], axis=1).ravel()


def texture(s: Array, noise: Array) -> Array:
    """Colour texture `[3, 64, 64]` with a power-law spectrum, from four planes of noise."""
    planes = noise.reshape(4, 64, 64)
    f = np.hypot(np.fft.fftfreq(64)[:, None], np.fft.fftfreq(64)[None, :])
    amplitude = np.where(f > 0, np.where(f > 0, f, 1) ** -(1 + 0.8 * s[0]), 0)
    planes = np.fft.ifft2(np.fft.fft2(planes) * amplitude).real
    planes = planes / planes.std(axis=(1, 2), keepdims=True)
    channels = planes[:1] + planes[1:] / 2
    channels = channels / channels.std(axis=(1, 2), keepdims=True)
    result: Array = channels * (0.2 + 0.25 * s[1]) + (0.4 * s[2:5] - 0.2)[:, None, None]
    return result


def bilinear_periodic(image: Array, row: Array, column: Array) -> Array:
    """Values `[3, ...]` of a periodic image `[3, 64, 64]` at real coordinates `[...]`."""
    y, x = np.floor(row).astype(int), np.floor(column).astype(int)
    v, w = row - y, column - x
    y0, y1, x0, x1 = y % 64, (y + 1) % 64, x % 64, (x + 1) % 64
    top = image[:, y0, x0] * (1 - w) + image[:, y0, x1] * w
    bottom = image[:, y1, x0] * (1 - w) + image[:, y1, x1] * w
    values: Array = top * (1 - v) + bottom * v
    return values


def sprites(name: str) -> Clip:
    """Two to four hard-edged, turning shapes that bounce over a plain background: float32 `[3, 16, 32, 32]`.

    Args:
        name: what all draws depend on, such as `toy3d/sprites/fit/0`.
    """
    s = uniforms(name, 64)
    video = np.broadcast_to((1.2 * s[:3] - 0.6)[:, None, None, None], (3, *T.shape)).copy()
    for j in range(2 + int(3 * s[3])):
        q = s[4 + 12 * j : 16 + 12 * j]
        dx, dy = X - fold(31 * q[0] + (4 * q[1] - 2) * T), Y - fold(31 * q[2] + (4 * q[3] - 2) * T)
        r, h = 2.5 + 4.5 * q[4], 2 * np.pi * q[5] + (0.3 * q[6] - 0.15) * T
        a, b = dx * np.cos(h) + dy * np.sin(h), -dx * np.sin(h) + dy * np.cos(h)
        disc, square, bar = a**2 + b**2 < r**2, np.maximum(abs(a), abs(b)) < r, (abs(a) < r) & (abs(b) < 0.4 * r)
        inside = (disc, square, bar)[int(3 * q[7])]
        video[:, inside] = (2 * q[8:11] - 1)[:, None]
    return video.astype(np.float32)


WORLDS: dict[str, Callable[[str], Clip]] = {"tex": tex, "sprites": sprites}


def fit() -> dict[str, list[float]]:
    """Mean and standard deviation (n-1) of the features over the corpus; floored at 1 % of the group's median."""
    filters = quadrature_filters().float()
    rows = []
    for world, render in WORLDS.items():
        for i in range(CLIPS_PER_WORLD):
            clip = torch.from_numpy(render(f"toy3d/{world}/fit/{i}"))
            rows.append(features(clip[None], filters).double())
    corpus = torch.cat(rows)
    groups = torch.split(corpus.std(dim=0), [40, 40, 7])
    std = torch.cat([group.clamp(min=float(1e-2 * group.median())) for group in groups])
    return {"mean": corpus.mean(dim=0).tolist(), "std": std.tolist()}


def main() -> None:
    """Write `toy3d.json` beside this file, in one step."""
    temporary = CONSTANTS.with_suffix(".tmp")
    temporary.write_text(json.dumps(fit(), indent=1) + "\n")
    os.replace(temporary, CONSTANTS)


if __name__ == "__main__":
    main()
