"""MoCoGAN+SG2 as it is sampled: any window of an endless video, in constant memory; options."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.mocogan_sg2.small import config, gan, update
from vidbench.models.mocogan_sg2 import MoCoGANSG2
from vidbench.testing import check_generator, check_round_trip

STAGE = gan()
for step in range(2):
    update(STAGE, step)
STATES = {"gan": {name: dict(part) for name, part in STAGE.state().items()}}


def make(**options) -> MoCoGANSG2:
    return MoCoGANSG2.from_states(config(), STATES, 25.0, **options)


GENERATOR = make()


def close(a, b):
    torch.testing.assert_close(a, b, rtol=0, atol=1e-4)


def test_it_keeps_what_the_interface_promises():
    check_generator(make, 24)
    check_round_trip(MoCoGANSG2, config(), STATES)


@settings(max_examples=10)
@given(st.integers(0, 60), st.integers(1, 40), st.integers(1, 40))
def test_a_window_is_that_of_one_video_wherever_it_is_cut(start, count, more):
    video = GENERATOR.sample([5], count + more, start)
    assert video.shape == (1, 3, count + more, 16, 16)
    close(GENERATOR.sample([5], count, start), video[:, :, :count])
    close(GENERATOR.sample([5], more, start + count), video[:, :, count:])


def test_many_videos_at_once_are_those_one_by_one(monkeypatch):
    seeds = [7, 1, 2**63 - 1, 7, 0]
    alone = torch.cat([GENERATOR.sample([seed], 5) for seed in seeds])
    close(GENERATOR.sample(seeds, 5), alone)
    monkeypatch.setattr("vidbench.models.mocogan_sg2.system.fitting", lambda *_: 2)
    close(GENERATOR.sample(seeds, 5), alone)


def test_a_stream_keeps_the_state_of_the_lstm_alone(monkeypatch):
    walks, walk = [], GENERATOR.network.synthesis.motion_encoder.walk

    def watched(tokens, state):
        walks.append((tokens.shape[1], state))
        return walk(tokens, state)

    monkeypatch.setattr(GENERATOR.network.synthesis.motion_encoder, "walk", watched)
    stream = GENERATOR.stream(11)
    streamed = torch.cat([next(stream) for _ in range(5)], dim=1)
    assert [length for length, _ in walks] == [16] * 5
    assert walks[0][1] is None
    assert all([part.shape for part in state] == [(1, 1, 4)] * 2 for _, state in walks[1:])
    close(streamed[None], GENERATOR.sample([11], 80))


def test_frames_before_a_window_are_not_made(monkeypatch):
    made, forward = [], GENERATOR.network.synthesis.forward
    monkeypatch.setattr(GENERATOR.network.synthesis, "forward", lambda w, v: made.append(v.shape[1]) or forward(w, v))
    GENERATOR.sample([1, 2], 20, 100)
    assert sum(made) == 20


def test_hours_later_videos_still_move():
    far = GENERATOR.sample([3], 40, 20_000)
    near = GENERATOR.sample([3], 40)
    assert 0.2 < far.diff(dim=2).abs().mean() / near.diff(dim=2).abs().mean() < 5


def test_no_truncation_has_many_styles_and_full_truncation_one():
    def spread(psi):
        return make(truncation=psi)._style([1, 2, 3]).std(dim=0).max().item()

    assert spread(0.0) < 1e-6 < spread(0.5) < spread(1.0)
    average = STATES["gan"]["G_ema"]["mapping.w_avg"]
    assert torch.allclose(make(truncation=0.0)._style([1])[0, 0], average)
    assert torch.equal(make(truncation=1.0).sample([1], 2), GENERATOR.sample([1], 2))


def test_only_motion_is_left_of_full_truncation():
    alike = make(truncation=0.0).sample([1, 2], 4)
    assert not torch.equal(alike[0], alike[1])


def test_it_says_what_it_is():
    assert GENERATOR.size == MoCoGANSG2.size_of(config()) == (16, 16)
    assert (GENERATOR.fps, GENERATOR.max_frames, GENERATOR.continuous) == (25.0, None, False)


def test_options_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match="could not convert string to float"):
        make(truncation="half")


def test_states_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="the stage gan is not trained"):
        MoCoGANSG2.from_states(config(), {"gan": {"D": {}}}, 25.0)
    with pytest.raises(ValueError, match=r"the tensors do not fit the network: .*instead of"):
        MoCoGANSG2.from_states(config({"w_dim": 12}), STATES, 25.0)
