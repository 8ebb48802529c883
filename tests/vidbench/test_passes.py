"""Passes over clips: reading, unreadable videos, and features that are cached a block at a time."""

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch
from filelock import FileLock
from safetensors.numpy import save_file

from vidbench.clips import GeneratedClips, StoredClips
from vidbench.errors import BadVideoError, UserError
from vidbench.evaluator import Evaluator, quiet
from vidbench.generator import Generator, OnReal
from vidbench.metrics.color import ColorDrift
from vidbench.metrics.moments import Moments
from vidbench.passes import (
    BLOCK,
    SHEET,
    Block,
    Job,
    block_path,
    cut_of,
    gather,
    load_block,
    read,
    save_block,
)
from vidbench.protocol import load_protocol
from vidbench.sources import Source, Unreadable, source_from_array


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


def stored(source, clips=10, cycle=True, **values):
    protocol = load_protocol(f"color-drift@{clips}").resolved(**{"size": (16, 16), "frames": 17, **values})
    return StoredClips(source, protocol, cycle=cycle)


def work(**options):
    """A job that collects colour similarities, in the processes that read."""
    measure = ColorDrift(17)
    standard = {
        "statistics": measure.statistics, "features": measure.features, "in_workers": True, "key": None,
        "label": "clips", "batch": 3, "workers": 0, "skip_bad": False, "track": quiet,
    }  # fmt: skip
    return Job(**{**standard, **options})


@dataclass
class Backbone:
    """Features [N, 17] of clips of 17 frames, computed here; notes how many clips it saw at once."""

    seen: list[int] = field(default_factory=list)
    before: Callable[[], None] = lambda: None

    def __call__(self, videos):
        self.before()
        self.seen.append(len(videos))
        return videos.double().mean(dim=(3, 4))[:, 0]


def heavy(backbone=None, **options):
    """A job that collects moments of features that a backbone makes."""
    return work(statistics=lambda: Moments(17), features=backbone or Backbone(), in_workers=False, **options)


def swept(clips, **options):
    """A pass that collects colour similarities."""
    return gather(clips, work(**options))


def states(done):
    """All tensors of all groups."""
    return [{name: tensor.tolist() for name, tensor in group.state_dict().items()} for group in done.groups]


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

    skipped, clean = score(scratched(films, "000003"), fake, skip_bad=True), score(without(films, "000003"), fake)
    assert (skipped.value, skipped.se, skipped.terms) == (clean.value, clean.se, clean.terms)
    assert (skipped.real.counts.unreadable, clean.real.counts.unreadable) == (1, 0)
    assert skipped.real.counts.available == 5


class Standing(OnReal):
    """Shows the real frames themselves; too heavy for the processes that read."""

    def __init__(self, source: Source, length: int) -> None:
        super().__init__(source, length)
        self.size, self.max_frames = source.size, length

    def stream(self, seed):
        video, first = self.pick(seed)
        yield torch.from_numpy(self.source.read(video, first, first + self.length)).float() / 127.5 - 1


def test_real_videos_that_a_generator_stands_on_are_skipped_too(films):
    damaged = scratched(films, "000002").resized((16, 16))
    with pytest.raises(BadVideoError, match="films/000002 cannot be read"):
        score(films, Standing(damaged, 20))
    skipped = score(films, Standing(damaged, 20), skip_bad=True)
    assert skipped.value == score(films, Standing(without(films, "000002").resized((16, 16)), 20)).value


def test_a_skipped_video_of_the_generated_side_is_counted(films, moving):
    fake = scratched(source_from_array("fake", moving(9, 20, seed=1)), "000000")
    counts = score(films, fake, skip_bad=True).fake.counts
    assert (counts.asked, counts.available, counts.used, counts.unreadable) == (8, 8, 8, 1)


def test_too_few_generated_videos_after_skipping_are_an_error(films):
    with pytest.raises(UserError, match="1 of 6 videos in films cannot be read; 5 can be used"):
        swept(stored(scratched(films, "000001"), clips=6, cycle=False), skip_bad=True)


