"""StyleGAN-V in its authors' files: the configuration is found in the tensors, and anything unexpected is named."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from vidbench import config
from vidbench.models.stylegan_v import StyleGANV
from vidbench.models.stylegan_v.config import ModelConfig, StyleGANVConfig
from vidbench.models.stylegan_v.frames import FrameSampling
from vidbench.models.stylegan_v.motion import Motion, TimeEncoder
from vidbench.models.stylegan_v.networks import build_discriminator, build_generator
from vidbench.stage import Network, Snapshot
from vidbench.weights.persistence import read_snapshot

SMALL = Path(__file__).parents[2] / "reference" / "stylegan_v" / "tiny_checkpoint.pkl"
Networks = dict[str, Network]


@pytest.fixture(scope="module")
def recorded() -> Snapshot:
    return read_snapshot(SMALL)


@pytest.fixture
def networks(recorded: Snapshot) -> Networks:
    """Those of the recording, to be changed."""
    return dict(recorded.networks)


def official(model: ModelConfig) -> Networks:
    """Networks of a configuration as a file would describe them; all tensors but the waves' are on `meta`."""
    with torch.device("meta"):
        generator, discriminator = build_generator(model, "meta"), build_discriminator(model, "meta")
    waves = {"synthesis.motion_encoder.time_encoder.freqs": TimeEncoder(model.motion).freqs}
    precision = {"num_fp16_res": model.num_fp16_res, "conv_clamp": model.conv_clamp}
    frames = {
        "num_frames_per_video": model.sampling.num_frames,
        "max_dist": model.sampling.max_distance,
        "max_num_frames": model.sampling.max_num_frames,
        "fps": 30,
    }
    cfg = {"motion": {"motion_z_distance": model.motion.distance}, "sampling": frames}
    return {
        "G_ema": Network(generator.state_dict() | waves, {"synthesis_kwargs": precision}, {"cfg": cfg}),
        "D": Network(discriminator.state_dict(), precision, {"b4.mbstd.group_size": model.mbstd_group_size}),
    }


def refusal(networks: Networks) -> str:
    with pytest.raises(ValueError) as caught:
        StyleGANV.from_official([Snapshot(networks, {})])
    return str(caught.value)


def without(network: Network, *names: str) -> Network:
    return replace(network, tensors={key: value for key, value in network.tensors.items() if key not in names})


def test_the_recorded_snapshot_is_found_whole(recorded: Snapshot) -> None:
    found = StyleGANV.from_official([recorded])
    assert found.config.model == ModelConfig(
        resolution=32,
        z_dim=10,
        w_dim=10,
        channel_base=192,
        channel_max=8,
        motion=Motion(
            z_dim=6, v_dim=8, kernel_size=3, distance=8, time_dim=4, min_period=8, max_period=32, max_num_frames=32
        ),
        sampling=FrameSampling(num_frames=3, max_distance=32, max_num_frames=32),
        num_fp16_res=4,
        conv_clamp=256,
    )
    assert found.states["gan"].keys() == {"G", "D", "G_ema"}
    assert (found.steps, found.fps) == (10, 25)


def test_the_imported_generator_makes_the_recorded_frames(recorded: Snapshot) -> None:
    found = StyleGANV.from_official([recorded])
    run = load_file(SMALL.with_suffix(".safetensors"))
    generator = StyleGANV.from_states(found.config, found.states, 25.0).network
    with torch.no_grad():
        frames = generator(run["in/z"], run["in/c"], run["in/t"], run["in/motion_z"])
    assert (frames - run["out/img"]).abs().max() <= 1e-4 * run["out/img"].std()


