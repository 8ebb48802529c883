"""MoCoGAN+SG2's training: a GAN on 16 frames in a row, judged one by one and together.

The losses are MoCoGAN's (Tulyakov et al., CVPR 2018, Eq. 3), in the procedure of StyleGAN-V (Skorokhodov et al.,
CVPR 2022) and StyleGAN2-ADA.
"""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from einops import rearrange
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from vidbench.generator import VideoSource
from vidbench.models.layers.augment import NUM_DRAWS, Augment, adjusted
from vidbench.models.layers.averages import share_averages
from vidbench.models.layers.loss import discriminator_loss, generator_loss, r1_penalty
from vidbench.models.layers.training import Overfitting, descend, follow, lazy_adam
from vidbench.stage import Batches, Origin, Stage, State, Step

from .config import MoCoGANSG2Config
from .discriminator import FRAMES
from .networks import build_discriminator, build_generator
from .system import MoCoGANSG2

GREG_EVERY = 4
"""Path length regularisation is switched off in the authors' models; the correction of Adam for it is not."""
ADJUST_EVERY = 4
"""Steps between adjustments of the augmentation."""


@dataclass(frozen=True)
class Reader:
    """Makes a training sample: real frames in a row, and where in time those of either network's update begin."""

    longest: int
    mirror: bool

    def __call__(self, source: VideoSource, video: Any, chance: torch.Generator) -> dict[str, Tensor]:
        """`frames` uint8 `[3, 16, H, W]`, and `start_G`, `start_D`, scalars, of generated videos as long as this."""
        length = source.length(video)
        window = min(length, self.longest)
        room = window - FRAMES + 1
        first = int(_below(length - window + 1, chance) + _below(room, chance))
        frames = torch.from_numpy(source.read(video, first, first + FRAMES))
        if self.mirror and int(_below(2, chance)):
            frames = frames.flip(-1)
        return {"frames": frames, **{f"start_{name}": _below(room, chance) for name in "GD"}}


def _below(n: int, chance: torch.Generator) -> Tensor:
    return torch.randint(n, (), generator=chance)


