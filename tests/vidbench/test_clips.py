"""Clips: which pixels a protocol draws from stored videos and from generators, and that nothing else moves them."""

import hashlib
import math
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vidbench.clips import GROUPS, GeneratedClips, StoredClips, quantise, truncate
from vidbench.draws import draw_seed
from vidbench.errors import BadVideoError, UserError
from vidbench.generator import Generator
from vidbench.models.reference import Real
from vidbench.protocol import load_protocol
from vidbench.sources import Info, Source, Unreadable, Video, open_source, source_from_array
from vidbench.sources.resize import crop_and_resize, shorter_side
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


class Noisy(Counting):
    """Whatever values, some beyond the range."""

    def stream(self, seed):
        chance = torch.Generator().manual_seed(seed)
        while True:
            yield 0.7 * torch.randn(3, 7, *SIZE, generator=chance)


class Phased(Counting):
    """Its videos may begin at any of four frames."""

    phases = 4


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
    with pytest.raises(UserError, match="0 can be used, and fvd16@8 needs two clips from videos of 16 frames"):
        stored({"a": 15, "b": 3})


def test_unreadable_videos_are_counted_in_the_error():
    with pytest.raises(UserError, match="1 of 3 videos in films cannot be read; 2 can be used"):
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


def test_videos_cut_from_one_count_as_one():
    """Four clips of each of thirty UCF-101 groups: thirty units, each in one group of the jackknife."""
    names = [f"Archery/v_Archery_g{group:02d}_c{clip:02d}" for group in range(30) for clip in range(4)]
    clips = stored(dict.fromkeys(names, 20), 120)
    found = {name.rpartition("_c")[0]: set() for name in names}
    for i, drawn in enumerate(clips.drawn):
        found[drawn.video.key.rpartition("_c")[0]].add(clips.group(i))
    assert clips.origins == 30
    assert all(len(groups) == 1 for groups in found.values())
    assert Counter(group for groups in found.values() for group in groups) == {k: 2 if k < 10 else 1 for k in range(20)}


def test_a_reference_generator_s_clips_of_one_real_video_share_a_jackknife_group(moving):
    real = source_from_array("real", moving(3, 20)).resized(SIZE)
    clips = GeneratedClips("real", Real(real, 16), protocol(40))
    picked = [clips.generator.pick(draw_seed(0, "clip", i))[0].key for i in range(40)]
    assert len(set(picked)) == 3
    assert [clips.group(i) for i in range(40)] == [sorted(set(picked)).index(key) for key in picked]


def test_a_generator_s_clips_are_each_a_video_of_its_own():
    clips = GeneratedClips("light", Light(), protocol(40))
    assert [clips.group(i) for i in range(40)] == [i % GROUPS for i in range(40)]


def test_repeats_are_clips_of_the_same_video_and_start():
    clips = stored({"a": 16, "b": 16}, 7)
    assert clips.repeats == 5
    assert stored({f"{i}": 16 for i in range(7)}, 7).repeats == 0


# One clip a video


def test_one_clip_a_video_is_never_two_where_there_are_fewer_videos_than_clips():
    clips = stored({f"{i}": 100 for i in range(7)}, 20, clips_per_video="one")
    assert sorted(clip.video.key for clip in clips.drawn) == [f"{i}" for i in range(7)]
    assert (len(clips), clips.repeats) == (7, 0)


def test_one_clip_a_video_is_the_first_pass_of_a_cycle():
    some = {f"{i}": 100 for i in range(12)}
    for count in (5, 12):
        assert stored(some, count, clips_per_video="one").drawn == stored(some, count).drawn


def test_one_clip_of_one_video_is_too_few_for_a_real_side():
    with pytest.raises(UserError, match="1 can be used, and fvd16@8 needs two clips from videos of 16 frames"):
        stored({"a": 100, "b": 3}, clips_per_video="one")


# Every window


def every_window(some, seed=0, span=16):
    """All windows of all videos, in the order of their hashes."""

    def rank(window):
        key, start = window
        return hashlib.sha256(f"{seed}/window/{key}/{start}".encode()).digest()[:8]

    windows = ((key, t) for key, length in some.items() for t in range(length - span + 1))
    return sorted(windows, key=lambda window: int.from_bytes(rank(window), "big") >> 1)


