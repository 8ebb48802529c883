"""`toy-talk`: a head that talks, blinks, nods and sways before a wall. One person a video, and nothing new ever comes.

All is made of ellipses, painted from back to front. Coordinates are in units of the frame's shorter side, right and
down from the middle of a square frame (a higher one shows more of the wall above); those of the face are in half widths
and half heights of the head, from its middle.
"""

from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vidbench.toys.noise import Dice, Doubles, Floats, curve, hashed, in_chunks, paint, palette, row_noise, single

VERSION = 1

_SKIN = palette("ffe2cc f6ccaa e4b288 c48c62 946242 603c2a")[0]  # from light to dark
_HAIR = palette("181416 3a261c 684226 a87038 e2be78 b04622 96969a 5c2860")[0]
_IRIS = palette("3c281a 604224 466e46 4678aa")[0]
_CLOTH = palette("263a6e b02c34 28765c e8e2d6 34343c dea032 785496 4e98c4 d6768c 7c5c42")[0]
_WALL = palette("c4d0d6 e2d6be 96b0a0 788cac 5c4a46 ceaa98 303e4a a896be e6e8e6 425c52")[0]
_DARK, _WHITE, _MOUTH, _TEETH, _TONGUE = palette("221a1a f8f6f2 401216 f4f0e8 c45458")[0]
_STYLES: list[list[tuple[float, float, float, float]]] = [  # hair behind the face: right, down, half width, half height
    [],  # bald
    [(0, -0.25, 1.06, 0.8)],  # short
    [(0, -0.2, 1.12, 0.9)],  # fuller
    [(0, 0.02, 1.28, 1.06)],  # bob
    [(0, 0.6, 1.3, 1.7)],  # long
    [(0, -0.22, 1.42, 1.2)],  # round
    [(0, -0.2, 1.06, 0.9), (0, -1.1, 0.42, 0.3)],  # bun
    [(0, -0.2, 1.06, 0.9), (-1.3, 0.25, 0.4, 0.65), (1.3, 0.25, 0.4, 0.65)],  # two tails
    [(s * x, y, 0.5, 0.42) for s in (-1, 1) for x, y in [(1, 0.3), (1.1, -0.2), (0.8, -0.65), (0.3, -0.95)]],  # curls
]


class _Person:
    """What makes one video itself, and the wall behind."""

    def __init__(self, video: str, size: tuple[int, int]) -> None:
        dice = Dice(video)
        self.seeds = dice.seeds
        height, width = size
        self.pixel = 1 / min(size)
        self.u = (np.arange(width) + 0.5 - width / 2) * self.pixel  # [W]
        self.v = (np.arange(height) + 0.5 - height) * self.pixel + 0.5  # [H]
        self.light = 0.22 if dice.chance(0.5) else -0.22  # how much brighter things are on their right
        self.wall = self._wall(dice)
        self.head = dice.between(0.185, 0.23), dice.between(0.25, 0.29)  # half width, half height
        self.at = dice.between(-0.04, 0)  # height of the head's middle
        self.jaw = dice.between(0, 0.32)  # how much narrower the chin is
        tone = dice.between(0, len(_SKIN) - 1)
        self.skin = _SKIN[int(tone)] + (tone - int(tone)) * (_SKIN[int(tone) + 1] - _SKIN[int(tone)])
        self.hair = _HAIR[dice.below(len(_HAIR))] * dice.between(0.8, 1.2)
        cloth = dice.below(len(_CLOTH))
        self.shirt = _CLOTH[cloth] * dice.between(0.85, 1.1)
        self.jacket = _CLOTH[cloth - 1 - dice.below(len(_CLOTH) - 1)] * dice.between(0.85, 1.1)
        self.formal = dice.chance(0.45)
        style = dice.below(len(_STYLES))
        self.style, self.beard = _STYLES[style], style < 3 and dice.chance(0.5)
        self.cover = self.jacket if dice.chance(0.1) else self.hair  # of the head: a scarf, or hair
        self.hairline = dice.between(-0.6, -0.4), dice.between(0.1, 0.6), dice.between(-0.35, 0.35)
        self.glasses = dice.chance(0.25)
        self.eyes = dice.between(0.36, 0.46), dice.between(0.12, 0.16)  # half their distance, their size
        self.iris = _IRIS[dice.below(len(_IRIS))]
        self.brow = dice.between(0.03, 0.07)
        self.nose = dice.between(0.14, 0.22)
        self.mouth = dice.between(0.3, 0.44)
        self.lips = self.skin * (0.72, 0.52, 0.54) + (dice.between(0, 40), 0, 6)
        self.vigour = dice.between(0.5, 1)  # of all motions but the mouth's

    def _wall(self, dice: Dice) -> Floats:
        """Shelves, panels or spots, out of focus: [3, 1, H, W]."""
        first, second = (_WALL[dice.below(len(_WALL))][:, None, None] for _ in range(2))
        y = self.v[None] * dice.between(1, 7)
        x = (self.u[None, None] * dice.between(2, 10)).astype(np.float32)
        pattern = np.clip(3 * row_noise(self.seeds[0], y, x, 12) - 1, 0, 1)
        wall = first + dice.between(0.15, 0.65) * pattern * (second - first)
        lamp = 1.02 - 0.7 * (self.v[:, None] / (len(self.v) * self.pixel) + 0.2) ** 2 + self.light * self.u
        return np.asarray(wall * lamp, np.float32)[:, None]


