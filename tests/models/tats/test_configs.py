"""Configurations of TATS that ship, and those that are refused."""

import pytest
import torch

from vidbench.errors import UserError
from vidbench.models.tats import TATS, TATSHierarchical
from vidbench.models.tats.networks import (
    build_image_discriminator,
    build_transformer,
    build_video_discriminator,
    build_vqgan,
)
from vidbench.runs import load_settings, tiers

SYSTEMS = {"tats": TATS, "tats-hierarchical": TATSHierarchical}
SHIPPED = [(model, tier) for model in SYSTEMS for tier in tiers(model)]


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


def load(model, tier, *changes):
    return load_settings(SYSTEMS[model], model, tier, None, changes)


@pytest.mark.parametrize(("model", "tier"), [each for each in SHIPPED if each[1].startswith("paper")])
def test_the_authors_configurations_have_networks_of_their_size(model, tier):
    settings = load(model, tier).model
    with torch.device("meta"):
        vqgan = build_vqgan(settings, "meta")
        assert (parameters(vqgan.encoder), parameters(vqgan.decoder)) == (7_403_648, 16_116_995)
        assert parameters(vqgan.pre_vq_conv) == parameters(vqgan.post_vq_conv) == 65_792
        assert parameters(build_image_discriminator(settings, "meta")) == 2_766_529
        assert parameters(build_video_discriminator(settings, "meta")) == 11_057_857
        network = build_transformer(settings, "transformer", "meta")
        assert network.pos_emb.shape == (1, 1024, 1024)
        assert parameters(network) == 337_121_280 - 2 * 101 * 1024  # theirs has 101 classes
        if model == "tats-hierarchical":
            assert build_transformer(settings, "interpolation", "meta").pos_emb.shape == (1, 1280, 1024)
            assert settings.every == 4


@pytest.mark.parametrize(("model", "tier"), [each for each in SHIPPED if each[1].startswith("paper")])
def test_the_authors_configurations_have_their_batches_and_rates(model, tier):
    settings = load(model, tier)
    vqgan, transformer = settings.stages.vqgan, settings.stages.transformer
    assert (vqgan.batch, vqgan.accumulation, vqgan.lr) == (96, 6, 9e-5)
    sparse = model == "tats-hierarchical"
    assert (transformer.batch, transformer.lr) == ((32, 1.44e-4) if sparse else (24, 1.08e-4))
    if sparse:
        assert (settings.stages.interpolation.batch, settings.stages.interpolation.lr) == (24, 1.08e-4)
    assert settings.model.vqgan.time_step == (4 if "taichi" in tier else 1)


@pytest.mark.parametrize(("model", "tier"), SHIPPED)
def test_without_vgg_its_distance_is_left_out(model, tier):
    stage = load(model, tier).stages.vqgan
    assert stage.vgg is None
    assert stage.perceptual_weight == (4 if tier.startswith("paper") else 0)


@pytest.mark.parametrize(("tier", "grid", "side"), [("ci", 16, 32), ("tiny", 64, 32), ("small", 64, 64)])
def test_small_tiers(tier, grid, side):
    for model in SYSTEMS:
        settings = load(model, tier).model
        assert (settings.vqgan.latent_frame, settings.vqgan.side) == (grid, side)
        assert settings.transformer.latent_frames * settings.vqgan.downsample[0] == settings.vqgan.frames == 16


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("model.vqgan.side=22", "clips of 16 frames of 22 pixels do not divide by 4x4x4"),
        ("model.vqgan.frames=6", "do not divide by 4x4x4"),
        ("model.vqgan.downsample=[1, 1, 1]", "makes no codes of clips"),
        ("model.vqgan.downsample=[3, 4, 4]", "Input should be 1, 2, 4, 8 or 16"),
        ("model.transformer.heads=3", "a width of 128 does not divide by 3 heads"),
        ("stages.vqgan.accumulation=3", "a batch of 8 does not divide by its 3 parts"),
    ],
)
def test_sizes_that_cannot_be_are_refused(change, said):
    with pytest.raises(UserError, match=said):
        load("tats", "tiny", change)


def test_both_transformers_have_the_same_classes():
    with pytest.raises(UserError, match="both transformers must have the same classes"):
        load("tats-hierarchical", "tiny", "model.transformer.classes=3")
