"""Ways to spoil real clips by known amounts: what a metric of videos must see, and what it must not.

Noise, blur, rectangle, salt and pepper, swaps, interleaving and switching are those of the FVD study (Unterthiner et
al., 2018, "Towards accurate generative models of video", Sec. 4.1); a warp that is held over a clip or drawn anew each
frame is that of Ge et al. (CVPR 2024, "On the content bias in Fréchet video distance"). Every function takes

- a clip, float32 `[C, T, H, W]` in [-1, 1];
- a level: how strong;
- a random generator, from which it draws the same numbers whatever the level, so that equal generators spoil a clip in
  the same way more or less;
- another clip of the same shape, which only some use.

Lengths in pixels are given for a short side of 32, and scale with it. Counts of frames (swaps, where to switch, the
period of a loop) are given for clips of 16 frames, and scale with T; probabilities and offsets a frame do not.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from PIL import Image
from scipy.ndimage import gaussian_filter
from torch import Tensor

Apply = Callable[[Tensor, float, torch.Generator, Tensor], Tensor]
Kind = Literal["S", "T", "D", "C", "R"]

VERSION = 1
"""Raised whenever a corruption's pixels change."""


@dataclass(frozen=True)
class Corruption:
    """One corruption and its levels, rising in strength.

    Kinds: `S` spoils frames, `T` spoils motion, `D` spoils motion without an order among its levels, `C` is a control
    that changes nothing worth seeing, `R` is reported without judgement.
    """

    name: str
    kind: Kind
    levels: tuple[float, ...]
    apply: Apply
    needs_other: bool = False

    def __call__(self, clip: Tensor, level: float, chance: torch.Generator, other: Tensor) -> Tensor:
        """The clip at one level, clamped to [-1, 1]; arguments as in this module's docstring."""
        return self.apply(clip, level, chance, other).clamp(-1, 1)


def noise(clip: Tensor, level: float, chance: torch.Generator, other: Tensor) -> Tensor:
    """Gaussian noise with this standard deviation."""
    return clip + level * torch.randn(clip.shape, generator=chance)


def blur(clip: Tensor, level: float, chance: torch.Generator, other: Tensor) -> Tensor:
    """Gaussian blur of every frame, sigma in pixels at a short side of 32; borders are reflected."""
    sigma = level * short_side(clip) / 32
    return torch.from_numpy(gaussian_filter(clip.numpy(), (0, 0, sigma, sigma), mode="reflect"))


def contrast(clip: Tensor, level: float, chance: torch.Generator, other: Tensor) -> Tensor:
    """Contrast toward 0: pixels times the level."""
    return clip * level


def rectangle(clip: Tensor, level: float, chance: torch.Generator, other: Tensor) -> Tensor:
    """A black rectangle over this share of the frame, height/width within 1/2 and 2, anywhere, for the whole clip.

    Where that ratio does not fit into the frame, the rectangle touches both sides and keeps its area. A stronger one
    covers a weaker one.
    """
    ratio, *place = torch.rand(3, generator=chance).tolist()
    height, width = clip.shape[2:]
    area = level * height * width
    tall = min((area * 2 ** (2 * ratio - 1)) ** 0.5, height)
    wide = min(area / tall, width) if tall else 0.0
    sides = round(area / wide) if wide else 0, round(wide)
    top, left = (int(u * (whole - side + 1)) for u, whole, side in zip(place, (height, width), sides, strict=True))
    spoilt = clip.clone()
    spoilt[:, :, top : top + sides[0], left : left + sides[1]] = -1
    return spoilt


def salt_and_pepper(clip: Tensor, level: float, chance: torch.Generator, other: Tensor) -> Tensor:
    """This share of pixels becomes black or white, in all channels, drawn anew each frame."""
    hit, sign = torch.rand(2, *clip.shape[1:], generator=chance)
    return torch.where(hit < level, torch.where(sign < 0.5, -1.0, 1.0), clip)


def static_warp(clip: Tensor, level: float, chance: torch.Generator, other: Tensor) -> Tensor:
    """One smooth displacement field for the whole clip, standard deviation at its 5x5 nodes in half-widths."""
    return displaced(clip, level * field(clip, 1, chance))


def temporal_warp(clip: Tensor, level: float, chance: torch.Generator, other: Tensor) -> Tensor:
    """The same with a new field each frame: each frame for itself looks as under the static warp."""
    return displaced(clip, level * field(clip, clip.shape[1], chance))


