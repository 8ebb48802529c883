"""Tests that every generator must pass, for whoever brings one. In a file that pytest collects, two lines do:

    from vidbench.testing import check_generator
    def test_my_model(): check_generator(lambda: MyModel(), length=16)

A generator passes if its videos are functions of their seeds alone: the same again, from another instance, in any
batch, on any rank, in any chunks and however long the video is; and if they have the shape, type and range that the
interface promises. A trained system passes if it also survives its checkpoint (`check_round_trip`).

The same numbers are asked for to within 1e-4 of the range of [-1, 1]: libraries choose other orders of summation for
other batch sizes, which moves float32 results by about 1e-6 a layer, while one level of an 8-bit pixel is 8e-3.
Where nothing but the call is repeated, results must be equal to the last bit.
"""

from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from .checkpoints import About, load_checkpoint, save_checkpoint
from .generator import Generator
from .stage import State, System

SEEDS = (3, 2**63 - 1, 0, 3)
"""Seeds of the videos that are looked at: large and small, and one twice."""

Make = Callable[[], Generator]


def check_generator(make: Make, length: int = 16, tolerance: float = 1e-4) -> None:
    """All tests of this module that hold for any generator.

    Args:
        make: makes the generator, anew each time.
        length: frames of the videos it was trained on; it is asked for many more, if it says that it makes more.
        tolerance: by how much frames may differ where batches or chunks do.

    Raises:
        AssertionError: with what is wrong.
    """
    generator = make()
    check_attributes(generator)
    for frames in (1, 7, length):
        if generator.max_frames is None or frames <= generator.max_frames:
            check_videos(generator, frames)
    check_determinism(make)
    check_seeds(generator, tolerance)
    check_stream(generator, length, tolerance)
    check_length(generator, length, tolerance)


def check_attributes(generator: Generator) -> None:
    """It says how large, how fast and how long its videos are."""
    for part in ("sample", "stream", "size", "fps", "max_frames"):
        assert hasattr(generator, part), f"it has no {part}: derive it from vidbench.Generator"
    height, width = generator.size
    assert height >= 1 and width >= 1, f"size is {generator.size}; it should be height and width in pixels"
    assert generator.fps > 0, f"fps is {generator.fps}; it should be frames a second"
    longest = generator.max_frames
    assert longest is None or longest >= 1, f"max_frames is {longest}; it should be None or at least 1"


def check_videos(generator: Generator, frames: int) -> None:
    """Samples are float32 `[N, 3, T, H, W]`, finite, in [-1, 1], on the CPU, without gradients."""
    videos = generator.sample(SEEDS[:2], frames)
    wanted = (2, 3, frames, *generator.size)
    assert tuple(videos.shape) == wanted, f"2 videos of {frames} frames have shape {list(videos.shape)}, not {wanted}"
    check_values(videos)


def check_values(videos: Tensor) -> None:
    """Float32, finite, in [-1, 1], on the CPU, without gradients."""
    assert videos.dtype == torch.float32, f"videos are {videos.dtype}; float32 is needed"
    assert videos.device.type == "cpu", f"videos are on {videos.device}; bring them to the CPU"
    assert not videos.requires_grad, "videos carry gradients: make them under torch.inference_mode()"
    assert bool(torch.isfinite(videos).all()), "videos hold values that are not finite"
    low, high = float(videos.min()), float(videos.max())
    assert low >= -1 and high <= 1, f"values reach from {low:g} to {high:g}; [-1, 1] is allowed: clamp them"


def check_determinism(make: Make) -> None:
    """Equal seeds give equal videos, bit for bit: again, from another instance, whatever the global random state."""
    generator = make()
    torch.manual_seed(1)
    once = generator.sample(SEEDS, 3)
    torch.manual_seed(2)
    assert torch.equal(generator.sample(SEEDS, 3), once), f"the same call again gives other videos; {DRAW}"
    assert torch.equal(make().sample(SEEDS, 3), once), f"another instance gives other videos; {DRAW}"


DRAW = "draw all random numbers with torch.Generator().manual_seed(seed), or with vidbench.draws"


