"""Persistence pickles: their networks are read as data, whatever they carry beside them, and nothing runs."""

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from tests.weights.persisting import attributes, call, code, file, made, module, name, storage, tensor
from vidbench.errors import UserError
from vidbench.stage import Network, Snapshot
from vidbench.weights.persistence import read_snapshot

REFERENCE = Path(__file__).parents[1] / "reference"
SMALL = REFERENCE / "stylegan_v" / "tiny_checkpoint.pkl"
LOW_RESOLUTION = REFERENCE / "long_video_gan" / "tiny_lres_checkpoint.pkl"
ONES = torch.ones(3)


def write(folder: Path, value: Any) -> Path:
    (folder / "file.pkl").write_bytes(value if isinstance(value, bytes) and value[:1] == b"\x80" else file(value))
    return folder / "file.pkl"


def read(folder: Path, state: Any, **changes: Any) -> Network:
    return read_snapshot(write(folder, module(state, **changes))).networks["G_ema"]


def refusal(folder: Path, value: Any) -> str:
    path = write(folder, value)
    with pytest.raises(UserError) as caught:
        read_snapshot(path)
    message = str(caught.value)
    assert message.startswith(f"{path} is not a readable pickle of networks (")
    assert message.endswith("nothing in it was run; check that it is what the authors published.")
    assert "\n" not in message
    return message


def recorded(path: Path, prefix: str) -> dict[str, torch.Tensor]:
    return {key.removeprefix(prefix): value for key, value in load_file(path).items() if key.startswith(prefix)}


def assert_same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert found[key].dtype == value.dtype and torch.equal(found[key], value), key


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    return read_snapshot(SMALL)


@pytest.mark.parametrize("network", ["G", "D", "G_ema"])
def test_a_training_snapshot_has_the_recorded_tensors(snapshot: Snapshot, network: str) -> None:
    assert_same(snapshot.networks[network].tensors, recorded(SMALL.with_suffix(".safetensors"), f"state/{network}."))


def test_a_training_snapshot_has_arguments_attributes_and_counters(snapshot: Snapshot) -> None:
    generator, discriminator = snapshot.networks["G_ema"], snapshot.networks["D"]
    assert generator.arguments["synthesis_kwargs"] == {
        "num_fp16_res": 4,
        "conv_clamp": 256,
        "channel_base": 192,
        "channel_max": 8,
    }
    assert generator.attributes["cfg"]["motion"]["motion_z_distance"] == 8
    assert generator.attributes["sampling_dict"]["total_dists"] == [1, 2, 4, 8, 16, 32]
    assert discriminator.attributes["b4.mbstd.group_size"] == 4
    assert snapshot.stats == {"cur_nimg": 1920, "cur_tick": 3, "batch_idx": 10}
    assert set(snapshot.networks) == {"G", "D", "G_ema", "augment_pipe"}


def test_a_file_that_is_one_network_has_the_recorded_tensors() -> None:
    network = read_snapshot(LOW_RESOLUTION).networks["G_ema"]
    assert_same(network.tensors, recorded(LOW_RESOLUTION.with_name("lres_generator_36x64_t9.safetensors"), "state/"))
    assert network.arguments["channels"] == [10, 10, 10, 10, 10, 8, 8, 6, 6, 4, 4]


