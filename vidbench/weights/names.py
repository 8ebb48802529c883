"""One network, three ways of naming its tensors: all are mapped to the canonical one."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import torch

from ..errors import UserError

UNITS = {
    "b0": ("branch_0", "branch_0.conv3d_0a_1x1"),
    "b1a": ("branch_1.0", "branch_1.conv3d_0a_1x1"),
    "b1b": ("branch_1.1", "branch_1.conv3d_0b_3x3"),
    "b2a": ("branch_2.0", "branch_2.conv3d_0a_1x1"),
    "b2b": ("branch_2.1", "branch_2.conv3d_0b_3x3", "branch_2.conv3d_0a_3x3"),  # the last: TensorFlow's Mixed_5b
    "b3b": ("branch_3.1", "branch_3.conv3d_0b_1x1"),
    "logits": ("conv3d_0c_1x1", "logits.conv3d_0c_1x1"),
}
"""Canonical parts of names, and how the TorchScript archive and TensorFlow call them; case and / or . do not matter."""
LEAVES = {
    "conv3d.weight": ("conv_3d.w",),
    "conv3d.bias": ("conv_3d.b",),
    "bn.weight": ("batch3d.weight",),
    "bn.bias": ("batch3d.bias", "batch_norm.beta"),
    "bn.running_mean": ("batch3d.running_mean", "batch_norm.moving_mean"),
    "bn.running_var": ("batch3d.running_var", "batch_norm.moving_variance"),
    "bn.num_batches_tracked": ("batch3d.num_batches_tracked",),
}
LONGEST = 5
"""Parts of the longest of these names."""
COUNTER = ".num_batches_tracked"
SCALE = ".bn.weight"


@dataclass(frozen=True)
class Entry:
    """One tensor of the network."""

    name: str
    """Its canonical name."""
    shape: tuple[int, ...]
    """In PyTorch's order of axes."""
    checksums: Mapping[str, int]
    """Backbone to the checksum in TensorFlow's checkpoint; empty for the scales of batch norm, which are not in it."""


Table = Sequence[Entry]


@cache
def load_table() -> Table:
    """The 287 tensors of I3D with 400 classes."""
    tensors = json.loads(files(__package__).joinpath("i3d_tensors.json").read_text())["tensors"]
    columns = {"i3d": "crc_hub", "i3d-imagenet": "crc_rgb_imagenet"}
    return tuple(
        Entry(
            entry["name"],
            tuple(entry["shape"]),
            {name: int(entry[column], 16) for name, column in columns.items() if column in entry},
        )
        for entry in tensors
    )


def canonical(
    tensors: Mapping[str, torch.Tensor], table: Table | None = None, source: str = "The file"
) -> dict[str, torch.Tensor]:
    """The tensors of I3D under their canonical names, in PyTorch's order of axes.

    Args:
        tensors: under canonical names, the TorchScript archive's or TensorFlow's, perhaps all behind one prefix.
            TensorFlow has no scales of batch norm; they are 1. `num_batches_tracked` is dropped.
        table: what the network needs.  Default: `load_table()`.
        source: what the tensors come from, for messages.

    Returns:
        float32 tensors in the order of the table.

    Raises:
        UserError: names are unknown, missing or there twice, or a tensor has another shape or no floating numbers.
    """
    table = load_table() if table is None else table
    found, unknown = _rename(tensors, spellings(entry.name for entry in table))
    if any(name.rpartition(".")[0].endswith("batch_norm") for name in map(_plain, tensors)):
        scales = {entry.name: torch.ones(entry.shape) for entry in table if entry.name.endswith(SCALE)}
        found = {**scales, **found}
    missing = [entry.name for entry in table if entry.name not in found]
    problems = [
        f"{len(names)} {'name is' if len(names) == 1 else 'names are'} {what} ({_first(names)})"
        for what, names in (("unknown, or there twice", unknown), ("missing", missing))
        if names
    ]
    if problems:
        raise UserError(
            f"{source} does not hold I3D: of its tensors {' and '.join(problems)}. The names of i3d_torchscript.pt, of"
            " i3d_pretrained_400.pt and of TensorFlow are known; choose such a file, or rename the tensors."
        )
    return {entry.name: _fit(found[entry.name], entry, source) for entry in table}


def spellings(names: Iterable[str]) -> dict[str, str]:
    """Every known spelling, in small letters with dots, of canonical names (and of batch norm's counters)."""
    known: dict[str, str] = {}
    for name in names:
        counter = [name.removesuffix(SCALE) + ".bn" + COUNTER] if name.endswith(SCALE) else []
        for each in (name, *counter):
            unit, leaf = each.rsplit(".", 2)[0], ".".join(each.rsplit(".", 2)[1:])
            block, dot, part = unit.rpartition(".")
            units = [unit, *(block + dot + other for other in UNITS.get(part, ()))]
            known |= {f"{u}.{other}".lower(): each for u in units for other in (leaf, *LEAVES[leaf])}
    return known


def _plain(name: str) -> str:
    return name.removesuffix(":0").replace("/", ".").lower()


def _rename(tensors: Mapping[str, torch.Tensor], known: Mapping[str, str]) -> tuple[dict[str, torch.Tensor], list[str]]:
    """Tensors by canonical name, and names that mean nothing, stand behind another prefix, or mean what another does.

    Counters of batch norm are left out of both.
    """
    found: dict[str, torch.Tensor] = {}
    unknown: list[str] = []
    prefixes: set[str] = set()
    for original, tensor in tensors.items():
        prefix, name = next(_readings(_plain(original), known), ("", ""))
        if not name or name in found or prefixes - {prefix}:
            unknown.append(original)
        else:
            prefixes.add(prefix)
            if not name.endswith(COUNTER):
                found[name] = tensor
    return found, unknown


def _readings(plain: str, known: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """A name as prefix and canonical name, the longest known ending first."""
    prefix, *parts = f".{plain}".rsplit(".", LONGEST)
    while parts:
        if name := known.get(".".join(parts)):
            yield prefix, name
        prefix, parts = f"{prefix}.{parts[0]}", parts[1:]


def _first(names: Sequence[str]) -> str:
    return ", ".join(name[:80] for name in names[:3]) + (", …" if len(names) > 3 else "")


def _fit(tensor: torch.Tensor, entry: Entry, source: str) -> torch.Tensor:
    """A tensor in its place: float32, contiguous, from TensorFlow's order of axes if it comes in that."""
    if len(entry.shape) == 5 and tensor.ndim == 5 and tensor.permute(4, 3, 0, 1, 2).shape == entry.shape:
        tensor = tensor.permute(4, 3, 0, 1, 2)
    elif len(entry.shape) == 1 and tensor.ndim == 5 and tensor.numel() == tensor.shape[-1]:
        tensor = tensor.reshape(-1)
    if tuple(tensor.shape) != entry.shape or not tensor.is_floating_point():
        raise UserError(
            f"{source} holds {entry.name} as {str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}; I3D with"
            f" 400 classes needs float32 {list(entry.shape)}. Choose the weights of that network."
        )
    return tensor.detach().to(torch.float32).contiguous()
