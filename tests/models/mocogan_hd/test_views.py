"""Views of an image: a square near the border is missing, and one thing is changed."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from vidbench.models.mocogan_hd.views import (
    NUM_DRAWS,
    affine_matrices,
    color_offsets,
    corners,
    cut_out,
    squares,
    transformed,
    view,
)

SIZE = 16
IMAGES = torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 1
CUT = [0.9, 0.1, 0.2, 0.3]
MIRRORED, COLORED, MOVED = 0.1, 0.5, 0.9

uniform = st.floats(0, 1, exclude_max=True)
draws = st.lists(uniform, min_size=NUM_DRAWS, max_size=NUM_DRAWS)


def seen(*rows: list[float]) -> torch.Tensor:
    return view(IMAGES[: len(rows)], torch.tensor(rows, dtype=torch.float64))


@given(draws, draws)
def test_a_view_depends_on_its_own_draws_alone(first, second):
    alone = view(IMAGES[1:], torch.tensor([second], dtype=torch.float64))
    torch.testing.assert_close(alone, seen(first, second)[1:])


@given(st.lists(uniform, min_size=4, max_size=4))
def test_exactly_a_square_is_missing_and_it_touches_the_border_band(row):
    ones = torch.ones(1, 3, SIZE, SIZE)
    rows, columns, lengths = squares(torch.tensor([row], dtype=torch.float64), SIZE)
    missing = cut_out(ones, rows, columns, lengths)[0] == 0
    assert missing.sum(dim=(1, 2)).tolist() == [int(lengths) ** 2] * 3
    assert 1 <= int(lengths) <= SIZE // 4
    assert not missing[:, 4:11, 4:11].any()  # the band of 4 pixels, and one by rounding


def test_squares_lie_on_the_side_that_was_drawn():
    """Top, bottom, left, right."""
    rows, columns, _ = squares(torch.tensor([[0.5, (i + 0.5) / 4, 0.5, 0.4] for i in range(4)]).double(), SIZE)
    assert (rows[0] < 4, rows[1] >= 11, columns[2] < 4, columns[3] >= 11) == (True, True, True, True)


def test_places_are_rounded_to_even():
    length, edge = torch.tensor([4 / 16]), torch.tensor([6 / 15])
    assert [int(x) for x in corners(length, edge, torch.zeros(1), SIZE)] == [6, 0, 4]


def test_one_of_three_changes_happens():
    cut = cut_out(IMAGES[:1], *squares(torch.tensor([CUT]).double(), SIZE))
    assert torch.equal(seen([*CUT, MIRRORED, 0.4, 0, 0, 0]), cut)
    assert torch.equal(seen([*CUT, MIRRORED, 0.6, 0, 0, 0]), cut.flip(3))
    torch.testing.assert_close(seen([*CUT, COLORED, 0.75, 0.1, 0, 0]), cut + 0.25)
    red = seen([*CUT, COLORED, 0.25, 0.3, 0, 0]) - cut
    torch.testing.assert_close(red[0, :, 0, 0], torch.tensor([-0.25, 0, 0]).double())
    torch.testing.assert_close(seen([*CUT, MOVED, 0.5, 0.5, 0.5, 0.5]), cut)
    assert not torch.allclose(seen([*CUT, MOVED, 0.6, 0.5, 0.5, 0.5]), cut)


@given(amount=uniform, channel=st.integers(0, 3))
def test_colours_move_by_up_to_a_half(amount, channel):
    (offsets,) = color_offsets(torch.tensor([amount]), torch.tensor([channel])).tolist()
    chosen = range(3) if channel == 0 else [channel - 1]
    assert all(abs(offset) <= 0.5 for offset in offsets)
    assert all(offsets[i] == 0 for i in range(3) if i not in chosen)


def test_a_quarter_turn_is_exact_and_a_shift_reflects():
    zero, one = torch.zeros(2).double(), torch.ones(2).double()
    quarter = transformed(IMAGES, affine_matrices(one * torch.pi / 2, zero, zero, one))
    torch.testing.assert_close(quarter, IMAGES.rot90(1, (2, 3)))
    shift = transformed(IMAGES, affine_matrices(zero, one * 2 / SIZE, zero, one))
    torch.testing.assert_close(shift[..., :-1], IMAGES[..., 1:])
    torch.testing.assert_close(shift[..., -1], IMAGES[..., -1])


def test_gradients_flow_to_the_images():
    images = IMAGES.clone().requires_grad_()
    rows = torch.tensor([[*CUT, MOVED, 0.3, 0.6, 0.4, 0.5], [*CUT, COLORED, 0.3, 0.6, 0, 0]]).double()
    (gradient,) = torch.autograd.grad(view(images, rows).sum(), images)
    assert (gradient.flatten(1) != 0).any(dim=1).all()
