"""Weights files: zip, legacy, TorchScript, safetensors, and pickles made up instruction by instruction."""

import io
import json
import pickletools
import struct
import tempfile
import zipfile
from pathlib import Path

import safetensors.torch
import torch
from hypothesis import strategies as st

from tests.fuzz.fuzz_driver import Target
from tests.fuzz.fuzz_mutation import CLAIMS, damaged
from tests.weights.making import TWO, Numbers, Tree, pickled, tensor_of
from vidbench.weights import canonical, read_tensors

GLOBALS = (
    b"torch._utils\n_rebuild_tensor_v2\n",
    b"torch\nFloatStorage\n",
    b"collections\nOrderedDict\n",
    b"__torch__.a\nB\n",
    b"torch.jit._pickle\nrestore_type_tag\n",
    b"os\nsystem\n",
    b"builtins\neval\n",
)


def wholes() -> list[bytes]:
    """One small network in every form."""
    module, files = Tree(), []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file")
        torch.jit.script(module).save(str(path))
        files.append(path.read_bytes())
        torch.save(module.state_dict(), path)
        files.append(path.read_bytes())
        torch.save({"state_dict": module.state_dict()}, path, _use_new_zipfile_serialization=False)
        files.append(path.read_bytes())
    return [*files, safetensors.torch.save(module.state_dict())]


def instructions() -> st.SearchStrategy[bytes]:
    """One instruction of a pickle, with an argument that may be absurd."""
    plain = st.sampled_from([code.code.encode("latin-1") for code in pickletools.opcodes if code.arg is None])
    places = st.integers(0, 3).map(lambda i: bytes([i]))
    text = st.text(max_size=6).map(lambda t: t.encode("utf-8", "surrogatepass"))
    lengths = st.sampled_from(CLAIMS)
    return st.one_of(
        plain,
        st.tuples(st.sampled_from([b"q", b"h", b"K"]), places).map(b"".join),
        st.sampled_from(GLOBALS).map(lambda name: b"c" + name),
        text.map(lambda t: b"X" + struct.pack("<I", len(t)) + t),
        st.tuples(st.sampled_from([b"J", b"X", b"T", b"r", b"j"]), lengths).map(
            lambda pair: pair[0] + struct.pack("<I", pair[1] % 2**32)
        ),
        st.integers(-(2**70), 2**70).map(lambda i: b"\x8a" + bytes([10]) + i.to_bytes(10, "little", signed=True)),
        st.just(pickled(tensor_of(Numbers("0", 2)))[2:-1]),
    )


def zipped(content: bytes) -> bytes:
    """A zip in the manner of torch.save around a pickle."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("root/data.pkl", content)
        archive.writestr("root/data/0", TWO)
    return file.getvalue()


def headers() -> st.SearchStrategy[bytes]:
    """Safetensors files with headers made up."""
    numbers = st.sampled_from(CLAIMS) | st.integers(-2, 20)
    entry = st.fixed_dictionaries(
        {
            "dtype": st.sampled_from(["F32", "BF16", "I64", "F8_E4M3", "X", ""]),
            "shape": st.lists(numbers, max_size=6),
            "data_offsets": st.lists(numbers, max_size=3),
        }
    )
    names = st.sampled_from(["a", "logits.conv3d.weight", "__metadata__"]) | st.text(max_size=8)
    whole = st.dictionaries(names, entry | st.dictionaries(st.text(max_size=3), st.text(max_size=3)), max_size=4)
    return st.builds(
        lambda header, rest: struct.pack("<Q", len(json.dumps(header))) + json.dumps(header).encode() + rest,
        whole,
        st.binary(max_size=64),
    )


def read(path: Path) -> None:
    """What `vidbench weights verify` does first."""
    canonical(read_tensors(path), source=str(path))


def target() -> Target:
    """The weights reader."""
    pickles = st.lists(instructions(), max_size=30).map(lambda parts: zipped(b"\x80\x02" + b"".join(parts) + b"."))
    made = damaged(wholes(), [b"PK\1\2", b"PK\3\4", b"PK\5\6", b"_rebuild_tensor_v2", b"FloatStorage", b'"shape":['])
    return Target(made | pickles | headers(), ".pt", read)
