"""Configurations of Video LDM that ship, and those that are refused."""

import pytest
import torch

from tests.models.video_ldm.stages import config
from vidbench.config import change
from vidbench.errors import UserError
from vidbench.models.video_ldm import VideoLDM
from vidbench.models.video_ldm.backbone import build_autoencoder, build_unet
from vidbench.models.video_ldm.networks import (
    build_image_discriminator,
    build_image_unet,
    build_upsampler,
    build_vae,
    build_video_discriminator,
)
from vidbench.models.video_ldm.unet import VideoUNet
from vidbench.protocol import load_protocol
from vidbench.runs import load_settings, tiers

TIERS = tiers("video-ldm")


def load(tier, *changes):
    return load_settings(VideoLDM, "video-ldm", tier, None, changes)


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


def built(tier):
    """Parameters of the networks of a tier that ships, without their memory."""
    model = load(tier).model
    with torch.device("meta"):
        unet = build_image_unet(model, "meta")
        own = model.temporal
        temporal = VideoUNet(unet, context=4 if own.context else None, alphas=own.alphas).temporal
        networks = [build_vae(model, "meta"), unet, temporal, build_image_discriminator(model, "meta")]
        networks += [build_video_discriminator(model, "meta"), build_upsampler(model, "meta")]
        return [parameters(network) for network in networks]


def test_tiny_is_of_the_size_that_was_measured():
    assert built("tiny") == [242_327, 1_164_836, 1_371_634, 168_033, 502_881, 328_035 + 75_355]


def test_the_paper_s_autoencoder_is_of_its_size():
    """84 million parameters are printed, which is that of Rombach et al. with latents of an eighth of the side."""
    vae, unet, *_ = built("paper-driving")
    assert vae == 83_653_863
    assert 2e8 < unet < 5e8
    settings = load("paper-driving")
    assert (settings.model.height, settings.model.width) == (128, 256)
    assert settings.model.temporal.alpha_per_frame
    assert settings.stages.interpolation.drop == 0.1
    assert (settings.stages.interpolation.context_noise, settings.stages.upsampler.max_noise) == (250, 350)


@pytest.mark.parametrize("tier", TIERS)
def test_what_judges_key_frames_is_not_longer_than_they_are(tier):
    settings = load(tier)
    model, span = settings.model, load_protocol(settings.stages.temporal.metric).span
    assert model.temporal.context or span <= model.temporal.frames * model.key_stride


@pytest.mark.parametrize("tier", TIERS)
def test_configurations_survive_json(tier):
    settings = load(tier)
    assert type(settings)(**settings.model_dump(mode="json")) == settings


def test_an_image_model_takes_the_place_of_the_stages_that_make_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = load("tiny", "model.image_model=mine")
    assert settings.model.image_model == tmp_path / "mine"
    assert (settings.stages.autoencoder, settings.stages.image) == (None, None)
    assert settings.stages.temporal == load("tiny").stages.temporal
    with pytest.raises(UserError, match=r"without model.image_model, the stages autoencoder and image are needed"):
        load("paper-text2video", "model.image_model=null")


def test_without_levels_nothing_is_interpolated():
    for levels, stride in ((0, 1), (1, 4), (2, 16)):
        settings = load("tiny", f"model.levels={levels}")
        assert settings.model.key_stride == stride
        assert (settings.stages.interpolation is None) == (levels == 0)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ("model.height=20", "frames of 20x32 do not divide by 16, as these levels need"),
        ("model.upsampler.patch=40", "patches of 40 pixels do not fit 32x32"),
        ("model.image.attention=[true]", "3 levels need as many values of attention, not 1"),
        ("model.temporal.convolutions=false", "given frames enter temporal convolutions"),
        ("model.temporal.frames=2", "greater than or equal to 3"),
        ("model.levels=3", "less than or equal to 2"),
        ("model.sampling.sampler=euler", "ddim"),
        ("stages.temporal.ema_decay=1", "less than 1"),
        ("model.prompt=a red car", "model.prompt is for an image model with text, which model.image_model names"),
        ("stages.image=null", "the stages autoencoder and image are needed"),
    ],
)
def test_sizes_that_cannot_be_are_refused(changed, said):
    with pytest.raises(UserError, match=said):
        load("tiny", changed)


def test_attention_alone_takes_no_given_frames():
    settings = change(config(), ["model.temporal.convolutions=false", "model.temporal.context=false"])
    assert not settings.model.temporal.convolutions


def test_networks_without_attention_are_convolutions():
    with torch.device("meta"):
        unet = build_unet(4, 4, (8, 8), 1, 4, (False, False))
        assert not any("attn" in name or "attention" in name for name, _ in unet.named_parameters())
        assert build_autoencoder((8, 8, 8), 1, 4, 4, (32, 32)).config["sample_size"] == 32
