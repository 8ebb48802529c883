"""`toy-ride`: the view from a vehicle on a winding road, through one country after another.

Lengths are in metres, image coordinates in frame heights. The row v below the horizon h shows the ground at depth
z = focal × eye / (v - h); what stands on the ground is painted in rows across the road, from far to near.
"""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidbench.toys.noise import Dice, Doubles, Floats, curve, hashed, in_chunks, paint, palette, row_noise, single

VERSION = 1

_FOCAL = 0.8  # in frame heights
_HORIZON = (0.36, 0.43)  # between these heights of the frame, counted from above
_ROWS = 14  # rows of trees and houses in view
_SPACING = 4.5  # between rows
_PLOT = 5.5  # width of the ground on which one tree or house stands

_SKY, _HAZE, _FIELD, _STRIPE, _ROAD, _LEAF, _HILL = range(7)
_COUNTRIES = palette(  # colours in the order above; bright countries first, dark ones after
    "3a80de c4e2f6 62a43a 9cc456 68686c 30702a 6c9e96",  # meadow
    "3492d6 fce4b4 e2b674 c48a52 927a64 628a42 c47654",  # desert
    "70a6de eaf1f9 f0f5fc d0def0 7a828e 366058 bccce4",  # snow
    "549ee8 eeecd0 ecc85c d0a23a 7a7068 587c2c 989a70",  # wheat
    "7080e0 e8d0f2 a076cc 769854 706a74 42683e 867aba",  # lavender
    "28aac4 cef4ec 3ab080 d0d68c 807c6e 187a5c 52a8b0",  # coast
    "547480 acc0b6 2a542c 426a32 444646 143c20 3e5e56",  # forest
    "342a74 fc8e5c 4e3a4c 6e4648 3a3440 2a1e36 6a3a66",  # dusk
    "080c28 2c3866 121e26 1c2a2e 22242e 08141a 121a36",  # night
    "7c92aa e2d4ba 98642a 705228 5c5654 d45c1c 926248",  # autumn
    "5c646e acb0b2 5c6244 705c50 505256 44503a 626a72",  # moor
    "c4684e ffc486 983c26 c05c36 70524a 624a28 84342e",  # canyon
)
_THINGS = np.array(  # roundness, half width, height of the crown's middle, its extent up, down, half width of the stem
    [
        (1.0, 1.7, 2.7, 1.6, 1.5, 0.24),  # broad tree
        (1.0, 0.8, 3.2, 2.4, 2.6, 0.15),  # poplar
        (0.0, 1.4, 0.7, 4.4, 0.0, 0.22),  # fir
        (1.0, 1.3, 0.0, 1.2, 0.0, 0.00),  # bush
        (1.0, 0.45, 1.6, 1.4, 1.6, 0.30),  # cactus
        (0.0, 2.3, 2.2, 1.6, 0.0, 1.90),  # house
    ],
    np.float32,
).T
_GROWS = np.array(  # in each country: the common thing, the rare one
    [(0, 5), (4, 3), (2, 5), (1, 5), (0, 1), (1, 3), (2, 2), (1, 0), (2, 0), (0, 0), (3, 5), (4, 3)]
)


class _World:
    """What makes one video itself, and the laws of its country, all functions of the distance travelled."""

    def __init__(self, video: str) -> None:
        dice = Dice(video)
        self.seeds = dice.seeds
        self.speed = dice.between(0.3, 0.8)  # metres a frame, on average
        self.border = self.speed * dice.between(1100, 1700)  # metres from one country to the next
        self.fog = dice.between(25, 75)  # depth at which half the colour is lost
        self.half_road = dice.between(1.1, 2)
        self.lane = self.half_road * dice.between(-0.35, 0.35)  # metres right of the road's middle
        self.winding = dice.between(8, 24)
        self.density = dice.between(0.25, 0.8)  # share of the plots that are taken
        self.eye = dice.between(1.2, 2.2)  # height of the camera
        self.lines = min(1, dice.between(0, 3))  # how fresh the lines on the road are
        self.start = dice.between(0, 1e4)

    def distance(self, t: Doubles) -> Doubles:
        """Metres travelled at times t, always growing."""
        return self.start + self.speed * (t + 30 * curve(self.seeds[0], t / 60))

    def road(self, s: Doubles) -> Doubles:
        """How far to the right the road has wound at distances s."""
        return self.winding * curve(self.seeds[1], s / 45)

    def country(self, border: Doubles) -> NDArray[np.int64]:
        """Which country lies behind each border: bright and dark ones take turns."""
        half = len(_COUNTRIES) // 2
        return (hashed(self.seeds[2], border) * half).astype(np.int64) + half * (border.astype(np.int64) % 2)

    def colours(self, s: Doubles) -> Floats:
        """Colours [7, 3, ...] at distances s [...]: each country blends into the next."""
        f = s.ravel() / self.border
        borders, where = np.unique(np.floor(f), return_inverse=True)
        borders = np.concatenate([borders, borders + 1])
        tint = hashed(self.seeds[3], borders, np.arange(7)[:, None, None], np.arange(4)[:, None])
        light = 0.85 + 0.2 * tint[:1, 3:] + 0.15 * tint[:, :3]
        here, there = np.split(_COUNTRIES[self.country(borders)].transpose(1, 2, 0) * light, 2, axis=2)
        mixed = here[..., where] + (f - np.floor(f)) * (there - here)[..., where]
        return np.asarray(mixed, np.float32).reshape(7, 3, *s.shape)

    def clear(self, z: Doubles) -> Floats:
        """Share of its colour that a thing at depth z [T, R] keeps in the haze, [T, R, 1]."""
        fog = self.fog * self.fog
        return single(0.1 + 0.9 * fog / (fog + z * z))


