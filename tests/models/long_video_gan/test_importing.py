"""LongVideoGAN in its authors' files: either stage or both are found whole, and anything unexpected is named."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.recordings import Recording, load
from tests.recordings.stylegan_v import state
from tests.weights.persisting import Code, attributes, file, module, tensor
from vidbench import config
from vidbench.checkpoints import load_checkpoint
from vidbench.errors import UserError
from vidbench.importing import open_import
from vidbench.models.long_video_gan import LongVideoGAN
from vidbench.models.long_video_gan.config import LongVideoGANConfig, LowResModel, ModelConfig, SuperResModel
from vidbench.models.long_video_gan.importing import BUILDERS
from vidbench.models.long_video_gan.networks import build_lowres_generator, build_superres_generator
from vidbench.models.long_video_gan.temporal_noise import PAPER, TimeScales
from vidbench.stage import Imported, Network, Snapshot, load_network
from vidbench.weights.persistence import read_snapshot

REFERENCE = Path(__file__).parents[2] / "reference"
SMALL = REFERENCE / "long_video_gan" / "tiny_lres_checkpoint.pkl"
STYLEGAN_V = REFERENCE / "stylegan_v" / "tiny_checkpoint.pkl"
TIERS = ["paper-horseback", "paper-biking", "paper-sky", "paper-acid"]
Files = dict[str, dict[str, Network]]

TINY = ModelConfig(
    lowres=LowResModel(
        height=9, width=16, frames=4, channels=(6, 6, 6, 6, 5, 5, 4, 4, 3, 3, 2), temporal_emb_dim=8, w_dim=7,
        scales=TimeScales(40, 64, 4), discriminator_channels=(2, 3, 4, 5, 6), head_channels=7,
    ),
    superres=SuperResModel(
        height=18, width=32, frames=2, context=1, z_dim=5, w_dim=6, margin=3, num_layers=4, channel_base=100,
        channel_max=7, discriminator_channel_base=70, discriminator_channel_max=6, num_fp16_res=2,
    ),
)  # fmt: skip


def built_with(model: ModelConfig) -> dict[str, dict[str, Any]]:
    """What the authors' training gives to the networks' constructors."""
    low, high = model.lowres, model.superres
    sizes = {
        "hr_height": high.height,
        "hr_width": high.width,
        "lr_height": low.height,
        "lr_width": low.width,
        "num_fp16_res": high.num_fp16_res,
    }
    bank = {"min_sampling_rate": low.scales.min_rate, "max_sampling_rate": low.scales.max_rate}
    return {
        "lowres G": {
            "out_height": low.height,
            "out_width": low.width,
            "num_fp16_layers": 0,
            "temporal_padding": 8,
            "temporal_emb_dim": low.temporal_emb_dim,
            **({} if low.scales == PAPER else {"embedding_kwargs": bank}),
        },
        "lowres D": {"seq_length": low.frames, "max_edge": max(low.height, low.width), "num_fp16_res": 0},
        "superres G": {**sizes, "temporal_context": high.context, "fourfeats": False},
        "superres D": {**sizes, "channels": 3, "seq_length": high.frames},
    }


def official(model: ModelConfig) -> Files:
    """Networks of a configuration, by stage and name, as files would describe them."""
    found: Files = {"lowres": {}, "superres": {}}
    for kind, arguments in built_with(model).items():
        stage, part = kind.split()
        tensors = BUILDERS[kind](model, "cpu").state_dict()
        found[stage]["G_ema" if part == "G" else part] = Network(tensors, arguments, {})
    return found


@pytest.fixture(scope="module")
def made() -> Files:
    return official(TINY)


@pytest.fixture
def files(made: Files) -> Files:
    """Those of a tiny configuration, to be changed."""
    return {stage: dict(networks) for stage, networks in made.items()}


def imported(*networks: dict[str, Network]) -> Imported:
    return LongVideoGAN.from_official([Snapshot(own, {}) for own in networks])


def refusal(*networks: dict[str, Network]) -> str:
    with pytest.raises(ValueError) as caught:
        imported(*networks)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def changed(network: Network, tensors: dict[str, Tensor | None]) -> Network:
    """With other tensors; without those that are None."""
    return replace(network, tensors={n: x for n, x in {**network.tensors, **tensors}.items() if x is not None})


def described(tensors: dict[str, Tensor], **others: Any) -> Code:
    """A network of these tensors as its authors' files describe it, a module in another."""
    parts: dict[str, dict[str, Tensor]] = {}
    for name, x in tensors.items():
        first, _, rest = name.partition(".")
        parts.setdefault(first, {})[rest] = x
    own = {first: tensor(inner[""]) for first, inner in parts.items() if "" in inner}
    modules = {first: described(inner) for first, inner in parts.items() if "" not in inner}
    return module(attributes(own, modules, **others), prefix="")


