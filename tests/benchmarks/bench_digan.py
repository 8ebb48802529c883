"""Speed of DIGAN beside its bare products: `python -m tests.benchmarks.bench_digan [THREADS] [TIER]`.

The bare operations are the convolutions and matrix products that a pass made, at the same shapes and in the same memory
format, with nothing between: what the machine can do. The plain form makes zeros to multiply with, weights for every
frame, and a grid of coordinates for every frame.
"""

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest import mock

import torch
import torch.nn.functional as F

from tests.benchmarks.bare import compare
from tests.benchmarks.bench_stylegan_v import plain as plain_stylegan2
from vidbench import config
from vidbench.models.digan.config import DIGANConfig
from vidbench.models.digan.coordinates import CoordinateFuser, grid
from vidbench.models.digan.generator import FactorisedLayer
from vidbench.models.digan.networks import build_discriminator, build_generator
from vidbench.models.digan.pairs import paired
from vidbench.models.layers.loss import discriminator_loss, generator_loss, r1_penalty

VIDEOS = {"tiny": 16, "paper-sky": 1}
"""Of a training step."""


@contextmanager
def plain() -> Iterator[None]:
    """The networks as they are defined."""
    with (
        plain_stylegan2(),
        mock.patch.object(CoordinateFuser, "forward", plain_waves),
        mock.patch.object(FactorisedLayer, "forward", plain_layer),
    ):
        yield


def plain_waves(fuser, w, t, motion_z, side):
    w, motion_z = (x.repeat_interleave(t.shape[1], dim=0) for x in (w, motion_z))
    directions, phases = fuser.xyaffine(w).split([2 * fuser.num_waves, fuser.num_waves], dim=1)
    motion = fuser.affine(torch.cat([w, motion_z], dim=1))
    phases = phases + fuser.motion_mlp(F.leaky_relu(motion * t.reshape(-1, 1).to(w) * fuser.motion_sigma))
    y, x = torch.meshgrid(grid(side).flip(0), grid(side), indexing="ij")
    places = torch.stack([x, y]).flatten(1).expand(len(w), -1, -1)
    angles = (directions * math.sqrt(10)).unflatten(1, (-1, 2)) @ places + phases[:, :, None]
    return torch.cat([angles.sin(), angles.cos()], dim=1).unflatten(2, (side, side))


def plain_layer(layer, x, w, side, waves=None):
    x = F.interpolate(x, side)
    x = x if waves is None else torch.cat([x, waves], dim=1)
    weights = layer.modulated(w.repeat_interleave(len(x) // len(w), dim=0))
    y = F.conv2d(x.reshape(1, -1, *x.shape[2:]), weights.flatten(0, 1)[:, :, None, None], groups=len(x))
    return F.leaky_relu(y.unflatten(1, (len(x), -1))[0] + layer.bias[:, None, None], 0.2) * math.sqrt(2)


def steps(tier: str) -> dict[str, Callable[[], None]]:
    """Sampling a clip, and the phases of a training step without augmentation and optimiser."""
    model = config.shipped(DIGANConfig, "models/digan", tier).model
    torch.manual_seed(0)
    G, D, videos = build_generator(model, "cpu"), build_discriminator(model, "cpu"), VIDEOS[tier]
    z, motion_z, t = torch.randn(videos, G.z_dim), torch.randn(videos, G.w_dim), torch.rand(videos, 2).sort().values
    real = paired(torch.randn(2 * videos, 3, model.resolution, model.resolution), t[:, 1] - t[:, 0])

    def generated():
        return paired(G(z, t, motion_z), t[:, 1] - t[:, 0])

    def sample() -> None:
        with torch.no_grad():
            G(z[:1], torch.linspace(0, 1, model.clip_frames)[None], motion_z[:1])

    def gmain() -> None:
        D.requires_grad_(False)
        sum(generator_loss(logits).mean() for logits in D(generated())).backward()
        D.requires_grad_(True)

    def dmain() -> None:
        with torch.no_grad():
            fake = generated()
        sum(discriminator_loss(*logits).mean() for logits in zip(D(fake), D(real), strict=True)).backward()

    def dreg() -> None:
        pairs = real.detach().requires_grad_()
        sum(r1_penalty(logits, pairs).mean() for logits in D(pairs)).backward()

    return {"sample": sample, "gmain": gmain, "dmain": dmain, "dreg": dreg}


def main() -> None:
    torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
    tier = sys.argv[2] if len(sys.argv) > 2 else "tiny"

    def plainly(step: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            with plain():
                step()

        return run

    print(f"{tier}, {torch.get_num_threads()} threads")
    compare(steps(tier), plainly, repeats=5 if tier == "tiny" else 1)


if __name__ == "__main__":
    main()
