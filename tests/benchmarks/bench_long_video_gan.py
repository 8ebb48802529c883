"""Speed of LongVideoGAN beside its bare products: `python -m tests.benchmarks.bench_long_video_gan [THREADS] [TIER]`.

The bare operations are the convolutions and matrix products that a pass made, at the same shapes and in the same memory
format, with nothing between: what the machine can do. (Super-resolution resamples by matrix products too.) The plain
form is the networks' definition: a correlation with every temporal filter, weights for every frame, resampling of
inserted zeros. Then the samplers in bfloat16: how many times faster, and how far off.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest import mock

import torch
import torch.nn.functional as F
from einops import rearrange

from tests.benchmarks.bare import best_seconds, compare, plain_upfirdn2d
from vidbench import config
from vidbench.models.layers import alias_free, fir
from vidbench.models.layers.loss import discriminator_loss, generator_loss, r1_penalty
from vidbench.models.long_video_gan import condition, lowres_layers, temporal_noise
from vidbench.models.long_video_gan.config import LongVideoGANConfig
from vidbench.models.long_video_gan.networks import (
    build_lowres_discriminator,
    build_lowres_generator,
    build_superres_discriminator,
    build_superres_generator,
)

VIDEOS = {"tiny": 4, "paper-horseback": 1}
"""Of a training step."""
FRAMES = 16
"""Frames that super-resolution makes at once."""


@contextmanager
def plain() -> Iterator[None]:
    """The networks as they are defined."""
    with (
        mock.patch.object(temporal_noise.FilterBank, "forward", plain_filter_bank),
        mock.patch.object(lowres_layers, "modulated_conv3d", plain_modulated_conv3d),
        mock.patch.object(fir, "upfirdn2d", plain_upfirdn2d),
        mock.patch.object(lowres_layers, "upfirdn2d", plain_upfirdn2d),
        mock.patch.object(condition, "upfirdn2d", plain_upfirdn2d),
        mock.patch.object(alias_free.AliasFreeLayer, "forward", plain_alias_free),
    ):
        yield


def plain_filter_bank(bank, noise):
    """A correlation of every channel of noise with every filter."""
    lines = rearrange(noise, "n j t -> (n j) 1 t")
    filtered = F.conv1d(lines, bank.blur_filters) * bank.output_scale
    return rearrange(filtered, "(n j) i t -> n (j i) t", n=len(noise))


def plain_modulated_conv3d(x, weight, styles, in_gain, offset, out_gain):
    """Features scaled frame by frame, convolved, scaled again; norms from the weights of every frame."""
    weight = weight / weight.abs().amax(dim=(1, 2, 3, 4), keepdim=True) / weight[0].numel() ** 0.5
    styles = styles / styles.abs().amax(dim=(1, 2), keepdim=True)
    squares = (weight[None, None] * styles[:, :, None, :, None, None, None]).square().sum(dim=(3, 4, 5, 6))
    norms = rearrange(torch.rsqrt(squares + 1e-8), "n t o -> n o t 1 1")
    x = x * in_gain * rearrange(styles, "n t i -> n i t 1 1")
    return F.conv3d(x, weight, padding=tuple(side // 2 for side in weight.shape[2:])) * norms * out_gain + offset


def plain_alias_free(layer, x, w, beta=1.0):
    """Weights for every frame, a grouped convolution, zeros inserted and filtered channel by channel."""
    frames, _, height, width = x.shape
    styles = layer.affine(w).repeat_interleave(frames // len(w), dim=0)
    weight = layer.weight * layer.weight.square().mean(dim=(1, 2, 3), keepdim=True).rsqrt()
    styles = styles * styles.square().mean().rsqrt()
    weights = weight[None] * styles[:, None, :, None, None]
    weights = weights * (weights.square().sum(dim=(2, 3, 4), keepdim=True) + 1e-8).rsqrt()
    weights = weights * layer.input_gain(x, beta)
    y = F.conv2d(x.reshape(1, -1, height, width), weights.flatten(0, 1), padding=2, groups=frames)
    y = y.unflatten(1, (frames, -1))[0] + layer.bias[:, None, None]
    (rows, columns), (fewer, _) = layer.finer, layer.coarser
    up = layer.up_filter[None]
    y = plain_upfirdn2d(y, up, (rows.up, 1), padding=(*columns.padding, 0, 0), gain=rows.up)
    y = plain_upfirdn2d(y, up.T, (1, rows.up), padding=(0, 0, *rows.padding), gain=rows.up)
    y = (F.leaky_relu(y, 0.2) * 2**0.5).clamp(-layer.conv_clamp, layer.conv_clamp)
    y = plain_upfirdn2d(y, layer.down_filter[None], down=(fewer.down, 1))
    return plain_upfirdn2d(y, layer.down_filter[None].T, down=(1, fewer.down))


def steps(tier: str) -> dict[str, Callable[[], object]]:
    """Sampling, and the phases of both stages' training steps without augmentation and optimiser."""
    model = config.shipped(LongVideoGANConfig, "models/long_video_gan", tier).model
    torch.manual_seed(0)
    count, low, high = VIDEOS[tier], model.lowres, model.superres
    G, D = build_lowres_generator(model, "cpu"), build_lowres_discriminator(model, "cpu")
    noise = {n: torch.randn(count, G.noise_channels, G.noise_length(n)) for n in (low.frames, low.frames + 32)}
    real = torch.randn(count, 3, low.frames, low.height, low.width)
    S, E = build_superres_generator(model, "cpu"), build_superres_discriminator(model, "cpu")
    z, context = torch.randn(count, high.z_dim), 2 * high.context
    wide = torch.randn(count, 3, high.frames + context, low.height, low.width)
    near = wide[:, :, high.context : high.context + high.frames]
    full = torch.randn(count, 3, high.frames, high.height, high.width)

    def low_sample() -> None:
        with torch.no_grad():
            G(noise[low.frames][:1], low.frames)

    def low_gmain() -> None:
        D.requires_grad_(False)
        fake = G.excerpts(noise[low.frames + 32], low.frames + 32, [16] * count, low.frames)
        generator_loss(D(fake)).mean().backward()
        D.requires_grad_(True)

    def low_dmain() -> None:
        with torch.no_grad():
            fake = G(noise[low.frames + 32], low.frames + 32, 0.999)[:, :, 16:-16]
        discriminator_loss(D(fake), D(real)).mean().backward()

    def low_dreg() -> None:
        videos = real.detach().requires_grad_()
        r1_penalty(D(videos), videos).mean().backward()

    def high_sample() -> None:
        with torch.no_grad():
            S(z[:1], torch.randn(1, 3, FRAMES + context, low.height, low.width))

    def high_gmain() -> None:
        E.requires_grad_(False)
        generator_loss(E(near, S(z, wide))).mean().backward()
        E.requires_grad_(True)

    def high_dmain() -> None:
        with torch.no_grad():
            fake = S(z, wide, beta=0.999)
        discriminator_loss(E(near, fake), E(near, full)).mean().backward()

    def high_dreg() -> None:
        frames = full.detach().requires_grad_()
        r1_penalty(E(near, frames), frames).mean().backward()

    phases = (low_sample, low_gmain, low_dmain, low_dreg, high_sample, high_gmain, high_dmain, high_dreg)
    return {phase.__name__.replace("_", " "): phase for phase in phases}


