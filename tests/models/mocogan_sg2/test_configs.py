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
