"""Configurations of MoCoGAN-HD that ship, and those that are refused."""

import pytest
import torch

from vidbench.errors import UserError
from vidbench.models.mocogan_hd import MoCoGANHD
from vidbench.models.mocogan_hd.networks import (
    build_frame_discriminator,
    build_image_generator,
    build_motion_generator,
    build_video_discriminator,
)
from vidbench.runs import load_settings, tiers


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


def built(tier):
    """Parameters of the networks of a tier that ships, without their memory."""
    model = load_settings(MoCoGANHD, "mocogan-hd", tier, None, ()).model
    across = load_settings(MoCoGANHD, "mocogan-hd", tier, None, (MoCoGANHD.across,)).model
    with torch.device("meta"):
        return [
            parameters(build_image_generator(model, "meta")),
            parameters(build_motion_generator(model, "meta")),
            *(parameters(build_video_discriminator(domains, "meta")) for domains in (model, across)),
            parameters(build_frame_discriminator(model, 16, "meta")),
            parameters(build_frame_discriminator(across, 16, "meta").network),
        ]


@pytest.mark.parametrize("tier", [tier for tier in tiers("mocogan-hd") if tier.startswith("paper")])
def test_the_authors_configurations_have_networks_of_their_size(tier):
    image = {128: 29_328_669, 256: 30_034_338}
    settings = load_settings(MoCoGANHD, "mocogan-hd", tier, None, ())
    counts = [image[settings.model.image.side], 3_562_880, 22_136_706, 22_112_130, 5_535_618, 86_958_625]
    assert built(tier) == counts
    assert (settings.model.motion.frames, settings.model.motion.time_step, settings.model.motion.side) == (16, 2, 128)


@pytest.mark.parametrize(("tier", "side", "millions"), [("tiny", 32, 0.27), ("small", 64, None)])
def test_small_tiers_have_room_for_either_kind_of_discriminator(tier, side, millions):
    settings = load_settings(MoCoGANHD, "mocogan-hd", tier, None, ())
    assert settings.model.image.side == side
    assert settings.stages.motion.batch <= settings.model.motion.queue
    counts = built(tier)
    assert all(counts)
    if millions:
        assert counts[0] / 1e6 == pytest.approx(millions, abs=0.005)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("model.motion.side=20", "frames of 32 pixels are no multiple of the 20 that are judged"),
        ("model.motion.side=0", "greater than 0"),
        ("model.motion.components=65", "styles of width 64 have no 65 directions"),
        ("model.motion.frames=3", "greater than or equal to 4"),
        ("model.motion.video_widths=[]", "at least 1"),
        ("model.image.channels=[8]", "at least 2"),
    ],
)
def test_sizes_that_cannot_be_are_refused(change, said):
    with pytest.raises(UserError, match=said):
        load_settings(MoCoGANHD, "mocogan-hd", "tiny", None, (change,))


def test_across_domains_few_sizes_are_judged():
    with pytest.raises(UserError, match="across domains 32, 64, 128, 256 pixels are judged, not 16"):
        load_settings(MoCoGANHD, "mocogan-hd", "tiny", None, ("model.motion.side=16", "model.motion.cross_domain=true"))
