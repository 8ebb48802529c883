"""Configurations of MoCoGAN+SG2 that ship, and those that are refused."""

import pytest
import torch

from tests.models.mocogan_sg2.small import config
from vidbench.models.mocogan_sg2 import MoCoGANSG2
from vidbench.models.mocogan_sg2.networks import build_discriminator, build_generator
from vidbench.runs import load_settings, tiers


@pytest.mark.parametrize("tier", tiers("mocogan-sg2"))
def test_every_tier_follows_the_authors_rules(tier):
    """Weight of R1 by resolution and batch; 25,000 kimg of frames at their size."""
    settings = load_settings(MoCoGANSG2, "mocogan-sg2", tier, None, ())
    stage, resolution = settings.stages.gan, settings.model.resolution
    assert stage.gamma == pytest.approx(0.0002 * resolution**2 / stage.batch)
    if tier.startswith("paper"):
        assert stage.steps == 25_000_000 // (stage.batch * 16)


@pytest.mark.parametrize("tier", [tier for tier in tiers("mocogan-sg2") if tier.startswith("paper")])
def test_the_authors_configurations_are_theirs(tier):
    settings = load_settings(MoCoGANSG2, "mocogan-sg2", tier, None, ())
    assert settings.model.model_dump() == {
        "resolution": 256, "z_dim": 512, "w_dim": 512, "mapping_layers": 2, "channel_base": 16384, "channel_max": 512,
        "motion_z_dim": 512, "motion_v_dim": 512, "max_num_frames": 1024, "video_width": 64,
        "mbstd_group_size": 4, "norm_group_size": 16, "num_fp16_res": 4, "conv_clamp": 256,
    }  # fmt: skip
    gan = settings.stages.gan
    assert (gan.batch, gan.lr, gan.video_lr_factor, gan.gamma, gan.r1_every) == (64, 0.0025, 0.1, 0.2048, 16)
    assert (gan.ema_kvideos, gan.ema_rampup, gan.ada_target, gan.ada_kvideos, gan.mirror) == (20, None, 0.6, 100, True)


def test_the_tiny_networks_have_a_third_of_a_million_parameters_or_so():
    model = load_settings(MoCoGANSG2, "mocogan-sg2", "tiny", None, ()).model
    with torch.device("meta"):
        judges = build_discriminator(model, "meta")
        networks = build_generator(model, "meta"), judges.image_discr, judges.video_discr
    millions = [sum(parameter.numel() for parameter in network.parameters()) / 1e6 for network in networks]
    assert millions == pytest.approx([0.35, 0.29, 0.47], abs=0.005)


@pytest.mark.parametrize(
    ("model", "gan", "message"),
    [
        ({"resolution": 48}, {}, "resolution 48 is no power of two"),
        ({"resolution": 8}, {}, "greater than or equal to 16"),
        ({"channel_base": 8}, {}, "channel_base 8 leaves no channels at resolution 16"),
        ({"max_num_frames": 15}, {}, "greater than or equal to 16"),
        ({"num_fp16_res": 10**12}, {}, "num_fp16_res"),
        ({"norm_group_size": 0}, {}, "norm_group_size"),
        ({}, {"r1_every": 0}, "r1_every"),
        ({}, {"video_lr_factor": 0}, "video_lr_factor"),
        ({}, {"ada_kvideos": 0}, "ada_kvideos"),
    ],
)
def test_configurations_that_cannot_work_are_refused(model, gan, message):
    with pytest.raises(ValueError, match=message):
        config(model, **gan)
