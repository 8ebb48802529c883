"""Speed of Video LDM beside its bare products: `python -m tests.benchmarks.bench_video_ldm [THREADS] [TIER]`.

The bare operations are the convolutions, matrix products and attentions that a pass made, at the same shapes and in the
same memory format, with nothing between: what the machine can do. Training steps are whole ones, with encoding,
optimiser and moving average; of sampling, one step of each denoiser, and a window of the decoder. The plain form
attends by a matrix of weights, and asks for each side of guidance on its own. Then the parts of sampling in bfloat16:
how many times faster, and how far off; what temporal layers take; a frame by two samplers; and at the tier `ci` the
memory of 1,000 frames beside that of 100.
"""

import copy
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor

from tests.benchmarks.bare import best_seconds, compare
from tests.benchmarks.bench_memory import peak
from vidbench import config
from vidbench.models.video_ldm import VideoLDM, context
from vidbench.models.video_ldm.config import VideoLDMConfig
from vidbench.models.video_ldm.context import context_frames
from vidbench.models.video_ldm.decoder import WINDOW
from vidbench.models.video_ldm.windows import BETWEEN
from vidbench.stage import Origin, Stage, State, Step

BATCHES = {"paper-driving": 1}
"""Samples of a training step, where they are not the tier's own."""
VIDEOS = {"tiny": 2, "paper-driving": 1}
"""Sampled together."""
FRAMES = {"tiny": 16, "paper-driving": 1}
"""Of the videos that both samplers make."""
SAMPLERS = {"ddim": 25, "dpm-solver++": 8}
"""And their steps."""
LENGTHS = (100, 1000)


@contextmanager
def plain() -> Iterator[None]:
    """Attention as it is defined, and guidance in two passes."""
    with (
        mock.patch.object(F, "scaled_dot_product_attention", plain_attention),
        mock.patch.object(context, "guided", plain_guided),
    ):
        yield


def plain_attention(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False):
    weights = query @ key.transpose(-1, -2) * (scale or query.shape[-1] ** -0.5)
    if attn_mask is not None:
        weights = weights.masked_fill(~attn_mask, -torch.inf)
    return weights.softmax(dim=-1) @ value


def plain_guided(network, z, tau, context, scale):
    without = network(z, tau, None)
    return without + scale * (network(z, tau, context) - without)


def plainly(step: Callable[[], object]) -> Callable[[], object]:
    def run() -> None:
        with plain():
            step()

    return run


def clips(stage: Stage, settings: VideoLDMConfig, count: int) -> dict[str, dict[str, Tensor]]:
    """A batch of noise."""
    shape = (count, 3, stage.reader.frames, *VideoLDM.training_size(settings, stage.name))
    rates = torch.arange(count) % len(stage.reader.strides)
    return {"real": {"clip": torch.randint(256, shape, dtype=torch.uint8), "rate": rates}}


def training_steps(settings: VideoLDMConfig, tier: str, repeats: int) -> dict[str, State]:
    """A line for each stage, that of the upsampler for each of its phases; the stages' networks."""
    states: dict[str, State] = {}
    for name, make in VideoLDM.stages.items():
        own = getattr(settings.stages, name)
        stage = make(settings, Origin(VideoLDM.size_of(settings), 32.0), "cpu", states)
        count, first = BATCHES.get(tier, own.batch), getattr(own, "adversary_from", 0)
        batch = clips(stage, settings, count)
        begins = {name: first} | ({f"{name} in time": own.image_steps} if name == "upsampler" else {})
        for shown, index in begins.items():
            step = Step(0, name, index, count)
            compare({shown: lambda stage=stage, step=step, batch=batch: stage.update(batch, step)}, plainly, repeats)
        states[name] = stage.state()
    return states


