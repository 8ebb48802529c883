"""Long videos: lengths, what is kept, what windows are told, and that nothing is made before it is asked for."""

from collections.abc import Iterator

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.models.video_ldm.small import normal
from vidbench.models.video_ldm.windows import interpolated, key_frames, regrouped


class Log:
    """Windows that count on: each new frame is one more than the last given one, plus a share by window."""

    def __init__(self, frames: int = 8) -> None:
        self.frames, self.numbers, self.given = frames, [], []

    def predict(self, k: int, given_: Tensor) -> Tensor:
        self.numbers.append(k)
        self.given.append(given_.shape[2])
        new = given_[:, :, -1:] + torch.arange(1, self.frames - given_.shape[2] + 1).reshape(-1, 1, 1)
        return torch.cat([given_, new], dim=2)

    def fill(self, k: int, left: Tensor, right: Tensor) -> Tensor:
        self.numbers.append(k)
        return left + (right - left) * torch.tensor([0.25, 0.5, 0.75]).reshape(-1, 1, 1)


def video(length: int) -> Tensor:
    return torch.arange(length, dtype=torch.float32).reshape(1, 1, -1, 1, 1).expand(2, 4, -1, 1, 1)


def chunked(frames: Tensor, lengths: list[int]) -> Iterator[Tensor]:
    """Frames in chunks of these lengths, over and over."""
    start = 0
    while start < frames.shape[2]:
        for length in lengths:
            if start < frames.shape[2]:
                yield frames[:, :, start : start + length]
                start += length


CHUNKS = st.lists(st.integers(1, 5), min_size=1, max_size=3)


def test_key_frames_go_on_from_the_newest_two():
    log, stream = Log(), None
    stream = key_frames(video(1), log.predict)
    assert log.numbers == []
    chunks = [next(stream) for _ in range(4)]
    assert [chunk.shape[2] for chunk in chunks] == [8, 6, 6, 6]
    assert torch.equal(torch.cat(chunks, dim=2), video(26))
    assert (log.numbers, log.given) == ([0, 1, 2, 3], [1, 2, 2, 2])


@given(st.integers(1, 9), CHUNKS)
def test_interpolation_keeps_key_frames_and_puts_three_between(length, chunks):
    keys, log = normal(2, 4, length, 2, 2), Log()
    once = torch.cat(list(interpolated(chunked(keys, chunks), log.fill)), dim=2)
    assert once.shape[2] == 4 * (length - 1) + 1
    assert torch.equal(once[:, :, ::4], keys)
    assert log.numbers == list(range(length - 1))
    twice = torch.cat(list(interpolated(interpolated(chunked(keys, chunks), log.fill), log.fill)), dim=2)
    assert twice.shape[2] == 16 * (length - 1) + 1
    assert torch.equal(twice[:, :, ::16], keys)


def test_nothing_is_made_before_it_is_asked_for():
    log, once, twice = Log(), Log(), Log()
    stream = interpolated(interpolated(key_frames(video(1), log.predict), once.fill), twice.fill)
    found = [next(stream) for _ in range(4)]
    assert torch.equal(torch.cat(found, dim=2), video(256)[:, :, :16] / 16)
    assert (log.numbers, once.numbers, twice.numbers) == ([0], [0, 1], [0, 1, 2, 3])
    for _ in range(4 * 6 - 1):
        next(stream)
    assert log.numbers == [0]


@given(st.integers(1, 20), CHUNKS, st.integers(1, 6))
def test_regrouped_frames_are_the_same_frames(length, chunks, size):
    found = list(regrouped(chunked(video(length), chunks), size))
    assert torch.equal(torch.cat(found, dim=2), video(length))
    assert [chunk.shape[2] for chunk in found[:-1]] == [size] * (len(found) - 1)
    assert 1 <= found[-1].shape[2] <= size
