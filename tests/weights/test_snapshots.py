"""Files of authors are read as what they are, by content; whatever else one asks for is refused, and nothing runs."""

import argparse
import os
import pickle
import sys
import time
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from safetensors.torch import load_file

from tests.weights.making import TWO, Call, Numbers, parts, pickled, tensor_of, write_zip
from vidbench.errors import UserError
from vidbench.stage import Snapshot
from vidbench.weights.snapshots import open_snapshot

REFERENCE = Path(__file__).parents[1] / "reference"
TRAINED = REFERENCE / "mocogan_hd" / "tiny_stylegan2_trained.pt"
COMPONENTS = REFERENCE / "mocogan_hd" / "tiny_release" / "pca_comp.npy"
PICKLE = REFERENCE / "stylegan_v" / "tiny_checkpoint.pkl"


def refusal(path: Path, kind: str = "file of networks") -> str:
    with pytest.raises(UserError) as caught:
        open_snapshot(path)
    message = str(caught.value)
    assert message.startswith(f"{path} is not a readable {kind} (")
    assert message.endswith("nothing in it was run; check that it is what the authors published.")
    assert message.isprintable()
    return message


def zipped(folder: Path, tree: Any) -> Path:
    return write_zip(folder / "file.pt", pickled(tree), {"data/0": TWO})


def saved(path: Path, tree: Any, modern: bool) -> Snapshot:
    torch.save(tree, path, _use_new_zipfile_serialization=modern)
    return open_snapshot(path)


def same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> bool:
    return found.keys() == expected.keys() and all(
        found[name].dtype == x.dtype and found[name].equal(x) for name, x in expected.items()
    )


def test_a_recorded_training_snapshot_has_its_networks_and_what_stands_beside_them() -> None:
    snapshot = open_snapshot(TRAINED)
    with torch.serialization.safe_globals([argparse.Namespace]):
        theirs = torch.load(TRAINED, weights_only=True)
    assert snapshot.networks.keys() == {"g", "d", "g_ema"}
    for name, network in snapshot.networks.items():
        assert same(network.tensors, theirs[name])
        assert (network.arguments, network.attributes) == ({}, {})
    assert snapshot.stats == {"args": vars(theirs["args"]), "ada_aug_p": 0.25}


@pytest.mark.parametrize("modern", [True, False])
def test_both_forms_of_torch_save_give_the_same(tmp_path: Path, modern: bool) -> None:
    base = torch.arange(24.0).reshape(4, 6)
    optimiser = torch.optim.Adam([torch.nn.Parameter(torch.ones(2))])
    optimiser.param_groups[0]["params"][0].grad = torch.ones(2)
    optimiser.step()
    states = {"g": {"t": base.t(), "part": base[1:3, ::2]}, "d": {"n": torch.tensor(3), "h": base.half()}}
    beside = {"latent_avg": base[:1], "args": argparse.Namespace(lr=0.1, path="data", size=None, betas=[0, 1])}
    tree = {**states, **beside, "iter": 7, "g_optim": optimiser.state_dict(), "losses": [1.0]}
    snapshot = saved(tmp_path / "file", tree, modern)
    assert snapshot.networks.keys() == states.keys()
    assert all(same(network.tensors, states[name]) for name, network in snapshot.networks.items())
    assert snapshot.stats.pop("latent_avg").equal(base[:1])
    assert snapshot.stats == {"args": {"lr": 0.1, "path": "data", "size": None, "betas": [0, 1]}, "iter": 7}


@pytest.mark.parametrize("modern", [True, False])
def test_a_file_of_nothing_but_tensors_is_one_network(tmp_path: Path, modern: bool) -> None:
    state = torch.nn.Linear(2, 3).state_dict()
    snapshot = saved(tmp_path / "file", state | {"epoch": 3}, modern)
    assert snapshot.networks.keys() == {"G_ema"}
    assert same(snapshot.networks["G_ema"].tensors, state)
    assert snapshot.stats == {"epoch": 3}


def test_tensors_have_memory_of_their_own(tmp_path: Path) -> None:
    base = torch.arange(6.0)
    tensors = saved(tmp_path / "file", {"a": base, "b": base[:3], "padding": torch.zeros(9)}, True).networks["G_ema"]
    tensors.tensors["a"].zero_()
    assert tensors.tensors["b"].equal(torch.arange(3.0))


