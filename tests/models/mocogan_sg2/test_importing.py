"""MoCoGAN+SG2 in files of the authors' code: the configuration is found in tensors, anything unexpected is named."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from vidbench import config
from vidbench.models.mocogan_sg2 import MoCoGANSG2
from vidbench.models.mocogan_sg2.config import MoCoGANSG2Config, ModelConfig
from vidbench.models.mocogan_sg2.networks import build_discriminator, build_generator
from vidbench.stage import Network, Snapshot

RECORDED = Path(__file__).parents[2] / "reference" / "stylegan_v" / "mocogan_sg2_generator_16.safetensors"
Networks = dict[str, Network]


def official(model: ModelConfig) -> Networks:
    """Networks of a configuration as a file would describe them, on `meta`."""
    with torch.device("meta"):
        generator, discriminator = build_generator(model, "meta"), build_discriminator(model, "meta")
    precision = {"num_fp16_res": model.num_fp16_res, "conv_clamp": model.conv_clamp}
    frames = {"max_num_frames": model.max_num_frames, "fps": 30}
    group = {"image_discr.b4.mbstd.group_size": model.mbstd_group_size}
    return {
        "G_ema": Network(generator.state_dict(), {"synthesis_kwargs": precision}, {"sampling_dict": frames}),
        "D": Network(discriminator.state_dict(), {}, group),
    }


def refusal(networks: Networks) -> str:
    with pytest.raises(ValueError) as caught:
        MoCoGANSG2.from_official([Snapshot(networks, {})])
    return str(caught.value)


def without(network: Network, *names: str) -> Network:
    return replace(network, tensors={key: value for key, value in network.tensors.items() if key not in names})


def test_an_imported_generator_makes_the_recorded_frames() -> None:
    run = load_file(RECORDED)
    tensors = {name.removeprefix("state/"): x for name, x in run.items() if name.startswith("state/")}
    found = MoCoGANSG2.from_official([Snapshot({"G_ema": Network(tensors, {}, {})}, {"batch_idx": 7})])
    assert (found.steps, found.fps, found.config.model.max_num_frames, found.config.model.conv_clamp) == (
        7,
        None,
        1024,
        256,
    )
    network = MoCoGANSG2.from_states(found.config, found.states, 25.0).network
    with torch.no_grad():
        frames = network(run["in/z"], run["in/t"].long(), run["in/motion_z"])
    assert (frames - run["out/img"]).abs().max() <= 1e-4 * run["out/img"].std()


def test_networks_of_the_papers_size_are_recognised() -> None:
    expected = config.shipped(MoCoGANSG2Config, "models/mocogan_sg2", "paper-sky-timelapse")
    found = MoCoGANSG2.from_official([Snapshot(official(expected.model), {})])
    assert found.config.model == expected.model
    assert found.config.stages.gan.steps == expected.stages.gan.steps
    assert found.config.stages.gan.gamma == pytest.approx(expected.stages.gan.gamma)
    assert found.fps == 30


@st.composite
def models(draw: st.DrawFn) -> ModelConfig:
    resolution = draw(st.sampled_from([16, 32, 64]))
    small = st.integers(1, 12)
    return ModelConfig(
        resolution=resolution,
        z_dim=draw(small),
        w_dim=draw(small),
        mapping_layers=draw(small),
        channel_base=resolution * draw(st.sampled_from([2, 4, 8])),
        channel_max=draw(st.sampled_from([8, 16])),
        motion_z_dim=draw(small),
        motion_v_dim=draw(small),
        max_num_frames=draw(st.integers(16, 99)),
        video_width=draw(small),
        mbstd_group_size=draw(small),
        num_fp16_res=draw(st.integers(0, 4)),
        conv_clamp=draw(st.sampled_from([None, 256])),
    )


@settings(max_examples=15)
@given(model=models())
def test_any_configuration_is_found_in_its_networks(model: ModelConfig) -> None:
    """Widths are what counts: another base that gives the same ones is as good."""
    found = MoCoGANSG2.from_official([Snapshot(official(model), {})]).config.model
    assert found.model_copy(update={"channel_base": 0, "channel_max": 0}) == model.model_copy(
        update={"channel_base": 0, "channel_max": 0}
    )


@pytest.fixture
def networks() -> Networks:
    """Those of a small configuration, to be changed."""
    return official(ModelConfig(resolution=16, z_dim=4, w_dim=5, channel_base=64, channel_max=8, video_width=2))


def test_missing_left_over_and_misshapen_tensors_are_named(networks: Networks) -> None:
    whole = networks["G_ema"]
    networks["G_ema"] = without(whole, "synthesis.b8.conv0.bias")
    assert refusal(networks).endswith("G_ema: the tensors do not fit the network: synthesis.b8.conv0.bias is missing")
    networks["G_ema"] = replace(whole, tensors=whole.tensors | {"synthesis.fuser.weight": torch.ones(1)})
    assert "synthesis.fuser.weight is unknown" in refusal(networks)
    networks["G_ema"], networks["D"] = whole, without(networks["D"], "video_discr.main.5.running_var")
    assert refusal(networks).startswith(
        "D: the tensors do not fit the network: video_discr.main.5.running_var is missing"
    )


ESSENTIAL = [
    "mapping.w_avg",
    "mapping.fc0.weight",
    "synthesis.b4.conv1.weight",
    "synthesis.motion_encoder.mapping.fc0.weight",
]


@pytest.mark.parametrize("name", ESSENTIAL)
@pytest.mark.parametrize("value", [None, torch.zeros(0), torch.zeros(2, 0), torch.full((1, 4), torch.nan)])
def test_what_the_configuration_is_read_off_may_be_anything(
    networks: Networks, name: str, value: torch.Tensor | None
) -> None:
    network = without(networks["G_ema"], name)
    networks["G_ema"] = network if value is None else replace(network, tensors=network.tensors | {name: value})
    assert refusal(networks)


def test_other_generators_of_the_same_code_are_named(networks: Networks) -> None:
    whole = networks["G_ema"]
    motion = [name for name in whole.tensors if ".rnn." in name]
    networks["G_ema"] = without(whole, *motion)
    assert "it is not MoCoGAN+SG2" in refusal(networks)
    networks["G_ema"] = replace(whole, tensors=whole.tensors | {"mapping.embed.weight": torch.ones(5, 3)})
    assert "several classes" in refusal(networks)


def test_a_file_that_records_no_precision_is_read_with_a_safe_one(networks: Networks) -> None:
    for arguments in ({}, {"synthesis_kwargs": {}}, {"synthesis_kwargs": ["num_fp16_res"]}):
        networks["G_ema"] = replace(networks["G_ema"], arguments=arguments)
        model = MoCoGANSG2.from_official([Snapshot(networks, {})]).config.model
        assert (model.num_fp16_res, model.conv_clamp) == (0, 256)


@pytest.mark.parametrize("attributes", [{"max_num_frames": "long"}, {"max_num_frames": 3}])
def test_settings_that_cannot_be_are_refused(networks: Networks, attributes: dict[str, Any]) -> None:
    networks["G_ema"] = replace(networks["G_ema"], attributes={"sampling_dict": attributes})
    assert "max_num_frames" in refusal(networks)


def test_one_file_with_an_averaged_generator_is_needed(networks: Networks) -> None:
    twice = [Snapshot(networks, {})] * 2
    with pytest.raises(ValueError, match="one file, and 2 were given"):
        MoCoGANSG2.from_official(twice)
    del networks["G_ema"]
    assert refusal(networks) == "it has no network G_ema, but D"