def parts(made: VideoLDM, count: int, dtype: torch.dtype = torch.float32) -> dict[str, Callable[[], Tensor]]:
    """What sampling consists of: a step of each denoiser, and a window of the decoder."""
    torch.manual_seed(0)
    tau = torch.full((count,), 500)
    unet, temporal, interpolation, decoder, upsampler = (
        copy.deepcopy(network).to(dtype)
        for network in (made.image.unet, made.temporal, made.interpolation, made.decoder, made.upsampler.network)
    )

    def drawn(frames: int) -> Tensor:
        return torch.randn(count, made.latents[0], frames, *made.latents[1:], dtype=dtype)

    keys, window, latents = drawn(made.window), drawn(BETWEEN + 2), drawn(WINDOW)
    ends = torch.tensor([True, *[False] * BETWEEN, True]).expand(count, -1)
    first, given = torch.arange(made.window).expand(count, -1) < 2, context_frames(window, ends)
    known, rate = context_frames(keys, first), torch.zeros(count, dtype=torch.long)
    video = torch.randn(count, 6, WINDOW, *made.size, dtype=dtype)

    def of_keys(z: Tensor, tau: Tensor, told: Tensor | None) -> Tensor:
        return temporal(z, tau, context=told)

    forms = {
        "image": lambda: unet(keys[:, :, 0], tau).sample,
        "key frames": lambda: of_keys(keys, tau, known),
        "guided": lambda: context.guided(of_keys, keys, tau, known, 2.0),
        "between": lambda: interpolation(window, tau, context=given, regime=rate),
        "decoder": lambda: decoder(latents),
        "upsampler": lambda: upsampler(video, tau, labels=tau),
    }
    return {name: torch.no_grad()(form) for name, form in forms.items()}


def halved(made: VideoLDM, count: int, repeats: int) -> None:
    """The parts of sampling in bfloat16 beside float32."""
    full, half = (parts(made, count, dtype) for dtype in (torch.float32, torch.bfloat16))
    for name, form in full.items():
        exact, rough = form(), half[name]()
        error = float((rough - exact).abs().mean() / exact.std())
        slow, fast = best_seconds([form, half[name]], repeats)
        print(f"{name} in bfloat16: {slow / fast:.2f} times as fast, mean error {error:.1e} of the deviation")


@torch.no_grad()
def temporal_layers(made: VideoLDM, count: int, repeats: int) -> None:
    """A step of the key frames' denoiser beside the same frames through the image model."""
    z, tau = torch.randn(count, made.latents[0], made.window, *made.latents[1:]), torch.full((count,), 500)
    whole, image = best_seconds(
        [lambda: made.temporal(z, tau), lambda: made.temporal(z, tau, image_mode=True)], repeats
    )
    shown = f"{count} videos of {made.window} frames"
    print(f"temporal layers: {whole / image:.2f} times as long as the image model alone, {shown}")


def samplers(settings: VideoLDMConfig, states: dict[str, State], tier: str) -> None:
    """A frame by each sampler, from the image to the decoder."""
    count, frames = VIDEOS[tier], FRAMES[tier]

    def form(name: str, steps: int) -> Callable[[], Tensor]:
        made = VideoLDM.from_states(settings, states, 32.0, upsample=False, sampler=name, steps=steps)
        return lambda: made.sample(range(count), frames)

    seconds = best_seconds([form(name, steps) for name, steps in SAMPLERS.items()], 1)
    for (name, steps), taken in zip(SAMPLERS.items(), seconds, strict=True):
        print(f"{name}, {steps} steps: {taken / count / frames * 1e3:.1f} ms a frame, {count} videos of {frames}")
    print(f"the first takes {seconds[0] / seconds[1]:.2f} times as long")


def memory() -> None:
    """Peak memory of `vidbench sample` for videos of two lengths, through all networks but the upsampler."""
    stages = [word for name in VideoLDM.stages if name != "upsampler" for word in ("--stage", name)]
    with tempfile.TemporaryDirectory() as folder:
        train = ["train", "--model", "video-ldm", "--tier", "ci", "--steps", "1", "--out", folder, *stages]
        subprocess.run([sys.executable, "-m", "vidbench", *train], check=True)
        run = f"{folder}/video-ldm/toy-ride-ci"
        peaks = {
            n: peak("sample", "--model", "video-ldm", "--checkpoint", run, "-n", "1", "--frames", str(n))
            for n in LENGTHS
        }
    shown = ", ".join(f"{frames} frames {mebibytes} MiB" for frames, mebibytes in peaks.items())
    print(f"memory at ci: {shown}; ratio {peaks[LENGTHS[-1]] / peaks[LENGTHS[0]]:.3f}")


def main() -> None:
    torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
    tier = sys.argv[2] if len(sys.argv) > 2 else "tiny"
    repeats = 3 if tier == "tiny" else 1
    settings, count = config.shipped(VideoLDMConfig, "models/video_ldm", tier), VIDEOS[tier]
    torch.manual_seed(0)
    print(f"{tier}, {torch.get_num_threads()} threads")
    states = training_steps(settings, tier, repeats)
    made = VideoLDM.from_states(settings, states, 32.0, upsample=True)
    compare(parts(made, count), plainly, repeats)
    halved(made, count, repeats)
    temporal_layers(made, count, repeats)
    samplers(settings, states, tier)
    if tier == "tiny":
        memory()


if __name__ == "__main__":
    main()
