"""Adaptive augmentation: exact cases of geometry and colour, chances, independence of videos, two derivatives."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from vidbench.models.layers.augment import (
    BGC,
    NUM_DRAWS,
    STEPS,
    Augment,
    adjusted,
    color_transforms,
    geometric_matrices,
    margins,
    warp,
)
from vidbench.models.layers.bilinear import bilinear

seeds = st.integers(0, 2**32 - 1)
reals = st.floats(-2, 2)
bits = st.sampled_from([0.0, 1.0])
GEOMETRY = [*STEPS][:8]


def numbers_of(**numbers: float | list[float]) -> dict[str, torch.Tensor]:
    """What a step draws, times its strength; nothing for steps that are not named."""
    rows = {step: numbers.get(step, [0.0] * count) for step, (count, _) in STEPS.items()}
    return {step: torch.tensor(row, dtype=torch.float64).reshape(1, -1) for step, row in rows.items()}


def random_draws(n: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, NUM_DRAWS, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def smooth_videos(n: int, frames: int = 3, height: int = 24, width: int = 32, seed: int = 0) -> torch.Tensor:
    """Pictures with nothing near the highest frequency, which no filter keeps exactly."""
    noise = torch.randn(n, 3, frames, height // 4, width // 4, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(noise, size=(frames, height, width), mode="trilinear", align_corners=False)


def augment_at(p: float, **kwargs) -> Augment:
    augment = Augment(**kwargs)
    augment.p.fill_(p)
    return augment


def moved(video: torch.Tensor, **numbers: float | list[float]) -> torch.Tensor:
    """One video `[3, T, H, W]`, moved by the steps that are named."""
    height, width = video.shape[-2:]
    matrices = geometric_matrices(numbers_of(**numbers), height, width)
    return warp(video, matrices[0], Augment().Hz_geom, margins(matrices, height, width)[0])


def test_at_first_nothing_changes():
    videos = smooth_videos(4)
    assert torch.equal(Augment()(videos, random_draws(4)), videos)


def test_resampling_in_place_is_the_identity_but_for_rounding():
    """Hence it may be left out: the wavelet is orthogonal."""
    video = torch.randn(3, 2, 20, 28)
    assert (moved(video) - video).abs().max() < 2e-5


@given(st.integers(-12, 12), st.integers(-12, 12))
@settings(max_examples=20)
def test_whole_pixels_shift_exactly_and_the_reflection_follows(dx, dy):
    video = torch.randn(3, 2, 24, 24)
    wide = F.pad(video, (12, 12, 12, 12), mode="reflect")
    shifted = wide[:, :, 12 - dy : 36 - dy, 12 - dx : 36 - dx]
    assert (moved(video, xint=[dx / 24, dy / 24]) - shifted).abs().max() < 2e-5
    assert (moved(video, xfrac=[dx / 24, dy / 24]) - shifted).abs().max() < 2e-5


def test_flips_and_quarter_turns_are_those_of_the_pixels():
    """But for a tenth of a pixel, since the wavelet is not quite symmetric."""
    video = smooth_videos(1, height=32)[0]
    mirrored = [video, video.flip(3)]
    orientations = {(flip, i): mirrored[flip].rot90(i, (2, 3)) for flip in (0, 1) for i in range(4)}
    for flip, quarters in orientations:
        result = moved(video, xflip=flip, rotate90=quarters)
        errors = {key: (result - other).abs().max() for key, other in orientations.items()}
        assert errors.pop((flip, quarters)) < 0.2
        assert min(errors.values()) > 1


@given(seeds)
@settings(max_examples=20)
def test_geometry_is_the_product_of_its_steps_in_order(seed):
    numbers = augment_at(1.0).numbers(random_draws(1, seed))
    product = torch.eye(3, dtype=torch.float64)
    for step in GEOMETRY:
        alone = numbers_of() | {step: numbers[step]}
        product = product @ geometric_matrices(alone, 24, 32)[0]
    torch.testing.assert_close(geometric_matrices(numbers, 24, 32)[0], product, rtol=0, atol=1e-12)


@given(reals)
def test_isotropic_scales_zoom_and_anisotropic_ones_keep_areas(n):
    zoom, stretch = (geometric_matrices(numbers_of(**{step: n}), 24, 32)[0] for step in ("scale", "aniso"))
    assert torch.det(zoom).item() == pytest.approx(4**-n)
    assert torch.det(stretch).item() == pytest.approx(1)
    assert stretch.diagonal().tolist() == pytest.approx([2**-n, 2**n, 1])


def test_all_frames_of_a_video_share_one_transform():
    videos, draws, augment = smooth_videos(2), random_draws(2), augment_at(1.0)
    together = augment(videos, draws)
    for t in range(3):
        assert torch.allclose(augment(videos[:, :, [t]], draws), together[:, :, [t]], rtol=0, atol=1e-5)


@given(seeds, st.floats(0, 1))
@settings(max_examples=10)
def test_a_video_depends_on_its_own_draws_only(seed, p):
    videos, draws, augment = smooth_videos(4), random_draws(4, seed), augment_at(p)
    together = augment(videos, draws)
    for i in range(4):
        assert torch.allclose(augment(videos[[i]], draws[[i]]), together[[i]], rtol=0, atol=1e-6)


@given(st.floats(-0.7, 1), st.floats(-1, 1), st.tuples(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5)))
@settings(max_examples=20)
def test_a_wider_margin_makes_no_difference(scale, angle, shift):
    """Down to 0.6 of the side, beyond which single pixels near the edges begin to differ."""
    video = smooth_videos(1)[0]
    matrices = geometric_matrices(numbers_of(scale=scale, rotate_pre=angle, xfrac=list(shift)), 24, 32)
    own, widest = margins(matrices, 24, 32)[0], torch.tensor([31, 23, 31, 23])
    assert (own <= widest).all()
    results = [warp(video, matrices[0], Augment().Hz_geom, margin) for margin in (own, widest)]
    assert (results[0] - results[1]).abs().max() < 1e-3


@given(seeds, reals, reals)
@settings(max_examples=20)
def test_it_is_affine_in_the_video(seed, a, b):
    x, y = smooth_videos(1, seed=1), smooth_videos(1, seed=2)
    augment, draws = augment_at(1.0), random_draws(1, seed)
    black = augment(torch.zeros_like(x), draws)
    mixed = augment(a * x + b * y, draws) - black
    parts = a * (augment(x, draws) - black) + b * (augment(y, draws) - black)
    torch.testing.assert_close(mixed, parts, rtol=0, atol=1e-3)


@given(reals, reals, bits, reals, reals)
def test_colour_is_the_product_of_its_steps_in_order(brightness, contrast, flip, hue, saturation):
    """As matrices on (r, g, b, 1), each multiplied from the left."""
    v = torch.tensor([1.0, 1, 1, 0], dtype=torch.float64)[:, None] / math.sqrt(3)
    eye, turn = torch.eye(4, dtype=torch.float64), torch.zeros(4, 4, dtype=torch.float64)
    axis = torch.tensor([[0, -1, 1], [1, 0, -1], [-1, 1, 0]], dtype=torch.float64) / math.sqrt(3)
    turn[:3, :3] = torch.linalg.matrix_exp(hue * math.pi * axis)
    turn[3, 3] = 1
    shift = eye.clone()
    shift[:3, 3] = brightness
    product = torch.diag(torch.tensor([2**contrast] * 3 + [1.0], dtype=torch.float64)) @ shift
    product = turn @ (eye - 2 * v @ v.T * flip) @ product
    product = (v @ v.T + (eye - v @ v.T) * 2**saturation) @ product
    numbers = numbers_of(brightness=brightness, contrast=contrast, lumaflip=flip, hue=hue, saturation=saturation)
    linear, offset = color_transforms(numbers)
    torch.testing.assert_close(linear[0], product[:3, :3], rtol=0, atol=1e-12)
    torch.testing.assert_close(offset.expand(3), product[:3, 3], rtol=0, atol=1e-12)


@given(st.floats(-1, 1), reals, reals)
def test_grey_stays_grey_whatever_the_hue_and_the_saturation(grey, hue, saturation):
    linear, _ = color_transforms(numbers_of(hue=hue, saturation=saturation))
    assert (linear[0] @ torch.full((3,), grey, dtype=torch.float64)).tolist() == pytest.approx([grey] * 3)


def test_a_third_of_a_turn_of_hue_makes_red_green():
    linear, _ = color_transforms(numbers_of(hue=2 / 3))
    assert linear[0, :, 0].tolist() == pytest.approx([0, 1, 0], abs=1e-12)


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0, 1.7])
def test_each_step_happens_with_probability_p(p):
    """Of the two rotations at least one does. The bound is five standard errors."""
    numbers = augment_at(p).numbers(random_draws(20_000))
    happens = {step: (number != 0).any(dim=1) for step, number in numbers.items()}
    shares = {step: chosen.double().mean().item() for step, chosen in happens.items()}
    shares["rotation"] = (happens["rotate_pre"] | happens["rotate_post"]).double().mean().item()
    moves = {"xflip": 1 / 2, "rotate90": 3 / 4, "lumaflip": 1 / 2}  # of the draws from 0, 1, ...
    p = min(p, 1)
    rotates = 1 - math.sqrt(1 - p)
    for step, share in shares.items():
        expected = rotates if step.startswith("rotate_") else p * moves.get(step, 1)
        assert abs(share - expected) <= 5 * math.sqrt(expected * (1 - expected) / 20_000), step


def test_numbers_have_their_distributions():
    numbers = augment_at(1.0).numbers(random_draws(20_000))
    for step in ("scale", "aniso", "xfrac", "brightness", "contrast", "saturation"):
        assert numbers[step].std().item() == pytest.approx(BGC[step], rel=0.03)
        assert numbers[step].mean().abs().item() < 0.04 * BGC[step]
    for step in ("xint", "rotate_pre", "rotate_post", "hue"):
        assert numbers[step].abs().max().item() == pytest.approx(BGC[step], rel=1e-3)
        assert numbers[step].std().item() == pytest.approx(BGC[step] / math.sqrt(3), rel=0.03)
    assert numbers["rotate90"].unique().tolist() == [0, 1, 2, 3]


def test_a_step_that_is_not_named_never_happens():
    numbers = Augment({"scale": 0.08}).numbers(random_draws(10))
    assert all((number == 0).all() for number in numbers.values())
    numbers = augment_at(1.0, strengths={"scale": 0.08}).numbers(random_draws(10))
    assert [step for step, number in numbers.items() if (number != 0).any()] == ["scale"]


def test_a_draw_of_exactly_0_is_harmless():
    assert augment_at(1.0)(smooth_videos(1), torch.zeros(1, NUM_DRAWS)).isfinite().all()


def test_both_derivatives_are_right():
    """R1 differentiates a gradient through the augmentation once more."""
    augment, draws = augment_at(1.0).double(), random_draws(2, seed=3)
    videos = torch.randn(2, 3, 1, 4, 5, dtype=torch.float64, requires_grad=True)
    assert (margins(geometric_matrices(augment.numbers(draws), 4, 5), 4, 5) > 0).any()
    assert torch.autograd.gradcheck(lambda x: augment(x, draws), videos, fast_mode=True)
    assert torch.autograd.gradgradcheck(lambda x: augment(x, draws), videos, fast_mode=True)
    # Squares make the second derivative depend on the first, as R1 does.
    assert torch.autograd.gradgradcheck(lambda x: augment(x, draws) ** 2, videos, fast_mode=True)


def test_bilinear_sampling_is_that_of_torch():
    image = torch.randn(2, 3, 7, 9, dtype=torch.float64, requires_grad=True)
    grid = torch.rand(2, 5, 6, 2, dtype=torch.float64) * 2.4 - 1.2
    ours, theirs = bilinear(image, grid), F.grid_sample(image, grid, align_corners=False)
    torch.testing.assert_close(ours, theirs)
    weight = torch.randn_like(ours)
    gradients = [torch.autograd.grad((y * weight).sum(), image)[0] for y in (ours, theirs)]
    torch.testing.assert_close(*gradients)


def test_single_and_double_precision_agree():
    videos, draws = smooth_videos(4), random_draws(4)
    single, double = augment_at(1.0)(videos, draws), augment_at(1.0).double()(videos.double(), draws)
    assert (single.dtype, double.dtype) == (torch.float32, torch.float64)
    assert (single - double).abs().max() < 1e-3


def test_the_band_filters_together_pass_everything():
    bands = Augment().Hz_fbank
    assert bands.shape == (4, 43)
    assert torch.allclose(bands.sum(dim=0), F.one_hot(torch.tensor(21), 43).float(), atol=1e-6)


def test_wrong_shapes_and_names_are_refused():
    augment = Augment()
    for shape in ((2, 1, 3, 8, 8), (2, 3, 8, 8), (1, 3, 3, 8, 8)):
        with pytest.raises(ValueError, match=r"\[N, 3, T, H, W\] and \[N, 28\] are needed"):
            augment(torch.zeros(shape), random_draws(2))
    with pytest.raises(ValueError, match="No augmentation is named cutout; known: xflip, "):
        Augment({"cutout": 1.0})


def test_p_follows_the_sign_of_overfitting():
    p = 0.5
    for mean, change in ((0.9, 1), (0.6, 0), (0.2, -1)):
        assert adjusted(p, mean, batch=64, interval=4, target=0.6, ada_kimg=100) == pytest.approx(p + change * 0.00256)
    assert adjusted(0.001, -1.0, batch=64, interval=4, target=0.6, ada_kimg=100) == 0
    assert adjusted(0.999, 1.0, batch=64, interval=4, target=0.6, ada_kimg=100) > 1
