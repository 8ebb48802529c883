"""Clips that should not be there: still, black and repeated ones."""

import numpy as np
import pytest

from vidbench.suspicion import look_at, suspicions


def watched(*clips, what="clips"):
    looks = [look_at(np.asarray(clip, np.uint8)) for clip in clips]
    return suspicions("films", what, *(np.array(part) for part in zip(*looks, strict=True)))


def texture(seed, frames=4):
    return np.random.default_rng(seed).integers(20, 256, (3, frames, 4, 4))


def test_clips_as_they_should_be_give_no_warning():
    assert watched(texture(0), texture(1)) == []


def test_still_clips_are_warned_of():
    assert watched(texture(0), np.repeat(texture(1, 1), 4, axis=1)) == ["films: 1 of 2 clips do not move at all."]


def test_a_clip_of_one_frame_is_not_still():
    assert watched(texture(0, frames=1)) == []


def test_a_clip_that_moves_by_one_level_of_one_pixel_is_not_still():
    clip = np.repeat(texture(1, 1), 4, axis=1)
    clip[2, 3, 1, 1] ^= 1
    assert watched(clip) == []


@pytest.mark.parametrize(("level", "lines"), [(15, ["films: 1 of 1 clips are black."]), (16, [])])
def test_black_clips_are_warned_of(level, lines):
    clip = texture(0) // 17
    clip[1, 2, 3, 3] = level
    assert watched(clip) == lines


def test_repeated_clips_are_warned_of():
    assert watched(texture(0), texture(1), texture(0), texture(0)) == [
        "films: 2 of 4 clips are exact repeats of another."
    ]


def test_a_digest_is_of_all_pixels_and_has_63_bits():
    clips = [texture(seed).astype(np.uint8) for seed in range(200)]
    digests = [look_at(clip)[0] for clip in clips]
    assert len(set(digests)) == 200
    assert all(0 <= digest < 2**63 for digest in digests)
    assert max(digests) >= 2**62
    changed = clips[0].copy()
    changed[2, 3, 3, 3] ^= 1
    assert look_at(changed)[0] != digests[0] == look_at(clips[0].copy())[0]


def test_a_view_has_the_digest_of_its_pixels():
    frames = texture(0).astype(np.uint8)
    assert look_at(np.moveaxis(np.moveaxis(frames, 0, -1).copy(), -1, 0)) == look_at(frames)


def test_a_line_says_of_what_it_speaks():
    assert watched(texture(0) // 17, what="videos") == ["films: 1 of 1 videos are black."]
