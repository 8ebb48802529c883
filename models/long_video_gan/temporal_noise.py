"""Temporal noise of many time scales: a stream of noise, and a bank of low-pass filters on it (Sec. 3.1)."""

import math
from dataclasses import dataclass
from typing import Annotated

import torch
from einops import rearrange
from pydantic import Field
from scipy.fft import next_fast_len
from torch import Tensor, nn

from vidbench.draws import draw
from vidbench.models.layers.filters import sinc_filter

BLOCK = 64
"""Frames of noise that are one named draw."""


@dataclass(frozen=True)
class TimeScales:
    """The filters of the bank. A rate is the frames in a unit of time: a filter is half a unit long, its cutoff 2."""

    min_rate: float = 250
    """Of the quickest filter."""
    max_rate: float = 10000
    """Of the slowest filter."""
    count: Annotated[int, Field(ge=1)] = 128
    """How many filters; their rates lie evenly on a logarithmic scale."""

    @property
    def rates(self) -> list[float]:
        """Of each filter, the quickest first; rounded as in the authors' networks, which decides on taps."""
        lowest, highest = math.log2(self.min_rate), math.log2(self.max_rate)
        exponents = torch.linspace(lowest, highest, self.count, dtype=torch.float64, device="cpu")
        return (2**exponents).clamp(self.min_rate, self.max_rate).tolist()

    @property
    def reach(self) -> int:
        """Frames of noise that one frame is made of: the taps of the slowest filter."""
        return math.ceil(self.max_rate / 2)


PAPER = TimeScales()
"""The bank of the paper's networks."""


class FilterBank(nn.Module):
    """Every channel of noise through every filter. All filters end at the same, the latest, frame of noise.

    Args:
        scales: the filters.

    Attributes:
        blur_filters: `[count, 1, reach]`, each filter at the end of its row, zeros before it.
        output_scale: `[1, count, 1]`, what brings filtered noise back to unit variance.
    """

    blur_filters: Tensor
    output_scale: Tensor

    def __init__(self, scales: TimeScales) -> None:
        super().__init__()
        filters = torch.zeros(scales.count, 1, scales.reach)
        for row, rate in zip(filters[:, 0], scales.rates, strict=True):
            taps = sinc_filter(math.ceil(rate / 2), cutoff=2, width=12, rate=rate)
            row[-len(taps) :] = taps
        self.register_buffer("blur_filters", filters)
        self.register_buffer("output_scale", rearrange(filters.square().sum(dim=2).rsqrt(), "i 1 -> 1 i 1"))

    def forward(self, noise: Tensor) -> Tensor:
        """Correlation of noise `[N, J, S + reach - 1]` with the filters: `[N, J * count, S]`, unit variance.

        The filters of one channel of noise are neighbours. Computed by Fourier transforms.
        """
        length, reach = noise.shape[2], self.blur_filters.shape[2]
        period = next_fast_len(length, real=True)
        spectrum = torch.fft.rfft(noise, period)[:, :, None]
        response = torch.fft.rfft(rearrange(self.output_scale, "1 i 1 -> i 1") * self.blur_filters[:, 0], period).conj()
        filtered = torch.fft.irfft(spectrum * response, period)[..., : length - reach + 1]
        joined: Tensor = rearrange(filtered, "n j i t -> n (j i) t")
        return joined


def noise_stream(seed: int, channels: int, span: range) -> Tensor:
    """Standard normal noise of some frames of one video, `[channels, len(span)]`, float32.

    A frame's noise is a function of seed and index, and does not depend on the span.

    Args:
        seed: of the video.
        channels: of the noise.
        span: indices of frames, from 0 on, without gaps.
    """
    first, last = span.start // BLOCK, math.ceil(span.stop / BLOCK)
    blocks = [torch.randn(channels, BLOCK, generator=draw(seed, "noise", i)) for i in range(first, last)]
    return torch.cat(blocks, dim=1)[:, span.start - first * BLOCK : span.stop - first * BLOCK]
