"""Training at low resolution: a GAN on long videos (Brooks et al., 2022, Sec. 3.2)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from vidbench.generator import VideoSource
from vidbench.models.layers.averages import share_averages
from vidbench.models.layers.diffaug import NUM_DRAWS as NUM_DIFFAUG_DRAWS
from vidbench.models.layers.diffaug import diff_augment
from vidbench.models.layers.loss import discriminator_loss, generator_loss, r1_penalty
from vidbench.stage import Batches, Origin, State, Step

from .adversarial import MAGNITUDE_DECAY, Adversarial
from .config import LongVideoGANConfig, LowResStage
from .lowres_generator import STRIDE, LowResGenerator, whole_strides
from .networks import build_lowres_discriminator, build_lowres_generator
from .stretch import NUM_DRAWS as NUM_STRETCH_DRAWS
from .stretch import temporal_stretch
from .system import LongVideoGAN


@dataclass(frozen=True)
class Reader:
    """Makes a training sample: a window of a video at low resolution."""

    size: tuple[int, int]
    frames: int
    mirror: bool

    def __call__(self, source: VideoSource, video: Any, chance: torch.Generator) -> dict[str, Tensor]:
        """`frames` uint8 `[3, T, h, w]`."""
        start = int(torch.randint(source.length(video) - self.frames + 1, (), generator=chance))
        frames = torch.from_numpy(source.reduced(self.size).read(video, start, start + self.frames))
        if self.mirror and int(torch.randint(2, (), generator=chance)):
            frames = frames.flip(-1)
        return {"frames": frames}


class LowResGAN(Adversarial):
    """The stage `lowres`: temporal noise to videos, against a discriminator of long videos."""

    name = "lowres"
    settings: LowResStage
    G: LowResGenerator
    G_ema: LowResGenerator

    def __init__(self, config: LongVideoGANConfig, origin: Origin, device: str, before: Mapping[str, State]) -> None:
        self.settings = config.stages.lowres
        model = config.model
        super().__init__(
            config, origin, build_lowres_generator(model, device), build_lowres_discriminator(model, device)
        )
        self.frames = model.lowres.frames
        self.made = len(whole_strides(0, self.frames + STRIDE))
        self.reads = {"D": 1, "R1": self.settings.r1_every}
        self.reader = Reader((model.lowres.height, model.lowres.width), self.frames, self.settings.mirror)

    def update(self, batches: Batches, step: Step) -> dict[str, Tensor]:
        """One step of both networks, and of the moving average."""
        share_averages(self.G, step)
        logs = {"loss_G": self._update_generator(step), "loss_D": self._update_discriminator(batches["D"], step)}
        if "R1" in batches:
            logs["r1"] = self._regularise(batches["R1"], step)
        self.average(step)
        return logs

    def _update_generator(self, step: Step) -> Tensor:
        self.D.requires_grad_(False)
        noise, starts = self._noise("G", step)
        loss = torch.zeros([], device=noise.device)
        for part in self.parts(step):
            fake = self.G.excerpts(noise[part], self.made, starts[part], self.frames)
            loss += self.add_gradients(generator_loss(self._judge(fake, "G", part, step)), step)
        self.descend("G", step)
        self.D.requires_grad_(True)
        return loss

    def _update_discriminator(self, batch: Mapping[str, Tensor], step: Step) -> Tensor:
        noise, starts = self._noise("D", step)
        with torch.no_grad():
            videos = self.G(noise, self.made, MAGNITUDE_DECAY)
        fake = torch.stack([video[:, s : s + self.frames] for video, s in zip(videos, starts, strict=True)])
        real = normalised(batch["frames"])
        loss = torch.zeros([], device=fake.device)
        for part in self.parts(step):
            fake_logits = self._judge(fake[part], "D/fake", part, step)
            real_logits = self._judge(real[part], "D/real", part, step)
            loss += self.add_gradients(discriminator_loss(fake_logits, real_logits), step)
        self.descend("D", step)
        return loss

    def _regularise(self, batch: Mapping[str, Tensor], step: Step) -> Tensor:
        """R1, with respect to videos before they are augmented; a step of Adam of its own."""
        real = normalised(batch["frames"])
        loss = torch.zeros([], device=real.device)
        for part in self.parts(step):
            videos = real[part].requires_grad_(True)
            penalty = r1_penalty(self._judge(videos, "R1", part, step), videos)
            loss += self.add_gradients(penalty * (self.settings.gamma / 2 * self.settings.r1_every), step)
        self.descend("D", step)
        return loss / self.settings.r1_every

    def _noise(self, name: str, step: Step) -> tuple[Tensor, list[int]]:
        """Temporal noise of each video, and the frame at which what is kept of it starts; edges are anywhere."""
        noise = step.normal(f"{name}/noise", self.G.noise_channels, self.G.noise_length(self.made))
        return noise, (step.uniform(f"{name}/start") * STRIDE).long().tolist()

    def _judge(self, videos: Tensor, name: str, part: slice, step: Step) -> Tensor:
        """Logits `[n]` of one part's augmented videos."""
        happens = step.uniform(f"{name}/augmented")[part].to(videos.device) < self.settings.diffaug_p
        augmented = diff_augment(videos, step.uniform(f"{name}/diffaug", NUM_DIFFAUG_DRAWS)[part])
        videos = torch.where(rearrange(happens, "n -> n 1 1 1 1"), augmented, videos)
        videos = temporal_stretch(videos, step.uniform(f"{name}/stretch", NUM_STRETCH_DRAWS)[part])
        logits: Tensor = self.D(videos)
        return logits

    def preview(self, real: VideoSource, num_frames: int) -> LongVideoGAN:
        """The moving average, as it is sampled; at low resolution."""
        return LongVideoGAN(self.G_ema, None, self.origin.fps)


def normalised(frames: Tensor) -> Tensor:
    """8 bits to [-1, 1]."""
    return frames.float() / 127.5 - 1
