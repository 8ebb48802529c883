"""Fully connected layers with an equalised learning rate, and the activation of all StyleGAN2 layers.

Leaky ReLU is homogeneous: its gain, the square root of 2, and any gain of a layer stand in weights and bias, where they
cost nothing.
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Activation = Literal["linear", "lrelu"]

GAINS: dict[Activation, float] = {"linear": 1.0, "lrelu": math.sqrt(2)}
"""What keeps the variance; to be multiplied into what is activated."""


def activated(x: Tensor, activation: Activation, clamp: float | None = None) -> Tensor:
    """Leaky ReLU with slope 0.2, written over `x` itself, or nothing; then limits at +-clamp."""
    if activation == "lrelu":
        x = F.leaky_relu(x, 0.2, inplace=True)
    return x if clamp is None else x.clamp(-clamp, clamp)


class Linear(torch.nn.Module):
    """Fully connected layer whose weights are of unit variance, scaled when used (Karras et al., ICLR 2018, Sec. 4.1).

    Args:
        in_features: width of the input.
        out_features: width of the output.
        bias: whether there is one.
        activation: with its gain.
        lr_mult: factor of the learning rate.
        bias_init: what the bias starts at.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        bias: bool = True,
        activation: Activation = "linear",
        lr_mult: float = 1.0,
        bias_init: float = 0.0,
    ) -> None:
        super().__init__()
        self.activation = activation
        self.weight_gain = lr_mult / math.sqrt(in_features) * GAINS[activation]
        self.bias_gain = lr_mult * GAINS[activation]
        self.weight = torch.nn.Parameter(torch.randn(out_features, in_features) / lr_mult)
        self.bias = torch.nn.Parameter(torch.full((out_features,), bias_init)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """`[..., in_features]` to `[..., out_features]`."""
        bias = None if self.bias is None else self.bias * self.bias_gain
        return activated(F.linear(x, self.weight * self.weight_gain, bias), self.activation)
