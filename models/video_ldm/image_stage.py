"""Training of the image model: diffusion of the latents of single frames (Rombach et al., CVPR 2022)."""

from collections.abc import Mapping
from functools import partial

import torch
from einops import rearrange
from torch import Tensor

from vidbench.generator import VideoSource
from vidbench.models.layers.training import descend
from vidbench.stage import Batches, Origin, Stage, State, Step

from .autoencoder import encoded, scaling_factor
from .autoencoder_stage import required
from .averages import averaged, follow
from .config import DiffusionStage, VideoLDMConfig
from .diffusion import Diffusion, own_schedule
from .networks import ImageLDM, Scale, build_image_unet, digest_of, open_vae
from .readers import ClipReader, normalised
from .system import VideoLDM


class ImageDiffusion(Stage):
    """The stage `image`: latents of frames, whose scale it measures on its first batch."""

    name = "image"
    frames = 1

    def __init__(self, config: VideoLDMConfig, origin: Origin, device: str, before: Mapping[str, State]) -> None:
        self.config, self.origin = config, origin
        self.settings: DiffusionStage = required(config.stages.image, self.name)
        self.vae, _ = open_vae(config.model, before, device)
        self.unet = build_image_unet(config.model, device).train()
        self.ema, self.scale = averaged(self.unet), Scale().to(device)
        self.networks = {"unet": self.unet, "unet_ema": self.ema, "scale": self.scale}
        self.optimizers = {"unet": torch.optim.AdamW(self.unet.parameters(), self.settings.lr, fused=True)}
        self.diffusion = Diffusion(own_schedule())
        self.reader = ClipReader(1)

    def update(self, batches: Batches, step: Step) -> dict[str, Tensor]:
        """One step, and of the moving average."""
        clips = normalised(batches["real"]["clip"])
        with torch.no_grad():
            raw = rearrange(encoded(self.vae, clips, partial(step.normal, "z")), "n c 1 h w -> n c h w")
        if self.scale.factor == 0:
            self.scale.factor.copy_(scaling_factor(raw, step.mean))
        z, tau = raw * self.scale.factor, times(step, self.diffusion.steps)
        loss = self.diffusion.loss(lambda x, t: self.unet(x, t).sample, z, step.normal("noise", *z.shape[1:]), tau)
        loss.backward()  # type: ignore[no-untyped-call]
        descend(self.unet, self.optimizers["unet"], step)
        follow(self.ema, self.unet, self.settings.ema_decay, step.index)
        return {"loss": loss.detach()}

    def preview(self, real: VideoSource, num_frames: int) -> VideoLDM:
        """Still videos of the moving average's images."""
        factor = float(self.scale.factor) or 1.0
        image = ImageLDM(self.vae, self.ema, self.diffusion.schedule, factor, None, digest_of(self.ema))
        return VideoLDM(self.config.model, self.origin.fps, image)


def times(step: Step, steps: int, name: str = "tau") -> Tensor:
    """Diffusion times of this process's samples, uniform in 0 .. steps - 1, `[n]`."""
    return (step.uniform(name) * steps).long().to(step.device)
