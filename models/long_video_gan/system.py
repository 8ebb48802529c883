"""LongVideoGAN as a generator of videos: endless, any window of them alone, in memory that does not grow."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from vidbench.draws import normal
from vidbench.generator import OnReal, VideoSource, fitting
from vidbench.stage import Imported, Snapshot, State, System, load_network

from .config import LongVideoGANConfig
from .importing import read_official
from .lowres_generator import STRIDE, LowResGenerator
from .networks import build_lowres_generator, build_superres_generator
from .superres_generator import SuperResGenerator
from .temporal_noise import noise_stream

CHUNK = 128
"""Low-resolution frames that are made at once, a multiple of 32."""
GPU_PIXELS = 2**20
"""Pixels that are made at once on a GPU."""


class LongVideoGAN(System):
    """LongVideoGAN (Brooks et al., NeurIPS 2022).

    Temporal noise is a function of a video's seed and the frame's index, so that any window of an endless video can be
    made alone. Frame t of the video is made of the low-resolution frames t to t + 8 of theirs.

    Args:
        lowres: the low-resolution generator, in evaluation mode.
        superres: the super-resolution generator; None for low-resolution videos.
        fps: frames a second of what it was trained on.
    """

    config_type = LongVideoGANConfig
    needed = ("lowres", "superres")
    sampled: ClassVar[dict[str, tuple[str, ...]]] = {"lowres": ("G_ema",), "superres": ("G_ema",)}
    timed_by = "lowres"
    phases: ClassVar[int] = STRIDE
    """Frames after which the networks' grids repeat: the authors' metrics draw where among them a clip starts."""
    card: ClassVar[dict[str, str]] = {
        "title": "LongVideoGAN",
        "about": "Endless videos from temporal noise at low resolution, and super-resolution of them",
        "paper": "Brooks et al., NeurIPS 2022 (arXiv 2206.03429)",
    }

    def __init__(self, lowres: LowResGenerator, superres: SuperResGenerator | None, fps: float) -> None:
        self.lowres, self.superres, self.fps = lowres, superres, fps
        self.size = superres.size if superres else lowres.sizes[-1]
        self.context = superres.context if superres else 0

    @classmethod
    def size_of(cls, config: LongVideoGANConfig) -> tuple[int, int]:
        """That of the second stage's frames."""
        return config.model.superres.height, config.model.superres.width

    @classmethod
    def from_states(
        cls,
        config: LongVideoGANConfig,
        states: Mapping[str, State],
        fps: float,
        device: str = "cpu",
        /,
        **options: Any,
    ) -> "LongVideoGAN":
        """The generator of trained stages.

        Args:
            config: its configuration.
            states: the networks of `lowres` and `superres`; `G_ema` is what is sampled.
            fps: frames a second of what it was trained on.
            device: where it runs.
            options: `superres`, False for low-resolution videos, which need the first stage alone.

        Raises:
            ValueError: a stage is missing, or its tensors do not fit.
        """
        wanted = options.pop("superres", True)
        lowres = build_lowres_generator(config.model, device)
        superres = build_superres_generator(config.model, device) if wanted else None
        for stage, network in {"lowres": lowres, "superres": superres}.items():
            if network is None:
                continue
            if "G_ema" not in states.get(stage, {}):
                only = (
                    "; vidbench sample --set superres=false makes low-resolution videos" if stage == "superres" else ""
                )
                raise ValueError(f"the stage {stage} is not trained{only}")
            network.eval().requires_grad_(False)
            load_network(network, states[stage]["G_ema"])
        return cls(lowres, superres, fps, **options)

    @classmethod
    def from_official(cls, snapshots: Sequence[Snapshot]) -> Imported:
        """LongVideoGAN in its authors' files: one a stage, either or both of them, in any order.

        Raises:
            ValueError: they are not of LongVideoGAN, or not as expected; the message completes a sentence about them.
        """
        return read_official(snapshots)

    def stream(self, seed: int) -> Iterator[Tensor]:
        """One video, endless, in chunks of 128 frames, the first of which lacks those that frames depend on."""
        low = self._low([seed], 0, CHUNK)
        start = CHUNK
        while True:
            yield self._high([seed], low)[0]
            kept = low[:, :, low.shape[2] - 2 * self.context :]
            low = torch.cat([kept, self._low([seed], start, CHUNK)], dim=2)
            start += CHUNK

    def sample(self, seeds: Sequence[int], num_frames: int, start: int = 0) -> Tensor:
        """Frames `start : start + num_frames` of one video a seed, `[N, 3, T, H, W]` in [-1, 1]."""
        needed = num_frames + 2 * self.context
        height, width = self.lowres.sizes[-1]
        device = self.lowres.spatial_input.device
        at_once = fitting(min(needed, CHUNK) * height * width, device, gpu=GPU_PIXELS)
        parts = [seeds[i : i + at_once] for i in range(0, len(seeds), at_once)]
        return torch.cat([self._high(part, self._low(part, start, needed)) for part in parts])

    def on_real(self, real: VideoSource, num_frames: int) -> Mapping[str, OnReal]:
        """The second stage on real low-resolution frames."""
        if self.superres is None:
            return {}
        generator = SuperResolved(self.superres, real, num_frames)
        if self.fingerprint:
            low = real.reduced(self.superres.lr_size).fingerprint
            generator.fingerprint = f"superres of {self.fingerprint}/{low}/{num_frames}"
        generator.checkpoint_hash = self.checkpoint_hash
        return {"superres": generator}

    @torch.inference_mode()
    def _low(self, seeds: Sequence[int], start: int, count: int) -> Tensor:
        """Low-resolution frames `start : start + count`, `[N, 3, count, h, w]`."""
        network, pieces, stop = self.lowres, [], start + count
        device = network.spatial_input.device
        while start < stop:
            length = min(CHUNK - start % STRIDE, stop - start)
            span = network.noise_span(start, length)
            noise = torch.stack([noise_stream(seed, network.noise_channels, span) for seed in seeds])
            pieces.append(network.window(noise.to(device), start, length))
            start += length
        return torch.cat(pieces, dim=2)

    def _high(self, seeds: Sequence[int], low: Tensor) -> Tensor:
        """What is made of low-resolution frames, `[N, 3, T, H, W]` in [-1, 1]."""
        if self.superres is None:
            return low.float().clamp(-1, 1).cpu()
        return enlarged(self.superres, seeds, low)


