"""Bringing frames to a size."""

import numpy as np
from PIL import Image


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