def test_a_pickle_of_networks_is_read_as_one_whatever_its_ending(tmp_path: Path) -> None:
    (tmp_path / "file.pt").write_bytes(PICKLE.read_bytes())
    networks = open_snapshot(tmp_path / "file.pt").networks
    recorded = load_file(PICKLE.with_suffix(".safetensors"))
    for name in ("G", "D", "G_ema"):
        start = f"state/{name}."
        expected = {key.removeprefix(start): x for key, x in recorded.items() if key.startswith(start)}
        assert same(networks[name].tensors, expected)


def test_an_array_is_a_tensor_by_the_name_of_its_file(tmp_path: Path) -> None:
    snapshot = open_snapshot(COMPONENTS)
    assert not snapshot.networks and snapshot.stats.keys() == {"pca_comp"}
    assert np.array_equal(snapshot.stats["pca_comp"].numpy(), np.load(COMPONENTS))


KINDS = [order + kind for order in "<>" for kind in ("f2", "f4", "f8", "i2", "i4", "i8")] + ["|i1", "|u1"]


@settings(max_examples=50, deadline=None)
@given(
    array=npst.arrays(st.sampled_from(KINDS), npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)),
    by_columns=st.booleans(),
    version=st.sampled_from([(1, 0), (2, 0)]),
)
def test_any_array_of_numbers_is_read(
    tmp_path_factory: pytest.TempPathFactory, array: np.ndarray, by_columns: bool, version: tuple[int, int]
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.npy"
    with path.open("wb") as file:
        np.lib.format.write_array(file, np.asfortranarray(array) if by_columns and array.ndim else array, version)
    assert np.array_equal(open_snapshot(path).stats["any"].numpy(), array, equal_nan=True)


def header(text: str, numbers: bytes = bytes(16)) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + numbers


def described(kind: str, shape: str) -> bytes:
    return header(f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}}}")


ARRAYS = {
    "objects": (described("'|O'", "(2,)"), "values of the kind '|O' instead of numbers"),
    "texts": (described("'<U4'", "(1,)"), "'<U4'"),
    "dates": (described("'<M8[s]'", "(2,)"), "'<M8[s]'"),
    "records": (described("[('a', '<f8')]", "(2,)"), "instead of numbers"),
    "records of objects": (described("[('a', '|O')]", "(2,)"), "instead of numbers"),
    "complex numbers": (described("'<c16'", "(1,)"), "'<c16'"),
    "long numbers": (described("'<f16'", "(1,)"), "'<f16'"),
    "too few numbers": (described("'<f8'", "(3,)"), "its numbers have 16 bytes, and its shape needs 24"),
    "too many numbers": (described("'<f8'", "()"), "its numbers have 16 bytes, and its shape needs 8"),
    "a huge shape": (described("'<f8'", f"({2**62}, {2**62})"), "its numbers have 16 bytes"),
    "negative sides": (described("'<f8'", "(-1, -2)"), "its numbers have 16 bytes"),
    "a number too long to write": (described("'<f8'", f"({'9' * 5000},)"), ""),
    "no shape": (header("{'descr': '<f8', 'fortran_order': False}"), "fortran_order"),
    "a call": (header("__import__('os').system('touch ran')"), "malformed"),
    "a deep header": (header("{'descr': " + "(" * 5000), ""),
    "a long header": (described("'<f8'", "(" + "1," * 9000 + ")"), "Header info length"),
    "another version": (b"\x93NUMPY\x09\x00" + bytes(50), "of version 9.0 of its form"),
    "a pickle behind it": (described("'|O'", "()")[:-16] + pickled(Call(os.system, "touch ran")), "'|O'"),
}


@pytest.mark.parametrize(("content", "reason"), ARRAYS.values(), ids=ARRAYS)
def test_hostile_arrays_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file.npy").write_bytes(content)
    assert reason in refusal(tmp_path / "file.npy")
    assert not (tmp_path / "ran").exists()


