"""Training of the image generator: StyleGAN2 on single frames (Karras et al., CVPR 2020)."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from vidbench.generator import VideoSource
from vidbench.models.layers.averages import share_averages
from vidbench.models.layers.diffaug import NUM_COLOR_TRANSLATION_DRAWS, color_translation
from vidbench.models.layers.loss import discriminator_loss, generator_loss, r1_penalty
from vidbench.models.layers.training import descend, lazy_adam
from vidbench.stage import Batches, Origin, Stage, State, Step

from .config import MoCoGANHDConfig
from .image_loss import mixed, path_lengths, path_penalty
from .image_networks import MBSTD_GROUP
from .networks import build_image_discriminator, build_image_generator
from .system import MoCoGANHD


@dataclass(frozen=True)
class Reader:
    """Makes a training sample: any frame of a video."""

    mirror: bool

    def __call__(self, source: VideoSource, video: Any, chance: torch.Generator) -> dict[str, Tensor]:
        """`frame` uint8 `[3, H, W]`."""
        t = int(torch.randint(source.length(video), (), generator=chance))
        frame = torch.from_numpy(source.read(video, t, t + 1)[:, 0])
        if self.mirror and int(torch.randint(2, (), generator=chance)):
            frame = frame.flip(-1)
        return {"frame": frame}


class PathLength(nn.Module):
    """The moving average of path lengths."""

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros([]))


class ImageGAN(Stage):
    """The stage `image`: `G` and `D` against each other; `G_ema` is what moves in the next stage."""

    name = "image"
    frames = 1

    def __init__(self, config: MoCoGANHDConfig, origin: Origin, device: str, before: Mapping[str, State]) -> None:
        self.config, self.settings, self.origin = config, config.stages.image, origin
        self.G = build_image_generator(config.model, device).train()
        self.D = build_image_discriminator(config.model, device).train()
        self.G_ema = copy.deepcopy(self.G).eval().requires_grad_(False)
        self.path = PathLength().to(device)
        self.networks = {"G": self.G, "D": self.D, "G_ema": self.G_ema, "path": self.path}
        self.optimizers = {
            "G": lazy_adam(self.G, self.settings.lr, self.settings.path_every),
            "D": lazy_adam(self.D, self.settings.lr, self.settings.r1_every),
        }
        self.group = min(MBSTD_GROUP, self.settings.batch)
        self.reader = Reader(self.settings.mirror)

    def update(self, batches: Batches, step: Step) -> dict[str, Tensor]:
        """One step of both networks, with their regularisers now and then, and of the moving average."""
        share_averages(self.G, step)
        real = batches["real"]["frame"].float() / 127.5 - 1
        logs = {"loss_D": self._update_discriminator(real, step)}
        if step.index % self.settings.r1_every == 0:
            logs["r1"] = self._regularise_discriminator(real, step)
        logs["loss_G"] = self._update_generator(step)
        if step.index % self.settings.path_every == 0:
            logs |= self._regularise_generator(step)
        self._average()
        return logs

    def _update_discriminator(self, real: Tensor, step: Step) -> Tensor:
        with torch.no_grad():
            fake, _ = self._generate("D", len(real), step)
        loss = discriminator_loss(self._judge(fake, "D/fake", step), self._judge(real, "D/real", step)).mean()
        return self._descend("D", loss, step)

    def _regularise_discriminator(self, real: Tensor, step: Step) -> Tensor:
        images = real.detach().requires_grad_(True)
        loss = self.settings.gamma / 2 * r1_penalty(self._judge(images, "R1", step), images).mean()
        return self._descend("D", loss * self.settings.r1_every, step) / self.settings.r1_every

    def _update_generator(self, step: Step) -> Tensor:
        self.D.requires_grad_(False)
        fake, _ = self._generate("G", len(step.samples), step)
        loss = self._descend("G", generator_loss(self._judge(fake, "G", step)).mean(), step)
        self.D.requires_grad_(True)
        return loss

    def _regularise_generator(self, step: Step) -> dict[str, Tensor]:
        """Path length, on half a batch."""
        count = max(1, len(step.samples) // 2)
        images, ws = self._generate("path", count, step)
        lengths = path_lengths(images, ws, step.normal("path/y", *images.shape[1:])[:count])
        penalty, mean = path_penalty(lengths, self.path.mean, step.mean(lengths.detach().mean()))
        self.path.mean.copy_(mean)
        self._descend("G", penalty * (self.settings.path_weight * self.settings.path_every), step)
        return {"path_length": self.path.mean.clone(), "path_penalty": penalty.detach()}

    def _generate(self, name: str, count: int, step: Step) -> tuple[Tensor, Tensor]:
        """Images `[n, 3, H, W]` of the first `count` samples, and their styles `[n, num_ws, w_dim]`."""
        synthesis, z_dim = self.G.synthesis, self.G.z_dim
        ws: Tensor = self.G.mapping(step.normal(f"{name}/z", z_dim)[:count], None)
        chance = step.shared(f"{name}/mixing")
        if float(torch.rand((), generator=chance)) < self.settings.mixing:
            second = self.G.mapping(step.normal(f"{name}/second", z_dim)[:count], None)
            ws = mixed(ws, second, int(torch.randint(1, synthesis.num_ws, (), generator=chance)))
        noise = [
            step.normal(f"{name}/noise/{i}", 1, side, side)[:count] for i, side in enumerate(synthesis.noise_sides)
        ]
        return synthesis(ws, noise), ws

    def _judge(self, images: Tensor, name: str, step: Step) -> Tensor:
        """Logits `[n]` of images, augmented if that is wanted."""
        if self.settings.augment:
            draws = step.uniform(f"{name}/augment", NUM_COLOR_TRANSLATION_DRAWS)
            stills = color_translation(rearrange(images, "n c h w -> n c 1 h w"), draws)
            images = rearrange(stills, "n c 1 h w -> n c h w")
        logits: Tensor = self.D(images)
        return logits

    def _descend(self, name: str, loss: Tensor, step: Step) -> Tensor:
        loss.backward()  # type: ignore[no-untyped-call]
        descend(self.networks[name], self.optimizers[name], step)
        return loss.detach()

    @torch.no_grad()
    def _average(self) -> None:
        """The moving average of the generator's parameters, and its mean style; its noise is its own."""
        for mean, new in zip(self.G_ema.parameters(), self.G.parameters(), strict=True):
            mean.lerp_(new, 1 - self.settings.ema_decay)
        self.G_ema.mapping.w_avg.copy_(self.G.mapping.w_avg)

    def preview(self, real: VideoSource, num_frames: int) -> MoCoGANHD:
        """The moving average, as still videos: `freeze` is what they can reach."""
        return MoCoGANHD(self.G_ema, None, self.origin.fps)
