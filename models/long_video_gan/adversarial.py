"""What both stages' training shares: networks, rates, and the moving average (Brooks et al., 2022, App. C)."""

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from vidbench.models.layers.training import descend, lazy_adam
from vidbench.stage import Origin, Stage, Step

from .config import GANConfig, LongVideoGANConfig

MAGNITUDE_DECAY = 0.999
"""Of the averages of magnitudes, which move while the discriminator is trained."""


class Adversarial(Stage):
    """`G` against `D`; `G_ema` is what is sampled."""

    settings: GANConfig

    def __init__(self, config: LongVideoGANConfig, origin: Origin, G: nn.Module, D: nn.Module) -> None:
        self.config, self.origin = config, origin
        self.G, self.D = G.train(), D.train()
        self.G_ema = copy.deepcopy(G).eval().requires_grad_(False)
        self.networks = {"G": self.G, "D": self.D, "G_ema": self.G_ema}
        self.optimizers = {
            "G": lazy_adam(self.G, self.settings.lr_G),
            "D": lazy_adam(self.D, self.settings.lr_D, self.settings.r1_every),
        }

    def parts(self, step: Step) -> Iterator[slice]:
        """The parts of this process's batch whose gradients are added up."""
        count = len(step.samples)
        size = -(-count // self.settings.accumulation)
        for first in range(0, count, size):
            yield slice(first, first + size)

    def add_gradients(self, losses: Tensor, step: Step) -> Tensor:
        """Gradients of the share that losses `[n]` of one part have in the mean over the batch; that share."""
        loss = losses.sum() / len(step.samples)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def descend(self, name: str, step: Step) -> None:
        """Adam's step on the gradients that were added up."""
        descend(self.networks[name], self.optimizers[name], step)

    @torch.no_grad()
    def average(self, step: Step) -> None:
        """The moving average of the generator's parameters and buffers."""
        decay = ema_decay(step.index, self.settings.ema_decay, self.settings.ema_warmup)
        for mean, new in zip(self.G_ema.state_dict().values(), self.G.state_dict().values(), strict=True):
            mean.lerp_(new, 1 - decay)


def ema_decay(index: int, decay: float, warmup: int) -> float:
    """That of step `index`, which rises to the given decay in `warmup` steps."""
    return float(decay ** max((warmup + 1) / (index + 1), 1))