def local_swaps(clip: Tensor, level: float, chance: torch.Generator, other: Tensor) -> Tensor:
    """So many swaps of a frame with its successor, one after the other."""
    first = torch.randint(clip.shape[1] - 1, (clip.shape[1],), generator=chance)
    return swapped(clip, level, first, first + 1)


def global_swaps(clip: Tensor, level: float, chance: torch.Generator, other: Tensor) -> Tensor:
    """So many swaps of two random frames, one after the other."""
    num_frames = clip.shape[1]
    first = torch.randint(num_frames, (num_frames,), generator=chance)
    gap = 1 + torch.randint(num_frames - 1, (num_frames,), generator=chance)
    return swapped(clip, level, first, (first + gap) % num_frames)


def freeze(clip: Tensor, level: float, chance: torch.Generator, other: Tensor) -> Tensor:
    """Each frame repeats its predecessor, which may be a repetition itself, with this probability."""
    times = torch.arange(clip.shape[1])
    return clip[:, torch.where(frame_chances(clip, chance) < level, 0, times).cummax(0).values]


def flicker(clip: Tensor, level: float, chance: torch.Generator, other: Tensor) -> Tensor:
    """One offset of brightness a frame, normal with this standard deviation."""
    return clip + level * rearrange(torch.randn(clip.shape[1], generator=chance), "t -> t 1 1")


def jitter(clip: Tensor, level: float, chance: torch.Generator, other: Tensor) -> Tensor:
    """A normal shift of x and y a frame, standard deviation in pixels at a short side of 32."""
    height, width = clip.shape[2:]
    half = torch.tensor([width / 2, height / 2])
    shift = torch.randn(clip.shape[1], 2, generator=chance) * level * short_side(clip) / 32 / half
    return displaced(clip, rearrange(shift, "t xy -> t 1 1 xy"))


def interleave(clip: Tensor, level: float, chance: torch.Generator, other: Tensor) -> Tensor:
    """A frame comes from the other clip, at the same time, with this probability."""
    return torch.where(rearrange(frame_chances(clip, chance) < level, "t -> t 1 1"), other, clip)


def switch(clip: Tensor, level: float, chance: torch.Generator, other: Tensor) -> Tensor:
    """The other clip goes on after so many frames."""
    start = frames_of(level, clip)
    return torch.cat([clip[:, :start], other[:, start:]], dim=1)


def slower(clip: Tensor, level: float, chance: torch.Generator, other: Tensor) -> Tensor:
    """Playback from frame 0 at this speed, linear between frames."""
    times = torch.arange(clip.shape[1]) * level
    before = times.floor().long()
    after = (before + 1).clamp(max=clip.shape[1] - 1)
    return torch.lerp(clip[:, before], clip[:, after], rearrange(times - before, "t -> t 1 1"))


def ping_pong(clip: Tensor, level: float, chance: torch.Generator, other: Tensor) -> Tensor:
    """The clip's beginning forth and back, over and over; the level is the period p of the whole cycle.

    Frame t shows frame min(t mod p, p - t mod p).
    """
    period = max(frames_of(level, clip), 2)
    phase = torch.arange(clip.shape[1]) % period
    return clip[:, torch.minimum(phase, period - phase)]


def same(clip: Tensor, level: float, chance: torch.Generator, other: Tensor) -> Tensor:
    """The clip as it is; what changes is the order in which clips come."""
    return clip


def png(clip: Tensor, level: float, chance: torch.Generator, other: Tensor) -> Tensor:
    """Every frame, in 8 bit, through a PNG file."""
    frames = rearrange(to_bytes(clip), "c t h w -> t h w c").numpy()
    stored = [io.BytesIO() for _ in frames]
    for file, frame in zip(stored, frames, strict=True):
        Image.fromarray(frame).save(file, "png")
    read = np.stack([np.asarray(Image.open(file)) for file in stored])
    return from_bytes(rearrange(torch.from_numpy(read), "t h w c -> c t h w"))


def requantise(clip: Tensor, level: float, chance: torch.Generator, other: Tensor) -> Tensor:
    """To 8 bit and back."""
    return from_bytes(to_bytes(clip))


def reversal(clip: Tensor, level: float, chance: torch.Generator, other: Tensor) -> Tensor:
    """The last frame first."""
    return clip.flip(1)


def flip(clip: Tensor, level: float, chance: torch.Generator, other: Tensor) -> Tensor:
    """Left is right."""
    return clip.flip(3)


