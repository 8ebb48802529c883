"""DIGAN's training: a GAN on two frames of each clip (Sec. 3.2; procedure of StyleGAN2-ADA)."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from vidbench.generator import VideoSource
from vidbench.models.layers.averages import share_averages
from vidbench.models.layers.loss import discriminator_loss, generator_loss, r1_penalty
from vidbench.models.layers.training import descend, follow, lazy_adam
from vidbench.stage import Batches, Origin, Stage, State, Step

from .config import DIGANConfig
from .networks import build_discriminator, build_generator
from .pairs import NUM_DRAWS, augmented, paired, two_times
from .system import DIGAN

GREG_EVERY = 4
"""The generator has no regulariser; the authors correct its Adam as if it had one every 4 steps."""


@dataclass(frozen=True)
class Reader:
    """Makes a training sample: two frames of a clip, and the time between them as a share of the clip's."""

    clip_frames: int
    overlapping: bool
    mirror: bool
    time_step: int = 1

    @property
    def run(self) -> int:
        """Frames of the data that as many clips as the time step are cut from, which take turns."""
        return self.clip_frames * self.time_step

    def weight(self, length: int) -> int:
        """How many training samples a video of so many frames counts as: runs of frames that are cut from it."""
        return length - self.run + 1 if self.overlapping else length // self.run

    def __call__(self, source: VideoSource, video: Any, chance: torch.Generator) -> dict[str, Tensor]:
        """`frames` uint8 `[2, 3, H, W]`, which may be the same, and `distance` in [0, 1]."""
        count, step = self.clip_frames, self.time_step
        start = int(torch.randint(self.weight(source.length(video)), (), generator=chance))
        start *= 1 if self.overlapping else self.run
        start += int(torch.randint(step, (), generator=chance)) if step > 1 else 0
        times = two_times(torch.rand(2, generator=chance, dtype=torch.float64))
        first, last = (times * count).long().clamp(max=count - 1).tolist()
        pixels = source.frames(video, [start + step * t for t in sorted({first, last})])
        frames = rearrange(torch.from_numpy(pixels)[:, [0, -1]], "c t h w -> t c h w")
        if self.mirror and int(torch.randint(2, (), generator=chance)):
            frames = frames.flip(-1)
        return {"frames": frames, "distance": torch.tensor((last - first) / (count - 1))}


class GAN(Stage):
    """The only stage: `G` and `D` against each other, `G_ema` is what is sampled."""

    name = "gan"
    reader: Reader

    def __init__(self, config: DIGANConfig, origin: Origin, device: str, before: Mapping[str, State]) -> None:
        self.origin, self.device = origin, device
        self.model, self.settings = model, settings = config.model, config.stages.gan
        self.G = build_generator(model, device).train()
        self.D = build_discriminator(model, device).train()
        self.G_ema = copy.deepcopy(self.G).eval().requires_grad_(False)
        self.networks = {"G": self.G, "D": self.D, "G_ema": self.G_ema}
        self.optimizers = {
            "G": lazy_adam(self.G, settings.lr, GREG_EVERY),
            "D": lazy_adam(self.D, settings.lr, settings.r1_every),
        }
        self.group = min(model.mbstd_group_size, settings.batch)
        self.reader = Reader(model.clip_frames, settings.overlapping, settings.mirror, model.time_step)
        self.frames = self.reader.run

    def weight(self, length: int) -> int:
        """Of a video: clips weigh the same."""
        return self.reader.weight(length)

    def update(self, batches: Batches, step: Step) -> dict[str, Tensor]:
        """One step of both networks and of the moving average, and now and then of the regulariser."""
        batch = batches["real"]
        share_averages(self.G, step)
        frames = rearrange(batch["frames"], "n t c h w -> (n t) c h w").float() / 127.5 - 1
        real = paired(frames, batch["distance"])
        logs = {"loss_G": self._update_generator(step), "loss_D": self._update_discriminator(real, step)}
        if step.index % self.settings.r1_every == 0:
            logs["r1"] = self._regularise(real, step)
        self._average(step)
        return logs

    def _update_generator(self, step: Step) -> Tensor:
        self.D.requires_grad_(False)
        videos, frames = self._judge(self._generate("G", step), "G", step)
        loss = self._descend("G", generator_loss(videos).mean() + generator_loss(frames).mean(), step)
        self.D.requires_grad_(True)
        return loss

    def _update_discriminator(self, real: Tensor, step: Step) -> Tensor:
        with torch.no_grad():
            fake = self._generate("D", step)
        fakes, reals = self._judge(fake, "D/fake", step), self._judge(real, "D/real", step)
        videos, frames = (discriminator_loss(*logits).mean() for logits in zip(fakes, reals, strict=True))
        return self._descend("D", videos + frames, step)

    def _regularise(self, real: Tensor, step: Step) -> Tensor:
        """R1: of pairs at what is given, the time between frames included; of frames at what is seen of them."""
        pairs = real.detach().requires_grad_(True)
        seen = augmented(pairs, step.uniform("R1/augment", NUM_DRAWS))
        videos, frames = self.D(seen)
        penalty = r1_penalty(videos, pairs).mean() + r1_penalty(frames, seen).mean() / 2  # a pair is two frames
        every = self.settings.r1_every
        return self._descend("D", self.settings.gamma / 2 * penalty * every, step) / every

    def _generate(self, name: str, step: Step) -> Tensor:
        """Pairs of generated frames `[n, 7, H, W]`, at real-valued times of a clip."""
        times = two_times(step.uniform(f"{name}/times", 2)).to(self.device)
        z, motion_z = step.normal(f"{name}/z", self.G.z_dim), step.normal(f"{name}/motion", self.G.w_dim)
        return paired(self.G(z, times, motion_z), times[:, 1] - times[:, 0])

    def _judge(self, pairs: Tensor, name: str, step: Step) -> tuple[Tensor, Tensor]:
        """Logits `[n]` and `[2 * n]` of augmented pairs and of their frames."""
        logits: tuple[Tensor, Tensor] = self.D(augmented(pairs, step.uniform(f"{name}/augment", NUM_DRAWS)))
        return logits

    def _descend(self, name: str, loss: Tensor, step: Step) -> Tensor:
        loss.backward()  # type: ignore[no-untyped-call]
        descend(self.networks[name], self.optimizers[name], step)
        return loss.detach()

    def _average(self, step: Step) -> None:
        """The moving average of the generator's parameters."""
        half_life = min(self.settings.ema_kvideos * 1000, step.index * step.batch * self.settings.ema_rampup)
        follow(self.G_ema, self.G, step.batch, half_life)

    def preview(self, real: VideoSource, num_frames: int) -> DIGAN:
        """The moving average, as it is sampled, at the rate of the data."""
        return DIGAN(self.G_ema, self.origin.fps, self.model.clip_frames, time_step=1 / self.model.time_step)
