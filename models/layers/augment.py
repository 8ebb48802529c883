"""Adaptive discriminator augmentation (Karras et al., 2020, *Training GANs with Limited Data*, Appendix B).

What the discriminator sees of a video passes through random geometric and colour transforms, each of which happens
with probability p; p follows a sign of overfitting. All frames of a video share one transform.
"""

import math
from collections.abc import Callable, Mapping
from functools import reduce

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from .bilinear import bilinear
from .fir import downsample2d, upsample2d


def _integer_below(n: int) -> Callable[[Tensor], Tensor]:
    return lambda u: (n * u).floor()


def _symmetric(u: Tensor) -> Tensor:
    return 2 * u - 1


def _normal(u: Tensor) -> Tensor:
    n: Tensor = torch.special.ndtri(u.clamp(min=2**-54))
    return n


STEPS: dict[str, tuple[int, Callable[[Tensor], Tensor]]] = {
    "xflip": (1, _integer_below(2)),
    "rotate90": (1, _integer_below(4)),
    "xint": (2, _symmetric),
    "scale": (1, _normal),
    "rotate_pre": (1, _symmetric),
    "aniso": (1, _normal),
    "rotate_post": (1, _symmetric),
    "xfrac": (2, _normal),
    "brightness": (1, _normal),
    "contrast": (1, _normal),
    "lumaflip": (1, _integer_below(2)),
    "hue": (1, _symmetric),
    "saturation": (1, _normal),
}
"""Per step, in order, how many numbers it takes and how each is made of one that is uniform in [0, 1)."""

NUM_DRAWS = sum(count + 1 for count, _ in STEPS.values())
"""Uniform numbers that one video takes: for every step its numbers, then the one that p is compared with."""

BGC = {
    "xflip": 1.0,
    "rotate90": 1.0,
    "xint": 0.125,
    "scale": 0.2,
    "rotate_pre": 1.0,
    "aniso": 0.2,
    "rotate_post": 1.0,
    "xfrac": 0.125,
    "brightness": 0.2,
    "contrast": 0.5,
    "lumaflip": 1.0,
    "hue": 1.0,
    "saturation": 1.0,
}
"""Strengths of the paper's `bgc` set: pixel blitting, general geometry, colour."""

SYM2 = [-0.12940952255092145, 0.22414386804185735, 0.836516303737469, 0.48296291314469025]
SYM6 = [
    *(0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633),
    *(0.4910559419267466, 0.787641141030194, 0.3379294217276218, -0.07263752278646252),
    *(-0.021060292512300564, 0.04472490177066578, 0.0017677118642428036, -0.007800708325034148),
]
"""Decomposition low-pass filters of the symlets, the least asymmetric orthogonal wavelets of Daubechies (1992)."""

MARGIN = 6
"""Pixels by which the image is padded beyond what is seen; samples by which the doubled grid reaches out."""


