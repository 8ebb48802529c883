"""MoCoGAN+SG2 as a generator of videos: one content, and a motion that goes on as long as one likes."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import torch
from einops import rearrange
from torch import Tensor

from vidbench.draws import draw, normal
from vidbench.generator import fitting
from vidbench.stage import Imported, Snapshot, State, System, load_network

from .config import MoCoGANSG2Config
from .generator import Generator
from .importing import read_official
from .motion import LSTMState
from .networks import build_generator

CHUNK = 16
"""Frames of a streamed chunk, and of a video that are made at once."""


class MoCoGANSG2(System):
    """MoCoGAN+SG2, the baseline of StyleGAN-V (Skorokhodov et al., CVPR 2022, Sec. 4).

    The latent of a video is a named draw of its seed, and so is each of its motion tokens. A frame depends on the
    tokens of all frames before it: to make one, the LSTM runs from the beginning; frames before it are not made.

    Args:
        network: the generator network, in evaluation mode.
        fps: frames a second of what it was trained on.
        truncation: 1 leaves styles as they are, 0 is their average.
    """

    config_type = MoCoGANSG2Config
    needed = ("gan",)
    sampled: ClassVar[dict[str, tuple[str, ...]]] = {"gan": ("G_ema",)}
    card: ClassVar[dict[str, str]] = {
        "title": "MoCoGAN+SG2",
        "about": "A content and an LSTM's motion, frame by frame: MoCoGAN on StyleGAN2",
        "paper": "Skorokhodov et al., CVPR 2022 (arXiv 2112.14683); Tulyakov et al., CVPR 2018 (arXiv 1707.04993)",
    }

    def __init__(self, network: Generator, fps: float, *, truncation: float = 1.0) -> None:
        self.network, self.fps, self.truncation = network, fps, float(truncation)
        side = network.synthesis.resolutions[-1]
        self.size = (side, side)

    @classmethod
    def size_of(cls, config: MoCoGANSG2Config) -> tuple[int, int]:
        """Frames are square."""
        return config.model.resolution, config.model.resolution

    @classmethod
    def from_states(
        cls,
        config: MoCoGANSG2Config,
        states: Mapping[str, State],
        fps: float,
        device: str = "cpu",
        /,
        **options: Any,
    ) -> "MoCoGANSG2":
        """The generator of a trained stage `gan`.

        Args:
            config: its configuration.
            states: the stage's networks; `G_ema` is what is sampled.
            fps: frames a second of what it was trained on.
            device: where it runs.
            options: `truncation`.

        Raises:
            ValueError: the stage is missing, or its tensors do not fit.
        """
        if "G_ema" not in states.get("gan", {}):
            raise ValueError("the stage gan is not trained")
        network = build_generator(config.model, device).eval().requires_grad_(False)
        load_network(network, states["gan"]["G_ema"])
        return cls(network, fps, **options)

    @classmethod
    def from_official(cls, snapshots: Sequence[Snapshot]) -> Imported:
        """MoCoGAN+SG2 in a file of StyleGAN-V's authors' code: `G_ema`, and `G` and `D` where they are in it.

        Raises:
            ValueError: it is not MoCoGAN+SG2, or not as expected; the message completes a sentence about the file.
        """
        return read_official(snapshots)

    def stream(self, seed: int) -> Iterator[Tensor]:
        """One video, endless, in chunks of 16 frames; all that is kept between them is the state of the LSTM."""
        w = self._style([seed])
        state: LSTMState | None = None
        start = 0
        while True:
            u, state = self._walk([seed], state, start, CHUNK)
            yield self._frames(w, u)[0]
            start += CHUNK

    def sample(self, seeds: Sequence[int], num_frames: int, start: int = 0) -> Tensor:
        """Frames `start : start + num_frames` of one video a seed, `[N, 3, T, H, W]` in [-1, 1]."""
        height, width = self.size
        at_once = fitting(min(CHUNK, num_frames) * height * width, self._device)
        videos = [self._window(seeds[i : i + at_once], num_frames, start) for i in range(0, len(seeds), at_once)]
        return torch.cat(videos)

    def _window(self, seeds: Sequence[int], num_frames: int, start: int) -> Tensor:
        w, pieces = self._style(seeds), []
        state: LSTMState | None = None
        for first in range(0, start + num_frames, CHUNK):
            count = min(CHUNK, start + num_frames - first)
            u, state = self._walk(seeds, state, first, count)
            if first + count > start:
                pieces.append(self._frames(w, u[:, max(start - first, 0) :]))
        return torch.cat(pieces, dim=2)

    @property
    def _device(self) -> torch.device:
        return self.network.mapping.w_avg.device

    @torch.inference_mode()
    def _style(self, seeds: Sequence[int]) -> Tensor:
        """Styles `[N, num_ws, w_dim]`."""
        z = normal(seeds, "z", 0, self.network.z_dim).to(self._device)
        w: Tensor = self.network.mapping(z, None, self.truncation)
        return w

    @torch.inference_mode()
    def _walk(self, seeds: Sequence[int], state: LSTMState | None, start: int, count: int) -> tuple[Tensor, LSTMState]:
        """Hidden states of `count` frames, `[N, count, motion_z_dim]`, and the LSTM's state after them.

        Args:
            seeds: of the videos.
            state: of the LSTM before frame `start`.
            start: the first frame.
            count: how many.
        """
        encoder = self.network.synthesis.motion_encoder
        tokens = [
            torch.stack([torch.randn(encoder.z_dim, generator=draw(seed, "motion", start + i)) for i in range(count)])
            for seed in seeds
        ]
        return encoder.walk(torch.stack(tokens).to(self._device), state)

    @torch.inference_mode()
    def _frames(self, w: Tensor, u: Tensor) -> Tensor:
        """Frames `[N, 3, T, H, W]` of styles and hidden states `[N, T, motion_z_dim]`."""
        synthesis = self.network.synthesis
        frames: Tensor = synthesis(w, synthesis.motion_encoder.codes(u))
        return rearrange(frames, "(n t) c h w -> n c t h w", n=len(w)).float().clamp(-1, 1).cpu()
