"""Pickles as data: a machine for the few instructions that weights files are made of; it imports and calls nothing."""

import pickletools
import re
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, ClassVar, TypeVar

LARGEST_PICKLE = 2**20
LONGEST_NAME = 500
NAMESPACE = "argparse.Namespace"
"""The arguments of a training script, which some files keep beside their tensors."""
LIGHTNING = "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint"
"""A key of what PyTorch Lightning keeps of a training, before its version 1.5."""
OPAQUE = {
    LIGHTNING,
    "pytorch_lightning.utilities.argparse._gpus_arg_default",
    "_codecs.encode",
    "numpy.dtype",
    "numpy.dtypes.Float64DType",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
}
"""What PyTorch Lightning's files hold beside tensors, and nothing is made of."""
INERT = {
    *OPAQUE,
    NAMESPACE,
    "collections.OrderedDict",
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_tensor_v2",
    "torch.jit._pickle.restore_type_tag",
}
INERT_FAMILIES = re.compile(r"torch\.[A-Za-z0-9]+Storage|torch\.jit\._pickle\.build_[a-z]+list|__torch__\..+")


T = TypeVar("T")


@dataclass(frozen=True)
class Name:
    """A class or function that the pickle names; it stays a name."""

    text: str


@dataclass
class Record:
    """An object without its class."""

    state: Any = None
    kind: str = ""
    """The class's name, where it matters."""


@dataclass(frozen=True)
class Storage:
    """A run of numbers that lies elsewhere in the file."""

    kind: str
    """Such as `FloatStorage`."""
    key: str
    """Where it lies."""
    count: int
    """How many numbers."""


