"""StyleGAN-V at a size at which a training step takes a fraction of a second."""

from typing import Any

import torch
from torch import Tensor

from vidbench.models.stylegan_v import GAN
from vidbench.models.stylegan_v.config import StyleGANVConfig
from vidbench.stage import Origin, Step


def config(model: dict[str, Any] | None = None, **gan: Any) -> StyleGANVConfig:
    """A configuration, with values of the model and the stage changed."""
    motion = {"z_dim": 4, "v_dim": 6, "kernel_size": 3, "distance": 4, "time_dim": 3, "min_period": 4, "max_period": 16}
    sampling = {"num_frames": 3, "max_distance": 8, "max_num_frames": 32}
    networks = {"resolution": 16, "z_dim": 8, "w_dim": 8, "channel_base": 128, "channel_max": 8, "concat_res": 8}
    stage = {
        "steps": 100, "batch": 4, "gamma": 0.05, "ema_kvideos": 0.1, "ada_kvideos": 0.1, "checkpoint_every": 10,
        "evaluate_every": 10, "metric": "fvd16",
    }  # fmt: skip
    whole = {**networks, "motion": {**motion, "max_num_frames": 32}, "sampling": sampling, "mbstd_group_size": 2}
    return StyleGANVConfig(name="small", model=whole | (model or {}), stages={"gan": stage | gan})


def gan(model: dict[str, Any] | None = None, **values: Any) -> GAN:
    """The stage at its beginning, always the same."""
    torch.manual_seed(0)
    return GAN(config(model, **values), Origin((16, 16), 25.0), "cpu", {})


def batch(step: Step) -> dict[str, Tensor]:
    """This process's samples of a step: noise at made-up times, a function of step and sample."""
    rows = []
    for sample in step.samples:
        chance = step.chance("sample", sample)
        frames = torch.randint(256, (3, 3, 16, 16), generator=chance, dtype=torch.uint8)
        times = {
            name: torch.rand((), generator=chance) * 20 + torch.tensor([0.0, 1, 4]) for name in ("times_G", "times_D")
        }
        rows.append({"frames": frames, "times": torch.tensor([0.0, 3, 8]), **times})
    return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}


def update(stage: GAN, index: int, rank: int = 0, world: int = 1) -> dict[str, Tensor]:
    """One training step."""
    step = Step(0, "gan", index, stage.settings.batch, rank, world)
    logs: dict[str, Tensor] = stage.update({"real": batch(step)}, step)
    return logs
