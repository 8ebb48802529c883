"""The numerics against known answers, in a few seconds: does this machine compute what others compute?"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from .clips import quantise
from .draws import draw, draw_seed
from .metrics.color import color_similarity
from .metrics.fit_toy3d import tex
from .metrics.frechet import frechet_distance
from .metrics.kernel import polynomial_mmd
from .metrics.moments import Moments
from .metrics.toy3d import Toy3D, features, quadrature_filters
from .metrics.uncertainty import standard_error

ENERGIES = [-5.13460, 0.09888, -2.84259, 0.08882]
"""Features 0, 40, 80 and 86."""


class Answer(NamedTuple):
    """What came out, and what should have."""

    found: Any
    """Numbers `[...]`."""
    known: Any
    """The same numbers, known beforehand."""
    tolerance: float
    """Largest absolute error that is none."""

    @property
    def error(self) -> float:
        """The largest absolute error; not a number where anything is not."""
        return float(np.abs(np.asarray(self.found, np.float64) - np.asarray(self.known, np.float64)).max())


def frechet() -> Answer:
    """Two Gaussians with the same axes: |m1 - m2|^2 + sum of (sqrt a - sqrt b)^2, a and b their variances."""
    d = 64
    rotation = np.linalg.qr(np.cos(np.arange(d * d, dtype=float).reshape(d, d) ** 2))[0]
    a, b = np.arange(d) ** 2.0, np.arange(d)[::-1] ** 2.0
    sides = [(rotation * variances) @ rotation.T for variances in (a, b)]
    distance = frechet_distance(np.zeros(d), sides[0], np.full(d, 0.5), sides[1])
    return Answer(distance.value, d / 4 + np.sum((np.sqrt(a) - np.sqrt(b)) ** 2), 1e-8)


def moments() -> Answer:
    """Mean and covariance far from zero, in two parts."""
    parts = [Moments(2), Moments(2)]
    rows = 1e6 + np.array([[0.0, 0.0], [1.0, 2.0], [2.0, 4.0], [3.0, 6.0]])
    for part, some in zip(parts, (rows[:1], rows[1:]), strict=True):
        part.update(some)
    mean, covariance = parts[0].merge(parts[1]).compute()
    known = [1e6 + 1.5, 1e6 + 3.0, 5 / 3, 10 / 3, 10 / 3, 20 / 3]
    return Answer([*mean, *covariance.ravel()], known, 1e-9)


def kernel() -> Answer:
    """Rows (0), (2) against (1), (1): kernel means 1, 8, and (1 + 27) / 2 across."""
    return Answer(polynomial_mmd(torch.tensor([[0.0], [2.0]]), torch.ones(2, 1)), 1 + 8 - 28, 1e-12)


def color() -> Answer:
    """A black frame, then one that is half white, then a white one."""
    video = torch.zeros(1, 3, 3, 4, 4, dtype=torch.uint8)
    video[:, :, 1, :2], video[:, :, 2] = 255, 255
    return Answer(color_similarity(video), [[0.5, 0.0]], 0)


def energies() -> Answer:
    """Features of the first clip of the corpus that toy3d is standardised by."""
    clip = torch.from_numpy(tex("toy3d/tex/fit/0"))
    return Answer(features(clip[None], quadrature_filters().float())[0, [0, 40, 80, 86]].numpy(), ENERGIES, 2e-5)


def draws() -> Answer:
    """A named draw: its seed, integers, and normal numbers."""
    normal = torch.randn(4, generator=draw(0, "doctor")).double().tolist()
    whole = torch.randint(1000, (4,), generator=draw(0, "doctor")).tolist()
    seed = float(draw_seed(0, "doctor") == 5514574329193291860)
    known = [-0.42099541, 0.86556596, 0.44416037, 0.50978947]
    return Answer([seed, *whole, *normal], [1.0, 304, 886, 439, 655, *known], 1e-6)


def quantisation() -> Answer:
    """[-1, 1] to 8 bit, halves rounded up, what is beyond clamped."""
    return Answer(quantise(torch.tensor([-3, -1, -0.5, 0, 1 / 255, 1, 2])), [0, 0, 64, 128, 128, 255, 255], 0)


def jackknife() -> Answer:
    """The jackknife's error of a mean is that of statistics: sd / sqrt(n)."""
    values = np.arange(1.0, 6.0)
    return Answer(standard_error(list((values.sum() - values) / 4)), np.std(values, ddof=1) / np.sqrt(5), 1e-12)


def repeated() -> Answer:
    """A convolution twice on the same clips: bit for bit."""
    clips, weight = noise(8, 3, 9, 24, 24), noise(16, 3, 3, 3, 3)
    return Answer(F.conv3d(clips, weight), F.conv3d(clips, weight), 0)


def batched() -> Answer:
    """A convolution of eight clips at once and one by one: to rounding (features are cut at fixed places for that)."""
    clips, weight = noise(8, 3, 9, 24, 24), noise(16, 3, 3, 3, 3)
    return Answer(F.conv3d(clips, weight), torch.cat([F.conv3d(clip[None], weight) for clip in clips]), 1e-4)


def noise(*shape: int) -> torch.Tensor:
    """Normal numbers, always the same."""
    return torch.randn(shape, generator=draw(0, "doctor"))


KNOWN: dict[str, Callable[[], Answer]] = {
    "Fréchet distance": frechet,
    "moments": moments,
    "kernel distance": kernel,
    "colour similarity": color,
    "toy3d": energies,
    "named draws": draws,
    "quantisation": quantisation,
    "jackknife": jackknife,
    "convolution, repeated": repeated,
    "convolution, batch size": batched,
}
"""Everything that has a known answer."""


def seconds_a_clip(clips: int = 16) -> float:
    """Time that toy3d takes for a clip of 16 frames at 32x32."""
    backbone, videos = Toy3D(), noise(clips, 3, 16, 32, 32).clamp(-1, 1)
    backbone(videos)
    began = time.perf_counter()
    backbone(videos)
    return (time.perf_counter() - began) / clips
