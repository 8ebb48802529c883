"""Files of vidbench's own that a colleague may have sent: real statistics, configurations."""

from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from hypothesis import strategies as st

from tests.fuzz.fuzz_driver import Target
from tests.fuzz.fuzz_mutation import damaged
from tests.fuzz.fuzz_records import whole
from vidbench.clips import GROUPS
from vidbench.metrics.frechet import Frechet
from vidbench.protocol import load_protocol
from vidbench.real_stats import RealStats, load_real_stats, save_real_stats


def statistics() -> bytes:
    """A real side."""
    record, groups = whole(), []
    for group in range(GROUPS):
        groups.append(Frechet(3).statistics())
        groups[-1].update(torch.full((4, 3), float(group)))
    stats = RealStats(record.protocol, {"backbone": "toy3d"}, record.real, "key", groups, [])
    with TemporaryDirectory() as folder:
        save_real_stats(stats, Path(folder, "file"))
        return Path(folder, "file").read_bytes()


def configurations() -> st.SearchStrategy[bytes]:
    """YAML: a protocol damaged, and what YAML is infamous for."""
    shipped = Path(__file__).parents[2].joinpath("configs", "metrics", "fvd16.yaml").read_bytes()
    laughs = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 60)) + "clips: *a59\n"
    infamous = ["[" * 50_000, "a: " * 50, "!!python/object/apply:os.system [touch ran]", "when: 2001-99-99", laughs]
    return damaged([shipped], [b"clips: ", b"seed: ", b"size"]) | st.sampled_from(infamous).map(str.encode)


def targets() -> dict[str, Target]:
    """By what is read."""
    return {
        "statistics": Target(
            damaged([statistics()], [b'"shape":[', b'"data_offsets":[', b'"seed']),
            ".safetensors",
            lambda path: load_real_stats(path, type(Frechet(3).statistics())),
        ),
        "configurations": Target(configurations(), ".yaml", lambda path: load_protocol(str(path))),
    }
