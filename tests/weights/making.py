"""Files that these tests are about: weights under every naming and in every format, and hostile ones."""

import collections
import io
import pickle
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vidbench.weights.names import COUNTER, SCALE, Entry, Table
from vidbench.weights.proof import checksum

TWO = b"\0\0\x80?\0\0\0@"
"""The numbers 1 and 2."""
SMALL = (
    ("logits.conv3d.weight", (4, 3, 1, 1, 1)),
    ("logits.conv3d.bias", (4,)),
    ("Mixed_5b.b2b.conv3d.weight", (2, 3, 3, 2, 1)),
    ("Mixed_5b.b2b.bn.weight", (2,)),
    ("Mixed_5b.b2b.bn.bias", (2,)),
    ("Mixed_5b.b2b.bn.running_mean", (2,)),
    ("Mixed_5b.b2b.bn.running_var", (2,)),
)
"""A few tensors of the network, and made smaller."""


class Layer(torch.nn.Module):
    """A layer with attributes of every kind."""

    names: list[str]
    sizes: dict[str, int]

    def __init__(self) -> None:
        super().__init__()
        self.conv3d = torch.nn.Conv3d(2, 3, 1)
        self.batch3d = torch.nn.BatchNorm3d(3)
        self.kernel, self.pad, self.name, self.absent = [1, 2], (1, 2), "layer", None
        self.names, self.sizes = ["a", "b"], {"a": 1}
        self.register_buffer("small", torch.arange(4).half())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.batch3d(self.conv3d(x))


class Tree(torch.nn.Module):
    """Layers in containers."""

    def __init__(self) -> None:
        super().__init__()
        self.branch_1 = torch.nn.Sequential(Layer(), torch.nn.Sequential(Layer()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.branch_1(x)


def generated(name: str, shape: Sequence[int]) -> torch.Tensor:
    """A tensor made from its name alone."""
    words = np.random.PCG64(zlib.crc32(name.encode())).random_raw(int(np.prod(shape)))
    u = (words >> np.uint64(11)).astype(np.float64) * 2.0**-53
    values = {
        "conv3d.weight": lambda: (2 * u - 1) * np.sqrt(3 / np.prod(shape[1:])),
        "bn.weight": lambda: 0.8 + 0.4 * u,
        "bn.running_var": lambda: 0.1 + 1.4 * u,
    }.get(".".join(name.split(".")[-2:]), lambda: 0.1 * (2 * u - 1))()
    return torch.from_numpy(values.astype(np.float32).reshape(shape))


def unit_scales(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same with batch norm's scales at 1, as in the real networks."""
    return {name: torch.ones_like(t) if name.endswith(SCALE) else t for name, t in tensors.items()}


def with_counters(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same with batch norm's counters."""
    counters = {name.removesuffix(SCALE) + ".bn" + COUNTER: torch.tensor(0) for name in tensors if SCALE in name}
    return {**tensors, **counters}


def table_of(i3d: Mapping[str, torch.Tensor], imagenet: Mapping[str, torch.Tensor] | None = None) -> Table:
    """A table by which some tensors are the FVD weights, and others those of rgb_imagenet."""
    return [
        Entry(
            name,
            tuple(tensor.shape),
            {}
            if name.endswith(SCALE)
            else {"i3d": checksum(tensor), "i3d-imagenet": checksum(imagenet[name] if imagenet else -tensor)},
        )
        for name, tensor in i3d.items()
    ]


def tensorflow_layout(tensor: torch.Tensor, *, hub: bool) -> torch.Tensor:
    """A variable as TensorFlow keeps it; the hub module keeps batch norm's with five axes."""
    if tensor.ndim == 5:
        return tensor.permute(2, 3, 4, 1, 0).contiguous()
    return tensor.reshape(1, 1, 1, 1, -1) if hub else tensor


class Node(torch.nn.Module):
    """A place in a tree of modules."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def scripted(tensors: Mapping[str, torch.Tensor]) -> torch.jit.ScriptModule:
    """A scripted tree of modules whose parameters have these names."""
    root = Node()
    for name, tensor in tensors.items():
        node = root
        *path, leaf = name.split(".")
        for part in path:
            if not hasattr(node, part):
                node.add_module(part, Node())
            node = node.get_submodule(part)
        node.register_buffer(leaf, tensor)
    return torch.jit.script(root)


class Numbers:
    """A storage, in a pickle made by hand."""

    def __init__(self, key: Any, count: Any, kind: type = torch.FloatStorage) -> None:
        self.key, self.count, self.kind = key, count, kind


class Call:
    """A call, in a pickle made by hand."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def tensor_of(numbers: Any, offset: Any = 0, size: Any = (2,), stride: Any = (1,)) -> Call:
    """A tensor, in a pickle made by hand."""
    return Call(torch._utils._rebuild_tensor_v2, numbers, offset, size, stride, False, collections.OrderedDict())


def pickled(tree: Any, protocol: int = 2) -> bytes:
    """A pickle in the manner of torch.save."""

    class Pickler(pickle.Pickler):
        def persistent_id(self, value: Any) -> Any:
            if isinstance(value, Numbers):
                return ("storage", value.kind, value.key, "cpu", value.count)
            return None

    stream = io.BytesIO()
    Pickler(stream, protocol).dump(tree)
    return stream.getvalue()


def write_zip(path: Path, content: bytes, entries: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    """A zip in the manner of torch.save: a pickle, and entries beside it."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("root/data.pkl", content)
        for name, entry in entries.items():
            archive.writestr(f"root/{name}", entry)
    return path


def parts(content: bytes) -> Iterable[bytes]:
    """All beginnings of a file: near its ends each, else some."""
    lengths = {*range(min(64, len(content))), *range(max(0, len(content) - 64), len(content))}
    return (content[:length] for length in sorted(lengths | set(range(0, len(content), 97))))
