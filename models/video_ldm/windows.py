"""Long videos of short windows, in constant memory: iterators over latents `[N, C, t, H, W]` (Sec. 3.2 and 3.3).

Windows are numbered, so that what makes them can draw their noise by number: a longer video begins with a shorter one.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

MOTION = 2
"""Key frames that are given to the next window: they show the direction of motion."""
BETWEEN = 3
"""Frames that interpolation puts between two."""


def key_frames(first: Tensor, predict: Callable[[int, Tensor], Tensor]) -> Iterator[Tensor]:
    """Key frames without end, from the first, `[N, C, 1, H, W]`, on.

    Args:
        first: what the image model made.
        predict: from the number of a window and its first one or two frames `[N, C, s, H, W]`, all of its frames,
            `[N, C, T, H, W]`.

    Yields:
        T frames, then T - 2 at a time.
    """
    window = predict(0, first)
    yield window
    k = 1
    while True:
        window = predict(k, window[:, :, -MOTION:])
        yield window[:, :, MOTION:]
        k += 1


def interpolated(frames: Iterator[Tensor], fill: Callable[[int, Tensor, Tensor], Tensor]) -> Iterator[Tensor]:
    """Four times the frames, less three: those that come in, and three between any two.

    Args:
        frames: `[N, C, t, H, W]` of any lengths, in order; may never end.
        fill: from the number of a pair and its frames, `[N, C, 1, H, W]` each, the `[N, C, 3, H, W]` between them.

    Yields:
        `[N, C, 4, H, W]`, the first of each pair as it came in; at the end the last frame.
    """
    singles = (frame for chunk in frames for frame in torch.split(chunk, 1, dim=2))
    left = next(singles)
    for k, right in enumerate(singles):
        yield torch.cat([left, fill(k, left, right)], dim=2)
        left = right
    yield left


def regrouped(frames: Iterator[Tensor], length: int) -> Iterator[Tensor]:
    """The same frames `[N, C, t, H, W]` in chunks of `length`; the last may be shorter."""
    kept: Tensor | None = None
    for chunk in frames:
        kept = chunk if kept is None else torch.cat([kept, chunk], dim=2)
        while kept.shape[2] >= length:
            yield kept[:, :, :length]
            kept = kept[:, :, length:]
    if kept is not None and kept.shape[2]:
        yield kept
