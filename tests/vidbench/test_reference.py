"""The contract of generators, for every reference generator, and what each of them breaks."""

import pickle
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import pytest
import torch

from vidbench.contenders import is_reference
from vidbench.registry import MODELS
from vidbench.sources import Source, Unreadable, source_from_array

LENGTH = 40  # frames of the clips that are wanted
FRAMES = 56  # frames of the real videos
REFERENCES = [name for name in MODELS.names() if is_reference(name)]

every = pytest.mark.parametrize("name", REFERENCES)


@pytest.fixture(scope="module")
def real():
    """Seven real videos whose frames are all different."""
    videos = np.random.default_rng(0).integers(0, 256, (7, FRAMES, 6, 8, 3), np.uint8)
    return source_from_array("real", videos, fps=30.0).resized((6, 8))


@pytest.fixture(scope="module")
def build(real):
    return lambda name, source=real, frames=LENGTH: MODELS.load(name)(source, frames)


def pixels(video):
    """The bytes [T, 3, H, W] that a video float32 [3, T, H, W] stands for."""
    return (video.movedim(1, 0) * 127.5 + 127.5).round().to(torch.uint8).numpy()


def real_frames(source):
    """Where each real frame stands: video and time by the bytes of the frame."""
    return {
        frame.tobytes(): (v, t)
        for v, video in enumerate(source.videos)
        for t, frame in enumerate(np.moveaxis(video.medium.frames, -1, 1).copy())
    }


def places(video, source):
    """Video and time of each frame of a generated video."""
    known = real_frames(source)
    return [known[frame.tobytes()] for frame in pixels(video)]


# The contract


def test_these_are_the_reference_generators():
    assert sorted(REFERENCES) == ["freeze", "loop", "noise", "real", "shuffle"]


@every
def test_samples_are_float32_videos_in_the_range_of_the_size_announced(build, name):
    generator = build(name)
    videos = generator.sample([3, 4], LENGTH)
    assert videos.dtype == torch.float32
    assert videos.shape == (2, 3, LENGTH, *generator.size)
    assert -1 <= videos.min() < -0.9
    assert 0.9 < videos.max() <= 1


@every
def test_a_video_depends_on_its_own_seed_only(build, name):
    generator = build(name)
    together = generator.sample([11, 12, 13, 11], LENGTH)
    for position, seed in enumerate((11, 12, 13, 11)):
        assert torch.equal(together[position], generator.sample([seed], LENGTH)[0])


@every
def test_another_generator_of_the_same_kind_makes_the_same_videos(build, name):
    assert torch.equal(build(name).sample([2**62], LENGTH), build(name).sample([2**62], LENGTH))


@every
def test_seeds_make_different_videos(build, name):
    # there are 7 x 17 real clips, so that two of 20 seeds may well pick the same one
    videos = build(name).sample(range(20), 16)
    assert len({video.numpy().tobytes() for video in videos}) > 10


