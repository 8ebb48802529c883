"""Running averages that networks keep over the course of training, of all processes alike."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from vidbench.stage import Step


class Averaging(nn.Module):
    """A module with running averages.

    Attributes:
        reduce_mean: what makes of this process's mean that of all processes; set by who trains.
    """

    reduce_mean: Callable[[Tensor], Tensor] | None = None

    def take_in(self, average: Tensor, mean: Tensor, decay: float) -> None:
        """Move an average towards a mean of this process."""
        average.lerp_((mean if self.reduce_mean is None else self.reduce_mean(mean)).to(average.dtype), 1 - decay)


class Magnitude(Averaging):
    """The mean square of what passes, which both generators of LongVideoGAN divide by (Sec. 3.1 and App. A).

    Attributes:
        magnitude_ema: scalar, the average; 1 at first.
    """

    magnitude_ema: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("magnitude_ema", torch.ones([]))

    def input_gain(self, x: Tensor, beta: float = 1.0) -> Tensor:
        """The factor, a scalar, that brings features to unit magnitude, after the average has taken them in.

        Args:
            x: features.
            beta: decay of the average; 1 leaves it alone.
        """
        if beta != 1:
            self.take_in(self.magnitude_ema, x.detach().to(self.magnitude_ema.dtype).square().mean(), beta)
        return self.magnitude_ema.rsqrt()


def share_averages(network: nn.Module, step: Step) -> None:
    """Let the running averages of a network be over all processes."""
    for module in network.modules():
        if isinstance(module, Averaging):
            module.reduce_mean = step.mean