class _Part(NamedTuple):
    """An ellipse in the picture: its pixels [3, T, R, C], their places in it (in radii), how far it covers them."""

    rgb: Floats
    x: Floats
    y: Floats
    alpha: Floats

    def fill(self, colour: Doubles, shade: float = 0.0) -> None:
        """Paint it; `shade` says how much brighter it is at its right edge than in its middle."""
        light = 1 + shade * self.x - 0.06 * self.y
        paint(self.rgb, self.alpha, colour.astype(np.float32)[:, None, None, None] * light)

    def above(self, line: tuple[float, float, float], soft: float) -> "_Part":
        """What of it lies above the line c0 + c1 x² + c2 x, whose coefficients are given."""
        level, arch, slant = line
        above = level + self.x * (slant + arch * self.x) - self.y
        return self._replace(alpha=self.alpha * np.clip(above / soft + 0.5, 0, 1))


class _Pose:
    """Where the head is in T frames, and the picture [3, T, H, W] it is painted on; all motions are [T, 1]."""

    def __init__(self, person: _Person, t: Doubles) -> None:
        self.person = person
        self.rgb = np.broadcast_to(person.wall, (3, len(t), *person.wall.shape[2:])).copy()
        t, seeds, vigour = t[:, None], person.seeds, person.vigour
        self.sway = 0.07 * vigour * (curve(seeds[1], t / 35) - 0.5)
        self.nod = 0.05 * vigour * (curve(seeds[2], t / 16) - 0.5)
        self.turn = 0.3 * vigour * (curve(seeds[3], t / 28) - 0.5)  # of the face, in units of the head
        self.gaze = 0.6 * (curve(seeds[4], t / 20) - 0.5)
        speaking = np.clip(5 * curve(seeds[5], t / 30) - 1.5, 0, 1)
        self.open = speaking * np.clip(2.4 * curve(seeds[6], t / 2.4) - 0.6, 0, 1)
        blink = (np.floor(t / 75) + 0.1 + 0.8 * hashed(seeds[8], np.floor(t / 75))) * 75
        self.awake = np.clip(np.abs(t - blink) / 3 - 0.2, 0.08, 1)
        self.frown = 0.1 * (curve(seeds[9], t / 18) - 0.5)

    def ellipse(self, x: Doubles, y: Doubles, width: float, height: float | Doubles, taper: float = 0.0) -> _Part:
        """An ellipse of the frame: middle [T, 1], half width, half height, and how much narrower its foot is."""
        person, least = self.person, 0.6 * self.person.pixel
        wide, high = max(width, least), np.maximum(height, least) + 0 * y  # [T, 1]; thinner ones are paler instead
        edge = np.minimum(wide, high) / person.pixel
        reach = 1.01 + 0.5 / edge.min()  # nothing is covered beyond, in radii
        rows = _within(person.v, y.min() - reach * high.max(), y.max() + reach * high.max())
        columns = _within(person.u, x.min() - reach * wide, x.max() + reach * wide)
        down = (person.v[rows] - y) / high  # [T, R]
        dx = single(person.u[columns] - x).swapaxes(1, 2) / single(wide - wide * taper * np.clip(down, 0, 1))
        dy = single(down)
        alpha = np.clip((1 - np.sqrt(dx * dx + dy * dy)) * single(edge) + 0.5, 0, 1)
        return _Part(self.rgb[:, :, rows, columns], dx, dy, alpha * single(width * height / (wide * high)))

    def face(
        self, x: float | Doubles, y: float | Doubles, width: float, height: float | Doubles, out: float = 1.0
    ) -> _Part:
        """An ellipse of the face, in units of the head; `out` is how far it stands out, so moves as the head turns."""
        a, b = self.person.head
        middle = self.sway + a * (x + out * self.turn), self.person.at + self.nod + b * y
        return self.ellipse(*middle, a * width, b * height)


def _within(axis: Doubles, low: float, high: float) -> slice:
    return slice(int(np.searchsorted(axis, low)), int(np.searchsorted(axis, high)))


