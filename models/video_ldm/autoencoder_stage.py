"""Training of autoencoders: of images (Rombach et al., App. G), and of the decoder for videos (Blattmann et al.)."""

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from vidbench.generator import VideoSource
from vidbench.models.layers.loss import hinge_loss
from vidbench.models.layers.training import descend
from vidbench.stage import Batches, Origin, Stage, State, Step

from .autoencoder import decoded_frames, encoded, moments
from .autoencoder_loss import (
    KL_WEIGHT,
    MATCHING_WEIGHT,
    adversarial_loss,
    feature_matching,
    kl_divergence,
    reconstruction_loss,
)
from .averages import averaged, follow
from .config import AutoencoderStage, DiffusionStage, VideoLDMConfig
from .decoder import WINDOW, decoded
from .networks import build_image_discriminator, build_vae, build_video_discriminator, open_decoder, open_vae
from .readers import ClipReader, normalised
from .real import Remade, reconstructed

BETAS = (0.5, 0.9)
"""Of Adam."""


class AutoencoderGAN(Stage):
    """The stage `autoencoder`: images to latents and back, from some step on against a discriminator of patches."""

    name = "autoencoder"
    frames = 1

    def __init__(self, config: VideoLDMConfig, origin: Origin, device: str, before: Mapping[str, State]) -> None:
        self.settings: AutoencoderStage = required(config.stages.autoencoder, self.name)
        self.vae, self.D = build_vae(config.model, device).train(), build_image_discriminator(config.model, device)
        self.networks = {"vae": self.vae, "D": self.D}
        self.optimizers = {
            name: torch.optim.Adam(network.parameters(), self.settings.lr, BETAS)
            for name, network in self.networks.items()
        }
        self.reader = ClipReader(1)

    def update(self, batches: Batches, step: Step) -> dict[str, Tensor]:
        """One step of the autoencoder, and once it is asked, of the discriminator."""
        real = rearrange(normalised(batches["real"]["clip"]), "n c 1 h w -> n c h w")
        mean, logvar = moments(self.vae, real)
        decoded = self.vae.decode(mean + (0.5 * logvar).exp() * step.normal("z", *mean.shape[1:])).sample
        reconstruction, divergence = reconstruction_loss(real, decoded), kl_divergence(mean, logvar)
        logs = {"reconstruction": reconstruction / real[0].numel(), "divergence": divergence}
        loss, adversary = reconstruction + KL_WEIGHT * divergence, step.index >= self.settings.adversary_from
        if adversary:
            self.D.requires_grad_(False)
            seen = self.D(decoded)
            matching = feature_matching(self.D(real), seen)
            loss = loss + adversarial_loss(reconstruction, seen[-1], self.vae.decoder.conv_out.weight, step.mean)
            loss = loss + real[0].numel() * MATCHING_WEIGHT * matching
            logs |= {"loss_G": -seen[-1].mean(), "matching": matching}
            self.D.requires_grad_(True)
        loss.backward()  # type: ignore[no-untyped-call]
        descend(self.vae, self.optimizers["vae"], step)
        if adversary:
            logs["loss_D"] = update_discriminator(self, real, decoded, step)
        return {name: value.detach() for name, value in logs.items()}

    def preview(self, real: VideoSource, num_frames: int) -> Remade:
        """Real videos, encoded and decoded frame by frame."""
        vae = averaged(self.vae)
        return Remade(real, num_frames, reconstructed(vae, lambda latents: decoded_frames(vae, latents)))


class DecoderGAN(Stage):
    """The stage `decoder`: latents of videos back to videos, against a discriminator of patches of videos."""

    name = "decoder"
    frames = WINDOW
    shorter = MappingProxyType({"stages.decoder=null": 0})

    def __init__(self, config: VideoLDMConfig, origin: Origin, device: str, before: Mapping[str, State]) -> None:
        self.settings: DiffusionStage = required(config.stages.decoder, self.name)
        vae, _ = open_vae(config.model, before, device)
        self.net = open_decoder(config.model, vae).train()
        self.ema, self.D = averaged(self.net), build_video_discriminator(config.model, device)
        self.networks = {"decoder": self.net, "decoder_ema": self.ema, "D": self.D}
        trained = [parameter for parameter in self.net.parameters() if parameter.requires_grad]
        self.optimizers = {
            "decoder": torch.optim.Adam(trained, self.settings.lr, BETAS),
            "D": torch.optim.Adam(self.D.parameters(), self.settings.lr, BETAS),
        }
        self.reader = ClipReader(WINDOW)

    def update(self, batches: Batches, step: Step) -> dict[str, Tensor]:
        """One step of both networks, and of the moving average."""
        real = normalised(batches["real"]["clip"])
        with torch.no_grad():
            latents = encoded(self.net.vae, real, partial(step.normal, "z"))
        made = self.net(latents)
        frames = [rearrange(videos, "n c t h w -> (n t) c h w") for videos in (real, made)]
        reconstruction = reconstruction_loss(*frames)
        self.D.requires_grad_(False)
        logits = self.D(made)[-1]
        loss = reconstruction + adversarial_loss(reconstruction, logits, self.net.last_weight, step.mean)
        loss.backward()  # type: ignore[no-untyped-call]
        self.D.requires_grad_(True)
        descend(self.net, self.optimizers["decoder"], step)
        logs = {"reconstruction": reconstruction / frames[0][0].numel(), "loss_G": -logits.mean()}
        logs["loss_D"] = update_discriminator(self, real, made, step)
        follow(self.ema, self.net, self.settings.ema_decay, step.index)
        return {name: value.detach() for name, value in logs.items()}

    def preview(self, real: VideoSource, num_frames: int) -> Remade:
        """Real videos, encoded and decoded by the moving average."""
        ema = self.ema
        return Remade(real, num_frames, reconstructed(ema.vae, ema, windows=decoded))


def update_discriminator(stage: AutoencoderGAN | DecoderGAN, real: Tensor, made: Tensor, step: Step) -> Tensor:
    """One step of the discriminator; its loss."""
    loss = hinge_loss(stage.D(real)[-1], stage.D(made.detach())[-1])
    loss.backward()  # type: ignore[no-untyped-call]
    descend(stage.D, stage.optimizers["D"], step)
    return loss


def required(settings: Any, stage: str) -> Any:
    """The configuration of a stage.

    Raises:
        ValueError: it has none.
    """
    if settings is None:
        raise ValueError(f"stages.{stage} of the configuration is null")
    return settings
