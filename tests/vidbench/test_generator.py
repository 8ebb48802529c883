"""The interface of generators: what `sample` makes of any `stream`."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vidbench import Generator


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