def drawn(clips):
    return [(clip.video.key, clip.start) for clip in clips.drawn]


@given(st.dictionaries(st.text("abcd", min_size=1, max_size=3), st.integers(1, 40), min_size=1, max_size=5), seeds)
def test_every_window_of_every_video_is_there_once(some, seed):
    expected = every_window(some, seed)
    if len(expected) < 2:
        with pytest.raises(UserError, match="needs two clips"):
            stored(some, 500, clips_per_video="all", seed=seed)
    else:
        assert drawn(stored(some, 500, clips_per_video="all", seed=seed)) == expected


@pytest.mark.parametrize("count", [2, 17, 85, 86, 200])
def test_of_all_windows_the_first_ones_are_taken(count):
    some = {"a": 16, "b": 100}  # 1 + 85
    assert drawn(stored(some, count, clips_per_video="all")) == every_window(some)[:count]


def test_every_window_counts_the_same_so_that_long_videos_count_for_more():
    found = Counter(key for key, _ in drawn(stored({"short": 20, "long": 510}, 250, clips_per_video="all")))
    assert found["long"] > 240  # 495 of 500 windows


def test_the_stride_is_part_of_a_window():
    clips = stored({"a": 34, "b": 31, "c": 30}, 50, clips_per_video="all", stride=2)
    assert drawn(clips) == every_window({"a": 34, "b": 31, "c": 30}, span=31)
    assert len(clips) == 4 + 1


def test_all_windows_are_of_the_real_side_alone():
    clips = stored({f"{i}": 40 for i in range(9)}, 9, cycle=False, clips_per_video="all")
    assert len({clip.video.key for clip in clips.drawn}) == 9


# Plain order


def test_sorted_videos_come_in_plain_string_order_and_the_first_are_taken():
    some = dict.fromkeys(("v2", "v10", "v1", "V9", "w/1", "w-1", "w.1", "w/10", "w/2", "é"), 40)
    keys = ["V9", "v1", "v10", "v2", "w-1", "w.1", "w/1", "w/10", "w/2", "é"]
    for count in (2, 6, 10, 30):
        clips = stored(some, count, clips_per_video="one", order="sorted")
        assert [clip.video.key for clip in clips.drawn] == keys[:count]


def test_a_sorted_cycle_begins_anew_in_the_same_order_at_other_frames():
    some = {f"{i}": 400 for i in range(5)}
    clips = stored(some, 10, order="sorted")
    assert [clip.video.key for clip in clips.drawn] == [*"0123401234"]
    assert [clip.start for clip in clips.drawn[:5]] != [clip.start for clip in clips.drawn[5:]]


def test_the_order_moves_no_start():
    some = {f"{i}": 400 for i in range(9)}
    assert starts(stored(some, 27, order="sorted")) == starts(stored(some, 27))


# Eligible


def test_as_many_frames_as_clip_times_stride_may_be_asked_for():
    strided = load_protocol("styleganv/fvd128-s8@4").resolved(size=SIZE)
    some = {"just": 128, "short": 127, "shorter": 121, "long": 129}
    clips = StoredClips(source(some), strided, cycle=True)
    assert [video.key for video in clips.videos] == ["just", "long"]
    assert [video.key for video in clips.short] == ["short", "shorter"]
    with pytest.raises(UserError, match=r"have fewer than 128 frames and do not count \(short\.mp4: 127\)"):
        StoredClips(source({"short": 127, "shorter": 121}), strided, cycle=True)


def test_a_video_that_is_just_eligible_may_start_wherever_a_span_fits():
    strided = load_protocol("styleganv/fvd128-s8").resolved(size=SIZE, clips=200, clips_per_video="cycle")
    clips = StoredClips(source({"just": 128}), strided, cycle=True)
    assert set(starts(clips)["just"]) == set(range(8))


# Geometry


def test_a_protocol_that_resizes_nothing_refuses_other_sizes():
    as_it_is = load_protocol("styleganv/fvd16@2")
    clips = StoredClips(source({"a": 20, "b": 20}), as_it_is.resolved(size=SIZE), cycle=True)
    assert clips[0].shape == (3, 16, *SIZE)
    with pytest.raises(UserError, match=r"all videos must have 4x3 pixels; a\.mp4 in films has 2x3"):
        StoredClips(source({"a": 20, "b": 20}), as_it_is.resolved(size=(4, 3)), cycle=True)