@pytest.fixture
def importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The packages that files name, importable, leaving a mark if anyone imports them."""
    mark = tmp_path / "imported"
    for package in ("src", "torch_utils", "dnnlib", "omegaconf", "training"):
        for folder in (package, f"{package}/torch_utils", f"{package}/dnnlib"):
            (tmp_path / "path" / folder).mkdir(parents=True, exist_ok=True)
            for stem in ("__init__", "persistence", "util", "dictconfig", "layers"):
                text = f"from pathlib import Path\nPath({str(mark)!r}).touch()\nraise RuntimeError\n"
                (tmp_path / "path" / folder / f"{stem}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path / "path")
    return mark


def test_nothing_is_imported_or_run_although_it_could_be(importable: Path) -> None:
    before = set(sys.modules)
    assert read_snapshot(SMALL).networks
    assert not importable.exists()
    assert not {"src", "torch_utils", "dnnlib", "omegaconf", "training"} & (set(sys.modules) - before)
    with pytest.raises(RuntimeError):
        __import__("src.torch_utils.persistence")
    assert importable.exists(), "the mark is left by whoever imports them"


def test_modules_nest_and_hidden_buffers_are_left_out(tmp_path: Path) -> None:
    inner = attributes({"weight": tensor(ONES), "bias": None}, gain=np.sqrt(0.5).item())
    inner |= {"_buffers": {"filter": tensor(2 * ONES), "cache": tensor(ONES)}, "_non_persistent_buffers_set": {"cache"}}
    container = made("torch.nn.modules.container.Sequential", attributes({}, {"0": module(inner), "1": None}))
    network = read(tmp_path, attributes({"scale": tensor(torch.tensor(3.0))}, {"conv": container}, width=7))
    expected = {"scale": torch.tensor(3.0), "conv.0.weight": ONES, "conv.0.filter": 2 * ONES}
    assert_same(network.tensors, expected)
    assert list(network.tensors) == list(expected)
    assert network.attributes["width"] == 7 and network.attributes["conv.0.gain"] == pytest.approx(0.5**0.5)


def test_names_may_stand_without_the_package(tmp_path: Path) -> None:
    state = attributes({"w": tensor(ONES)}, _init_kwargs=call("dnnlib.util.EasyDict"))
    assert_same(read(tmp_path, state, prefix="").tensors, {"w": ONES})


def node(value: Any, **state: Any) -> Any:
    kind = "omegaconf.dictconfig.DictConfig" if isinstance(value, dict) else "omegaconf.nodes.AnyNode"
    return made(kind, {"_content" if isinstance(value, dict) else "_val": value, "_parent": None, **state})


def test_configurations_become_plain_values_and_references_are_followed(tmp_path: Path) -> None:
    """The container is remembered before it has attributes, so that what is in it points back to it."""
    values = {"same": "${motion.z}", "nowhere": "${no.such}"}
    inside = {key: node(value, _parent=code_of(b"h\x00")) for key, value in values.items()}
    content = {"motion": node({"z": node(6)}), "all": made_list(1, "a"), **inside}
    start = name("omegaconf.dictconfig.DictConfig") + b")\x81\x94"
    cfg = code_of(start + code({"_parent": None, "_content": content}) + b"b")
    network = read(tmp_path, attributes({"w": tensor(ONES)}, cfg=cfg))
    assert network.attributes["cfg"] == {"motion": {"z": 6}, "same": 6, "nowhere": None, "all": [1, "a"]}


def code_of(content: bytes) -> Any:
    return type(code(None))(content)


def made_list(*values: Any) -> Any:
    return made("omegaconf.listconfig.ListConfig", {"_content": [node(value) for value in values], "_parent": None})


def dtype(text: str, order: str = "<") -> Any:
    described = call("numpy.dtype", text, False, True)
    return code_of(described + code((3, order, None, None, None, -1, -1, 0)) + b"b")


@pytest.mark.parametrize("core", ["core", "_core"])
@pytest.mark.parametrize(("kind", "value"), [("f8", 0.25), ("i8", -3), ("b1", True), ("f4", 1.5)])
def test_numpy_scalars_are_numbers(tmp_path: Path, core: str, kind: str, value: Any) -> None:
    content = np.array(value, kind).tobytes()
    state = attributes({"w": tensor(ONES)}, x=call(f"numpy.{core}.multiarray.scalar", dtype(kind), content))
    assert read(tmp_path, state).attributes["x"] == value


def test_numpy_objects_are_refused(tmp_path: Path) -> None:
    state = attributes(x=call("numpy.core.multiarray.scalar", dtype("O8", "|"), b"12345678"))
    assert "NumPy values of the kind 'O8'" in refusal(tmp_path, module(state))


def test_attributes_without_end_are_left_out(tmp_path: Path) -> None:
    """A dictionary in itself, and a list nested 10,000 deep."""
    cycle = code_of(b"}\x94X\x04\0\0\0selfh\0s")
    deep = code_of(b"]" * 10_000 + b"a" * 9_999)
    network = read(tmp_path, attributes({"w": tensor(ONES)}, cycle=cycle, deep=deep, plain=1))
    assert_same(network.tensors, {"w": ONES})
    assert network.attributes == {"training": False, "plain": 1}


def nested(depth: int) -> bytes:
    """Modules in modules; written from the outside in, as that many values deep no other way is."""
    meta = code({"type": "class", "version": 6, "module_src": "", "class_name": "A"})
    start = name("torch_utils.persistence._reconstruct_persistent_obj") + b"(" + meta + code("state") + b"}"
    start += code("_parameters") + b"}s" + code("_buffers") + b"}s" + code("_modules") + b"}" + code("a")
    return b"\x80\x04" + start * depth + b"N" + b"ssstR" * depth + b"."


def twins(depth: int) -> dict[str, Any]:
    """Modules in modules, each twice in the next: 2^depth ways to the last."""
    kept = [code_of(module(attributes()) + b"\x94")]
    for i in range(depth):
        before = code_of(b"h" + bytes([i]))
        kept.append(code_of(module(attributes({}, {"a": before, "b": before})) + b"\x94"))
    return {"others": kept, "G_ema": code_of(b"h" + bytes([depth]))}


def many(count: int) -> dict[str, Any]:
    """One storage of 4,000 bytes, in many tensors."""
    view = call("torch._utils._rebuild_tensor_v2", code_of(b"h\x00"), 0, (1000,), (1,), False, {})
    return {
        "other": code_of(storage(torch.zeros(1000)) + b"\x94"),
        "G_ema": module(attributes({f"w{i}": view for i in range(count)})),
    }


WEIGHT = attributes({"w": tensor(ONES)})
HOSTILE = {
    "os.system": (call("posix.system", "touch ran"), "'posix.system', which no tensor needs"),
    "os.system by its own name": (call("os.system", "touch ran"), "'os.system'"),
    "eval": (call("builtins.eval", "open('ran', 'w')"), "'builtins.eval'"),
    "getattr": (call("builtins.getattr", "x", "upper"), "'builtins.getattr'"),
    "a method of a class that is known": (call("collections.OrderedDict.fromkeys", [1]), "OrderedDict.fromkeys"),
    "a package of another name": (call("evil.torch_utils.persistence._reconstruct_persistent_obj", {}), "evil"),
    "a class of torch": (made("torch.nn.modules.linear.Linear", {}), "'torch.nn.modules.linear.Linear'"),
    "a call of a type": (call("builtins.dict"), "damaged"),
    "a torch.load": (call("torch.serialization.load", "ran"), "'torch.serialization.load'"),
    "a call in a module": (module(attributes(x=call("posix.system", "touch ran"))), "'posix.system'"),
    "another version": (module(WEIGHT, version=7), "version 7"),
    "a version that is a text": (module(WEIGHT, version="6"), "version str"),
    "another type": (module(WEIGHT, type="function"), "persistent function"),
    "another description": (module(WEIGHT, more=1), "in an unknown way"),
    "a count too large": (module(attributes({"w": tensor(ONES, 4)})), "ends too early"),
    "a count too small": (module(attributes({"w": tensor(ONES, 2)})), "another length than it says|does not fit"),
    "a huge count": (module(attributes({"w": tensor(ONES, 2**40)})), "ends too early"),
    "a storage that is no file": (call("torch.storage._load_from_bytes", b"abc" * 200), "."),
    "a pickle in a storage": (
        call("torch.storage._load_from_bytes", file(call("posix.system", "x"))),
        "'posix.system'",
    ),
    "a storage beside the file": (code_of(code(("storage", None, "0", "cpu", 3)) + b"Q"), "BINPERSID"),
    "tensors larger than the file": (many(100), "more bytes than the file"),
    "modules nested 10,000 deep": (nested(10_000), "nested without end"),
    "twins": (twins(100), "nested without end"),
    "arguments without end": (module(attributes(_init_kwargs={"a": code_of(b"]" * 10_000 + b"a" * 9_999)})), "nested"),
    "a parameter that is a text": (module(attributes({"w": "text"})), "damaged"),
    "a module that is a text": (module(attributes({}, {"w": "text"})), "'w' is no module"),
    "a name with a dot": (module(attributes({"a.b": tensor(ONES)})), "names a part 'a.b'"),
    "no network": ({"G_ema": None}, "holds no network"),
    "a list": ([1, 2], "holds no network"),
    "a long text": (b"\x80\x04X\xff\xff\xff\x7fa.", "a text of 2,147,483,647 bytes"),
    "a far memo": (b"\x80\x04Nr\xff\xff\xff\xff.", "holds no network"),
    "endless instructions": (["a" * 1000] * 9000, "8,388,608 bytes of instructions"),
    "no end": (b"\x80\x04N", "exhausted"),
    "a line without end": (b"\x80\x04c" + b"a" * 5000, "damaged"),
    "an unknown instruction": (b"\x80\x04\xff.", "unknown"),
}


@pytest.mark.parametrize(("value", "reason"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_files_are_refused_in_one_sentence_and_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: Any, reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    began = time.monotonic()
    assert any(part in refusal(tmp_path, value) for part in reason.split("|"))
    assert time.monotonic() - began < 30
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04" + bytes(100), b"<html></html>", b"cposix\nsystem\n"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file.pkl").write_bytes(content)
    with pytest.raises(UserError, match="is not a readable pickle of networks"):
        read_snapshot(tmp_path / "file.pkl")


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.pkl", tmp_path):
        with pytest.raises(UserError, match=r"cannot be read \(.+\)\. Check the path\."):
            read_snapshot(path)


def test_a_part_of_a_file_is_refused(tmp_path: Path) -> None:
    content = SMALL.read_bytes()
    for length in {*range(1, 60, 7), *range(1000, len(content), 60_000), len(content) - 1}:
        refusal(tmp_path, content[:length])


@settings(max_examples=60, deadline=None, database=None)
@given(data=st.data())
def test_a_damaged_file_is_refused_or_read(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    state = attributes({"w": tensor(ONES)}, {"a": module(WEIGHT)}, cfg=node({"z": node(6)}))
    content = bytearray(file({"G_ema": module(state)}))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(2, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.pkl"
    path.write_bytes(content)
    try:
        networks = read_snapshot(path).networks
    except UserError as error:
        assert "\n" not in str(error)
    else:
        assert all(tensor.numel() < 1000 for network in networks.values() for tensor in network.tensors.values())
