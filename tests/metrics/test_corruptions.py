"""Corruptions: what each one does, nothing at no strength, and the same thing more or less at other levels."""

import itertools

import numpy as np
import pytest
import torch
from einops import rearrange, repeat
from hypothesis import given
from hypothesis import strategies as st

from vidbench.metrics.corruptions import CORRUPTIONS, Corruption, displaced, field, from_bytes, to_bytes

BY_NAME = {corruption.name: corruption for corruption in CORRUPTIONS}
NOTHING = {
    "noise": 0,
    "blur": 0,
    "contrast": 1,
    "rectangle": 0,
    "salt and pepper": 0,
    "static warp": 0,
    "temporal warp": 0,
    "local swaps": 0,
    "global swaps": 0,
    "freeze": 0,
    "flicker": 0,
    "jitter": 0,
    "interleave": 0,
    "switch": 16,
    "slower": 1,
    "ping-pong": 32,
    "reorder clips": 1,
    "PNG round trip": 1,
    "re-quantise": 1,
}
"""The level at which each corruption does nothing to 16 frames."""

each = pytest.mark.parametrize("corruption", CORRUPTIONS, ids=lambda corruption: corruption.name)
seeds = st.integers(0, 2**31)


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_clip(seed: int, size: tuple[int, int] = (32, 40), frames: int = 16) -> torch.Tensor:
    """8-bit noise, as float."""
    levels = np.random.default_rng(seed).integers(0, 256, (3, frames, *size), dtype=np.uint8)
    return from_bytes(torch.from_numpy(levels))


def numbered(frames: int = 16) -> torch.Tensor:
    """Frame t has value t / 1000 everywhere."""
    return repeat(torch.arange(frames) / 1000, "t -> c t h w", c=3, h=8, w=8)


def numbers(clip: torch.Tensor) -> list[int]:
    return (clip[0, :, 0, 0] * 1000).round().int().tolist()


def spoil(name: str, clip: torch.Tensor, level: float, seed: int = 0, other: torch.Tensor | None = None):
    return BY_NAME[name](clip, float(level), chance(seed), clip if other is None else other)


def gray(frames: int = 16, size: tuple[int, int] = (32, 32)) -> torch.Tensor:
    return torch.zeros(3, frames, *size)


def test_there_are_five_levels_where_an_order_is_judged():
    assert len(BY_NAME) == len(CORRUPTIONS)
    assert {len(c.levels) for c in CORRUPTIONS if c.kind in "ST"} == {5}
    assert [sum(c.kind == kind for c in CORRUPTIONS) for kind in "STDCR"] == [6, 9, 1, 3, 2]


@each
def test_a_spoilt_clip_is_a_clip_and_the_original_is_left_alone(corruption: Corruption):
    clip, other = random_clip(0), random_clip(1)
    before = clip.clone()
    for level in corruption.levels:
        spoilt = corruption(clip, level, chance(), other)
        assert (spoilt.shape, spoilt.dtype) == (clip.shape, torch.float32)
        assert spoilt.abs().max() <= 1
    assert torch.equal(clip, before)


