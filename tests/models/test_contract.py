"""Every registered model keeps what the interface of generators promises."""

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch

from vidbench import Generator
from vidbench.datasets import load_dataset
from vidbench.registry import MODELS
from vidbench.runs import load_settings, load_system
from vidbench.stage import Origin, State, System
from vidbench.testing import check_generator, check_round_trip

NAMES = MODELS.names()
LENGTH = 24


@cache
def states(name: str) -> tuple[Any, dict[str, State]]:
    """The configuration of the tier `ci`, and the states of its stages before any training."""
    system = load_system(name)
    config = load_settings(system, name, "ci", None, ())
    torch.manual_seed(0)
    made: dict[str, State] = {}
    for stage, build in system.stages.items():
        made[stage] = build(config, Origin(system.size_of(config), 25.0), "cpu", made).state()
    return config, made


def factory(name: str) -> Callable[[], Generator]:
    """Makes the model of a name; a model that is neither a reference nor a system has no way to be made here."""
    kind = MODELS.load(name)
    if getattr(kind, "is_reference", False):
        source = load_dataset("toy-ride").source("test", (8, 8)).resized((8, 8))
        return lambda: kind(source, LENGTH)
    assert issubclass(kind, System), f"{name} is of a kind that these tests cannot make: teach them"
    config, made = states(name)
    return lambda: kind.from_states(config, made, 25.0)


@pytest.mark.parametrize("name", NAMES)
def test_every_registered_model_is_a_generator(name: str) -> None:
    check_generator(factory(name), LENGTH)


@pytest.mark.parametrize("name", [name for name in NAMES if hasattr(MODELS.load(name), "stages")])
def test_every_system_survives_its_checkpoints(name: str) -> None:
    check_round_trip(load_system(name), *states(name))


@pytest.mark.parametrize("name", [name for name in NAMES if hasattr(MODELS.load(name), "stages")])
def test_a_system_says_which_stage_is_missing(name: str) -> None:
    config, _ = states(name)
    with pytest.raises(ValueError, match="is not trained"):
        load_system(name).from_states(config, {}, 25.0)
