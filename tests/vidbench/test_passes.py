"""Passes over clips: jackknife errors, unreadable videos, and the cache of the real side."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vidbench.clips import StoredClips
from vidbench.errors import BadVideoError, UserError
from vidbench.evaluator import Evaluator, quiet
from vidbench.metrics.color import ColorSimilarity
from vidbench.metrics.moments import Moments
from vidbench.passes import all_but, gather, jackknife, load_pass, merge, save_pass
from vidbench.protocol import load_protocol
from vidbench.sources import Source, Unreadable, source_from_array


@dataclass(frozen=True)
class Values:
    """The simplest statistics: numbers."""

    numbers: tuple[float, ...] = ()

    @property
    def count(self):
        return len(self.numbers)

    def merge(self, other):
        return Values(self.numbers + other.numbers)


def gap(fake, real):
    """The simplest measure: the difference of two means."""
    return {"value": float(np.mean(fake.numbers) - np.mean(real.numbers))}


def groups(*parts, number=20):
    return [Values(tuple(part)) for part in parts] + [Values()] * (number - len(parts))


def textbook(fake, real):
    """The delete-a-group jackknife, written out: parts that stand at the same place are left out together."""
    values = []
    for k in range(len(fake)):
        rest = [[x for j, part in enumerate(side) if j != k for x in part] for side in (fake, real)]
        values.append(math.fsum(rest[0]) / len(rest[0]) - math.fsum(rest[1]) / len(rest[1]))
    mean = math.fsum(values) / len(values)
    return math.sqrt((len(values) - 1) / len(values) * math.fsum((value - mean) ** 2 for value in values))


parts = st.lists(st.lists(st.floats(-100, 100), min_size=1, max_size=4), min_size=3, max_size=20)
numbers = st.lists(st.floats(-100, 100), min_size=3, max_size=20)


# The jackknife


@given(numbers, st.floats(-5, 5))
def test_of_a_mean_it_is_the_textbook_s_standard_error(values, constant):
    error = jackknife(gap, groups(*([x] for x in values)), groups(*([constant] for _ in values)))
    assert error == pytest.approx(np.std(values, ddof=1) / math.sqrt(len(values)), abs=1e-9)


@given(st.data(), st.integers(3, 20))
def test_groups_are_left_out_of_both_sides_at_once(data, count):
    sides = [
        data.draw(st.lists(st.lists(st.floats(-9, 9), min_size=1, max_size=3), min_size=count, max_size=count))
        for _ in "ab"
    ]
    assert jackknife(gap, *(groups(*side) for side in sides)) == pytest.approx(textbook(*sides), abs=1e-9)


@given(parts, st.lists(st.lists(st.floats(-9, 9), min_size=1, max_size=3), min_size=20, max_size=20))
def test_the_side_with_fewer_groups_decides_into_how_many_both_are_divided(few, many):
    regrouped = [[x for part in many[k :: len(few)] for x in part] for k in range(len(few))]
    assert jackknife(gap, groups(*few), groups(*many)) == pytest.approx(textbook(few, regrouped), abs=1e-9)


def test_groups_without_a_clip_do_not_count_wherever_they_stand():
    values = [3.0, 5.0, 10.0]
    scattered = groups(*([values[k // 3]] if k in (0, 3, 6) else [] for k in range(20)))
    error = jackknife(gap, scattered, groups([0.0], [0.0], [0.0]))
    assert error == pytest.approx(np.std(values, ddof=1) / math.sqrt(3))


@pytest.mark.parametrize("count", [1, 2])
def test_fewer_than_three_groups_have_no_error(count):
    assert jackknife(gap, groups(*([1.0] * count for _ in range(count))), groups(*([k] for k in range(20)))) is None


def test_a_group_that_is_left_out_leaves_all_the_others():
    assert all_but(groups([1], [2], [3], number=3), 1) == Values((1, 3))
    assert merge(Values((1,)), Values((2,))) == Values((1, 2))


def test_few_clips_of_many_videos_have_an_error_too(moving):
    real, fake = (source_from_array(name, moving(60, 16, seed=seed)) for seed, name in enumerate(("real", "fake")))
    for clips in (4, 5, 6):
        protocol = load_protocol(f"fvd16@{clips}")
        record = Evaluator(protocol, real, backbone="toy3d", workers=0).score(fake)
        assert record.se is not None and record.se > 0


# Unreadable videos


@dataclass(frozen=True)
class Scratched:
    """A medium that can be probed but not read."""

    medium: object

    def probe(self):
        return self.medium.probe()

    def read(self, info, times):
        raise Unreadable("it is scratched")


def scratched(source: Source, *keys: str) -> Source:
    """The same source with some videos that cannot be read."""
    videos = [replace(video, medium=Scratched(video.medium)) if video.key in keys else video for video in source.videos]
    return Source(source.name, videos, "scratched" + source.fingerprint)


def without(source: Source, *keys: str) -> Source:
    """The same source without some videos."""
    return Source(
        source.name, [video for video in source.videos if video.key not in keys], "without" + source.fingerprint
    )


def stored(source, clips=10, cycle=True):
    protocol = load_protocol(f"color-drift@{clips}").model_copy(update={"frames": 17}).resolved(size=(16, 16))
    return StoredClips(source, protocol, cycle=cycle)


def swept(clips, *, batch=3, skip_bad=False, workers=0):
    """A pass that collects colour similarities."""
    return gather(
        clips, lambda: ColorSimilarity(17), lambda videos: videos,
        batch=batch, workers=workers, skip_bad=skip_bad, track=quiet, label="clips",
    )  # fmt: skip


def sums(done):
    return [group.sums.tolist() for group in done.groups]


@pytest.fixture(scope="module")
def films(moving):
    return source_from_array("films", moving(6, 30))


def test_a_video_that_cannot_be_read_stops_the_pass_and_is_named(films):
    with pytest.raises(BadVideoError, match=r"films/000002 cannot be read \(it is scratched\).*--skip-bad"):
        swept(stored(scratched(films, "000002")))


def test_a_video_that_is_skipped_leaves_the_pass_as_if_it_had_never_been_there(films):
    skipped = swept(stored(scratched(films, "000002", "000005")), skip_bad=True)
    clean = swept(stored(without(films, "000002", "000005")))
    assert [(clip.video.key, clip.start) for clip in skipped.clips.drawn] == [
        (clip.video.key, clip.start) for clip in clean.clips.drawn
    ]
    assert sums(skipped) == sums(clean)
    assert all(np.array_equal(a, b) for a, b in zip(skipped.first, clean.first, strict=True))
    assert skipped.clips.bad == {"films/000002": "it is scratched", "films/000005": "it is scratched"}


def test_a_skipped_video_leaves_the_score_as_if_it_had_never_been_there(films, moving):
    fake = source_from_array("fake", moving(8, 20, seed=1))

    def score(real, skip_bad=False):
        protocol = load_protocol("color-drift@8").model_copy(update={"frames": 17})
        return Evaluator(protocol, real, workers=0, skip_bad=skip_bad).score(fake)

    skipped, clean = score(scratched(films, "000003"), skip_bad=True), score(without(films, "000003"))
    assert (skipped.value, skipped.se, skipped.terms) == (clean.value, clean.se, clean.terms)
    assert (skipped.real.counts.unreadable, clean.real.counts.unreadable) == (1, 0)
    assert skipped.real.counts.available == 5


def test_a_skipped_video_of_the_generated_side_is_counted(films, moving):
    fake = scratched(source_from_array("fake", moving(9, 20, seed=1)), "000000")
    protocol = load_protocol("color-drift@8").model_copy(update={"frames": 17})
    counts = Evaluator(protocol, films, workers=0, skip_bad=True).score(fake).fake.counts
    assert (counts.asked, counts.available, counts.used, counts.unreadable) == (8, 8, 8, 1)


def test_too_few_generated_videos_after_skipping_are_an_error(films):
    with pytest.raises(UserError, match="1 cannot be read; 5 can be used"):
        swept(stored(scratched(films, "000001"), clips=6, cycle=False), skip_bad=True)


def test_batches_and_workers_change_no_statistic(films):
    clips = stored(films)
    assert sums(swept(clips, batch=1)) == sums(swept(clips, batch=10)) == sums(swept(clips, batch=4, workers=2))


def test_the_first_eight_clips_are_kept(films):
    clips = stored(films, 10)
    done = swept(clips, batch=3)
    assert len(done.first) == 8
    assert all(np.array_equal(clip, clips[i]) for i, clip in enumerate(done.first))


def test_what_looks_suspicious_is_told_with_the_pass(moving):
    still = source_from_array("still", np.repeat(moving(4, 1), 17, axis=1))
    assert swept(stored(still, 4)).warnings == ["still: 4 of 4 clips do not move at all."]


# The cache


@pytest.mark.parametrize("kind", [Moments, ColorSimilarity])
def test_a_pass_that_is_saved_and_loaded_is_exactly_the_same(films, tmp_path, kind):
    clips = stored(scratched(films, "000004"))
    features = {Moments: lambda videos: videos.double().mean(dim=(3, 4))[:, 0], ColorSimilarity: lambda videos: videos}
    done = gather(
        clips, lambda: kind(17), features[kind], batch=4, workers=0, skip_bad=True, track=quiet, label="clips"
    )  # fmt: skip
    save_pass(done, tmp_path / "pass.safetensors")
    loaded = load_pass(clips, kind, tmp_path / "pass.safetensors")
    for group, other in zip(done.groups, loaded.groups, strict=True):
        state, again = group.state_dict(), other.state_dict()
        assert list(state) == list(again)
        assert all(torch.equal(state[key], again[key]) and state[key].dtype == again[key].dtype for key in state)
    assert all(np.array_equal(a, b) for a, b in zip(done.first, loaded.first, strict=True))
    assert loaded.clips.drawn == done.clips.drawn
    assert (loaded.warnings, loaded.clips.bad) == (done.warnings, done.clips.bad)


def test_a_pass_that_is_not_there_is_none(films, tmp_path):
    assert load_pass(stored(films), ColorSimilarity, tmp_path / "none.safetensors") is None


@pytest.mark.parametrize("kept", [0.0, 0.001, 0.5, 0.999])
def test_a_pass_that_was_cut_short_is_none(films, tmp_path, kept):
    path = tmp_path / "pass.safetensors"
    save_pass(swept(stored(films)), path)
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    assert load_pass(stored(films), ColorSimilarity, path) is None


def test_a_file_of_other_tensors_is_no_pass(films, tmp_path):
    from safetensors.torch import save_file

    save_file({"weight": torch.zeros(3)}, tmp_path / "other.safetensors", {"pass": '{"bad": {}, "warnings": []}'})
    assert load_pass(stored(films), ColorSimilarity, tmp_path / "other.safetensors") is None


def test_damaged_statistics_in_the_cache_are_computed_again(films, moving, own_cache):
    fake = source_from_array("fake", moving(8, 20, seed=1))

    def score():
        protocol = load_protocol("color-drift@8").model_copy(update={"frames": 17})
        return Evaluator(protocol, films, workers=0).score(fake).value

    value = score()
    [path] = own_cache.glob("statistics/*.safetensors")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert score() == value
    assert path.read_bytes() == whole


def test_unreadable_videos_stay_known_in_the_cache(films, moving):
    fake = source_from_array("fake", moving(8, 20, seed=1))
    real = scratched(films, "000003")
    protocol = load_protocol("color-drift@8").model_copy(update={"frames": 17})
    counts = [Evaluator(protocol, real, workers=0, skip_bad=True).score(fake).real.counts for _ in range(2)]
    assert counts[0] == counts[1]
    assert counts[1].unreadable == 1


def test_a_source_named_like_another_has_statistics_of_its_own(moving, own_cache):
    fake = source_from_array("fake", moving(8, 20, seed=1))
    protocol = load_protocol("color-drift@8").model_copy(update={"frames": 17})
    for seed in (2, 3):
        Evaluator(protocol, source_from_array("real", moving(8, 20, seed=seed)), workers=0).score(fake)
    assert len(list(own_cache.glob("statistics/*.safetensors"))) == 2
