"""What all tests share: a cache of their own, and rendered toy videos where a test wants files."""

import os
from pathlib import Path

os.environ.setdefault(
    "OPENBLAS_NUM_THREADS", "1"
)  # before numpy: waiting threads spin, and tests run beside each other

import hypothesis
import pytest
import torch


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or writes the user's cache, or finds the user's data sets."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("VIDBENCH_CACHE", str(folder))
    monkeypatch.delenv("VIDBENCH_DATA", raising=False)
    return folder


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Tests run beside each other, one a core."""
    torch.set_num_threads(1)


hypothesis.settings.register_profile("shared machine", deadline=None)
hypothesis.settings.load_profile("shared machine")