class Augment(nn.Module):
    """The augmentation pipeline. It is affine in the video, and differentiable twice.

    A transformed video depends on its own draws alone, not on its neighbours in the batch. A video whose geometry is
    the identity is not resampled (resampling would change it by some 4e-6).

    Args:
        strengths: by step, what multiplies the drawn numbers. xflip, rotate90, lumaflip: 1; xint, xfrac: the largest
            shift and the standard deviation of the shift, in sides of the frame; scale, aniso, contrast, saturation:
            standard deviation of the factor's log2; rotations and hue: the largest angle, in units of pi; brightness:
            standard deviation. A step that is not named is left out.

    Attributes:
        p: the probability of each step; the two rotations have 1 - sqrt(1 - p) each.
        Hz_geom: `[12]`, the low-pass filter of resampling, of sum 1.
        Hz_fbank: `[4, 43]`, the band filters of a step that no system here takes; it is part of stored states.
    """

    p: Tensor
    Hz_geom: Tensor
    Hz_fbank: Tensor

    def __init__(self, strengths: Mapping[str, float] = BGC) -> None:
        super().__init__()
        if unknown := strengths.keys() - STEPS.keys():
            raise ValueError(f"No augmentation is named {', '.join(sorted(unknown))}; known: {', '.join(STEPS)}.")
        self.strengths = strengths
        self.register_buffer("p", torch.zeros([]))
        self.register_buffer("Hz_geom", torch.tensor(SYM6) / sum(SYM6))
        self.register_buffer("Hz_fbank", torch.from_numpy(_filter_bank()).float())

    def forward(self, videos: Tensor, draws: Tensor) -> Tensor:
        """Transform each video by its own draws.

        Args:
            videos: `[N, 3, T, H, W]`, in [-1, 1].
            draws: `[N, NUM_DRAWS]`, uniform in [0, 1); best drawn in float64.

        Returns:
            `[N, 3, T, H, W]`; values may leave [-1, 1].

        Raises:
            ValueError: for other shapes.
        """
        if videos.ndim != 5 or videos.shape[1] != 3 or draws.shape != (len(videos), NUM_DRAWS):
            raise ValueError(
                f"The videos have shape {list(videos.shape)} and the draws {list(draws.shape)}; "
                f"[N, 3, T, H, W] and [N, {NUM_DRAWS}] are needed."
            )
        height, width = videos.shape[-2:]
        numbers = self.numbers(draws)
        geometry = geometric_matrices(numbers, height, width)
        moved = list(videos)
        moves = (geometry != torch.eye(3)).any(dim=(1, 2))
        for i, margin in enumerate(margins(geometry, height, width)):
            if moves[i]:
                moved[i] = warp(videos[i], geometry[i], self.Hz_geom, margin)
        linear, offset = (part.to(videos) for part in color_transforms(numbers))
        colored = torch.einsum("n d c, n c t h w -> n d t h w", linear, torch.stack(moved))
        return colored + rearrange(offset, "n -> n 1 1 1 1")

    def numbers(self, draws: Tensor) -> dict[str, Tensor]:
        """The numbers of each step `[N, 1 or 2]`, float64 on the CPU; 0, which changes nothing, where it is skipped."""
        p = float(self.p)
        rotate = 1 - math.sqrt(1 - min(p, 1))
        probabilities = dict.fromkeys(STEPS, p) | {"rotate_pre": rotate, "rotate_post": rotate}
        numbers = {}
        columns = torch.split(draws.double().cpu(), [count + 1 for count, _ in STEPS.values()], dim=1)
        for (step, (_, number)), u in zip(STEPS.items(), columns, strict=True):
            happens = u[:, -1:] < probabilities[step]
            numbers[step] = self.strengths.get(step, 0.0) * number(u[:, :-1]) * happens
        return numbers


def geometric_matrices(numbers: Mapping[str, Tensor], height: int, width: int) -> Tensor:
    """Where a pixel of the result comes from: `[N, 3, 3]`, on (x, y, 1) in pixels from the centre of the frame."""
    size = torch.tensor([width, height])
    scale, aniso = 2 ** numbers["scale"], 2 ** numbers["aniso"]
    steps = [
        _scaling(torch.cat([1 - 2 * numbers["xflip"], torch.ones_like(scale)], dim=1)),
        _rotation(numbers["rotate90"] * math.pi / 2),
        _translation(-(numbers["xint"] * size).round()),
        _scaling(torch.cat([1 / scale, 1 / scale], dim=1)),
        _rotation(numbers["rotate_pre"] * math.pi),
        _scaling(torch.cat([1 / aniso, aniso], dim=1)),
        _rotation(numbers["rotate_post"] * math.pi),
        _translation(-numbers["xfrac"] * size),
    ]
    return reduce(torch.matmul, steps)


def _scaling(factors: Tensor) -> Tensor:
    return torch.diag_embed(F.pad(factors, (0, 1), value=1.0))


def _rotation(angle: Tensor) -> Tensor:
    cos, sin = angle.cos(), angle.sin()
    linear = torch.stack([torch.cat([cos, -sin], dim=1), torch.cat([sin, cos], dim=1)], dim=1)
    return F.pad(linear, (0, 1, 0, 1)) + torch.diag(linear.new_tensor([0, 0, 1]))


def _translation(shift: Tensor) -> Tensor:
    return torch.eye(3, dtype=shift.dtype) + F.pad(shift[:, :, None], (2, 0, 0, 1))


