"""Speed of MoCoGAN-HD beside its bare products: `python -m tests.benchmarks.bench_mocogan_hd [THREADS] [TIER]`.

The bare operations are the convolutions and matrix products that a pass made, at the same shapes and in the same memory
format, with nothing between: what the machine can do. The plain form inserts zeros to multiply with, makes weights for
every frame, and keeps channels apart in memory. Then the sampler in bfloat16: how many times faster, and how far off.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest import mock

import torch
import torch.nn.functional as F

from tests.benchmarks.bare import best_seconds, compare, plain_upfirdn2d
from tests.benchmarks.bench_stylegan_v import plain_modulated_conv2d
from vidbench import config
from vidbench.models.layers import convolution, fir, synthesis
from vidbench.models.layers.loss import discriminator_loss, generator_loss, r1_penalty
from vidbench.models.mocogan_hd import adversaries, contrastive_discriminator, video
from vidbench.models.mocogan_hd.config import MoCoGANHDConfig, ModelConfig
from vidbench.models.mocogan_hd.image_loss import path_lengths, path_penalty
from vidbench.models.mocogan_hd.motion_loss import cosine_loss
from vidbench.models.mocogan_hd.networks import (
    build_frame_discriminator,
    build_image_discriminator,
    build_image_generator,
    build_motion_generator,
    build_video_discriminator,
)
from vidbench.models.mocogan_hd.views import NUM_DRAWS

SAMPLES = {"tiny": (16, 4, 16), "paper-sky": (1, 1, 4)}
"""Images of a step of the first stage; videos of one of the second, and frames of each. As many are sampled."""
ACROSS = ["model.motion.cross_domain=true"]


@contextmanager
def plain() -> Iterator[None]:
    """The networks as they are defined."""
    with (
        mock.patch.object(fir, "upfirdn2d", plain_upfirdn2d),
        mock.patch.object(convolution, "upfirdn2d", plain_upfirdn2d),
        mock.patch.object(synthesis, "modulated_conv2d", plain_modulated_conv2d),
        mock.patch.object(torch, "channels_last", torch.contiguous_format),
        mock.patch.object(torch, "channels_last_3d", torch.contiguous_format),
        mock.patch.object(contrastive_discriminator.Block, "forward", plain_block),
    ):
        yield


def plain_block(block, x):
    """The straight way at full side."""
    h = block.conv2(F.relu(block.conv1(x if block.first else F.relu(x))))
    h = h + (x if block.conv_sc is None else block.conv_sc(x))
    return F.avg_pool2d(h, 2) if block.halves else h


def layer_noise(generator, count: int) -> list[torch.Tensor]:
    """Of each layer."""
    return [torch.randn(count, 1, side, side) for side in generator.synthesis.noise_sides]


def image_steps(model: ModelConfig, count: int) -> dict[str, Callable[[], object]]:
    """The phases of a step of the first stage, without augmentation and optimiser; path length of half the images."""
    G, D = build_image_generator(model, "cpu"), build_image_discriminator(model, "cpu")
    z, real = torch.randn(count, G.z_dim), torch.randn(count, 3, model.image.side, model.image.side)
    noise = layer_noise(G, count)

    def image_g() -> None:
        D.requires_grad_(False)
        generator_loss(D(G(z, noise))).mean().backward()
        D.requires_grad_(True)

    def image_d() -> None:
        with torch.no_grad():
            fake = G(z, noise)
        discriminator_loss(D(fake), D(real)).mean().backward()

    def r1() -> None:
        images = real.detach().requires_grad_()
        r1_penalty(D(images), images).mean().backward()

    def path() -> None:
        half = max(1, count // 2)
        ws = G.mapping(z[:half], None)
        lengths = path_lengths(G.synthesis(ws, [maps[:half] for maps in noise]), ws, real[:half])
        path_penalty(lengths, torch.zeros([]), lengths.detach().mean())[0].backward()

    return {"image G": image_g, "image D": image_d, "R1": r1, "path length": path}


def walker(model: ModelConfig):
    """Image generator, frozen, and motion generator."""
    G, R = build_image_generator(model, "cpu").eval().requires_grad_(False), build_motion_generator(model, "cpu")
    R.steps.normal_(std=0.1)
    return G, R


def motion_steps(model: ModelConfig, count: int) -> dict[str, Callable[[], object]]:
    """The phases of a step of the second stage, of one domain or of two, without optimiser."""
    motion = model.motion
    G, R = walker(model)
    D_video = build_video_discriminator(model, "cpu")
    D_image = build_frame_discriminator(model, count, "cpu")
    z, e, noise = torch.randn(count, G.z_dim), torch.randn(count, motion.frames - 1, G.z_dim), layer_noise(G, count)
    real, t = torch.randn(count, motion.frames, 3, motion.side, motion.side), motion.frames // 2
    clips = torch.randn_like(real)
    views = torch.rand(4, count, NUM_DRAWS, dtype=torch.float64).unbind()
    alpha = torch.rand(count, 1, 1, 1, 1)
    shown = video.plain if motion.cross_domain else video.pairs

    def motion_g() -> None:
        for judge in (D_video, D_image):
            judge.requires_grad_(False)
        styles, recovered = R(G.styles(z), e)
        fake = video.reduced(video.render(G.synthesis, styles, noise), motion.side)
        loss = adversaries.video_generator_loss(D_video, shown(real), shown(fake), (False, True))
        if motion.cross_domain:
            loss = loss + sum(adversaries.view_generator_losses(D_image, fake, t, *views[:2]))
        else:
            loss = loss + adversaries.pair_generator_loss(D_image, real, fake, t)
        (loss + cosine_loss(recovered, e)).backward()
        for judge in (D_video, D_image):
            judge.requires_grad_(True)

    def video_d() -> None:
        arguments = D_video, shown(real), shown(clips), (False, True), alpha
        losses, penalty = adversaries.video_discriminator_losses(*arguments)
        (torch.stack(losses).mean() + 10 * penalty).backward()

    def pair_d() -> None:
        torch.stack(adversaries.pair_discriminator_losses(D_image, real, clips, t)).mean().backward()

    def view_d() -> None:
        losses = adversaries.view_discriminator_losses(D_image, clips, t, views)
        (losses.real + losses.fake + 2 * losses.contrastive).backward()

    if motion.cross_domain:
        return {"motion G, two": motion_g, "contrastive D": view_d}
    return {"motion G": motion_g, "video D": video_d, "pair D": pair_d}


def sampler(model: ModelConfig, count: int, dtype: torch.dtype = torch.float32) -> Callable[[], torch.Tensor]:
    """Whole walks and their frames; features in another precision, if wanted, styles never."""
    torch.manual_seed(0)
    G, R = walker(model)
    z, e = torch.randn(count, G.z_dim), torch.randn(count, model.motion.frames - 1, G.z_dim)
    noise, const = layer_noise(G, count), G.synthesis.b4.const
    const.data = const.data.to(dtype)  # layers go on in the precision that they are given

    @torch.no_grad()
    def sample() -> torch.Tensor:
        return video.render(G.synthesis, R(G.styles(z), e)[0], noise)

    return sample


def halved(model: ModelConfig, count: int, repeats: int) -> None:
    """The sampler in bfloat16 beside float32."""
    forms = [sampler(model, count, dtype) for dtype in (torch.float32, torch.bfloat16)]
    exact, rough = (form() for form in forms)
    error = float((rough - exact).abs().mean() / exact.std())
    full, half = best_seconds(forms, repeats)
    print(f"sample in bfloat16: {full / half:.2f} times as fast, mean error {error:.1e} of the deviation")


def main() -> None:
    torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
    tier = sys.argv[2] if len(sys.argv) > 2 else "tiny"
    repeats = 3 if tier == "tiny" else 1
    images, videos, frames = SAMPLES[tier]
    own = config.change(config.shipped(MoCoGANHDConfig, "models/mocogan_hd", tier), [f"model.motion.frames={frames}"])

    def plainly(step: Callable[[], object]) -> Callable[[], object]:
        def run() -> None:
            with plain():
                step()

        return run

    counts = f"{images} images, {videos} videos of {frames} frames"
    print(f"{tier}, {torch.get_num_threads()} threads, {counts} a training step")
    torch.manual_seed(0)
    model, across = own.model, config.change(own, ACROSS).model
    steps = image_steps(model, images) | motion_steps(model, videos) | motion_steps(across, videos)
    compare(steps | {"sample": sampler(model, videos)}, plainly, repeats)
    halved(model, videos, repeats)


if __name__ == "__main__":
    main()