def test_a_video_that_is_too_short_may_have_any_size_since_it_does_not_count(moving):
    videos = [*source_from_array("a", moving(2, 20)).videos, *source_from_array("b", moving(1, 15, size=12)).videos]
    mixed = Source("mixed", videos, "0" * 64)
    assert len(StoredClips(mixed, load_protocol("styleganv/fvd16@2").resolved(size=(16, 16)), cycle=True)) == 2


def test_a_protocol_that_resizes_nothing_refuses_a_generator_of_another_size():
    with pytest.raises(UserError, match=r"resizes nothing, and counting makes \(2, 3\)"):
        GeneratedClips("counting", Counting(), load_protocol("styleganv/fvd16@2").resolved(size=(4, 6)))


def test_a_generator_of_another_size_is_brought_to_the_protocol_s_as_stored_videos_are():
    clips = GeneratedClips("counting", Counting(), load_protocol("fvd16@4").resolved(size=(4, 4)))
    own = GeneratedClips("counting", Counting(), protocol(4))
    for i in range(4):
        assert np.array_equal(clips[i], crop_and_resize(own[i], (4, 4)))
        assert np.array_equal(clips.sample([i])[0], clips[i])


def weights(length, covering, antialias):
    """Of linear interpolation between half-pixel centres, [covering, length]: a triangle about each new centre, as wide
    as one stored pixel, or as one new pixel where that is wider and the filter widens."""
    scale = length / covering
    width = max(scale, 1) if antialias else 1
    centres = (np.arange(covering) + 0.5) * scale - 0.5
    if not antialias:  # beyond the outermost centres their pixels are held
        centres = centres.clip(0, length - 1)
    triangle = (1 - np.abs(np.arange(length) - centres[:, None]) / width).clip(0)
    return triangle / triangle.sum(axis=1, keepdims=True)


def covered(frames, size, antialias):
    """Frames [3, T, H, W] resized until the box is just covered, and its centre cut out; float64."""
    (height, width), (high, wide) = size, frames.shape[2:]
    scale = max(height / high, width / wide)
    covering = [max(math.ceil(round(side * scale, 9)), box) for side, box in zip((high, wide), size, strict=True)]
    rows, columns = (weights(side, new, antialias) for side, new in zip((high, wide), covering, strict=True))
    resized = np.einsum("yh,cthw,xw->ctyx", rows, frames.astype(float), columns)
    top, left = (covering[0] - height) // 2, (covering[1] - width) // 2
    return resized[:, :, top : top + height, left : left + width]


sides = st.integers(2, 24)


@given(sides, sides, sides, sides, st.booleans(), st.integers(0, 9))
def test_the_shorter_side_just_covers_and_the_centre_is_cut_out(high, wide, height, width, antialias, seed):
    frames = np.random.default_rng(seed).integers(0, 256, (3, 2, high, wide), np.uint8)
    found = shorter_side(frames, (height, width), antialias=antialias)
    exact = covered(frames, (height, width), antialias)
    assert found.shape == exact.shape
    assert found.dtype == np.uint8
    lost = exact - found  # by truncation
    assert lost.min() > -1e-3
    assert lost.max() < 1 + 1e-3


@pytest.mark.parametrize(
    ("stored_size", "size", "box"),
    [
        ((6, 10), (3, 3), (3, 5)),  # 3/6: the height decides
        ((10, 6), (3, 3), (5, 3)),
        ((6, 11), (3, 3), (3, 6)),  # 5.5 columns, rounded up
        ((4, 4), (8, 8), (8, 8)),  # enlarged, too
        ((6, 10), (3, 6), (4, 6)),  # the width decides: 3.6 rows, rounded up
    ],
)
def test_what_the_shorter_side_covers(stored_size, size, box):
    frames = np.random.default_rng(0).integers(0, 256, (3, 1, *stored_size), np.uint8)
    rows, columns = (weights(side, new, False) for side, new in zip(stored_size, box, strict=True))
    resized = np.einsum("yh,cthw,xw->ctyx", rows, frames.astype(float), columns)
    top, left = (box[0] - size[0]) // 2, (box[1] - size[1]) // 2
    exact = resized[:, :, top : top + size[0], left : left + size[1]]
    lost = exact - shorter_side(frames, size, antialias=False)
    assert lost.min() > -1e-3
    assert lost.max() < 1 + 1e-3


