"""Every system's exports hold what sampling reads, all of it and nothing else, and sample as the run does."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from vidbench.checkpoints import About, load_checkpoint, save_checkpoint
from vidbench.exporting import exported, save_export
from vidbench.registry import MODELS
from vidbench.runs import load_settings, load_system
from vidbench.stage import Origin, State, System
from vidbench.trained import open_trained

SYSTEMS = [name for name in MODELS.names() if hasattr(MODELS.load(name), "stages")]
FURTHER: dict[str, dict[str, Any]] = {"mocogan-hd": {"still": True}, "video-ldm": {"upsample": True}}
"""Options with which a system reads what it does not read without."""
TOLERANCE = 0.02
"""Mean difference of videos in [-1, 1] that half precision may make."""


class Watched(dict[str, Any]):
    """A mapping that remembers which of its keys were read."""

    def __init__(self, values: Any) -> None:
        super().__init__(values)
        self.read: set[str] = set()

    def __getitem__(self, key: str) -> Any:
        self.read.add(key)
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self.read.add(key)
        return super().get(key, default)


@pytest.fixture(scope="module", params=SYSTEMS)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run at the tier `ci`, its networks moved a little away from where training begins."""
    system = load_system(request.param)
    config = load_settings(system, request.param, "ci", None, ())
    folder: Path = tmp_path_factory.mktemp("runs") / request.param
    torch.manual_seed(0)
    states: dict[str, State] = {}
    for name, build in system.stages.items():
        size = system.training_size(config, name)
        stage = build(config, Origin(size, 25.0), "cpu", states)
        with torch.no_grad():
            for network in stage.networks.values():
                for parameter in network.parameters():
                    parameter.add_(0.02 * torch.randn_like(parameter))
        states[name] = {key: dict(network) for key, network in stage.state().items()}
        about = About(
            model=request.param, stage=name, step=1, config=config.model_dump(mode="json"), tier="ci", data="toy-ride",
            size=size, fps=25.0, seed=0,
        )  # fmt: skip
        save_checkpoint(folder / name / "best.safetensors", about, states[name])
    return folder


def videos(system: System) -> Tensor:
    return system.sample([1, 2], 9)


def test_an_export_holds_what_sampling_reads_and_nothing_else(run: Path, tmp_path: Path) -> None:
    trained = open_trained(run)
    system = load_system(trained.model)
    save_export(exported(trained, (), torch.float16), tmp_path)
    checkpoints = [load_checkpoint(path) for path in open_trained(tmp_path).paths]
    config = system.config_type(**checkpoints[-1].about.config)
    states = {each.about.stage: Watched(each.state) for each in checkpoints}
    for options in ({}, FURTHER.get(trained.model, {})):
        system.from_states(config, states, 25.0, "cpu", **options)
    assert {stage: state.read for stage, state in states.items()} == {
        stage: set(state) for stage, state in states.items()
    }


def test_an_export_samples_as_the_run_does(run: Path, tmp_path: Path) -> None:
    trained = open_trained(run)
    save_export(exported(trained, (), torch.float32), tmp_path / "full")
    save_export(exported(trained, (), torch.float16), tmp_path / "half")
    expected = videos(trained.generator())
    assert torch.equal(videos(open_trained(tmp_path / "full").generator()), expected)
    assert (videos(open_trained(tmp_path / "half").generator()) - expected).abs().mean() < TOLERANCE
    sizes = [sum(path.stat().st_size for path in (tmp_path / each).glob("*/*")) for each in ("half", "full")]
    assert sizes[0] < 0.8 * sizes[1]