def render(video: str, times: NDArray[np.integer[Any]], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Frames of one endless talk, uint8 [3, T, H, W] RGB; see `vidbench.toys` for the contract.

    Args:
        video: its name; every name is another person before another wall.
        times: [T], frame indices, 25 a second.
        size: (height, width) in pixels.
    """
    return in_chunks(partial(_frames, _Person(video, size)), times, size)


def _frames(person: _Person, t: Doubles) -> Floats:
    pose = _Pose(person, t)
    _body(person, pose)
    _head(person, pose)
    for side in (-1, 1):
        _eye(person, pose, side)
    _mouth(person, pose)
    return pose.rgb


def _body(person: _Person, pose: _Pose) -> None:
    a, b = person.head
    for x, y, width, height in person.style:
        lock = pose.ellipse(pose.sway + a * x, person.at + pose.nod + b * y, a * width, b * height)
        lock.fill(0.85 * person.cover, person.light)
    lean, chin = 0.35 * pose.sway, person.at + b + 0 * pose.sway
    pose.ellipse(lean, chin + 0.02, 0.5 * a, 0.18).fill(0.82 * person.skin, person.light)
    top = person.jacket if person.formal else person.shirt
    pose.ellipse(lean, chin + 0.36, 0.4 + a / 3, 0.29).fill(top, person.light)
    if person.formal:
        pose.ellipse(lean, chin + 0.3, 0.48 * a, 0.28).fill(person.shirt, person.light)
        pose.ellipse(lean, chin + 0.32, 0.12 * a, 0.22).fill(0.5 * person.jacket, person.light)
    pose.ellipse(lean, chin + 0.06, 0.5 * a, 0.06).fill(0.82 * person.skin, person.light)


def _head(person: _Person, pose: _Pose) -> None:
    a, b = person.head
    x, y, soft = pose.sway, person.at + pose.nod, max(0.06, person.pixel / b)
    for side in (-1, 1):
        pose.face(0.99 * side, 0.05, 0.13, 0.19, -0.3).fill(0.9 * person.skin, person.light)
    head = pose.ellipse(x, y, a, b, person.jaw)
    head.fill(person.skin, person.light)
    if person.beard:
        cheeks = head.above((0.4, -0.5, 0), 3 * soft)
        head._replace(alpha=head.alpha - cheeks.alpha).fill(0.9 * person.hair, person.light)
    if person.style:
        pose.ellipse(x, y - 0.06 * b, 1.07 * a, 1.04 * b).above(person.hairline, soft).fill(person.cover, person.light)
    pose.face(person.light / 4, 0.2, person.nose, 0.22, 1.3).fill(0.94 * person.skin, person.light)
    pose.face(0, 0.38, person.nose, 0.06, 1.4).fill(person.skin * (0.74, 0.66, 0.64))


def _eye(person: _Person, pose: _Pose, side: int) -> None:
    apart, size = person.eyes
    x, y, opening = apart * side, -0.04, 0.56 * size * pose.awake
    look = x + 0.5 * size * pose.gaze
    if person.glasses:
        pose.face(x, y, 0.33, 0.22).fill(_DARK)
        pose.face(x, y, 0.29, 0.19).fill(1.05 * person.skin, person.light)
        pose.face(0.08 * side, y, 0.1, 0.02).fill(_DARK)
    pose.face(x, y - 0.2 + pose.frown, 1.6 * size, person.brow).fill(0.7 * person.hair)
    pose.face(x, y, 1.7 * size, size).fill(0.86 * person.skin)
    pose.face(x, y - 0.02, 1.5 * size, 1.1 * opening + 0.02).fill(_DARK)
    pose.face(x, y, 1.4 * size, opening).fill(_WHITE)
    pose.face(look, y, 0.75 * size, np.minimum(0.56 * size, opening)).fill(person.iris)
    pose.face(look, y, 0.38 * size, np.minimum(0.28 * size, opening)).fill(_DARK)
    pose.face(look - 0.02, y - 0.02, 0.18 * size, np.minimum(0.13 * size, 0.3 * opening)).fill(_WHITE)


def _mouth(person: _Person, pose: _Pose) -> None:
    opening, width = 0.015 + 0.13 * pose.open, person.mouth
    y = 0.6 + 0.4 * opening
    pose.face(0, y, 1.1 * width, opening + 0.05).fill(person.lips)
    pose.face(0, y, 0.9 * width, opening).fill(_MOUTH)
    pose.face(0, y - 0.45 * opening, 0.62 * width, np.maximum(0.4 * opening - 0.02, 0)).fill(_TEETH)
    pose.face(0, y + 0.6 * opening, 0.5 * width, np.maximum(0.35 * opening - 0.01, 0)).fill(_TONGUE)
