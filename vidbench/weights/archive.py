"""Weights files of every public form, read without running anything that they contain."""

import mmap
import re
import zipfile
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import torch

from .pickles import LARGEST_PICKLE, Pickle, Record, Storage, View, read_pickle
from .refusing import refusing

LARGEST = 2**28
"""Bytes of a file, and of the tensors in it: five times the network. Nothing larger is opened."""
MOST_ENTRIES = 10_000
MOST_ATTRIBUTES = 100_000
LONGEST_NAME = 500
ZIP = b"PK\x03\x04"
LEGACY = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
"""A pickled number, 0x1950a86a20f9469cfc6c, with which torch.save began every file until 2020."""
DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}

Key = TypeVar("Key", bound=Hashable)
Stored = Callable[[Storage, int], bytes]
"""Gives the first so many bytes of a storage, fewer if it is the shorter."""


def read_tensors(path: str | Path) -> dict[str, torch.Tensor]:
    """All tensors of a weights file, by the names that it gives them.

    Safetensors, state dicts of torch.save (also inside a dict's `state_dict`; zip, or the format before 2020), and
    TorchScript archives, whose attributes' names are joined by dots. The content decides, not the file's ending.

    Raises:
        UserError: it is none of these, damaged, larger than 256 MiB, or asks for more than tensors.
    """
    path = Path(path)
    with refusing(path, "weights file", "Download or copy it again."):
        if path.exists() and not path.is_file():
            raise ValueError("it is not a file")
        with path.open("rb") as file:
            return _read(file)


def _read(file: BinaryIO) -> dict[str, torch.Tensor]:
    size = file.seek(0, 2)
    file.seek(0)
    head = file.read(len(LEGACY))
    file.seek(0)
    if size > LARGEST:
        raise ValueError(f"it has {size:,} bytes; {LARGEST:,} are the most")
    if is_saved(head):
        tensors = _assemble(*open_saved(file, size))
    elif head[8:9] == b"{":
        import safetensors.torch

        tensors = safetensors.torch.load(file.read())
    elif head.lstrip().startswith(b"<"):
        raise ValueError("it is a web page")
    else:
        raise ValueError("it is neither safetensors nor a file of torch.save or torch.jit.save")
    if not tensors:
        raise ValueError("it holds no tensors")
    return tensors


def is_saved(head: bytes) -> bool:
    """Whether a file that begins so is one of torch.save, of now or of before 2020, or of torch.jit.save."""
    return head.startswith((ZIP, LEGACY))


def open_saved(file: BinaryIO, size: int) -> tuple[Any, Stored]:
    """What such a file describes, and what gives the bytes of its storages as long as it is open.

    Raises:
        ValueError: it is damaged, or asks for more than tensors; the message completes a sentence about the file.
    """
    file.seek(0)
    if file.read(len(ZIP)) == ZIP:
        return _open_zip(file)
    file.seek(0)
    pickle, places = legacy_layout(file, size)

    def stored(storage: Storage, length: int) -> bytes:
        if storage not in places:
            raise ValueError("a storage is missing")
        file.seek(places[storage])
        return file.read(length)

    return pickle.tree, stored


def _open_zip(file: BinaryIO) -> tuple[Any, Stored]:
    """A file of torch.save or torch.jit.save: `<root>/data.pkl`, and one entry `<root>/data/<key>` a storage."""
    _require_few_entries(file)
    archive = zipfile.ZipFile(file)
    roots = [name.partition("/")[0] for name in archive.namelist() if re.fullmatch(r"[^/]+/data\.pkl", name)]
    if len(roots) != 1:
        raise ValueError(f"it has {len(roots)} entries named <folder>/data.pkl instead of one")
    pickle = read_pickle(_entry(archive, f"{roots[0]}/data.pkl", LARGEST_PICKLE))
    return pickle.tree, lambda storage, length: _entry(archive, f"{roots[0]}/data/{storage.key}", length)


def _require_few_entries(file: BinaryIO) -> None:
    """Count before zipfile makes an object of each."""
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        place = -1
        for _ in range(MOST_ENTRIES + 1):
            place = content.find(b"PK\x01\x02", place + 1)
            if place < 0:
                return
    raise ValueError(f"it has more than {MOST_ENTRIES} entries")