def recording(name: str) -> Recording:
    return load(REFERENCE / "long_video_gan" / f"{name}.safetensors")


def require_recorded(video: Tensor, expected: Tensor) -> None:
    assert (video - expected).abs().max() <= 1e-4 * expected.std()


def test_the_recorded_file_becomes_a_run_that_makes_the_recorded_video(tmp_path: Path) -> None:
    found = open_import("long-video-gan", [SMALL], tmp_path, None)
    assert found.networks() == ["lowres: G_ema, 134 tensors, 39,016 numbers"]
    (path,) = found.save()
    assert path == tmp_path / "long-video-gan" / "imported-tiny_lres_checkpoint" / "lowres" / "last.safetensors"
    checkpoint, recorded = load_checkpoint(path), recording("lres_generator_36x64_t9")
    tensors = checkpoint.state["G_ema"]
    assert tensors.keys() == state(recorded).keys()
    assert all(tensors[name].equal(x) for name, x in state(recorded).items())
    model = LongVideoGANConfig(**checkpoint.about.config).model
    assert (model.lowres.height, model.lowres.width, model.lowres.w_dim) == (36, 64, 16)
    assert (model.lowres.channels, model.lowres.temporal_emb_dim) == ((10, 10, 10, 10, 10, 8, 8, 6, 6, 4, 4), 16)
    assert model.lowres.scales == TimeScales(40, 250, 16)
    network = build_lowres_generator(model, "cpu")
    load_network(network, tensors)
    with torch.no_grad():
        require_recorded(network(recorded["in/noise"], recorded.config["T"]), recorded["out/video"])


def test_a_super_resolution_file_becomes_a_run_that_makes_the_recorded_video(tmp_path: Path) -> None:
    recorded = recording("sres_generator_8x8_to_32x32")
    given = {name: x for name, x in recorded.config.items() if name not in ("N", "T", "truncation_psi")}
    (tmp_path / "sres.pkl").write_bytes(file(described(state(recorded), _init_kwargs=given)))
    (path,) = open_import("long-video-gan", [tmp_path / "sres.pkl"], tmp_path, None).save()
    assert path.parent.name == "superres"
    checkpoint = load_checkpoint(path)
    model = LongVideoGANConfig(**checkpoint.about.config).model
    network = build_superres_generator(model, "cpu")
    load_network(network, checkpoint.state["G_ema"])
    with torch.no_grad():
        require_recorded(network(recorded["in/z"], recorded["in/lr_video"]), recorded["out/video"])


@pytest.mark.parametrize("order", [("lowres", "superres"), ("superres", "lowres")])
def test_both_stages_are_told_apart_in_any_order_and_sampled(files: Files, order: tuple[str, str]) -> None:
    found = imported(*(files[stage] for stage in order))
    assert list(found.states) == ["lowres", "superres"]
    assert all(own.keys() == {"G_ema", "D"} for own in found.states.values())
    assert found.config.model.lowres == TINY.lowres
    assert (found.steps, found.fps) == (0, None)
    generator = LongVideoGAN.from_states(found.config, found.states, 25.0)
    assert generator.sample([0], 3).shape == (1, 3, 3, 18, 32)


