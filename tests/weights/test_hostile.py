"""Hostile, damaged and foreign files: refused in one sentence, at little cost, and nothing of them runs."""

import os
import pickle
import resource
import sys
import time
import zipfile
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.weights.making import TWO, Call, Numbers, parts, pickled, tensor_of, write_zip
from vidbench.errors import UserError
from vidbench.weights import read_tensors

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")

EVIL = [
    (os.system, "touch ran"),
    (eval, "open('ran', 'w')"),
    (getattr, "x", "upper"),
    (torch.load, "ran"),
    (torch.serialization.load, "ran"),
    (pickle.loads, b""),
]


@pytest.mark.parametrize("form", ["zip", "legacy"])
@pytest.mark.parametrize("call", EVIL, ids=lambda call: call[0].__name__)
def test_a_pickle_that_calls_is_refused_and_does_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forms: dict[str, Path], form: str, call: tuple
) -> None:
    monkeypatch.chdir(tmp_path)
    evil = pickled({"a": tensor_of(Numbers("0", 2)), "b": Call(*call)})
    path = tmp_path / "evil.pt"
    if form == "zip":
        write_zip(path, evil, {"data/0": TWO})
    else:
        path.write_bytes(forms["legacy"].read_bytes()[:15] + evil)
    with pytest.raises(UserError, match=r"evil\.pt is not a readable weights file \(its pickle asks for '\w+\.\w+"):
        read_tensors(path)
    assert not (tmp_path / "ran").exists()


def test_a_scripted_class_stays_inert(tmp_path: Path) -> None:
    for content in (b"\x80\x02c__torch__\nA\n)R.", b"\x80\x02c__torch__.os\nsystem\n(X\x04\0\0\0true\x85R."):
        with pytest.raises(UserError, match="damaged"):
            read_tensors(write_zip(tmp_path / "file", content, {}))


