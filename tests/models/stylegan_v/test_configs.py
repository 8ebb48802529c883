"""Configurations of StyleGAN-V that ship."""

import pytest

from vidbench.models.stylegan_v import StyleGANV
from vidbench.runs import load_settings, tiers


@pytest.mark.parametrize("tier", [tier for tier in tiers("stylegan-v") if tier.startswith("paper")])
def test_the_authors_configurations_are_theirs(tier):
    settings = load_settings(StyleGANV, "stylegan-v", tier, None, ())
    distance = 256 if tier == "paper-sky-timelapse" else 16
    model = settings.model.model_dump()
    assert model.pop("motion") == {
        "z_dim": 512, "v_dim": 512, "distance": distance, "time_dim": 256, "min_period": distance, "max_period": 1024,
        "kernel_size": 11, "max_num_frames": 1024,
    }  # fmt: skip
    sampling = settings.model.sampling
    assert (sampling.num_frames, sampling.max_distance, sampling.max_num_frames) == (3, 32, 1024)
    del model["sampling"]
    assert model == {
        "resolution": 256, "z_dim": 512, "w_dim": 512, "c_dim": 0, "mapping_layers": 2,
        "channel_base": 16384, "channel_max": 512, "concat_res": 16, "concat_divisor": 2,
        "mbstd_group_size": 4, "num_fp16_res": 4, "conv_clamp": 256,
    }  # fmt: skip
    gan = settings.stages.gan
    assert (gan.batch, gan.lr, gan.gamma, gan.r1_every) == (64, 0.0025, 0.2048, 16)
    assert (gan.ema_kvideos, gan.ema_rampup, gan.ada_target, gan.ada_kvideos, gan.mirror) == (20, None, 0.6, 100, True)
    assert gan.steps == 25_000_000 // (64 * 3)