def test_one_stage_alone_is_a_run_that_says_which_other_it_needs(files: Files) -> None:
    low, high = imported({"G_ema": files["lowres"]["G_ema"]}), imported({"G_ema": files["superres"]["G_ema"]})
    assert (low.config.model.superres.height, low.config.model.superres.width) == (36, 64)
    assert (high.config.model.lowres.height, high.config.model.lowres.width) == (9, 16)
    assert (low.states.keys(), high.states.keys()) == ({"lowres"}, {"superres"})
    with pytest.raises(
        ValueError, match="superres is not trained; vidbench sample --set superres=false makes low-resolution videos"
    ):
        LongVideoGAN.from_states(low.config, low.states, 25.0)
    with pytest.raises(ValueError, match="lowres is not trained"):
        LongVideoGAN.from_states(high.config, high.states, 25.0)
    states = {**low.states, **high.states}
    assert LongVideoGAN.from_states(high.config.model_copy(update={"model": TINY}), states, 25.0).size == (18, 32)
    alone = LongVideoGAN.from_states(low.config, low.states, 25.0, superres=False)
    assert alone.sample([0], 2).shape == (1, 3, 2, 9, 16)


def test_steps_are_those_that_all_files_record(files: Files) -> None:
    def steps(*counts: object) -> int:
        snapshots = zip(files.values(), counts, strict=True)
        return LongVideoGAN.from_official([Snapshot(own, {"batch_idx": n}) for own, n in snapshots]).steps

    assert [steps(7, 7), steps(7, 8), steps("x", "x")] == [7, 0, 0]


def test_networks_of_the_papers_size_are_recognised() -> None:
    expected = config.shipped(LongVideoGANConfig, "models/long_video_gan", "paper-horseback")
    found = imported(*official(expected.model).values())
    assert found.config.model == expected.model
    assert found.config.stages == expected.stages


@pytest.mark.parametrize("tier", TIERS)
def test_the_papers_configurations_have_the_papers_numbers_of_parameters(tier: str) -> None:
    """In millions: of the authors' networks for 144x256."""
    model = config.shipped(LongVideoGANConfig, "models/long_video_gan", tier).model
    with torch.device("meta"):
        networks = {kind: build(model, "meta") for kind, build in BUILDERS.items()}
    assert {kind: round(sum(p.numel() for p in network.parameters()) / 1e6, 1) for kind, network in networks.items()} \
        == {"lowres G": 83.2, "lowres D": 46.4, "superres G": 27.2, "superres D": 24.0}  # fmt: skip
    assert networks["superres G"].size == ((256, 256) if tier == "paper-sky" else (144, 256))


@st.composite
def models(draw: st.DrawFn) -> ModelConfig:
    height, width = draw(st.sampled_from([(9, 16), (16, 16), (8, 8), (18, 32)]))
    few, some = st.integers(1, 6), st.integers(2, 300)
    factor, count = draw(st.sampled_from([2, 4])), draw(few)
    return ModelConfig(
        lowres=LowResModel(
            height=height,
            width=width,
            frames=draw(st.integers(1, 33)),
            channels=draw(st.tuples(*[few] * 11)),
            temporal_emb_dim=count * draw(few),
            w_dim=draw(few),
            scales=TimeScales(draw(st.integers(20, 40)), draw(st.integers(40, 100)), count),
            discriminator_channels=draw(st.tuples(*[few] * 5)),
            head_channels=draw(few),
        ),
        superres=SuperResModel(
            height=height * factor,
            width=width * factor,
            frames=draw(few),
            context=draw(st.integers(0, 4)),
            z_dim=draw(few),
            w_dim=draw(few),
            margin=draw(few),
            num_layers=draw(st.integers(4, 8)),
            channel_base=width * factor * draw(few) + draw(st.integers(0, 9)),
            channel_max=draw(st.integers(2, 20)),
            discriminator_channel_base=width * factor + draw(some),
            discriminator_channel_max=draw(some),
            num_fp16_res=draw(st.integers(0, 4)),
        ),
    )


WIDTHS = ("channel_base", "channel_max", "discriminator_channel_base", "discriminator_channel_max")


@settings(max_examples=15)
@given(model=models())
def test_any_configuration_is_found_in_its_networks(model: ModelConfig) -> None:
    """Widths are what counts: another base that gives the same ones is as good."""
    found = imported(*official(model).values()).config.model
    assert found.lowres == model.lowres
    assert found.superres.model_dump(exclude=set(WIDTHS)) == model.superres.model_dump(exclude=set(WIDTHS))


