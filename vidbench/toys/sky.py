"""`toy-sky`: a steady camera under drifting clouds, which form, dissolve, move on and do not return.

The clouds lie on a ceiling seen in perspective. They are a sum of octaves of noise, each of which the wind carries at a
pace of its own: so their shapes change as they travel. Image coordinates are in frame heights, time is in frames.
"""

from functools import partial

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidbench.toys.noise import Doubles, Floats, curve, dice, hashed, in_chunks, paint, row_noise, single

VERSION = 1

_OCTAVES = 7
_ZENITH, _HORIZON, _LIT, _SHADE, _LAND = range(5)
_HOURS = np.array(  # colours in the order above
    [
        [(48, 108, 200), (168, 208, 240), (255, 255, 255), (150, 166, 188), (38, 58, 44)],  # noon
        [(28, 84, 168), (120, 190, 232), (252, 252, 250), (126, 150, 182), (54, 66, 40)],  # deep blue
        [(74, 92, 160), (255, 190, 120), (255, 224, 186), (150, 104, 122), (44, 36, 48)],  # evening
        [(40, 34, 92), (240, 104, 74), (255, 150, 104), (92, 52, 98), (20, 16, 28)],  # afterglow
        [(116, 158, 208), (255, 220, 206), (255, 238, 226), (172, 164, 192), (66, 70, 82)],  # morning
        [(112, 124, 138), (190, 198, 204), (226, 228, 230), (92, 100, 112), (46, 52, 54)],  # overcast
        [(60, 70, 78), (150, 158, 140), (178, 182, 176), (44, 52, 62), (24, 30, 28)],  # storm
        [(6, 10, 34), (34, 48, 92), (84, 96, 136), (20, 24, 50), (6, 8, 16)],  # moonlight
    ],
    np.float64,
)


class _Place:
    """What makes one video itself, and all of the picture that does not change."""

    def __init__(self, video: str, size: tuple[int, int]) -> None:
        numbers, self.seeds = dice(video, 16)
        self.height, width = size
        self.v = (np.arange(self.height) + 0.5) / self.height  # [H]
        self.u = ((np.arange(width) + 0.5 - width / 2) / self.height).astype(np.float32)  # [W]
        self.ground = 0.8 + 0.14 * numbers[0]  # height of the horizon, counted from above
        self.depth = (0.45 + 0.25 * numbers[1]) / (np.maximum(self.ground - self.v, 0) + 0.16)  # [H], of the ceiling
        self.cell = 0.5 + 0.6 * numbers[2]  # size of the largest clouds
        self.crisp = 2.5 + 4 * numbers[3] * numbers[3]
        self.cover = 0.25 + 0.5 * numbers[4]
        self.wind = (0.004 + 0.012 * numbers[5]) * (1 if numbers[6] < 0.5 else -1)  # sideways, ceiling units a frame
        self.approach = 0.008 * (numbers[7] - 0.3)  # towards the camera
        self.start = 1e4 * numbers[8]
        sun = (numbers[9] - 0.5) * width / self.height, 0.15 + 0.6 * numbers[10]
        away = (self.u - (sun[0])) ** 2 + ((self.v - sun[1]) ** 2).astype(np.float32)[:, None] + (1e-6)
        glow = (0.02 + 0.05 * numbers[11])
        self.glow = np.clip(glow * glow / away, 0, 1) + (1 - np.clip(glow * glow / away, 0, 1)) * glow / (glow + away) * 0.6
        self.land = [self._ridge(i, relief) for i, relief in enumerate([0.14 * numbers[12], 0.06 * numbers[13]])]

    def _ridge(self, i: int, relief: float) -> tuple[Floats, Floats]:
        """The farther (0) or nearer (1) ridge: how far it covers each pixel, how much light of the sky lies on it."""
        x, y = self.u[None, None] * (3 + 3 * i), np.array([[0.5]])
        peaks = sum(row_noise(self.seeds[11 + i], y, x * 3**k, 16 * 3**k) * 0.4**k for k in range(4))[0]
        top = (self.ground + 0.05 * i - 0.01) - relief * peaks
        below = self.v[:, None].astype(np.float32) - top
        rough = row_noise(self.seeds[13 + i], 30 * self.depth[None] * self.v, x * 8, 64)[0]
        light = (0.5 - 0.45 * i) + 0.14 * (rough - 0.5) * np.clip(12 * below, 0, 1)
        return np.clip(below * self.height + 0.5, 0, 1), np.clip(light, 0, 1)

    def colours(self, t: Doubles) -> Floats:
        """Colours [5, 3, T, 1, 1] of the hour: each blends into the next."""
        hour = self.start + t / 2500
        f = hour - np.floor(hour)
        choice = hashed(self.seeds[0], np.stack([np.floor(hour), np.floor(hour) + 1])) * len(_HOURS)
        tint = 0.95 + 0.1 * hashed(self.seeds[1], np.arange(5)[:, None], np.arange(3))
        now, later = _HOURS[choice.astype(np.int64)] * tint  # [T, 5, 3]
        mixed = now + f[:, None, None] * (later - now)
        return np.clip(mixed, 0, 255).astype(np.float32).transpose(1, 2, 0)[..., None, None]


def render(video: str, times: NDArray[np.integer[Any]], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Frames of one endless sky, uint8 [3, T, H, W] RGB; see `vidbench.toys` for the contract.

    Args:
        video: its name; every name is another place, wind and hour.
        times: [T], frame indices, 25 a second.
        size: (height, width) in pixels.
    """
    return in_chunks(partial(_frames, _Place(video, size)), times, size)


def _frames(place: _Place, t: Doubles) -> Floats:
    colours = place.colours(t)
    low = single(np.clip(place.v / place.ground, 0, 1))
    rgb = colours[_ZENITH] + low * low * (colours[_HORIZON] - colours[_ZENITH])
    rgb = np.broadcast_to(rgb, (3, len(t), place.height, len(place.u))).copy()
    paint(rgb, place.glow, colours[_LIT])
    _clouds(rgb, place, colours, t)
    for cover, fade in place.land:
        paint(rgb, cover, fade * colours[_HORIZON] + (1 - fade) * colours[_LAND])
    return rgb


def _clouds(rgb: Floats, place: _Place, colours: Floats, t: Doubles) -> None:
    t = t[:, None]
    x = place.u * single(place.depth)  # [H, W]
    pixel = place.depth * place.depth / place.height  # [H], footprint on the ceiling
    total = 0
    for i in range(_OCTAVES):
        pitch = 2.1**i / place.cell  # cells a unit
        clear = np.clip(1.6 - 2.5 * pixel * pitch, 0, 1)
        if not clear.any():
            break
        pace = 1 + 0.5 * (i - 1) / (i + 2)
        y = (place.depth + place.approach * pace * t) * pitch
        reach = int(np.abs(x).max() * pitch) + 2
        octave = row_noise(place.seeds[2 + i], y, x * pitch, reach, place.wind * pace * t * pitch)
        total = total + (octave - 0.5) * single(clear * 0.56**i)
    cover = place.cover + 0.3 * (curve(place.seeds[10], t / 250) - 0.5)
    thick = total * place.crisp + single(place.crisp * (cover - 0.5))
    body = np.clip(thick + 0.3, 0, 1)
    near = single(np.clip((place.ground - place.v) * 8 + 0.25, 0, 1))
    thick = np.maximum(thick, 0)
    lit = colours[_LIT] + thick / (thick + 0.6) * (colours[_SHADE] - colours[_LIT])
    paint(rgb, body * (2 - body) * near, lit)
