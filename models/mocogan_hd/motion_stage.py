"""Training of motion in the space of a frozen image generator's styles (Tian et al., ICLR 2021, Sec. 3.2 and 3.3)."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from vidbench.draws import draw
from vidbench.generator import VideoSource
from vidbench.models.layers.training import descend
from vidbench.stage import Batches, Origin, Stage, State, Step

from .adversaries import (
    pair_discriminator_losses,
    pair_generator_loss,
    video_discriminator_losses,
    video_generator_loss,
    view_discriminator_losses,
    view_generator_losses,
)
from .config import MoCoGANHDConfig
from .contrastive_discriminator import ContrastiveDiscriminator
from .motion_loss import cosine_loss
from .networks import (
    build_frame_discriminator,
    build_motion_generator,
    build_video_discriminator,
    frozen_image_generator,
)
from .pca import BATCH, StyleStatistics
from .system import MoCoGANHD
from .video import pairs, plain, reduced, render
from .views import NUM_DRAWS

BETAS = (0.5, 0.999)
"""Of Adam, but for the contrastive discriminator's."""


@dataclass(frozen=True)
class Reader:
    """Makes a training sample: every so many frames of a video, at the size that discriminators see."""

    side: int
    frames: int
    time_step: int

    def __call__(self, source: VideoSource, video: Any, chance: torch.Generator) -> dict[str, Tensor]:
        """`clip` uint8 `[T, 3, S, S]`."""
        span = self.frames * self.time_step
        start = int(torch.randint(source.length(video) - span, (), generator=chance))
        frames = source.reduced((self.side, self.side)).read(video, start, start + span, self.time_step)
        return {"clip": rearrange(torch.from_numpy(frames), "c t h w -> t c h w")}


def gathered(step: Step, features: Tensor) -> Tensor:
    """Features `[n, C]` of this process's samples, with those of the others: `[batch, C]`."""
    rows = features.new_zeros(step.batch, features.shape[1])
    rows[step.rank :: step.world] = features
    return step.mean(rows) * step.world


