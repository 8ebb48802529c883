"""Files of a system's authors, read as data: pickles of networks, files of torch.save, arrays."""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from ..stage import Network, Snapshot
from . import persistence
from .archive import LEGACY, dtype_of, is_saved, open_saved, view_storages
from .persistence import LARGEST
from .pickles import NAMESPACE, Record, View
from .refusing import SUSPECT, refusing

NUMPY = b"\x93NUMPY"
HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
NAME = re.compile(r"[\w.-]{1,500}", re.ASCII)
"""Of a network or a tensor."""
MOST_VALUES = 100_000
PLAIN = str | int | float | None
FEW = 100
"""Plain values at most in a list that is kept."""
LIGHTNING = "hyper_parameters"
"""Where PyTorch Lightning keeps the arguments of the training script."""


def open_snapshot(path: Path) -> Snapshot:
    """What a file of a system's authors holds; its content decides how it is read, not its ending.

    - A pickle of NVIDIA's `persistence` module: `vidbench.weights.persistence`.
    - A file of torch.save, zip or the format before 2020: the dictionaries of tensors in it are its networks, by their
      names there. A file that is nothing but tensors is one network, called `G_ema`. What stands beside networks is
      in `stats`: tensors, numbers, texts, and the arguments of the training script (an `argparse.Namespace`, perhaps
      among PyTorch Lightning's `hyper_parameters`) as a dictionary. States of optimisers are left out, unread.
    - A NumPy array: no networks, and in `stats` a tensor by the file's name without its ending.

    Raises:
        UserError: it is none of these, is damaged, or asks for anything that networks do not need.
    """
    with refusing(path, "file of networks", SUSPECT), path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        head = file.read(len(LEGACY))
        if size > LARGEST:
            raise ValueError(f"it has {size:,} bytes; {LARGEST:,} are the most")
        if head.startswith(NUMPY):
            return Snapshot({}, {path.stem: _array(file, size)})
        if is_saved(head):
            return _saved(file, size)
    return persistence.read_snapshot(path)


def _array(file: BinaryIO, size: int) -> Tensor:
    """The array of a `.npy` file."""
    file.seek(0)
    version = np.lib.format.read_magic(file)
    if version not in HEADERS:
        raise ValueError(f"it is of version {version[0]}.{version[1]} of its form, and 1.0 or 2.0 can be read")
    shape, by_columns, dtype = HEADERS[version](file)
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise ValueError(f"it holds values of the kind {dtype.str[:20]!r} instead of numbers")
    needed, given = math.prod(shape) * dtype.itemsize, size - file.tell()
    if min(shape, default=0) < 0 or needed != given:
        raise ValueError(f"its numbers have {given:,} bytes, and its shape needs {needed:,}")
    numbers = np.frombuffer(file.read(), dtype).reshape(shape, order="F" if by_columns else "C")
    return torch.from_numpy(numbers.astype(dtype.newbyteorder("="), order="C"))


def _saved(file: BinaryIO, size: int) -> Snapshot:
    """The networks in a file of torch.save, and what stands beside them."""
    tree, stored = open_saved(file, size)
    if not isinstance(tree, dict):
        raise ValueError(f"it holds a {type(tree).__name__} instead of networks by name")
    lightning = tree.get(LIGHTNING)
    held = [*tree.values(), *(lightning.values() if isinstance(lightning, dict) else ())]
    inner = (value.state if isinstance(value, Record) else value for value in held)
    if sum(len(values) for values in inner if isinstance(values, dict)) > MOST_VALUES:
        raise ValueError(f"it holds more than {MOST_VALUES:,} values")
    states = {name: value for name, value in tree.items() if _is_state(value)}
    beside = {name: value for name, value in tree.items() if isinstance(value, View)}
    if not states:
        states, beside = {"G_ema": beside}, {}
    views = {(network, name): view for network, state in states.items() for name, view in state.items()}
    views |= {(None, name): view for name, view in beside.items()}
    if not views:
        raise ValueError("it holds no network")
    for name in {name for names in views for name in names if name is not None}:
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise ValueError(f"it names a part {str(name)[:100]!r}")
    if sum(math.prod(view.size) * dtype_of(view.storage).itemsize for view in views.values()) > size:
        raise ValueError("its tensors have more bytes than the file")
    networks: dict[str, Network] = {name: Network({}, {}, {}) for name in states}
    stats = _plain(tree) | ({LIGHTNING: _plain(lightning)} if lightning else {})
    for (network, name), tensor in view_storages(views, stored, size).items():
        into = stats if network is None else networks[network].tensors
        into[name] = tensor.clone(memory_format=torch.contiguous_format)
    return Snapshot(networks, stats)


def _is_state(value: Any) -> bool:
    """Whether something is a dictionary of tensors."""
    return isinstance(value, dict) and bool(value) and all(isinstance(inner, View) for inner in value.values())


def _plain(values: Mapping[Any, Any]) -> dict[str, Any]:
    """The numbers, texts and short lists of them in a dictionary's `Namespace`s, and those that stand alone in it.

    Anything else is left out.
    """
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Record) and value.kind == NAMESPACE and isinstance(value.state, dict):
            found[name] = {key: inner for key, inner in value.state.items() if _is_argument(inner)}
        elif isinstance(value, PLAIN):
            found[name] = value
    return found


def _is_argument(value: Any) -> bool:
    """Whether something is a number or a text, or a short list of them."""
    if isinstance(value, list | tuple):
        return len(value) <= FEW and all(isinstance(inner, PLAIN) for inner in value)
    return isinstance(value, PLAIN)
