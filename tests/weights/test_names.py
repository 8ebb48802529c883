"""Every public naming of the network leads to the same tensors under the same names."""

import json
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import safetensors.torch
import torch

from tests.weights.making import scripted, tensorflow_layout, with_counters
from vidbench.errors import UserError
from vidbench.weights import canonical, names, read_tensors
from vidbench.weights.names import COUNTER, load_table, spellings

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
Tensors = Mapping[str, torch.Tensor]
ROWS = json.loads((Path(names.__file__).parent / "i3d_tensors.json").read_text())["tensors"]
ARCHIVE = {row["name"]: row["archive_name"] for row in ROWS}
TENSORFLOW = {row["name"]: row["tf_name"] for row in ROWS if row["tf_name"]}


def archive_name(name: str) -> str:
    if name.endswith(COUNTER):
        return ARCHIVE[name.removesuffix(COUNTER) + ".weight"].removesuffix(".weight") + COUNTER
    return ARCHIVE[name]


def in_archive(tensors: Tensors) -> dict[str, torch.Tensor]:
    return {archive_name(name): tensor for name, tensor in tensors.items()}


def in_tensorflow(tensors: Tensors, hub: bool = True) -> dict[str, torch.Tensor]:
    return {name: tensorflow_layout(tensors[key], hub=hub) for key, name in TENSORFLOW.items()}


def save_script(tensors: Tensors, path: Path) -> None:
    scripted(in_archive(tensors)).save(str(path))


FORMS: dict[str, Callable[[Tensors, Path], object]] = {
    "canonical, zip": lambda tensors, path: torch.save(dict(tensors), path),
    "canonical, legacy": lambda tensors, path: torch.save(dict(tensors), path, _use_new_zipfile_serialization=False),
    "canonical, 344": lambda tensors, path: torch.save(with_counters(tensors), path),
    "archive": save_script,
    "archive, 344": lambda tensors, path: save_script(with_counters(tensors), path),
    "canonical, safetensors": lambda tensors, path: safetensors.torch.save_file(dict(tensors), path),
}


def assert_same(found: Tensors, wanted: Tensors) -> None:
    assert list(found) == list(wanted)
    for name, tensor in wanted.items():
        assert found[name].dtype == torch.float32
        assert found[name].is_contiguous()
        assert torch.equal(found[name], tensor)


def test_the_generated_weights_are_the_ones_described(network: Tensors) -> None:
    assert len(network) == 287
    assert zlib.crc32(network["Conv3d_1a_7x7.conv3d.weight"].numpy().tobytes()) == 0xAAF85A9B
    assert zlib.crc32(network["Mixed_5b.b2b.bn.running_var"].numpy().tobytes()) == 0x38D014BA
    assert zlib.crc32(network["logits.conv3d.bias"].numpy().tobytes()) == 0xDCA9EBBF
    total = 0
    for name in sorted(network):
        total = zlib.crc32(network[name].numpy().tobytes(), total)
    assert total == 0x5A87C9FE


@pytest.mark.parametrize("form", FORMS)
def test_the_network_loads_equal_from_every_public_form(network: Tensors, tmp_path: Path, form: str) -> None:
    FORMS[form](network, tmp_path / "file")
    found = read_tensors(tmp_path / "file")
    assert len(found) == (344 if "344" in form else 287)
    assert_same(canonical(found), network)


@pytest.mark.parametrize("hub", [True, False])
def test_tensorflow_has_another_layout_and_scales_of_one(network: Tensors, tmp_path: Path, hub: bool) -> None:
    variables = in_tensorflow(network, hub)
    assert len(variables) == 230
    safetensors.torch.save_file(variables, tmp_path / "file")
    wanted = {name: torch.ones_like(t) if name.endswith(".bn.weight") else t for name, t in network.items()}
    assert_same(canonical(read_tensors(tmp_path / "file")), wanted)


def test_the_rule_knows_all_names_of_the_table() -> None:
    known = spellings(ARCHIVE)
    for name, archive in ARCHIVE.items():
        assert known[archive.lower()] == name
    for name, variable in TENSORFLOW.items():
        assert known[variable.removeprefix("RGB/inception_i3d/").replace("/", ".").lower()] == name