class SuperResolved(OnReal):
    """The second stage alone, on low-resolution frames of real videos: how much of a score is its own (Sec. 4).

    Args:
        network: the super-resolution generator, in evaluation mode.
        source: real videos of the size that it makes.
        num_frames: the length of its videos.
    """

    fingerprint: str | None = None
    checkpoint_hash: str | None = None

    def __init__(self, network: SuperResGenerator, source: VideoSource, num_frames: int) -> None:
        super().__init__(source, num_frames + 2 * network.context)
        self.network, self.max_frames, self.size = network, num_frames, network.size

    def stream(self, seed: int) -> Iterator[Tensor]:
        """The video, in chunks of 128 frames."""
        video, first = self.pick(seed)
        low, context = self.source.reduced(self.network.lr_size), self.network.context
        assert self.max_frames is not None
        for start in range(0, self.max_frames, CHUNK):
            stop = min(start + CHUNK, self.max_frames)
            frames = torch.from_numpy(low.read(video, first + start, first + stop + 2 * context))
            yield enlarged(self.network, [seed], frames[None].float() / 127.5 - 1)[0]


@torch.inference_mode()
def enlarged(network: SuperResGenerator, seeds: Sequence[int], low: Tensor) -> Tensor:
    """Super-resolution in segments: `[N, 3, T + 2 * context, h, w]` to `[N, 3, T, H, W]` in [-1, 1], on the CPU."""
    device = network.SG3.mapping.w_avg.device
    z = normal(seeds, "superres/z", 0, network.z_dim).to(device)
    height, width = network.size
    frames = low.shape[2] - 2 * network.context
    at_once = max(4, fitting(len(seeds) * height * width, device, gpu=GPU_PIXELS))
    segments = []
    for first in range(0, frames, at_once):
        part = low[:, :, first : min(first + at_once, frames) + 2 * network.context].to(device)
        segments.append(network(z, part).float().clamp(-1, 1).cpu())
    return torch.cat(segments, dim=2)
