"""MoCoGAN-HD's motion generator: an LSTM that walks through the image generator's styles (Tian et al., ICLR 2021).

Sec. 3.1: an encoder turns the first frame's style into a state; each step takes noise and moves the style along its
principal directions (Eq. 2 to 4). Nothing pulls a walk back.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn


class Walk(NamedTuple):
    """Where walks stand; all that their next step depends on, besides its noise."""

    w: Tensor
    """Styles `[N, z_dim]`."""
    h: Tensor
    """Of the LSTM, `[N, hidden]`."""
    c: Tensor
    """Of the LSTM, `[N, hidden]`."""


class MotionGenerator(nn.Module):
    """From the first frame's style and noise to the styles of all frames.

    Args:
        steps: principal directions of the styles, each as long as its standard deviation, `[K, z_dim]`.
        hidden: width of the LSTM.
        strength: how many standard deviations a step moves at most along each direction.

    Attributes:
        steps: as given; part of the state.
    """

    steps: Tensor

    def __init__(self, steps: Tensor, *, hidden: int = 384, strength: float = 0.2) -> None:
        super().__init__()
        self.strength = strength
        count, z_dim = steps.shape
        self.register_buffer("steps", steps)
        self.enc_cell, self.cell = nn.LSTMCell(z_dim, hidden), nn.LSTMCell(z_dim, hidden)
        self.w = nn.Parameter(0.02 * torch.randn(hidden, count))
        self.b = nn.Parameter(torch.zeros(count))
        self.fc1, self.fc2 = nn.Linear(2 * hidden, z_dim), nn.Linear(z_dim, z_dim)
        self._initialize()

    def _initialize(self) -> None:
        """Orthogonal matrices, those of the four gates each on its own."""
        for cell in (self.enc_cell, self.cell):
            for weight in (cell.weight_ih, cell.weight_hh):
                for gate in weight.detach().chunk(4):
                    nn.init.orthogonal_(gate)
            for bias in (cell.bias_ih, cell.bias_hh):
                nn.init.zeros_(bias)
        for layer in (self.fc1, self.fc2):
            nn.init.orthogonal_(layer.weight)

    def start(self, w: Tensor) -> Walk:
        """Walks that begin at styles `[N, z_dim]`."""
        return Walk(w, *self.enc_cell(w))

    def step(self, walk: Walk, e: Tensor) -> Walk:
        """One frame on, by noise `[N, z_dim]`, standard normal."""
        h, c = self.cell(e, (walk.h, walk.c))
        amounts = torch.tanh(torch.addmm(self.b, h, self.w))
        return Walk(torch.addmm(walk.w, amounts, self.steps, alpha=self.strength), h, c)

    def recovered(self, h: Tensor, c: Tensor) -> Tensor:
        """What noise `[..., z_dim]` led to states `[..., hidden]`, for the mutual information (Eq. 8)."""
        noise: Tensor = self.fc2(torch.relu(self.fc1(torch.cat([h, c], dim=-1))))
        return noise

    def forward(self, w: Tensor, e: Tensor) -> tuple[Tensor, Tensor]:
        """Whole walks.

        Args:
            w: styles of the first frames, `[N, z_dim]`.
            e: noise of each step, `[N, T - 1, z_dim]`.

        Returns:
            Styles `[N, T, z_dim]`, the first of them `w`, and the noise as recovered from the states
            `[N, T - 1, z_dim]`.
        """
        walks = [self.start(w)]
        for noise in e.unbind(dim=1):
            walks.append(self.step(walks[-1], noise))
        styles, h, c = (torch.stack(parts, dim=1) for parts in zip(*walks, strict=True))
        return styles, self.recovered(h[:, 1:], c[:, 1:])
