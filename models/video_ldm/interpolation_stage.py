"""Training of interpolation: three frames between two, at each of several frame rates (Sec. 3.3)."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from vidbench.generator import VideoSource
from vidbench.models.layers.training import descend
from vidbench.stage import Batches, Origin, Stage, State, Step

from .autoencoder import encoded
from .autoencoder_stage import required
from .averages import averaged, follow
from .config import InterpolationStage, VideoLDMConfig
from .context import context_frames
from .diffusion import Diffusion
from .image_stage import times
from .networks import open_image_model, open_interpolation
from .readers import ClipReader, normalised
from .real import Remade
from .system import VideoLDM
from .temporal_stage import latents, prompts
from .windows import BETWEEN


class InterpolationDiffusion(Stage):
    """The stage `interpolation`: the first and last of five frames are given; the image UNet is trained, too."""

    name = "interpolation"

    def __init__(self, config: VideoLDMConfig, origin: Origin, device: str, before: Mapping[str, State]) -> None:
        self.config, self.origin = config, origin
        self.settings: InterpolationStage = required(config.stages.interpolation, self.name)
        self.image = open_image_model(config.model, before, device)
        self.net = open_interpolation(config.model, self.image).train()
        self.ema = averaged(self.net)
        self.networks = {"net": self.net, "net_ema": self.ema}
        self.optimizers = {"net": torch.optim.AdamW(self.net.parameters(), self.settings.lr, fused=True)}
        self.diffusion = Diffusion(self.image.schedule)
        self.reader = ClipReader(BETWEEN + 2, [4**level for level in reversed(range(config.model.levels))])
        self.frames = self.reader.span
        levels = reversed(range(1, config.model.levels))
        self.shorter = {**{f"model.levels={level}": 4**level + 1 for level in levels}, "model.levels=0": 0}

    def update(self, batches: Batches, step: Step) -> dict[str, Tensor]:
        """One step, and of the moving average."""
        z, settings = latents(self.image, normalised(batches["real"]["clip"]), step), self.settings
        shown = (step.uniform("drop") >= settings.drop).to(z.device)
        mask = shown[:, None] & torch.tensor([True, *[False] * BETWEEN, True], device=z.device)
        strength = times(step, settings.context_noise + 1, "strength")
        given = self.diffusion.noised(z, step.normal("given", *z.shape[1:]), strength)
        context, text, rates = context_frames(given, mask), prompts(self.image, len(z)), batches["real"]["rate"]
        loss = self.diffusion.loss(
            lambda x, tau: self.net(x, tau, context=context, text=text, regime=rates),
            z,
            step.normal("noise", *z.shape[1:]),
            times(step, self.diffusion.steps),
        )
        loss.backward()  # type: ignore[no-untyped-call]
        descend(self.net, self.optimizers["net"], step)
        follow(self.ema, self.net, settings.ema_decay, step.index)
        return {"loss": loss.detach()}

    def preview(self, real: VideoSource, num_frames: int) -> Remade:
        """Key frames of real videos, with all between them made by the moving average."""
        model = self.config.model
        generator = VideoLDM(model, self.origin.fps, self.image, interpolation=self.ema)
        stride = model.key_stride
        keys = -(-(num_frames - 1) // stride) + 1
        return Remade(real, (keys - 1) * stride + 1, partial(between, generator, stride))


def between(generator: VideoLDM, stride: int, seeds: Sequence[int], clips: Iterator[Tensor]) -> Iterator[Tensor]:
    """Clips of which every so many frames are kept, and the others made anew."""
    return generator.frames(seeds, generator.interpolations(seeds, encoded_keys(generator, stride, clips)))


def encoded_keys(generator: VideoLDM, stride: int, clips: Iterator[Tensor]) -> Iterator[Tensor]:
    """Scaled latents of every so many frames of clips that follow each other."""
    done = 0
    for clip in clips:
        kept = clip[:, :, -done % stride :: stride]
        done += clip.shape[2]
        if kept.shape[2]:
            yield encoded(generator.image.vae, kept.to(generator.device)) * generator.image.scaling_factor
