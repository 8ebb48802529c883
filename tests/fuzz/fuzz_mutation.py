"""Damage: what hypothesis does to whole files."""

import struct
from collections.abc import Sequence

from hypothesis import strategies as st

CLAIMS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 60_000, 10**9, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**64 - 1)
WIDTHS = ("<B", "<H", ">H", "<I", ">I", "<Q", ">Q")
NEAR = 52
"""Bytes around a mark in which a change is likely."""

Change = tuple[int, int, int, int]
CHANGES = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 2**20), st.integers(0, 2**20), st.integers(0, 2**20)),
    min_size=1,
    max_size=6,
)


def damaged(wholes: Sequence[bytes], marks: Sequence[bytes] = ()) -> st.SearchStrategy[bytes]:
    """Some files, with up to six changes each: bytes, lengths, cuts, repeats, pieces of another file.

    Args:
        wholes: the files.
        marks: byte strings around which the fields lie that are worth a change, such as the names of headers.
    """

    def change(content: bytearray, kind: int, where: int, what: int, how_much: int) -> None:
        near = [found for mark in marks if (found := content.find(mark)) >= 0]
        start = where % (len(content) + 1)
        if near and where % 2:
            start = min(max(0, near[where // 2 % len(near)] + where // 128 % NEAR - 4), len(content))
        match kind:
            case 0:
                content[start : start + 1] = bytes([what % 256])
            case 1:
                width, claim = WIDTHS[how_much % len(WIDTHS)], CLAIMS[what % len(CLAIMS)]
                field = struct.pack(width, claim % 256 ** struct.calcsize(width))
                content[start : start + len(field)] = field
            case 2:
                del content[start : start + 1 + how_much % 64]
            case 3:
                del content[start:]
            case 4:
                content[start:start] = content[what % (len(content) + 1) :][: how_much % 256]
            case 5:
                other = wholes[what % len(wholes)]
                content[start:] = other[how_much % len(other) :]
            case 6:
                content[start:start] = what.to_bytes(4, "little")[: how_much % 5]

    def apply(whole: bytes, changes: list[Change]) -> bytes:
        content = bytearray(whole)
        for each in changes:
            change(content, *each)
        return bytes(content)

    return st.builds(apply, st.sampled_from(wholes), CHANGES)
