"""Networks in pickles of NVIDIA's `persistence` module, which carry their source code: read as data, without it.

Such a file describes each module as `(class name, attributes, text of the defining module)`. Ordinary unpickling runs
that text; here it stays a text that nobody looks at. Storages are found first and read when their network is wanted.
"""

import contextlib
import math
import mmap
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..stage import Network, Snapshot
from .archive import dtype_of, view_storages
from .persistence_machine import PersistenceMachine, Stream
from .pickles import Record, Storage, View, expect
from .refusing import SUSPECT, refusing

LARGEST = 2**32
"""Bytes of a file; the authors' have up to some hundred million."""
MOST_VALUES = 10**6
DEEPEST = 50
REFERENCE = re.compile(r"\$\{([\w.]+)\}")
"""A value of OmegaConf that stands elsewhere."""


def read_snapshot(path: Path) -> Snapshot:
    """The networks in a persistence pickle.

    Raises:
        UserError: it is none, is damaged, or names anything that is not part of a network.
    """
    with (
        refusing(path, "pickle of networks", SUSPECT),
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        if len(content) > LARGEST:
            raise ValueError(f"it has {len(content):,} bytes; {LARGEST:,} are the most")
        if content[:1] != b"\x80":
            raise ValueError("it does not begin as such a pickle does")
        return _Networks(content, PersistenceMachine(file=content).run(Stream(content))).snapshot()


@dataclass
class _Networks:
    """From what a pickle describes to networks; one value can be meant many times, so all that are met are counted."""

    content: mmap.mmap
    tree: Any
    met: int = 0
    size: int = 0

    def snapshot(self) -> Snapshot:
        named = self.tree if isinstance(self.tree, dict) else {"G_ema": self.tree}
        networks = {name: self._network(part) for name, part in named.items() if _is_module(part)}
        if not networks:
            raise ValueError("it holds no network")
        stats = self._plain(named.get("stats"), 0)
        return Snapshot(networks, stats if isinstance(stats, dict) else {})

    def _network(self, record: Record) -> Network:
        views: dict[str, View] = {}
        attributes: dict[str, Any] = {}
        self._walk(record, "", 0, views, attributes)
        for name, value in record.state.items():
            if isinstance(name, str) and name[:1] != "_":
                with contextlib.suppress(ValueError):  # nested too deeply for what anyone asks for
                    attributes[name] = self._plain(value, 0)
        positional = self._plain(record.state.get("_init_args"), 0) or []
        named = self._plain(record.state.get("_init_kwargs"), 0) or {}
        arguments = {**{str(i): value for i, value in enumerate(positional)}, **expect(dict, named)}
        self.size += sum(math.prod(view.size) * dtype_of(view.storage).itemsize for view in views.values())
        if self.size > len(self.content):
            raise ValueError("its tensors have more bytes than the file")
        tensors = view_storages(views, self._stored, len(self.content))
        copies = {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()}
        return Network(copies, arguments, attributes)

    def _stored(self, storage: Storage, length: int) -> bytes:
        return self.content[int(storage.key) : int(storage.key) + length]

    def _walk(self, record: Any, prefix: str, depth: int, views: dict[str, View], attributes: dict[str, Any]) -> None:
        """Tensors and attributes of a module and those in it."""
        if not _is_module(record):
            raise ValueError(f"its {prefix[:-1][:100]!r} is no module")
        self._count(len(record.state), depth)
        state = {name: value for name, value in record.state.items() if isinstance(name, str)}
        hidden = set(filter(lambda name: isinstance(name, str), self._each(state, "_non_persistent_buffers_set", list)))
        tensors = self._each(state, "_parameters", dict) | {
            name: value for name, value in self._each(state, "_buffers", dict).items() if name not in hidden
        }
        for name, value in tensors.items():
            if value is not None:
                views[prefix + _simple(name)] = expect(View, value)
        attributes |= {
            prefix + name: value
            for name, value in state.items()
            if name[:1] != "_" and isinstance(value, str | int | float)
        }
        for name, child in self._each(state, "_modules", dict).items():
            if child is not None:
                self._walk(child, f"{prefix}{_simple(name)}.", depth + 1, views, attributes)

    def _each(self, state: dict[str, Any], name: str, kind: type[Any]) -> Any:
        values = expect(kind, state.get(name, kind()))
        self._count(len(values), 0)
        return values

    def _plain(self, value: Any, depth: int) -> Any:
        """Dictionaries, lists, numbers and texts; OmegaConf's containers as such; None for anything else."""
        self._count(1, depth)
        if value is None or isinstance(value, str | int | float):
            return value
        if isinstance(value, dict):
            return {name: self._plain(inner, depth + 1) for name, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self._plain(inner, depth + 1) for inner in value]
        if isinstance(value, Record) and isinstance(value.state, dict):
            inner = value.state.get("_val", value.state.get("_content"))
            if isinstance(inner, str) and (reference := REFERENCE.fullmatch(inner)):
                return self._plain(_referred(value, reference[1].split(".")), depth + 1)
            return self._plain(inner, depth + 1)
        return None

    def _count(self, values: int, depth: int) -> None:
        self.met += values
        if self.met > MOST_VALUES or depth > DEEPEST:
            raise ValueError("its values are nested without end")


def _is_module(value: Any) -> bool:
    return isinstance(value, Record) and isinstance(value.state, dict) and "_modules" in value.state


def _simple(name: Any) -> str:
    text = expect(str, name)
    if not re.fullmatch(r"\w{1,100}", text):
        raise ValueError(f"it names a part {text[:100]!r}")
    return text


def _referred(node: Record, path: list[str]) -> Any:
    """What `${a.b}` means: looked for in the containers around it, the outermost first; None if it is nowhere."""
    around = [node]
    while len(around) < DEEPEST and isinstance(parent := _attribute(around[-1], "_parent"), Record):
        around.append(parent)
    for found in reversed(around[1:]):
        value: Any = found
        for part in path:
            content = _attribute(value, "_content")
            value = content.get(part) if isinstance(content, dict) else None
        if value is not None and value is not node:
            return value
    return None


def _attribute(value: Any, name: str) -> Any:
    return value.state.get(name) if isinstance(value, Record) and isinstance(value.state, dict) else None
