"""Zips of frames and shards: their directory damaged field by field, their indices made up, their sizes forged."""

import io
import json
import re
import struct
import warnings
import zipfile
from functools import cache

from hypothesis import strategies as st
from PIL import Image

from tests.fuzz.fuzz_driver import Target
from tests.fuzz.fuzz_mutation import CLAIMS, damaged
from tests.videos import numbered
from vidbench.sources import Source, open_source
from vidbench.sources.zips import LABELS, SHARD_INDEX

NAMES = (
    *("a/0.png", "a/1.png", "b/0.png", "set/a/0.png", "set/b/0.png", "0.png", "a/.hidden.png", "train/a/0.png"),
    *(
        "test/a/0.png",
        "../a/0.png",
        "a/../../0.png",
        "/a/0.png",
        "/etc/passwd",
        "C:\\a\\0.png",
        "a//0.png",
        "a/\n/0.png",
    ),
    *("\udcff/0.png", "\ud800/0.png", "a/" + "9" * 5000 + ".png", "a" * 60_000 + ".png", "a.mp4", "a/", "/", "", "."),
)

Field = tuple[int, int, str, int]


@cache
def picture(kind: str = "PNG") -> bytes:
    """One small frame as an image file."""
    file = io.BytesIO()
    Image.fromarray(numbered(1, (12, 16))).save(file, kind)
    return file.getvalue()


def zip_of(entries: list[tuple[str, bytes]], compression: int = zipfile.ZIP_STORED) -> bytes:
    """A zip; names may occur twice, and may be none that Python would write."""
    file = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", compression) as archive:
        warnings.simplefilter("ignore")
        for number, (name, content) in enumerate(entries):
            stand_in = f"{number:04d}" * (-(-len(name.encode("utf-8", "surrogatepass")) // 4) or 1)
            archive.writestr(stand_in, content)
    content = file.getvalue()
    for number, (name, _) in enumerate(entries):
        raw = name.encode("utf-8", "surrogatepass")
        stand_in = f"{number:04d}".encode() * (-(-len(raw) // 4) or 1)
        content = content.replace(stand_in, raw.ljust(len(stand_in), b"\0"))
    return content


def wholes() -> list[bytes]:
    """Both layouts, stored and deflated, with labels and without."""
    frames = [(name, picture()) for name in NAMES[:3]]
    index = json.dumps({"a": ["0.png", "1.png"], "b": ["0.png"]}).encode()
    return [
        zip_of(frames),
        zip_of(frames, zipfile.ZIP_DEFLATED),
        zip_of([*frames, (SHARD_INDEX, index)], zipfile.ZIP_DEFLATED),
        zip_of([*frames, (LABELS, b'{"labels": [["a/0.png", 1]]}')]),
    ]


def indices() -> st.SearchStrategy[bytes]:
    """What may stand in an index."""
    names = st.sampled_from(NAMES) | st.text(max_size=8)
    listing = st.dictionaries(names | st.just("."), st.lists(names, max_size=3), max_size=3)
    absurd = st.recursive(
        st.none() | st.floats() | names, lambda inner: st.lists(inner) | st.dictionaries(names, inner)
    )
    deep = st.integers(1, 100_000).map(lambda depth: b'{"a":' * depth)
    return (listing | absurd).map(lambda value: json.dumps(value).encode()) | deep | st.binary(max_size=20)


def zips() -> st.SearchStrategy[bytes]:
    """Zips of absurd names, some twice or pointing outside, with an index that need not fit and forged fields."""
    index = indices()
    contents = st.sampled_from([picture(), picture("JPEG"), b"", b"no picture", bytes(10**5)]) | index
    names = st.sampled_from([*NAMES, SHARD_INDEX, LABELS, f"a/{LABELS}"])
    widths, claims = st.sampled_from(["<H", "<I"]), st.sampled_from(CLAIMS)
    fields = st.lists(st.tuples(st.integers(0, 99), st.integers(4, 44), widths, claims), max_size=3)

    def make(entries: list[tuple[str, bytes]], last: bytes | None, kind: int, fields: list[Field]) -> bytes:
        content = bytearray(zip_of([*entries, *([(SHARD_INDEX, last)] if last else [])], kind))
        headers = [found.start() for found in re.finditer(b"PK(\1\2|\3\4|\5\6)", content)]
        for header, offset, width, claim in fields:
            field = struct.pack(width, claim % 256 ** struct.calcsize(width))
            at = headers[header % len(headers)] + offset
            content[at : at + len(field)] = field
        return bytes(content)

    kinds = st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
    return st.builds(make, st.lists(st.tuples(names, contents), max_size=5), st.none() | index, kinds, fields)


def look(source: Source) -> None:
    """What every command does with a source: probe all, read the ends of what can be read."""
    source.index(workers=1)
    for video in source.videos[:8]:
        length = source.length(video)
        if length:
            source.read(video, 0, min(length, 4))
            source.read(video, length - 1, length)


def target() -> Target:
    """The index of a zip, and the frames in it."""
    marks = [b"PK\1\2", b"PK\5\6", b"PK\3\4", b"IHDR", b"IDAT"]
    return Target(damaged(wholes(), marks) | zips(), ".zip", lambda path: look(open_source(path)))