def _entry(archive: zipfile.ZipFile, name: str, length: int) -> bytes:
    """The first `length` bytes of an entry; fewer if it is the shorter."""
    try:
        entry = archive.getinfo(name)
    except KeyError as error:
        raise ValueError(f"the entry {name[:80]!r} is missing") from error
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"the entry {name[:80]!r} is compressed in an unusual way")
    with archive.open(entry) as stream:
        return stream.read(min(length, entry.file_size))


def legacy_layout(file: BinaryIO, size: int) -> tuple[Pickle, dict[Storage, int]]:
    """What a file of torch.save before 2020 describes, and where in it the numbers of each storage begin.

    It is five pickles in a row, then each storage after its count of numbers.

    Raises:
        ValueError: it is damaged; the message completes a sentence about the file.
    """
    system = [_next_pickle(file) for _ in range(3)][2].tree
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise ValueError("its numbers are not little-endian")
    pickle = _next_pickle(file)
    kinds = {storage.key: storage for storage in pickle.storages}
    places: dict[Storage, int] = {}
    keys = _next_pickle(file).tree
    for key in keys if isinstance(keys, list) else [None]:
        storage = kinds.get(key) if isinstance(key, str) else None
        if storage is None or int.from_bytes(file.read(8), "little") != storage.count:
            raise ValueError("its list of storages is damaged")
        places[storage] = file.tell()
        end = file.tell() + storage.count * dtype_of(storage).itemsize
        if end > size:
            raise ValueError("it ends too early")
        file.seek(end)
    return pickle, places


def _next_pickle(file: BinaryIO) -> Pickle:
    start = file.tell()
    pickle = read_pickle(file.read(LARGEST_PICKLE))
    file.seek(start + pickle.length)
    return pickle


def _assemble(tree: Any, stored: Stored) -> dict[str, torch.Tensor]:
    scripted = isinstance(tree, Record) and not tree.kind
    return view_storages(_attributes(tree) if scripted else _state_dict(tree), stored, LARGEST)


def view_storages(views: Mapping[Key, View], stored: Stored, largest: int) -> dict[Key, torch.Tensor]:
    """The tensors that some views describe.

    Args:
        views: by name.
        stored: gives the bytes of storages.
        largest: bytes of all storages.

    Raises:
        ValueError: they have more, or a storage is too short; the message completes a sentence about the file.
    """
    storages: dict[Storage, torch.Tensor] = {}
    total = 0
    for storage in {view.storage: None for view in views.values()}:
        dtype = dtype_of(storage)
        length = storage.count * dtype.itemsize
        total += length
        if total > largest:
            raise ValueError(f"its tensors have more than {largest:,} bytes")
        content = bytearray(stored(storage, length))
        if len(content) != length:
            raise ValueError(f"a storage has {len(content)} bytes and needs {length}")
        storages[storage] = torch.frombuffer(content, dtype=dtype) if content else torch.empty(0, dtype=dtype)
    return {
        name: storages[view.storage].as_strided(view.size, view.stride, view.offset) for name, view in views.items()
    }


def dtype_of(storage: Storage) -> torch.dtype:
    """The type of a storage's numbers.

    Raises:
        ValueError: an unusual one.
    """
    if storage.kind not in DTYPES:
        raise ValueError(f"it holds numbers of the kind {storage.kind[:80]!r}")
    return DTYPES[storage.kind]


def _state_dict(tree: Any) -> dict[str, View]:
    if isinstance(tree, dict) and isinstance(tree.get("state_dict"), dict):
        tree = tree["state_dict"]
    if not isinstance(tree, dict):
        raise ValueError(f"it holds a {type(tree).__name__} instead of tensors by name")
    return {name: value for name, value in tree.items() if isinstance(name, str) and isinstance(value, View)}


def _attributes(root: Record) -> dict[str, View]:
    """The tensors of a tree of scripted modules."""
    found: dict[str, View] = {}
    pending = [("", root)]
    visited = 0
    while pending:
        prefix, record = pending.pop()
        for name, value in record.state.items() if isinstance(record.state, dict) else ():
            visited += 1
            if visited > MOST_ATTRIBUTES or not isinstance(name, str) or len(prefix) + len(name) > LONGEST_NAME:
                raise ValueError("its modules are nested without end")
            if isinstance(value, View):
                found[prefix + name] = value
            elif isinstance(value, Record):
                pending.append((f"{prefix}{name}.", value))
    return found
