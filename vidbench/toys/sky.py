"""`toy-sky`: a steady camera under drifting clouds, which form, dissolve, move on and do not return.

The clouds lie on a ceiling seen in perspective. They are a sum of octaves of noise, each of which the wind carries at a
pace of its own: so their shapes change as they travel. Image coordinates are in frame heights, time is in frames.
"""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidbench.toys.noise import Dice, Doubles, Floats, curve, hashed, in_chunks, paint, palette, row_noise, single

VERSION = 1

_OCTAVES = 7
_ZENITH, _HORIZON, _LIT, _SHADE, _LAND = range(5)
_HOURS = palette(  # colours in the order above
    "306cc8 a8d0f0 ffffff 96a6bc 263a2c",  # noon
    "1c54a8 78bee8 fcfcfa 7e96b6 364228",  # deep blue
    "4a5ca0 ffbe78 ffe0ba 96687a 2c2430",  # evening
    "28225c f0684a ff9668 5c3462 14101c",  # afterglow
    "749ed0 ffdcce ffeee2 aca4c0 424652",  # morning
    "707c8a bec6cc e2e4e6 5c6470 2e3436",  # overcast
    "3c464e 969e8c b2b6b0 2c343e 181e1c",  # storm
    "060a22 22305c 546088 141832 060810",  # moonlight
)


class _Place:
    """What makes one video itself, and all of the picture that does not change."""

    def __init__(self, video: str, size: tuple[int, int]) -> None:
        dice = Dice(video)
        self.seeds = dice.seeds
        self.height, width = size
        self.v = (np.arange(self.height) + 0.5) / self.height  # [H]
        self.u = ((np.arange(width) + 0.5 - width / 2) / self.height).astype(np.float32)  # [W]
        self.ground = dice.between(0.8, 0.94)  # height of the horizon, counted from above
        self.depth = dice.between(0.45, 0.7) / (np.maximum(self.ground - self.v, 0) + 0.16)  # [H], of the ceiling
        self.cell = dice.between(0.5, 1.1)  # size of the largest clouds
        self.crisp = dice.between(2.5, 5)  # how sharp their edges are
        self.cover = dice.between(-0.25, 0.25)  # 0 means that half the sky is covered
        self.wind = dice.between(0.004, 0.016) * (1 if dice.chance(0.5) else -1)  # sideways, ceiling units a frame
        self.approach = dice.between(-0.0025, 0.0055)  # towards the camera
        self.hour = dice.between(0, 1e4)
        across = width / self.height
        self.sun = self._sun(dice.between(-0.5, 0.5) * across, dice.between(0.1, 0.7), dice.between(0.02, 0.07))
        self.land = [self._ridge(0, dice.between(0, 0.14)), self._ridge(1, dice.between(0, 0.06))]

    def _sun(self, u: float, v: float, size: float) -> Floats:
        """The disc and the glow around it, in 0..1, [H, W]."""
        away = (self.u - u) ** 2 + single((self.v - v) ** 2)  # squared distance
        disc = np.clip(size * size / np.maximum(away, 1e-6), 0, 1)
        return disc + (1 - disc) * 0.6 * size / (size + away)

    def _ridge(self, i: int, relief: float) -> tuple[Floats, Floats]:
        """The farther (0) or nearer (1) ridge: how far it covers each pixel, how much light of the sky lies on it."""
        x, y = self.u[None, None] * (3 + 3 * i), np.array([[0.5]])
        top = np.full_like(self.u, self.ground + 0.05 * i - 0.01)
        for k in range(4):
            top -= relief * 0.4**k * row_noise(self.seeds[11 + i], y, x * 3**k, 16 * 3**k)[0, 0]
        below = single(self.v) - top  # [H, W]
        rough = row_noise(self.seeds[13 + i], 30 * (self.depth * self.v)[None], x * 8, 64)[0]
        light = 0.5 - 0.45 * i + 0.14 * (rough - 0.5) * np.clip(12 * below, 0, 1)
        return np.clip(below * self.height + 0.5, 0, 1), np.clip(light, 0, 1)

    def colours(self, t: Doubles) -> Floats:
        """Colours [5, 3, T, 1, 1] of the hour: each blends into the next."""
        hour = self.hour + t / 2500
        f = hour - np.floor(hour)
        choice = hashed(self.seeds[0], np.stack([np.floor(hour), np.floor(hour) + 1])) * len(_HOURS)
        tint = 0.95 + 0.1 * hashed(self.seeds[1], np.arange(5)[:, None], np.arange(3))
        now, later = _HOURS[choice.astype(np.int64)] * tint  # [T, 5, 3]
        mixed = np.asarray(now + f[:, None, None] * (later - now), np.float32)
        return np.clip(mixed, 0, 255).transpose(1, 2, 0)[..., None, None]


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
    rgb = np.empty((3, len(t), place.height, len(place.u)), np.float32)
    rgb[:] = colours[_ZENITH] + low * low * (colours[_HORIZON] - colours[_ZENITH])
    paint(rgb, place.sun, colours[_LIT])
    _clouds(rgb, place, colours, t[:, None])
    for cover, light in place.land:
        paint(rgb, cover, colours[_LAND] + light * (colours[_HORIZON] - colours[_LAND]))
    return rgb


def _clouds(rgb: Floats, place: _Place, colours: Floats, t: Doubles) -> None:
    x = place.u * single(place.depth)  # [H, W], on the ceiling
    pixel = place.depth * place.depth / place.height  # [H], length of a pixel's footprint there
    thick = np.zeros(rgb.shape[1:], np.float32)
    for i in range(_OCTAVES):
        pitch = 2.1**i / place.cell  # cells a unit
        clear = np.clip(1.6 - 2.5 * pixel * pitch, 0, 1) * 0.56**i
        if not clear.any():
            break
        way = t * (1 + 0.5 * (i - 1) / (i + 2))
        y = (place.depth + place.approach * way) * pitch
        reach = int(np.abs(x).max() * pitch) + 2
        octave = row_noise(place.seeds[2 + i], y, x * pitch, reach, place.wind * way * pitch)
        thick += (octave - 0.5) * single(clear * place.crisp)
    thick += single(place.crisp * (place.cover + 0.3 * (curve(place.seeds[10], t / 250) - 0.5)))
    body = np.clip(thick + 0.3, 0, 1)
    body *= (2 - body) * single(np.clip((place.ground - place.v) * 8 + 0.25, 0, 1))
    thick = np.maximum(thick, 0) ** 2
    paint(rgb, body, colours[_LIT] + thick / (thick + 0.7) * (colours[_SHADE] - colours[_LIT]))
