"""MoCoGAN-HD at a size at which a training step takes a fraction of a second."""

from typing import Any

import torch
from torch import Tensor, nn

from vidbench.models.mocogan_hd import ImageGAN, MotionGAN
from vidbench.models.mocogan_hd.config import MoCoGANHDConfig
from vidbench.stage import Batches, Origin, Stage, State, Step

FRAMES = 5
"""Of the clips that discriminators see."""


def config(*, across: bool = False, side: int = 32, image: Any = None, motion: Any = None) -> MoCoGANHDConfig:
    """A configuration, with values of the stages changed; `side` is that of the frames.

    Discriminators of motion see half of the side; across domains they see 32 pixels.
    """
    networks = {"channels": (6, 6, 6, 4)[: side.bit_length() - 2], "z_dim": 6, "mapping_layers": 2}
    walks = {
        "frames": FRAMES, "time_step": 2, "side": 32 if across else side // 2, "hidden": 5, "components": 4,
        "cross_domain": across, "video_widths": (2, 2), "image_widths": (2, 2), "contrastive_width": 1,
        "contrastive_features": 8, "queue": 9,
    }  # fmt: skip
    stage = {"steps": 100, "checkpoint_every": 10, "evaluate_every": 10, "metric": "fvd16"}
    stages = {
        "image": stage | {"batch": 4} | (image or {}),
        "motion": stage | {"batch": 4, "generator_steps": 2, "pca_styles": 300} | (motion or {}),
    }
    return MoCoGANHDConfig(name="small", model={"image": networks, "motion": walks}, stages=stages)


def image_stage(side: int = 16, **values: Any) -> ImageGAN:
    """The first stage at its beginning, always the same."""
    torch.manual_seed(0)
    return ImageGAN(config(side=side, image=values), Origin((side, side), 25.0), "cpu", {})


def motion_stage(across: bool = False, **values: Any) -> MotionGAN:
    """The second stage at its beginning, always the same."""
    torch.manual_seed(1)
    return MotionGAN(config(across=across, motion=values), Origin((32, 32), 25.0), "cpu", {"image": image_state()})


def image_state() -> State:
    """Of the first stage, where noise and latents matter more than they do at its beginning."""
    stage = image_stage(32)
    with torch.no_grad():
        for name, parameter in stage.G_ema.named_parameters():
            if name.endswith("noise_strength"):
                parameter.fill_(0.2)
        stage.G_ema.mapping.w_avg.normal_(generator=torch.Generator().manual_seed(0))
    return stage.state()


def samples(step: Step, side: int) -> dict[str, Tensor]:
    """This process's samples of a step: noise, a function of step and sample."""
    key, shape = {"image": ("frame", (3, side, side)), "motion": ("clip", (FRAMES, 3, side, side))}[step.stage]
    rows = [torch.randint(256, shape, generator=step.chance("data", i), dtype=torch.uint8) for i in step.samples]
    return {key: torch.stack(rows)}


def step_of(stage: Stage, index: int, rank: int = 0, world: int = 1) -> Step:
    """One step of a stage's training."""
    return Step(0, stage.name, index, stage.settings.batch, rank, world)


def batches(stage: Stage, step: Step) -> Batches:
    """The batch that a step reads."""
    return {"real": samples(step, getattr(stage.config.model, stage.name).side)}


def update(stage: Stage, index: int, rank: int = 0, world: int = 1) -> dict[str, Tensor]:
    """One training step."""
    step = step_of(stage, index, rank, world)
    return stage.update(batches(stage, step), step)


def copied(stage: Stage) -> dict[str, Tensor]:
    """All tensors of a stage as they are now, by `network/tensor`."""
    return {
        f"{network}/{name}": tensor.clone() for network, part in stage.state().items() for name, tensor in part.items()
    }


def moved(before: dict[str, Tensor], stage: Stage) -> set[str]:
    """The tensors that are not what they were."""
    return {name for name, tensor in copied(stage).items() if not torch.equal(tensor, before[name])}


def parameters(stage: Stage, network: str) -> set[str]:
    """Names of those that are trained, as in `copied`."""
    return {f"{network}/{name}" for name, own in stage.networks[network].named_parameters() if own.requires_grad}


def watch(stage: Stage, names: list[str], monkeypatch: Any) -> list[tuple[str, set[str]]]:
    """A list that parts of a step enter in turn, each with the tensors that it moves."""
    parts: list[tuple[str, set[str]]] = []

    def watched(name: str) -> None:
        run = getattr(stage, name)

        def part(*arguments: Any) -> Any:
            before = copied(stage)
            result = run(*arguments)
            parts.append((name, moved(before, stage)))
            return result

        monkeypatch.setattr(stage, name, part)

    for name in names:
        watched(name)
    return parts


def watch_draws(monkeypatch: Any) -> list[str]:
    """A list that the names of a step's random numbers enter."""
    names: list[str] = []

    def watched(kind: str) -> None:
        draw = getattr(Step, kind)

        def named(self: Step, name: str, *shape: int) -> Any:
            names.append(f"{kind}/{name}")
            return draw(self, name, *shape)

        monkeypatch.setattr(Step, kind, named)

    for kind in ("normal", "uniform", "shared"):
        watched(kind)
    return names


def descend_plainly(stage: Stage, rate: float = 0.1) -> Stage:
    """Put plain gradient descent in Adam's place: how far weights move is then how large gradients are."""
    for name, optimizer in stage.optimizers.items():
        stage.optimizers[name] = torch.optim.SGD(optimizer.param_groups[0]["params"], rate)
    return stage


class LinearJudge(nn.Module):
    """A discriminator that is a scalar product with weights, so that its gradients are known; it remembers its input.

    Attributes:
        seen: the images of each call.
    """

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(shape, generator=torch.Generator().manual_seed(3)) / 10)
        self.seen: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        """Logits `[N]`."""
        self.seen.append(images.detach())
        return (images * self.weight).flatten(1).sum(dim=1)


def judge_linearly(stage: ImageGAN) -> LinearJudge:
    """Put a linear discriminator in the place of a stage's own; a step of it is its gradient."""
    judge = LinearJudge(3, *stage.origin.size)
    stage.D = stage.networks["D"] = judge
    stage.optimizers["D"] = torch.optim.SGD(judge.parameters(), 1.0)
    return judge
