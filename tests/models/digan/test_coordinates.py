"""Coordinates as waves: of place by the style, of time by style and motion."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vidbench.models.digan.coordinates import CoordinateFuser, grid

torch.manual_seed(0)
FUSER = CoordinateFuser(4, 3, 0.25).double().requires_grad_(False)
for layer in (FUSER.xyaffine, FUSER.affine, *FUSER.motion_mlp):
    layer.bias.normal_()
W, MOTION = torch.randn(2, 4).double(), torch.randn(2, 4).double()
times = st.floats(-3, 10)


def waves(t, w=W, motion_z=MOTION, side=4, fuser=FUSER):
    """`[N, T, 6, side, side]`."""
    found = fuser(w, torch.tensor(t, dtype=torch.float64).expand(len(w), -1), motion_z, side)
    return found.unflatten(0, (len(w), len(t)))


def test_pixels_reach_from_minus_one_to_short_of_one():
    assert grid(4).tolist() == [-1, -0.5, 0, 0.5]


@given(times, st.integers(0, 3), st.integers(0, 3), st.integers(0, 2))
def test_a_wave_is_a_sine_of_a_line_through_the_frame(t, row, column, wave):
    """x grows to the right and y upwards; phases move by a network of motion times time."""
    for n in range(2):
        a = FUSER.xyaffine.weight @ W[n] / math.sqrt(4) + FUSER.xyaffine.bias
        x, y = -1 + column / 2, -1 + (3 - row) / 2
        m = FUSER.affine.weight @ torch.cat([W[n], MOTION[n]]) / math.sqrt(8) + FUSER.affine.bias
        q = m * t * 0.25
        q = torch.where(q < 0, 0.01 * q, q)
        first, second = FUSER.motion_mlp
        hidden = first.weight @ q / math.sqrt(3) + first.bias
        hidden = torch.where(hidden < 0, 0.2 * hidden, hidden) * math.sqrt(2)
        moved = second.weight @ hidden / math.sqrt(3) + second.bias
        angle = math.sqrt(10) * (a[2 * wave] * x + a[2 * wave + 1] * y) + a[6 + wave] + moved[wave]
        found = waves([t])[n, 0, :, row, column]
        assert found[wave].item() == pytest.approx(math.sin(angle), abs=1e-9)
        assert found[3 + wave].item() == pytest.approx(math.cos(angle), abs=1e-9)


@given(times, times)
def test_motion_and_time_act_by_their_product(t, other):
    """Where motion is that of its latent alone, twice the motion is motion at twice the pace."""
    fuser = CoordinateFuser(4, 3, 0.25).double().requires_grad_(False)
    fuser.affine.weight[:, :4] = 0
    torch.testing.assert_close(
        waves([2 * t, 2 * other], fuser=fuser), waves([t, other], motion_z=2 * MOTION, fuser=fuser)
    )


def test_without_motion_nothing_moves():
    fuser = CoordinateFuser(4, 3, 0.25).double().requires_grad_(False)
    fuser.affine.weight.zero_()
    still = waves([0.0, 0.3, 5.0], fuser=fuser)
    assert torch.equal(still, still[:, :1].expand_as(still))
    assert not torch.equal(waves([0.0]), waves([0.1]))


def test_a_finer_grid_holds_the_coarser_one():
    torch.testing.assert_close(waves([0.4], side=8)[..., 1::2, ::2], waves([0.4], side=4))
