"""MoCoGAN+SG2 at a size at which a training step takes a fraction of a second."""

from typing import Any

import torch
from torch import Tensor

from vidbench.models.mocogan_sg2 import GAN
from vidbench.models.mocogan_sg2.config import MoCoGANSG2Config
from vidbench.stage import Origin, Step

LONGEST = 32


def config(model: dict[str, Any] | None = None, **gan: Any) -> MoCoGANSG2Config:
    """A configuration, with values of the model and the stage changed."""
    networks = {
        "resolution": 16, "z_dim": 8, "w_dim": 8, "channel_base": 128, "channel_max": 8, "motion_z_dim": 4,
        "motion_v_dim": 6, "max_num_frames": LONGEST, "video_width": 2, "mbstd_group_size": 2, "norm_group_size": 2,
    }  # fmt: skip
    stage = {
        "steps": 100, "batch": 4, "gamma": 0.05, "ema_kvideos": 0.1, "ada_kvideos": 0.1, "checkpoint_every": 10,
        "evaluate_every": 10, "metric": "fvd16",
    }  # fmt: skip
    return MoCoGANSG2Config(name="small", model=networks | (model or {}), stages={"gan": stage | gan})


def gan(model: dict[str, Any] | None = None, **values: Any) -> GAN:
    """The stage at its beginning, always the same."""
    torch.manual_seed(0)
    return GAN(config(model, **values), Origin((16, 16), 25.0), "cpu", {})


def batch(step: Step) -> dict[str, Tensor]:
    """This process's samples of a step: noise at made-up times, a function of step and sample."""
    rows = []
    for sample in step.samples:
        chance = step.chance("sample", sample)
        frames = torch.randint(256, (3, 16, 16, 16), generator=chance, dtype=torch.uint8)
        starts = {f"start_{name}": torch.randint(LONGEST - 15, (), generator=chance) for name in "GD"}
        rows.append({"frames": frames, **starts})
    return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}


def step_of(stage: GAN, index: int, rank: int = 0, world: int = 1) -> Step:
    """One step of a stage's training."""
    return Step(0, "gan", index, stage.settings.batch, rank, world)


def update(stage: GAN, index: int, rank: int = 0, world: int = 1) -> dict[str, Tensor]:
    """One training step."""
    step = step_of(stage, index, rank, world)
    logs: dict[str, Tensor] = stage.update({"real": batch(step)}, step)
    return logs
