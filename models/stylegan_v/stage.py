"""StyleGAN-V's training: a GAN on a few frames of each video (Sec. 3.3; procedure of StyleGAN2-ADA)."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from vidbench.generator import VideoSource
from vidbench.models.layers.augment import NUM_DRAWS, Augment, adjusted
from vidbench.models.layers.averages import share_averages
from vidbench.models.layers.loss import discriminator_loss, generator_loss
from vidbench.models.layers.training import Overfitting, descend, follow, lazy_adam
from vidbench.stage import Batches, Origin, Stage, State, Step

from .config import StyleGANVConfig
from .frames import FrameSampling
from .loss import r1_loss
from .networks import build_discriminator, build_generator
from .system import StyleGANV

GREG_EVERY = 4
"""Path length regularisation is switched off in the paper's models; the correction of Adam for it is not."""
ADJUST_EVERY = 4
"""Steps between adjustments of the augmentation."""


@dataclass(frozen=True)
class Reader:
    """Makes a training sample: a few real frames, and times for the generated videos of either network's update."""

    sampling: FrameSampling
    mirror: bool

    def __call__(self, source: VideoSource, video: Any, chance: torch.Generator) -> dict[str, Tensor]:
        """`frames` uint8 `[k, 3, H, W]` at `times` `[k]`, and `times_G`, `times_D` `[k]`, of videos as long as this."""
        length = source.length(video)
        start, times = self.sampling.real(length, chance)
        pixels = torch.from_numpy(source.frames(video, (start + times).tolist()))
        frames = rearrange(pixels, "c t h w -> t c h w")
        if self.mirror and int(torch.randint(2, (), generator=chance)):
            frames = frames.flip(-1)
        generated = {f"times_{name}": self.sampling.fake(length, chance) for name in "GD"}
        return {"frames": frames, "times": times.double(), **generated}


class GAN(Stage):
    """The only stage: `G` and `D` against each other, `G_ema` is what is sampled.

    Raises:
        ValueError: a conditional model.
    """

    name = "gan"

    def __init__(self, config: StyleGANVConfig, origin: Origin, device: str, before: Mapping[str, State]) -> None:
        self.config, self.settings, self.origin, self.device = config, config.stages.gan, origin, device
        model = config.model
        if model.c_dim:
            raise ValueError("a model of several classes can be sampled, but not trained")
        self.G = build_generator(model, device).train()
        self.D = build_discriminator(model, device).train()
        self.G_ema = copy.deepcopy(self.G).eval().requires_grad_(False)
        self.augment, self.overfitting = Augment().to(device), Overfitting().to(device)
        self.networks = {
            "G": self.G,
            "D": self.D,
            "G_ema": self.G_ema,
            "augment": self.augment,
            "overfitting": self.overfitting,
        }
        self.optimizers = {
            "G": lazy_adam(self.G, self.settings.lr, GREG_EVERY),
            "D": lazy_adam(self.D, self.settings.lr, self.settings.r1_every),
        }
        self.frames = model.sampling.shortest
        self.group = min(model.mbstd_group_size, self.settings.batch)
        self.reader = Reader(model.sampling, self.settings.mirror)

    def update(self, batches: Batches, step: Step) -> dict[str, Tensor]:
        """One step of both networks, of the moving average, and now and then of the augmentation."""
        batch = batches["real"]
        share_averages(self.G, step)
        real = rearrange(batch["frames"], "n t c h w -> (n t) c h w").float() / 127.5 - 1
        logs = {"loss_G": self._update_generator(batch["times_G"], step)}
        logs |= self._update_discriminator(real, batch, step)
        if step.index % self.settings.r1_every == 0:
            logs["r1"] = self._regularise(real, batch["times"], step)
        self._average(step)
        if (step.index + 1) % ADJUST_EVERY == 0:
            logs |= self._adjust(step)
        return logs

    def _update_generator(self, times: Tensor, step: Step) -> Tensor:
        self.D.requires_grad_(False)
        loss = generator_loss(self._judge(self._generate("G", times, step), times, "G", step)).mean()
        self._descend("G", loss, step)
        self.D.requires_grad_(True)
        return loss.detach()

    def _update_discriminator(self, real: Tensor, batch: Mapping[str, Tensor], step: Step) -> dict[str, Tensor]:
        with torch.no_grad():
            fake = self._generate("D", batch["times_D"], step)
        fake_logits = self._judge(fake, batch["times_D"], "D/fake", step)
        real_logits = self._judge(real, batch["times"], "D/real", step)
        self.overfitting.add(real_logits, step)
        loss = discriminator_loss(fake_logits, real_logits).mean()
        self._descend("D", loss, step)
        return {"loss_D": loss.detach()}

    def _regularise(self, real: Tensor, times: Tensor, step: Step) -> Tensor:
        frames = real.detach().requires_grad_(True)
        logits = self._judge(frames, times, "R1", step)
        self.overfitting.add(logits, step)
        loss = r1_loss(logits, frames, self.settings.gamma).mean()
        self._descend("D", loss * self.settings.r1_every, step)
        return loss.detach()

    def _generate(self, name: str, times: Tensor, step: Step) -> Tensor:
        """Videos at times `[n, k]`: frames `[n * k, 3, H, W]`."""
        motion = self.G.motion
        z = step.normal(f"{name}/z", self.G.z_dim)
        tokens = step.normal(f"{name}/motion", motion.num_tokens(motion.max_num_frames - 1), motion.z_dim)
        frames: Tensor = self.G(z, None, times, tokens)
        return frames

    def _judge(self, frames: Tensor, times: Tensor, name: str, step: Step) -> Tensor:
        """Logits `[n]` of the augmented frames."""
        if self.settings.ada_target:
            videos = rearrange(frames, "(n t) c h w -> n c t h w", t=times.shape[1])
            videos = self.augment(videos, step.uniform(f"{name}/augment", NUM_DRAWS))
            frames = rearrange(videos, "n c t h w -> (n t) c h w")
        logits: Tensor = self.D(frames, None, times)
        return logits

    def _descend(self, name: str, loss: Tensor, step: Step) -> None:
        loss.backward()  # type: ignore[no-untyped-call]
        descend(self.networks[name], self.optimizers[name], step)

    def _average(self, step: Step) -> None:
        """The moving average of the generator's parameters."""
        half_life = self.settings.ema_kvideos * 1000
        if self.settings.ema_rampup is not None:
            seen = step.index * step.batch * self.config.model.sampling.num_frames
            half_life = min(half_life, seen * self.settings.ema_rampup)
        follow(self.G_ema, self.G, step.batch, half_life)

    def _adjust(self, step: Step) -> dict[str, Tensor]:
        """Augment more if the discriminator knows the real videos too well, less if not."""
        signs = self.overfitting.taken()
        if self.settings.ada_target:
            settings, p = self.settings, float(self.augment.p)
            p = adjusted(p, float(signs), step.batch, ADJUST_EVERY, settings.ada_target, settings.ada_kvideos)
            self.augment.p.fill_(p)
        return {"real_signs": signs, "augment_p": self.augment.p.clone()}

    def preview(self, real: VideoSource, num_frames: int) -> StyleGANV:
        """The moving average, as it is sampled."""
        return StyleGANV(self.G_ema, self.origin.fps)