def test_missing_left_over_and_misshapen_tensors_are_named(files: Files) -> None:
    generators = {stage: {"G_ema": networks["G_ema"]} for stage, networks in files.items()}
    cases: list[tuple[str, str, str, Tensor | None, str]] = [
        ("lowres", "G_ema", "temporal_layers.3.bias_0", None, "is missing"),
        ("lowres", "D", "blocks.2.conv_0._bias", torch.ones(3), "has shape [3] instead of [4]"),
        ("superres", "G_ema", "SG3.synthesis.frequencies", torch.ones(1), "is unknown"),
        ("superres", "D", "b4.out.weight", None, "is missing"),
    ]
    for stage, name, wrong, value, reason in cases:
        said = refusal(generators[stage] | {name: changed(files[stage][name], {wrong: value})})
        assert said == f"{stage} {name}: the tensors do not fit the network: {wrong} {reason}"


def test_filters_of_other_arguments_are_refused(files: Files) -> None:
    low, high = files["lowres"]["G_ema"], files["superres"]["G_ema"]
    given = {"embedding_kwargs": {"min_sampling_rate": 50, "max_sampling_rate": 64}}
    name = "temporal_emb.blur_filters"
    expected = f"lowres G_ema: the filter {name} is not that of a network with these arguments"
    assert refusal({"G_ema": replace(low, arguments=low.arguments | given)}) == expected
    assert refusal({"G_ema": changed(low, {name: low.tensors[name] * torch.nan})}) == expected
    bare = {name: x for name, x in low.arguments.items() if name != "embedding_kwargs"}
    assert refusal({"G_ema": replace(low, arguments=bare)}) == "its temporal filters have 32 taps instead of 5000"
    name = next(name for name in high.tensors if name.endswith("up_filter"))
    assert f"superres G_ema: the filter {name}" in refusal({"G_ema": changed(high, {name: high.tensors[name] * 1.01})})


ESSENTIAL = {
    "lowres": ["latent_mapping.layer_0.weight", "temporal_emb.blur_filters", "spatial_input"],
    "superres": ["SG3.mapping.fc0.weight", "SG3.synthesis.L0_22_15_7.weight", "SG3.synthesis.L4_32_18_3.weight"],
}


@pytest.mark.parametrize(("stage", "name"), [(stage, name) for stage, names in ESSENTIAL.items() for name in names])
@pytest.mark.parametrize("value", [None, torch.zeros(0), torch.zeros(2, 0), torch.zeros(1, 4)])
def test_what_the_configuration_is_read_off_may_be_anything(
    files: Files, stage: str, name: str, value: Tensor | None
) -> None:
    assert name in files[stage]["G_ema"].tensors
    assert refusal({"G_ema": changed(files[stage]["G_ema"], {name: value})})


@pytest.mark.parametrize("name", ["L9_9_9_9", "L4_64_36_3", "L5_48_48_3", "L99999999999_32_18_3", "L4_9999_9999_99999"])
def test_layers_may_be_named_anything(files: Files, name: str) -> None:
    """Their names say of what sizes the network is."""
    generator = files["superres"]["G_ema"]
    assert refusal({"G_ema": changed(generator, {f"SG3.synthesis.{name}.weight": torch.ones(3, 9, 1, 1)})})


ARGUMENTS = {
    "fourfeats": ("superres", "G_ema", {"fourfeats": True}, "fourfeats = True instead of False"),
    "by position": ("lowres", "G_ema", {"0": 36}, "0"),
    "other": (
        "lowres",
        "G_ema",
        {"attention": True, "temporal_ksize": 5},
        "attention, temporal_ksize = 5 instead of 3",
    ),
    "nested": ("lowres", "G_ema", {"mapping_kwargs": {"num_layers": 8}}, "mapping_kwargs.num_layers = 8 instead of 2"),
    "not nested": ("lowres", "D", {"epilogue_kwargs": [1]}, "epilogue_kwargs"),
    "grey": ("superres", "D", {"channels": 1}, "channels = 1 instead of 3"),
}


