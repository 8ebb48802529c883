"""TATS at a size at which a training step takes a fraction of a second."""

from typing import Any

import torch
from torch import Tensor

from vidbench.models.tats import TATS, TATSHierarchical
from vidbench.models.tats.config import TATSConfig, TATSHierarchicalConfig
from vidbench.stage import Origin, Stage, State, Step

SIDE, FRAMES = 8, 4
"""Of clips; two latent frames of four codes."""


def config(hierarchical: bool = False, model: Any = None, **stages: Any) -> Any:
    """A configuration; values of the autoencoder's model and of stages can be changed."""
    vqgan = {
        "side": SIDE, "frames": FRAMES, "downsample": (2, 4, 4), "width": 2, "codes": 12, "code_width": 3,
        "discriminator_width": 2, "discriminator_layers": 2,
    }  # fmt: skip
    transformer = {"latent_frames": 2, "layers": 2, "heads": 2, "width": 8}
    stage = {"steps": 10, "batch": 4, "checkpoint_every": 10, "evaluate_every": 10, "metric": "fvd16"}
    extra = {"accumulation": 1, "perceptual_weight": 0, "discriminator_start": 0.5, "restart_below": 1, "lr": 0.001}
    networks = {"vqgan": vqgan | (model or {}), "transformer": transformer}
    settings = {
        "vqgan": stage | extra | stages.get("vqgan", {}),
        "transformer": stage | stages.get("transformer", {}),
    }
    if not hierarchical:
        return TATSConfig(name="small", model=networks, stages=settings)
    networks["interpolation"] = transformer | {"latent_frames": 3}
    settings["interpolation"] = stage | stages.get("interpolation", {})
    return TATSHierarchicalConfig(name="small", model=networks, stages=settings)


def build(name: str, hierarchical: bool = False, before: dict[str, State] | None = None, **stages: Any) -> Any:
    """A stage at its beginning, always the same, after the stages that it needs."""
    system = TATSHierarchical if hierarchical else TATS
    states = before if before is not None else made(hierarchical, name)
    torch.manual_seed(0)
    return system.stages[name](config(hierarchical, **stages), Origin((SIDE, SIDE), 25.0), "cpu", states)


def made(hierarchical: bool = False, until: str | None = None) -> dict[str, State]:
    """States of the stages up to one, in which codes and tokens differ far more than at the start of training."""
    states: dict[str, State] = {}
    for name in (TATSHierarchical if hierarchical else TATS).stages:
        if name == until:
            break
        stage = build(name, hierarchical, states)
        update(stage, 0)
        stir(stage)
        states[name] = stage.state()
    return states


@torch.no_grad()
def stir(stage: Stage) -> None:
    """Bring pictures and codes far apart, and logits as well."""
    if stage.name == "vqgan":
        stage.networks["vqgan"].codebook.embeddings.normal_(generator=torch.Generator().manual_seed(1))
    else:
        for parameter in stage.networks["transformer"].parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2)))


def samples(stage: Any, step: Step) -> dict[str, Tensor]:
    """This process's samples of a step: noise, a function of step and sample."""
    shape = (3, stage.reader.frames, SIDE, SIDE)
    rows = [torch.randint(256, shape, generator=step.chance("data", i), dtype=torch.uint8) for i in step.samples]
    return {"clip": torch.stack(rows)}


def update(stage: Any, index: int, rank: int = 0, world: int = 1) -> dict[str, Tensor]:
    """One training step."""
    step = Step(0, stage.name, index, stage.settings.batch, rank, world)
    return stage.update({"real": samples(stage, step)}, step)


def copied(stage: Stage) -> dict[str, Tensor]:
    """All tensors of a stage as they are now, by `network/tensor`."""
    return {f"{network}/{name}": x.clone() for network, part in stage.state().items() for name, x in part.items()}


def moved(before: dict[str, Tensor], stage: Stage) -> set[str]:
    """The tensors that are not what they were."""
    return {name for name, tensor in copied(stage).items() if not torch.equal(tensor, before[name])}
