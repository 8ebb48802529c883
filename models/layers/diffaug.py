"""Differentiable augmentation (Zhao et al., NeurIPS 2020): what discriminators see of a video or an image.

One transform of colour, place and content for all frames of a video. It is differentiable twice.
"""

import torch
import torch.nn.functional as F
from einops import rearrange, reduce
from torch import Tensor

NUM_DRAWS = 7
"""Uniform numbers of one video: brightness, saturation, contrast, shift up and left, row and column of the hole."""


NUM_COLOR_TRANSLATION_DRAWS = 5
"""Of these the first five."""


def diff_augment(videos: Tensor, draws: Tensor) -> Tensor:
    """Transform each video by its own draws.

    Args:
        videos: `[N, 3, T, H, W]`, in [-1, 1].
        draws: `[N, NUM_DRAWS]`, uniform in [0, 1); best drawn in float64.

    Returns:
        `[N, 3, T, H, W]`; values may leave [-1, 1].

    Raises:
        ValueError: for other shapes of the draws.
    """
    if draws.shape != (len(videos), NUM_DRAWS):
        raise ValueError(f"{len(videos)} videos take draws of shape [N, {NUM_DRAWS}]; given were {list(draws.shape)}.")
    draws = draws.double().cpu()
    colored = change_colors(videos, draws[:, :3].to(videos))
    height, width = videos.shape[3:]
    limit = round(0.25 * max(height, width))
    shifts = (draws[:, 3:5] * (2 * limit + 1)).floor().long() - limit
    holes = (int(height / 2 + 0.5), int(width / 2 + 0.5))
    places = torch.tensor([side + 1 - hole % 2 for side, hole in zip((height, width), holes, strict=True)])
    centres = (draws[:, 5:7] * places).floor().long()
    return cut_out(shifted(colored, shifts), centres, holes)


def color_translation(videos: Tensor, draws: Tensor) -> Tensor:
    """Colour and place alone: each video moves by an eighth of its side at most, and no hole is cut.

    Args:
        videos: `[N, 3, T, S, S]`, in [-1, 1].
        draws: `[N, NUM_COLOR_TRANSLATION_DRAWS]`, uniform in [0, 1); best drawn in float64.

    Returns:
        `[N, 3, T, S, S]`; values may leave [-1, 1].
    """
    draws = draws.double().cpu()
    limit = int(videos.shape[-1] / 8 + 0.5)
    shifts = (draws[:, 3:] * (2 * limit + 1)).floor().long() - limit
    return shifted(change_colors(videos, draws[:, :3].to(videos)), shifts)


def change_colors(videos: Tensor, u: Tensor) -> Tensor:
    """Brightness, saturation and contrast by uniform numbers `[N, 3]`: up to 1/2 more or less, 0 to 2, 1/2 to 3/2."""
    brightness, saturation, contrast = rearrange(u, "n k -> k n 1 1 1 1")
    x = videos + (brightness - 0.5)
    grey = reduce(x, "n c t h w -> n 1 t h w", "mean")
    x = grey.lerp(x, 2 * saturation)
    mean = reduce(x, "n c t h w -> n 1 1 1 1", "mean")
    changed: Tensor = mean.lerp(x, contrast + 0.5)
    return changed


def shifted(videos: Tensor, shifts: Tensor) -> Tensor:
    """Frames moved up and left by whole pixels, `[N, 2]`; what comes in is 0."""
    height, width = videos.shape[3:]
    moved = []
    for video, (down, right) in zip(videos, shifts.tolist(), strict=True):
        dy, dx = max(-height, min(height, down)), max(-width, min(width, right))
        moved.append(F.pad(video, (-dx, dx, -dy, dy)))
    return torch.stack(moved)


def cut_out(videos: Tensor, centres: Tensor, size: tuple[int, int]) -> Tensor:
    """A window of the given height and width, around `[N, 2]` rows and columns, is 0 in all frames."""
    inside = []
    for side, length, centre in zip(videos.shape[3:], size, centres.T, strict=True):
        offset = torch.arange(side) - (centre - length // 2)[:, None]
        inside.append((offset >= 0) & (offset < length))
    hole = rearrange(inside[0], "n h -> n h 1") & rearrange(inside[1], "n w -> n 1 w")
    kept: Tensor = rearrange(~hole, "n h w -> n 1 1 h w")
    return videos * kept.to(videos)