def test_batches_and_workers_change_no_statistic(films):
    clips = stored(films)
    for make in (work, heavy):
        assert states(gather(clips, make(batch=1))) == states(gather(clips, make(batch=10)))
        assert states(gather(clips, make(batch=1))) == states(gather(clips, make(batch=4, workers=2)))


def test_the_first_eight_clips_are_kept(films):
    clips = stored(films, 10)
    done = swept(clips, batch=3)
    assert len(done.first) == 8
    assert all(np.array_equal(clip, clips[i]) for i, clip in enumerate(done.first))


def test_what_looks_suspicious_is_told_with_the_pass(moving):
    still = source_from_array("still", np.repeat(moving(4, 1), 17, axis=1))
    assert swept(stored(still, 4)).warnings == ["still: 4 of 4 clips do not move at all."]


def test_suspicions_are_of_all_blocks_together(moving):
    still = source_from_array("still", np.repeat(moving(3, 1), 17, axis=1))
    lines = swept(stored(still, BLOCK + 8)).warnings
    assert lines == [
        f"still: {BLOCK + 8} of {BLOCK + 8} clips do not move at all.",
        f"still: {BLOCK + 5} of {BLOCK + 8} clips are exact repeats of another.",
    ]


def test_clips_that_are_not_quantised_are_looked_at_too():
    done = swept(GeneratedClips("grey", Grey(), drifting(5)))
    assert [line.partition(" clips ")[2] for line in done.warnings] == [
        "do not move at all.",
        "are exact repeats of another.",
    ]
    assert all(clip.dtype == np.uint8 for clip in done.first)


def test_features_that_are_no_numbers_are_refused_with_the_clip_s_index(films):
    def broken(videos):
        features = Backbone()(videos)
        features[2, 1] = math.nan
        return features

    with pytest.raises(UserError, match=r"The features of clip 2 are not finite"):
        gather(stored(films), heavy(broken))


# Reading


class Grey(Generator):
    """Grey, for ever; it is no light program, and cannot be sent to another process."""

    size, fps = (16, 16), 25.0

    def __init__(self):
        self.network = lambda: None

    def stream(self, seed):
        while True:
            yield torch.zeros(3, 8, 16, 16)


class Light(Generator):
    """Shades drawn from the seed."""

    size, fps, in_workers = (16, 16), 25.0, True

    def stream(self, seed):
        shades = torch.rand(3, 17, 1, 1, generator=torch.Generator().manual_seed(seed))
        yield (2 * shades - 1).expand(-1, -1, 16, 16)


def drifting(clips, name="longvideogan/color-drift"):
    return load_protocol(f"{name}@{clips}").resolved(size=(16, 16), frames=17)


def read_all(clips, **options):
    return list(read(clips, list(range(len(clips))), work(**{"in_workers": False, **options})))


@pytest.mark.parametrize("side", ["stored", "generated"])
def test_the_number_of_workers_changes_no_clip(films, side):
    clips = stored(films, 11) if side == "stored" else GeneratedClips("light", Light(), drifting(11, "color-drift"))
    alone, one, three = (read_all(clips, workers=workers, batch=4) for workers in (0, 1, 3))
    assert len(alone) == 11
    for i, (a, b, c) in enumerate(zip(alone, one, three, strict=True)):
        assert np.array_equal(a.clip, clips[i])
        assert np.array_equal(a.clip, b.clip) and np.array_equal(a.clip, c.clip)
        assert a[1:] == b[1:] == c[1:]


@pytest.mark.parametrize("batch", [1, 3, 11, 50])
def test_batches_keep_the_order_and_hold_every_clip_once(films, batch):
    for clips in (
        stored(films, 11),
        GeneratedClips("light", Light(), drifting(11)),
        GeneratedClips("", Grey(), drifting(11)),
    ):
        found = read_all(clips, batch=batch)
        assert len(found) == 11
        assert all(np.array_equal(item.clip, clips[i]) for i, item in enumerate(found))


def test_some_clips_are_read_in_the_order_asked_for(films):
    clips = stored(films, 11)
    found = read(clips, [7, 2, 9], work(in_workers=False, batch=2))
    assert all(np.array_equal(item.clip, clips[i]) for item, i in zip(found, (7, 2, 9), strict=True))