class GAN(Stage):
    """The only stage: `G` against the two discriminators in `D`, `G_ema` is what is sampled."""

    name = "gan"
    frames = FRAMES

    def __init__(self, config: MoCoGANSG2Config, origin: Origin, device: str, before: Mapping[str, State]) -> None:
        self.config, self.settings, self.origin = config, config.stages.gan, origin
        model, settings = config.model, self.settings
        self.G = build_generator(model, device).train()
        self.D = build_discriminator(model, device).train()
        self.G_ema = copy.deepcopy(self.G).to(device).eval().requires_grad_(False)  # the LSTM's copies lie apart
        self.augment, self.overfitting = Augment().to(device), Overfitting().to(device)
        self.networks = {
            "G": self.G,
            "D": self.D,
            "G_ema": self.G_ema,
            "augment": self.augment,
            "overfitting": self.overfitting,
        }
        judge = lazy_adam(self.D.image_discr, settings.lr, settings.r1_every)
        slower = judge.param_groups[0]["lr"] * settings.video_lr_factor
        judge.add_param_group({"params": list(self.D.video_discr.parameters()), "lr": slower})
        self.optimizers = {"G": lazy_adam(self.G, settings.lr, GREG_EVERY), "D": judge}
        groups = (model.mbstd_group_size, model.norm_group_size)
        self.group = math.lcm(*(min(group, settings.batch) for group in groups))
        self.reader = Reader(model.max_num_frames, settings.mirror)

    def update(self, batches: Batches, step: Step) -> dict[str, Tensor]:
        """One step of all networks, of the moving average, and now and then of the augmentation."""
        batch = batches["real"]
        share_averages(self.G, step)
        share_averages(self.D, step)
        real = batch["frames"].float() / 127.5 - 1
        logs = self._update_generator(batch["start_G"], step)
        logs |= self._update_discriminators(real, batch["start_D"], step)
        if step.index % self.settings.r1_every == 0:
            logs["r1"] = self._regularise(real, step)
        self._average(step)
        if (step.index + 1) % ADJUST_EVERY == 0:
            logs |= self._adjust(step)
        return logs

    def _update_generator(self, starts: Tensor, step: Step) -> dict[str, Tensor]:
        self.D.requires_grad_(False)
        frames, videos = self._judge(self._generate("G", starts, step), "G", step)
        loss, video_loss = generator_loss(frames).mean(), generator_loss(videos).mean()
        self._descend("G", loss + video_loss, step)
        self.D.requires_grad_(True)
        return {"loss_G": loss.detach(), "loss_G_video": video_loss.detach()}

    def _update_discriminators(self, real: Tensor, starts: Tensor, step: Step) -> dict[str, Tensor]:
        with torch.no_grad():
            fake = self._generate("D", starts, step)
        fake_frames, fake_videos = self._judge(fake, "D/fake", step)
        real_frames, real_videos = self._judge(real, "D/real", step)
        self.overfitting.add(real_frames, step)
        loss = discriminator_loss(fake_frames, real_frames).mean()
        video_loss = discriminator_loss(fake_videos, real_videos).mean()
        self._descend("D", loss + video_loss, step)
        return {"loss_D": loss.detach(), "loss_D_video": video_loss.detach()}

    def _regularise(self, real: Tensor, step: Step) -> Tensor:
        """R1, of the image discriminator alone: the mean over all frames."""
        videos = real.detach().requires_grad_(True)
        logits = self.D.judge_frames(self._augmented(videos, "R1", step))
        self.overfitting.add(logits, step)
        loss = self.settings.gamma / 2 * r1_penalty(logits, videos).mean() / FRAMES
        self._descend("D", loss * self.settings.r1_every, step)
        return loss.detach()

    def _generate(self, name: str, starts: Tensor, step: Step) -> Tensor:
        """Videos `[n, 3, 16, H, W]` that begin at times `[n]`; the LSTM has run since time 0."""
        z = step.normal(f"{name}/z", self.G.z_dim)
        width = self.config.model.motion_z_dim
        tokens = [
            torch.randn(start + FRAMES, width, generator=step.chance(f"{name}/motion", sample))
            for start, sample in zip(starts.tolist(), step.samples, strict=True)
        ]
        t = starts[:, None] + torch.arange(FRAMES, device=starts.device)
        frames: Tensor = self.G(z, t, pad_sequence(tokens, batch_first=True).to(z.device))
        return rearrange(frames, "(n t) c h w -> n c t h w", t=FRAMES)

    def _judge(self, videos: Tensor, name: str, step: Step) -> tuple[Tensor, Tensor]:
        """Logits `[n, 16]` of the frames, and `[n, patches]` of the videos, both of the same augmented ones."""
        videos = self._augmented(videos, name, step)
        seeds = (step.chance(f"{name}/noise", sample).initial_seed() for sample in step.samples)
        noise = [torch.Generator(videos.device).manual_seed(seed) for seed in seeds]
        return self.D.judge_frames(videos), self.D.video_discr(videos, noise)

    def _augmented(self, videos: Tensor, name: str, step: Step) -> Tensor:
        """Videos `[n, 3, 16, H, W]`, each transformed in one way."""
        if not self.settings.ada_target:
            return videos
        augmented: Tensor = self.augment(videos, step.uniform(f"{name}/augment", NUM_DRAWS))
        return augmented

    def _descend(self, name: str, loss: Tensor, step: Step) -> None:
        loss.backward()  # type: ignore[no-untyped-call]
        descend(self.networks[name], self.optimizers[name], step)

    def _average(self, step: Step) -> None:
        """The moving average of the generator's parameters."""
        half_life = self.settings.ema_kvideos * 1000
        if self.settings.ema_rampup is not None:
            half_life = min(half_life, step.index * step.batch * FRAMES * self.settings.ema_rampup)
        follow(self.G_ema, self.G, step.batch, half_life)

    def _adjust(self, step: Step) -> dict[str, Tensor]:
        """Augment more if the discriminator knows the real frames too well, less if not."""
        signs = self.overfitting.taken()
        if self.settings.ada_target:
            settings, p = self.settings, float(self.augment.p)
            p = adjusted(p, float(signs), step.batch, ADJUST_EVERY, settings.ada_target, settings.ada_kvideos)
            self.augment.p.fill_(p)
        return {"real_signs": signs, "augment_p": self.augment.p.clone()}

    def preview(self, real: VideoSource, num_frames: int) -> MoCoGANSG2:
        """The moving average, as it is sampled."""
        return MoCoGANSG2(self.G_ema, self.origin.fps)