def test_what_is_truncated_may_lose_a_level_though_it_is_not_resized():
    levels = np.arange(256, dtype=np.uint8)
    frames = np.broadcast_to(levels.reshape(1, 1, 16, 16), (3, 1, 16, 16))
    found = shorter_side(frames, (16, 16), antialias=False)[0, 0].ravel()
    half = np.float32(0.5)
    assert np.array_equal(found, (((levels / np.float32(255) - half) + half) * np.float32(255)).astype(np.uint8))
    lost = levels.astype(int) - found
    assert set(lost.tolist()) == {0, 1}


@pytest.mark.parametrize(("name", "antialias"), [("videogpt/fvd", False), ("tats/fvd", False), ("cdfvd/fvd", True)])
def test_the_imitations_read_through_their_own_geometry(moving, name, antialias):
    array = moving(2, 20, size=15)[:, :, :, :11]
    clips = StoredClips(source_from_array("array", array), load_protocol(f"{name}@2").resolved(size=(5, 6)), cycle=True)
    for i, clip in enumerate(clips.drawn):
        frames = np.moveaxis(array[int(clip.video.key), clip.start : clip.start + 16], -1, 0)
        assert np.array_equal(clips[i], shorter_side(frames, (5, 6), antialias=antialias))


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


@given(st.floats(-3, 3, width=32))
def test_truncation_takes_the_level_below(value):
    level = int(truncate(torch.tensor([value]))[0])
    exact = min(max(255 * (value + 1) / 2, 0), 255)
    assert -1e-4 <= exact - level < 1 + 1e-4


def test_truncation_at_the_ends_and_in_the_middle():
    assert truncate(torch.tensor([-1.0, -0.999, 0.0, 0.999, 1.0, 2.0, -2.0])).tolist() == [0, 0, 127, 254, 255, 255, 0]


def test_truncation_loses_at_most_a_level_of_what_was_whole():
    levels = torch.arange(256)
    lost = levels.numpy() - truncate(levels.float() / 127.5 - 1)
    assert set(lost.tolist()) <= {0, 1}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("quantised", ["round", "truncate", "none"])
def test_samples_that_are_not_finite_are_refused(value, quantised):
    class Broken(Counting):
        def stream(self, seed):
            for chunk in super().stream(seed):
                chunk = chunk.clone()
                chunk[0, 3, 1, 1] = value
                yield chunk

    clips = GeneratedClips("broken", Broken(), protocol().resolved(quantise=quantised))
    for look in (lambda: clips[0], lambda: clips.sample([0])):
        with pytest.raises(UserError, match="broken gave samples with values that are not finite"):
            look()


@pytest.mark.parametrize(
    ("name", "quantised"), [("fvd16", quantise), ("styleganv/fvd16", quantise), ("tats/fvd", truncate)]
)
def test_samples_are_quantised_as_the_protocol_has_it(name, quantised):
    clips = GeneratedClips("noise", Noisy(), load_protocol(f"{name}@3").resolved(size=SIZE))
    exact = Noisy().sample([draw_seed(0, "clip", 2)], 16)[0]
    assert np.array_equal(clips[2], quantised(exact))
    assert np.array_equal(clips.sample([2])[0], quantised(exact))


def test_samples_that_are_not_quantised_stay_floats_and_are_clamped():
    clips = GeneratedClips("noise", Noisy(), load_protocol("longvideogan/color-drift@3").resolved(size=SIZE))
    exact = Noisy().sample([draw_seed(0, "clip", 2)], 129)[0]
    assert exact.abs().max() > 1
    for found in (clips[2], clips.sample([1, 2])[1]):
        assert found.dtype == np.float32
        assert np.array_equal(found, exact.clamp(-1, 1).numpy())


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


