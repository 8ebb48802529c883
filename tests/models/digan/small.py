"""DIGAN at a size at which a training step takes a fraction of a second."""

from typing import Any

import torch
from torch import Tensor

from vidbench.models.digan import GAN
from vidbench.models.digan.config import DIGANConfig
from vidbench.stage import Origin, Step


def config(model: dict[str, Any] | None = None, **gan: Any) -> DIGANConfig:
    """A configuration, with values of the model and the stage changed."""
    networks = {
        "resolution": 16, "clip_frames": 6, "z_dim": 8, "w_dim": 8, "base_resolution": 8, "num_waves": 3, "rank": 2,
        "extra_layers_at": (16,), "channel_base": 128, "channel_max": 8, "mbstd_group_size": 2,
    }  # fmt: skip
    stage = {
        "steps": 100, "batch": 4, "ema_kvideos": 0.1, "checkpoint_every": 10, "evaluate_every": 10, "metric": "fvd16",
    }  # fmt: skip
    return DIGANConfig(name="small", model=networks | (model or {}), stages={"gan": stage | gan})


def gan(model: dict[str, Any] | None = None, **values: Any) -> GAN:
    """The stage at its beginning, always the same."""
    torch.manual_seed(0)
    return GAN(config(model, **values), Origin((16, 16), 25.0), "cpu", {})


def batch(step: Step) -> dict[str, Tensor]:
    """This process's samples of a step: noise at made-up times, a function of step and sample."""
    chances = [step.chance("sample", sample) for sample in step.samples]
    return {
        "frames": torch.stack([torch.randint(256, (2, 3, 16, 16), generator=c, dtype=torch.uint8) for c in chances]),
        "distance": torch.stack([torch.rand((), generator=c) for c in chances]),
    }


def update(stage: GAN, index: int, rank: int = 0, world: int = 1) -> dict[str, Tensor]:
    """One training step."""
    step = Step(0, "gan", index, stage.settings.batch, rank, world)
    logs: dict[str, Tensor] = stage.update({"real": batch(step)}, step)
    return logs
