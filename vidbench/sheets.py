"""Contact sheets: the first clips of each side as they were compared, for people to look at."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from einops import rearrange
from PIL import Image, ImageDraw, ImageFont

from .files import atomic_write

COLUMNS = 8  # frames shown of each clip, evenly spaced
SIDE = 64  # pixels: the longer side of a frame on the sheet is at least this, and at most twice it
GAP, HEADER = 4, 22


def contact_sheet(path: Path, title: str, sides: Mapping[str, Sequence[np.ndarray]]) -> None:
    """Write a PNG with the clips of each side below each other, a row a clip, the sides side by side.

    Args:
        path: where to.
        title: stands at the top.
        sides: clips uint8 `[3, T, H, W]` by the side's name.
    """
    blocks = {name: np.concatenate([strip(clip) for clip in clips]) for name, clips in sides.items()}
    height = max(block.shape[0] for block in blocks.values())
    width = sum(block.shape[1] + 4 * GAP for block in blocks.values()) + 4 * GAP
    sheet = Image.new("RGB", (width, height + 2 * HEADER + 2 * GAP), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    pen.text((4 * GAP, GAP), title, fill="black", font=font)
    left = 4 * GAP
    for name, block in blocks.items():
        pen.text((left, HEADER + GAP // 2), name, fill="dimgray", font=font)
        sheet.paste(Image.fromarray(block), (left, 2 * HEADER))
        left += block.shape[1] + 4 * GAP
    save_png(path, sheet)


def strip(clip: np.ndarray) -> np.ndarray:
    """Evenly spaced frames of one clip uint8 `[3, T, H, W]` in a row, `[height, width, 3]`, with white gaps."""
    times = np.linspace(0, clip.shape[1] - 1, min(COLUMNS, clip.shape[1])).round().astype(int)
    frames = [scaled(frame) for frame in rearrange(clip[:, times], "c t h w -> t h w c")]
    padded = [np.pad(frame, ((0, GAP), (0, GAP), (0, 0)), constant_values=255) for frame in frames]
    return np.concatenate(padded, axis=1)


def scaled(frame: np.ndarray) -> np.ndarray:
    """A frame `[H, W, 3]`: small ones by whole factors without smoothing, so that pixels show; large ones shrunk."""
    longer = max(frame.shape[:2])
    if longer < SIDE:
        factor = -(-SIDE // longer)
        return frame.repeat(factor, axis=0).repeat(factor, axis=1)
    if longer <= 2 * SIDE:
        return frame
    picture = Image.fromarray(frame)
    picture.thumbnail((2 * SIDE, 2 * SIDE), Image.Resampling.LANCZOS)
    return np.asarray(picture)


def save_png(path: Path, picture: Image.Image) -> None:
    """Write a picture whole or not at all."""
    data = io.BytesIO()
    picture.save(data, "png")
    atomic_write(path, data.getvalue())