def test_samples_of_whole_numbers_are_refused_with_their_kind():
    wrong = Counting()
    wrong.sample = lambda seeds, num_frames, start=0: torch.zeros(len(seeds), 3, 16, *SIZE, dtype=torch.uint8)
    with pytest.raises(UserError, match=r"torch\.uint8.*floating-point numbers in \[-1, 1\]"):
        GeneratedClips("wrong", wrong, protocol()).sample([0])


@given(st.integers(1, 40), st.integers(1, 20), st.integers(1, 9))
def test_a_clip_that_is_made_chunk_by_chunk_is_the_one_that_is_sampled(length, frames, stride):
    class Chunked(Counting):
        def stream(self, seed):
            whole = next(Noisy().stream(seed)).repeat(1, 40, 1, 1)[:, :200] * torch.linspace(0, 1, 200)[:, None, None]
            yield from whole.split(length, dim=1)

    clips = GeneratedClips("chunked", Chunked(), protocol(4).resolved(frames=frames, stride=stride))
    assert np.array_equal(clips[3], clips.sample([3])[0])


@pytest.mark.parametrize("quantised", ["round", "none"])
def test_a_stream_that_ends_too_early_is_an_error_with_both_numbers(quantised):
    class Brief(Counting):
        def stream(self, seed):
            yield from (chunk for chunk, _ in zip(super().stream(seed), range(3), strict=False))

    with pytest.raises(UserError, match="brief ended after 15 frames; fvd16@8 needs 16"):
        GeneratedClips("brief", Brief(), protocol().resolved(quantise=quantised))[0]


# Phases


def phased(count=8, generator=None, **values):
    values = {"generated_start": "random-phase", **values}
    return GeneratedClips("phased", generator or Phased(), protocol(count, **values))


def phases(clips):
    """At which frame of its video each clip starts."""
    first = clips.sample(range(len(clips)))[:, 0, 0, 0, 0]
    return [int(level - draw_seed(clips.protocol.seed, "clip", i)) % 256 for i, level in enumerate(first.tolist())]


def test_a_clip_starts_at_any_of_the_phases_and_goes_on_from_there():
    clips = phased(200)
    assert set(phases(clips)) == {0, 1, 2, 3}
    assert min(Counter(phases(clips)).values()) > 25
    for clip in clips.sample(range(20)):
        assert np.array_equal(clip[0, :, 0, 0], (int(clip[0, 0, 0, 0]) + np.arange(16)) % 256)


def test_the_phase_of_a_clip_is_its_own():
    assert phases(phased(40))[:10] == phases(phased(10))
    assert phases(phased(40)) != phases(phased(40, seed=1))


def test_a_clip_alone_starts_at_the_same_phase():
    clips = phased(20)
    for i, clip in enumerate(clips.sample(range(20))):
        assert np.array_equal(clips[i], clip)


def test_a_phase_and_a_stride():
    clips = phased(30, stride=3)
    assert set(phases(clips)) == {0, 1, 2, 3}
    clip = clips.sample([5])[0]
    assert np.array_equal(clip[0, :, 0, 0], (int(clip[0, 0, 0, 0]) + 3 * np.arange(16)) % 256)


@pytest.mark.parametrize(("generator", "start"), [(Phased(), "zero"), (Counting(), "random-phase")])
def test_without_phases_a_clip_starts_at_the_first_frame(generator, start):
    assert set(phases(phased(30, generator, generated_start=start))) == {0}


@pytest.mark.parametrize("frames", [18, 19])
def test_a_generator_must_make_a_clip_from_its_last_phase(frames):
    brief = Phased()
    brief.max_frames = frames
    if frames == 19:
        assert phased(4, brief).sample([0, 1]).shape == (2, 3, 16, *SIZE)
    else:
        with pytest.raises(UserError, match="makes videos of at most 18 frames; fvd16@4 needs 19"):
            phased(4, brief)


def test_a_source_of_arrays_gives_the_frames_of_its_arrays(moving):
    array = moving(3, 20)
    clips = StoredClips(source_from_array("array", array), protocol(3).resolved(size=(16, 16)), cycle=True)
    for i, drawn in enumerate(clips.drawn):
        frames = array[int(drawn.video.key), drawn.start : drawn.start + 16]
        assert np.array_equal(clips[i], np.moveaxis(frames, -1, 0))
