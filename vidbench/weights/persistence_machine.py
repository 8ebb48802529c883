"""The machine for pickles of NVIDIA's `persistence` module: what they may name, and what it becomes."""

import mmap
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import numpy as np

from .archive import LEGACY, dtype_of, legacy_layout
from .pickles import INERT, NAMESPACE, Machine, Name, Record, Storage, expect

LARGEST_STRUCTURE = 2**23
"""Bytes of instructions, ten times those of a whole training snapshot."""
LARGEST_TEXT = 2**27
"""Bytes of one text or storage."""
VERSION = 6
PERSISTENT = "torch_utils.persistence._reconstruct_persistent_obj"
MODULES = {
    "container": ["ModuleList", "Sequential"],
    "linear": ["Identity"],
    "dropout": ["Dropout"],
    "sparse": ["Embedding"],
    "rnn": ["LSTM"],
    "conv": ["Conv3d"],
    "batchnorm": ["BatchNorm3d"],
    "activation": ["LeakyReLU"],
}
NODES = (
    *("ValueNode", "AnyNode", "StringNode", "IntegerNode", "FloatNode", "BooleanNode", "EnumNode"),
    *("BytesNode", "PathNode", "InterpolationResultNode"),
)
STUBS = {
    *(f"torch.nn.modules.{module}.{name}" for module, names in MODULES.items() for name in names),
    "torch.optim.adam.Adam",
    "training.layers.TemporalDifferenceEncoder",
    "training.mocogan.MoCoGANVideoDiscriminator",
    "training.mocogan.Noise",
    "torch_utils.training_stats.Collector",
    "omegaconf.dictconfig.DictConfig",
    "omegaconf.listconfig.ListConfig",
    "omegaconf.base.ContainerMetadata",
    "omegaconf.base.Metadata",
    *(f"omegaconf.nodes.{kind}" for kind in NODES),
}
"""Classes whose objects become records of their attributes."""
OWN = {name for name in STUBS if name.startswith(("training.", "torch_utils."))} | {PERSISTENT, "dnnlib.util.EasyDict"}
"""The authors' own, which may stand in a package `src`."""
NAMES = {
    *(INERT - {NAMESPACE, "torch._utils._rebuild_tensor", "torch.jit._pickle.restore_type_tag"}),
    *STUBS,
    *OWN,
    *(f"src.{name}" for name in OWN),
    "torch.storage._load_from_bytes",
    "collections.defaultdict",
    "typing.Any",
    "builtins.dict",
    "builtins.list",
    "builtins.int",
    "re._compile",
    "numpy.ndarray",
    "numpy.dtype",
    *(f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
}
DTYPE = re.compile(r"[biufc](1|2|4|8|16)|[SU][0-9]{1,4}")


@dataclass(frozen=True)
class Span:
    """A byte string, left where it lies."""

    start: int
    length: int


@dataclass
class Stream:
    """A file as `pickletools` reads it, with bounds on what is read at once."""

    content: mmap.mmap

    def tell(self) -> int:
        """Where reading goes on."""
        return self.content.tell()

    def read(self, length: int) -> bytes:
        """So many bytes, or what there is.

        Raises:
            ValueError: too many.
        """
        if length > LARGEST_TEXT:
            raise ValueError(f"it holds a text of {length:,} bytes")
        return self.content.read(length)

    def readline(self) -> bytes:
        """Up to the end of a line.

        Raises:
            ValueError: it is far away.
        """
        start = self.tell()
        end = self.content.find(b"\n", start, start + 1000)
        if end < 0:
            raise ValueError("its pickle is damaged")
        return self.content.read(end + 1 - start)


@dataclass
class PersistenceMachine(Machine):
    """The machine, with the instructions and names of persistence pickles; modules become records."""

    longest = LARGEST_STRUCTURE
    inert = NAMES
    families = re.compile(r"(?!)")
    file: Any = None
    found: dict[Span, Storage] = field(default_factory=dict)
    headers: int = 0

    _do_empty_set = Machine._do_empty_list
    _do_additems = Machine._do_appends

    def _do_binbytes(self, argument: bytes) -> None:
        """A byte string, left where it lies."""
        self._push(Span(self.file.tell() - len(argument), len(argument)))
        self.skipped += len(argument)

    _do_short_binbytes = _do_binbytes

    def _do_binpersid(self, argument: None) -> None:
        """Such pickles have none.

        Raises:
            ValueError: always.
        """
        raise ValueError("its pickle holds the instruction BINPERSID")

    def _name(self, text: str) -> None:
        super()._name(text)
        self.stack[-1] = Name(text.removeprefix("src.").replace("numpy._core.", "numpy.core."))

    def _put(self, target: dict[Any, Any], key: Any, value: Any) -> None:
        """What has another key than a text or a number, as the state of optimisers has, is left out."""
        if isinstance(key, str | int):
            super()._put(target, key, value)

    def _do_newobj(self, argument: None) -> None:
        """An object that its attributes will follow."""
        expect(tuple, self.stack.pop())
        self._push(self._made(expect(Name, self.stack.pop()).text))

    def _made(self, name: str) -> Any:
        if name in ("dnnlib.util.EasyDict", "collections.defaultdict"):
            return {}
        if name not in STUBS:
            raise TypeError
        return Record(kind=name)

    def _do_reduce(self, argument: None) -> None:
        """A call: one of those that make a network; none is carried out."""
        arguments, name = expect(tuple, self.stack[-1]), expect(Name, self.stack[-2]).text
        if name.startswith(("torch._utils.", "collections.OrderedDict")):
            super()._do_reduce(argument)
            return
        del self.stack[-2:]
        calls: dict[str, Callable[..., Any]] = {
            PERSISTENT: self._module,
            "torch.storage._load_from_bytes": self._storage,
            "numpy.core.multiarray.scalar": self._scalar,
            "numpy.core.multiarray._reconstruct": lambda *shape: Record(kind="numpy.ndarray"),
            "numpy.dtype": _dtype,
            "re._compile": lambda *pattern: Record(kind="re.Pattern"),
        }
        self._push(calls[name](*arguments) if name in calls else self._made(name))

    def _do_build(self, argument: None) -> None:
        """Attributes; an array without numbers of a plain kind is damaged."""
        super()._do_build(argument)
        target = self.stack[-1]
        if isinstance(target, Record) and target.kind == "numpy.ndarray":
            _, _, dtype, _, content = expect(tuple, target.state)
            if not expect(Record, dtype).kind.startswith("numpy.dtype ") or not isinstance(content, Span):
                raise TypeError

    def _module(self, meta: Any) -> Record:
        if expect(dict, meta).keys() != {"type", "version", "module_src", "class_name", "state"}:
            raise ValueError("it describes a module in an unknown way")
        kind, version = meta["type"], meta["version"]
        if kind != "class":
            raise ValueError(f"it holds a persistent {kind[:40] if isinstance(kind, str) else 'object'}, not a class")
        if type(version) is not int or version != VERSION:
            number = version if type(version) is int else type(version).__name__
            raise ValueError(f"it is of version {number} of its form, and {VERSION} is what can be read")
        return Record(expect(dict, meta["state"]), expect(str, meta["class_name"]))

    def _storage(self, span: Any) -> Storage:
        """A storage, which is a file of torch.save within the file."""
        if expect(Span, span) not in self.found:
            content = self.file[span.start : span.start + span.length]
            pickle, places = legacy_layout(BytesIO(content), len(content))
            storage = expect(Storage, pickle.tree)
            if not content.startswith(LEGACY) or places.keys() != {storage}:
                raise ValueError("a storage in it is damaged")
            place = places[storage]
            if place + storage.count * dtype_of(storage).itemsize != len(content):
                raise ValueError("a storage in it has another length than it says")
            self.headers += place
            if self.headers > LARGEST_STRUCTURE:
                raise ValueError(f"its storages have more than {LARGEST_STRUCTURE:,} bytes of instructions")
            self.found[span] = Storage(storage.kind, str(span.start + place), storage.count)
        return self.found[span]

    def _scalar(self, dtype: Any, span: Any) -> Any:
        code, order = expect(Record, dtype).kind.removeprefix("numpy.dtype "), expect(tuple, dtype.state)[1]
        if not DTYPE.fullmatch(code) or order not in ("<", ">", "|", "="):
            raise TypeError
        content = self.file[expect(Span, span).start : span.start + span.length]
        return np.frombuffer(content, order + code, 1).item()


def _dtype(code: Any, *flags: Any) -> Record:
    if not DTYPE.fullmatch(expect(str, code)):
        raise ValueError(f"it holds NumPy values of the kind {code[:40]!r}")
    return Record(kind=f"numpy.dtype {code}")
