"""Weights that tests share."""

from pathlib import Path

import pytest
import safetensors.torch
import torch

from tests.weights.making import SMALL, Tree, generated, table_of, unit_scales
from vidbench.weights.names import Table, load_table


@pytest.fixture(scope="session")
def network() -> dict[str, torch.Tensor]:
    """Generated weights of the whole network."""
    return {entry.name: generated(entry.name, entry.shape) for entry in load_table()}


@pytest.fixture(scope="session")
def small() -> dict[str, torch.Tensor]:
    """Generated weights of a few tensors, batch norm's scales 1."""
    return unit_scales({name: generated(name, shape) for name, shape in SMALL})


@pytest.fixture(scope="session")
def small_table(small: dict[str, torch.Tensor]) -> Table:
    """By this table the few tensors are the FVD weights, and their negatives rgb_imagenet."""
    return table_of(small)


@pytest.fixture
def weights(own_cache: Path) -> Path:
    """The folder of weights in the cache of this test."""
    folder = own_cache / "weights"
    folder.mkdir()
    return folder


@pytest.fixture(scope="session")
def forms(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One small network in all four forms."""
    folder = tmp_path_factory.mktemp("forms")
    paths = {name: folder / name for name in ("script", "zip", "legacy", "safetensors")}
    module = Tree()
    torch.jit.script(module).save(str(paths["script"]))
    torch.save(module.state_dict(), paths["zip"])
    torch.save(module.state_dict(), paths["legacy"], _use_new_zipfile_serialization=False)
    safetensors.torch.save_file(module.state_dict(), paths["safetensors"])
    return paths
