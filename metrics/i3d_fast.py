"""The I3D backbone: clips to 400 logits, by the network of `i3d.py` rearranged to run about twice as fast."""

import hashlib
from collections.abc import Mapping
from typing import cast

import torch
import torch.nn.functional as F
from einops import rearrange, reduce

from .i3d import CLASSES, I3D, MIN_FRAMES, Inception, MaxPool, Triple, Unit, check_shape, same_pad, same_padding
from .i3d_prepare import preparation_of, prepared

FRAMES_AT_ONCE = {"cpu": 32, "cuda": 256}
NUMERIC_MODES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class I3DBackbone(torch.nn.Module):
    """400 logits of a clip, averaged over time: the features of the Fréchet video distance (Unterthiner et al., 2018).

    Args:
        state: tensors of an `I3D`, by name.
        preparation: one of `PREPARATIONS`; it says how frames are resized, and the network's eps. Where a convention
            keeps the logits of every step, their mean is taken all the same.
        numeric_mode: `float32`, which is exact but for rounding (2e-6 of the logits' spread), or `bfloat16`, which is
            faster where the processor has it and off by about 1e-2 of the spread.
        name: under which the weights are known.

    Raises:
        ValueError: for an unknown preparation or numeric mode.
        RuntimeError: if names or shapes in `state` are not the network's.
    """

    version = 1
    dim = CLASSES
    min_frames = MIN_FRAMES

    def __init__(
        self,
        state: Mapping[str, torch.Tensor],
        preparation: str = "styleganv",
        numeric_mode: str = "float32",
        name: str = "i3d",
    ) -> None:
        super().__init__()
        if numeric_mode not in NUMERIC_MODES:
            raise ValueError(f'There is no numeric mode "{numeric_mode}" for I3D. Known: {", ".join(NUMERIC_MODES)}.')
        network = I3D(preparation_of(preparation).eps)
        network.load_state_dict(dict(state))
        self.name, self.preparation, self.numeric_mode = name, preparation, numeric_mode
        self.network = FastI3D(network, NUMERIC_MODES[numeric_mode])
        self._hash = hash_of(state)

    @torch.no_grad()
    def forward(self, video: torch.Tensor) -> torch.Tensor:
        """Logits before the softmax, averaged over time.

        Args:
            video: uint8 `[N, 3, T, H, W]`; T at least 9.

        Returns:
            float32 `[N, 400]`.

        Raises:
            ValueError: for another dtype or shape, too few frames, or another size than 224x224 if the preparation
                does not resize.
        """
        if video.dtype != torch.uint8:
            raise ValueError(f"The video has dtype {video.dtype}; uint8 is needed.")
        if video.ndim != 5 or video.shape[1] != 3 or video.shape[2] < MIN_FRAMES:
            raise ValueError(f"The video has shape {list(video.shape)}; [N, 3, T, H, W] with T >= 9 is needed.")
        frames_at_once = FRAMES_AT_ONCE.get(video.device.type, 32)
        parts = torch.split(video, max(1, frames_at_once // video.shape[2]))
        return torch.cat([self.network(prepared(part, self.preparation)) for part in parts])

    def tensor_hash(self) -> str:
        """SHA-256 over canonical names and float32 bytes of the weights, in order of name."""
        return self._hash


class FastI3D(torch.nn.Module):
    """The mean over time of an `I3D`'s logits, up to rounding.

    Batch normalisation is part of the convolutions; the three 1x1x1 convolutions that read a block's input are one;
    padding is left to convolutions and poolings where they can do it; values lie channels last; and the
    classifier, being linear, comes after the mean over time.

    Args:
        network: read once; later changes to it are not seen.
        dtype: precision of all but the mean and the classifier.
    """

    weight: torch.Tensor
    bias: torch.Tensor

    def __init__(self, network: I3D, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        *layers, _average, _logits = network.children()
        self.layers = torch.nn.Sequential(*(rearranged(layer) for layer in layers)).to(dtype)
        self.dtype = dtype
        self.register_buffer("weight", network.get_parameter("logits.conv3d.weight").detach().flatten(1).clone())
        self.register_buffer("bias", network.get_parameter("logits.conv3d.bias").detach().clone())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Float32 `[N, 3, T, 224, 224]` in [-1, 1] to float32 `[N, 400]`; errors as `I3D.forward`."""
        check_shape(x)
        x = x.to(self.dtype)
        x = self.layers(x.contiguous(memory_format=fast_layout(x)))
        steps = reduce(x.float(), "n c k h w -> n c k", "mean")
        return F.linear(steps @ step_weights(steps.shape[2]).to(steps), self.weight, self.bias)


class FoldedUnits(torch.nn.Module):
    """Units of one kernel and stride that read the same input, as one convolution with bias and a ReLU."""

    weight: torch.Tensor
    bias: torch.Tensor

    def __init__(self, *units: Unit) -> None:
        super().__init__()
        self.kernel, self.stride = units[0].kernel, units[0].stride
        weights, biases = zip(*(folded(unit) for unit in units), strict=True)
        self.register_buffer("weight", torch.cat(weights))
        self.register_buffer("bias", torch.cat(biases))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`[N, c, t, h, w]` to the units' outputs, one after another along the channels."""
        before, after = paddings(x, self.kernel, self.stride)
        if before != after:
            x, before = same_pad(x, self.kernel, self.stride), (0, 0, 0)
        return F.conv3d(x, self.weight, self.bias, self.stride, before).relu_()


class FastMaxPool(torch.nn.Module):
    """SAME pooling without zeros: beyond the border lies minus infinity, and the last window may be cut."""

    def __init__(self, pool: MaxPool) -> None:
        super().__init__()
        self.kernel, self.stride = pool.kernel, pool.stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """As `MaxPool`, for values of at least zero."""
        before, _ = paddings(x, self.kernel, self.stride)
        x = x.contiguous(memory_format=fast_layout(x))  # a convolution may have left it
        return F.max_pool3d(x, self.kernel, self.stride, before, ceil_mode=True)


class FastInception(torch.nn.Module):
    """An `Inception` block whose three 1x1x1 convolutions of the input are one."""

    def __init__(self, block: Inception) -> None:
        super().__init__()
        heads = (block.b0, block.b1a, block.b2a)
        self.widths = [head.conv3d.out_channels for head in heads]
        self.heads = FoldedUnits(*heads)
        self.b1b, self.b2b, self.b3b = (FoldedUnits(unit) for unit in (block.b1b, block.b2b, block.b3b))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """As `Inception`."""
        b0, b1a, b2a = self.heads(x).split(self.widths, dim=1)
        return torch.cat([b0, self.b1b(b1a), self.b2b(b2a), self.b3b(maximum_of_neighbours(x))], dim=1)


def rearranged(layer: torch.nn.Module) -> torch.nn.Module:
    """The fast form of a layer of `I3D`."""
    if isinstance(layer, Inception):
        return FastInception(layer)
    if isinstance(layer, MaxPool):
        return FastMaxPool(layer)
    return FoldedUnits(cast(Unit, layer))


def folded(unit: Unit) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias of the convolution that is a unit's convolution and batch normalisation, rounded once."""
    tensors = {name: tensor.double() for name, tensor in unit.state_dict().items()}
    scale = tensors["bn.weight"] / torch.sqrt(tensors["bn.running_var"] + unit.bn.eps)
    weight = tensors["conv3d.weight"] * rearrange(scale, "c -> c 1 1 1 1")
    return weight.float(), (tensors["bn.bias"] - tensors["bn.running_mean"] * scale).float()


def paddings(x: torch.Tensor, kernel: Triple, stride: Triple) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """SAME padding before and after, along t, h and w."""
    before, after = zip(*map(same_padding, x.shape[2:], kernel, stride), strict=True)
    return before, after


def fast_layout(x: torch.Tensor) -> torch.memory_format:
    """Channels last; but not in full precision on a GPU, where convolutions have no need of it."""
    last = x.device.type == "cpu" or x.dtype != torch.float32
    return torch.channels_last_3d if last else torch.contiguous_format


def maximum_of_neighbours(x: torch.Tensor) -> torch.Tensor:
    """Max pooling 3x3x3 of stride 1 of `[N, c, t, h, w]`: along each axis, three shifted copies are compared."""
    for axis in (2, 3, 4):
        largest, others = x.clone(), x.shape[axis] - 1
        for here, there in ((0, 1), (1, 0)):
            part = largest.narrow(axis, here, others)
            torch.maximum(part, x.narrow(axis, there, others), out=part)
        x = largest
    return x


def step_weights(steps: int) -> torch.Tensor:
    """Weights of K time steps whose sum is the mean of the K - 1 means of neighbours: ends count half."""
    weights = torch.full((steps,), 1 / (steps - 1))
    weights[[0, -1]] /= 2
    return weights


def hash_of(state: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 over names and little-endian float32 bytes, in order of name, without `num_batches_tracked`."""
    digest = hashlib.sha256()
    for name in sorted(state):
        if not name.endswith("num_batches_tracked"):
            digest.update(name.encode() + state[name].detach().cpu().float().numpy().astype("<f4").tobytes())
    return digest.hexdigest()
