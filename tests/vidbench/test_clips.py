"""Clips: which pixels a protocol draws from stored videos and from generators, and that nothing else moves them."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vidbench.clips import GROUPS, GeneratedClips, StoredClips, Watch, batches, quantise
from vidbench.draws import draw_seed
from vidbench.errors import BadVideoError, UserError
from vidbench.generator import Generator
from vidbench.protocol import load_protocol
from vidbench.sources import Info, Source, Unreadable, Video, open_source, source_from_array
from vidbench.writing import WRITERS

SIZE = (2, 3)


@dataclass(frozen=True)
class Film:
    """A video whose frames show their own number (below 256)."""

    length: int
    bad: bool = False

    def probe(self):
        return Info(self.length, SIZE, 25.0, "rendered")

    def read(self, info, times):
        if self.bad:
            raise Unreadable("it is scratched")
        yield np.broadcast_to(times.astype(np.uint8)[:, None, None], (3, len(times), *SIZE)).copy()


class Counting(Generator):
    """Frame t of a video shows (seed + t) % 256."""

    size = SIZE
    fps = 25.0

    def stream(self, seed):
        first = seed % 256
        while True:
            levels = (torch.arange(first, first + 5) % 256).float() / 127.5 - 1
            yield levels[None, :, None, None].expand(3, -1, *SIZE)
            first += 5


class Light(Counting):
    in_workers = True


def source(lengths, bad=(), name="films"):
    videos = [Video(f"{key}.mp4", key, Film(length, key in bad)) for key, length in lengths.items()]
    return Source(name, videos, "0" * 64)


def protocol(clips=8, **values):
    return load_protocol(f"fvd16@{clips}").resolved(size=SIZE, **values)


def stored(lengths, clips=8, cycle=True, bad=None, **values):
    return StoredClips(source(lengths), protocol(clips, **values), cycle=cycle, bad=bad)


def starts(clips):
    """The starts of all clips of each video, in order of visits."""
    found: dict[str, list[int]] = {}
    for drawn in clips.drawn:
        found.setdefault(drawn.video.key, []).append(drawn.start)
    return found


lengths = st.dictionaries(
    st.text("abcdefgh/0123456789", min_size=1, max_size=8), st.integers(16, 200), min_size=1, max_size=12
)
seeds = st.integers(0, 2**31)


# Stored clips


@given(lengths, lengths, seeds)
def test_other_videos_do_not_move_a_clip(some, others, seed):
    alone = starts(stored(some, 4 * len(some), seed=seed))
    together = {**others, **some}
    among = starts(stored(together, 4 * len(together), seed=seed))
    assert {key: among[key] for key in some} == alone


@given(lengths, seeds, st.randoms())
def test_the_order_of_listing_moves_nothing(some, seed, random):
    shuffled = list(some)
    random.shuffle(shuffled)
    first = stored(some, 20, seed=seed).drawn
    again = stored({key: some[key] for key in shuffled}, 20, seed=seed).drawn
    assert [(clip.video.key, clip.start) for clip in first] == [(clip.video.key, clip.start) for clip in again]


@pytest.mark.parametrize("form", ["zip", "npy"])
def test_the_container_moves_nothing(tmp_path, moving, form):
    array = moving(4, 40)
    names = [f"{i:06d}" for i in range(4)]
    videos = [(name, np.moveaxis(video, -1, 0)) for name, video in zip(names, array, strict=True)]
    WRITERS["png"](tmp_path / "folders", videos, 25)
    WRITERS[form](tmp_path / f"file.{form}", videos, 25)
    first, other = (
        StoredClips(open_source(path), protocol(10).resolved(size=(16, 16)), cycle=True)
        for path in (tmp_path / "folders", tmp_path / f"file.{form}")
    )
    assert all(np.array_equal(first[i], other[i]) for i in range(10))


@given(st.integers(16, 220), seeds)
def test_a_clip_lies_within_its_video(length, seed):
    clips = stored({"a": length}, 20, seed=seed)
    for i in range(20):
        assert np.array_equal(clips[i][0, :, 0, 0], clips.drawn[i].start + np.arange(16))


def test_every_start_is_drawn_from_the_first_to_the_last():
    assert set(starts(stored({"a": 20}, 200))["a"]) == {0, 1, 2, 3, 4}


def test_another_seed_draws_other_clips():
    some = {f"{i}": 200 for i in range(10)}
    assert starts(stored(some, 10, seed=0)) != starts(stored(some, 10, seed=1))


def test_a_protocol_may_start_at_the_first_frame():
    clips = StoredClips(source({"a": 50, "b": 60}), protocol(6).model_copy(update={"start": "zero"}), cycle=True)
    assert starts(clips) == {"a": [0, 0, 0], "b": [0, 0, 0]}


@given(lengths, st.integers(2, 40), seeds)
def test_each_video_is_visited_once_before_any_is_visited_again(some, clips, seed):
    order = [drawn.video.key for drawn in stored(some, clips, seed=seed).drawn]
    assert len(order) == clips
    for first in range(0, clips, len(some)):
        visit = order[first : first + len(some)]
        assert len(set(visit)) == len(visit)


def test_each_pass_has_an_order_of_its_own():
    order = [drawn.video.key for drawn in stored({f"{i}": 16 for i in range(30)}, 60).drawn]
    assert order[:30] != order[30:]
    assert sorted(order[:30]) == sorted(order[30:])


def test_fewer_clips_are_the_first_of_more():
    some = {f"{i}": 100 for i in range(7)}
    assert stored(some, 30).drawn[:12] == stored(some, 12).drawn


def test_a_video_just_as_long_as_the_span_counts_and_a_shorter_one_does_not():
    clips = stored({"exact": 16, "short": 15, "long": 17})
    assert {video.key for video in clips.videos} == {"exact", "long"}
    assert [video.key for video in clips.short] == ["short"]


def test_the_stride_is_part_of_the_span():
    strided = load_protocol("fvd128-s8@4").resolved(size=SIZE)
    clips = StoredClips(source({"exact": 121, "short": 120}), strided, cycle=True)
    assert [video.key for video in clips.videos] == ["exact"]
    assert clips[0][0, :, 0, 0].tolist() == list(range(0, 121, 8))


def test_a_clip_is_three_channels_of_bytes_in_the_protocol_s_size():
    clips = StoredClips(source({"a": 30}), protocol().resolved(size=(4, 4)), cycle=True)
    assert (clips[0].shape, clips[0].dtype) == ((3, 16, 4, 4), np.uint8)


def test_the_generated_side_is_not_visited_twice():
    order = [drawn.video.key for drawn in stored({f"{i}": 40 for i in range(9)}, 9, cycle=False).drawn]
    assert len(set(order)) == 9


def test_too_few_generated_videos_are_an_error_that_names_the_number_there_is():
    with pytest.raises(UserError) as caught:
        stored({f"{i}": 40 for i in range(5)}, 8, cycle=False)
    assert "films has 5 videos; 5 can be used" in str(caught.value)
    assert "fvd16@8 needs 8 videos of 16 frames" in str(caught.value)
    assert "--clips 5 " in str(caught.value)


def test_too_short_videos_are_an_error_that_names_one_of_them_and_its_length():
    with pytest.raises(UserError) as caught:
        stored({"a": 40, "b": 40, "c": 12}, 3, cycle=False)
    assert "1 of 3 videos in films have fewer than 16 frames and do not count (c.mp4: 12)" in str(caught.value)
    assert "2 can be used" in str(caught.value)
    assert "--clips 2 " in str(caught.value)


def test_no_number_of_clips_is_proposed_that_would_be_refused():
    with pytest.raises(UserError) as caught:
        stored({"a": 40, "b": 12}, 3, cycle=False)
    assert "1 can be used" in str(caught.value)
    assert "--clips" not in str(caught.value)


def test_a_real_side_of_short_videos_only_is_an_error():
    with pytest.raises(UserError, match="fvd16@8 needs 1 videos of 16 frames"):
        stored({"a": 15, "b": 3})


def test_unreadable_videos_are_counted_in_the_error():
    with pytest.raises(UserError, match="1 cannot be read; 2 can be used"):
        stored({"a": 40, "b": 40, "c": 40}, 3, cycle=False, bad={"c.mp4": "scratched"})


def test_videos_that_are_left_out_leave_the_clips_of_the_others_where_they_were():
    some = {f"{i}": 100 for i in range(6)}
    left = stored(some, 20).without({"3.mp4": "scratched"})
    del some["3"]
    assert left.drawn == stored(some, 20).drawn
    assert left.bad == {"3.mp4": "scratched"}


def test_a_video_that_cannot_be_read_gives_its_name_and_reason():
    clips = StoredClips(source({"a": 40}, bad="a"), protocol(), cycle=True)
    assert isinstance(clips[0], BadVideoError)
    assert (clips[0].video, clips[0].reason) == ("a.mp4", "it is scratched")


@given(lengths, st.integers(2, 60))
def test_clips_of_one_video_share_a_jackknife_group(some, count):
    clips = stored(some, count)
    groups: dict[str, set[int]] = {}
    for i, drawn in enumerate(clips.drawn):
        groups.setdefault(drawn.video.key, set()).add(clips.group(i))
    assert all(len(of_video) == 1 for of_video in groups.values())
    assert all(0 <= group < GROUPS for of_video in groups.values() for group in of_video)


def test_videos_are_spread_evenly_over_twenty_groups():
    clips = stored({f"{i:03d}": 20 for i in range(60)}, 60)
    assert Counter(clips.group(i) for i in range(60)) == dict.fromkeys(range(20), 3)


def test_repeats_are_clips_of_the_same_video_and_start():
    clips = stored({"a": 16, "b": 16}, 7)
    assert clips.repeats == 5
    assert stored({f"{i}": 16 for i in range(7)}, 7).repeats == 0


# Quantisation


def test_rounding_gives_all_256_levels_back():
    levels = torch.arange(256)
    assert np.array_equal(quantise(levels.float() / 127.5 - 1), levels.numpy())


def test_rounding_is_half_up_of_the_level():
    halves = torch.arange(255, dtype=torch.float64) + 0.5
    below, above = (((halves + shift) / 127.5 - 1).float() for shift in (-1e-3, 1e-3))
    assert np.array_equal(quantise(below), np.arange(255))
    assert np.array_equal(quantise(above), np.arange(1, 256))
    assert quantise(torch.zeros(1)) == 128  # level 127.5, the one half that float32 holds exactly


@given(st.floats(-3, 3, width=32))
def test_values_beyond_the_range_are_clamped(value):
    level = int(quantise(torch.tensor([value]))[0])
    assert abs(level - min(max(127.5 * (value + 1), 0), 255)) <= 0.5 + 1e-4


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_samples_that_are_not_finite_are_refused(value):
    videos = torch.zeros(1, 3, 2, 2, 2)
    videos[0, 0, 1, 1, 0] = value
    with pytest.raises(UserError, match="not finite"):
        quantise(videos)


# Generated clips


def test_each_generated_clip_has_the_seed_of_its_index():
    clips = GeneratedClips("counting", Counting(), protocol(4, seed=9))
    for i in range(4):
        assert clips[i][0, 0, 0, 0] == draw_seed(9, "clip", i) % 256


def test_generated_clips_take_every_stride_th_frame_from_the_first():
    clips = GeneratedClips("counting", Counting(), load_protocol("fvd128-s8@4").resolved(size=SIZE))
    first = draw_seed(0, "clip", 2) % 256
    assert clips[2].shape == (3, 16, *SIZE)
    assert clips[2][1, :, 0, 0].tolist() == [(first + 8 * t) % 256 for t in range(16)]


def test_a_generated_clip_is_the_same_alone_and_among_others():
    clips = GeneratedClips("counting", Counting(), protocol(6))
    assert np.array_equal(clips.sample(range(6))[4], clips[4])


def test_a_generator_whose_videos_are_too_short_is_refused_with_both_numbers():
    brief = Counting()
    brief.max_frames = 15
    with pytest.raises(UserError, match="brief makes videos of at most 15 frames; fvd16@8 needs 16"):
        GeneratedClips("brief", brief, protocol())


def test_a_generator_whose_videos_are_just_long_enough_is_taken():
    brief = Counting()
    brief.max_frames = 16
    assert GeneratedClips("brief", brief, protocol())[0].shape == (3, 16, *SIZE)


@pytest.mark.parametrize("shape", [(16, 3, *SIZE), (1, 16, *SIZE), (3, 15, *SIZE), (3, 16, 3, 2)])
def test_samples_of_another_shape_than_was_asked_for_are_refused_with_both_shapes(shape):
    wrong = Counting()
    wrong.sample = lambda seeds, num_frames, start=0: torch.zeros(len(seeds), *shape)
    with pytest.raises(UserError) as caught:
        GeneratedClips("wrong", wrong, protocol()).sample([0])
    assert str((1, *shape)) in str(caught.value)
    assert str((1, 3, 16, *SIZE)) in str(caught.value)


def test_each_generated_clip_is_a_video_of_its_own_for_the_jackknife():
    clips = GeneratedClips("counting", Counting(), protocol(40))
    assert Counter(clips.group(i) for i in range(40)) == dict.fromkeys(range(20), 2)


# The loader


@pytest.mark.filterwarnings("ignore:This DataLoader will create 3 worker processes")
@pytest.mark.parametrize("side", ["stored", "generated"])
def test_the_number_of_workers_changes_no_clip(side):
    clips = (
        stored({f"{i}": 60 for i in range(5)}, 11)
        if side == "stored"
        else GeneratedClips("light", Light(), protocol(11))
    )
    alone, one, three = ([clip for batch in batches(clips, 4, workers) for clip in batch] for workers in (0, 1, 3))
    assert len(alone) == 11
    assert all(np.array_equal(a, b) and np.array_equal(a, c) for a, b, c in zip(alone, one, three, strict=True))


@pytest.mark.parametrize("size", [1, 3, 11, 50])
def test_batches_keep_the_order_and_hold_every_clip_once(size):
    for clips in (stored({"a": 200}, 11), GeneratedClips("counting", Counting(), protocol(11))):
        found = list(batches(clips, size, 0))
        assert [len(batch) for batch in found[:-1]] == [size] * (len(found) - 1)
        assert all(np.array_equal(clip, clips[i]) for i, clip in enumerate(clip for batch in found for clip in batch))


def test_a_generator_that_is_not_light_is_never_sent_to_workers():
    heavy = Counting()
    heavy.network = lambda: None  # cannot be pickled
    assert len(list(batches(GeneratedClips("heavy", heavy, protocol(6)), 2, 3))) == 3


def test_an_unreadable_video_is_reported_from_a_worker_process():
    clips = StoredClips(source({"a": 40}, bad="a"), protocol(2), cycle=True)
    found = [clip for batch in batches(clips, 2, 1) for clip in batch]
    assert [(error.video, error.reason) for error in found] == [("a.mp4", "it is scratched")] * 2


# What should not be there


def watched(*clips):
    watch = Watch()
    watch.update([np.asarray(clip, np.uint8) for clip in clips])
    return watch.warnings("films")


def texture(seed, frames=4):
    return np.random.default_rng(seed).integers(20, 256, (3, frames, 4, 4))


def test_clips_as_they_should_be_give_no_warning():
    assert watched(texture(0), texture(1)) == []


def test_still_clips_are_warned_of():
    assert watched(texture(0), np.repeat(texture(1, 1), 4, axis=1)) == ["films: 1 of 2 clips do not move at all."]


def test_a_clip_of_one_frame_is_not_still():
    assert watched(texture(0, frames=1)) == []


def test_black_clips_are_warned_of():
    assert watched(texture(0) // 17) == ["films: 1 of 1 clips are black."]


def test_repeated_clips_are_warned_of():
    assert watched(texture(0), texture(1), texture(0), texture(0)) == [
        "films: 2 of 4 clips are exact repeats of another."
    ]


def test_repeats_are_found_across_batches():
    watch = Watch()
    for _ in range(2):
        watch.update([texture(0).astype(np.uint8)])
    assert watch.warnings("films") == ["films: 1 of 2 clips are exact repeats of another."]


def test_a_source_of_arrays_gives_the_frames_of_its_arrays(moving):
    array = moving(3, 20)
    clips = StoredClips(source_from_array("array", array), protocol(3).resolved(size=(16, 16)), cycle=True)
    for i, drawn in enumerate(clips.drawn):
        frames = array[int(drawn.video.key), drawn.start : drawn.start + 16]
        assert np.array_equal(clips[i], np.moveaxis(frames, -1, 0))
