"""The interface of generators: what `sample` makes of any `stream`; those that stand on real videos."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.videos import render
from vidbench import Generator
from vidbench.generator import OnReal
from vidbench.sources import open_source, source_from_array


class Counter(Generator):
    """Frame t of a video is everywhere seed + t; chunks are of any length."""

    size, fps = (2, 2), 25.0

    def __init__(self, chunk, max_frames=None):
        self.chunk, self.max_frames, self.made = chunk, max_frames, 0

    def stream(self, seed):
        first = 0
        while True:
            self.made += self.chunk
            yield (seed + first + torch.arange(self.chunk).float())[None, :, None, None].expand(3, -1, 2, 2)
            first += self.chunk


@given(st.integers(1, 20), st.integers(1, 40), st.integers(0, 40))
def test_a_sample_is_a_cut_of_the_stream_whatever_its_chunks(chunk, frames, start):
    video = Counter(chunk).sample([100, 7], frames, start)
    assert video.shape == (2, 3, frames, 2, 2)
    assert video[0, 1, :, 0, 1].tolist() == list(range(100 + start, 100 + start + frames))
    assert video[1, 1, :, 0, 1].tolist() == list(range(7 + start, 7 + start + frames))


@given(st.integers(1, 20), st.integers(1, 60))
def test_no_more_of_the_stream_is_made_than_is_needed(chunk, frames):
    counter = Counter(chunk)
    counter.sample([0], frames)
    assert counter.made < frames + chunk


def test_more_frames_than_there_are_is_an_error_with_both_numbers():
    with pytest.raises(ValueError, match="at most 10 frames; 11 were asked for"):
        Counter(4, max_frames=10).sample([0], 5, start=6)


def test_the_last_frame_can_be_had():
    assert Counter(4, max_frames=10).sample([0], 5, start=5)[0, 0, :, 0, 0].tolist() == [5, 6, 7, 8, 9]


def test_a_generator_without_a_stream_cannot_be_made():
    class Half(Generator):
        size, fps = (2, 2), 25.0

    with pytest.raises(TypeError, match="stream"):
        Half()


class First(OnReal):
    """Shows the first frame of a seed's clip."""

    size = (8, 8)

    def stream(self, seed):
        video, first = self.pick(seed)
        yield torch.from_numpy(self.source.read(video, first, first + 1)).float() / 127.5 - 1


def numbered(count=4, frames=10, fps=None):
    """Videos whose frame t has the value 20 i + t, i being the video's number."""
    values = (20 * np.arange(count)[:, None] + np.arange(frames)).astype(np.uint8)
    return source_from_array("numbers", np.broadcast_to(values[:, :, None, None, None], (*values.shape, 8, 8, 3)), fps)


def test_a_seed_picks_a_real_video_and_any_start_that_leaves_the_clip_whole():
    generator = First(numbered(), 8)
    shown = [generator.sample([seed], 1)[0, 0, 0, 0, 0] for seed in range(200)]
    assert {round((float(value) + 1) * 127.5) for value in shown} == {20 * i + t for i in range(4) for t in range(3)}
    assert all(torch.equal(First(numbered(), 8).sample([seed], 1)[0, 0, 0, 0, 0], shown[seed]) for seed in range(9))


def test_short_videos_and_those_left_out_are_not_picked(tmp_path):
    for name, frames in {"long": 12, "short": 5, "other": 12}.items():
        render(tmp_path / f"{name}.mp4", frames)
    generator = First(open_source(tmp_path), 8)
    assert [video.name for video in generator.eligible] == ["long.mp4", "other.mp4"]
    rest = generator.without(["long.mp4"])
    assert {rest.pick(seed)[0].name for seed in range(20)} == {"other.mp4"}
    assert {generator.pick(seed)[0].name for seed in range(20)} == {"long.mp4", "other.mp4"}
    assert (type(rest), rest.length) == (First, 8)
    with pytest.raises(ValueError, match="has no readable video of 8 frames"):
        _ = rest.without(["other.mp4"]).eligible


def test_real_videos_give_the_frame_rate():
    assert First(numbered(fps=12.0), 8).fps == 12
    assert First(numbered(), 8).fps == 25
