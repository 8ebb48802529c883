"""I3D on RGB: Inception-v1 inflated to three dimensions (Carreira and Zisserman, CVPR 2017, "Quo Vadis", Fig. 3)."""

from collections import OrderedDict

import torch
import torch.nn.functional as F
from einops import rearrange

Triple = tuple[int, int, int]

CLASSES = 400
SIZE = 224
MIN_FRAMES = 9


class I3D(torch.nn.Module):
    """The network of the 400 classes of Kinetics, frozen and in evaluation mode; float32, or float64 after `.double()`.

    A clip of T frames leaves K = ceil(T / 8) time steps, and the last pooling joins neighbours: K - 1 steps of logits.
    Parameter names are those of the public PyTorch weights; files with and without `num_batches_tracked` load strictly.

    Args:
        eps: of batch normalisation; 1e-3 in the original network, 1e-5 in the ports after VideoGPT's.
    """

    def __init__(self, eps: float = 1e-3) -> None:
        super().__init__()
        # Order of definition is order of execution. Shapes [C, T, H, W] are those of 16 frames.
        self.Conv3d_1a_7x7 = Unit(3, 64, (7, 7, 7), (2, 2, 2), eps)  # [64, 8, 112, 112]
        self.MaxPool3d_2a_3x3 = MaxPool((1, 3, 3), (1, 2, 2))  # [64, 8, 56, 56]
        self.Conv3d_2b_1x1 = Unit(64, 64, (1, 1, 1), eps=eps)
        self.Conv3d_2c_3x3 = Unit(64, 192, (3, 3, 3), eps=eps)
        self.MaxPool3d_3a_3x3 = MaxPool((1, 3, 3), (1, 2, 2))  # [192, 8, 28, 28]
        self.Mixed_3b = Inception(192, (64, 96, 128, 16, 32, 32), eps)
        self.Mixed_3c = Inception(256, (128, 128, 192, 32, 96, 64), eps)
        self.MaxPool3d_4a_3x3 = MaxPool((3, 3, 3), (2, 2, 2))  # [480, 4, 14, 14]
        self.Mixed_4b = Inception(480, (192, 96, 208, 16, 48, 64), eps)
        self.Mixed_4c = Inception(512, (160, 112, 224, 24, 64, 64), eps)
        self.Mixed_4d = Inception(512, (128, 128, 256, 24, 64, 64), eps)
        self.Mixed_4e = Inception(512, (112, 144, 288, 32, 64, 64), eps)
        self.Mixed_4f = Inception(528, (256, 160, 320, 32, 128, 128), eps)
        self.MaxPool3d_5a_2x2 = MaxPool((2, 2, 2), (2, 2, 2))  # [832, 2, 7, 7]
        self.Mixed_5b = Inception(832, (256, 160, 320, 32, 128, 128), eps)
        self.Mixed_5c = Inception(832, (384, 192, 384, 48, 128, 128), eps)
        self.AvgPool = torch.nn.AvgPool3d((2, 7, 7), stride=1)  # [1024, 1, 1, 1]
        self.logits = torch.nn.Sequential(OrderedDict(conv3d=torch.nn.Conv3d(1024, CLASSES, 1)))
        self.eval().requires_grad_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of every time step, before the softmax; their mean over time is the feature of the Fréchet distance.

        Args:
            x: floating `[N, 3, T, 224, 224]` in [-1, 1]; T at least 9.

        Returns:
            `[N, 400, K - 1]`.

        Raises:
            ValueError: for another shape.
        """
        check_shape(x)
        for layer in self.children():
            x = layer(x)
        return rearrange(x, "n c k 1 1 -> n c k")

    def endpoints(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """What every layer puts out, `[N, C, t, h, w]`, by its name and in order; arguments and errors of `forward`."""
        check_shape(x)
        found = {}
        for name, layer in self.named_children():
            x = found[name] = layer(x)
        return found


class Unit(torch.nn.Module):
    """Convolution with SAME padding, batch normalisation, ReLU."""

    def __init__(
        self, channels: int, width: int, kernel: Triple, stride: Triple = (1, 1, 1), eps: float = 1e-3
    ) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride
        self.conv3d = torch.nn.Conv3d(channels, width, kernel, stride, bias=False)
        self.bn = torch.nn.BatchNorm3d(width, eps)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`[N, channels, t, h, w]` to `[N, width, t/stride, h/stride, w/stride]`, rounded up."""
        return F.relu(self.bn(self.conv3d(same_pad(x, self.kernel, self.stride))))


class MaxPool(torch.nn.Module):
    """Maximum with SAME padding by zeros, which no value after a ReLU lies below."""

    def __init__(self, kernel: Triple, stride: Triple) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`[N, c, t, h, w]` to `[N, c, t/stride, h/stride, w/stride]`, rounded up."""
        return F.max_pool3d(same_pad(x, self.kernel, self.stride), self.kernel, self.stride)


class Inception(torch.nn.Module):
    """Four branches side by side: 1x1x1; 1x1x1 then 3x3x3, twice; maximum then 1x1x1.

    Args:
        channels: of the input.
        widths: of the units, in the order b0, b1a, b1b, b2a, b2b, b3b.
        eps: of batch normalisation.
    """

    def __init__(self, channels: int, widths: tuple[int, int, int, int, int, int], eps: float = 1e-3) -> None:
        super().__init__()
        w0, w1a, w1b, w2a, w2b, w3 = widths
        self.b0 = Unit(channels, w0, (1, 1, 1), eps=eps)
        self.b1a = Unit(channels, w1a, (1, 1, 1), eps=eps)
        self.b1b = Unit(w1a, w1b, (3, 3, 3), eps=eps)
        self.b2a = Unit(channels, w2a, (1, 1, 1), eps=eps)
        self.b2b = Unit(w2a, w2b, (3, 3, 3), eps=eps)
        self.b3a = MaxPool((3, 3, 3), (1, 1, 1))
        self.b3b = Unit(channels, w3, (1, 1, 1), eps=eps)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`[N, channels, t, h, w]` to `[N, w0 + w1b + w2b + w3, t, h, w]`."""
        return torch.cat([self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(self.b3a(x))], dim=1)


def same_padding(length: int, kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's SAME rule: zeros before and after, so that `ceil(length / stride)` windows fit; one more after."""
    total = max((-(-length // stride) - 1) * stride + kernel - length, 0)
    return total // 2, total - total // 2


def same_pad(x: torch.Tensor, kernel: Triple, stride: Triple) -> torch.Tensor:
    """The tensor `[..., t, h, w]` with the zeros of `same_padding` around it."""
    t, h, w = (same_padding(*axis) for axis in zip(x.shape[-3:], kernel, stride, strict=True))
    return F.pad(x, (*w, *h, *t)) if any(t + h + w) else x


def check_shape(x: torch.Tensor) -> None:
    """Refuses what the network would read as something else.

    Raises:
        ValueError: unless the shape is `[N, 3, T, 224, 224]` with T at least 9.
    """
    if x.ndim != 5 or x.shape[1] != 3 or x.shape[2] < MIN_FRAMES or x.shape[3:] != (SIZE, SIZE):
        raise ValueError(
            f"The video has shape {list(x.shape)}; I3D needs [N, 3, T, {SIZE}, {SIZE}] with T >= {MIN_FRAMES}."
            " The preparations of i3d_prepare.py bring frames of any size to it."
        )
