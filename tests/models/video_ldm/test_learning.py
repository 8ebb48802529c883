"""A quick training of temporal layers: videos that were not trained on are denoised better than frame by frame."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from einops import einsum, rearrange
from torch import Tensor

from tests.models.video_ldm.stages import SIDE, build, config
from vidbench.models.video_ldm.autoencoder import moments
from vidbench.models.video_ldm.context import context_frames, first_frames
from vidbench.models.video_ldm.image_stage import times
from vidbench.models.video_ldm.readers import normalised
from vidbench.models.video_ldm.system import VideoLDM
from vidbench.models.video_ldm.temporal_stage import TemporalDiffusion, latents
from vidbench.stage import Stage, Step

STEPS = {"image": 100, "temporal": 150}
OTHERS = Step(1, "none", 0, 64)
"""A step of which nothing is trained on."""
MODEL = {
    "autoencoder": {"channels": [8, 8, 8], "layers": 1, "groups": 4, "discriminator_channels": [8, 8]},
    "image": {"channels": [16, 16], "layers": 1, "groups": 4, "attention": [False, True], "head_width": 4},
}
IMAGE = {"lr": 5e-3, "ema_decay": 0.95, "batch": 32}
TEMPORAL = IMAGE | {"lr": 1e-2, "batch": 8}


def drifting(step: Step, frames: int) -> Tensor:
    """Soft colours that move to the right now and then, of a step's own videos, `[n, 3, T, SIDE, SIDE]`, uint8."""
    colours = step.uniform("colours", 3, 4, 4).float() * 255
    pictures = F.interpolate(colours, (SIDE, SIDE), mode="bilinear").round().to(torch.uint8)
    return torch.stack([pictures.roll(t // 2, dims=3) for t in range(frames)], dim=2)


@torch.no_grad()
def whiten(vae: Any) -> None:
    """Let an autoencoder that is not trained give latents without noise that do not tell of each other."""
    mean, _ = moments(vae, normalised(drifting(OTHERS, 1))[:, :, 0])
    channels, flat, last = mean.shape[1], rearrange(mean, "n c h w -> c (n h w)"), vae.quant_conv
    inverse = torch.linalg.cholesky(torch.cov(flat)).inverse()
    last.bias[:channels] = inverse @ (last.bias[:channels] - flat.mean(dim=1))
    last.weight[:channels] = einsum(inverse, last.weight[:channels].clone(), "i j, j k h w -> i k h w")
    last.bias[channels:], last.weight[channels:] = -30, 0


def learnt(stage: Stage, batch: int) -> Stage:
    for index in range(STEPS[stage.name]):
        step = Step(0, stage.name, index, batch)
        stage.update({"real": {"clip": drifting(step, stage.reader.frames)}}, step)
    return stage


@pytest.fixture(scope="module")
def stage() -> TemporalDiffusion:
    """The stage at its end."""
    settings = config(MODEL, image=IMAGE, temporal=TEMPORAL)
    autoencoder = build("autoencoder", settings, before={})
    whiten(autoencoder.vae)
    before = {"autoencoder": autoencoder.state()}
    before["image"] = learnt(build("image", settings, before), IMAGE["batch"]).state()
    return learnt(build("temporal", settings, before), TEMPORAL["batch"])


@pytest.fixture(scope="module")
def real(stage) -> Tensor:
    """Latents of videos that were not trained on."""
    return latents(stage.image, normalised(drifting(OTHERS, stage.reader.frames)), OTHERS)


@torch.no_grad()
def test_given_frames_help_in_denoising_videos_that_were_not_trained_on(stage, real):
    """None, one or two are given, as in training; an image model that knows nothing has a loss of about 1."""
    noise, tau, given = OTHERS.normal("noise", *real.shape[1:]), times(OTHERS, 1000), times(OTHERS, 3, "given")
    context = context_frames(real, first_frames(given, real.shape[2]))

    def loss(**told) -> float:
        return stage.diffusion.loss(lambda x, t: stage.ema(x, t, **told), real, noise, tau).item()

    assert loss(context=context) < 0.9 * loss(image_mode=True) < 0.9


@torch.no_grad()
def test_sampled_frames_are_nearer_to_each_other_than_those_of_different_images(stage, real):
    model = VideoLDM(stage.config.model, 32.0, stage.image, stage.ema, steps=8, sampler="dpm-solver++", guidance=1.0)
    videos, images = next(model._keys(range(32))), model._first(range(32, 96))
    of_real, of_videos = ((z[:, :, 1:] - z[:, :, :-1]).abs().mean().item() for z in (real, videos))
    of_images = (images[1:] - images[:-1]).abs().mean().item()
    assert of_real < of_videos < 0.93 * of_images
