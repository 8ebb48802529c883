"""What the low-resolution discriminator sees of a video: one transform for all its frames, and another speed."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from vidbench.models.layers import diffaug
from vidbench.models.long_video_gan import stretch

VIDEO = torch.rand(2, 3, 6, 10, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2 - 1
HALF = 0.5

draws = st.lists(st.floats(0, 1, exclude_max=True), min_size=7, max_size=7)


@given(draws)
def test_all_frames_share_one_transform(row):
    still = VIDEO[:1, :, :1].expand(-1, -1, 6, -1, -1)
    found = diffaug.diff_augment(still, torch.tensor([row], dtype=torch.float64))
    torch.testing.assert_close(found, found[:, :, :1].expand_as(found))


@given(draws, draws)
def test_a_video_depends_on_its_own_draws_alone(first, second):
    together = diffaug.diff_augment(VIDEO, torch.tensor([first, second], dtype=torch.float64))
    torch.testing.assert_close(
        diffaug.diff_augment(VIDEO[1:], torch.tensor([second], dtype=torch.float64)), together[1:]
    )


def test_colours_in_the_middle_of_their_ranges_stay():
    torch.testing.assert_close(diffaug.change_colors(VIDEO, torch.full((2, 3), HALF, dtype=torch.float64)), VIDEO)


def test_colours_are_brighter_greyer_and_of_less_contrast():
    def changed(*u: float) -> torch.Tensor:
        return diffaug.change_colors(VIDEO[:1], torch.tensor([u], dtype=torch.float64))

    torch.testing.assert_close(changed(0.75, HALF, HALF), VIDEO[:1] + 0.25)
    torch.testing.assert_close(changed(HALF, 0, HALF), VIDEO[:1].mean(dim=1, keepdim=True).expand_as(VIDEO[:1]))
    torch.testing.assert_close(changed(HALF, HALF, 0) - VIDEO[0].mean(), (VIDEO[:1] - VIDEO[0].mean()) / 2)


@given(dy=st.integers(-20, 20), dx=st.integers(-20, 20))
def test_a_shift_brings_in_zeros(dy, dx):
    found = diffaug.shifted(VIDEO, torch.tensor([[dy, dx]] * 2))
    wide = F.pad(VIDEO, (20, 20, 20, 20))
    torch.testing.assert_close(found, wide[..., 20 + dy : 30 + dy, 20 + dx : 32 + dx])


@given(row=st.integers(0, 10), column=st.integers(0, 12))
def test_a_hole_is_as_large_as_the_frame_has_room_for(row, column):
    found = diffaug.cut_out(torch.ones(1, 1, 1, 10, 12), torch.tensor([[row, column]]), (5, 6))[0, 0, 0]
    rows, columns = range(row - 2, row + 3), range(column - 3, column + 3)
    for y in range(10):
        for x in range(12):
            assert found[y, x] == (not (y in rows and x in columns))


@given(draws)
def test_the_hole_reaches_into_the_frame(row):
    """It has half the sides and its centre in the frame or just behind it."""
    middle = torch.tensor([[HALF] * 5 + row[5:]], dtype=torch.float64)
    found = diffaug.diff_augment(torch.ones(1, 3, 1, 10, 12), middle)
    assert 9 <= (found[0, 0] == 0).sum() <= 30


def test_the_largest_shift_is_a_quarter_of_the_longer_side():
    last = 1 - 1e-9
    row = torch.tensor([[HALF, HALF, HALF, 0, last, last, last]], dtype=torch.float64)
    flat = diffaug.diff_augment(torch.ones(1, 3, 1, 6, 32), row)
    assert (flat == 0).all()  # shifted by 8 of 6 rows
    found = diffaug.diff_augment(torch.ones(1, 3, 1, 32, 32), row)[0, 0, 0]
    assert found[8:16, :16].all()
    assert not found[:8].any()
    assert not found[:, 24:].any()


def test_a_speed_of_1_changes_nothing():
    torch.testing.assert_close(stretch.temporal_stretch(VIDEO, torch.tensor([[HALF, 0.9]] * 2).double()), VIDEO)


@given(factor=st.floats(0.5, 2), first=st.integers(-3, 6))
def test_a_steady_change_stays_steady(factor, first):
    """Frame i of the stretched video shows the time (i + 1/2) / factor - 1/2 of the original, within its ends."""
    ramp = torch.arange(6.0, dtype=torch.float64)[None, :, None, None]
    found = stretch.stretch(ramp, factor, first)[0, :, 0, 0]
    for k, value in enumerate(found.tolist()):
        i = first + k
        shown = min(max((i + 0.5) / factor - 0.5, 0), 5) if 0 <= i < int(6 * factor) else 0
        assert value == pytest.approx(shown, abs=1e-9)


@given(st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True))
def test_a_shorter_video_is_all_there_and_a_longer_one_fills_the_frames(speed, part):
    found = stretch.temporal_stretch(
        torch.ones(1, 1, 6, 1, 1), torch.tensor([[speed, part]], dtype=torch.float64)
    ).flatten()
    assert found.sum() == min(6, int(6 * 2 ** (2 * speed - 1)))


def test_both_ends_of_the_choice_are_reached():
    ones = torch.ones(2, 1, 6, 1, 1)
    found = stretch.temporal_stretch(ones, torch.tensor([[0, 0], [0, 1 - 1e-9]], dtype=torch.float64))[:, 0, :, 0, 0]
    assert found.tolist() == [[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1]]


def test_r1_passes_through():
    """The gradient at the video before either transform has itself the gradients of differences."""
    x = VIDEO[:1, :, :3, :4, :4].clone().requires_grad_()
    rows = torch.tensor([[0.3, 0.8, 0.1, 0.4, 0.6, 0.2, 0.9]])
    speed = torch.tensor([[0.8, 0.5]])

    def seen(video: torch.Tensor) -> torch.Tensor:
        return stretch.temporal_stretch(diffaug.diff_augment(video, rows), speed).pow(3)

    assert torch.autograd.gradgradcheck(seen, x)


@pytest.mark.parametrize("transform", [diffaug.diff_augment, stretch.temporal_stretch])
def test_draws_of_another_shape_are_refused(transform):
    with pytest.raises(ValueError, match="take draws of shape"):
        transform(VIDEO, torch.rand(2, 5))
