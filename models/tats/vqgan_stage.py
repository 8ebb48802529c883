"""Training of the autoencoder: VQGAN on clips (TATS, ECCV 2022, Sec. 3.1; Esser et al., CVPR 2021)."""

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from vidbench.generator import VideoSource
from vidbench.models.layers.loss import hinge_loss
from vidbench.stage import Batches, Origin, Stage, State, Step

from .codebook import Quantised, pick_from
from .config import TATSConfig
from .networks import build_image_discriminator, build_video_discriminator, build_vqgan
from .perceptual import load_perceptual
from .reader import Reader
from .reconstruction import Reconstructed
from .vqgan_loss import adversarial_loss, feature_loss, frames_at

BETAS = (0.5, 0.9)
"""Of Adam."""


class VQGANTraining(Stage):
    """The stage `vqgan`: an autoencoder against discriminators of frames and of clips.

    Batch norm is over a process's own samples; its running statistics are means over processes. Until they are heard,
    discriminators are left out, which saves their passes: their optimiser's correction of bias begins there.

    Raises:
        ValueError: VGG's weights are asked for, and are not where they should be.
    """

    name = "vqgan"
    reader: Reader

    def __init__(self, config: TATSConfig, origin: Origin, device: str, before: Mapping[str, State]) -> None:
        self.config, self.settings, self.origin = config, config.stages.vqgan, origin
        self.vqgan = build_vqgan(config.model, device).train()
        self.D_image = build_image_discriminator(config.model, device).train()
        self.D_video = build_video_discriminator(config.model, device).train()
        self.networks = {"vqgan": self.vqgan, "D_image": self.D_image, "D_video": self.D_video}
        judges = [*self.D_image.parameters(), *self.D_video.parameters()]
        lr = self.settings.lr
        self.optimizers = {
            "vqgan": torch.optim.Adam(self.vqgan.parameters(), lr, BETAS),
            "D": torch.optim.Adam(judges, lr, BETAS),
        }
        vgg, weight = self.settings.vgg, self.settings.perceptual_weight
        self.perceptual = load_perceptual(vgg, device) if vgg and weight else None
        self.group = self.settings.accumulation
        model = config.model.vqgan
        self.reader = Reader(model.frames, model.time_step, model.every_clip)
        self.frames = self.reader.span

    def weight(self, length: int) -> int:
        """Of a video; as the data set says."""
        return self.reader.weight(length)

    def update(self, batches: Batches, step: Step) -> dict[str, Tensor]:
        """One step of the autoencoder and then, of other codes and frames, of the discriminators."""
        clips = batches["real"]["clip"].float() / 255 - 0.5
        heard = step.index >= self.settings.discriminator_start * self.settings.steps
        count = self.settings.accumulation
        logs: dict[str, Tensor] = {}
        for i, part in enumerate(clips.chunk(count)):
            samples = step.samples[i * len(part) : (i + 1) * len(part)]
            for name, loss in self._update_autoencoder(part, samples, i, heard, step).items():
                logs[name] = logs.get(name, torch.zeros_like(loss)) + loss.detach() / count
            if i == count - 1:
                self._descend("vqgan", step)
            loss_D = self._update_discriminators(part, samples, i, heard, step)
            logs["loss_D"] = logs.get("loss_D", torch.zeros_like(loss_D)) + loss_D / count
        if heard:
            self._descend("D", step)
        self._share_statistics(step)
        return logs

    def _update_autoencoder(
        self, real: Tensor, samples: Sequence[int], part: int, heard: bool, step: Step
    ) -> dict[str, Tensor]:
        """Add the gradients of the autoencoder; gives its losses, weighted."""
        settings, name = self.settings, f"autoencoder/{part}"
        made, quantised = self._reconstruct(real, name, step)
        times = self._times(name, samples, step)
        frame, made_frame = frames_at(real, times), frames_at(made, times)
        losses = {
            "l1": settings.l1_weight * (real - made).abs().mean(),
            "commitment": quantised.commitment,
        }
        if self.perceptual is not None:
            chances = [step.chance(f"{name}/perceptual", sample) for sample in samples]
            losses["perceptual"] = settings.perceptual_weight * self.perceptual(frame, made_frame, chances)
        if heard:
            self._require_gradients(False)
            images, videos = self.D_image(made_frame), self.D_video(made)
            with torch.no_grad():
                real_images, real_videos = self.D_image(frame), self.D_video(real)
            features = feature_loss(images, real_images) + feature_loss(videos, real_videos)
            losses["adversarial"] = adversarial_loss(images[-1], videos[-1])
            losses["features"] = settings.feature_weight * features
        loss = torch.stack(list(losses.values())).sum() / settings.accumulation
        loss.backward()  # type: ignore[no-untyped-call]
        self._require_gradients(True)
        return losses | {"perplexity": quantised.perplexity}

    def _update_discriminators(
        self, real: Tensor, samples: Sequence[int], part: int, heard: bool, step: Step
    ) -> Tensor:
        """Add the gradients of the discriminators; gives their loss. The codebook always follows."""
        name = f"discriminators/{part}"
        with torch.no_grad():
            made, _ = self._reconstruct(real, name, step)
        if not heard:
            return made.new_zeros(())
        times = self._times(name, samples, step)
        real_logits = self.D_image(frames_at(real, times))[-1], self.D_video(real)[-1]
        made_logits = self.D_image(frames_at(made, times))[-1], self.D_video(made)[-1]
        losses = [hinge_loss(*logits) for logits in zip(real_logits, made_logits, strict=True)]
        loss = torch.stack(losses).sum()
        (loss / self.settings.accumulation).backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def _reconstruct(self, real: Tensor, name: str, step: Step) -> tuple[Tensor, Quantised]:
        """Clips through the autoencoder; its codebook follows."""
        codebook, settings = self.vqgan.codebook, self.settings
        chance = step.shared(f"{name}/codebook")

        def pick(flat: Tensor) -> Tensor:
            """Vectors of the first process."""
            picked = pick_from(chance, len(codebook.N))(flat)
            return step.mean(picked if step.rank == 0 else torch.zeros_like(picked)) * step.world

        z = self.vqgan.latents(real)
        codebook.start(z, pick)
        quantised: Quantised = codebook(z)
        made = self.vqgan.rendered(quantised.values)
        codebook.follow(
            z,
            quantised.codes,
            lambda value: step.mean(value) * step.world,
            pick if settings.restart_below else None,
            settings.restart_below,
        )
        return made, quantised

    def _times(self, name: str, samples: Sequence[int], step: Step) -> Tensor:
        """A frame of each clip."""
        count = self.config.model.vqgan.frames
        times = [int(torch.randint(count, (), generator=step.chance(f"{name}/frame", sample))) for sample in samples]
        return torch.tensor(times, device=step.device)

    def _require_gradients(self, wanted: bool) -> None:
        for network in (self.D_image, self.D_video):
            network.requires_grad_(wanted)

    def _descend(self, name: str, step: Step) -> None:
        """A step of an optimiser along gradients that are not too long."""
        optimizer = self.optimizers[name]
        parameters: list[nn.Parameter] = optimizer.param_groups[0]["params"]
        step.average_gradients(parameters)
        nn.utils.clip_grad_norm_(parameters, self.settings.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def _share_statistics(self, step: Step) -> None:
        """Let the running statistics of batch norm be alike in all processes."""
        for network in self.networks.values():
            for name, buffer in network.named_buffers():
                if name.endswith(("running_mean", "running_var")):
                    buffer.copy_(step.mean(buffer))

    def preview(self, real: VideoSource, num_frames: int) -> Reconstructed:
        """The autoencoder as it is, on real videos."""
        return Reconstructed(copy.deepcopy(self.vqgan).eval(), self.config.model.vqgan, real, num_frames)
