"""StyleGAN-V as a generator of videos: any frame at any time, in any order."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import torch
from einops import rearrange
from torch import Tensor

from vidbench.draws import draw, normal
from vidbench.generator import fitting
from vidbench.stage import Imported, Snapshot, State, System, at_rate, load_network

from .config import StyleGANVConfig
from .generator import Generator
from .importing import read_official
from .networks import build_generator

CHUNK = 32
"""Frames of a streamed chunk, and frames of a video that are made at once."""


class StyleGANV(System):
    """StyleGAN-V (Skorokhodov et al., CVPR 2022).

    The latent of a video is a named draw of its seed, and so is each of its motion tokens; frames are functions of
    those and of time, and so the same however they are asked for.

    Args:
        network: the generator network, in evaluation mode.
        fps: frames a second of what it was trained on.
        truncation: 1 leaves styles as they are, 0 is their average.
        time_step: time between frames, in frames of training; below 1 is slow motion.
        offset: time of frame 0.
    """

    config_type = StyleGANVConfig
    needed = ("gan",)
    sampled: ClassVar[dict[str, tuple[str, ...]]] = {"gan": ("G_ema",)}
    continuous = True
    card: ClassVar[dict[str, str]] = {
        "title": "StyleGAN-V",
        "about": "A continuous video generator: StyleGAN2 with motion codes of real-valued time",
        "paper": "Skorokhodov et al., CVPR 2022 (arXiv 2112.14683)",
    }

    def __init__(
        self, network: Generator, fps: float, *, truncation: float = 1.0, time_step: float = 1.0, offset: float = 0.0
    ) -> None:
        if time_step <= 0 or offset < 0:
            raise ValueError(f"time_step must be above 0 and offset at least 0; they are {time_step} and {offset}")
        self.network, self.fps = network, fps
        self.truncation, self.time_step, self.offset = float(truncation), time_step, offset
        side = network.synthesis.resolutions[-1]
        self.size = (side, side)

    @classmethod
    def size_of(cls, config: StyleGANVConfig) -> tuple[int, int]:
        """Frames are square."""
        return config.model.resolution, config.model.resolution

    @classmethod
    def from_states(
        cls,
        config: StyleGANVConfig,
        states: Mapping[str, State],
        fps: float,
        device: str = "cpu",
        /,
        **options: Any,
    ) -> "StyleGANV":
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
        return cls(network, at_rate(options, fps), **options)

    @classmethod
    def from_official(cls, snapshots: Sequence[Snapshot]) -> Imported:
        """StyleGAN-V in its authors' file: `G_ema`, and `G` and `D` where they are in it.

        Raises:
            ValueError: it is not StyleGAN-V, or not as expected; the message completes a sentence about the file.
        """
        return read_official(snapshots)

    def stream(self, seed: int) -> Iterator[Tensor]:
        """One video, endless, in chunks of 32 frames; a chunk is made of as many motion tokens as it depends on."""
        w, c = self._style([seed])
        start = 0
        while True:
            yield self._frames([seed], w, c, start, CHUNK)[0]
            start += CHUNK

    def sample(self, seeds: Sequence[int], num_frames: int, start: int = 0) -> Tensor:
        """Frames `start : start + num_frames` of one video a seed, `[N, 3, T, H, W]` in [-1, 1]."""
        w, c = self._style(seeds)
        height, width = self.size
        at_once = fitting(min(CHUNK, num_frames) * height * width, w.device)
        videos = [
            torch.cat(
                [
                    self._frames(seeds[part], w[part], None if c is None else c[part], first, count)
                    for first, count in chunks(start, num_frames)
                ],
                dim=2,
            )
            for part in (slice(i, i + at_once) for i in range(0, len(seeds), at_once))
        ]
        return torch.cat(videos)

    @torch.inference_mode()
    def _style(self, seeds: Sequence[int]) -> tuple[Tensor, Tensor | None]:
        """Styles `[N, num_ws, w_dim]`, and labels `[N, c_dim]` of a conditional model."""
        device = self.network.mapping.w_avg.device
        z = normal(seeds, "z", 0, self.network.z_dim).to(device)
        c = None
        if self.network.c_dim:
            labels = [int(torch.randint(self.network.c_dim, (), generator=draw(seed, "label"))) for seed in seeds]
            c = torch.nn.functional.one_hot(torch.tensor(labels), self.network.c_dim).float().to(device)
        w: Tensor = self.network.mapping(z, c, self.truncation)
        return w, c

    @torch.inference_mode()
    def _frames(self, seeds: Sequence[int], w: Tensor, c: Tensor | None, start: int, count: int) -> Tensor:
        """Frames `start : start + count` `[N, 3, count, H, W]`."""
        t = self.offset + self.time_step * torch.arange(start, start + count, dtype=torch.float64)
        motion = self.network.motion
        first = math.floor(float(t[0]) / motion.distance)
        tokens = torch.stack([self._tokens(seed, first, motion.num_tokens(float(t[-1]))) for seed in seeds])
        times = t.expand(len(seeds), -1).to(w.device)
        frames: Tensor = self.network.synthesis(w, times, c, tokens.to(w.device), first)
        return rearrange(frames, "(n t) c h w -> n c t h w", t=count).float().clamp(-1, 1).cpu()

    def _tokens(self, seed: int, first: int, stop: int) -> Tensor:
        """Motion tokens `first : stop` of a seed."""
        width = self.network.motion.z_dim
        return torch.stack([torch.randn(width, generator=draw(seed, "motion", index)) for index in range(first, stop)])


def chunks(start: int, count: int) -> Iterator[tuple[int, int]]:
    """First frames and lengths of the pieces that a window is made of; they begin at multiples of 32."""
    stop = start + count
    while start < stop:
        length = min(CHUNK - start % CHUNK, stop - start)
        yield start, length
        start += length
