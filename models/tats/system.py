"""TATS as a generator of videos: codes by a sliding window, and their pictures, in memory that does not grow."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, ClassVar, get_args

import torch
from einops import rearrange
from torch import Tensor

from vidbench.draws import draw
from vidbench.generator import OnReal, VideoSource, fitting
from vidbench.stage import Imported, Snapshot, State, System

from .config import ModelConfig, TATSConfig, TATSHierarchicalConfig
from .networks import frozen_transformer, frozen_vqgan
from .official import read_official
from .reconstruction import CHUNK, Reconstructed, pictures
from .sampling import Draw, Filter, Mode, fill, slide
from .transformer import Transformer
from .vqgan import VQGAN, decoder_reach


class TATS(System):
    """TATS-base (Ge et al., ECCV 2022).

    Each code takes one random number of its video's seed. A video is the beginning of an endless one: the end of a
    video that ends is not seen by the pictures before it.

    Args:
        vqgan: the autoencoder, in evaluation mode.
        transformer: in evaluation mode and float64.
        interpolation: as that; fills in latent frames between those of the other. None where that makes all of them.
        model: their configuration.
        fps: frames a second of the clips that they were trained on.
        context: latent frames that the next one is made of; None for all but one of those of a clip, so that the first
            frames are those of a short video. The authors' script for long videos takes 1, and so does
            TATS-hierarchical.
        temperature: logits are divided by it.
        top_k: how many codes may be drawn; 0 for all.
        top_p: the share of probability that they make up.
        top_k_init: as `top_k`, for the first latent frames of a video, as many as `context`; None for `top_k`.
        top_p_init: as `top_p`, for those; None for `top_p`.
        mode: how latent frames are filled in: `released` as by the authors' code, `intended` as in training.
    """

    config_type: ClassVar[type[TATSConfig]] = TATSConfig
    needed: ClassVar[tuple[str, ...]] = ("transformer",)
    sampled: ClassVar[dict[str, tuple[str, ...]]] = {"transformer": ("vqgan", "transformer")}
    card: ClassVar[dict[str, str]] = {
        "title": "TATS",
        "about": "A transformer over the codes of clips, whose window slides on for long videos",
        "paper": "Ge et al., ECCV 2022 (arXiv 2204.03638)",
    }

    def __init__(
        self,
        vqgan: VQGAN,
        transformer: Transformer,
        interpolation: Transformer | None,
        model: ModelConfig,
        fps: float,
        *,
        context: int | None = None,
        temperature: float = 1.0,
        top_k: int = 2048,
        top_p: float = 0.8,
        top_k_init: int | None = None,
        top_p_init: float | None = None,
        mode: Mode = "released",
    ) -> None:
        longest = model.transformer.latent_frames - 1
        self.context = longest if context is None else int(context)
        self.temperature, self.limits = float(temperature), Filter(int(top_k), float(top_p))
        self.beginning = Filter(
            self.limits.top_k if top_k_init is None else int(top_k_init),
            self.limits.top_p if top_p_init is None else float(top_p_init),
        )
        if not 1 <= self.context <= longest:
            raise ValueError(f"context is {context}; it should be from 1 to {longest} latent frames")
        both = (self.limits, self.beginning)
        if self.temperature <= 0 or any(top_k < 0 or not 0 < top_p <= 1 for top_k, top_p in both):
            raise ValueError("temperature should be above 0, top_k at least 0, and top_p in (0, 1]")
        if mode not in get_args(Mode):
            raise ValueError(f"mode is {mode}; it should be {' or '.join(get_args(Mode))}")
        self.vqgan, self.transformer, self.interpolation = vqgan, transformer, interpolation
        self.model, self.mode = model, mode
        self.fps, self.size = fps / model.vqgan.time_step, (model.vqgan.side, model.vqgan.side)

    @classmethod
    def size_of(cls, config: TATSConfig) -> tuple[int, int]:
        """Frames are square."""
        return config.model.vqgan.side, config.model.vqgan.side

    @classmethod
    def from_states(
        cls, config: TATSConfig, states: Mapping[str, State], fps: float, device: str = "cpu", /, **options: Any
    ) -> "TATS":
        """The generator of trained stages.

        Args:
            config: its configuration.
            states: `transformer`, with the autoencoder that it was trained on; `interpolation`, where there is such a
                stage.
            fps: frames a second of what it was trained on.
            device: where it runs.
            options: `context`, `temperature`, `top_k`, `top_p`, `top_k_init`, `top_p_init`, `mode`.

        Raises:
            ValueError: a stage is missing, or its tensors do not fit; or an option is out of range.
        """
        transformers = {
            name: frozen_transformer(config.model, name, states.get(name, {}), device) for name in cls.needed
        }
        vqgan = frozen_vqgan(config.model, states["transformer"], device)
        return cls(vqgan, transformers["transformer"], transformers.get("interpolation"), config.model, fps, **options)

    @classmethod
    def from_official(cls, snapshots: Sequence[Snapshot]) -> Imported:
        """TATS in its authors' files: the autoencoder's, and a transformer's, in any order.

        Raises:
            ValueError: they are not of TATS, or not as expected; the message completes a sentence about them.
        """
        return read_official(snapshots, hierarchical=issubclass(cls, TATSHierarchical))

    def stream(self, seed: int) -> Iterator[Tensor]:
        """One video, endless, in chunks of the pictures of 8 latent frames."""
        for chunk in pictures(self.vqgan, self.latents([seed])):
            yield chunk[0]

    def sample(self, seeds: Sequence[int], num_frames: int, start: int = 0) -> Tensor:
        """Frames `start : start + num_frames` of one video a seed, `[N, 3, T, H, W]` in [-1, 1]."""
        per, (left, right) = self.model.vqgan.downsample[0], decoder_reach(self.model.vqgan.downsample)
        stop = start + num_frames
        passed = max(start // per - left, 0)
        pixels = (CHUNK + left + right) * per * self.size[0] * self.size[1]
        at_once = fitting(pixels, self._device, cpu=2**20, gpu=2**25)
        videos = []
        for i in range(0, len(seeds), at_once):
            codes = islice(self.latents(seeds[i : i + at_once]), passed, -(-stop // per) + right)
            video = torch.cat(list(pictures(self.vqgan, codes)), dim=2)
            videos.append(video[:, :, start - passed * per : stop - passed * per])
        return torch.cat(videos)

    def latents(self, seeds: Sequence[int]) -> Iterator[Tensor]:
        """Codes `[N, h, w]` of each latent frame, without end."""
        for tokens in self._tokens(seeds):
            codes = (tokens - self.model.transformer.classes).clamp(0, self.model.vqgan.codes - 1)
            yield rearrange(codes, "n (h w) -> n h w", h=self.size[0] // self.model.vqgan.downsample[1])

    def on_real(self, real: VideoSource, num_frames: int) -> Mapping[str, OnReal]:
        """Real videos through the autoencoder."""
        generator = Reconstructed(self.vqgan, self.model.vqgan, real, num_frames)
        if self.fingerprint:
            generator.fingerprint = f"vqgan of {self.fingerprint}/{real.fingerprint}/{num_frames}"
        generator.checkpoint_hash = self.checkpoint_hash
        return {"vqgan": generator}

    @property
    def _device(self) -> torch.device:
        return self.vqgan.codebook.N.device

    def _tokens(self, seeds: Sequence[int]) -> Iterator[Tensor]:
        """Tokens `[N, S]` of each latent frame, without end."""
        condition, per, missing = self._condition(seeds), self.model.vqgan.latent_frame, self.model.every - 1
        drawn = Draw(seeds, "codes", per, self.temperature, self.limits, self.beginning, self.context * per)
        frames = slide(self.transformer, condition, per, self.context, drawn)
        if self.interpolation is None:
            return frames
        drawn = Draw(seeds, "between", missing * per, self.temperature, self.limits)
        return fill(self.interpolation, condition, frames, missing, drawn, self.mode)

    def _condition(self, seeds: Sequence[int]) -> Tensor:
        """A token `[N, 1]`: of a class, or one that is always the same."""
        classes = self.model.transformer.classes
        labels = [int(torch.randint(max(classes, 1), (), generator=draw(seed, "label"))) for seed in seeds]
        return torch.tensor(labels, device=self._device)[:, None]


class TATSHierarchical(TATS):
    """TATS-hierarchical (Ge et al., ECCV 2022, Sec. 3.3): two transformers, the second between the first's frames.

    The first latent frames are drawn more freely than the others, as the authors do: they decide what a video shows.
    """

    config_type = TATSHierarchicalConfig
    needed = ("transformer", "interpolation")
    sampled: ClassVar[dict[str, tuple[str, ...]]] = TATS.sampled | {"interpolation": ("transformer",)}
    card: ClassVar[dict[str, str]] = {
        "title": "TATS-hierarchical",
        "about": "A transformer over a few of the codes of a long video, and one that fills in the others",
        "paper": "Ge et al., ECCV 2022 (arXiv 2204.03638)",
    }

    def __init__(
        self, *parts: Any, context: int | None = 1, top_k_init: int = 16384, top_p_init: float = 0.99, **options: Any
    ) -> None:
        super().__init__(*parts, context=context, top_k_init=top_k_init, top_p_init=top_p_init, **options)