@pytest.mark.parametrize("tier", ["paper-faceforensics", "paper-sky-timelapse"])
def test_networks_of_the_papers_size_are_recognised(tier: str) -> None:
    """With the numbers of parameters of the authors' 256x256 networks."""
    expected = config.shipped(StyleGANVConfig, "models/stylegan_v", tier)
    networks = official(expected.model)
    found = StyleGANV.from_official([Snapshot(networks, {})])
    assert found.config.model == expected.model
    assert found.config.stages.gan.gamma == pytest.approx(expected.stages.gan.gamma)
    assert found.config.stages.gan.steps == expected.stages.gan.steps
    assert found.fps == 30
    with torch.device("meta"):
        built = build_generator(found.config.model, "meta"), build_discriminator(found.config.model, "meta")
    assert [sum(p.numel() for p in network.parameters()) for network in built] == [32_105_941, 25_333_568]
    assert networks["G_ema"].tensors["synthesis.b4.conv1.weight"].shape == (512, 1024, 3, 3)
    assert networks["D"].tensors["b16.conv0.weight"].shape == (512, 768, 3, 3)


@st.composite
def models(draw: st.DrawFn) -> ModelConfig:
    resolution = draw(st.sampled_from([16, 32, 64]))
    widest, length = draw(st.sampled_from([8, 16])), draw(st.sampled_from([16, 33, 64]))
    period = draw(st.sampled_from([4, 16, 256]))
    return ModelConfig(
        resolution=resolution,
        z_dim=draw(st.integers(1, 12)),
        w_dim=draw(st.integers(1, 12)),
        c_dim=0,
        mapping_layers=draw(st.integers(1, 12)),
        channel_base=resolution * draw(st.sampled_from([2, 4, 8])),
        channel_max=widest,
        motion=Motion(
            z_dim=draw(st.integers(1, 9)),
            v_dim=draw(st.integers(1, 9)),
            kernel_size=draw(st.sampled_from([3, 11])),
            distance=draw(st.sampled_from([2.5, 16, 256])),
            time_dim=draw(st.integers(2, 9)),
            min_period=period,
            max_period=draw(st.sampled_from([256, 1024])) * 1.0,
            max_num_frames=length,
        ),
        sampling=FrameSampling(draw(st.integers(3, 5)), draw(st.sampled_from([8, 32])), length),
        concat_res=draw(st.sampled_from([res for res in (8, 16, 32) if res < resolution])),
        concat_divisor=2,
        mbstd_group_size=draw(st.integers(1, 8)),
        num_fp16_res=draw(st.integers(0, 4)),
        conv_clamp=draw(st.sampled_from([None, 256])),
    )


@settings(max_examples=25)
@given(model=models())
def test_any_configuration_is_found_in_its_networks(model: ModelConfig) -> None:
    """Widths are what counts: another base that gives the same ones is as good."""
    found = StyleGANV.from_official([Snapshot(official(model), {})]).config.model
    assert found.model_copy(update={"channel_base": 0, "channel_max": 0}) == model.model_copy(
        update={"channel_base": 0, "channel_max": 0}
    )


def test_labels_are_told_from_latents() -> None:
    model = ModelConfig(resolution=32, z_dim=7, w_dim=5, c_dim=3, channel_base=64, channel_max=8)
    found = StyleGANV.from_official([Snapshot({"G_ema": official(model)["G_ema"]}, {})]).config.model
    assert (found.z_dim, found.w_dim, found.c_dim) == (7, 5, 3)


def test_a_file_that_keeps_no_configuration_is_read_with_safe_defaults(networks: Networks) -> None:
    """Full precision, limits, the paper's sampling, points of the trajectory one shortest period apart."""
    bare = Network(networks["G_ema"].tensors, {}, {})
    found = StyleGANV.from_official([Snapshot({"G_ema": bare}, {})])
    model = found.config.model
    assert (model.num_fp16_res, model.conv_clamp, model.motion.distance) == (0, 256, 8)
    assert model.sampling == FrameSampling()
    assert (found.steps, found.fps) == (0, None)
    both = {"G_ema": bare, "D": Network(networks["D"].tensors, {}, {})}
    model = StyleGANV.from_official([Snapshot(both, {})]).config.model
    assert model.sampling == FrameSampling(3, 32, 32), "the length is in a tensor of D"


