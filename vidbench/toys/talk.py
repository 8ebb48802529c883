"""`toy-talk`: a head that talks, blinks, nods and sways before a wall. One person a video, and nothing new ever comes.

Every part is an ellipse, painted from back to front. Coordinates are in units of the frame's shorter side, right and down
from the middle of the frame; parts of the face have theirs in units of the head's half width and half height, from its middle.
"""

from functools import partial
from typing import NamedTuple

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidbench.toys.noise import Doubles, Floats, curve, dice, hashed, in_chunks, paint, row_noise, single

VERSION = 1

_SKIN = np.array([(255, 226, 204), (246, 204, 170), (228, 178, 136), (196, 140, 98), (148, 98, 66), (96, 60, 42)], np.float64)
_HAIR = np.array(
    [(24, 20, 22), (58, 38, 28), (104, 66, 38), (168, 112, 56), (226, 190, 120), (176, 70, 34), (150, 150, 154), (92, 40, 96)],
    np.float64,
)
_CLOTH = np.array(
    [(38, 58, 110), (176, 44, 52), (40, 118, 92), (232, 226, 214), (52, 52, 60), (222, 160, 50), (120, 84, 150), (78, 152, 196)]
    + [(214, 118, 140), (124, 92, 66)],
    np.float64,
)
_WALL = np.array(
    [(196, 208, 214), (226, 214, 190), (150, 176, 160), (120, 140, 172), (92, 74, 70), (206, 170, 152), (48, 62, 74), (168, 150, 190)]
    + [(230, 232, 230), (66, 92, 82)],
    np.float64,
)
# Hair behind the head: ellipses (right, down, half width, half height) in units of the head's.
_STYLES: list[list[tuple[float, float, float, float]]] = [
    [],  # bald
    [(0, -0.25, 1.06, 0.8)],  # short
    [(0, -0.25, 1.06, 0.8)],
    [(0, 0.02, 1.28, 1.06)],  # bob
    [(0, 0.6, 1.3, 1.7)],  # long
    [(0, -0.22, 1.42, 1.2)],  # round
    [(0, -0.2, 1.06, 0.9), (0, -1.1, 0.42, 0.3)],  # bun
    [(0, -0.2, 1.06, 0.9), (-1.3, 0.25, 0.4, 0.65), (1.3, 0.25, 0.4, 0.65)],  # two tails
    [(x, y, 0.5, 0.42) for x, y in [(-1, 0.3), (-1.1, -0.2), (-0.8, -0.65), (0.8, -0.65), (1.1, -0.2), (1, 0.3)]],  # curls
]


