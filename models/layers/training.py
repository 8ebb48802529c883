"""What the training of GANs here takes: Adam for lazy regularisation, finite gradients, a sign of overfitting."""

import torch
from torch import Tensor, nn

from vidbench.stage import Step


def lazy_adam(network: nn.Module, lr: float, interval: int | None = None) -> torch.optim.Adam:
    """Adam without momentum for a network that is regularised every so many steps.

    A step of regularisation is one of Adam's own, so that rate and decay are corrected for there being more of them
    (Karras et al., CVPR 2020, Appendix B).

    Args:
        network: whose parameters are trained.
        lr: learning rate before the correction.
        interval: steps between those of regularisation; None if there is none.
    """
    share = interval / (interval + 1) if interval else 1.0
    return torch.optim.Adam(network.parameters(), lr=lr * share, betas=(0.0, 0.99**share), eps=1e-8)


def descend(network: nn.Module, optimizer: torch.optim.Optimizer, step: Step) -> None:
    """A step along the gradients as they stand, averaged over processes; what is not finite is replaced."""
    parameters = list(network.parameters())
    step.average_gradients(parameters)
    for parameter in parameters:
        if parameter.grad is not None:
            torch.nan_to_num(parameter.grad, nan=0, posinf=1e5, neginf=-1e5, out=parameter.grad)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


@torch.no_grad()
def follow(mean: nn.Module, network: nn.Module, batch: int, half_life: float) -> None:
    """Move an average of a network's parameters; buffers are copied.

    Args:
        mean: the average.
        network: what it follows.
        batch: samples of a step.
        half_life: of the average, in samples.
    """
    beta = 0.5 ** (batch / max(half_life, 1e-8))
    for old, new in zip(mean.parameters(), network.parameters(), strict=True):
        old.copy_(new.lerp(old, beta))
    for copied, own in zip(mean.buffers(), network.buffers(), strict=True):
        copied.copy_(own)


class Overfitting(nn.Module):
    """Mean sign of the discriminator's logits of real videos since the augmentation was last adjusted.

    Karras et al., *Training GANs with Limited Data*, NeurIPS 2020, Eq. 1.
    """

    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("total", torch.zeros([]))
        self.register_buffer("count", torch.zeros([]))

    def add(self, logits: Tensor, step: Step) -> None:
        """Add logits of any shape, and those of the other processes, so that all of them hold the same."""
        self.total += step.mean(logits.detach().sign().sum()) * step.world
        self.count += logits.numel() * step.world

    def taken(self) -> Tensor:
        """The mean, a scalar; it begins anew."""
        signs = self.total / self.count
        self.total.zero_()
        self.count.zero_()
        return signs
