"""LongVideoGAN's low-resolution generator: from temporal noise to videos of any length (Brooks et al., 2022, Sec. 3.1).

A video of T frames, a multiple of 32, is made of `T + 512 + reach - 1` frames of noise, and a window of it of its part
of them alone: at either end of every temporal level, 8 frames are made and then cut off, so that no edge is ever seen.
"""

import math
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor, nn

from vidbench.models.layers.filters import kaiser_filter
from vidbench.models.layers.fir import upfirdn2d
from vidbench.models.layers.linear import Linear
from vidbench.models.layers.mapping import normalized

from .lowres_layers import Block, Size, ToRGB
from .temporal_noise import PAPER, FilterBank, TimeScales

STRIDE = 32
"""Frames of a step of the coarsest temporal level: windows begin and end at multiples of it."""
PADDING = 8
"""Frames by which each temporal level is longer at either end."""
CONTEXT = 2 * PADDING * STRIDE
"""Frames of the filtered noise beyond those of the video."""
TEMPORAL_LEVELS = (STRIDE, 16, 8, 4, 2, 1)
"""Frames of the video for each frame of what enters the temporal blocks."""
OUTPUT_SCALE = 0.25
"""Factor of the colours."""


class LowResGenerator(nn.Module):
    """From temporal noise to a video.

    Args:
        height: of the frames.
        width: of the frames.
        channels: of what enters the first block, then of what leaves each of the ten.
        temporal_emb_dim: channels of the filtered noise, a multiple of the number of filters.
        w_dim: width of style vectors.
        scales: the temporal filters.
        dtype: of the features; None for that of the weights.

    Raises:
        ValueError: other than 11 widths, a width that no noise fills, or sides that doubling does not reach.
    """

    def __init__(
        self,
        *,
        height: int = 36,
        width: int = 64,
        channels: tuple[int, ...] = (512, 512, 512, 512, 512, 256, 256, 128, 128, 64, 64),
        temporal_emb_dim: int = 1024,
        w_dim: int = 1024,
        scales: TimeScales = PAPER,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if len(channels) != 11:
            raise ValueError(f"The generator has 11 widths, of its input and of ten blocks; {len(channels)} are given.")
        if temporal_emb_dim % scales.count:
            raise ValueError(f"{temporal_emb_dim} channels do not divide by {scales.count} temporal filters.")
        self.noise_channels, self.reach, self.dtype = temporal_emb_dim // scales.count, scales.reach, dtype
        sizes = block_sizes(height, width)
        self.sizes = sizes[1:]
        self.spatial_input = nn.Parameter(torch.randn(1, channels[0], 1, *sizes[0]))
        blocks = [
            Block(
                channels[i],
                channels[i + 1],
                w_dim=w_dim,
                frames_joined=3 if i < 6 else 1,
                doubles_time=i < 5,
                doubles_space=sizes[i] != sizes[i + 1],
            )
            for i in range(10)
        ]
        self.temporal_layers = nn.ModuleList(blocks[:6])
        self.spatial_layers = nn.ModuleList(blocks[6:])
        self.to_rgb = ToRGB(channels[-1], w_dim)
        self.temporal_emb = FilterBank(scales)
        layer = partial(Linear, out_features=w_dim, activation="lrelu", lr_mult=0.01)
        self.latent_mapping = nn.Sequential(OrderedDict(layer_0=layer(temporal_emb_dim), layer_1=layer(w_dim)))
        self.temporal_downsample_latent = Halve()
        self.w_to_temp_input = Linear(w_dim, channels[0])

    def forward(self, noise: Tensor, frames: int, beta: float = 1.0) -> Tensor:
        """A whole video.

        Unless `frames` is a multiple of 32, styles lie some frames away from the features that they steer, as in the
        authors' networks; videos of different lengths then differ. `window` has none of that.

        Args:
            noise: `[N, noise_channels, noise_length(frames)]`, standard normal.
            frames: of the video, at least 1.
            beta: decay of the averages of magnitudes; 1 leaves them alone.

        Returns:
            `[N, 3, frames, H, W]`, about [-1, 1].

        Raises:
            ValueError: noise of another shape.
        """
        if noise.shape[1:] != (self.noise_channels, self.noise_length(frames)):
            raise ValueError(
                f"{frames} frames need noise [N, {self.noise_channels}, {self.noise_length(frames)}];"
                f" given was {list(noise.shape)}."
            )
        return self.synthesise(list(self.styles(self.temporal_emb(noise), frames)), frames, beta)

    def excerpts(self, noise: Tensor, frames: int, starts: Sequence[int], count: int) -> Tensor:
        """Some frames in a row of each video that `forward` makes; of most that is not seen nothing is made.

        Args:
            noise: as in `forward`.
            frames: of whole videos.
            starts: the first frame of each, at most `frames - count`.
            count: how many.

        Returns:
            `[N, 3, count, H, W]`, about [-1, 1].
        """
        ws, lengths = list(self.styles(self.temporal_emb(noise), frames)), [*level_lengths(frames)[1:], frames]
        cuts = excerpt_cuts(torch.tensor(starts), count, frames)
        x, first = self.first_features(ws[0]), torch.zeros(len(starts), dtype=torch.long)
        for i, (block, w, length, size) in enumerate(zip(self.temporal_layers, ws, lengths, self.sizes, strict=False)):
            if cut := cuts.get(i):
                x, w = cut_out(x, 2, cut.first - first, cut.length), cut_out(w, 1, cut.first, cut.length)
                first, length = cut.first_kept, cut.kept
            x = block(x, w, length, size)
        return self.painted(x, cut_out(ws[-1], 1, first, count), 1.0)

    def window(self, noise: Tensor, start: int, frames: int) -> Tensor:
        """Frames `start : start + frames` of a video, which do not depend on what else is made of it.

        Args:
            noise: `[N, noise_channels, L]`, that of `noise_span(start, frames)`.
            start: the first frame.
            frames: how many.

        Returns:
            `[N, 3, frames, H, W]`, about [-1, 1].

        Raises:
            ValueError: noise of another shape.
        """
        span = whole_strides(start, frames)
        video: Tensor = self(noise, len(span))
        return video[:, :, start - span.start :][:, :, :frames]

    def noise_length(self, frames: int) -> int:
        """Frames of noise that a video of so many frames is made of."""
        return len(whole_strides(0, frames)) + CONTEXT + self.reach - 1

    def noise_span(self, start: int, frames: int) -> range:
        """Indices of the frames of noise that frames `start : start + frames` of an endless video are made of."""
        span = whole_strides(start, frames)
        return range(span.start, span.start + self.noise_length(len(span)))

    def styles(self, filtered: Tensor, frames: int) -> Iterator[Tensor]:
        """Style vectors: of what enters each temporal block, the coarsest first, then of the video itself.

        Args:
            filtered: the filtered noise `[N, temporal_emb_dim, S]`.
            frames: of the video.

        Yields:
            Seven times `[N, L, w_dim]`, with the frames in the middle of what there is.
        """
        w = self.latent_mapping(rearrange(normalized(filtered), "n e t -> n t e"))
        rates = [w]
        for _ in range(len(TEMPORAL_LEVELS) - 1):
            rates.append(self.temporal_downsample_latent(rates[-1]))
        for rate, length in zip(reversed(rates), level_lengths(frames), strict=True):
            yield middle(rate, length)
        yield middle(w, frames)

    def synthesise(self, ws: list[Tensor], frames: int, beta: float) -> Tensor:
        """The video `[N, 3, frames, H, W]` of its style vectors, as `styles` gives them."""
        x, lengths = self.first_features(ws[0]), [*level_lengths(frames)[1:], frames]
        for block, w, length, size in zip(self.temporal_layers, ws, lengths, self.sizes, strict=False):
            x = block(x, w, length, size, beta)
        return self.painted(x, ws[-1], beta)

    def first_features(self, w: Tensor) -> Tensor:
        """What enters the first block, of styles `[N, L, w_dim]`: `[N, C, L, h, w]`."""
        u = rearrange(self.w_to_temp_input(w), "n t c -> n c t 1 1")
        x: Tensor = ((u + self.spatial_input) * math.sqrt(0.5)).contiguous(memory_format=torch.channels_last_3d)
        return x if self.dtype is None else x.to(self.dtype)

    def painted(self, x: Tensor, w: Tensor, beta: float) -> Tensor:
        """Frames `[N, 3, T, H, W]` of what leaves the temporal blocks and of styles `[N, T, w_dim]`, each by itself."""
        for block, size in zip(self.spatial_layers, self.sizes[len(TEMPORAL_LEVELS) :], strict=True):
            x = block(x, w, x.shape[2], size, beta)
        rgb: Tensor = self.to_rgb(x, w, beta)
        return rgb.to(w.dtype) * OUTPUT_SCALE


class Halve(nn.Module):
    """Half the frames, after a low pass; beyond the ends everything is 0."""

    filter: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("filter", kaiser_filter(2))

    def forward(self, w: Tensor) -> Tensor:
        """`[N, T, C]` to `[N, T / 2, C]`."""
        lines = upfirdn2d(rearrange(w, "n t c -> n c t 1"), self.filter[:, None], down=(1, 2), padding=(0, 0, 5, 5))
        return rearrange(lines, "n c t 1 -> n t c")


def block_sizes(height: int, width: int) -> list[Size]:
    """Height and width of what enters the first block, and of what leaves each of the ten.

    Raises:
        ValueError: where a step would more than double a side.
    """
    longest = max(height, width)
    strides = [max(1, longest // 2**i) for i in range(2, 7)]
    levels = [(math.ceil(height / stride), math.ceil(width / stride)) for stride in strides] + [(height, width)]
    for (h, w), (next_h, next_w) in pairwise(levels):
        if next_h > 2 * h or next_w > 2 * w:
            raise ValueError(f"{height}x{width} is not reached by doubling {h}x{w}; take powers of two up to 128.")
    return [levels[i] for i in (0, 0, 1, 1, 2, 2, 2, 3, 3, 4, 5)]


def level_lengths(frames: int) -> list[int]:
    """Frames of what enters each temporal block."""
    return [math.ceil(frames / step) + 2 * PADDING for step in TEMPORAL_LEVELS]


class Cut(NamedTuple):
    """What a temporal block is given, and what is kept of what it makes, where little of a video is seen."""

    first: Tensor
    """The first frame that it is given, of each video; int64 `[N]`."""
    length: int
    """How many."""
    first_kept: Tensor
    """The first frame that is kept, of each video; int64 `[N]`."""
    kept: int
    """How many; they lie in the middle of what it makes."""


def excerpt_cuts(starts: Tensor, count: int, frames: int) -> dict[int, Cut]:
    """What the last three temporal blocks, where nearly all the work is, need for frames `starts : starts + count`.

    Two convolutions reach two frames to either side, and interpolation one more.
    """
    lengths, cuts = [*level_lengths(frames), frames], {}
    last = len(TEMPORAL_LEVELS) - 1
    for block in (last, last - 1, last - 2):
        if block == last:
            kept_first, kept = starts, count
            first, length = starts + (lengths[block] - frames) // 2 - 2, count + 4
        else:
            before = (2 * lengths[block] - lengths[block + 1]) // 2
            even = (starts + before) // 2 * 2
            kept_first, kept = even - before, count // 2 * 2 + 2
            first, length = even // 2 - 4, kept // 2 + 8
        cuts[block] = Cut(first, length, kept_first, kept)
        starts, count = first, length
    return cuts


def cut_out(x: Tensor, axis: int, first: Tensor, length: int) -> Tensor:
    """So many frames of each item `[N, ...]`, from its own first one on."""
    return torch.stack([item.narrow(axis - 1, int(start), length) for item, start in zip(x, first, strict=True)])


def whole_strides(start: int, frames: int) -> range:
    """The shortest window between multiples of 32 with frames `start : start + frames` in it."""
    return range(start // STRIDE * STRIDE, math.ceil((start + frames) / STRIDE) * STRIDE)


def middle(x: Tensor, length: int) -> Tensor:
    """The middle of `[N, T, C]`, `[N, length, C]`; of two frames in the middle the first."""
    return x.narrow(1, (x.shape[1] - length) // 2, length)