def test_a_saved_array_of_objects_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "file.npy", np.array([Call(os.system, "touch ran")]), allow_pickle=True)
    assert "values of the kind '|O'" in refusal(tmp_path / "file.npy")


@pytest.mark.parametrize("source", [TRAINED.with_name("tiny_stylegan2_converted.pt"), TRAINED, COMPONENTS])
def test_a_part_of_a_file_is_refused(tmp_path: Path, source: Path) -> None:
    content = source.read_bytes()
    for part in list(parts(content))[:: 1 + len(content) // 20_000]:
        (tmp_path / "part").write_bytes(part)
        with pytest.raises(UserError, match="part is not a readable"):
            open_snapshot(tmp_path / "part")


class Impostor(argparse.Namespace):
    """A class that is one, under another name."""


NETWORK = {"w": tensor_of(Numbers("0", 2))}
CALLS = {
    "os.system": Call(os.system, "touch ran"),
    "eval": Call(eval, "open('ran', 'w')"),
    "pickle.loads": Call(pickle.loads, pickled(Call(os.system, "touch ran"))),
    "a Namespace that is called": Call(argparse.Namespace),
    "another class of argparse": argparse.HelpFormatter("x"),
    "a class derived from it": Impostor(lr=1),
    "a call in a Namespace": argparse.Namespace(lr=Call(os.system, "touch ran")),
    "another class": pytest.approx(1),
}


@pytest.mark.parametrize("form", ["zip", "legacy"])
@pytest.mark.parametrize("value", CALLS.values(), ids=CALLS)
def test_a_namespace_is_all_that_may_stand_beside_networks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, value: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    if form == "zip":
        zipped(tmp_path, {"g_ema": NETWORK, "args": value})
    else:
        content = pickled({"g_ema": NETWORK, "args": value})
        (tmp_path / "file.pt").write_bytes(TRAINED.read_bytes()[:15] + pickled(1001) + content)
    message = refusal(tmp_path / "file.pt")
    assert "asks for" in message or "damaged" in message
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("betas", [[0.5, 0.9], (0, 1), []])
def test_arguments_are_found_where_lightning_keeps_them(tmp_path: Path, betas: Any) -> None:
    args = argparse.Namespace(lr=0.5, betas=betas)
    path = zipped(tmp_path, {"state_dict": NETWORK, "epoch": 3, "hyper_parameters": {"args": args, "pkeep": 1.0}})
    assert open_snapshot(path).stats == {"epoch": 3, "hyper_parameters": {"args": vars(args), "pkeep": 1.0}}


def test_what_lightning_keeps_beside_networks_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = type("ModelCheckpoint", (), {"__module__": "pytorch_lightning.callbacks.model_checkpoint"})
    for name in ("pytorch_lightning", "pytorch_lightning.callbacks", key.__module__):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    setattr(sys.modules[key.__module__], key.__name__, key)
    callbacks = {key: {"best_model_score": np.float64(0.5), "best_model_path": "x"}}
    path = zipped(tmp_path, {"state_dict": NETWORK, "callbacks": callbacks, "epoch": np.float64(3)})
    assert open_snapshot(path).stats == {}


def test_a_class_in_a_namespace_s_place_is_named(tmp_path: Path) -> None:
    path = zipped(tmp_path, {"g_ema": NETWORK, "args": argparse.HelpFormatter("x")})
    assert "its pickle asks for 'argparse.HelpFormatter', which no tensor needs" in refusal(path)


@pytest.mark.parametrize(
    "inside", [argparse.Namespace(lr=1), tensor_of(Numbers("0", 2)), [[1]], {"a": 1}, ({}, 2), [0] * 101]
)
def test_what_is_not_plain_in_a_namespace_is_left_out(tmp_path: Path, inside: Any) -> None:
    path = zipped(tmp_path, {"g_ema": NETWORK, "args": argparse.Namespace(lr=0.5, other=inside)})
    assert open_snapshot(path).stats == {"args": {"lr": 0.5}}


def test_a_namespace_in_a_pickle_of_networks_is_refused_as_ever(tmp_path: Path) -> None:
    (tmp_path / "file.pkl").write_bytes(pickle.dumps({"G_ema": argparse.Namespace(lr=1)}, protocol=4))
    assert "asks for 'argparse.Namespace'" in refusal(tmp_path / "file.pkl", "pickle of networks")


def shared(copies: int) -> bytes:
    """One dictionary of many tensors, under as many names."""
    names = [b"X\x06\0\0\0%06d" % i for i in range(copies)]
    first = pickled(tensor_of(Numbers("0", 2)))[2:-1] + b"r\1\1\0\0"
    state = b"}r\0\1\0\0(" + names[0] + first + b"".join(name + b"j\1\1\0\0" for name in names[1:]) + b"u"
    return b"\x80\x02}(" + names[0] + state + b"".join(name + b"j\0\1\0\0" for name in names[1:]) + b"u."


HOSTILE = {
    "a list": ([NETWORK], "it holds a list instead of networks by name"),
    "a tensor": (NETWORK["w"], "it holds a View instead of networks by name"),
    "a Namespace": (argparse.Namespace(w=NETWORK["w"]), "it holds a Record instead of networks by name"),
    "nothing": ({}, "it holds no network"),
    "numbers": ({"a": 1, "b": {"c": 2}}, "it holds no network"),
    "a network by number": ({1: NETWORK}, "it names a part '1'"),
    "a tensor by number": ({"g": {1: NETWORK["w"]}}, "it names a part '1'"),
    "a name with a line break": ({"g": {"a\nb": NETWORK["w"]}}, "it names a part 'a\\nb'"),
    "a long name": ({"g": {"a" * 501: NETWORK["w"]}}, "it names a part 'aaa"),
    "a storage that is not there": ({"g": {"w": tensor_of(Numbers("1", 2))}}, "the entry 'root/data/1' is missing"),
    "a short storage": ({"g": {"w": tensor_of(Numbers("0", 3))}}, "a storage has 8 bytes and needs 12"),
    "a tensor beyond its storage": ({"g": {"w": tensor_of(Numbers("0", 2), size=(3,))}}, "does not fit"),
    "a huge storage": ({"g": {"w": tensor_of(Numbers("0", 2**40))}}, "more than"),
    "huge tensors": ({"g": {f"w{i}": tensor_of(Numbers("0", 2**20), size=(2**20,)) for i in range(9)}}, "more bytes"),
    "huge networks": ({f"g{i}": {"w": tensor_of(Numbers("0", 99), size=(99,))} for i in range(99)}, "more bytes"),
    "a scripted module": (b"\x80\x02c__torch__\nA\n)\x81}(X\1\0\0\0wK\1ub.", "it holds a Record"),
    "one network under many names": (shared(20_000), "it holds more than 100,000 values"),
    "a dictionary in itself": (b"\x80\x02}q\0X\1\0\0\0ah\0s.", "it holds no network"),
}


@pytest.mark.parametrize(("tree", "reason"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_files_are_refused_in_one_sentence_and_soon(tmp_path: Path, tree: Any, reason: str) -> None:
    content = tree if isinstance(tree, bytes) else pickled(tree)
    path, began = write_zip(tmp_path / "file.pt", content, {"data/0": TWO}), time.monotonic()
    assert reason in refusal(path)
    assert time.monotonic() - began < 10


def test_a_file_larger_than_any_is_not_opened(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        file.write(b"PK\x03\x04")
        file.truncate(2**40)
    assert "it has 1,099,511,627,776 bytes; 4,294,967,296 are the most" in refusal(tmp_path / "file")


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.pt", tmp_path):
        with pytest.raises(UserError, match=r"cannot be read \(.+\)\. Check the path\."):
            open_snapshot(path)


@pytest.mark.parametrize("source", [TRAINED.with_name("tiny_stylegan2_converted.pt"), COMPONENTS])
@settings(max_examples=100, deadline=None, database=None)
@given(data=st.data())
def test_a_damaged_file_is_refused_or_read(
    tmp_path_factory: pytest.TempPathFactory, source: Path, data: st.DataObject
) -> None:
    content = bytearray(source.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(content)
    try:
        snapshot = open_snapshot(path)
    except UserError as error:
        assert "\n" not in str(error)
    else:
        assert snapshot.networks or snapshot.stats