@pytest.mark.parametrize(("stage", "name", "given", "named"), ARGUMENTS.values(), ids=ARGUMENTS)
def test_unknown_constructor_arguments_are_named(
    files: Files, stage: str, name: str, given: dict[str, Any], named: str
) -> None:
    network = files[stage][name]
    files[stage][name] = replace(network, arguments=network.arguments | given)
    assert refusal(files[stage]) == f"{stage} {name} was built with unknown arguments: {named}"


def test_arguments_that_do_nothing_are_accepted(files: Files) -> None:
    generator, judge = files["lowres"]["G_ema"], files["lowres"]["D"]
    idle = {"channels": 3, "channels_base": 9, "channels_max": 9, "num_fp16_res": 4, "conv_clamp": 256.0}
    files["lowres"]["D"] = replace(judge, arguments=judge.arguments | idle)
    files["lowres"]["G_ema"] = replace(generator, arguments=generator.arguments | {"num_fp16_layers": 4})
    assert imported(files["lowres"]).config.model.lowres == TINY.lowres


def test_attributes_stand_for_arguments_that_are_not_recorded(files: Files) -> None:
    network = files["superres"]["G_ema"]
    said = {"lr_height": 9, "lr_width": 16}
    found = imported({"G_ema": Network(network.tensors, {}, {**said, "num_fp16_res": 1})}).config.model
    assert (found.lowres.height, found.lowres.width, found.superres.num_fp16_res) == (9, 16, 1)
    assert imported({"G_ema": Network(network.tensors, said, {})}).config.model.superres.num_fp16_res == 4
    assert (
        refusal({"G_ema": Network(network.tensors, {}, {})}) == "its lr_height is None, and a number above 0 is needed"
    )


@pytest.mark.parametrize("size", [0, -16, 12, 16.5, 10**12, True, "16", None, [16], float("nan"), float("inf")])
@pytest.mark.parametrize(("stage", "name"), [("lowres", "out_width"), ("superres", "lr_width")])
def test_recorded_sizes_may_be_anything(files: Files, stage: str, name: str, size: object) -> None:
    network = files[stage]["G_ema"]
    assert refusal({"G_ema": replace(network, arguments=network.arguments | {name: size})})


def test_widths_that_no_generator_has_are_refused(files: Files) -> None:
    network = files["superres"]["G_ema"]
    names = {name: name.replace("L3_32_18_3", "L3_32_18_7") for name in network.tensors}
    renamed = replace(network, tensors={names[name]: x for name, x in network.tensors.items()})
    assert refusal({"G_ema": renamed}) == "no such generator has layers of 7, 7, 3, 7 channels"


def test_networks_that_contradict_each_other_are_refused(files: Files) -> None:
    judge = files["superres"]["D"]
    files["superres"]["D"] = replace(judge, arguments=judge.arguments | {"lr_width": 8})
    assert refusal(files["superres"]) == "G_ema has lr_width = 16, and D has 8"
    other = TINY.model_copy(update={"lowres": TINY.lowres.model_copy(update={"height": 16})})
    low = Network(BUILDERS["lowres G"](other, "cpu").state_dict(), built_with(other)["lowres G"], {})
    assert refusal({"G_ema": low}, {"G_ema": files["superres"]["G_ema"]}) == (
        "the low-resolution frames are of 16x16, and super-resolution takes 9x16"
    )


def test_files_that_do_not_belong_together_are_refused(files: Files) -> None:
    low, high = files["lowres"], files["superres"]
    assert refusal(low, low) == "two files are of the stage lowres, of which there can be one"
    assert refusal(low | {"D": high["D"]}) == "D is the network superres D instead of lowres D"
    assert refusal({"G_ema": low["D"]}) == "G_ema is the network lowres D instead of lowres G"
    said = refusal({"G": low["G_ema"], "D": low["D"], "augment": low["D"]})
    assert said.startswith("a file has no averaged generator G_ema, but G, D, augment; the authors' training writes")
    assert refusal(dict(read_snapshot(STYLEGAN_V).networks)) == "G_ema is none of LongVideoGAN's networks"


def test_a_refusal_names_files_and_model(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"tiny_checkpoint\.pkl cannot be imported as long-video-gan: G_ema is none of"):
        open_import("long-video-gan", [SMALL, STYLEGAN_V], tmp_path, None)