class _View:
    """Where the camera is in T frames, and the coordinates of their H x W pixels."""

    def __init__(self, world: _World, size: tuple[int, int], t: Doubles) -> None:
        t = t[:, None]
        self.height, width = size
        self.s = world.distance(t)  # [T, 1]
        self.heading = (world.road(self.s + 6) - world.road(self.s)) / 6  # [T, 1], metres aside for each metre ahead
        self.horizon = 0.375 + 0.045 * curve(world.seeds[4], t / 40) + 0.005 * curve(world.seeds[5], t / 3)  # [T, 1]
        self.v = (np.arange(self.height) + 0.5) / self.height  # [H]
        self.u = ((np.arange(width) + 0.5 - width / 2) / self.height).astype(np.float32)  # [W]
        self.sky = int(_HORIZON[1] * self.height) + 2  # no row from here on shows sky
        self.far = world.colours(self.s + 40)[..., None]  # [7, 3, T, 1, 1]

    def across(self, world: _World, z: Doubles) -> Floats:
        """Metres right of the road's middle that the columns show at depths z [T, R]: [T, R, W]."""
        middle = world.road(self.s + z) - world.road(self.s) - self.heading * z - world.lane
        return self.u * single(z / _FOCAL) - single(middle)


def render(video: str, times: NDArray[np.integer[Any]], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Frames of one endless ride, uint8 [3, T, H, W] RGB; see `vidbench.toys` for the contract.

    Args:
        video: its name; every name is another road through other countries, at another speed.
        times: [T], frame indices, 25 a second.
        size: (height, width) in pixels.
    """
    return in_chunks(partial(_frames, _World(video), size), times, size)


def _frames(world: _World, size: tuple[int, int], t: Doubles) -> Floats:
    view = _View(world, size, t)
    rgb = np.empty((3, len(t), *size), np.float32)
    _sky(rgb, world, view)
    _ground(rgb, world, view)
    _things(rgb, world, view)
    return rgb


def _sky(rgb: Floats, world: _World, view: _View) -> None:
    rows = view.sky
    haze, above = view.far[_HAZE], view.horizon - view.v[:rows]
    up = single(np.clip(above / view.horizon, 0, 1))
    sky = rgb[:, :, :rows]
    sky[:] = haze + up * (2 - up) * (view.far[_SKY] - haze)

    direction = view.u / _FOCAL + single(view.heading)  # [T, 1, W]
    depth = 0.5 / (up + 0.12)
    puffs = row_noise(world.seeds[6], view.s / 150 + 5 * depth[..., 0], direction * (depth * 5), 14)
    puffs += 0.35 * row_noise(world.seeds[6], view.s / 70 + 11 * depth[..., 0], direction * (depth * 11), 30)
    paint(sky, np.clip(puffs * 3 - 1.9, 0, 1) * np.clip(2 * up, 0, 0.8), 0.35 * haze + 160)

    for i, (metres, tall) in enumerate([(2000, 0.16), (700, 0.09)]):
        ridge = row_noise(world.seeds[7 + i], view.s / metres, direction * (3 + 3 * i), 16)
        ridge += 0.35 * row_noise(world.seeds[7 + i], view.s / metres + 0.5, direction * (9 + 9 * i), 40)
        cover = np.clip((tall * ridge - single(above)) * view.height + 0.5, 0, 1)
        paint(sky, cover, haze + (0.45 + 0.3 * i) * (view.far[_HILL] - haze))


def _ground(rgb: Floats, world: _World, view: _View) -> None:
    first = int(_HORIZON[0] * view.height)
    below = view.v[first:] - view.horizon  # [T, R]
    z = _FOCAL * world.eye / np.maximum(below, 0.3 / view.height)
    place = view.s + z
    x = view.across(world, z)
    sharp = single(_FOCAL * view.height / z)  # pixels a metre
    colours = world.colours(place)[..., None]  # [7, 3, T, R, 1]

    patches = np.clip(row_noise(world.seeds[9], place / 9, x * (1 / 7), 10) * 2 - 0.5, 0, 1)
    land = colours[_FIELD] + patches * (colours[_STRIPE] - colours[_FIELD])
    length = z * z / (_FOCAL * world.eye * view.height)  # metres from one row of pixels to the next
    for i, cell in enumerate([1.2, 0.3]):
        clear = single(np.clip(0.6 - 0.6 * length / cell, 0, 0.4))
        near = int((clear == 0).all(axis=(0, 2)).sum())  # the first row of pixels finer than the cells
        grain = row_noise(world.seeds[10 + i], place[:, near:] / cell, x[:, near:] * (1 / cell), 14)
        land[:, :, near:] *= 1 + clear[:, near:] * (grain - 0.5)

    x = np.abs(x)
    paint(land, np.clip((world.half_road - x) * sharp + 0.5, 0, 1), colours[_ROAD])
    edges = np.clip((0.07 - np.abs(x - 0.88 * world.half_road)) * sharp + 0.5, 0, 1)
    middle = np.clip((0.07 - x) * sharp + 0.5, 0, 1)
    dashes = np.clip((1.2 - np.abs(place - 6 * np.floor(place / 6) - 3)) / length + 0.5, 0, 1)
    lines = edges + middle * single(dashes * np.clip(1.2 - length / 6, 0, 1))
    paint(land, lines * np.clip(0.16 * world.lines * sharp, 0, 0.8 * world.lines), 235)

    paint(land, 1 - world.clear(z), view.far[_HAZE])
    both = view.sky - first
    rgb[:, :, view.sky :] = land[:, :, both:]
    paint(rgb[:, :, first : view.sky], single(np.clip(below[:, :both] * view.height + 0.5, 0, 1)), land[:, :, :both])


def _things(rgb: Floats, world: _World, view: _View) -> None:
    """Trees and houses: a crown or roof, and a stem or wall below it."""
    row = np.floor(view.s / _SPACING) + np.arange(_ROWS)[::-1]  # [T, K]
    place = (row + 0.6 * hashed(world.seeds[12], row)) * _SPACING
    z = np.maximum(place - view.s, 1.2)
    seen = np.clip((place - view.s - 1.2) / 0.5, 0, 1) * np.clip(_ROWS - 1 - z / _SPACING, 0, 1)
    x = view.across(world, z)  # [T, K, W]
    plot = np.floor(x * (1 / _PLOT))
    luck = hashed(world.seeds[13], np.arange(4)[:, None, None, None], row[..., None], plot)
    grows = _GROWS[world.country(np.floor(place / world.border + hashed(world.seeds[14], row)))]  # [T, K, 2]
    thing = _THINGS[:, np.where(luck[1] < 0.75, grows[..., :1], grows[..., 1:])]
    roundness, (radius, middle, up, down, stem) = thing[0], thing[1:] * (0.8 + 0.35 * luck[2])
    centre = (plot + 0.5) * _PLOT + (luck[3] - 0.5) * (_PLOT - 2 * radius)
    taken = (luck[0] < world.density) & (np.abs(centre) - radius > world.half_road + 0.4)

    side = np.clip((x - centre) / radius, -1, 1)
    profile = roundness * np.sqrt(1 - side * side) + (1 - roundness) * (1 - np.abs(side))
    sharp = single(_FOCAL * view.height / z)  # pixels a metre
    crowns, stems = (
        taken * single(seen) * np.clip((half - np.abs(x - centre)) * sharp + 0.5, 0, 1) * (half > 0)
        for half in (radius, stem)
    )
    haze, colours = view.far[_HAZE], world.colours(place)[..., None]  # [7, 3, T, K, 1]
    leaf = haze + world.clear(z) * (colours[_LEAF] * (0.65 + 0.25 * side + 0.3 * luck[3]) - haze)
    wood = haze + world.clear(z) * (colours[_ROAD] * (0.6 + 0.9 * (stem > 1)) - haze)
    for k in range(_ROWS):
        _raise(rgb, world, view, z[:, k], 0 * stem[:, k], middle[:, k], stems[:, k], wood[:, :, k])
        bottom, top = (middle - down * profile)[:, k], (middle + up * profile)[:, k]
        _raise(rgb, world, view, z[:, k], bottom, top, crowns[:, k], leaf[:, :, k])


def _raise(
    rgb: Floats, world: _World, view: _View, z: Doubles, bottom: Floats, top: Floats, cover: Floats, colour: Floats
) -> None:
    """Paint what stands at depths z [T] between the heights `bottom` and `top` [T, W], in `colour` [3, T, W]."""
    if not cover.any():
        return
    scale = (_FOCAL / z)[:, None]
    first = int(((view.horizon + (world.eye - top.max()) * scale) * view.height).min()) - 1
    last = int(((view.horizon + (world.eye - bottom.min()) * scale) * view.height).max()) + 2
    rows = slice(max(0, first), max(0, last))
    y = single(world.eye - (view.v[rows] - view.horizon) / scale)  # [T, R, 1], metres above the ground
    inside = np.minimum(top[:, None] - y, y - bottom[:, None]) * single(scale * view.height) + 0.5
    paint(rgb[:, :, rows], np.clip(inside, 0, 1) * cover[:, None], colour[:, :, None])
