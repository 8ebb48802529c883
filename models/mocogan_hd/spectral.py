"""Layers of spectral norm 1 (Miyato et al., ICLR 2018): weights are divided by an estimate of their largest singular
value, which one power iteration a call in training mode improves.
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

EPS = 1e-12


class SpectralLayer(nn.Module):
    """Weight, bias, and the estimates of the weight's first singular vectors.

    Args:
        shape: of the weight, outputs first.

    Attributes:
        weight_u: estimate of the left one.
        weight_v: estimate of the right one.
    """

    weight_u: Tensor
    weight_v: Tensor

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.weight_orig = nn.Parameter(torch.empty(shape))
        nn.init.orthogonal_(self.weight_orig)
        inputs = self.weight_orig[0].numel()
        self.bias = nn.Parameter(torch.empty(shape[0]).uniform_(-(inputs**-0.5), inputs**-0.5))
        self.register_buffer("weight_u", F.normalize(torch.randn(shape[0]), dim=0, eps=EPS))
        self.register_buffer("weight_v", F.normalize(torch.randn(inputs), dim=0, eps=EPS))

    def weight(self) -> Tensor:
        """The weight over its estimated norm; the estimate's vectors are constants to gradients."""
        matrix = rearrange(self.weight_orig, "o ... -> o (...)")
        if self.training:
            with torch.no_grad():
                self.weight_v.copy_(F.normalize(self.weight_u @ matrix, dim=0, eps=EPS))
                self.weight_u.copy_(F.normalize(matrix @ self.weight_v, dim=0, eps=EPS))
        u, v = self.weight_u.clone(), self.weight_v.clone()  # later calls change them before gradients are computed
        return self.weight_orig / (u @ matrix @ v)


class SpectralConv2d(SpectralLayer):
    """Convolution of the same size.

    Args:
        in_channels: of the input.
        out_channels: of the output.
        kernel_size: odd.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int) -> None:
        super().__init__(out_channels, in_channels, kernel_size, kernel_size)

    def forward(self, x: Tensor) -> Tensor:
        """`[N, in_channels, H, W]` to `[N, out_channels, H, W]`."""
        return F.conv2d(x, self.weight(), self.bias, padding=self.weight_orig.shape[-1] // 2)


class SpectralLinear(SpectralLayer):
    """Fully connected layer.

    Args:
        in_features: width of the input.
        out_features: width of the output.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(out_features, in_features)

    def forward(self, x: Tensor) -> Tensor:
        """`[N, in_features]` to `[N, out_features]`."""
        return F.linear(x, self.weight(), self.bias)
