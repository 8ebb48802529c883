"""What the toys promise: see `vidbench.toys`."""

from importlib import import_module
from typing import Any, Protocol

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray


class Render(Protocol):
    def __call__(self, video: str, times: NDArray[np.integer[Any]], size: tuple[int, int]) -> NDArray[np.uint8]: ...


TOYS: dict[str, Render] = {
    f"toy-{name}": import_module(f"vidbench.toys.{name}").render for name in ("ride", "sky", "talk")
}
SMALL = (32, 32)
each_toy = pytest.mark.parametrize("toy", TOYS)
sizes = st.tuples(st.integers(32, 80), st.integers(32, 80))


def clip(toy: str, video: int, times: NDArray[np.integer[Any]], size: tuple[int, int] = SMALL) -> NDArray[np.uint8]:
    return TOYS[toy](f"{toy}/train/{video:06d}", times, size)


def similarity(frames: NDArray[np.uint8]) -> NDArray[np.float64]:
    """S(0, t): how much of the first frame's colour histogram is found in frame t, [T]."""
    level = (38 * frames.astype(np.int64) + 255) // 510
    colours = (level[0] * 20 + level[1]) * 20 + level[2]
    histograms = np.stack([np.bincount(frame.ravel(), minlength=8000) / frame.size for frame in colours])
    return np.asarray(np.minimum(histograms[0], histograms).sum(axis=1))


@each_toy
@given(size=sizes, count=st.integers(0, 3))
@settings(max_examples=5, deadline=None)
def test_frames_are_rgb_bytes_of_the_size_asked_for(toy: str, size: tuple[int, int], count: int) -> None:
    frames = clip(toy, 0, np.arange(count), size)
    assert frames.dtype == np.uint8
    assert frames.shape == (3, count, *size)


@each_toy
@given(video=st.integers(0, 10**6), size=sizes, data=st.data())
@settings(max_examples=15, deadline=None)
def test_a_frame_alone_equals_the_same_frame_in_any_company(
    toy: str, video: int, size: tuple[int, int], data: st.DataObject
) -> None:
    times = np.array(data.draw(st.lists(st.integers(0, 10**5), min_size=2, max_size=24)))
    together = clip(toy, video, times, size)
    i = data.draw(st.integers(0, len(times) - 1))
    np.testing.assert_array_equal(together[:, i : i + 1], clip(toy, video, times[i : i + 1], size))


@each_toy
@pytest.mark.parametrize("size", [(32, 32), (33, 47), (64, 40)])
def test_a_long_clip_equals_its_frames_rendered_one_by_one(toy: str, size: tuple[int, int]) -> None:
    together = clip(toy, 7, np.arange(128), size)
    alone = np.concatenate([clip(toy, 7, np.array([t]), size) for t in range(128)], axis=1)
    np.testing.assert_array_equal(together, alone)


@each_toy
@given(start=st.integers(0, 10**5), stride=st.integers(1, 100))
@settings(max_examples=5, deadline=None)
def test_a_stride_picks_frames_and_changes_none(toy: str, start: int, stride: int) -> None:
    every = clip(toy, 1, np.arange(start, start + 4 * stride + 1))
    np.testing.assert_array_equal(every[:, ::stride], clip(toy, 1, np.arange(start, start + 4 * stride + 1, stride)))


@each_toy
def test_two_calls_give_the_same_frames(toy: str) -> None:
    np.testing.assert_array_equal(clip(toy, 3, np.arange(16)), clip(toy, 3, np.arange(16)))


@each_toy
def test_train_and_test_are_different_videos(toy: str) -> None:
    train, test = (TOYS[toy](f"{toy}/{split}/000000", np.arange(4), SMALL) for split in ("train", "test"))
    assert np.abs(train.astype(float) - test).mean() > 5


@each_toy
def test_the_first_512_videos_all_differ(toy: str) -> None:
    assert len({clip(toy, video, np.array([0])).tobytes() for video in range(512)}) == 512


@each_toy
@pytest.mark.parametrize("size", [(32, 32), (48, 32), (32, 48)])
def test_every_size_shows_the_same_scene(toy: str, size: tuple[int, int]) -> None:
    height, width = size
    for video in range(6):
        small = clip(toy, video, np.array([50]), size).astype(float)
        large = clip(toy, video, np.array([50]), (4 * height, 4 * width)).astype(float)
        reduced = large.reshape(3, 1, height, 4, width, 4).mean(axis=(3, 5))
        assert np.abs(small - reduced).mean() < 6  # of 255; finer detail is only drawn where it can be seen


@each_toy
def test_every_frame_differs_from_the_one_before(toy: str) -> None:
    frames = clip(toy, 2, np.arange(36_000, 36_064), (64, 64)).astype(float)
    assert (np.abs(np.diff(frames, axis=1)).mean(axis=(0, 2, 3)) > 0).all()


@pytest.mark.parametrize("toy", ["toy-ride", "toy-sky"])
def test_what_has_gone_does_not_return(toy: str) -> None:
    times = np.concatenate([[0, 3], np.arange(500, 36_000, 25)])
    frames = clip(toy, 4, times).astype(np.float32)
    away = np.abs(frames - frames[:, :1]).mean(axis=(0, 2, 3))
    assert away[2:].min() > 2 * away[1]


def test_colours_drift_away_in_rides_less_in_skies_and_stay_in_talks() -> None:
    starts = np.random.default_rng(0).integers(0, 36_000, 48)
    times = np.array([0, 16, 64, 128])
    curves = {toy: np.mean([similarity(clip(toy, i, s + times)) for i, s in enumerate(starts)], axis=0) for toy in TOYS}
    ride, sky, talk = curves["toy-ride"], curves["toy-sky"], curves["toy-talk"]
    assert ride[3] + 0.1 < sky[3] < talk[3] - 0.2
    assert talk[3] > 0.85
    assert 0.3 < ride[3] < ride[2] - 0.05 < ride[1] - 0.15
