"""DIGAN as a generator of videos: any frame at any time, in any order."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any, ClassVar

import torch
from einops import rearrange
from torch import Tensor

from vidbench.draws import normal
from vidbench.generator import fitting
from vidbench.stage import State, System, at_rate, load_network

from .config import DIGANConfig
from .generator import Generator
from .networks import build_generator

CHUNK = 32
"""Frames of a streamed chunk, and frames of a video that are made at once."""


class DIGAN(System):
    """DIGAN (Yu et al., ICLR 2022).

    The latents of a video, of content and of motion, are named draws of its seed; frames are functions of those and of
    time, and so the same however they are asked for.

    Args:
        network: the generator network, in evaluation mode.
        fps: frames a second of the clips that it was trained on.
        clip_frames: frames of the clips that it was trained on.
        truncation: 1 leaves styles as they are, 0 is their average.
        time_step: time between frames, in frames of training; below 1 is slow motion.
        offset: time of frame 0, in frames of training; below 0 is before the clips that it was trained on.
    """

    config_type = DIGANConfig
    needed = ("gan",)
    sampled: ClassVar[dict[str, tuple[str, ...]]] = {"gan": ("G_ema",)}
    continuous = True
    card: ClassVar[dict[str, str]] = {
        "title": "DIGAN",
        "about": "Videos as implicit functions of place and time; a discriminator sees two frames",
        "paper": "Yu et al., ICLR 2022 (arXiv 2202.10571)",
    }

    def __init__(
        self,
        network: Generator,
        fps: float,
        clip_frames: int,
        *,
        truncation: float = 1.0,
        time_step: float = 1.0,
        offset: float = 0.0,
    ) -> None:
        if time_step <= 0:
            raise ValueError(f"time_step must be above 0; it is {time_step}")
        self.network, self.fps, self.clip_frames = network, fps, clip_frames
        self.truncation, self.time_step, self.offset = float(truncation), time_step, offset
        side = network.synthesis.resolutions[-1]
        self.size = (side, side)

    @classmethod
    def size_of(cls, config: DIGANConfig) -> tuple[int, int]:
        """Frames are square."""
        return config.model.resolution, config.model.resolution

    @classmethod
    def from_states(
        cls, config: DIGANConfig, states: Mapping[str, State], fps: float, device: str = "cpu", /, **options: Any
    ) -> "DIGAN":
        """The generator of a trained stage `gan`.

        Args:
            config: its configuration.
            states: the stage's networks; `G_ema` is what is sampled.
            fps: frames a second of what it was trained on.
            device: where it runs.
            options: `truncation`, `time_step`, `offset`; or `fps`, another frame rate for the same motion.

        Raises:
            ValueError: the stage is missing, its tensors do not fit, or an option is out of range.
        """
        if "G_ema" not in states.get("gan", {}):
            raise ValueError("the stage gan is not trained")
        network = build_generator(config.model, device).eval().requires_grad_(False)
        load_network(network, states["gan"]["G_ema"])
        return cls(network, at_rate(options, fps / config.model.time_step), config.model.clip_frames, **options)

    def stream(self, seed: int) -> Iterator[Tensor]:
        """One video, endless, in chunks of 32 frames."""
        w, motion_z = self._latents([seed])
        for start in count(0, CHUNK):
            yield self._frames(w, motion_z, start, CHUNK)[0]

    def sample(self, seeds: Sequence[int], num_frames: int, start: int = 0) -> Tensor:
        """Frames `start : start + num_frames` of one video a seed, `[N, 3, T, H, W]` in [-1, 1]."""
        w, motion_z = self._latents(seeds)
        height, width = self.size
        at_once, stop = fitting(min(CHUNK, num_frames) * height * width, w.device), start + num_frames
        videos = [
            torch.cat([self._frames(*part, t, min(CHUNK, stop - t)) for t in range(start, stop, CHUNK)], dim=2)
            for part in zip(torch.split(w, at_once), torch.split(motion_z, at_once), strict=True)
        ]
        return torch.cat(videos)

    @torch.inference_mode()
    def _latents(self, seeds: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Styles and latents of motion, `[N, w_dim]` both."""
        widths, device = {"z": self.network.z_dim, "motion": self.network.w_dim}, self.network.mapping.w_avg.device
        z, motion_z = (normal(seeds, name, 0, width).to(device) for name, width in widths.items())
        return self.network.style(z, self.truncation), motion_z

    @torch.inference_mode()
    def _frames(self, w: Tensor, motion_z: Tensor, start: int, length: int) -> Tensor:
        """Frames `start : start + length` `[N, 3, length, H, W]`."""
        frame = self.offset + self.time_step * torch.arange(start, start + length, dtype=torch.float64)
        times = (frame / (self.clip_frames - 1)).expand(len(w), -1).to(w.device)
        frames: Tensor = self.network.synthesis(w, times, motion_z)
        return rearrange(frames, "(n t) c h w -> n c t h w", t=length).float().clamp(-1, 1).cpu()
