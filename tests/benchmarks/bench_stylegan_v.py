"""Speed of StyleGAN-V beside its bare convolutions: `python -m tests.benchmarks.bench_stylegan_v [THREADS] [TIER]`.

The bare convolutions are those that a pass made, at the same shapes and in the same memory format, with nothing
between: what the machine can do. The plain form makes zeros to multiply with and weights for every frame. Bar: 60 %.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest import mock

import torch
import torch.nn.functional as F

from tests.benchmarks.bare import compare, plain_upfirdn2d
from vidbench.models.layers import convolution, fir, skip, synthesis
from vidbench.models.layers.loss import discriminator_loss, generator_loss
from vidbench.models.stylegan_v.discriminator import Discriminator
from vidbench.models.stylegan_v.generator import Generator
from vidbench.models.stylegan_v.loss import r1_loss
from vidbench.models.stylegan_v.motion import Motion

TINY = Motion(z_dim=64, v_dim=64, time_dim=32, max_period=128, max_num_frames=128)
TIERS = {
    "tiny": (
        {"resolution": 32, "z_dim": 64, "w_dim": 64, "channel_base": 1024, "channel_max": 64, "motion": TINY},
        {"resolution": 32, "channel_base": 1024, "channel_max": 64, "max_num_frames": 128},
        16,
        16,
    ),
    "paper-256": ({}, {}, 1, 4),
}
"""Generator, discriminator, videos a training step, frames sampled at a time."""


@contextmanager
def plain() -> Iterator[None]:
    """Upsampling of inserted zeros, downsampling of discarded pixels, weights of its own for every frame."""
    with (
        mock.patch.object(fir, "upfirdn2d", plain_upfirdn2d),
        mock.patch.object(convolution, "upfirdn2d", plain_upfirdn2d),
        mock.patch.object(synthesis, "modulated_conv2d", plain_modulated_conv2d),
        mock.patch.object(skip, "upsample2d", plain_upsample2d),
    ):
        yield


def plain_upsample2d(x, f):
    return plain_upfirdn2d(x, f, (2, 2), (1, 1), (2, 1, 2, 1), gain=4.0)


def plain_modulated_conv2d(x, weight, styles, f, offset, up=1, gain=1.0):
    styles = styles.repeat_interleave(len(x) // len(styles), dim=0)
    weights = weight * styles[:, None, :, None, None]
    weights = weights * torch.rsqrt(weights.square().sum(dim=(2, 3, 4), keepdim=True) + 1e-8)
    n, _, h, w = x.shape
    if up == 1:
        y = F.conv2d(x.reshape(1, -1, h, w), weights.flatten(0, 1), padding=1, groups=n).unflatten(1, (n, -1))[0]
    else:
        transposed = weights.transpose(1, 2).flatten(0, 1)
        y = F.conv_transpose2d(x.reshape(1, -1, h, w), transposed, stride=2, groups=n).unflatten(1, (n, -1))[0]
        y = plain_upfirdn2d(y, f, padding=(1, 1, 1, 1), gain=4.0)
    return (y + offset) * gain


def steps(tier: str) -> dict[str, Callable[[], None]]:
    """Sampling a chunk of a video, and the phases of a training step without augmentation and optimiser."""
    of_generator, of_discriminator, videos, length = TIERS[tier]
    torch.manual_seed(0)
    network, discriminator = Generator(**of_generator), Discriminator(**of_discriminator)
    size = of_discriminator.get("resolution", 256)
    z, real = torch.randn(videos, network.z_dim), torch.randn(videos * 3, 3, size, size)
    start = torch.randint(0, network.motion.max_num_frames - 32, (videos, 1))
    t = start + torch.tensor([[0.0, 5.0, 16.0]])
    motion_z = torch.randn(videos, network.motion.num_tokens(network.motion.max_num_frames), network.motion.z_dim)

    def sample() -> None:
        with torch.no_grad():
            network(z[:1], None, torch.arange(length)[None], motion_z[:1])

    def gmain() -> None:
        discriminator.requires_grad_(False)
        generator_loss(discriminator(network(z, None, t, motion_z), None, t)).mean().backward()
        discriminator.requires_grad_(True)

    def dmain() -> None:
        with torch.no_grad():
            fake = network(z, None, t, motion_z)
        discriminator_loss(discriminator(fake, None, t), discriminator(real, None, t)).mean().backward()

    def dreg() -> None:
        frames = real.detach().requires_grad_()
        r1_loss(discriminator(frames, None, t), frames, 1.0).mean().backward()

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