def check_seeds(generator: Generator, tolerance: float) -> None:
    """A video depends on its own seed, not on its neighbours, their number, or its place among them."""
    together = generator.sample(SEEDS, 3)
    for index, seed in enumerate(SEEDS):
        alone = generator.sample([seed], 3)
        same(alone[0], together[index], tolerance, f"the video of seed {seed} alone, and as number {index} of a batch")
    turned = generator.sample(SEEDS[::-1], 3).flip(0)
    same(turned, together, tolerance, "the videos of a batch, and of the same batch the other way round")
    assert not torch.equal(together[0], together[1]), f"the seeds {SEEDS[0]} and {SEEDS[1]} give the same video"


def check_stream(generator: Generator, length: int, tolerance: float) -> None:
    """`stream` gives the frames of `sample`, in chunks `[3, t, H, W]`; a stream is not disturbed by another."""
    frames = min(length, generator.max_frames or length)
    seed, other = SEEDS[:2]
    video = generator.sample([seed], frames)[0]
    stream, beside = generator.stream(seed), generator.stream(other)
    chunks, made = list[Tensor](), 0
    before = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
    while made < frames:
        chunk = next(stream, None)
        modes = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
        assert modes == before, "a stream leaves gradients off between its chunks: no yield inside inference_mode()"
        assert chunk is not None, f"the stream ended after {made} frames; {frames} were asked for"
        shape, wanted = tuple(chunk.shape), (3, "t", *generator.size)
        assert chunk.ndim == 4 and chunk.shape[1] >= 1 and (shape[0], *shape[2:]) == (3, *generator.size), (
            f"a chunk has shape {list(shape)}, not {wanted}"
        )
        check_values(chunk)
        chunks.append(chunk)
        made += chunk.shape[1]
        next(beside, None)
    streamed = torch.cat(chunks, dim=1)[:, :frames]
    same(streamed, video, tolerance, f"the first {frames} frames of stream and sample")


def check_length(generator: Generator, length: int, tolerance: float) -> None:
    """Windows anywhere in a video are windows of one video; an endless one goes on far beyond its training length."""
    longest = generator.max_frames
    frames = min(length, longest or length)
    video = generator.sample([SEEDS[0]], frames)
    for start in {0, frames // 3, frames - 1}:
        window = generator.sample([SEEDS[0]], frames - start, start)
        same(window, video[:, :, start:], tolerance, f"frames {start} to {frames - 1}, and the same of a longer video")
    if longest is None:
        far = 20 * length + 1
        window = generator.sample([SEEDS[0]], 3, far)
        check_values(window)
        later = generator.sample([SEEDS[0]], 1, far + 2)
        same(later, window[:, :, 2:], tolerance, f"frame {far + 2}, and the same in a window that begins at {far}")
        return
    beyond = sum(chunk.shape[1] for chunk in islice(generator.stream(SEEDS[0]), longest + 1))
    assert beyond <= longest, f"max_frames is {longest}, but the stream goes on to frame {beyond}"
    try:
        generator.sample([SEEDS[0]], 1, longest)
    except ValueError:
        return
    raise AssertionError(f"frame {longest} of videos of at most {longest} frames is no ValueError")


def check_round_trip(
    system: type[System], config: Any, states: Mapping[str, State], fps: float = 25.0, length: int = 16
) -> None:
    """A trained system makes the same videos, bit for bit, once its states have been through checkpoint files."""
    before = system.from_states(config, states, fps)
    size = system.size_of(config)
    assert tuple(before.size) == tuple(size), f"the configuration is for {size}, but the videos are {before.size}"
    read = {}
    with TemporaryDirectory() as folder:
        for stage, state in states.items():
            path = Path(folder) / f"{stage}.safetensors"
            about = About(
                model=system.__name__, stage=stage, step=1, config=config.model_dump(mode="json"), tier=config.name,
                data="none", size=size, fps=fps, seed=0,
            )  # fmt: skip
            save_checkpoint(path, about, state)
            checkpoint = load_checkpoint(path)
            assert system.config_type(**checkpoint.about.config) == config, "the configuration does not survive JSON"
            read[stage] = checkpoint.state
        after = system.from_states(config, read, fps)
        assert torch.equal(after.sample(SEEDS, length), before.sample(SEEDS, length)), (
            "states that have been through a file give other videos: keep all tensors in the networks' state_dict()"
        )


def same(a: Tensor, b: Tensor, tolerance: float, what: str) -> None:
    """Refuse frames that differ by more than the tolerance."""
    difference = float((a - b).abs().max())
    assert difference <= tolerance, f"{what}, differ by {difference:.2g}; at most {tolerance:g} is allowed"
