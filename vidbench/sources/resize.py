"""Bringing frames to a size."""

from collections.abc import Callable

import numpy as np
from PIL import Image

Fit = Callable[[np.ndarray, tuple[int, int]], np.ndarray]
"""Brings frames uint8 [3, T, H, W] to a size (height, width)."""


def crop_and_resize(frames: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Take the largest centred box of the wanted aspect ratio and resize it by Pillow's antialiased Lanczos filter.

    The box's edges are rounded by Pillow, as LongVideoGAN's data tool has it. Frames that have the size are left alone.

    Args:
        frames: uint8 [3, T, H, W].
        size: Wanted height and width.

    Returns:
        uint8 [3, T, *size].
    """
    (height, width), (high, wide) = size, frames.shape[2:]
    if (height, width) == (high, wide):
        return frames
    scale = max(height / high, width / wide)
    left, top = (wide - width / scale) / 2, (high - height / scale) / 2
    resized = np.empty((*frames.shape[:2], height, width), np.uint8)
    for i in range(frames.shape[1]):
        image = Image.fromarray(np.ascontiguousarray(frames[:, i].transpose(1, 2, 0)))
        image = image.crop((left, top, wide - left, high - top))
        resized[:, i] = np.asarray(image.resize((width, height), Image.Resampling.LANCZOS)).transpose(2, 0, 1)
    return resized


def shorter_side(frames: np.ndarray, size: tuple[int, int], *, antialias: bool) -> np.ndarray:
    """Resize linearly until the wanted box is just covered, and cut it from the centre (VideoGPT, TATS, cd-fvd).

    Pixels become floats in [-0.5, 0.5] on the way and are truncated to bytes again, which may cost a level.

    Args:
        frames: uint8 [3, T, H, W].
        size: Wanted height and width.
        antialias: Whether the filter widens when it shrinks.

    Returns:
        uint8 [3, T, *size].
    """
    import torch
    from einops import rearrange
    from torch.nn.functional import interpolate

    (height, width), (high, wide) = size, frames.shape[2:]
    if height * wide >= width * high:
        covering = (height, -(-wide * height // high))
    else:
        covering = (-(-high * width // wide), width)
    pixels = rearrange(torch.from_numpy(np.ascontiguousarray(frames)), "c t h w -> t c h w").float() / 255
    pixels = interpolate(pixels, covering, mode="bilinear", antialias=antialias)
    top, left = (covering[0] - height) // 2, (covering[1] - width) // 2
    centred = pixels[:, :, top : top + height, left : left + width] - 0.5
    levels = ((centred + 0.5) * 255).clamp(0, 255).to(torch.uint8)
    return rearrange(levels, "t c h w -> c t h w").numpy()