@pytest.mark.parametrize("prefix", ["module.", "i3d.", "model.i3d.module.", "v/RGB/inception_i3d/"])
def test_a_common_prefix_does_not_matter(network: Tensors, prefix: str) -> None:
    assert_same(canonical({prefix + name: tensor for name, tensor in network.items()}), network)
    assert_same(canonical({prefix + name: tensor for name, tensor in in_archive(network).items()}), network)


def test_a_repaired_name_in_mixed_5b_and_output_suffixes_are_known(network: Tensors) -> None:
    variables = {
        name.replace("Mixed_5b/Branch_2/Conv3d_0a_3x3", "Mixed_5b/Branch_2/Conv3d_0b_3x3") + ":0": tensor
        for name, tensor in in_tensorflow(network).items()
    }
    assert torch.equal(canonical(variables)["Mixed_5b.b2b.conv3d.weight"], network["Mixed_5b.b2b.conv3d.weight"])


def test_half_and_double_precision_are_converted(network: Tensors) -> None:
    assert_same(canonical({name: tensor.double() for name, tensor in network.items()}), network)


def refusal(tensors: Tensors) -> str:
    with pytest.raises(UserError) as caught:
        canonical(tensors, source="weights.pt")
    assert str(caught.value).startswith("weights.pt ")
    return str(caught.value)


def test_unknown_and_missing_names_are_counted_and_the_first_ones_shown(network: Tensors) -> None:
    renamed = {name.replace("Mixed_4", "mixed4"): tensor for name, tensor in network.items()}
    message = refusal(renamed)
    assert "150 names are unknown, or there twice (mixed4b.b0.conv3d.weight, mixed4b.b0.bn.weight, " in message
    assert "150 names are missing (Mixed_4b.b0.conv3d.weight, Mixed_4b.b0.bn.weight, " in message
    assert len(message) < 700


def test_one_missing_tensor_is_named(network: Tensors) -> None:
    message = refusal({name: tensor for name, tensor in network.items() if name != "Mixed_3c.b0.bn.weight"})
    assert "1 name is missing (Mixed_3c.b0.bn.weight)" in message
    assert "unknown" not in message


def test_two_networks_in_one_file_are_refused(network: Tensors) -> None:
    both = {f"{prefix}.{name}": tensor for prefix in ("ema", "model") for name, tensor in network.items()}
    assert "287 names are unknown, or there twice (model." in refusal(both)
    assert "1 name is unknown, or there twice (logits.conv3d.bias)" in refusal(
        {**in_archive(network), "logits.conv3d.bias": network["logits.conv3d.bias"]}
    )


def test_the_network_of_600_classes_is_refused(network: Tensors) -> None:
    other = {**network, "logits.conv3d.weight": torch.zeros(600, 1024, 1, 1, 1), "logits.conv3d.bias": torch.zeros(600)}
    message = refusal(other)
    assert "logits.conv3d.weight as float32 [600, 1024, 1, 1, 1]; I3D with 400 classes needs" in message
    assert "float32 [400, 1024, 1, 1, 1]" in message


def test_whole_numbers_are_no_weights(network: Tensors) -> None:
    assert "as int64 [400]" in refusal({**network, "logits.conv3d.bias": torch.zeros(400, dtype=torch.int64)})


def test_names_of_a_million_parts_are_refused_at_once() -> None:
    assert "unknown" in refusal({"a." * 10**6: torch.zeros(1), "b/" * 10**6 + "conv3d.weight": torch.zeros(1)})


def test_the_table_is_that_of_the_network() -> None:
    table = load_table()
    assert len(table) == 287
    assert sum(len(entry.checksums) == 2 for entry in table) == 230
    assert all(entry.name.endswith(".bn.weight") for entry in table if not entry.checksums)
    assert sum(torch.Size(entry.shape).numel() for entry in table) == 12_697_264 + 2 * 7_280