@each
def test_equal_generators_spoil_equally(corruption: Corruption):
    clip, other, level = random_clip(0), random_clip(1), corruption.levels[len(corruption.levels) // 2]
    one, again, another = (corruption(clip, level, chance(seed), other) for seed in (0, 0, 1))
    assert torch.equal(one, again)
    fixed = ("blur", "contrast", "switch", "slower")
    assert torch.equal(one, another) == (corruption.name in fixed or corruption.kind in "DCR")


@pytest.mark.parametrize(("name", "level"), NOTHING.items())
def test_at_no_strength_no_byte_changes(name, level):
    clip = random_clip(0)
    assert torch.equal(to_bytes(spoil(name, clip, level, other=random_clip(1))), to_bytes(clip))


@each
def test_a_corruption_of_frames_or_motion_changes_something_at_every_level(corruption: Corruption):
    if corruption.kind in "STDR":
        clip, other = random_clip(0, frames=64), random_clip(1, frames=64)
        assert all(not torch.equal(corruption(clip, level, chance(3), other), clip) for level in corruption.levels)


@pytest.mark.parametrize("name", ["noise", "flicker"])
def test_levels_scale_one_drawing_of_offsets(name):
    weak, strong = (spoil(name, gray(), level) for level in (0.01, 0.02))
    assert torch.allclose(2 * weak, strong, atol=1e-6)
    assert strong.std() == pytest.approx(0.02, rel=0.5 if name == "flicker" else 0.02)


def test_flicker_is_one_offset_a_frame():
    spoilt = spoil("flicker", gray(), 0.1)
    assert torch.equal(spoilt, repeat(spoilt[0, :, 0, 0], "t -> c t h w", c=3, h=32, w=32))


@pytest.mark.parametrize("name", ["static warp", "temporal warp", "jitter"])
def test_levels_scale_one_drawing_of_displacements(name):
    """Seen on a picture whose value is its place, away from the border."""
    ramp = repeat(torch.linspace(-0.9, 0.9, 64), "w -> c t h w", c=3, t=16, h=64)
    weak, strong = (spoil(name, ramp, level) - ramp for level in (0.02, 0.04))
    inside = (..., slice(16, 48), slice(16, 48))
    assert torch.allclose(2 * weak[inside], strong[inside], atol=1e-4)
    assert strong[inside].abs().mean() > 1e-3


@given(seeds, st.floats(0.02, 0.8), st.floats(0.02, 0.8))
def test_more_salt_and_pepper_keeps_what_less_has_hit(seed, a, b):
    few, many = (spoil("salt and pepper", gray(), level, seed) for level in sorted((a, b)))
    assert torch.equal(many[few != 0], few[few != 0])
    assert float((many != 0).float().mean()) == pytest.approx(max(a, b), abs=0.02)
    assert torch.equal(many[0], many[2])


@given(seeds, st.floats(0.02, 0.4), st.floats(0.02, 0.4), st.sampled_from([(32, 32), (32, 64), (70, 32)]))
def test_a_larger_rectangle_covers_a_smaller_one_and_has_its_area(seed, a, b, size):
    small, large = (spoil("rectangle", gray(2, size), level, seed)[0, 0] == -1 for level in sorted((a, b)))
    assert (large | ~small).all()
    rows, columns = large.any(dim=1).sum(), large.any(dim=0).sum()
    assert rows * columns == large.sum()
    assert float(large.float().mean()) == pytest.approx(max(a, b), abs=0.5 / size[0] + 0.5 / size[1] + 1e-3)
    assert 0.4 < rows / columns < 2.5


@pytest.mark.parametrize("name", ["local swaps", "global swaps"])
@given(seed=seeds)
def test_more_swaps_go_on_where_fewer_ended(name, seed):
    """Each one exchanges two frames, of the local ones neighbours."""
    orders = [numbers(spoil(name, numbered(), count, seed)) for count in range(17)]
    for before, after in itertools.pairwise(orders):
        moved = [t for t in range(16) if before[t] != after[t]]
        assert len(moved) == 2
        assert sorted(after) == list(range(16))
        assert name == "global swaps" or moved[1] - moved[0] == 1


@given(seeds)
def test_freezing_repeats_frames_and_more_freezing_repeats_those_too(seed):
    shown = [numbers(spoil("freeze", numbered(), level, seed)) for level in BY_NAME["freeze"].levels]
    for frames in shown:
        assert all(now in (before, t) for t, (before, now) in enumerate(itertools.pairwise(frames), 1))
    for weak, strong in itertools.pairwise(shown):
        assert {t for t in range(16) if strong[t] == t} <= {t for t in range(16) if weak[t] == t}


@given(seeds)
def test_interleaved_frames_come_from_one_other_clip_at_the_same_time(seed):
    clip, other = numbered(), numbered() + 0.5
    foreign = [spoil("interleave", clip, level, seed, other) - clip for level in BY_NAME["interleave"].levels]
    for weak, strong in itertools.pairwise(foreign):
        assert set(strong.round(decimals=4).unique().tolist()) <= {0.0, 0.5}
        assert (strong >= weak - 1e-4).all()


@pytest.mark.parametrize(("frames", "level", "own"), [(16, 15, 15), (16, 11, 11), (128, 15, 120), (128, 11, 88)])
def test_a_switch_goes_on_with_the_other_clip(frames, level, own):
    clip = numbered(frames)
    assert numbers(spoil("switch", clip, level, other=clip + 0.5)) == [t + 500 * (t >= own) for t in range(frames)]


@pytest.mark.parametrize("scale", [1, 8])
@pytest.mark.parametrize("level", BY_NAME["ping-pong"].levels)
def test_a_ping_pong_loop_has_its_period(level, scale):
    period = level * scale
    shown = numbers(spoil("ping-pong", numbered(16 * scale), level))
    assert shown == [min(t % period, period - t % period) for t in range(16 * scale)]


def test_slower_playback_is_linear_in_time():
    times = spoil("slower", numbered(), 0.4)[0, :, 0, 0] * 1000
    assert torch.allclose(times, torch.arange(16) * 0.4, atol=1e-3)


def test_reversal_and_flip():
    clip = random_clip(0)
    assert torch.equal(spoil("time reversal", clip, 1), clip.flip(1))
    assert torch.equal(spoil("horizontal flip", clip, 1), clip.flip(3))
    assert numbers(spoil("time reversal", numbered(), 1)) == list(range(15, -1, -1))


@pytest.mark.parametrize("size", [(32, 32), (64, 96)])
def test_blur_has_its_width_at_a_short_side_of_32(size):
    """The variance of a blurred point."""
    clip = gray(1, size)
    clip[:, :, size[0] // 2, size[1] // 2] = 1
    weight = spoil("blur", clip, 1.3)[0, 0].double()
    x = torch.arange(size[1]) - size[1] // 2
    assert float((weight * x**2).sum() / weight.sum()) ** 0.5 == pytest.approx(1.3 * size[0] / 32, rel=0.01)


def test_blur_leaves_frames_and_colours_apart():
    clip = gray()
    clip[1, 5] = 1
    assert torch.allclose(spoil("blur", clip, 2.5), clip, atol=1e-6)


def test_jitter_has_its_width_at_a_short_side_of_32():
    """A ramp of one step a pixel, shifted as a whole."""
    ramp = repeat(torch.linspace(-0.9, 0.9, 96), "w -> c t h w", c=3, t=400, h=64)
    shift = (spoil("jitter", ramp, 1.5) - ramp)[0, :, :, 48] / (1.8 / 95)
    assert torch.allclose(shift, shift[:, :1].expand_as(shift), atol=1e-2)
    assert float(shift[:, 0].std()) == pytest.approx(1.5 * 64 / 32, rel=0.1)


def test_a_temporal_warp_has_a_field_a_frame_with_the_static_one_s_distribution():
    clip = random_clip(0)
    still = repeat(clip[:, 0], "c h w -> c t h w", t=16)
    assert torch.equal(spoil("static warp", still, 0.1)[:, 3], spoil("static warp", still, 0.1)[:, 9])
    assert not torch.equal(spoil("temporal warp", still, 0.1)[:, 3], spoil("temporal warp", still, 0.1)[:, 9])
    one_a_clip = torch.cat([field(clip, 1, chance(seed)) for seed in range(800)])
    one_a_frame = torch.cat([field(clip, 16, chance(seed)) for seed in range(50)])
    assert torch.allclose(one_a_clip.std(dim=0), one_a_frame.std(dim=0), rtol=0.2)
    assert float(one_a_clip.std()) == pytest.approx(float(one_a_frame.std()), rel=0.02)


def test_the_nodes_of_a_field_lie_on_the_corners_and_are_standard_normal():
    clip = gray(1, (33, 65))
    nodes = torch.randn(1, 2, 5, 5, generator=chance())
    found = rearrange(field(clip, 1, chance())[:, ::8, ::16], "n h w xy -> n xy h w")
    assert torch.allclose(found, nodes, atol=1e-5)


def test_a_warp_is_in_half_widths_and_half_heights():
    """Everything moves as far as the frame's half is wide; the border is repeated."""
    clip = random_clip(0, (32, 40))
    moved = displaced(clip, torch.tensor([0.5, -0.25])[None, None, None])
    assert torch.allclose(moved[:, :, 4:, :30], clip[:, :, :-4, 10:], atol=1e-5)
    assert torch.allclose(moved[:, :, 4:, 30:], clip[:, :, :-4, 39:].expand(-1, -1, -1, 10), atol=1e-5)


@pytest.mark.parametrize("name", ["PNG round trip", "re-quantise"])
def test_controls_round_to_the_nearest_of_256_levels(name):
    clip = torch.rand(3, 2, 8, 8, generator=chance()) * 2 - 1
    spoilt = spoil(name, clip, 1)
    assert (spoilt - clip).abs().max() <= 1 / 255 + 1e-6
    assert torch.equal(spoil(name, spoilt, 1), spoilt)


@pytest.mark.parametrize(("name", "moved"), [("local swaps", 16), ("global swaps", 16)])
def test_swaps_are_as_many_a_frame_in_long_clips(name, moved):
    """One swap of 16 frames is eight of 128."""
    order = numbers(spoil(name, numbered(128), 1))
    assert moved / 2 <= sum(t != shown for t, shown in enumerate(order)) <= moved
