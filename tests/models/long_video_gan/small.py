"""LongVideoGAN at a size at which a training step takes a fraction of a second."""

from typing import Any

import torch
from torch import Tensor, nn

from vidbench.models.long_video_gan import LowResGAN, SuperResGAN
from vidbench.models.long_video_gan.adversarial import Adversarial
from vidbench.models.long_video_gan.config import LongVideoGANConfig
from vidbench.stage import Batches, Origin, Step

CONTEXT = 1
SHAPES = {
    "lowres": {"frames": (3, 32, 8, 8)},
    "superres": {"low": (3, 2 + 2 * CONTEXT, 8, 8), "high": (3, 2, 16, 16)},
}
"""Of one training sample of a stage."""


def config(own: dict[str, Any] | None = None, **values: Any) -> LongVideoGANConfig:
    """A configuration, with values of both stages, and the second's `own`, changed."""
    lowres = {
        "height": 8, "width": 8, "frames": 32, "channels": (6,) * 11, "temporal_emb_dim": 8, "w_dim": 6,
        "scales": {"min_rate": 16, "max_rate": 80, "count": 4}, "discriminator_channels": (4, 4, 6, 6, 8),
        "head_channels": 8,
    }  # fmt: skip
    superres = {
        "height": 16, "width": 16, "frames": 2, "context": CONTEXT, "z_dim": 5, "w_dim": 6, "margin": 4,
        "num_layers": 4, "channel_base": 64, "channel_max": 6, "discriminator_channel_base": 64,
        "discriminator_channel_max": 8,
    }  # fmt: skip
    stage = {
        "steps": 100, "batch": 2, "ema_decay": 0.9, "ema_warmup": 3, "checkpoint_every": 10, "evaluate_every": 10,
        "metric": "fvd16",
    }  # fmt: skip
    stages = {"lowres": stage | values, "superres": stage | values | (own or {})}
    return LongVideoGANConfig(name="small", model={"lowres": lowres, "superres": superres}, stages=stages)


def lowres(**values: Any) -> LowResGAN:
    """The first stage at its beginning, always the same."""
    torch.manual_seed(0)
    return LowResGAN(config(**values), Origin((16, 16), 25.0), "cpu", {})


def superres(own: dict[str, Any] | None = None, **values: Any) -> SuperResGAN:
    """The second stage at its beginning, always the same."""
    torch.manual_seed(0)
    return SuperResGAN(config(own, **values), Origin((16, 16), 25.0), "cpu", {})


STAGES = {"lowres": lowres, "superres": superres}


def step_of(stage: Adversarial, index: int, rank: int = 0, world: int = 1) -> Step:
    """One step of a stage's training."""
    return Step(0, stage.name, index, stage.settings.batch, rank, world)


def samples(name: str, step: Step) -> dict[str, Tensor]:
    """This process's samples of one batch: noise, a function of its name, step and sample."""
    return {
        key: torch.stack(
            [
                torch.randint(256, shape, generator=step.chance(f"data/{name}/{key}", sample), dtype=torch.uint8)
                for sample in step.samples
            ]
        )
        for key, shape in SHAPES[step.stage].items()
    }


def batches(stage: Adversarial, step: Step) -> Batches:
    """The batches that a step reads."""
    return {name: samples(name, step) for name, every in stage.reads.items() if step.index % every == 0}


def update(stage: Adversarial, index: int, rank: int = 0, world: int = 1) -> dict[str, Tensor]:
    """One training step."""
    step = step_of(stage, index, rank, world)
    return stage.update(batches(stage, step), step)


def copied(stage: Adversarial) -> dict[str, Tensor]:
    """All tensors of a stage as they are now, by `network/tensor`."""
    return {
        f"{network}/{name}": tensor.clone() for network, part in stage.state().items() for name, tensor in part.items()
    }


def descend_plainly(stage: Adversarial, rate: float = 0.1) -> Adversarial:
    """Put plain gradient descent in Adam's place: how far weights move is then how large gradients are."""
    for name, optimizer in stage.optimizers.items():
        stage.optimizers[name] = torch.optim.SGD(optimizer.param_groups[0]["params"], rate)
    return stage


class LinearJudge(nn.Module):
    """A discriminator that is a scalar product with weights, so that its gradients are known; it remembers its input.

    Attributes:
        seen: the videos of each call.
    """

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(shape, generator=torch.Generator().manual_seed(3)) / 30)
        self.seen: list[Tensor] = []

    def forward(self, *videos: Tensor) -> Tensor:
        """Logits `[N]` of videos, which are joined along colours."""
        x = torch.cat(videos, dim=1)
        self.seen.append(x.detach())
        return (x * self.weight).sum(dim=(1, 2, 3, 4))


def judge_linearly(stage: Adversarial, *shape: int) -> LinearJudge:
    """Put a linear discriminator in the place of a stage's own; a step of it is its gradient."""
    judge = LinearJudge(*shape)
    if stage.name == "superres":
        judge.upsampled = stage.D.upsampled
    stage.D = stage.networks["D"] = judge
    stage.optimizers["D"] = torch.optim.SGD(judge.parameters(), 1.0)
    return judge
