"""MoCoGAN-HD as a generator of videos: a walk through styles, as long as one likes, whatever becomes of it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import torch
from einops import rearrange
from torch import Tensor

from vidbench.draws import normal
from vidbench.generator import fitting
from vidbench.stage import Imported, Snapshot, State, System, load_network

from .config import MoCoGANHDConfig
from .image_networks import ImageGenerator
from .motion_generator import MotionGenerator, Walk
from .networks import build_motion_generator, frozen_image_generator
from .official import read_official
from .video import render

CHUNK = 16
"""Frames of a streamed chunk, and of a video that are made at once."""


class MoCoGANHD(System):
    """MoCoGAN-HD (Tian et al., ICLR 2021).

    The first frame's latent, the noise of every step and that of every layer are named draws of a video's seed. Nothing
    pulls a walk back, so that long videos drift away from what the image generator knows.

    Args:
        image: the image generator, in evaluation mode.
        motion: the motion generator; None for still videos.
        fps: frames a second of the clips that it was trained on.
        noise: whether the image generator's layers get noise, one map a video.
        truncation: 1 leaves styles as they are, 0 is their average.
        interpolate: whether a frame halfway comes between any two, so that there are twice as many a second.
    """

    config_type = MoCoGANHDConfig
    needed = ("image", "motion")
    sampled: ClassVar[dict[str, tuple[str, ...]]] = {"image": ("G_ema",), "motion": ("G_ema", "R")}
    domains: ClassVar[dict[str, str]] = {"image": "content", "motion": "motion"}
    across = "model.motion.cross_domain=true"
    card: ClassVar[dict[str, str]] = {
        "title": "MoCoGAN-HD",
        "about": "A recurrent walk in the latent space of a frozen image generator",
        "paper": "Tian et al., ICLR 2021 (arXiv 2104.15069)",
    }

    def __init__(
        self,
        image: ImageGenerator,
        motion: MotionGenerator | None,
        fps: float,
        *,
        noise: bool = True,
        truncation: float = 1.0,
        interpolate: bool = False,
    ) -> None:
        self.rate = 2 if interpolate else 1
        self.image, self.motion, self.fps = image, motion, fps * self.rate
        self.noise, self.truncation = noise, float(truncation)
        side = image.synthesis.resolutions[-1]
        self.size = (side, side)

    @classmethod
    def size_of(cls, config: MoCoGANHDConfig) -> tuple[int, int]:
        """Frames are square."""
        return config.model.image.side, config.model.image.side

    @classmethod
    def from_states(
        cls,
        config: MoCoGANHDConfig,
        states: Mapping[str, State],
        fps: float,
        device: str = "cpu",
        /,
        **options: Any,
    ) -> "MoCoGANHD":
        """The generator of trained stages.

        Args:
            config: its configuration.
            states: `motion`, of which `R` is sampled, with the `G_ema` that it was trained on; where that is not in
                it, as in the authors' files, and for still videos, that of `image`.
            fps: frames a second of what it was trained on.
            device: where it runs.
            options: `noise`, `truncation`, `interpolate`; `strength`, how many standard deviations a step moves at most
                along each direction; `still`, True for videos without motion, which need the first stage alone.

        Raises:
            ValueError: a stage is missing, or its tensors do not fit.
        """
        still, moving = options.pop("still", False), states.get("motion", {})
        alone = still or "G_ema" not in moving
        image = frozen_image_generator(config.model, states.get("image", {}) if alone else moving, device)
        if still:
            return cls(image, None, fps, **options)
        if "R" not in moving:
            raise ValueError("the stage motion is not trained; still=true makes videos without motion")
        motion = build_motion_generator(config.model, device).eval().requires_grad_(False)
        load_network(motion, moving["R"])
        motion.strength = float(options.pop("strength", motion.strength))
        return cls(image, motion, fps / config.model.motion.time_step, **options)

    @classmethod
    def from_official(cls, snapshots: Sequence[Snapshot]) -> Imported:
        """MoCoGAN-HD in its authors' files: the image generator, and the motion generator with its directions.

        Raises:
            ValueError: they are not of MoCoGAN-HD, or not as expected; the message completes a sentence about them.
        """
        return read_official(snapshots)

    def stream(self, seed: int) -> Iterator[Tensor]:
        """One video, endless, in chunks of 16 frames; all that is kept between them is where the walk stands."""
        walk, noise, start = self._start([seed]), self._noise([seed]), 0
        while True:
            walk, styles = self._walk([seed], walk, start, CHUNK)
            yield self._frames(styles, noise)[0]
            start += CHUNK

    def sample(self, seeds: Sequence[int], num_frames: int, start: int = 0) -> Tensor:
        """Frames `start : start + num_frames` of one video a seed, `[N, 3, T, H, W]` in [-1, 1]."""
        height, width = self.size
        at_once = fitting(min(CHUNK, num_frames) * height * width, self._device)
        videos = [self._window(seeds[i : i + at_once], num_frames, start) for i in range(0, len(seeds), at_once)]
        return torch.cat(videos)

    def _window(self, seeds: Sequence[int], num_frames: int, start: int) -> Tensor:
        walk, noise, pieces = self._start(seeds), self._noise(seeds), []
        for first in range(0, start + num_frames, CHUNK):
            count = min(CHUNK, start + num_frames - first)
            walk, styles = self._walk(seeds, walk, first, count)
            if first + count > start:
                pieces.append(self._frames(styles[:, max(start - first, 0) :], noise))
        return torch.cat(pieces, dim=2)

    @property
    def _device(self) -> torch.device:
        return self.image.mapping.w_avg.device

    @torch.inference_mode()
    def _start(self, seeds: Sequence[int]) -> Walk:
        """Walks at their first frame."""
        w = self.image.styles(normal(seeds, "z", 0, self.image.z_dim).to(self._device))
        return Walk(w, w, w) if self.motion is None else self.motion.start(w)

    @torch.inference_mode()
    def _noise(self, seeds: Sequence[int]) -> list[Tensor] | None:
        """Of each layer, the same for all frames of a video."""
        sides = self.image.synthesis.noise_sides
        if not self.noise:
            return None
        return [normal(seeds, "noise", i, 1, side, side).to(self._device) for i, side in enumerate(sides)]

    @torch.inference_mode()
    def _walk(self, seeds: Sequence[int], walk: Walk, start: int, count: int) -> tuple[Walk, Tensor]:
        """Where walks stand before frame `start + count`, and the styles of `count` frames, `[N, count, w_dim]`.

        Args:
            seeds: of the videos.
            walk: where they stand at frame `start`, or before it where that is one between two.
            start: the first frame.
            count: how many.
        """
        styles = []
        for t in range(start, start + count):
            step, between = divmod(t, self.rate)
            after = walk
            if self.motion is not None and between == self.rate - 1:
                after = self.motion.step(walk, normal(seeds, "e", step + 1, self.image.z_dim).to(self._device))
            styles.append(walk.w.lerp(after.w, between / self.rate))
            walk = after
        return walk, torch.stack(styles, dim=1)

    @torch.inference_mode()
    def _frames(self, styles: Tensor, noise: Sequence[Tensor] | None) -> Tensor:
        """Frames `[N, 3, T, H, W]` of styles `[N, T, w_dim]`."""
        if self.truncation != 1:
            styles = self.image.mapping.w_avg.lerp(styles, self.truncation)
        clips = render(self.image.synthesis, styles, noise)
        return rearrange(clips, "n t c h w -> n c t h w").float().clamp(-1, 1).cpu()
