"""The evaluator: what it takes, what it gives, and what it does not compute twice."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from vidbench import Evaluator
from vidbench.clips import quantise
from vidbench.draws import draw_seed
from vidbench.errors import BadVideoError, UserError
from vidbench.generator import Generator
from vidbench.metrics.color import color_similarity
from vidbench.passes import SHEET
from vidbench.protocol import load_protocol
from vidbench.record import load_record
from vidbench.sources import Info, Source, Unreadable, Video, source_from_array

CLIPS = 24


class Player(Generator):
    """Plays videos uint8 [N, T, H, W, 3]: clip i of a score is video i."""

    fps = 25.0

    def __init__(self, videos):
        self.videos = videos
        self.max_frames, self.size = videos.shape[1], videos.shape[2:4]
        self.numbers = {draw_seed(0, "clip", i): i for i in range(len(videos))}

    def stream(self, seed):
        yield torch.from_numpy(self.videos[self.numbers[seed]]).movedim(-1, 0).float() / 127.5 - 1


def as_tensor(videos):
    """[N, T, H, W, 3] -> [N, 3, T, H, W]."""
    return torch.from_numpy(videos).movedim(-1, 1)


def judge(real, clips=CLIPS, **options):
    options = {"backbone": "toy3d", "workers": 0, **options}
    return Evaluator("fvd16", real, clips=clips, **options)


@pytest.fixture(scope="module")
def real(moving):
    return source_from_array("real", moving(CLIPS, 20, seed=1))


@pytest.fixture(scope="module")
def made(moving):
    """Videos of the same kind as the real ones, just as long as the clips."""
    return moving(CLIPS, 16, seed=2)


# What it takes


def test_the_same_videos_score_zero(real):
    record = judge(real).score(source_from_array("copy", np.stack([video.medium.frames for video in real.videos])))
    assert record.value == pytest.approx(0, abs=1e-6)
    assert record.terms["mean"] == pytest.approx(0, abs=1e-9)


def test_a_tensor_a_source_a_generator_and_a_file_of_the_same_videos_score_the_same(real, made, tmp_path):
    np.save(tmp_path / "made.npy", made)
    as_floats = as_tensor(made).float() / 127.5 - 1
    source = source_from_array("made", made)
    forms = [as_tensor(made), as_floats, source, Player(made), tmp_path / "made.npy", str(tmp_path / "made.npy")]
    values = [judge(real).score(form).value for form in forms]
    assert values == pytest.approx([values[0]] * len(forms), rel=1e-6)
    assert values[0] > 0


def test_a_tensor_of_another_shape_is_refused_with_its_shape(real):
    with pytest.raises(UserError, match=r"\[N, 3, T, H, W\]; this one has shape \[24, 16, 16, 16, 3\]"):
        judge(real).score(torch.zeros(24, 16, 16, 16, 3))


def test_a_tensor_of_whole_numbers_that_are_no_bytes_is_refused(real, made):
    with pytest.raises(UserError, match="int64"):
        judge(real).score(as_tensor(made).long())


def test_a_tensor_that_is_not_finite_is_refused(real, made):
    videos = as_tensor(made).float() / 127.5 - 1
    videos[3, 0, 5, 2, 2] = float("nan")
    with pytest.raises(UserError, match="not finite"):
        judge(real).score(videos)


def test_a_path_without_videos_is_refused(real, tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        judge(real).score(tmp_path / "none")


def test_fewer_videos_than_clips_are_refused_with_the_number_there_is(real, made):
    with pytest.raises(UserError, match=r"20 can be used, and fvd16@24 needs 24 videos.*--clips 20"):
        judge(real).score(as_tensor(made[:20]))


def test_clips_that_are_too_short_for_the_backbone_are_refused_with_both_numbers(real):
    brief = load_protocol("fvd16").model_copy(update={"frames": 8})
    with pytest.raises(UserError, match="toy3d needs clips of 9 frames or more; fvd16 has 8"):
        Evaluator(brief, real, backbone="toy3d")


def test_the_default_backbone_of_a_user_s_videos_is_missing_and_the_error_names_the_one_there_is(real):
    with pytest.raises(UserError, match="--backbone toy3d"):
        Evaluator("fvd16", real)


def test_an_unknown_backbone_is_answered_with_all(real):
    with pytest.raises(UserError, match=r'No backbone named "toy4d"\. Did you mean toy3d'):
        judge(real, backbone="toy4d")


# What it gives


def test_a_blurred_copy_scores_worse_than_a_sharp_one(real, made):
    blurred = sum(np.roll(made.astype(float), (dy, dx), (2, 3)) for dy in (-1, 0, 1) for dx in (-1, 0, 1)) / 9
    sharp, soft = (judge(real).score(as_tensor(videos)) for videos in (made, blurred.round().astype(np.uint8)))
    assert soft.value > 2 * sharp.value


def test_a_frozen_copy_scores_worse_than_a_moving_one(real, made):
    frozen = np.repeat(made[:, :1], 16, axis=1)
    moves, stands = (judge(real).score(as_tensor(videos)) for videos in (made, frozen))
    assert stands.value > 2 * moves.value


@pytest.mark.parametrize("batch", [1, 4, 16, 100])
def test_the_size_of_a_batch_changes_no_digit(real, made, monkeypatch, tmp_path, batch):
    plain = judge(real).score(as_tensor(made))
    monkeypatch.setenv("VIDBENCH_CACHE", str(tmp_path))
    for side in (as_tensor(made), Player(made)):
        record = judge(real, batch=batch).score(side)
        assert (record.value, record.se, record.terms) == (plain.value, plain.se, plain.terms)


def test_the_number_of_workers_changes_nothing(real, made):
    alone, three = (judge(real, workers=workers).score(source_from_array("made", made)) for workers in (0, 1))
    assert (alone.value, alone.se, alone.key) == (three.value, three.se, three.key)


def test_a_score_is_the_same_every_time(real, made, own_cache):
    first, again = (judge(real).score(source_from_array("made", made)) for _ in range(2))
    blocks = list(own_cache.glob("features/*/*.safetensors"))
    assert len(blocks) == 2
    for block in blocks:
        block.unlink()
    fresh = judge(real).score(source_from_array("made", made))
    for record in (again, fresh):
        assert (record.value, record.se, record.terms, record.key) == (first.value, first.se, first.terms, first.key)


def test_another_seed_is_another_score_under_another_protocol(real, made):
    first, other = (judge(real, seed=seed).score(source_from_array("made", made)) for seed in (0, 1))
    assert first.protocol_hash != other.protocol_hash
    assert first.value != other.value
    assert other.protocol.seed == 1


def test_other_videos_have_another_key(real, made, moving):
    evaluator = judge(real)
    keys = {
        evaluator.key(source_from_array("made", videos)) for videos in (made, made[:, ::-1].copy(), moving(CLIPS, 17))
    }
    assert len(keys) == 3


def test_a_record_says_what_was_scored_against_what(real, made):
    record = judge(real).score(source_from_array("made", made, fps=25.0), "wheel")
    assert (record.metric, record.model, record.real.name) == ("fvd16@24[toy3d]", "wheel", "real")
    assert record.protocol_hash == record.protocol.hash
    assert (record.backbone.name, len(record.backbone.tensor_hash)) == ("toy3d", 64)
    assert (record.fake.kind, record.fake.fps, record.fake.counts.used) == ("array", 25.0, CLIPS)
    assert record.real.fingerprint == real.fingerprint


def test_the_terms_of_a_frechet_distance_make_up_its_value(real, made):
    record = judge(real).score(as_tensor(made))
    assert record.terms["mean"] + record.terms["covariance"] == pytest.approx(record.value)


def test_a_score_has_a_standard_error(real, made):
    record = judge(real).score(as_tensor(made))
    assert 0 < record.se < record.value


def test_fewer_clips_than_features_are_warned_of(real, made):
    record = judge(real).score(as_tensor(made))
    assert record.rank_deficient
    assert any("biased upwards" in warning for warning in record.warnings)


def test_the_size_is_that_of_the_generated_side(real, moving):
    record = judge(real).score(source_from_array("small", moving(CLIPS, 16, size=12)))
    assert record.protocol.size == (12, 12)
    assert any(
        "pixels (height, width) differ: real real (16, 16), generated small (12, 12)" in w for w in record.warnings
    )


def test_the_size_of_a_generator_counts_too(real, moving):
    assert judge(real).score(Player(moving(CLIPS, 16, size=12))).protocol.size == (12, 12)


def test_a_size_that_is_asked_for_is_used_on_both_sides(real, made):
    record = judge(real, size=(8, 8)).score(source_from_array("made", made))
    assert record.protocol.size == (8, 8)


def test_a_record_survives_the_file(real, made, tmp_path):
    record = judge(real).score(as_tensor(made))
    assert load_record(record.save(tmp_path)) == record


def test_a_colour_drift_has_the_curves_of_both_sides(real, made, tmp_path):
    protocol = load_protocol("color-drift@24").model_copy(update={"frames": 16})
    record = Evaluator(protocol, real, workers=0).score(as_tensor(made))
    assert (record.metric, record.backbone) == ("color-drift@24", None)
    assert record.curve.t == record.real_curve.t == list(range(16))
    assert record.curve.mean[0] == record.real_curve.mean[0] == 1
    gaps = np.abs(np.subtract(record.curve.mean, record.real_curve.mean))[1:]
    assert record.value == pytest.approx(gaps.mean())
    assert load_record(record.save(tmp_path)) == record


def test_every_term_has_an_error_of_its_own_from_the_same_groups(real, made):
    protocol = load_protocol("color-drift@24").resolved(frames=16)
    fading = (made * np.linspace(1, 0.2, 16)[:, None, None, None]).astype(np.uint8)  # below the data, which keep theirs
    record = Evaluator(protocol, real, workers=0).score(as_tensor(fading))
    assert record.terms["signed"] == pytest.approx(-record.value)
    assert record.terms_se["signed"] == pytest.approx(record.se) and record.se > 0
    assert judge(real).score(as_tensor(made)).terms_se.keys() == {"mean", "covariance"}


def test_terms_of_too_few_groups_have_no_error(real, made):
    record = Evaluator(load_protocol("color-drift@2").resolved(frames=16), real, workers=0).score(as_tensor(made))
    assert (record.se, record.terms_se) == (None, {})


def test_the_clips_that_were_compared_can_be_looked_at(real, made):
    record, side, other = judge(real).score_with_passes(as_tensor(made))
    assert len(side.first) == len(other.first) == SHEET
    assert all(clip.shape == (3, 16, 16, 16) for clip in side.first + other.first)
    assert record.model == "tensor"


def test_a_record_says_what_the_weights_were_proven_to_be_and_how_they_were_used(real, made):
    evaluator = judge(real)
    assert evaluator.score(as_tensor(made)).backbone.weights is None
    object.__setattr__(evaluator.backbone, "weights_verdict", "the FVD weights")
    record = evaluator.score(as_tensor(made))
    assert record.backbone.weights == "the FVD weights"
    assert record.numeric_mode == evaluator.backbone.numeric_mode == "float32"


def test_a_measure_of_pixels_is_exact(real, made):
    record = Evaluator(load_protocol("color-drift@24").resolved(frames=16), real, workers=0).score(as_tensor(made))
    assert (record.backbone, record.numeric_mode) == (None, "exact")


def test_the_normaliser_of_covariances_is_the_protocol_s(real, made):
    unbiased, biased = (
        Evaluator(
            load_protocol(f"fvd16@{CLIPS}").resolved(covariance=covariance), real, backbone="toy3d", workers=0
        ).score(as_tensor(made))
        for covariance in ("n-1", "n")
    )
    assert biased.terms["mean"] == unbiased.terms["mean"]
    assert biased.terms["covariance"] == pytest.approx(unbiased.terms["covariance"] * (CLIPS - 1) / CLIPS)


@pytest.mark.parametrize(
    ("name", "used"),
    [("styleganv/fvd16", 20), ("longvideogan/fvd16", 24), ("tats/fvd", 24), ("tats/kvd", 24), ("cdfvd/fvd", 20)],
)
def test_an_imitation_takes_as_many_real_clips_as_it_finds(moving, made, name, used):
    real = source_from_array("real", moving(20, 20, seed=1))
    record = Evaluator(f"{name}@{CLIPS}", real, backbone="toy3d", workers=0).score(as_tensor(made))
    assert record.real.counts.used == used
    assert record.metric == f"{name}@{CLIPS}[toy3d]"


def test_samples_that_are_not_quantised_are_compared_as_floats(real):
    videos = np.random.default_rng(0).uniform(-1, 1, (8, 16, 16, 16, 3)).astype(np.float32)

    class Exact(Player):
        def stream(self, seed):
            yield torch.from_numpy(self.videos[self.numbers[seed]]).movedim(-1, 0)

    protocol = load_protocol("longvideogan/color-drift@8").resolved(frames=16)
    record = Evaluator(protocol, real, workers=0).score(Exact(videos))
    floats = color_similarity(as_tensor(videos)).mean(axis=0)
    bytes_ = color_similarity(torch.from_numpy(quantise(as_tensor(videos)))).mean(axis=0)
    assert record.curve.mean[1:] == pytest.approx(floats.tolist(), abs=1e-12)
    assert not np.allclose(floats, bytes_, atol=1e-12)


@pytest.mark.parametrize(
    ("option", "flag"), [({"precision": "bfloat16"}, "--precision bfloat16"), ({"weights": "x"}, "--weights x")]
)
def test_an_option_that_a_backbone_does_not_have_is_refused(real, option, flag):
    with pytest.raises(UserError, match=f"toy3d has no {flag}"):
        judge(real, **option)


def test_a_device_that_is_not_here_is_refused(real):
    with pytest.raises(UserError, match='no device "warp" here'):
        judge(real, device="warp")


# Defaults


def test_the_data_set_s_card_says_how_many_clips_and_which_backbone():
    evaluator = Evaluator("fvd16")
    assert (evaluator.real.name, evaluator.real.split) == ("toy-ride", "train")
    assert evaluator.metric == "fvd16@512[toy3d]"


@pytest.mark.parametrize(("metric", "clips"), [("fvd16@64", 64), ("fvd16@2048", 2048)])
def test_the_number_of_clips_in_a_metric_s_name_is_taken_at_its_word(metric, clips):
    assert Evaluator(metric).protocol.clips == clips


def test_the_number_of_clips_that_is_asked_for_counts_before_the_card_s():
    assert Evaluator("fvd16", clips=2048).metric == "fvd16[toy3d]"


def test_the_backbone_sees_no_more_clips_at_once_than_its_memory_allows(real, made, monkeypatch):
    sizes = []
    evaluator = judge(real)
    features = evaluator.features
    monkeypatch.setattr(evaluator, "features", lambda videos: sizes.append(len(videos)) or features(videos))
    monkeypatch.setattr("vidbench.passes.CUT_BYTES", 7 * 3 * 16 * 16 * 16)
    evaluator.score(as_tensor(made))
    assert sizes == [7, 7, 7, 3] * 2


# What is not computed twice


@dataclass(frozen=True)
class Counted:
    """A video in memory that notes every reading."""

    frames: np.ndarray
    readings: list[int]
    bad: bool = False

    def probe(self):
        return Info(len(self.frames), self.frames.shape[1:3], 25.0, "array")

    def read(self, info, times):
        self.readings.append(len(times))
        if self.bad:
            raise Unreadable("it is scratched")
        yield np.moveaxis(self.frames[times], -1, 0)


def counted(videos, readings):
    listed = [Video(f"real/{i}", f"{i}", Counted(frames, readings)) for i, frames in enumerate(videos)]
    return Source("real", listed, "f" * 64)


def test_the_statistics_of_the_real_side_are_computed_once(moving, made):
    readings: list[int] = []
    videos = moving(CLIPS, 20, seed=1)
    first = judge(counted(videos, readings)).score(as_tensor(made))
    assert len(readings) == CLIPS
    readings.clear()
    again = judge(counted(videos, readings)).score(as_tensor(made))
    assert len(readings) == SHEET  # only the clips that are shown
    assert (again.value, again.se, again.real) == (first.value, first.se, first.real)


def test_an_evaluator_keeps_the_statistics_of_the_real_side(moving, made):
    readings: list[int] = []
    evaluator = judge(counted(moving(CLIPS, 20, seed=1), readings))
    evaluator.score(as_tensor(made))
    evaluator.score(as_tensor(made[:, ::-1].copy()))
    assert len(readings) == CLIPS


def test_it_is_known_how_much_is_in_the_cache(real, made):
    evaluator, fake = judge(real), source_from_array("made", made)
    protocol = evaluator.resolve(fake)
    assert evaluator.cached_blocks(real, protocol) == evaluator.cached_blocks(fake, protocol) == 0
    evaluator.score(fake)
    assert judge(real).cached_blocks(real, protocol) == judge(real).cached_blocks(fake, protocol) == 1
    assert judge(real, seed=1).cached_blocks(real, protocol.resolved(seed=1)) == 0


def test_the_generated_side_is_not_computed_twice_either(real, moving):
    readings: list[int] = []
    made = counted(moving(CLIPS, 20, seed=2), readings)
    first = judge(real).score(made)
    assert len(readings) == CLIPS
    readings.clear()
    again = judge(real).score(made)
    assert len(readings) == SHEET  # only the clips that are shown
    assert (again.value, again.se, again.fake) == (first.value, first.se, first.fake)


def test_a_generator_that_states_no_fingerprint_is_never_in_the_cache(real, made, own_cache):
    for _ in range(2):
        judge(real).score(Player(made))
    assert len(list(own_cache.glob("features/*/"))) == 1  # the real side's


def test_a_video_that_cannot_be_probed_is_named_before_anything_is_computed(real, made):
    @dataclass(frozen=True)
    class Broken:
        def probe(self):
            raise Unreadable("it is torn")

        def read(self, info, times):
            raise AssertionError

    broken = Source("real", [*real.videos, Video("real/torn", "torn", Broken())], "b" * 64)
    with pytest.raises(BadVideoError, match=r"real/torn cannot be read \(it is torn\)"):
        judge(broken).score(as_tensor(made))
    assert judge(broken, skip_bad=True).score(as_tensor(made)).real.counts.unreadable == 1


def test_a_mixture_of_sizes_is_scored_at_the_commonest(real, moving):
    small, large = moving(6, 16, size=12), moving(18, 16, size=16, seed=3)
    videos = [*source_from_array("a", small).videos, *source_from_array("b", large).videos]
    mixed = Source("mixed", [replace(video, key=f"{i}") for i, video in enumerate(videos)], "c" * 64)
    assert judge(real).score(mixed).protocol.size == (16, 16)


def test_quantised_samples_are_what_is_compared(made):
    clips = judge(source_from_array("made", made)).clips(
        Player(made), load_protocol("fvd16@24").resolved(size=(16, 16))
    )
    assert np.array_equal(clips[5], quantise(as_tensor(made)[5].float() / 127.5 - 1))
    assert np.array_equal(clips[5], as_tensor(made)[5].numpy())


def test_a_rendered_set_is_rendered_at_the_size_of_what_is_scored():
    evaluator = Evaluator("fvd16@6", workers=0)
    record = evaluator.score(torch.rand(6, 3, 16, 48, 40) * 2 - 1)
    same = Evaluator("fvd16@6", size=(48, 40), workers=0).score(torch.rand(6, 3, 16, 48, 40) * 2 - 1)
    assert record.real.fingerprint == same.real.fingerprint
    assert evaluator.real.info(evaluator.real.videos[0]).size == (48, 40)