VIEWS = {
    "behind the end": tensor_of(Numbers("0", 2), size=(3,)),
    "beyond by its offset": tensor_of(Numbers("0", 2), 1),
    "beyond by its stride": tensor_of(Numbers("0", 2), stride=(2,)),
    "before the beginning": tensor_of(Numbers("0", 2), -1),
    "backwards": tensor_of(Numbers("0", 2), 1, stride=(-1,)),
    "more than there is": tensor_of(Numbers("0", 2), size=(10**12,), stride=(0,)),
    "overflowing": tensor_of(Numbers("0", 2), size=(2**40, 2**40, 0), stride=(2**62, 1, 1)),
    "of a negative size": tensor_of(Numbers("0", 2), size=(-1,)),
    "of too many axes": tensor_of(Numbers("0", 2), size=(1,) * 100, stride=(1,) * 100),
    "of unequal axes": tensor_of(Numbers("0", 2), size=(1, 1)),
    "of no numbers": tensor_of("0"),
    "with text for an offset": tensor_of(Numbers("0", 2), "0"),
    "in a missing entry": tensor_of(Numbers("1", 2)),
    "in a short entry": tensor_of(Numbers("0", 3)),
    "in a huge storage": tensor_of(Numbers("0", 2**40)),
    "in a negative storage": tensor_of(Numbers("0", -1)),
    "in another folder": tensor_of(Numbers("../data.pkl", 2)),
    "of complex numbers": tensor_of(Numbers("0", 1, torch.ComplexFloatStorage), size=(1,)),
    "beside a class": Numbers("0", 2),
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_a_tensor_outside_its_storage_is_refused(tmp_path: Path, view: object) -> None:
    with pytest.raises(UserError, match=r"file is not a readable weights file \(.+\)\. Download or copy it again\."):
        read_tensors(write_zip(tmp_path / "file", pickled({"a": view}), {"data/0": TWO}))


def most_memory() -> int:
    """Bytes that this process has had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def twins(depth: int) -> bytes:
    """Records in records, each twice in the next: 2^depth ways to the last."""
    record = b"c__torch__\nA\n)\x81"
    return b"\x80\x02" + record + b"q\x00" + (record + b"}(X\1\0\0\0lh\0X\1\0\0\0rh\0ubq\0") * depth + b"."


def nest(depth: int) -> bytes:
    return b"\x80\x02" + b"c__torch__\nA\n)\x81}X\1\0\0\0x" * depth + b"N" + b"sb" * depth + b"."


def colliding_tuples(depth: int) -> bytes:
    return b"\x80\x02})" + b"q\0h\0\x86" * depth + b"Ns."


def copies(times: int) -> bytes:
    pairs = b"](" + b"X\1\0\0\0a\x88\x86" * 1000 + b"e"
    return b"\x80\x02ccollections\nOrderedDict\nq\0" + pairs + b"\x85q\1" + b"h\0h\1R" * times + b"."


HOSTILE = {
    "twins": twins(100),
    "a deep nest": nest(30_000),
    "tuples that are slow to hash": colliding_tuples(100),
    "copies of copies": copies(100_000),
    "a far memo": b"\x80\x02Nr\xff\xff\xff\xff0.",
    "a long text": b"\x80\x02X\xff\xff\xff\x7fa.",
    "a huge array of bytes": b"\x80\x05\x96" + b"\xff" * 7 + b"\x7f.",
    "no end": b"\x80\x02N",
    "nothing": b"",
    "too many marks": b"\x80\x02" + b"(" * 500_000 + b".",
    "too long": b"\x80\x02" + b"N0" * 2**20 + b".",
    "a list in itself": b"\x80\x02]q\0h\0a.",
    "an unknown instruction": b"\x80\x02\xff.",
    "a number of many digits": b"I" + b"9" * 500_000 + b"\n.",
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_hostile_pickles_cost_little(tmp_path: Path, content: bytes) -> None:
    path = write_zip(tmp_path / "file", content, {})
    began, before = time.monotonic(), most_memory()
    with pytest.raises(UserError, match="file is not a readable weights file"):
        read_tensors(path)
    assert time.monotonic() - began < 10
    assert most_memory() - before < 300 * 2**20


def test_an_entry_that_unpacks_to_more_than_any_network_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("root/data.pkl", pickled({"a": tensor_of(Numbers("0", 2**27))}))
        with archive.open("root/data/0", "w") as entry:
            for _ in range(512):
                entry.write(bytes(2**20))
    assert path.stat().st_size < 2**22
    with pytest.raises(UserError, match="its tensors have more than 268,435,456 bytes"):
        read_tensors(path)
    write_zip(path, bytes(2**26), {}, zipfile.ZIP_DEFLATED)
    with pytest.raises(UserError, match="not a readable weights file"):
        read_tensors(path)


def test_a_zip_of_too_many_entries_is_not_opened(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "file", pickled({}), {f"data/{i}": b"" for i in range(10_001)})
    with pytest.raises(UserError, match="more than 10000 entries"):
        read_tensors(path)


def test_a_file_larger_than_any_network_is_not_opened(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        file.write(b"PK\x03\x04")
        file.truncate(2**40)
    with pytest.raises(UserError, match="it has 1,099,511,627,776 bytes; 268,435,456 are the most"):
        read_tensors(tmp_path / "file")


FOREIGN = {
    "empty": (b"", "neither safetensors nor"),
    "a web page": (b"\n<!DOCTYPE html><html></html>", "web page"),
    "text": (b"version https://git-lfs.github.com/spec/v1\n", "neither"),
    "a zip of other things": (b"PK\x03\x04" + bytes(100), "BadZipFile"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(100), "neither"),
    "a safetensors of nothing": (safetensors.torch.save({}), "holds no tensors"),
    "a huge header": (b"\xff" * 7 + b"\0{}", "SafetensorError"),
}


@pytest.mark.parametrize(("content", "reason"), FOREIGN.values(), ids=FOREIGN)
def test_foreign_files_are_refused_in_one_sentence(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=reason) as caught:
        read_tensors(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.pt cannot be read \(No such file or directory\)"):
        read_tensors(tmp_path / "none.pt")
    with pytest.raises(UserError, match="it is not a file"):
        read_tensors(tmp_path)


def test_a_whole_pickled_model_is_refused(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "file")
    with pytest.raises(UserError, match=r"asks for 'torch\.nn\.modules\.linear\.Linear', which no tensor needs"):
        read_tensors(tmp_path / "file")


@pytest.mark.parametrize("form", ["script", "zip", "legacy", "safetensors"])
def test_a_part_of_a_file_is_refused(forms: dict[str, Path], tmp_path: Path, form: str) -> None:
    for part in parts(forms[form].read_bytes()):
        (tmp_path / "part").write_bytes(part)
        with pytest.raises(UserError, match="part is not a readable weights file"):
            read_tensors(tmp_path / "part")


@pytest.mark.parametrize("form", ["script", "zip", "legacy", "safetensors"])
@settings(max_examples=150, deadline=None, database=None)
@given(data=st.data())
def test_a_damaged_file_is_refused_or_read(
    forms: dict[str, Path], tmp_path_factory: pytest.TempPathFactory, form: str, data: st.DataObject
) -> None:
    content = bytearray(forms[form].read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / f"damaged-{form}"
    path.write_bytes(content)
    try:
        tensors = read_tensors(path)
    except UserError as error:
        assert "\n" not in str(error)
    else:
        assert all(tensor.numel() < 1000 for tensor in tensors.values())


@pytest.mark.parametrize("form", ["script", "zip"])
@settings(max_examples=150, deadline=None, database=None)
@given(data=st.data())
def test_a_damaged_pickle_in_a_whole_zip_is_refused_or_read(
    forms: dict[str, Path], tmp_path_factory: pytest.TempPathFactory, form: str, data: st.DataObject
) -> None:
    with zipfile.ZipFile(forms[form]) as archive:
        entries = {f"data/{i}": archive.read(f"{form}/data/{i}") for i in range(16)}
        content = bytearray(archive.read(f"{form}/data.pkl"))
    place, cut = data.draw(st.integers(0, len(content))), data.draw(st.integers(0, 4))
    content[place : place + cut] = data.draw(st.binary(max_size=6))
    try:
        tensors = read_tensors(write_zip(tmp_path_factory.getbasetemp() / "damaged", bytes(content), entries))
    except UserError as error:
        assert "\n" not in str(error)
    else:
        assert all(tensor.sum() is not None and tensor.numel() < 1000 for tensor in tensors.values())
