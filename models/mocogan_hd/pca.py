"""Principal components of an image generator's styles: the directions in which videos move (MoCoGAN-HD, Sec. 3.1).

The covariance is summed up batch by batch in float64, so that a million styles take no memory.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

BATCHES, BATCH = 250, 4000
"""Styles of the authors' analysis."""


@dataclass(frozen=True)
class Components:
    """All components, strongest first; float64."""

    directions: Tensor
    """Unit vectors `[C, C]` in rows; of each, the entry of largest magnitude is positive."""
    deviations: Tensor
    """Standard deviations along them `[C]`, of divisor N - 1."""
    mean: Tensor
    """Of the styles, `[C]`."""

    @property
    def ratios(self) -> Tensor:
        """The share of each component in the variance `[C]`."""
        variances = self.deviations.square()
        return variances / variances.sum()

    def steps(self, count: int) -> Tensor:
        """The first `count` directions, each as long as its deviation: float32 `[count, C]`.

        Raises:
            ValueError: there are not so many.
        """
        return scaled_directions(self.directions, self.deviations, count)


def scaled_directions(directions: Tensor, deviations: Tensor, count: int) -> Tensor:
    """As `Components.steps`, of arrays that come from elsewhere: rounded to float32, then multiplied.

    Raises:
        ValueError: there are not so many.
    """
    if not 1 <= count <= len(directions):
        raise ValueError(f"there are {len(directions)} principal components, and {count} are asked for")
    return directions[:count].float() * deviations[:count, None].float()


class StyleStatistics:
    """Sums over styles.

    Args:
        width: of a style.
    """

    def __init__(self, width: int) -> None:
        self.count = 0
        self.total = torch.zeros(width, dtype=torch.float64)
        self.products = torch.zeros(width, width, dtype=torch.float64)

    def add(self, styles: Tensor) -> None:
        """Take in styles `[N, C]`."""
        styles = styles.detach().to("cpu", torch.float64)
        self.count += len(styles)
        self.total += styles.sum(dim=0)
        self.products += styles.T @ styles

    def components(self) -> Components:
        """Of all styles so far.

        Raises:
            ValueError: fewer than two.
        """
        if self.count < 2:
            raise ValueError(f"principal components need at least 2 styles, and there are {self.count}")
        mean = self.total / self.count
        covariance = (self.products - self.count * torch.outer(mean, mean)) / (self.count - 1)
        variances, vectors = torch.linalg.eigh(covariance)
        directions = vectors.T.flip(0)
        largest = directions.gather(1, directions.abs().argmax(dim=1, keepdim=True))
        deviations = variances.flip(0).clamp(min=0).sqrt()
        return Components(directions * largest.sign(), deviations, mean)
