"""The motion code of a frame depends on the tokens up to it, and is the same however one gets there."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vidbench.models.mocogan_sg2.motion import MotionEncoder

torch.manual_seed(0)
ENCODER = MotionEncoder(z_dim=4, v_dim=6).double().requires_grad_(False)
TOKENS = torch.randn(2, 24, 4, dtype=torch.float64)
ALL = ENCODER(torch.arange(24).expand(2, -1), TOKENS)


@given(st.lists(st.integers(0, 23), min_size=1, max_size=6))
def test_a_code_depends_on_its_time_alone(times):
    torch.testing.assert_close(ENCODER(torch.tensor([times] * 2), TOKENS), ALL[:, times])


def test_videos_may_be_seen_at_different_times():
    both = ENCODER(torch.tensor([[3, 4], [20, 0]]), TOKENS)
    torch.testing.assert_close(both, torch.stack([ALL[0, [3, 4]], ALL[1, [20, 0]]]))


@given(st.integers(0, 23), st.integers(0, 23))
def test_tokens_matter_from_their_frame_on(t, changed):
    tokens = TOKENS.clone()
    tokens[:, changed] += 1
    moved = (ENCODER(torch.tensor([[t]] * 2), tokens)[:, 0] - ALL[:, t]).abs().amax(dim=1)
    assert (moved > 1e-12).all() if changed <= t else (moved == 0).all()


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_a_walk_in_steps_is_one_walk(lengths):
    state, start, codes = None, 0, []
    for length in lengths:
        u, state = ENCODER.walk(TOKENS[:, start : start + length], state)
        codes.append(ENCODER.codes(u))
        start += length
        if start >= 24:
            break
    walked = torch.cat(codes, dim=1)
    torch.testing.assert_close(walked, ALL[:, : walked.shape[1]])


@pytest.mark.parametrize("times", [[-1], [24], [0, 30]])
def test_times_without_tokens_are_refused(times):
    with pytest.raises(ValueError, match=f"Frames {min(times)} to {max(times)} were asked for; given were tokens 0"):
        ENCODER(torch.tensor([times] * 2), TOKENS)
