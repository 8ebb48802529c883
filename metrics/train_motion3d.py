"""Train `motion3d`: `python -m vidbench.metrics.train_motion3d` writes `motion3d.safetensors` in two minutes or three.

Clips and first weights depend on names alone, and one thread does the sums, so that a machine repeats itself to the
last bit. Another machine rounds otherwise and ends at other weights: those in the repository define the backbone.
"""

import math
import os
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save
from torch.nn.utils.fusion import fuse_conv_bn_eval

from vidbench.metrics.fit_toy3d import (
    CLIPS_PER_WORLD,
    WORLDS,
    Array,
    Clip,
    T,
    X,
    Y,
    bilinear_periodic,
    normals,
    texture,
    uniforms,
)
from vidbench.metrics.motion3d import MOTIONS, WEIGHTS, MotionNetwork

STEPS = 450
BATCH = 48
LEARNING_RATE = 2e-3
TEST_CLIPS = 1008

HALF_WIDTH = 16  # pixels
DIRECTIONS = [(speed, eighth * math.pi / 4) for speed in (0.03, 0.09) for eighth in range(8)]
CLASSES = [
    *((HALF_WIDTH * speed * math.cos(way), HALF_WIDTH * speed * math.sin(way), 0, 0) for speed, way in DIRECTIONS),
    *((0, 0, turn, 0) for turn in (0.07, -0.07)),
    *((0, 0, 0, growth) for growth in (0.05, -0.05)),
    (0, 0, 0, 0),
]  # a frame: pixels to the right, pixels downwards, radians clockwise, logarithm of the zoom


def moving_texture(name: str, motion: int) -> Clip:
    """A noise texture under one of the 21 motions of `CLASSES`: float32 `[3, 16, 32, 32]` in [-1, 1].

    Args:
        name: what all draws depend on, such as `motion3d/train/0`: the texture, its spectrum (amplitude f^-1 to
            f^-1.8), its standard deviation (.25 to .75) and where its pixels lie between those of the screen.
        motion: 0 to 20; counted from the clip's middle.
    """
    u = uniforms(name, 4 + 4 * 64 * 64)
    right, down, turn, growth = CLASSES[motion]
    t = T - 7.5
    x, y = X - 15.5 - right * t, Y - 15.5 - down * t
    cos, sin, zoom = np.cos(turn * t), np.sin(turn * t), np.exp(growth * t)
    column, row = (x * cos + y * sin) / zoom + u[2], (-x * sin + y * cos) / zoom + u[3]
    image = texture(np.array([u[0], 0.2 + 2 * u[1], 0.5, 0.5, 0.5]), normals(u[4:]))
    clip: Clip = bilinear_periodic(image, row, column).clip(-1, 1).astype(np.float32)
    return clip


def batch(role: str, indices: Iterable[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Clips `[N, 3, 16, 32, 32]` and their motions `[N]`: clip i moves as class i modulo 21."""
    clips = [(moving_texture(f"motion3d/{role}/{i}", i % MOTIONS), i % MOTIONS) for i in indices]
    return torch.from_numpy(np.stack([clip for clip, _ in clips])), torch.tensor([motion for _, motion in clips])


def first_network() -> MotionNetwork:
    """The untrained network: weights uniform within 1/sqrt(inputs) of zero, drawn by their names."""
    network = MotionNetwork(normalised=True)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if weight.ndim > 1:
                u: Array = uniforms(f"motion3d/first/{name}", weight.numel())
                weight.copy_(torch.from_numpy(2 * u - 1).view_as(weight) / math.sqrt(weight[0].numel()))
    torch.nn.init.zeros_(network.classifier.bias)
    return network


def train_step(
    network: MotionNetwork, optimizer: torch.optim.Optimizer, clips: torch.Tensor, motions: torch.Tensor
) -> float:
    """One step of descent on the cross-entropy, which is returned as it was before the step."""
    loss = F.cross_entropy(network(clips), motions)
    optimizer.zero_grad()
    torch.autograd.backward(loss)
    optimizer.step()
    return loss.item()


def trained() -> MotionNetwork:
    """The network after `STEPS` steps of AdamW whose rate falls linearly to zero."""
    network = first_network().train()
    optimizer = torch.optim.AdamW(network.parameters(), LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / STEPS)
    for step in range(STEPS):
        loss = train_step(network, optimizer, *batch("train", range(step * BATCH, (step + 1) * BATCH)))
        schedule.step()
        if step % 50 == 49:
            print(f"step {step + 1}: cross-entropy {loss:.4f}", flush=True)
    return network.eval()


def embedded(network: MotionNetwork) -> MotionNetwork:
    """The trained network as it is kept: normalisation within the convolutions, weights rounded to half precision."""
    plain = MotionNetwork()
    layers: list[Any] = list(network.layers)
    units = zip(layers[::3], layers[1::3], layers[2::3], strict=True)
    plain.layers = torch.nn.Sequential(
        *(layer for convolution, norm, relu in units for layer in (fuse_conv_bn_eval(convolution, norm), relu))
    )
    plain.classifier = network.classifier
    return plain.half().float().eval()


@torch.no_grad()
def accuracy(network: MotionNetwork) -> float:
    """Share of held-out clips whose motion is named right."""
    clips, motions = batch("test", range(TEST_CLIPS))
    return float((network(clips).argmax(dim=1) == motions).double().mean())


@torch.no_grad()
def constants(network: MotionNetwork) -> dict[str, torch.Tensor]:
    """Mean and standard deviation (n-1) of the features over the corpus of `toy3d`; floored at 1 % of the median."""
    corpus = torch.cat(
        [
            network.features(torch.from_numpy(render(f"toy3d/{world}/fit/{i}"))[None]).double()
            for world, render in WORLDS.items()
            for i in range(CLIPS_PER_WORLD)
        ]
    )
    std = corpus.std(dim=0)
    return {"mean": corpus.mean(dim=0).float(), "std": std.clamp(min=float(1e-2 * std.median())).float()}


def main() -> None:
    """Train, print the accuracy, and write `motion3d.safetensors` beside this file, in one step."""
    torch.set_num_threads(1)
    network = embedded(trained())
    print(f"{accuracy(network):.2%} of {TEST_CLIPS} held-out clips right")
    tensors = {f"network.{name}": tensor.half() for name, tensor in network.state_dict().items()}
    temporary = WEIGHTS.with_suffix(".tmp")
    temporary.write_bytes(save(tensors | constants(network)))
    os.replace(temporary, WEIGHTS)


if __name__ == "__main__":
    main()
