"""Training of temporal layers in a frozen image model: key frames, and their prediction (Sec. 3.1 and 3.2)."""

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor

from vidbench.generator import VideoSource
from vidbench.models.layers.training import descend
from vidbench.stage import Batches, Origin, Stage, State, Step

from .autoencoder import encoded
from .averages import averaged, follow
from .config import LEAST_FRAMES, VideoLDMConfig
from .context import context_frames, first_frames
from .diffusion import Diffusion
from .image_stage import times
from .networks import ImageLDM, TrainedOn, open_image_model, open_temporal
from .readers import ClipReader, normalised
from .system import Held, VideoLDM
from .windows import MOTION


class TemporalDiffusion(Stage):
    """The stage `temporal`: of its networks, temporal layers alone are kept; the image model is that of its stage."""

    name = "temporal"

    def __init__(self, config: VideoLDMConfig, origin: Origin, device: str, before: Mapping[str, State]) -> None:
        self.config, self.settings, self.origin = config, config.stages.temporal, origin
        self.image = open_image_model(config.model, before, device)
        self.net = open_temporal(config.model, self.image).train()
        self.ema = averaged(self.net, self.net.image)
        self.networks = {
            "temporal": self.net.temporal,
            "temporal_ema": self.ema.temporal,
            "trained_on": TrainedOn(self.image),
        }
        self.optimizers = {"temporal": torch.optim.AdamW(self.net.temporal.parameters(), self.settings.lr, fused=True)}
        self.diffusion = Diffusion(self.image.schedule)
        self.reader = ClipReader(config.model.temporal.frames, (config.model.key_stride,))
        self.frames = self.reader.span
        intervals, levels = config.model.temporal.frames - 1, config.model.levels
        self.shorter = {
            **{f"model.levels={level}": intervals * 4**level + 1 for level in reversed(range(levels))},
            f"model.temporal.frames={LEAST_FRAMES}": (LEAST_FRAMES - 1) * config.model.key_stride + 1,
        }

    def update(self, batches: Batches, step: Step) -> dict[str, Tensor]:
        """One step, with none, one or two first frames given, and of the moving average."""
        z = latents(self.image, normalised(batches["real"]["clip"]), step)
        context = None
        if self.net.takes_context:
            given = times(step, MOTION + 1, "given")
            context = context_frames(z, first_frames(given, z.shape[2]))
        text = prompts(self.image, len(z))
        loss = self.diffusion.loss(
            lambda x, tau: self.net(x, tau, context=context, text=text),
            z,
            step.normal("noise", *z.shape[1:]),
            times(step, self.diffusion.steps),
        )
        loss.backward()  # type: ignore[no-untyped-call]
        descend(self.net.temporal, self.optimizers["temporal"], step)
        follow(self.ema.temporal, self.net.temporal, self.settings.ema_decay, step.index)
        return {"loss": loss.detach()}

    def preview(self, real: VideoSource, num_frames: int) -> Held:
        """Key frames of the moving average, each held until the next."""
        model = self.config.model
        return Held(VideoLDM(model, self.origin.fps, self.image, self.ema), model.key_stride)


@torch.no_grad()
def latents(image: ImageLDM, clips: Tensor, step: Step) -> Tensor:
    """Scaled latents `[n, C, T, h, w]` of clips `[n, 3, T, H, W]`, drawn from what the encoder gives."""
    return encoded(image.vae, clips, partial(step.normal, "z")) * image.scaling_factor


def prompts(image: ImageLDM, count: int) -> Tensor | None:
    """Tokens `[n, l, width]` of the prompt, for each video; None for an image model without text."""
    return None if image.text is None else image.text[:1].expand(count, -1, -1)