def halved(tier: str, repeats: int) -> None:
    """Both samplers in bfloat16 beside float32."""
    model = config.shipped(LongVideoGANConfig, "models/long_video_gan", tier).model
    torch.manual_seed(0)
    low, high = model.lowres, model.superres
    G, S = (build(model, "cpu").requires_grad_(False) for build in (build_lowres_generator, build_superres_generator))
    noise = torch.randn(1, G.noise_channels, G.noise_length(low.frames))
    z, wide = torch.randn(1, high.z_dim), torch.randn(1, 3, FRAMES + 2 * high.context, low.height, low.width)

    def set_low(dtype):
        G.dtype = dtype
        return G(noise, low.frames)

    def set_high(dtype):
        S.dtypes = [dtype] * len(S.dtypes)
        return S(z, wide)

    for name, form in {"low": set_low, "high": set_high}.items():
        exact, rough = form(None), form(torch.bfloat16)
        error = float((rough - exact).abs().mean() / exact.std())
        full, half = best_seconds([lambda f=form: f(None), lambda f=form: f(torch.bfloat16)], repeats)
        print(f"{name} sample in bfloat16: {full / half:.2f} times as fast, mean error {error:.1e} of the deviation")


def main() -> None:
    torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
    tier = sys.argv[2] if len(sys.argv) > 2 else "tiny"
    repeats = 5 if tier == "tiny" else 1

    def plainly(step: Callable[[], object]) -> Callable[[], object]:
        def run() -> None:
            with plain():
                step()

        return run

    print(f"{tier}, {torch.get_num_threads()} threads, {VIDEOS[tier]} videos a training step")
    compare(steps(tier), plainly, repeats)
    halved(tier, repeats)


if __name__ == "__main__":
    main()