def short_side(clip: Tensor) -> int:
    """Height or width, the shorter one."""
    return min(clip.shape[2:])


def frames_of(level: float, clip: Tensor) -> int:
    """A number of frames out of 16 as one out of the clip's."""
    return round(level * clip.shape[1] / 16)


def frame_chances(clip: Tensor, chance: torch.Generator) -> Tensor:
    """One uniform number a frame `[T]`."""
    return torch.rand(clip.shape[1], generator=chance)


def swapped(clip: Tensor, level: float, first: Tensor, second: Tensor) -> Tensor:
    """The clip after the first of some swaps of two frames; the list has one a frame, 16 of 16."""
    order = list(range(clip.shape[1]))
    for a, b in list(zip(first.tolist(), second.tolist(), strict=True))[: frames_of(level, clip)]:
        order[a], order[b] = order[b], order[a]
    return clip[:, order]


def field(clip: Tensor, count: int, chance: torch.Generator) -> Tensor:
    """Smooth displacement fields `[count, H, W, 2]`: 5x5 standard normal nodes, the outer ones on the picture's
    corners, bicubic between."""
    nodes = torch.randn(count, 2, 5, 5, generator=chance)
    smooth = F.interpolate(nodes, size=clip.shape[2:], mode="bicubic", align_corners=True)
    return rearrange(smooth, "n xy h w -> n h w xy")


def displaced(clip: Tensor, shifts: Tensor) -> Tensor:
    """Every pixel read elsewhere: bilinear, the border repeated.

    Args:
        clip: `[C, T, H, W]`.
        shifts: `[T or 1, H or 1, W or 1, 2]`, x and y, in half-widths and half-heights of the frame.
    """
    here = F.affine_grid(torch.eye(2, 3)[None], [1, 1, *clip.shape[2:]], align_corners=False)
    grid = (here + shifts).expand(clip.shape[1], -1, -1, -1)
    frames = F.grid_sample(rearrange(clip, "c t h w -> t c h w"), grid, padding_mode="border", align_corners=False)
    return rearrange(frames, "t c h w -> c t h w")


def to_bytes(clip: Tensor) -> Tensor:
    """[-1, 1] as uint8, rounding half up."""
    return (clip * 127.5 + 128).clamp(0, 255).to(torch.uint8)


def from_bytes(clip: Tensor) -> Tensor:
    """uint8 as float32 in [-1, 1]."""
    return clip.float() / 127.5 - 1


WARPS = (0.03, 0.06, 0.09, 0.12, 0.20)
SWAPS = (1, 2, 4, 8, 16)

CORRUPTIONS = (
    Corruption("noise", "S", (0.03, 0.06, 0.12, 0.20, 0.30), noise),
    Corruption("blur", "S", (0.5, 0.8, 1.3, 1.8, 2.5), blur),
    Corruption("contrast", "S", (0.90, 0.75, 0.55, 0.35, 0.20), contrast),
    Corruption("rectangle", "S", (0.02, 0.06, 0.12, 0.25, 0.40), rectangle),
    Corruption("salt and pepper", "S", (0.005, 0.02, 0.05, 0.10, 0.20), salt_and_pepper),
    Corruption("static warp", "S", WARPS, static_warp),
    Corruption("temporal warp", "T", WARPS, temporal_warp),
    Corruption("local swaps", "T", SWAPS, local_swaps),
    Corruption("global swaps", "T", SWAPS, global_swaps),
    Corruption("freeze", "T", (0.10, 0.25, 0.50, 0.70, 0.90), freeze),
    Corruption("flicker", "T", (0.02, 0.05, 0.10, 0.15, 0.20), flicker),
    Corruption("jitter", "T", (0.3, 0.7, 1.5, 2.2, 3.0), jitter),
    Corruption("interleave", "T", (0.02, 0.04, 0.07, 0.11, 0.16), interleave, needs_other=True),
    Corruption("switch", "T", (15, 14, 13, 12, 11), switch, needs_other=True),
    Corruption("slower", "T", (0.85, 0.65, 0.40, 0.25, 0.15), slower),
    Corruption("ping-pong", "D", (12, 8, 5, 3), ping_pong),
    Corruption("reorder clips", "C", (1,), same),
    Corruption("PNG round trip", "C", (1,), png),
    Corruption("re-quantise", "C", (1,), requantise),
    Corruption("time reversal", "R", (1,), reversal),
    Corruption("horizontal flip", "R", (1,), flip),
)
