"""Records: whole ones damaged, and any JSON in the place of any value."""

import copy
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from tests.fuzz.fuzz_driver import Target
from tests.fuzz.fuzz_mutation import CLAIMS, damaged
from vidbench.protocol import load_protocol
from vidbench.record import Backbone, Counts, Curve, Record, Side, load_record

SPECIAL = st.sampled_from(
    [
        float("nan"),
        float("inf"),
        10**400,
        -(10**400),
        1e308,
        "\ud800",
        "\udcff",
        "\0",
        "\n\x1b[2J",
        "x" * 10_000,
        {},
        [],
        [[]],
        None,
        True,
        *CLAIMS,
    ]
)
VALUES = st.recursive(
    SPECIAL | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def whole() -> Record:
    """A record with every part."""
    protocol = load_protocol("fvd16@512").resolved(size=(32, 32))
    counts = Counts(asked=512, available=100, used=512)
    curve = Curve(t=[0, 1], mean=[1.0, 0.9], std=[0.0, 0.1])
    return Record(
        metric="fvd16@512[toy3d]",
        model="wheel",
        value=12.5,
        se=0.75,
        terms={"mean": 4.5, "covariance": 8.0},
        curve=curve,
        real_curve=curve,
        protocol=protocol,
        protocol_hash=protocol.hash,
        measure_version=1,
        backbone=Backbone(name="toy3d", version=1, tensor_hash="ab" * 32),
        fake=Side(name="wheel", kind="generator", fingerprint=None, counts=counts),
        real=Side(name="road", kind="png", fingerprint="cd" * 32, fps=25.0, counts=counts),
        key="0123456789abcdef" * 4,
        device="cpu",
        seconds=1.5,
    )


@st.composite
def changed(draw: Callable[..., Any], document: dict[str, Any]) -> bytes:
    """A document with values, at any depth, replaced, removed or added."""
    document = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 4))):
        place = document
        while isinstance(place, dict) and place:
            key = draw(st.sampled_from(sorted(place, key=repr)))
            if not isinstance(place[key], dict) or draw(st.booleans()):
                break
            place = place[key]
        else:
            continue
        match draw(st.integers(0, 3)):
            case 0 | 1:
                place[key] = draw(VALUES)
            case 2:
                del place[key]
            case 3:
                place[draw(st.text(max_size=8) | st.just("\ud800"))] = draw(VALUES)
    return json.dumps(document, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")


def nests() -> st.SearchStrategy[bytes]:
    """Brackets without end, alone or in the place of a value."""
    deep = st.integers(100, 200_000)
    alone = st.tuples(st.sampled_from([b"[", b'{"a":', b'[{"a":']), deep).map(lambda pair: pair[0] * pair[1])
    inside = deep.map(lambda depth: b'{"schema_version": 1, "value": ' + b"[" * depth + b"]" * depth + b"}")
    return alone | inside


def read(path: Path) -> None:
    """Read a record, and do what every user of one does."""
    record = load_record(path)
    record.stem()
    record.comparable_by  # noqa: B018
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        record.save(Path(folder))


def target() -> Target:
    """The record reader."""
    document = json.loads(whole().model_dump_json())
    content = json.dumps(document, indent=1).encode()
    marks = [b'"value": ', b'"schema_version": ', b'"clips": ', b'"mean": ', b'"name": "']
    return Target(damaged([content], marks) | changed(document) | nests() | st.binary(max_size=40), ".json", read)