def test_a_generator_that_is_not_light_samples_here_a_batch_at_a_time():
    grey, batches = Grey(), []
    sample = grey.sample
    grey.sample = lambda seeds, *rest: batches.append(len(seeds)) or sample(seeds, *rest)
    assert len(read_all(GeneratedClips("grey", grey, drifting(8)), batch=3, workers=3)) == 8
    assert batches == [3, 3, 2]


def test_an_unreadable_video_is_reported_from_a_worker_process(films):
    found = read_all(stored(scratched(films, "000002"), 12), workers=1)
    bad = [item for item in found if isinstance(item, BadVideoError)]
    assert [(error.video, error.reason) for error in bad] == [("films/000002", "it is scratched")] * 2


@pytest.mark.parametrize("workers", [0, 2])
def test_light_features_are_computed_where_clips_are_read_and_only_the_first_clips_travel_on(films, workers):
    clips = stored(films, 12)
    for i, item in enumerate(read_all(clips, in_workers=True, workers=workers)):
        assert np.array_equal(item.features, ColorDrift(17).features(torch.from_numpy(clips[i][None])))
        assert np.array_equal(item.clip, clips[i]) if i < SHEET else item.clip.size == 0


# What a backbone sees at once


@pytest.mark.parametrize(
    ("frames", "size", "cut"),
    [
        (1, (1, 1), 64),  # a block
        (8, (1, 1), 64),  # 512 frames
        (9, (1, 1), 56),
        (16, (32, 32), 32),
        (128, (32, 32), 4),
        (129, (32, 32), 3),
        (600, (32, 32), 1),  # one clip at least
        (16, (256, 256), 21),  # 64 MiB
        (16, (2048, 2048), 1),
    ],
)
def test_a_backbone_sees_as_many_clips_at_once_as_512_frames_and_64_mib_hold(frames, size, cut):
    assert cut_of(load_protocol("fvd16").resolved(frames=frames, size=size)) == cut


@pytest.mark.parametrize("batch", [1, 7, 64, 100])
def test_clips_are_cut_for_the_backbone_at_the_same_places_whatever_the_batch(films, batch):
    backbone = Backbone()
    gather(stored(films, 100), heavy(backbone, batch=batch))
    assert backbone.seen == [30, 30, 4, 30, 6]  # 512 // 17 clips, anew in each block of 64


# The cache

KEY = "ab" * 32


def files(cache):
    return sorted(cache.glob(f"features/{KEY}/*.safetensors"))


@pytest.mark.parametrize("make", [work, heavy])
def test_a_pass_from_the_cache_is_exactly_the_same(films, own_cache, make):
    clips = stored(scratched(films, "000004"), 150)
    plain = gather(clips, make(skip_bad=True))
    fresh = gather(clips, make(skip_bad=True, key=KEY))
    cached = gather(clips, make(skip_bad=True, key=KEY))
    for done in (fresh, cached):
        assert states(done) == states(plain)
        assert all(np.array_equal(a, b) for a, b in zip(done.first, plain.first, strict=True))
        assert done.clips.drawn == plain.clips.drawn
        assert (done.warnings, done.clips.bad) == (plain.warnings, plain.clips.bad)


def test_a_pass_from_the_cache_computes_nothing(films):
    gather(stored(films, 150), heavy(key=KEY))
    backbone = Backbone()
    gather(stored(films, 150), heavy(backbone, key=KEY))
    assert backbone.seen == []


def test_features_are_cached_in_blocks_of_64_clips(films, own_cache):
    gather(stored(films, 150), heavy(key=KEY))
    assert [path.name.partition("-")[0] for path in files(own_cache)] == ["00000000", "00000064", "00000128"]
    assert [len(load_block(path).features) for path in files(own_cache)] == [64, 64, 22]


def test_without_a_key_nothing_is_cached(films, own_cache):
    clips = stored(films)
    assert block_path(clips, range(10), heavy()) is None
    gather(clips, heavy())
    assert list(own_cache.rglob("*.safetensors")) == []