@dataclass(frozen=True)
class View:
    """A tensor: which numbers of a storage, in which order."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass(frozen=True)
class Pickle:
    """What a pickle describes."""

    tree: Any
    """Plain values, `Record`s and `View`s."""
    storages: list[Storage]
    """All that it mentions."""
    length: int
    """Bytes of the pickle; more may follow in the file."""


def read_pickle(content: bytes) -> Pickle:
    """Read the pickle at the start of `content`.

    Raises:
        ValueError: it asks for anything that tensors do not need, is damaged, or is longer than 1 MiB; the message
            completes a sentence about the file.
    """
    machine, stream = Machine(), BytesIO(content[:LARGEST_PICKLE])
    return Pickle(machine.run(stream), machine.storages, stream.tell())


@dataclass
class Machine:
    """One method an instruction; a malformed order of them fails with IndexError, KeyError or TypeError."""

    longest: ClassVar[int] = LARGEST_PICKLE
    """Bytes of instructions."""
    inert: ClassVar[set[str]] = INERT
    """What may be named..."""
    families: ClassVar[re.Pattern[str]] = INERT_FAMILIES
    """... and patterns of it."""
    stack: list[Any] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)
    storages: list[Storage] = field(default_factory=list)
    pairs: int = 0
    skipped: int = 0
    """Bytes that are no instructions."""

    def run(self, stream: Any) -> Any:
        """Follow the instructions of a file up to the end of a pickle, and give what it describes.

        Raises:
            ValueError: as `read_pickle`.
        """
        try:
            for opcode, argument, place in pickletools.genops(stream):
                run = getattr(self, f"_do_{opcode.name.lower()}", None)
                if run is None:
                    raise ValueError(f"its pickle holds the instruction {opcode.name}")
                run(argument)
                if (place or 0) - self.skipped > self.longest:
                    raise ValueError(f"its pickle has more than {self.longest:,} bytes of instructions")
        except (IndexError, KeyError, TypeError, UnicodeError) as error:
            raise ValueError("its pickle is damaged") from error
        return self.stack[-1]

    def _push(self, argument: Any) -> None:
        self.stack.append(argument)

    _do_binint = _do_binint1 = _do_binint2 = _do_long1 = _do_binfloat = _push
    _do_binunicode = _do_short_binunicode = _do_binstring = _do_short_binstring = _push

    def _skip(self, argument: Any) -> None:
        pass

    _do_proto = _do_frame = _skip

    def _do_stop(self, argument: None) -> None:
        if len(self.stack) != 1:
            raise IndexError

    def _do_none(self, argument: None) -> None:
        self._push(None)

    def _do_newtrue(self, argument: None) -> None:
        self._push(True)

    def _do_newfalse(self, argument: None) -> None:
        self._push(False)

    def _do_mark(self, argument: None) -> None:
        self.marks.append(len(self.stack))

    def _above_mark(self) -> list[Any]:
        mark = self.marks.pop()
        values, self.stack[mark:] = self.stack[mark:], []
        return values

    def _do_empty_tuple(self, argument: None) -> None:
        self._push(())

    def _do_tuple(self, argument: None) -> None:
        self._push(tuple(self._above_mark()))

    def _do_tuple1(self, argument: None) -> None:
        self._push((self.stack.pop(),))

    def _do_tuple2(self, argument: None) -> None:
        second, first = self.stack.pop(), self.stack.pop()
        self._push((first, second))

    def _do_tuple3(self, argument: None) -> None:
        third, second, first = self.stack.pop(), self.stack.pop(), self.stack.pop()
        self._push((first, second, third))

    def _do_empty_list(self, argument: None) -> None:
        self._push([])

    def _do_append(self, argument: None) -> None:
        value = self.stack.pop()
        expect(list, self.stack[-1]).append(value)

    def _do_appends(self, argument: None) -> None:
        values = self._above_mark()
        expect(list, self.stack[-1]).extend(values)

    def _do_empty_dict(self, argument: None) -> None:
        self._push({})

    def _do_setitem(self, argument: None) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._put(expect(dict, self.stack[-1]), key, value)

    def _do_setitems(self, argument: None) -> None:
        values = self._above_mark()
        target = expect(dict, self.stack[-1])
        if len(values) % 2:
            raise IndexError
        for key, value in zip(values[::2], values[1::2], strict=True):
            self._put(target, key, value)

    def _put(self, target: dict[Any, Any], key: Any, value: Any) -> None:
        target[_key(key.text if isinstance(key, Name) else key)] = value

    def _remember(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    _do_binput = _do_long_binput = _remember

    def _do_memoize(self, argument: None) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def _recall(self, index: int) -> None:
        self._push(self.memo[index])

    _do_binget = _do_long_binget = _recall

    def _do_global(self, argument: str) -> None:
        self._name(".".join(argument.split(" ", 1)))

    def _do_stack_global(self, argument: None) -> None:
        name, module = expect(str, self.stack.pop()), expect(str, self.stack.pop())
        self._name(f"{module[:LONGEST_NAME]}.{name[:LONGEST_NAME]}")

    def _name(self, text: str) -> None:
        if len(text) > LONGEST_NAME or (text not in self.inert and not self.families.fullmatch(text)):
            raise ValueError(f"its pickle asks for {text[:80]!r}, which no tensor needs")
        self._push(Name(text))

    def _do_binpersid(self, argument: None) -> None:
        tag, kind, key, _, count, *view = self.stack.pop()
        if tag != "storage" or any(view) or not _natural([count]):
            raise TypeError
        storage = Storage(expect(Name, kind).text.removeprefix("torch."), expect(str, key)[:LONGEST_NAME], count)
        self.storages.append(storage)
        self._push(storage)

    def _do_reduce(self, argument: None) -> None:
        arguments, name = expect(tuple, self.stack.pop()), expect(Name, self.stack.pop()).text
        if name in OPAQUE:
            self._push(Record())
        elif name == "collections.OrderedDict":
            self._push(self._dictionary(*arguments))
        elif name.startswith("torch._utils._rebuild_tensor"):
            self._push(_view(*arguments[:4]))
        elif name.startswith(("torch._utils.", "torch.jit._pickle.")):
            self._push(arguments[0])
        else:
            raise TypeError

    def _dictionary(self, pairs: Any = ()) -> dict[str | int, Any]:
        """A dictionary of pairs, as Python 2 wrote it; one list can be asked for many times, so all are counted."""
        self.pairs += len(pairs)
        if self.pairs > LARGEST_PICKLE:
            raise ValueError("its pickle asks for too much")
        return {_key(key): value for key, value in pairs}

    def _do_newobj(self, argument: None) -> None:
        self.stack.pop()
        name = expect(Name, self.stack.pop()).text
        if name != NAMESPACE and not name.startswith("__torch__."):
            raise TypeError
        self._push(Record(kind=name if name == NAMESPACE else ""))

    def _do_build(self, argument: None) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, Record):
            target.state = state
        else:
            expect(dict, target)


def expect(kind: type[T], value: Any) -> T:
    """The value, if it is of that kind.

    Raises:
        TypeError: it is not, so that the pickle is damaged.
    """
    if not isinstance(value, kind):
        raise TypeError
    return value


def _key(value: Any) -> str | int:
    """Keys are text or numbers: a nest of tuples, or huge numbers made to collide, can take for ever to hash."""
    if not (isinstance(value, str) or (isinstance(value, int) and abs(value) < 2**60)):
        raise TypeError
    return value


def _natural(values: Any) -> bool:
    return all(isinstance(value, int) and 0 <= value < 2**63 for value in values)


def _view(storage: Any, offset: Any, size: Any, stride: Any) -> View:
    """A tensor that lies within its storage and has no more numbers than it."""
    size, stride = expect(tuple, size), expect(tuple, stride)
    if len(size) != len(stride) or len(size) > 8 or not _natural((offset, *size, *stride)):
        raise TypeError
    numbers, last = 1, offset
    for length, step in zip(size, stride, strict=True):
        numbers *= length
        last += (length - 1) * step
    if numbers > expect(Storage, storage).count or (numbers and last >= storage.count):
        raise ValueError(f"a tensor of size {list(size)} does not fit into its storage of {storage.count} numbers")
    return View(storage, offset, size, stride)
