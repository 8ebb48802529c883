"""Small videos, protocols and records that these tests are about."""

import ctypes
import faulthandler
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.linalg  # noqa: F401  (loads the library of which one_blas_thread speaks)

from vidbench.protocol import load_protocol
from vidbench.record import Backbone, Counts, Curve, Record, Side
from vidbench.registry import BACKBONES, DATASETS, MEASURES, MODELS

SECONDS = 100  # that a test may take at most
BLAS = ("openblas_set_num_threads", "scipy_openblas_set_num_threads", "scipy_openblas_set_num_threads64_")

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # of processes that tests or pytest-xdist start
    os.environ.setdefault(variable, "1")


@pytest.fixture(scope="session", autouse=True)
def one_blas_thread() -> None:
    """OpenBLAS keeps to one thread: several wait for each other in loops that take twenty times as long, and look like
    a hang, as soon as something else, such as another test, runs on the same cores."""
    maps = Path("/proc/self/maps")
    lines = maps.read_text().splitlines() if maps.exists() else []
    for path in {line.split()[-1] for line in lines if "openblas" in line}:
        library = ctypes.CDLL(path)
        for function in (getattr(library, name) for name in BLAS if hasattr(library, name)):
            function(1)


@pytest.fixture(autouse=True)
def in_time() -> Iterator[None]:
    """No test waits for ever: it fails, and says where it stood."""

    def stop(*details: object) -> None:
        faulthandler.dump_traceback()
        raise TimeoutError(f"after {SECONDS} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="session")
def moving() -> Callable[..., np.ndarray]:
    """Makes videos uint8 [N, T, H, W, 3]: in each a smooth texture of its own slides by one pixel a frame."""

    def make(videos: int, frames: int, size: int = 16, seed: int = 0) -> np.ndarray:
        rng = np.random.default_rng(seed)
        texture = rng.normal(size=(videos, size, size, 3))
        texture = sum(np.roll(texture, (dy, dx), (1, 2)) for dy in range(3) for dx in range(3))
        level, contrast = rng.uniform(70, 180, (videos, 1, 1, 3)), rng.uniform(5, 25, (videos, 1, 1, 1))
        texture = np.clip(level + contrast * texture, 0, 255).astype(np.uint8)
        return np.stack([np.roll(texture, t, 2) for t in range(frames)], axis=1)

    return make


@pytest.fixture(scope="session")
def make_record() -> Callable[..., Record]:
    """Makes a record of `fvd16@512[toy3d]`, with whatever is said otherwise; `protocol` changes single fields."""

    def make(protocol: dict[str, Any] | None = None, **values: Any) -> Record:
        resolved = load_protocol("fvd16@512").resolved(**{"size": (32, 32), **(protocol or {})})
        counts = Counts(asked=512, available=100, used=512)
        standard: dict[str, Any] = {
            "metric": "fvd16@512[toy3d]",
            "model": "wheel",
            "value": 12.5,
            "se": 0.75,
            "terms": {"mean": 4.5, "covariance": 8.0},
            "protocol": resolved,
            "protocol_hash": resolved.hash,
            "measure_version": 1,
            "backbone": Backbone(name="toy3d", version=1, tensor_hash="ab" * 32),
            "fake": Side(name="wheel", kind="generator", fingerprint=None, counts=counts),
            "real": Side(name="road", kind="png", fingerprint="cd" * 32, fps=25.0, counts=counts),
            "key": "0123456789abcdef" * 4,
            "device": "cpu",
            "seconds": 1.5,
        }
        return Record(**{**standard, **values})

    return make


@pytest.fixture(scope="session")
def make_drift(make_record: Callable[..., Record]) -> Callable[..., Record]:
    """Makes a record of a colour drift with 5 frames."""

    def make(model: str, mean: list[float], **values: Any) -> Record:
        curve = {"t": list(range(5)), "std": [0.0, 0.1, 0.1, 0.1, 0.1]}
        return make_record(
            {"name": "color-drift"}, model=model, metric="color-drift", backbone=None,
            curve=Curve(mean=mean, **curve), real_curve=Curve(mean=[1.0, 0.9, 0.8, 0.75, 0.7], **curve),
            **{"terms": {"signed": -0.1}, **values},
        )  # fmt: skip

    return make


@pytest.fixture
def plug_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Installs a distribution that declares entry points, and perhaps brings a module; it is gone after the test."""
    before = set(sys.modules)
    registries = (MODELS, DATASETS, BACKBONES, MEASURES)

    def forget() -> None:
        for registry in registries:
            vars(registry).pop("_points", None)

    def install(distribution: str, group: str, entries: dict[str, str], **modules: str) -> None:
        root = tmp_path / "site" / distribution
        folder = root / f"{distribution}-1.0.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        lines = [f"{name} = {value}" for name, value in entries.items()]
        (folder / "entry_points.txt").write_text("\n".join([f"[{group}]", *lines, ""]))
        for name, code in modules.items():
            (root / f"{name}.py").write_text(code)
        monkeypatch.syspath_prepend(root)
        forget()

    yield install
    forget()
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", None)):
            del sys.modules[name]
