"""Pickles as data: a machine for the few instructions that weights files are made of; it imports and calls nothing."""

import pickletools
import re
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, TypeVar

LARGEST_PICKLE = 2**20
LONGEST_NAME = 500
INERT = {
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
    """An object of a scripted class, without the class."""

    state: Any = None


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
    machine, stream = _Machine(), BytesIO(content[:LARGEST_PICKLE])
    try:
        for opcode, argument, _ in pickletools.genops(stream):
            run = getattr(machine, f"do_{opcode.name.lower()}", None)
            if run is None:
                raise ValueError(f"its pickle holds the instruction {opcode.name}")
            run(argument)
    except (IndexError, KeyError, TypeError, UnicodeError) as error:
        raise ValueError("its pickle is damaged") from error
    return Pickle(machine.stack[-1], machine.storages, stream.tell())


@dataclass
class _Machine:
    """One method an instruction; a malformed order of them fails with IndexError, KeyError or TypeError."""

    stack: list[Any] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)
    storages: list[Storage] = field(default_factory=list)
    pairs: int = 0

    def _push(self, argument: Any) -> None:
        self.stack.append(argument)

    do_binint = do_binint1 = do_binint2 = do_long1 = do_binfloat = _push
    do_binunicode = do_short_binunicode = do_binstring = do_short_binstring = _push

    def _skip(self, argument: Any) -> None:
        pass

    do_proto = do_frame = _skip

    def do_stop(self, argument: None) -> None:
        if len(self.stack) != 1:
            raise IndexError

    def do_none(self, argument: None) -> None:
        self._push(None)

    def do_newtrue(self, argument: None) -> None:
        self._push(True)

    def do_newfalse(self, argument: None) -> None:
        self._push(False)

    def do_mark(self, argument: None) -> None:
        self.marks.append(len(self.stack))

    def _above_mark(self) -> list[Any]:
        mark = self.marks.pop()
        values, self.stack[mark:] = self.stack[mark:], []
        return values

    def do_empty_tuple(self, argument: None) -> None:
        self._push(())

    def do_tuple(self, argument: None) -> None:
        self._push(tuple(self._above_mark()))

    def do_tuple1(self, argument: None) -> None:
        self._push((self.stack.pop(),))

    def do_tuple2(self, argument: None) -> None:
        second, first = self.stack.pop(), self.stack.pop()
        self._push((first, second))

    def do_tuple3(self, argument: None) -> None:
        third, second, first = self.stack.pop(), self.stack.pop(), self.stack.pop()
        self._push((first, second, third))

    def do_empty_list(self, argument: None) -> None:
        self._push([])

    def do_append(self, argument: None) -> None:
        value = self.stack.pop()
        _of(list, self.stack[-1]).append(value)

    def do_appends(self, argument: None) -> None:
        values = self._above_mark()
        _of(list, self.stack[-1]).extend(values)

    def do_empty_dict(self, argument: None) -> None:
        self._push({})

    def do_setitem(self, argument: None) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        _of(dict, self.stack[-1])[_key(key)] = value

    def do_setitems(self, argument: None) -> None:
        values = self._above_mark()
        target = _of(dict, self.stack[-1])
        for key, value in zip(values[::2], values[1::2], strict=True):
            target[_key(key)] = value

    def _remember(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    do_binput = do_long_binput = _remember

    def do_memoize(self, argument: None) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def _recall(self, index: int) -> None:
        self._push(self.memo[index])

    do_binget = do_long_binget = _recall

    def do_global(self, argument: str) -> None:
        self._name(".".join(argument.split(" ", 1)))

    def do_stack_global(self, argument: None) -> None:
        name, module = _of(str, self.stack.pop()), _of(str, self.stack.pop())
        self._name(f"{module[:LONGEST_NAME]}.{name[:LONGEST_NAME]}")

    def _name(self, text: str) -> None:
        if len(text) > LONGEST_NAME or (text not in INERT and not INERT_FAMILIES.fullmatch(text)):
            raise ValueError(f"its pickle asks for {text[:80]!r}, which no tensor needs")
        self._push(Name(text))

    def do_binpersid(self, argument: None) -> None:
        tag, kind, key, _, count, *view = self.stack.pop()
        if tag != "storage" or any(view) or not _natural([count]):
            raise TypeError
        storage = Storage(_of(Name, kind).text.removeprefix("torch."), _of(str, key)[:LONGEST_NAME], count)
        self.storages.append(storage)
        self._push(storage)

    def do_reduce(self, argument: None) -> None:
        arguments, name = _of(tuple, self.stack.pop()), _of(Name, self.stack.pop()).text
        if name == "collections.OrderedDict":
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

    def do_newobj(self, argument: None) -> None:
        self.stack.pop()
        if not _of(Name, self.stack.pop()).text.startswith("__torch__."):
            raise TypeError
        self._push(Record())

    def do_build(self, argument: None) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, Record):
            target.state = state
        else:
            _of(dict, target)


def _of(kind: type[T], value: Any) -> T:
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
    size, stride = _of(tuple, size), _of(tuple, stride)
    if len(size) != len(stride) or len(size) > 8 or not _natural((offset, *size, *stride)):
        raise TypeError
    numbers, last = 1, offset
    for length, step in zip(size, stride, strict=True):
        numbers *= length
        last += (length - 1) * step
    if numbers > _of(Storage, storage).count or (numbers and last >= storage.count):
        raise ValueError(f"a tensor of size {list(size)} does not fit into its storage of {storage.count} numbers")
    return View(storage, offset, size, stride)