class _Person:
    """What makes one video itself, and the wall behind."""

    def __init__(self, video: str, size: tuple[int, int]) -> None:
        n, self.seeds = dice(video, 32)
        height, width = size
        self.pixel = 1 / min(size)
        self.u = ((np.arange(width) + 0.5 - width / 2) * self.pixel).astype(np.float32)  # [W]
        self.v = ((np.arange(height) + 0.5 - height / 2) * self.pixel).astype(np.float32)  # [H]
        self.head = 0.185 + 0.045 * n[0], 0.25 + 0.04 * n[1]  # half width, half height
        self.jaw = 0.32 * n[2]  # how much narrower the chin is
        self.at = -0.04 + 0.04 * n[3]  # height of the head's middle
        self.light = 0.22 * (1 if n[4] < 0.5 else -1)
        tone = n[5] * (len(_SKIN) - 1.001)
        self.skin = _SKIN[int(tone)] + (tone - int(tone)) * (_SKIN[int(tone) + 1] - _SKIN[int(tone)])
        self.hair = _HAIR[int(n[6] * len(_HAIR))] * (0.8 + 0.4 * n[7])
        shirt = int(n[8] * 10)
        self.cloth = _CLOTH[shirt] * (0.85 + 0.3 * n[10])
        self.jacket = _CLOTH[shirt - 1 - int(n[9] * 9)] * (0.85 + 0.3 * n[11])
        self.cover = self.jacket if n[16] > 0.9 else self.hair  # of the head: a scarf or hair
        self.style = _STYLES[int(n[12] * len(_STYLES))]
        self.hairline, self.arch, self.parting = -0.6 + 0.2 * n[13], 0.1 + 0.5 * n[14], 0.7 * (n[15] - 0.5)
        self.beard = n[16] < 0.25
        self.glasses = n[17] < 0.25
        self.formal = n[18] < 0.45
        self.eyes = 0.36 + 0.1 * n[19], 0.12 + 0.04 * n[20]  # how far apart and how large, in units of the head
        self.iris = np.array([(60, 40, 26), (96, 66, 36), (70, 110, 70), (70, 120, 170)], np.float64)[int(n[21] * 4)]
        self.nose = 0.14 + 0.08 * n[22]
        self.mouth = 0.3 + 0.14 * n[23]
        self.lips = self.skin * (0.72, 0.52, 0.52) + np.array([40 * n[24], 0, 6])
        self.brow = 0.03 + 0.04 * n[25]
        self.vigour = 0.5 + 0.5 * n[26]
        self.wall = self._wall(n[27:])

    def _wall(self, n: list[float]) -> Floats:
        """[3, 1, H, W]: shelves, panels or spots, out of focus."""
        first, second = (_WALL[int(k * len(_WALL))][:, None, None] for k in n[:2])
        y, x = self.v[None].astype(np.float64) * (1 + 6 * n[2]), self.u[None, None] * (2 + 8 * n[3])
        pattern = np.clip((row_noise(self.seeds[0], y, x, 12) - 0.5) * 3 + 0.5, 0, 1)
        wall = first + (0.15 + 0.5 * n[4]) * pattern * (second - first)
        lamp = 1.1 - 0.7 * (self.v[:, None] + 0.2) ** 2 + self.light * self.u
        return (wall * lamp).astype(np.float32)[:, None]


class _Part(NamedTuple):
    """An ellipse in the picture: its pixels [3, T, R, C], where they lie in it (in radii), and how far it covers them."""

    rgb: Floats
    x: Floats
    y: Floats
    alpha: Floats

    def fill(self, colour: Doubles, shade: float = 0.0) -> None:
        """Paint it; `shade` says how much brighter it is at its right edge than in its middle."""
        light = 1 + shade * self.x - 0.06 * self.y
        paint(self.rgb, self.alpha, _rgb(colour) * light)

    def above(self, level: float, arch: float, slant: float, soft: float) -> "_Part":
        """What of it lies above the line level + arch x² + slant x."""
        line = level + self.x * (slant + arch * self.x)
        return self._replace(alpha=self.alpha * np.clip((line - self.y) * (1 / soft) + 0.5, 0, 1))


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
        dy = single((person.v[rows] - y) / high)  # [T, R, 1]
        dx = single(person.u[columns] - x).swapaxes(1, 2) / single(wide * (1 - taper * np.clip((person.v[rows] - y) / high, 0, 1)))
        alpha = np.clip((1 - np.sqrt(dx * dx + dy * dy)) * single(edge) + 0.5, 0, 1)
        alpha *= single(width * height / (wide * high))
        return _Part(self.rgb[:, :, rows, columns], dx, dy, alpha)

    def face(self, x: float | Doubles, y: float | Doubles, width: float, height: float | Doubles, out: float = 1.0) -> _Part:
        """An ellipse of the head, in its units; `out` says how far it stands out, and so goes along when the head turns."""
        a, b = self.person.head
        return self.ellipse(self.sway + a * (x + out * self.turn), self.person.at + self.nod + b * y, a * width, b * height)


def _within(axis: Doubles, low: float, high: float) -> slice:
    return slice(int(np.searchsorted(axis, low)), int(np.searchsorted(axis, high)))


def _rgb(colour: Doubles) -> Floats:
    return colour.astype(np.float32)[:, None, None, None]


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
    for side in (-1.0, 1.0):
        _eye(person, pose, side)
    pose.face(person.light / 4, 0.2, person.nose, 0.22, 1.3).fill(person.skin * 0.94, person.light)
    pose.face(0, 0.38, person.nose, 0.06, 1.4).fill(person.skin * (0.74, 0.66, 0.64))
    _mouth(person, pose)
    return pose.rgb


