"""The motion code is continuous, hits what its points ask for, and never repeats."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vidbench.models.stylegan_v.motion import Motion, MotionEncoder, waves

MOTION = Motion(
    z_dim=6, v_dim=8, kernel_size=3, distance=10, time_dim=5, min_period=8, max_period=96, max_num_frames=100
)


def encoder(c_dim: int = 0) -> MotionEncoder:
    torch.manual_seed(0)
    return MotionEncoder(MOTION, c_dim).double()


def tokens(n: int = 1) -> torch.Tensor:
    return torch.randn(n, 40, MOTION.z_dim, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@given(st.integers(1, 30))
def test_the_code_passes_through_its_points_from_both_sides(j):
    network, z = encoder(), tokens()
    at = network.time_encoder.aligners_predictor(network.trajectory(z)[:, j])
    here = torch.tensor([[j * 10.0, j * 10 - 1e-9, j * 10 + 1e-9]], dtype=torch.float64)
    v = network(here, z)
    torch.testing.assert_close(v, at[:, None].expand_as(v), rtol=0, atol=1e-6)


@given(st.floats(0, 300), st.floats(0, 300))
def test_the_code_of_two_times_differs(s, t):
    if abs(s - t) > 0.1:
        v = encoder()(torch.tensor([[s, t]], dtype=torch.float64), tokens())
        assert (v[:, 0] - v[:, 1]).abs().max() > 1e-4


@given(st.floats(0, 300))
def test_equal_tokens_leave_the_wave_minus_its_chord(t):
    network, z = encoder(), tokens()[:, :1].expand(-1, 40, -1)
    u = network.trajectory(z)
    torch.testing.assert_close(u, u[:, :1].expand_as(u))
    time = network.time_encoder
    freqs = time.freqs * (time.periods_predictor(u[:, :1]).tanh() + 1)
    phases = time.phase_predictor(u[:, :1]) * time.phase_scales
    j = int(t // 10)
    e, left, right = (waves(freqs, phases, torch.tensor([[x]], dtype=torch.float64)) for x in (t, j * 10, j * 10 + 10))
    expected = e - left.lerp(right, t / 10 - j) + time.aligners_predictor(u[:, :1])
    torch.testing.assert_close(network(torch.tensor([[t]], dtype=torch.float64), z), expected)


def test_angles_an_hour_later_are_as_exact_as_the_first():
    """A float32 angle there is off by thousandths, which would shake neighbouring frames."""
    freqs, phases = torch.rand(1, 1, 50), torch.randn(1, 1, 50)
    t = torch.tensor([[36000 + 1 / 3]], dtype=torch.float64)
    angles = freqs.double() * t + phases.double()
    exact = torch.cat([angles.sin(), angles.cos()], dim=-1)
    torch.testing.assert_close(waves(freqs, phases, t).double(), exact, rtol=0, atol=1e-7)
    assert ((freqs * t.float() + phases).sin().double() - angles.sin()).abs().max() > 5e-4


def test_a_label_joins_every_token():
    network, z = encoder(c_dim=3), tokens(2)
    t = torch.tensor([[5.0], [5.0]])
    labels = torch.eye(3, dtype=torch.float64)[:2]
    both = network(t, z[:1].expand(2, -1, -1), labels)
    assert (both[0] - both[1]).abs().max() > 1e-5


@pytest.mark.parametrize("last", [0, 9.99, 10, 10.5, 300])
def test_the_number_of_tokens_is_just_enough(last):
    network, t = encoder(), torch.tensor([[float(last)]])
    needed = MOTION.num_tokens(last)
    assert network(t, tokens()[:, :needed]).shape == (1, 1, 10)
    with pytest.raises(ValueError, match="tokens"):
        network(t, tokens()[:, : needed - 1])


def test_the_number_of_tokens_of_training_videos_is_the_papers():
    assert Motion().num_tokens(1024 - 1 + 1e-9) == 63 + 2 + 20