@every
def test_the_stream_is_the_sample(build, name):
    generator = build(name)
    streamed = torch.cat(list(islice(generator.stream(5), -(-LENGTH // 16))), dim=1)
    assert torch.equal(streamed[:, :LENGTH], generator.sample([5], LENGTH)[0])


@every
@pytest.mark.parametrize(("start", "frames"), [(0, 1), (1, 15), (9, 20), (16, 16), (LENGTH - 1, 1)])
def test_an_offset_is_a_slice_of_the_whole(build, name, start, frames):
    generator = build(name)
    assert torch.equal(
        generator.sample([5, 6], frames, start), generator.sample([5, 6], LENGTH)[:, :, start : start + frames]
    )


@every
def test_the_global_random_state_neither_matters_nor_moves(build, name):
    torch.manual_seed(0)
    state = torch.get_rng_state()
    first = build(name).sample([1], 16)
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(1)
    assert torch.equal(first, build(name).sample([1], 16))


@every
def test_a_copy_in_another_process_is_the_same(build, name):
    generator = build(name)
    copy = pickle.loads(pickle.dumps(generator))
    assert torch.equal(copy.sample([9], 20), generator.sample([9], 20))


@every
def test_it_plays_at_the_rate_of_the_real_videos(build, name):
    assert build(name).fps == 30.0


@every
def test_the_fingerprint_tells_generators_and_real_videos_apart(build, name, real):
    other = source_from_array("real", np.zeros((2, FRAMES, 6, 8, 3), np.uint8)).resized((6, 8))
    prints = {build(any_name).fingerprint for any_name in REFERENCES} | {build(name, other).fingerprint}
    assert len(prints) == len(REFERENCES) + 1
    assert build(name).fingerprint == build(name).fingerprint


@pytest.mark.parametrize("name", ["real", "shuffle"])
def test_more_frames_than_were_promised_is_an_error(build, name):
    generator = build(name)
    assert generator.max_frames == LENGTH
    with pytest.raises(ValueError, match=f"at most {LENGTH} frames; {LENGTH + 1} were asked for"):
        generator.sample([0], LENGTH + 1)


@pytest.mark.parametrize("name", ["freeze", "loop", "noise"])
def test_what_needs_little_of_a_real_video_is_endless(build, name):
    generator = build(name)
    assert generator.max_frames is None
    assert generator.sample([0], 3, start=1000).shape == (1, 3, 3, 6, 8)


@pytest.mark.parametrize(
    ("name", "needed"), [("real", LENGTH), ("shuffle", LENGTH), ("loop", 16), ("freeze", 1), ("noise", 1)]
)
def test_real_videos_that_are_too_short_are_not_picked(build, name, needed, real):
    short = (
        source_from_array("short", np.zeros((1, needed, 6, 8, 3), np.uint8)[:, : needed - 1]).videos
        if needed > 1
        else []
    )
    mixed = Source("mixed", [*short, *real.videos], "0").resized((6, 8))
    assert [video.name for video in build(name, mixed).eligible] == [video.name for video in real.videos]


@pytest.mark.parametrize("name", ["real", "shuffle", "loop"])
def test_no_real_video_that_is_long_enough_is_an_error_with_the_length(build, name):
    brief = source_from_array("brief", np.zeros((3, 15, 6, 8, 3), np.uint8)).resized((6, 8))
    with pytest.raises(ValueError, match=r"brief has no readable video of (16|40) frames"):
        build(name, brief).sample([0], 16)


@every
def test_unreadable_real_videos_are_not_picked(build, name, real):
    @dataclass(frozen=True)
    class Torn:
        def probe(self):
            raise Unreadable("it is torn")

        def read(self, info, times):
            raise AssertionError

    torn = replace(real.videos[0], name="torn", key="torn", medium=Torn())
    assert len(build(name, Source("some", [torn, *real.videos], "0").resized((6, 8))).eligible) == 7


# What each of them is


def test_real_is_an_unchanged_clip_of_a_real_video(build, real):
    for video in build("real").sample(range(10), LENGTH):
        found = places(video, real)
        assert len({v for v, _ in found}) == 1
        assert np.diff([t for _, t in found]).tolist() == [1] * (LENGTH - 1)


def test_real_picks_every_video_and_every_start(build, real):
    generator = build("real")
    found = {places(video, real)[0] for video in generator.sample(range(600), 1)}
    assert {v for v, _ in found} == set(range(7))
    assert {t for _, t in found} == set(range(FRAMES - LENGTH + 1))


def test_freeze_holds_a_real_frame(build, real):
    for video in build("freeze").sample(range(5), LENGTH):
        assert len(set(places(video, real))) == 1


def test_loop_repeats_sixteen_real_frames(build, real):
    for video in build("loop").sample(range(5), 48):
        assert torch.equal(video[:, :32], video[:, 16:])
        found = places(video[:, :16], real)
        assert len({v for v, _ in found}) == 1
        times = sorted(t for _, t in found)
        assert times == list(range(times[0], times[0] + 16))
        assert sorted(np.diff([t for _, t in found]))[1:] == [1] * 14


def test_loop_is_entered_at_any_phase(build, real):
    phases = set()
    for video in build("loop").sample(range(200), 16):
        times = [t for _, t in places(video, real)]
        phases.add(times.index(min(times)))
    assert phases == set(range(16))


def test_shuffle_permutes_the_frames_of_a_real_clip_within_blocks_of_sixteen(build, real):
    generator = build("shuffle")
    for seed in range(5):
        found = places(generator.sample([seed], LENGTH)[0], real)
        assert len({v for v, _ in found}) == 1
        times = [t for _, t in found]
        first = min(times[:16])
        for start in range(0, LENGTH, 16):
            block = times[start : start + 16]
            assert sorted(block) == list(range(first + start, first + start + len(block)))
            assert block != sorted(block)


def test_shuffle_permutes_each_block_and_each_video_differently(build, real):
    orders = set()
    for video in build("shuffle").sample(range(5), 32):
        times = [t for _, t in places(video, real)]
        orders |= {tuple(np.argsort(times[start : start + 16])) for start in (0, 16)}
    assert len(orders) == 10


def test_noise_is_uniform_and_independent_in_every_pixel(build):
    # 3 x 64 x 48 pixels x 4 videos: deviations of means are below 0.002, so 0.01 is five of them
    video = build("noise").sample(range(4), 64)
    assert video.mean().item() == pytest.approx(0, abs=0.02)
    assert video.std().item() == pytest.approx(3**-0.5, abs=0.01)
    for shift in (1, 16):
        assert (video[:, :, shift:] * video[:, :, :-shift]).mean().item() == pytest.approx(0, abs=0.01)
    assert (video[0] * video[1]).mean().item() == pytest.approx(0, abs=0.01)
    assert (video[..., 1:] * video[..., :-1]).mean().item() == pytest.approx(0, abs=0.01)


def test_noise_shows_no_real_frame(build, real):
    known = real_frames(real)
    assert not any(frame.tobytes() in known for frame in pixels(build("noise").sample([0], LENGTH)[0]))