def test_a_block_is_read_as_it_was_written(tmp_path):
    block = Block(
        np.random.default_rng(0).normal(size=(3, 5)),
        np.array([2**62, 0, 5]),
        np.array([True, False, True]),
        np.zeros(3, bool),
    )
    save_block(block, tmp_path / "new" / "block.safetensors", "fvd16 road")
    again = load_block(tmp_path / "new" / "block.safetensors")
    for name in ("features", "digest", "still", "black"):
        assert np.array_equal(getattr(again, name), getattr(block, name))
        assert getattr(again, name).dtype == getattr(block, name).dtype
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["block.safetensors"]


def test_the_name_of_a_block_holds_which_clips_are_in_it(films):
    job = heavy(key=KEY)
    clips = stored(films, 128)
    whole, second = block_path(clips, range(64), job), block_path(clips, range(64, 128), job)
    assert whole.parent == second.parent == job.folder
    assert whole != second
    assert block_path(clips, range(64), heavy(key="cd" * 32)).parent != whole.parent
    assert block_path(clips, range(64), heavy(key="cd" * 32)).name == whole.name
    assert block_path(stored(films, 128, seed=1), range(64), job) != whole  # other starts
    assert block_path(stored(without(films, "000003"), 128), range(64), job) != whole  # other videos


def test_the_name_of_a_block_does_not_hold_where_the_videos_are(films, moving):
    other = source_from_array("elsewhere", moving(6, 30))
    assert [video.name for video in other.videos] != [video.name for video in films.videos]
    job = heavy(key=KEY)
    assert block_path(stored(other, 70), range(64), job) == block_path(stored(films, 70), range(64), job)


def test_a_generated_block_is_told_by_its_seeds():
    job = heavy(key=KEY)
    paths = {
        block_path(GeneratedClips("light", Light(), drifting(clips).resolved(seed=seed)), range(*part), job)
        for seed, clips, part in ((0, 200, (0, 64)), (0, 100, (0, 64)), (0, 200, (64, 128)), (1, 200, (0, 64)))
    }
    assert len(paths) == 3  # that there are more clips moves no block


def test_more_clips_reuse_the_whole_blocks_of_fewer(films):
    # under one key; protocols with other numbers of clips have other keys
    gather(stored(films, 128), heavy(key=KEY))
    backbone = Backbone()
    gather(stored(films, 140), heavy(backbone, key=KEY))
    assert backbone.seen == [12]


def test_a_block_that_is_not_there_is_none(tmp_path):
    assert load_block(tmp_path / "none.safetensors") is None


@pytest.mark.parametrize("kept", [0.0, 0.001, 0.5, 0.999])
def test_a_block_that_was_cut_short_is_none_and_computed_again(films, own_cache, kept):
    done = gather(stored(films, 100), heavy(key=KEY))
    path = files(own_cache)[1]
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    assert load_block(path) is None
    backbone = Backbone()
    assert states(gather(stored(films, 100), heavy(backbone, key=KEY))) == states(done)
    assert sum(backbone.seen) == 36
    assert path.read_bytes() == whole


def test_a_file_of_other_tensors_is_no_block(films, own_cache):
    done = gather(stored(films), heavy(key=KEY))
    [path] = files(own_cache)
    for others in ({"weight": np.zeros(3)}, {"features": np.zeros((10, 17))}):
        save_file(others, path)
        assert load_block(path) is None
        assert states(gather(stored(films), heavy(key=KEY))) == states(done)


@pytest.mark.parametrize("stop", [0, 1, 2])
def test_an_interrupted_pass_goes_on_where_it_was(films, own_cache, stop):
    clips = stored(films, 200)
    plain = gather(clips, heavy())
    backbone = Backbone()

    def interrupt():
        if sum(backbone.seen) >= 64 * stop + 30:
            raise KeyboardInterrupt

    backbone.before = interrupt
    with pytest.raises(KeyboardInterrupt):
        gather(clips, heavy(backbone, key=KEY))
    assert len(files(own_cache)) == stop
    assert list(own_cache.rglob("*.part")) == []
    again = Backbone()
    assert states(gather(clips, heavy(again, key=KEY))) == states(plain)
    assert sum(again.seen) == 200 - 64 * stop


def test_blocks_in_the_middle_are_reused_too(films, own_cache):
    done = gather(stored(films, 200), heavy(key=KEY))
    files(own_cache)[0].unlink()
    files(own_cache)[1].unlink()  # which was the third
    backbone = Backbone()
    assert states(gather(stored(films, 200), heavy(backbone, key=KEY))) == states(done)
    assert sum(backbone.seen) == 128


