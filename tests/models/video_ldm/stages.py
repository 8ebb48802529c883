"""Video LDM at a size at which a training step takes a fraction of a second."""

from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tests.models.video_ldm.small import perturbed
from vidbench.models.video_ldm import VideoLDM
from vidbench.models.video_ldm.config import VideoLDMConfig
from vidbench.sources import source_from_array
from vidbench.stage import Batches, Origin, Stage, State, Step

SIDE, FACTOR, SCALE = 16, 2, 1.5
"""Of frames, of the upsampler, and what latents are multiplied by."""
NAMES = list(VideoLDM.stages)
DENOISERS = ["image", "temporal", "interpolation", "upsampler"]


def config(model: Any = None, every: Any = None, **stages: Any) -> VideoLDMConfig:
    """A configuration, with values of the model, of all stages, and of some stages changed."""
    networks = {
        "height": SIDE, "width": SIDE,
        "autoencoder": {"channels": [8, 8], "layers": 1, "groups": 4, "discriminator_channels": [8, 8]},
        "image": {"channels": [8, 8], "layers": 1, "groups": 4, "attention": [False, True], "head_width": 4},
        "temporal": {"frames": 4},
        "decoder": {"discriminator_channels": [8, 8]},
        "upsampler": {"channels": [8, 8], "layers": 1, "groups": 4, "factor": FACTOR, "patch": 8},
        "sampling": {"steps": 2, "guidance": 2.0, "upsample": False},
    }  # fmt: skip
    common = {"steps": 100, "batch": 2, "checkpoint_every": 10, "evaluate_every": 10, "metric": "fvd16@2", "lr": 1e-2}
    own = {"autoencoder": {"adversary_from": 1}, "upsampler": {"image_steps": 2}}
    made = {name: common | own.get(name, {}) | (every or {}) | stages.get(name, {}) for name in NAMES}
    return VideoLDMConfig(name="small", model=networks | (model or {}), stages=made)


def build(name: str, settings: VideoLDMConfig | None = None, before: dict[str, State] | None = None) -> Stage:
    """A stage at its beginning, always the same, on the stages before it as `states` has them."""
    before = {stage: states()[stage] for stage in NAMES[: NAMES.index(name)]} if before is None else before
    torch.manual_seed(0)
    return VideoLDM.stages[name](settings or config(), Origin((SIDE, SIDE), 32.0), "cpu", before)


@cache
def states() -> dict[str, State]:
    """Of all stages, as after some training: nowhere are weights 0."""
    made: dict[str, State] = {}
    for name in NAMES:
        stage = build(name, before=made)
        for key, network in stage.networks.items():
            if key not in ("scale", "trained_on", "D"):
                perturbed(network, 0.05)
        if name == "image":
            stage.scale.factor.fill_(SCALE)
            stage.ema.load_state_dict(stage.unet.state_dict())
        made[name] = {key: {k: x.clone() for k, x in part.items()} for key, part in stage.state().items()}
    return made


def shaken(stage: Stage) -> Stage:
    """With temporal layers that do something, as after some training."""
    for network in (stage.net, stage.ema):
        perturbed(network.temporal)
    return stage


def step_of(stage: Stage, index: int, rank: int = 0, world: int = 1) -> Step:
    """One step of a stage's training."""
    return Step(0, stage.name, index, 2, rank, world)


def batches(stage: Stage, step: Step) -> Batches:
    """The batch that a step reads: noise, a function of step and sample."""
    side = SIDE * FACTOR if stage.name == "upsampler" else SIDE
    shape, chances = (3, stage.reader.frames, side, side), [step.chance("data", i) for i in step.samples]
    clips = [torch.randint(256, shape, generator=chance, dtype=torch.uint8) for chance in chances]
    rates = [torch.randint(len(stage.reader.strides), (), generator=chance) for chance in chances]
    return {"real": {"clip": torch.stack(clips), "rate": torch.stack(rates)}}


def update(stage: Stage, index: int, rank: int = 0, world: int = 1) -> dict[str, Tensor]:
    """One training step."""
    step = step_of(stage, index, rank, world)
    return stage.update(batches(stage, step), step)


def copied(stage: Stage) -> dict[str, Tensor]:
    """All tensors of a stage as they are now, by `network/tensor`."""
    return {f"{network}/{name}": x.clone() for network, part in stage.state().items() for name, x in part.items()}


def moved(before: dict[str, Tensor], stage: Stage) -> set[str]:
    """The tensors that are not what they were."""
    return {name for name, tensor in copied(stage).items() if not torch.equal(tensor, before[name])}


def parts(names: set[str]) -> set[str]:
    """What tensors are of: `network/part`."""
    return {name.partition(".")[0] for name in names}


def textures(side: int = SIDE, frames: int = 60, name: str = "drift") -> Any:
    """Three videos of textures that drift to the right."""
    pictures = np.random.default_rng(0).integers(0, 255, (3, side, side, 3), np.uint8)
    videos = np.stack([np.stack([np.roll(picture, t, axis=1) for t in range(frames)]) for picture in pictures])
    return source_from_array(name, videos, 32.0).resized((side, side))
