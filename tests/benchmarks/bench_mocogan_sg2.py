"""Speed of MoCoGAN+SG2 beside its bare products: `python -m tests.benchmarks.bench_mocogan_sg2 [THREADS] [TIER]`.

The bare operations are the convolutions and matrix products that a pass made, at the same shapes and in the same memory
format, with nothing between: what the machine can do. The plain form makes zeros to multiply with and weights for every
frame, and runs the LSTM to the end of the longest video.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest import mock

import torch

from tests.benchmarks.bare import compare
from tests.benchmarks.bench_stylegan_v import plain as plain_stylegan2
from vidbench import config
from vidbench.models.layers.loss import discriminator_loss, generator_loss, r1_penalty
from vidbench.models.mocogan_sg2.config import MoCoGANSG2Config
from vidbench.models.mocogan_sg2.motion import MotionEncoder
from vidbench.models.mocogan_sg2.networks import build_discriminator, build_generator

VIDEOS = {"tiny": 4, "paper-sky-timelapse": 1}
"""Of a training step."""


@contextmanager
def plain() -> Iterator[None]:
    """The networks as they are defined."""
    with plain_stylegan2(), mock.patch.object(MotionEncoder, "forward", plain_motion):
        yield


def plain_motion(encoder, t, tokens):
    """Codes of all frames; those that are wanted are picked from them."""
    u, _ = encoder.rnn(tokens)
    return encoder.codes(u)[torch.arange(len(t))[:, None], t]


def steps(tier: str) -> dict[str, Callable[[], None]]:
    """Sampling a chunk of a video, and the phases of a training step without augmentation and optimiser."""
    model = config.shipped(MoCoGANSG2Config, "models/mocogan_sg2", tier).model
    torch.manual_seed(0)
    G, D, videos = build_generator(model, "cpu"), build_discriminator(model, "cpu"), VIDEOS[tier]
    z, real = torch.randn(videos, G.z_dim), torch.randn(videos, 3, 16, model.resolution, model.resolution)
    t = torch.randint(model.max_num_frames - 16, (videos, 1)) + torch.arange(16)
    tokens = torch.randn(videos, model.max_num_frames, model.motion_z_dim)
    noise = [torch.Generator() for _ in range(videos)]

    def generated():
        return G(z, t, tokens).unflatten(0, (videos, 16)).transpose(1, 2)

    def sample() -> None:
        with torch.no_grad():
            G(z[:1], t[:1], tokens[:1])

    def gmain() -> None:
        D.requires_grad_(False)
        fake = generated()
        frames, whole = D.judge_frames(fake), D.video_discr(fake, noise)
        (generator_loss(frames).mean() + generator_loss(whole).mean()).backward()
        D.requires_grad_(True)

    def dmain() -> None:
        with torch.no_grad():
            fake = generated()
        frames = discriminator_loss(D.judge_frames(fake), D.judge_frames(real)).mean()
        whole = discriminator_loss(D.video_discr(fake, noise), D.video_discr(real, noise)).mean()
        (frames + whole).backward()

    def dreg() -> None:
        shown = real.detach().requires_grad_()
        r1_penalty(D.judge_frames(shown), shown).mean().backward()

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
