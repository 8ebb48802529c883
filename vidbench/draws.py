"""Named draws: all randomness is a function of (seed, name, index), never a carried state."""

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor


def draw_seed(seed: int, name: str, index: int = 0) -> int:
    """The 63-bit seed of a named draw.

    It is the first 8 bytes of SHA-256 of the text `seed/name/index`, big-endian, shifted right by one bit.
    """
    digest = hashlib.sha256(f"{seed}/{name}/{index}".encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def draw(seed: int, name: str, index: int = 0) -> torch.Generator:
    """A CPU generator for one named draw; the same arguments give the same numbers on every machine."""
    return torch.Generator("cpu").manual_seed(draw_seed(seed, name, index))


def normal(seeds: Sequence[int], name: str, index: int = 0, *shape: int) -> Tensor:
    """Standard normal numbers of one named draw of each seed, `[N, *shape]`, float32, on the CPU."""
    return torch.stack([torch.randn(shape, generator=draw(seed, name, index)) for seed in seeds])