def color_transforms(numbers: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """How colours change, as rgb -> A rgb + b (1, 1, 1): A `[N, 3, 3]` and b `[N]`.

    Luma flip, hue and saturation act on the grey part of a colour or on the rest of it, and so commute.
    """
    brightness, contrast, flip, hue, saturation = (
        numbers[step][:, :, None] for step in ("brightness", "contrast", "lumaflip", "hue", "saturation")
    )
    gain, luma, hue, chroma = 2**contrast, 1 - 2 * flip, hue * math.pi, 2**saturation
    eye = torch.eye(3, dtype=gain.dtype)
    grey = torch.full_like(eye, 1 / 3)
    turned = torch.tensor([[0, -1, 1], [1, 0, -1], [-1, 1, 0]], dtype=gain.dtype) / math.sqrt(3)
    linear = gain * (luma * grey + chroma * (hue.cos() * (eye - grey) + hue.sin() * turned))
    return linear, (gain * luma * brightness)[:, 0, 0]


def margins(geometry: Tensor, height: int, width: int) -> Tensor:
    """By how many pixels a frame is padded left, above, right and below for what is seen of it: `[N, 4]`.

    Rounded up to eights, so that convolutions meet the same few shapes again. The authors take the largest margins of
    the batch instead; pixels then differ by less than 1e-4, or 1e-3 where a frame shrinks to between 0.6 and 0.5.
    """
    cx, cy = (width - 1) / 2, (height - 1) / 2
    corners = geometry.new_tensor([[-cx, cx, cx, -cx], [-cy, -cy, cy, cy], [1, 1, 1, 1]])
    seen = (geometry @ corners)[:, :2]
    reach = torch.cat([-seen.amin(dim=2), seen.amax(dim=2)], dim=1) - geometry.new_tensor([cx, cy, cx, cy])
    limit = geometry.new_tensor([width, height, width, height]) - 1
    return (8 * ((reach + MARGIN).clamp(min=0) / 8).ceil()).minimum(limit).int()


def warp(video: Tensor, geometry: Tensor, lowpass: Tensor, margin: Tensor) -> Tensor:
    """Resample the frames of one video at twice their rate.

    Args:
        video: `[3, T, H, W]`; it goes on beyond the edges as its reflection, and is 0 beyond the margin.
        geometry: `[3, 3]`, as `geometric_matrices` gives it.
        lowpass: `[12]`, an orthogonal wavelet's filter, of sum 1.
        margin: `[4]`, as `margins` gives it.

    Returns:
        `[3, T, H, W]`.
    """
    _, frames, height, width = video.shape
    left, top, right, bottom = margin.tolist()
    x = rearrange(video, "c t h w -> 1 (c t) h w")
    x = F.pad(x, (left, right, top, bottom), mode="reflect")
    x = upsample2d(x.contiguous(memory_format=torch.channels_last), lowpass)
    # From output to input in samples of the doubled grids, then in the halves of their sides that affine_grid takes.
    inside = geometry.new_tensor([x.shape[3], x.shape[2]])
    outside = geometry.new_tensor([2 * (width + MARGIN), 2 * (height + MARGIN)])
    linear, shift = geometry[:2, :2], 2 * geometry[:2, 2] + geometry.new_tensor([left - right, top - bottom])
    shift = shift + (linear.sum(dim=1) - 1) / 2  # samples of a doubled grid lie 1/2 beside the pixels
    theta = torch.cat([linear * outside, 2 * shift[:, None]], dim=1) / inside[:, None]
    sides = [1, 1, 2 * (height + MARGIN), 2 * (width + MARGIN)]
    x = bilinear(x, F.affine_grid(theta[None].to(x), sides, align_corners=False))
    x = downsample2d(x, lowpass, padding=-MARGIN, flip=True)
    return rearrange(x, "1 (c t) h w -> c t h w", t=frames)


def _filter_bank() -> np.ndarray:
    """Four octave bands of sym2, `[4, 43]`, the lowest first; together they pass everything unchanged."""
    low = np.array(SYM2)
    high = low * (-1.0) ** np.arange(4)
    low, high = np.convolve(low, low[::-1]) / 2, np.convolve(high, high[::-1]) / 2
    bank = np.eye(4, 1)
    for band in range(1, 4):
        spread = np.zeros([4, 2 * bank.shape[1] - 1])
        spread[:, ::2] = bank
        bank = np.stack([np.convolve(row, low) for row in spread])
        start = (bank.shape[1] - len(high)) // 2
        bank[band, start : start + len(high)] += high
    return bank


def adjusted(p: float, signs_mean: float, batch: int, interval: int, target: float, ada_kimg: float) -> float:
    """The next p: up if the discriminator knows the real videos too well, down if not, never below 0.

    Args:
        p: the probability so far.
        signs_mean: mean sign of D's logits of real videos since the last adjustment, in [-1, 1].
        batch: videos a step.
        interval: steps between adjustments.
        target: the mean sign that is wanted; 0.6 in the paper.
        ada_kimg: thousands of videos in which p may rise from 0 to 1.
    """
    return max(0.0, p + float(np.sign(signs_mean - target)) * batch * interval / (ada_kimg * 1000))
