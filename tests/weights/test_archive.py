"""Weights files of every form give their tensors; whatever else a file holds, nothing of it runs."""

import collections
import zipfile
from pathlib import Path

import pytest
import torch

from tests.weights.making import TWO, Call, Numbers, pickled, scripted, tensor_of, write_zip
from vidbench.weights import read_tensors

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")


def assert_equal(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> None:
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


@pytest.mark.parametrize("form", ["script", "zip", "legacy", "safetensors"])
def test_every_form_gives_the_state_dict(forms: dict[str, Path], form: str) -> None:
    assert_equal(read_tensors(forms[form]), torch.jit.load(str(forms["script"])).state_dict())


@pytest.mark.parametrize("modern", [True, False])
def test_a_state_dict_inside_a_checkpoint_is_found(tmp_path: Path, modern: bool) -> None:
    state = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(3)}
    checkpoint = {"epoch": 3, "lr": 0.1, "state_dict": state, "optimizer": {"state": {0: torch.ones(3)}}}
    torch.save(checkpoint, tmp_path / "file", _use_new_zipfile_serialization=modern)
    assert_equal(read_tensors(tmp_path / "file"), state)


@pytest.mark.parametrize("modern", [True, False])
def test_offsets_strides_kinds_and_shared_storages_are_respected(tmp_path: Path, modern: bool) -> None:
    base = torch.arange(24.0).reshape(4, 6)
    state = {"t": base.t(), "part": base[1:3, ::2], "all": base, "empty": torch.empty(0, 3), "one": base[2, 3]}
    kinds = ("float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")
    state |= {kind: torch.arange(3).to(getattr(torch, kind)) for kind in kinds}
    state["parameter"] = torch.nn.Parameter(torch.ones(2))
    torch.save(state, tmp_path / "file", _use_new_zipfile_serialization=modern)
    assert_equal(read_tensors(tmp_path / "file"), state)


def test_deflated_entries_are_read(tmp_path: Path) -> None:
    content = pickled({"a": tensor_of(Numbers("0", 1000), size=(10, 100), stride=(100, 1))})
    path = write_zip(tmp_path / "file", content, {"data/0": bytes(4000)}, zipfile.ZIP_DEFLATED)
    assert_equal(read_tensors(path), {"a": torch.zeros(10, 100)})


def test_a_dictionary_of_python_2_is_read(tmp_path: Path) -> None:
    numbers = tensor_of(Numbers("0", 2))
    content = pickled(Call(collections.OrderedDict, [["a", numbers]])).replace(b"X\1\0\0\0a", b"U\1a")
    assert b"U\1a" in content
    assert_equal(read_tensors(write_zip(tmp_path / "f", content, {"data/0": TWO})), {"a": torch.tensor([1.0, 2.0])})


def test_tensors_of_2017_are_read(tmp_path: Path) -> None:
    numbers = Call(torch._utils._rebuild_tensor, Numbers("0", 2), 0, (2,), (1,))
    path = write_zip(tmp_path / "file", pickled({"a": numbers}), {"data/0": TWO})
    assert_equal(read_tensors(path), {"a": torch.tensor([1.0, 2.0])})


def test_the_code_of_an_archive_is_never_looked_at(forms: dict[str, Path], tmp_path: Path) -> None:
    wanted = read_tensors(forms["script"])
    with zipfile.ZipFile(forms["script"]) as source, zipfile.ZipFile(tmp_path / "file", "w") as target:
        for entry in source.infolist():
            code = "/code/" in entry.filename
            target.writestr(entry.filename, "raise SystemExit" if code else source.read(entry))
    with pytest.raises(RuntimeError):
        torch.jit.load(str(tmp_path / "file"))
    assert_equal(read_tensors(tmp_path / "file"), wanted)


def test_modules_nested_in_modules_are_named_by_their_path() -> None:
    names = ["mixed_3b.branch_1.0.conv3d.weight", "mixed_3b.branch_3.1.batch3d.running_mean"]
    tensors = {name: torch.rand(2, 3) for name in names}
    assert_equal(dict(scripted(tensors).state_dict()), tensors)
