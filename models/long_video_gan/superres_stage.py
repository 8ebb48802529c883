"""Training of super-resolution: a GAN on few frames, conditioned on real low-resolution ones (Sec. 3.3 and 3.4)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from vidbench.generator import VideoSource
from vidbench.models.layers.augment import NUM_DRAWS, Augment
from vidbench.models.layers.averages import share_averages
from vidbench.models.layers.loss import discriminator_loss, generator_loss, r1_penalty
from vidbench.models.layers.training import Overfitting
from vidbench.stage import Batches, Origin, State, Step

from .adversarial import MAGNITUDE_DECAY, Adversarial
from .config import LongVideoGANConfig, SuperResStage
from .corruption import NUM_CORRUPTION_DRAWS, condition_corruption, corrupted
from .lowres_stage import normalised
from .networks import build_superres_discriminator, build_superres_generator
from .superres_discriminator import SuperResDiscriminator
from .superres_generator import SuperResGenerator
from .system import SuperResolved

ADJUST_EVERY = 4
"""Steps between adjustments of the augmentation."""


@dataclass(frozen=True)
class Reader:
    """Makes a training sample: low-resolution frames, and those in the middle at full size."""

    low_size: tuple[int, int]
    frames: int
    context: int
    mirror: bool

    def __call__(self, source: VideoSource, video: Any, chance: torch.Generator) -> dict[str, Tensor]:
        """`low` uint8 `[3, T + 2 * context, h, w]`, and `high` uint8 `[3, T, H, W]`."""
        start = int(torch.randint(source.length(video) - self.frames - 2 * self.context + 1, (), generator=chance))
        first = start + self.context
        low = source.reduced(self.low_size).read(video, start, first + self.frames + self.context)
        pair = {"low": torch.from_numpy(low), "high": torch.from_numpy(source.read(video, first, first + self.frames))}
        if self.mirror and int(torch.randint(2, (), generator=chance)):
            pair = {name: frames.flip(-1) for name, frames in pair.items()}
        return pair


class SuperResGAN(Adversarial):
    """The stage `superres`: low-resolution frames and a latent to frames; it never sees what `lowres` makes."""

    name = "superres"
    settings: SuperResStage
    G: SuperResGenerator
    D: SuperResDiscriminator
    G_ema: SuperResGenerator

    def __init__(self, config: LongVideoGANConfig, origin: Origin, device: str, before: Mapping[str, State]) -> None:
        self.settings = config.stages.superres
        model, high = config.model, config.model.superres
        super().__init__(
            config, origin, build_superres_generator(model, device), build_superres_discriminator(model, device)
        )
        self.augment, self.overfitting = Augment().to(device), Overfitting().to(device)
        self.corruption = condition_corruption().to(device)
        self.networks |= {"augment": self.augment, "overfitting": self.overfitting}
        self.context = high.context
        self.frames = high.frames + 2 * high.context
        self.reads = {"G": 1, "D": 1, "R1": self.settings.r1_every}
        low_size = (model.lowres.height, model.lowres.width)
        self.reader = Reader(low_size, high.frames, high.context, self.settings.mirror)

    def update(self, batches: Batches, step: Step) -> dict[str, Tensor]:
        """One step of both networks, of the moving average, and now and then of the augmentation."""
        share_averages(self.G, step)
        logs = {
            "loss_G": self._update_generator(batches["G"], step),
            "loss_D": self._update_discriminator(batches["D"], step),
        }
        if "R1" in batches:
            logs["r1"] = self._regularise(batches["R1"], step)
        if step.index % ADJUST_EVERY == 0:
            logs |= self._adjust()
        self.average(step)
        return logs

    def _update_generator(self, batch: Mapping[str, Tensor], step: Step) -> Tensor:
        self.D.requires_grad_(False)
        z, low = step.normal("G/z", self.G.z_dim), self._condition(batch, "G", step)
        loss = torch.zeros([], device=z.device)
        for part in self.parts(step):
            fake = self.G(z[part], low[part])
            loss += self.add_gradients(generator_loss(self._judge(low[part], fake, "G", part, step)), step)
        self.descend("G", step)
        self.D.requires_grad_(True)
        return loss

    def _update_discriminator(self, batch: Mapping[str, Tensor], step: Step) -> Tensor:
        fake_low, real_low = (self._condition(batch, f"D/{name}", step) for name in ("fake", "real"))
        with torch.no_grad():
            fake = self.G(step.normal("D/z", self.G.z_dim), fake_low, beta=MAGNITUDE_DECAY)
        real = normalised(batch["high"])
        loss, signs = torch.zeros([], device=fake.device), []
        for part in self.parts(step):
            fake_logits = self._judge(fake_low[part], fake[part], "D/fake", part, step)
            real_logits = self._judge(real_low[part], real[part], "D/real", part, step)
            signs.append(real_logits.detach())
            loss += self.add_gradients(discriminator_loss(fake_logits, real_logits), step)
        self.overfitting.add(torch.cat(signs), step)
        self.descend("D", step)
        return loss

    def _regularise(self, batch: Mapping[str, Tensor], step: Step) -> Tensor:
        """R1, with respect to full-size frames before they are augmented; a step of Adam of its own."""
        low, real = self._condition(batch, "R1", step), normalised(batch["high"])
        loss = torch.zeros([], device=real.device)
        for part in self.parts(step):
            frames = real[part].requires_grad_(True)
            penalty = r1_penalty(self._judge(low[part], frames, "R1", part, step), frames)
            loss += self.add_gradients(penalty * (self.settings.gamma / 2 * self.settings.r1_every), step)
        self.descend("D", step)
        return loss / self.settings.r1_every

    def _condition(self, batch: Mapping[str, Tensor], name: str, step: Step) -> Tensor:
        """The batch's low-resolution frames `[n, 3, T + 2 * context, h, w]`, corrupted."""
        low = normalised(batch["low"])
        draws = step.uniform(f"{name}/corruption", NUM_CORRUPTION_DRAWS)
        return corrupted(self.corruption, low, draws, step.normal(f"{name}/pixels", *low.shape[1:]))

    def _judge(self, low: Tensor, high: Tensor, name: str, part: slice, step: Step) -> Tensor:
        """Logits `[n]` of one part's frames: of both sizes augmented alike, the low-resolution ones mostly hidden."""
        count = high.shape[2]
        low = self.D.upsampled(low[:, :, self.context : self.context + count])
        draws = step.uniform(f"{name}/augment", NUM_DRAWS)[part]
        low, high = self.augment(torch.cat([low, high], dim=2), draws).split(count, dim=2)
        kept = step.uniform(f"{name}/condition")[part] < self.settings.condition_kept
        logits: Tensor = self.D(low * rearrange(kept.to(low), "n -> n 1 1 1 1"), high)
        return logits

    def _adjust(self) -> dict[str, Tensor]:
        """Augment more if the discriminator knows the real videos too well, less if not."""
        signs, settings = self.overfitting.taken(), self.settings
        change = ADJUST_EVERY / settings.ada_steps * (1 if float(signs) >= settings.ada_target else -1)
        self.augment.p.add_(change).clamp_(0, settings.ada_max)
        return {"real_signs": signs, "augment_p": self.augment.p.clone()}

    def preview(self, real: VideoSource, num_frames: int) -> SuperResolved:
        """The moving average, on low-resolution frames of real videos."""
        return SuperResolved(self.G_ema, real, num_frames)
