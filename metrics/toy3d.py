"""The built-in backbone: hand-made spatio-temporal energies (after Adelson and Bergen, 1985), no weights to fetch."""

import json
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from einops import rearrange

from .i3d_fast import hash_of

CONSTANTS = Path(__file__).with_name("toy3d.json")
FRAMES_AT_ONCE = 256
PIXELS_AT_ONCE = 2**22


class Toy3D(torch.nn.Module):
    """87 standardised features of a clip: motion energies in 40 spatio-temporal bands, and seven plain statistics.

    The constants of the standardisation are those of a fixed corpus (`fit_toy3d.py`), never of the clips under test.

    Args:
        preparation: taken as every backbone takes it, and ignored: a hand-made backbone has its own preparation.
    """

    name = "toy3d"
    version = 1
    dim = 87
    min_frames = 9
    numeric_mode = "float32"

    filters: torch.Tensor
    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, preparation: str = "none") -> None:
        super().__init__()
        constants = json.loads(CONSTANTS.read_text())
        self.register_buffer("filters", quadrature_filters().float())
        self.register_buffer("mean", torch.tensor(constants["mean"], dtype=torch.float64).float())
        self.register_buffer("std", torch.tensor(constants["std"], dtype=torch.float64).float())

    @torch.no_grad()
    def forward(self, video: torch.Tensor) -> torch.Tensor:
        """Standardised features.

        Args:
            video: `[N, 3, T, H, W]`, uint8, or float in [-1, 1]; T at least 9. Frames of another size than 32x32 are
                resized to it, aspect not kept (bilinear, antialiased).

        Returns:
            float32 `[N, 87]`.

        Raises:
            ValueError: for another shape or dtype, or too few frames.
        """
        return torch.cat([self.standardised(part) for part in prepared(video, self.min_frames)])

    def standardised(self, video: torch.Tensor) -> torch.Tensor:
        """Standardised features of float32 `[N, 3, T, 32, 32]` in [-1, 1]; T at least 8."""
        return (features(video, self.filters) - self.mean) / self.std

    def tensor_hash(self) -> str:
        """SHA-256 over names and float32 bytes of filters and constants, in order of name."""
        return hash_of(self.state_dict())


def quadrature_filters() -> torch.Tensor:
    """The 40 even, then the 40 odd filters: float64 `[80, 1, 7, 9, 9]`.

    Bands are ordered by wavelength (4 and 8 px), orientation (4), and temporal frequency (5, in cycles a frame).
    """
    t, y, x = torch.meshgrid(*(torch.arange(-r, r + 1.0, dtype=torch.float64) for r in (3, 4, 4)), indexing="ij")
    even, odd = [], []
    for wavelength, sigma in ((4, 1.7), (8, 3)):
        envelope = torch.exp(-(x**2 + y**2) / (2 * sigma**2) - t**2 / 8)
        for theta in (0, math.pi / 4, math.pi / 2, 3 * math.pi / 4):
            along = x * math.cos(theta) + y * math.sin(theta)
            for frequency in (-0.25, -0.12, 0, 0.12, 0.25):
                phase = 2 * math.pi * (along / wavelength + frequency * t)
                wave = phase.cos() * envelope
                even.append(wave - envelope * wave.sum() / envelope.sum())
                odd.append(phase.sin() * envelope)
    filters = torch.stack(even + odd)
    return rearrange(filters / filters.abs().sum(dim=(1, 2, 3), keepdim=True), "k t y x -> k 1 t y x")


def prepared(video: torch.Tensor, min_frames: int) -> tuple[torch.Tensor, ...]:
    """The clips `[N, 3, T, H, W]`, checked and resized, in parts that a network may see at once.

    Raises:
        ValueError: for another shape, another dtype than uint8 or floating numbers, or too few frames.
    """
    if video.ndim != 5 or video.shape[1] != 3 or video.shape[2] < min_frames:
        raise ValueError(f"The video has shape {list(video.shape)}; [N, 3, T, H, W] with T >= {min_frames} is needed.")
    if video.dtype != torch.uint8 and not video.is_floating_point():
        raise ValueError(f"The video has dtype {video.dtype}; uint8 or floating numbers are needed.")
    return torch.split(resized(video), max(1, FRAMES_AT_ONCE // video.shape[2]))


def resized(video: torch.Tensor) -> torch.Tensor:
    """The video `[N, 3, T, H, W]` as float32 in [-1, 1] at 32x32, converted and resized a few frames at a time."""
    frames = rearrange(video, "n c t h w -> (n t) c h w")
    parts = []
    for part in torch.split(frames, max(1, PIXELS_AT_ONCE // (video.shape[3] * video.shape[4]))):
        values = part.float() / 127.5 - 1 if part.dtype == torch.uint8 else part.float()
        if values.shape[2:] != (32, 32):
            values = F.interpolate(values, size=(32, 32), mode="bilinear", antialias=True)
        parts.append(values)
    return rearrange(torch.cat(parts), "(n t) c h w -> n c t h w", t=video.shape[2])


def features(video: torch.Tensor, filters: torch.Tensor) -> torch.Tensor:
    """Features before standardisation: 40 means of log energy, 40 deviations over time, seven statistics.

    Args:
        video: float32 `[N, 3, T, 32, 32]` in [-1, 1]; T at least 8.
        filters: float32 `[80, 1, 7, 9, 9]`.

    Returns:
        float32 `[N, 87]`.
    """
    grey = video.mean(dim=1, keepdim=True)
    even, odd = F.conv3d(grey, filters, stride=(1, 2, 2)).chunk(2, dim=1)
    energy = torch.log(torch.sqrt(even**2 + odd**2 + 1e-6) + 1e-3)
    over_time = energy.mean(dim=(3, 4))
    return torch.cat([over_time.mean(dim=2), over_time.std(dim=2), plain_statistics(video)], dim=1)


def plain_statistics(video: torch.Tensor) -> torch.Tensor:
    """Speed and its deviation, acceleration, horizontal gradient (logarithms), mean, deviation, flicker: `[N, 7]`."""
    difference = video.diff(dim=2)
    speed = difference.abs().mean(dim=(1, 3, 4))
    values = (1, 2, 3, 4)
    logarithms = torch.stack(
        [
            speed.mean(dim=1),
            speed.std(dim=1),
            difference.diff(dim=2).abs().mean(dim=values),
            video.diff(dim=4).abs().mean(dim=values),
        ],
        dim=1,
    )
    brightness = video.mean(dim=(1, 3, 4))
    rest = torch.stack([brightness.mean(dim=1), video.std(dim=values), brightness.std(dim=1)], dim=1)
    return torch.cat([torch.log(logarithms + 1e-3), rest], dim=1)