def test_missing_left_over_and_misshapen_tensors_are_named(networks: Networks) -> None:
    whole = networks["G_ema"]
    networks["G_ema"] = without(whole, "synthesis.b8.conv0.bias")
    assert refusal(networks).endswith("G_ema: the tensors do not fit the network: synthesis.b8.conv0.bias is missing")
    networks["G_ema"] = replace(whole, tensors=whole.tensors | {"synthesis.fuser.weight": torch.ones(1)})
    assert "synthesis.fuser.weight is unknown" in refusal(networks)
    networks["G_ema"] = replace(whole, tensors=whole.tensors | {"synthesis.b8.conv0.bias": torch.ones(3)})
    assert "synthesis.b8.conv0.bias has shape [3] instead of [8]" in refusal(networks)
    networks["G_ema"], networks["D"] = whole, without(networks["D"], "b4.out.weight")
    assert "D: the tensors do not fit the network: b4.out.weight is missing" in refusal(networks)


ESSENTIAL = [
    "mapping.w_avg",
    "mapping.fc0.weight",
    "synthesis.b4.conv1.weight",
    "synthesis.b32.torgb.weight",
    "synthesis.motion_encoder.conv.0.weight",
    "synthesis.motion_encoder.time_encoder.freqs",
]


@pytest.mark.parametrize("name", ESSENTIAL)
@pytest.mark.parametrize("value", [None, torch.zeros(0), torch.zeros(2, 0), torch.full((1, 4), torch.nan)])
def test_what_the_configuration_is_read_off_may_be_anything(
    networks: Networks, name: str, value: torch.Tensor | None
) -> None:
    network = without(networks["G_ema"], name)
    networks["G_ema"] = network if value is None else replace(network, tensors=network.tensors | {name: value})
    assert refusal(networks)


def test_unknown_constructor_arguments_are_named(networks: Networks) -> None:
    changed: dict[str, Any] = {"fourfeats": True, "synthesis_kwargs": {"num_fp16_res": 4, "architecture": "orig"}}
    networks["G_ema"] = replace(networks["G_ema"], arguments=changed)
    assert refusal(networks) == "G_ema was built with unknown arguments: fourfeats, synthesis_kwargs.architecture"
    networks["G_ema"] = replace(networks["G_ema"], arguments={"synthesis_kwargs": ["num_fp16_res"]})
    assert refusal(networks) == "G_ema was built with unknown arguments: synthesis_kwargs"


OTHERS = {
    "synthesis.motion_encoder.rnn.weight_ih_l0": "MoCoGAN",
    "synthesis.b8.conv0.noise_const": "noise",
    "synthesis.b8.skip.weight": "features",
}


@pytest.mark.parametrize(("name", "reason"), OTHERS.items())
def test_other_generators_of_the_same_code_are_named(networks: Networks, name: str, reason: str) -> None:
    network = networks["G_ema"]
    networks["G_ema"] = replace(network, tensors=network.tensors | {name: torch.ones(1)})
    assert reason in refusal(networks)


def test_networks_that_contradict_each_other_are_refused(networks: Networks) -> None:
    whole = networks["D"]
    networks["D"] = replace(whole, arguments=whole.arguments | {"conv_clamp": None})
    assert "they must agree" in refusal(networks)
    networks["D"] = replace(whole, tensors=whole.tensors | {"time_encoder.const_embed.weight": torch.zeros(64, 256)})
    assert refusal(networks) == "D knows videos of 64 frames by 3, and G of 32 by 3"


def test_one_file_with_an_averaged_generator_is_needed(recorded: Snapshot, networks: Networks) -> None:
    del networks["G_ema"]
    assert refusal(networks) == "it has no network G_ema, but G, D, augment_pipe"
    with pytest.raises(ValueError, match="one file, and 2 were given"):
        StyleGANV.from_official([recorded, recorded])