def test_a_block_with_an_unreadable_video_is_not_cached(films, own_cache):
    clips = stored(scratched(films, "000002"), 100)
    with pytest.raises(BadVideoError):
        gather(clips, heavy(key=KEY))
    assert files(own_cache) == []


def test_two_runs_do_not_compute_the_same(films, own_cache):
    entered, goes_on, results = threading.Event(), threading.Event(), {}

    def wait():
        entered.set()
        assert goes_on.wait(20)

    def run(name, backbone):
        results[name] = gather(stored(films, 100), heavy(backbone, key=KEY))

    first, second = Backbone(before=wait), Backbone()
    one = threading.Thread(target=run, args=["first", first])
    one.start()
    assert entered.wait(20)
    two = threading.Thread(target=run, args=["second", second])
    two.start()
    two.join(0.3)
    assert two.is_alive()  # it waits
    gather(stored(films), heavy(key="cd" * 32))  # another key waits for nobody
    goes_on.set()
    one.join(20)
    two.join(20)
    assert sum(first.seen) == 100
    assert second.seen == []
    assert states(results["first"]) == states(results["second"])


@pytest.mark.parametrize("error", [KeyboardInterrupt, BadVideoError])
def test_a_pass_that_failed_leaves_no_lock(films, error):
    def fail():
        raise KeyboardInterrupt

    clips = stored(scratched(films, "000001")) if error is BadVideoError else stored(films)
    job = heavy(Backbone(before=fail if error is KeyboardInterrupt else lambda: None), key=KEY)
    with pytest.raises(error):
        gather(clips, job)
    with FileLock(f"{job.folder}.lock", timeout=0):
        pass


def test_a_pass_that_skips_does_not_wait_for_itself(films):
    done = gather(stored(scratched(films, "000001", "000003")), heavy(key=KEY, skip_bad=True))
    assert len(done.clips.bad) == 2


def test_a_cache_that_cannot_be_written_is_no_failure(films, tmp_path, monkeypatch):
    plain = gather(stored(films), heavy())
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("VIDBENCH_CACHE", str(tmp_path / "file"))
    assert states(gather(stored(films), heavy(key=KEY))) == states(plain)


def score(real, fake, **options):
    protocol = load_protocol("color-drift@8").resolved(frames=17)
    return Evaluator(protocol, real, workers=0, **options).score(fake)


def test_damaged_features_in_the_cache_are_computed_again(films, moving, own_cache):
    fake = source_from_array("fake", moving(8, 20, seed=1))
    value = score(films, fake).value
    wholes = {path: path.read_bytes() for path in own_cache.glob("features/*/*.safetensors")}
    assert len(wholes) == 2
    for path, whole in wholes.items():
        path.write_bytes(whole[: len(whole) // 2])
    assert score(films, fake).value == value
    assert {path: path.read_bytes() for path in wholes} == wholes


def test_unreadable_videos_are_counted_when_features_come_from_the_cache_too(films, moving):
    fake = source_from_array("fake", moving(8, 20, seed=1))
    real = scratched(films, "000003")
    counts = [score(real, fake, skip_bad=True).real.counts for _ in range(2)]
    assert counts[0] == counts[1]
    assert counts[1].unreadable == 1


def test_a_source_named_like_another_has_features_of_its_own(moving, own_cache):
    fake = source_from_array("fake", moving(8, 20, seed=1))
    reals = [source_from_array("real", moving(8, 20, seed=seed)) for seed in (2, 3)]
    records = [Evaluator("fvd16@8", real, backbone="toy3d", workers=0).score(fake) for real in reals]
    assert records[0].value != records[1].value
    assert len(list(own_cache.glob("features/*/"))) == 3


def test_light_and_heavy_features_give_their_groups_the_same_clips(films):
    clips = stored(films, 90)
    counts = [[group.count for group in gather(clips, make()).groups] for make in (work, heavy)]
    assert counts[0] == counts[1]
    assert counts[0] == [[clips.group(i) for i in range(90)].count(group) for group in range(20)]
