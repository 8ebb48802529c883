"""Configurations of DIGAN that ship, and those that are refused."""

import pytest
import torch

from vidbench.errors import UserError
from vidbench.models.digan import DIGAN
from vidbench.models.digan.networks import build_discriminator, build_generator
from vidbench.runs import load_settings, tiers


def counts(tier):
    """Parameters of the generator and of each discriminator of a tier, without their memory."""
    model = load_settings(DIGAN, "digan", tier, None, ()).model
    with torch.device("meta"):
        generator, pair = build_generator(model, "meta"), build_discriminator(model, "meta")
    return [sum(p.numel() for p in network.parameters()) for network in (generator, pair.videoD, pair.imageD)]


@pytest.mark.parametrize("tier", ["ci", "tiny"])
def test_the_small_tiers_have_networks_of_their_size(tier):
    assert counts(tier) == [pytest.approx(0.28e6, abs=5e3), *[pytest.approx(0.29e6, abs=5e3)] * 2]


@pytest.mark.parametrize("tier", [tier for tier in tiers("digan") if tier.startswith("paper")])
def test_the_authors_configurations_are_theirs(tier):
    settings = load_settings(DIGAN, "digan", tier, None, ())
    assert settings.model.model_dump() == {
        "resolution": 128, "clip_frames": 16, "time_step": 4 if tier == "paper-taichi" else 1,
        "z_dim": 512, "w_dim": 512, "mapping_layers": 2,
        "base_resolution": 32, "num_waves": 128, "motion_sigma": 0.25, "rank": 10, "extra_layers_at": (128, 256),
        "channel_base": 32768, "channel_max": 512, "mbstd_group_size": 4, "num_fp16_res": 4, "conv_clamp": 256,
    }  # fmt: skip
    gan = settings.stages.gan
    assert (gan.batch, gan.lr, gan.gamma, gan.r1_every) == (64, 0.0025, 1.0, 16)
    assert (gan.ema_kvideos, gan.ema_rampup, gan.mirror) == (20, 0.05, True)
    assert gan.overlapping == (tier == "paper-ucf101")
    assert gan.steps * gan.batch == 25_000_000


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("model.resolution=48", "resolution 48 is no power of two"),
        ("model.base_resolution=12", "base_resolution 12 is no power of two"),
        ("model.base_resolution=64", "base_resolution 64 is not between 4 and 32"),
        ("model.base_resolution=0", "base_resolution 0 is not between 4 and 32"),
        ("model.channel_base=16", "channel_base 16 leaves no channel at 32 pixels"),
        ("model.clip_frames=1", "greater than or equal to 2"),
        ("model.rank=0", "greater than 0"),
        ("stages.gan.r1_every=0", "greater than or equal to 1"),
    ],
)
def test_sizes_that_cannot_be_are_refused(change, said):
    with pytest.raises(UserError, match=said):
        load_settings(DIGAN, "digan", "tiny", None, (change,))
