"""Moving averages of the magnitude of features, which both generators divide by (Sec. 3.1 and App. A)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


class Magnitude(nn.Module):
    """The mean square of what passes, averaged over the course of training.

    Attributes:
        magnitude_ema: scalar, the average; 1 at first.
        reduce_mean: what makes of this process's mean that of all processes; set by who trains.
    """

    magnitude_ema: Tensor
    reduce_mean: Callable[[Tensor], Tensor] | None = None

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("magnitude_ema", torch.ones([]))

    def forward(self, x: Tensor, beta: float = 1.0) -> Tensor:
        """The factor, a scalar, that brings features to unit magnitude, after the average has taken them in.

        Args:
            x: features.
            beta: decay of the average; 1 leaves it alone.
        """
        if beta != 1:
            mean = x.detach().to(self.magnitude_ema.dtype).square().mean()
            if self.reduce_mean is not None:
                mean = self.reduce_mean(mean)
            self.magnitude_ema.lerp_(mean, 1 - beta)
        return self.magnitude_ema.rsqrt()
