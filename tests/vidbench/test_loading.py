"""Training samples: every pass visits every video once, whoever reads it and wherever a run goes on."""

import pickle
from collections import Counter
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.videos import render
from vidbench.errors import UserError
from vidbench.loading import Samples, batches
from vidbench.sources import open_source, source_from_array
from vidbench.stage import Stage, Step


class Reading:
    """As much of a stage as reading needs: a sample is the video's number, and a draw."""

    name, frames, reads, shorter = "gan", 3, Stage.reads, Stage.shorter

    @staticmethod
    def weight(length):
        return 1

    @staticmethod
    def reader(source, video, chance):
        return {"video": torch.tensor(int(source.read(video, 0, 1).max())), "draw": torch.rand((), generator=chance)}


class ReadingTwo(Reading):
    """Of a stage that also reads other videos now and then."""

    reads: ClassVar = {"real": 1, "R1": 3}


def samples(count=7, batch=3, index=0, rank=0, world=1, seed=0, frames=4, stage=Reading):
    videos = np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None, None], (count, frames, 8, 8, 3))
    return Samples(source_from_array("numbers", videos.copy()), stage, Step(seed, "gan", index, batch, rank, world))


def numbers(of, until, workers=0):
    """The videos and draws of the batches up to step `until`."""
    made = [part for batch in batches(of, until, workers) for part in batch.values()]
    return [(part["video"].tolist(), part["draw"].tolist()) for part in made]


@given(st.integers(1, 9), st.integers(1, 5), st.integers(0, 5), st.integers(0, 3))
def test_each_pass_visits_every_video_once(count, batch, seed, visit):
    made = samples(count, batch, seed=seed)
    places = [divmod(position, batch) for position in range(visit * count, (visit + 1) * count)]
    assert Counter(made.video("real", *place).name for place in places) == Counter(video.name for video in made.videos)


class ReadingClips(Reading):
    """Of a stage whose passes are over clips."""

    @staticmethod
    def weight(length):
        return 4 * (length - 2)


def test_a_pass_visits_a_video_as_often_as_its_share_of_all_weights(tmp_path):
    lengths = {"a": 3, "b": 5, "c": 2, "d": 4}  # c is too short
    for name, frames in lengths.items():
        render(tmp_path / f"{name}.mp4", frames)
    made = Samples(open_source(tmp_path), ReadingClips, Step(0, "gan", 0, 2))
    for visit in range(3):
        places = [divmod(position, 2) for position in range(6 * visit, 6 * (visit + 1))]
        assert Counter(made.video("real", *place).name for place in places) == {"a.mp4": 1, "b.mp4": 3, "d.mp4": 2}


def test_weights_that_are_all_alike_change_nothing():
    assert numbers(samples(stage=ReadingClips), 9) == numbers(samples(), 9)


def test_a_batch_that_not_every_step_reads_visits_every_video_once_a_pass_too():
    made = samples(10, 5, stage=ReadingTwo)
    for visit in range(3):
        names = [made.video("R1", 3 * step, sample).name for step in (2 * visit, 2 * visit + 1) for sample in range(5)]
        assert sorted(names) == [video.name for video in made.videos]


def test_what_reads_can_be_sent_to_other_processes():
    """As where processes are not forked; the reads of a stage that says nothing are those of all stages."""
    made = samples()
    made.reader = None  # a stage's is a plain object
    assert pickle.loads(pickle.dumps(made)).reads == {"real": 1}


def test_passes_seeds_and_stages_have_orders_of_their_own():
    def order(made, visit):
        return tuple(made.video("real", position, 0).name for position in range(20 * visit, 20 * (visit + 1)))

    made, other = samples(20, 1), samples(20, 1, seed=1)
    renamed = samples(20, 1)
    renamed.step = replace(renamed.step, stage="image")
    assert len({order(made, 0), order(made, 1), order(other, 0), order(renamed, 0)}) == 4
    assert order(made, 0) == order(samples(20, 1), 0)


@given(st.integers(1, 4), st.integers(1, 3), st.integers(0, 4))
def test_the_shares_of_processes_are_the_batch(world, per_process, index):
    batch = world * per_process
    [(whole, draws)] = numbers(samples(7, batch, index), index + 1)
    for rank in range(world):
        [(videos, own)] = numbers(samples(7, batch, index, rank, world), index + 1)
        assert (videos, own) == (whole[rank::world], draws[rank::world])


@given(st.integers(0, 8))
def test_a_resumed_run_reads_what_an_uninterrupted_one_would(start):
    assert numbers(samples(), 8)[start:] == numbers(samples(index=start), 8)


def test_reading_ahead_in_other_processes_changes_nothing():
    assert numbers(samples(), 6, workers=2) == numbers(samples(), 6)


def test_a_video_has_another_draw_at_every_visit():
    draws = [draw for _, row in numbers(samples(), 20) for draw in row]
    assert len(set(draws)) == len(draws)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_step_has_the_batches_that_it_reads_each_of_its_own_videos(workers):
    made = list(batches(samples(20, 5, stage=ReadingTwo), 7, workers))
    assert [list(batch) for batch in made] == [["real", "R1"] if index % 3 == 0 else ["real"] for index in range(7)]
    both = [(made[index]["real"], made[index]["R1"]) for index in (0, 3, 6)]
    for real, other in both:
        assert real["video"].tolist() != other["video"].tolist()
        assert not set(real["draw"].tolist()) & set(other["draw"].tolist())
    alone = numbers(samples(20, 5), 7)
    assert [(batch["real"]["video"].tolist(), batch["real"]["draw"].tolist()) for batch in made] == alone


def test_a_resumed_run_reads_all_of_its_batches_as_an_uninterrupted_one_would():
    whole, rest = numbers(samples(stage=ReadingTwo), 8), numbers(samples(index=2, stage=ReadingTwo), 8)
    assert whole[-len(rest) :] == rest
    assert len(whole) == 8 + 3


def test_videos_that_are_too_short_are_left_out_and_none_is_an_error(tmp_path):
    for name, frames in {"long": 5, "short": 2}.items():
        render(tmp_path / f"{name}.mp4", frames)
    made = Samples(open_source(tmp_path), Reading, Step(0, "gan", 0, 2))
    assert [video.name for video in made.videos] == ["long.mp4"]
    with pytest.raises(UserError, match=r"No video in numbers has the 3 frames that gan is trained on"):
        samples(frames=2)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_video_that_cannot_be_read_is_named(tmp_path, workers):
    path = render(tmp_path / "torn.mp4", 8)
    source = open_source(tmp_path)
    source.index()
    path.write_bytes(b"\0" * path.stat().st_size)
    with pytest.raises(UserError, match=r"torn.mp4 cannot be read \(.*\). Repair or remove it.$"):
        numbers(Samples(source, Reading, Step(0, "gan", 0, 2)), 1, workers)
