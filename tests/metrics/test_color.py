"""Colour similarity: exact counting, streaming, and what the curves' comparison says."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance

from vidbench.metrics.color import ColorDrift, ColorSimilarity, color_bins, color_similarity, shared_pixels
from vidbench.metrics.uncertainty import jackknife, merged, standard_error

seeds = st.integers(0, 2**32 - 1)


def videos(seed: int, n: int = 5, frames: int = 20, height: int = 4, width: int = 6):
    """Videos of few colours that change over time."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 4, size=(n, 3, frames, height, width)).astype(np.uint8) * 60


def similarity_of(*batches) -> ColorSimilarity:
    similarity = ColorSimilarity(num_frames=batches[0].shape[2])
    for batch in batches:
        similarity.update(shared_pixels(batch))
    return similarity


def assert_equal(one: ColorSimilarity, other: ColorSimilarity):
    assert one.state_dict().keys() == other.state_dict().keys()
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name


@pytest.mark.parametrize("bins", [2, 8, 16, 20, 32, 40])
def test_bytes_fall_into_the_bins_of_the_float_rule(bins):
    levels = np.arange(256, dtype=np.uint8)
    x = torch.from_numpy(levels).float() * 2 / 255 - 1
    k = torch.floor((x / 2 + 0.5) * (bins - 1) + 0.5).long().numpy()
    assert (color_bins(np.stack([levels, 0 * levels, 0 * levels]), bins) == k * bins**2).all()
    assert (color_bins(np.stack([0 * levels, levels, levels]), bins) == k * (bins + 1)).all()
    assert (color_bins(np.stack([x, x, x]), bins) == k * (bins**2 + bins + 1)).all()
    exact = [(2 * (bins - 1) * v + 255) // 510 for v in range(256)]
    assert k.tolist() == exact


def test_bins_are_centred_on_twenty_levels_and_the_end_bins_hold_what_lies_beyond():
    border = -1 + 1 / 19
    x = np.array([-np.inf, -3, -1, np.nextafter(border, -1), border + 1e-6, 1, 3, np.inf], np.float32)
    black = np.full_like(x, -1)
    assert color_bins(np.stack([black, black, x])).tolist() == [0, 0, 0, 0, 1, 19, 19, 19]


def test_the_last_two_colours_are_kept_apart():
    """A float32 histogram over 0..7999 counts index 7998 as 7999."""
    white = np.full((1, 3, 2, 4, 4), 255, np.uint8)
    white[0, 2, 1] = 242
    assert color_bins(white[0])[:, 0, 0].tolist() == [7999, 7998]
    assert color_similarity(white).tolist() == [[0.0]]


@given(seeds)
def test_similarity_is_the_shared_area_of_joint_histograms(seed):
    video = videos(seed, n=2, frames=5)
    for clip, got in zip(video, color_similarity(video), strict=True):
        colors = [[tuple(c) for c in clip[:, t].reshape(3, -1).T.tolist()] for t in range(5)]
        shared = [sum(min(colors[0].count(c), colors[t].count(c)) for c in set(colors[0])) for t in range(1, 5)]
        assert got.tolist() == [s / 24 for s in shared]


@given(seeds)
def test_permuted_pixels_change_nothing(seed):
    video = videos(seed)
    rng = np.random.default_rng(seed)
    flat = video.reshape(*video.shape[:3], -1)
    shuffled = np.stack([flat[:, :, t][:, :, rng.permutation(24)] for t in range(20)], axis=2).reshape(video.shape)
    assert (shared_pixels(shuffled) == shared_pixels(video)).all()


def test_a_still_video_keeps_all_its_colours_and_new_colours_none():
    still = np.repeat(videos(0, frames=1), 20, axis=2)
    assert (color_similarity(still) == 1).all()
    still[:, :, 1:] += 30
    assert (color_similarity(still) == 0).all()


@pytest.mark.parametrize("size", [(3, 5), (32, 32), (250, 270)])
def test_counting_several_frames_at_once_gives_the_same(size):
    video = videos(0, n=1, frames=70 if size[0] < 100 else 4, height=size[0], width=size[1])
    pairs = [shared_pixels(video[:, :, [0, t]])[0, 1] for t in range(1, video.shape[2])]
    assert shared_pixels(video)[0].tolist() == [size[0] * size[1], *pairs]


def test_tensors_arrays_and_the_bytes_mapped_to_floats_agree():
    video = videos(0)
    x = torch.from_numpy(video).float() / 127.5 - 1
    expected = shared_pixels(video)
    for same in (torch.from_numpy(video), x, x.double(), x.numpy()):
        assert (shared_pixels(same) == expected).all()


@given(seeds)
def test_the_curve_is_mean_and_sample_deviation_over_clips_behind_a_one(seed):
    video = videos(seed)
    curve, per_clip = similarity_of(video).compute(), color_similarity(video)
    assert curve.t.tolist() == list(range(20))
    assert (curve.mean[0], curve.std[0]) == (1, 0)
    np.testing.assert_allclose(curve.mean[1:], per_clip.mean(axis=0), rtol=0, atol=1e-15)
    np.testing.assert_allclose(curve.std[1:], per_clip.std(axis=0, ddof=1), rtol=0, atol=1e-15)


def test_the_deviation_of_equal_clips_and_of_one_clip_is_zero():
    video = np.repeat(videos(0, n=1), 3, axis=0)
    assert (similarity_of(video).compute().std == 0).all()
    assert (similarity_of(video[:1]).compute().std == 0).all()


@given(seeds, st.permutations(range(5)), st.lists(st.integers(0, 5), max_size=3).map(sorted))
def test_streaming_and_merging_in_any_order_equal_the_whole_exactly(seed, order, cuts):
    video = videos(seed)
    whole, parts = similarity_of(video), np.split(video[list(order)], cuts)
    assert_equal(similarity_of(*parts), whole)
    merged = ColorSimilarity(20)
    for part in parts:
        merged = similarity_of(part).merge(merged)
    assert_equal(merged, whole)


def test_empty_statistics_are_neutral_and_have_no_curve():
    empty, whole = ColorSimilarity(20), similarity_of(videos(0))
    assert_equal(empty.merge(whole), whole)
    assert_equal(whole.merge(empty), whole)
    with pytest.raises(ValueError, match="there are 0"):
        empty.merge(ColorSimilarity(20)).compute()


def test_no_more_numbers_are_kept_than_a_frame_has_pixels():
    many = similarity_of(videos(0, n=50)).merge(similarity_of(videos(1, n=50)))
    assert sum(many.marked[0][1]) == 100
    assert all(part.numel() <= 2 * (many.pixels + 1) for part in many.state_dict().values())


def test_the_state_survives_a_file(tmp_path):
    from safetensors.torch import load_file, save_file

    for similarity in (similarity_of(videos(0)), ColorSimilarity(20)):
        save_file(similarity.state_dict(), tmp_path / "color.safetensors")
        restored = ColorSimilarity.from_state_dict(load_file(tmp_path / "color.safetensors"))
        assert_equal(restored, similarity)
        restored.update(shared_pixels(videos(1)))
        assert_equal(restored, similarity_of(videos(1)).merge(similarity))


def test_a_million_clips_keep_every_digit():
    """n times the sum of squares passes 2^63 here; the deviation of two values half and half is known."""
    similarity, n, pixels = ColorSimilarity(2), 10**6, 1024**2
    similarity.count, similarity.pixels = n, 1024 * 1024
    similarity.sums = np.array([n * pixels, n // 2 * (2 * pixels - 1)])
    similarity.squares = np.array([n * pixels**2, n // 2 * (pixels**2 + (pixels - 1) ** 2)])
    curve = similarity.compute()
    assert curve.mean[1] == float(Fraction(2 * pixels - 1, 2 * pixels))
    assert curve.std[1] == pytest.approx(0.5 * np.sqrt(n / (n - 1)) / pixels, rel=1e-15)


def test_clips_too_many_to_sum_exactly_are_refused():
    similarity = similarity_of(videos(0))
    similarity.count = 2**63 // 24**2
    with pytest.raises(OverflowError, match="too many"):
        similarity.update(shared_pixels(videos(0)))


def test_other_sizes_frames_and_bins_are_refused():
    similarity = similarity_of(videos(0))
    with pytest.raises(ValueError, match="48 pixels a frame cannot be added to clips of 24"):
        similarity.update(shared_pixels(videos(0, height=8)))
    with pytest.raises(ValueError, match="48 pixels a frame cannot be added to clips of 24"):
        similarity.merge(similarity_of(videos(0, height=8)))
    with pytest.raises(ValueError, match=r"\[N, 20\]"):
        similarity.update(shared_pixels(videos(0, frames=19)))
    with pytest.raises(ValueError, match="cannot be merged"):
        similarity.merge(ColorSimilarity(19))
    with pytest.raises(ValueError, match="40 bins"):
        shared_pixels(videos(0), bins=41)
    assert_equal(similarity, similarity_of(videos(0)))


@pytest.mark.parametrize("bad", [np.full((1, 3, 4, 2, 2), np.nan), np.zeros((1, 3, 4, 2, 2), np.int64)])
def test_nan_and_other_integers_are_refused(bad):
    with pytest.raises(ValueError, match=r"not a number|dtype"):
        shared_pixels(bad)


@settings(max_examples=20)
@given(seeds, st.integers(1, 6), st.integers(1, 6))
def test_w1_is_that_of_the_clips_at_the_marks(seed, n_fake, n_real):
    fake, real = videos(seed, n=n_fake, frames=65), videos(seed + 1, n=n_real, frames=65)
    terms = ColorDrift(65).compare(similarity_of(fake), similarity_of(real))["terms"]
    assert set(terms) == {"signed", "w1@16", "w1@64"}
    for t in (16, 64):
        truth = wasserstein_distance(color_similarity(fake)[:, t - 1], color_similarity(real)[:, t - 1])
        assert terms[f"w1@{t}"] == pytest.approx(truth, abs=1e-14)


def test_drift_is_the_mean_gap_between_the_curves():
    fake, real = videos(0), np.repeat(videos(1, frames=1), 20, axis=2)
    drift = ColorDrift(20)
    side = drift.statistics()
    side.update(shared_pixels(fake))
    result = drift.compare(side, similarity_of(real))
    gaps = color_similarity(fake).mean(axis=0) - 1
    assert result["value"] == pytest.approx(np.abs(gaps).mean())
    assert result["terms"]["signed"] == pytest.approx(gaps.mean()) == -result["value"]
    assert result["real_curve"] == {"t": list(range(20)), "mean": [1.0] * 20, "std": [0.0] * 20}
    assert result["curve"]["mean"] == side.compute().mean.tolist()
    assert drift.compare(side, side)["value"] == 0


def dealt(rng: np.random.Generator, level: float, kept: float, clips: int = 40) -> list[ColorSimilarity]:
    """Twenty groups of clips of 10,000 pixels that share about `level` of them with the first frame.

    `kept` is how far clips keep their rank from t to t: wholly at 1, not at all at 0.
    """
    own, new = rng.normal(size=(clips, 1)), rng.normal(size=(clips, 15))
    shared = (10_000 * (level + 0.03 * (kept * own + np.sqrt(1 - kept**2) * new))).clip(0, 10_000).astype(np.int64)
    shared = np.concatenate([np.full((clips, 1), 10_000), shared], axis=1)
    groups = [ColorSimilarity(16) for _ in range(20)]
    for k, group in enumerate(groups):
        group.update(shared[k::20])
    return groups


def errors(fake: list[ColorSimilarity], real: list[ColorSimilarity]) -> tuple[float, float]:
    """Standard errors of the gap and of the signed area."""
    without = jackknife(ColorDrift(16).compare, fake, real)
    return standard_error([part["value"] for part in without]), standard_error([p["terms"]["signed"] for p in without])


@settings(max_examples=20)
@given(seeds, st.booleans(), st.floats(0, 1))
def test_the_area_is_as_sure_as_the_gap_where_the_curves_never_cross(seed, above, kept):
    rng = np.random.default_rng(seed)
    gap, area = errors(*(dealt(rng, level, kept) for level in ((0.8, 0.3) if above else (0.3, 0.8))))
    assert area == pytest.approx(gap, rel=1e-9) and area > 0


@pytest.mark.parametrize("kept", [0.0, 1.0])
def test_the_error_of_the_area_is_its_spread_over_draws_where_the_curves_cross(kept):
    """The error of the gap is of no use here: an absolute value keeps above zero what the area may cross."""
    rng = np.random.default_rng(0)
    draws = [(dealt(rng, 0.5, kept), dealt(rng, 0.5, kept)) for _ in range(60)]
    areas = [ColorDrift(16).compare(*map(merged, draw))["terms"]["signed"] for draw in draws]
    found = np.mean([errors(*draw)[1] for draw in draws])
    assert 0.75 < found / np.std(areas, ddof=1) < 1.35


def test_w1_sees_what_the_mean_over_clips_hides():
    """Half of the clips keep all colours and half keep none, against all clips that keep half."""
    start = np.zeros((2, 3, 17, 2, 2), np.uint8)
    bimodal, half = start.copy(), start.copy()
    bimodal[0, :, 1:], half[:, :, 1:, 0] = 255, 255
    result = ColorDrift(17).compare(similarity_of(bimodal), similarity_of(half))
    assert result["value"] == 0
    assert result["terms"]["w1@16"] == 0.5