class MotionGAN(Stage):
    """The stage `motion`: `R` walks through styles, against discriminators of videos and of frames.

    The frozen image generator, `G_ema`, is kept beside them: `R` moves in no other's styles.

    Raises:
        ValueError: the stage `image` is not trained.
    """

    name = "motion"

    def __init__(self, config: MoCoGANHDConfig, origin: Origin, device: str, before: Mapping[str, State]) -> None:
        self.config, self.settings, self.origin = config, config.stages.motion, origin
        motion = config.model.motion
        self.G = frozen_image_generator(config.model, before.get("image", {}), device)
        self.R = build_motion_generator(config.model, device)
        self.D_video = build_video_discriminator(config.model, device)
        self.D_image = build_frame_discriminator(config.model, self.settings.batch, device)
        self.networks = {"G_ema": self.G, "R": self.R, "D_video": self.D_video, "D_image": self.D_image}
        lr, judge = self.settings.lr, self.D_image
        self.optimizers = {
            "R": torch.optim.Adam(self.R.parameters(), lr, BETAS),
            "D_video": torch.optim.Adam(self.D_video.parameters(), lr, BETAS),
            "D_image": (
                torch.optim.Adam(judge.network.parameters(), lr, (0.0, 0.999), eps=1e-6)
                if isinstance(judge, ContrastiveDiscriminator)
                else torch.optim.Adam(judge.parameters(), lr, BETAS)
            ),
        }
        self.frames = motion.frames * motion.time_step + 1
        self.reader = Reader(motion.side, motion.frames, motion.time_step)

    def update(self, batches: Batches, step: Step) -> dict[str, Tensor]:
        """Some steps of the motion generator, and one of each discriminator."""
        if not self.R.steps.any():
            self._find_directions(step)
        if isinstance(self.D_image, ContrastiveDiscriminator):
            self.D_image.gather = partial(gathered, step)
        real = batches["real"]["clip"].float() / 127.5 - 1
        logs: dict[str, Tensor] = {}
        for i in range(self.settings.generator_steps):
            logs |= self._update_generator(real, f"R{i}", step)
        return logs | self._update_discriminators(real, step)

    @torch.no_grad()
    def _find_directions(self, step: Step) -> None:
        """Principal components of the styles of many latents; from then on part of the motion generator's state."""
        statistics = StyleStatistics(self.G.z_dim)
        for index in range(0, self.settings.pca_styles, BATCH):
            count = min(BATCH, self.settings.pca_styles - index)
            z = torch.randn(count, self.G.z_dim, generator=draw(step.seed, "motion/pca", index))
            statistics.add(self.G.styles(z.to(self.R.steps.device)))
        self.R.steps.copy_(statistics.components().steps(len(self.R.steps)))

    def _update_generator(self, real: Tensor, name: str, step: Step) -> dict[str, Tensor]:
        settings = self.settings
        self._set_training(False)
        fake, information = self._generate(name, step)
        chance = step.shared(name)
        if isinstance(self.D_image, ContrastiveDiscriminator):
            t, later, first = self._frame(chance), *self._views(name, 2, step)
            looks, match = view_generator_losses(self.D_image, fake, t, later, first)
            logs, frames = {"loss_image": looks, "match": match}, looks + settings.match * match
            seen = plain(real), plain(fake)
        else:
            frames = pair_generator_loss(self.D_image, real, fake, self._frame(chance))
            logs, seen = {"loss_image": frames}, (pairs(real), pairs(fake))
        moves = video_generator_loss(self.D_video, *seen, self._coins(chance))
        loss = moves + frames + settings.information * information
        loss.backward()  # type: ignore[no-untyped-call]
        descend(self.R, self.optimizers["R"], step)
        self._set_training(True)
        logs |= {"loss_video": moves, "information": information}
        return {key: value.detach() for key, value in logs.items()}

    def _update_discriminators(self, real: Tensor, step: Step) -> dict[str, Tensor]:
        with torch.no_grad():
            fake, _ = self._generate("D", step)
        chance = step.shared("D")
        across = isinstance(self.D_image, ContrastiveDiscriminator)
        seen = (plain(real), plain(fake)) if across else (pairs(real), pairs(fake))
        alpha = rearrange(step.uniform("D/alpha"), "n -> n 1 1 1 1").to(real)
        losses, penalty = video_discriminator_losses(self.D_video, *seen, self._coins(chance), alpha)
        video = torch.stack(losses).mean()
        self._descend("D_video", video + self.settings.penalty * penalty, step)
        logs = {"loss_D_video": video.detach(), "penalty": penalty.detach()}
        return logs | self._update_frame_discriminator(real, fake, self._frame(chance), step)

    def _update_frame_discriminator(self, real: Tensor, fake: Tensor, t: int, step: Step) -> dict[str, Tensor]:
        if not isinstance(self.D_image, ContrastiveDiscriminator):
            loss = torch.stack(pair_discriminator_losses(self.D_image, real, fake, t)).mean()
            self._descend("D_image", loss, step)
            return {"loss_D_image": loss.detach()}
        first, first2, later, later2 = self._views("D", 4, step)
        losses = view_discriminator_losses(self.D_image, fake, t, (first, first2, later, later2))
        loss = losses.real + losses.fake + 2 * losses.contrastive
        self._descend("D_image", loss, step)
        self.D_image.follow()
        return {"loss_D_image": loss.detach(), "contrastive": losses.contrastive.detach()}

    def _generate(self, name: str, step: Step) -> tuple[Tensor, Tensor]:
        """Clips `[n, T, 3, S, S]`, and how badly their noise is recovered from their motion."""
        motion, synthesis = self.config.model.motion, self.G.synthesis
        e = step.normal(f"{name}/e", motion.frames - 1, self.G.z_dim)
        styles, recovered = self.R(self.G.styles(step.normal(f"{name}/z", self.G.z_dim)), e)
        noise = [step.normal(f"{name}/noise/{i}", 1, side, side) for i, side in enumerate(synthesis.noise_sides)]
        return reduced(render(synthesis, styles, noise), motion.side), cosine_loss(recovered, e)

    def _frame(self, chance: torch.Generator) -> int:
        """Which frame is seen beside the first."""
        return int(torch.randint(1, self.config.model.motion.frames, (), generator=chance))

    def _coins(self, chance: torch.Generator) -> tuple[bool, bool]:
        """Whether real and generated videos run backwards."""
        real, fake = torch.randint(2, (2,), generator=chance).tolist()
        return bool(real), bool(fake)

    def _views(self, name: str, count: int, step: Step) -> list[Tensor]:
        """Draws of so many views of each frame."""
        return [step.uniform(f"{name}/view/{i}", NUM_DRAWS) for i in range(count)]

    def _set_training(self, discriminators: bool) -> None:
        """Whose gradients are wanted: the discriminators', or the motion generator's."""
        for optimizer in ("D_video", "D_image"):
            for group in self.optimizers[optimizer].param_groups:
                for parameter in group["params"]:
                    parameter.requires_grad_(discriminators)

    def _descend(self, name: str, loss: Tensor, step: Step) -> None:
        loss.backward()  # type: ignore[no-untyped-call]
        descend(self.networks[name], self.optimizers[name], step)

    def preview(self, real: VideoSource, num_frames: int) -> MoCoGANHD:
        """The motion generator as it is, with the frozen image generator."""
        return MoCoGANHD(self.G, self.R, self.origin.fps / self.config.model.motion.time_step)
