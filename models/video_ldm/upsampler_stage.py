"""Training of the upsampler: patches of images, then temporal layers on patches of videos (Sec. 3.4)."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType

import torch
from einops import rearrange
from torch import Tensor

from vidbench.generator import VideoSource
from vidbench.models.layers.training import descend
from vidbench.stage import Batches, Origin, Stage, State, Step

from .autoencoder_stage import required
from .averages import averaged, follow
from .config import UpsamplerStage, VideoLDMConfig
from .diffusion import Diffusion, own_schedule
from .networks import build_upsampler
from .readers import ClipReader, normalised
from .real import Remade
from .upsampling import WINDOW, Upsampler, aligned_patches, noisy_condition, resized


class UpsamplerDiffusion(Stage):
    """The stage `upsampler`: as an image model first, whose moving average is then frozen under temporal layers.

    It is trained on videos of the high resolution; low-resolution ones are made of them.
    """

    name = "upsampler"
    frames = WINDOW
    shorter = MappingProxyType({"stages.upsampler=null": 0})

    def __init__(self, config: VideoLDMConfig, origin: Origin, device: str, before: Mapping[str, State]) -> None:
        self.model = config.model
        self.settings: UpsamplerStage = required(config.stages.upsampler, self.name)
        self.net = build_upsampler(config.model, device).train()
        self.ema = averaged(self.net)
        self.networks = {"net": self.net, "net_ema": self.ema}
        self.optimizers = {
            "image": torch.optim.AdamW(self.net.image.parameters(), self.settings.lr, fused=True),
            "temporal": torch.optim.AdamW(self.net.temporal.parameters(), self.settings.lr, fused=True),
        }
        self.diffusion = Diffusion(own_schedule(pixels=True))
        self.reader = ClipReader(WINDOW)

    def update(self, batches: Batches, step: Step) -> dict[str, Tensor]:
        """One step of the image UNet, or of temporal layers, and of the moving average."""
        settings, part = self.settings, "image" if step.index < self.settings.image_steps else "temporal"
        if step.index == settings.image_steps:
            self.net.image.load_state_dict(self.ema.image.state_dict())
        self.net.image.requires_grad_(part == "image")
        video = normalised(batches["real"]["clip"])
        low_video = resized(video, (self.model.height, self.model.width))
        rows, columns = step.uniform("place", 2).unbind(dim=1)
        high, low = aligned_patches(video, low_video, rows, columns, self.model.upsampler.patch)
        noise, low_noise = step.normal("noise", *high.shape[1:]), step.normal("low", *low.shape[1:])
        tau = (step.uniform("tau", WINDOW) * self.diffusion.steps).long().to(high.device)
        strength = (step.uniform("strength", WINDOW) * (settings.max_noise + 1)).long().to(high.device)
        if part == "image":
            high, low, noise, low_noise = (
                rearrange(x, "n c t h w -> (n t) c 1 h w") for x in (high, low, noise, low_noise)
            )
            tau, labels = tau.flatten(), strength.flatten()
        else:
            tau, labels = tau[:, 0], strength[:, 0]
        condition = noisy_condition(low, low_noise, labels, self.diffusion, (high.shape[3], high.shape[4]))
        loss = self.diffusion.loss(
            lambda x, t: self.net(torch.cat([x, condition], dim=1), t, labels=labels, image_mode=part == "image"),
            high,
            noise,
            tau,
        )
        loss.backward()  # type: ignore[no-untyped-call]
        trained = getattr(self.net, part)
        descend(trained, self.optimizers[part], step)
        begun = 0 if part == "image" else settings.image_steps
        follow(getattr(self.ema, part), trained, settings.ema_decay, step.index - begun)
        return {"loss": loss.detach()}

    def preview(self, real: VideoSource, num_frames: int) -> Remade:
        """Low resolutions of real videos, enlarged by the moving average."""
        own = self.model.upsampler
        upsampler = Upsampler(self.ema, own.factor, own.noise, self.model.sampling.steps)
        return Remade(real, num_frames, partial(enlarged, upsampler, (self.model.height, self.model.width)))


def enlarged(
    upsampler: Upsampler, size: tuple[int, int], seeds: Sequence[int], clips: Iterator[Tensor]
) -> Iterator[Tensor]:
    """Clips made small, of the given height and width, and large again."""
    device = next(upsampler.network.parameters()).device
    return upsampler.enlarged(seeds, (resized(clip.to(device), size) for clip in clips))
