"""Which network some tensors are: checksums of every variable against those of TensorFlow's checkpoints.

They survive conversion, so they prove a file under any naming and in any format, which a hash of the file cannot.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch

from .names import SCALE, Table, load_table

CASTAGNOLI = 0x82F63B78
"""The polynomial of CRC-32C, its bits reversed."""
VERDICTS = {
    "i3d": "these are the FVD weights ({agree} of {total} variables)",
    "i3d-imagenet": "these are rgb_imagenet, another network: backbone i3d-imagenet",
}


@dataclass(frozen=True)
class Proof:
    """What the checksums say."""

    network: str | None
    """The backbone that the tensors are, or None."""
    agree: int
    """Variables that agree with that network; with none, with the nearer one."""
    total: int
    """Variables that have a checksum."""
    verdict: str
    """The same in words."""


def prove(tensors: Mapping[str, torch.Tensor], table: Table | None = None) -> Proof:
    """Compare tensors with the two public networks.

    Batch norm's scales are in neither checkpoint; a network with others than 1 is neither.

    Args:
        tensors: the result of `canonical`.
        table: the checksums.  Default: those of I3D.
    """
    table = load_table() if table is None else table
    variables = [entry for entry in table if entry.checksums]
    found = {entry.name: checksum(tensors[entry.name]) for entry in variables}
    agree = {name: sum(found[entry.name] == entry.checksums[name] for entry in variables) for name in VERDICTS}
    nearer = max(agree, key=lambda name: agree[name])
    count, total = agree[nearer], len(variables)
    if count < total:
        return Proof(None, count, total, f"neither: {count} of {total} agree")
    if not all(bool((tensors[entry.name] == 1).all()) for entry in table if entry.name.endswith(SCALE)):
        return Proof(None, count, total, f"neither: {count} of {total} agree, but batch norm has scales other than 1")
    return Proof(nearer, count, total, VERDICTS[nearer].format(agree=count, total=total))


def checksum(tensor: torch.Tensor) -> int:
    """What TensorFlow's checkpoints record of a variable: the masked CRC-32C of its float32 bytes in their layout.

    Args:
        tensor: in PyTorch's order of axes; kernels `[out, in, t, h, w]` are stored as `[t, h, w, in, out]`.
    """
    stored = tensor.permute(2, 3, 4, 1, 0) if tensor.ndim == 5 else tensor
    return masked(crc32c(stored.to(torch.float32).contiguous().cpu().numpy().astype("<f4", copy=False).tobytes()))


def masked(crc: int) -> int:
    """A checksum as TensorFlow stores it: rotated right by 15 bits, plus a constant."""
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def crc32c(content: bytes) -> int:
    """CRC-32C (Castagnoli) of some bytes.

    The remainder of A followed by B is that of A, shifted by the length of B, plus that of B: so neighbours are joined
    in pairs, all pairs at once, until one is left. Zeros in front change nothing.
    """
    padded = bytes(-len(content) % 4) + content
    remainders = np.frombuffer(padded, "<u4")
    level = 5  # a word has 2^5 bits
    while len(remainders) > 1:
        if len(remainders) % 2:
            remainders = np.concatenate([np.zeros(1, "<u4"), remainders])
        remainders = _shift(level, remainders[::2]) ^ remainders[1::2]
        level += 1
    start = np.array([0xFFFFFFFF], "<u4")
    for bit in range(3, (8 * len(content)).bit_length()):
        if (8 * len(content)) >> bit & 1:
            start = _shift(bit, start)
    return int((_shift(5, remainders) ^ start)[0]) ^ 0xFFFFFFFF if content else 0


def _shift(level: int, remainders: np.ndarray) -> np.ndarray:
    """Remainders after 2^level further bits of zero."""
    return _look_up(_shifts(level), remainders)


def _look_up(table: np.ndarray, remainders: np.ndarray) -> np.ndarray:
    octets = np.ascontiguousarray(remainders).view(np.uint8).reshape(-1, 4)
    result: np.ndarray = table[0][octets[:, 0]]
    for place in (1, 2, 3):
        result ^= table[place][octets[:, place]]
    return result


@cache
def _shifts(level: int) -> np.ndarray:
    """What each of the four bytes of a remainder becomes: uint32 `[4, 256]`."""
    bits = 1 << np.arange(32, dtype="<u4")
    if level == 0:
        shifted = np.concatenate([np.array([CASTAGNOLI], "<u4"), bits[:-1]])
    else:
        half = _shifts(level - 1)
        shifted = _look_up(half, _look_up(half, bits))
    table = np.zeros((4, 256), "<u4")
    for bit in range(8):
        table[:, 1 << bit : 2 << bit] = table[:, : 1 << bit] ^ shifted[bit::8, None]
    return table