def _body(person: _Person, pose: _Pose) -> None:
    a, b = person.head
    for x, y, width, height in person.style:
        part = pose.ellipse(pose.sway + a * x, person.at + pose.nod + b * y, a * width, b * height)
        part.fill(0.85 * person.cover, person.light)
    lean, chin = 0.35 * pose.sway, person.at + b + 0 * pose.sway
    neck = 0.82 * person.skin
    pose.ellipse(lean, chin + 0.02, 0.5 * a, 0.18).fill(neck, person.light)
    pose.ellipse(lean, chin + 0.36, 0.4 + a / 3, 0.29).fill(person.jacket if person.formal else person.cloth, person.light)
    if person.formal:
        pose.ellipse(lean, chin + 0.3, 0.48 * a, 0.28).fill(person.cloth, person.light)
        pose.ellipse(lean, chin + 0.32, 0.12 * a, 0.22).fill(0.5 * person.jacket, person.light)
    pose.ellipse(lean, chin + 0.06, 0.5 * a, 0.06).fill(neck, person.light)


def _head(person: _Person, pose: _Pose) -> None:
    a, b = person.head
    x, y = pose.sway, person.at + pose.nod
    for side in (-1, 1):
        pose.face(0.99 * side, 0.05, 0.13, 0.19, -0.3).fill(0.9 * person.skin, person.light)
    head = pose.ellipse(x, y, a, b, person.jaw)
    head.fill(person.skin, person.light)
    soft = max(0.06, person.pixel / b)
    if person.beard:
        beard = head._replace(alpha=head.alpha - head.above(0.4, -0.5, 0, 3 * soft).alpha)
        beard.fill(0.9 * person.hair, person.light)
    if person.style:
        cap = pose.ellipse(x, y - 0.06 * b, 1.07 * a, 1.04 * b)
        cap.above(person.hairline, person.arch, person.parting, soft).fill(person.cover, person.light)


def _eye(person: _Person, pose: _Pose, side: float) -> None:
    apart, size = person.eyes
    x, y, opening = apart * side, -0.04, 0.62 * size * pose.awake
    look = x + 0.5 * size * pose.gaze
    dark, white = np.array([34.0, 26, 26]), np.array([248.0, 246, 242])
    if person.glasses:
        pose.face(x, y, 0.33, 0.22).fill(dark)
        pose.face(x, y, 0.29, 0.19).fill(1.05 * person.skin, person.light)
        pose.face(0.08 * side, y, 0.1, 0.02).fill(dark)
    pose.face(x, y - 0.2 + pose.frown, 1.6 * size, person.brow).fill(0.7 * person.hair)
    pose.face(x, y, 1.7 * size, size).fill(0.86 * person.skin)
    pose.face(x, y - 0.02, 1.5 * size, 1.1 * opening + 0.02).fill(dark)
    pose.face(x, y, 1.4 * size, opening).fill(white)
    pose.face(look, y, 0.75 * size, np.minimum(0.56 * size, opening)).fill(person.iris)
    pose.face(look, y, 0.38 * size, np.minimum(0.28 * size, opening)).fill(dark)
    pose.face(look - 0.02, y - 0.02, 0.18 * size, np.minimum(0.13 * size, 0.3 * opening)).fill(white)


def _mouth(person: _Person, pose: _Pose) -> None:
    opening, width = 0.015 + 0.13 * pose.open, person.mouth
    y = 0.6 + 0.4 * opening
    pose.face(0, y, 1.1 * width, opening + 0.05).fill(person.lips)
    pose.face(0, y, 0.9 * width, opening).fill(np.array([64.0, 18, 22]))
    pose.face(0, y - 0.45 * opening, 0.62 * width, np.maximum(0.4 * opening - 0.02, 0)).fill(np.array([244.0, 240, 232]))
    pose.face(0, y + 0.6 * opening, 0.5 * width, np.maximum(0.35 * opening - 0.01, 0)).fill(np.array([196.0, 84, 88]))
