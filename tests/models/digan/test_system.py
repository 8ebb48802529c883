"""DIGAN as it is sampled: any frame at any time, in any order; options."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.digan.small import config, gan, update
from vidbench.models.digan import DIGAN
from vidbench.testing import check_generator, check_round_trip

STAGE = gan()
for step in range(2):
    update(STAGE, step)
STATES = {"gan": {name: dict(part) for name, part in STAGE.state().items()}}


def make(**options) -> DIGAN:
    return DIGAN.from_states(config(), STATES, 25.0, **options)


GENERATOR = make()


def close(a, b):
    torch.testing.assert_close(a, b, rtol=0, atol=1e-4)


def test_it_keeps_what_generators_promise():
    check_generator(make, 6)
    check_round_trip(DIGAN, config(), STATES)


@settings(max_examples=10)
@given(st.integers(0, 60), st.integers(1, 40), st.integers(1, 40))
def test_a_window_is_that_of_one_video_wherever_it_is_cut(start, count, more):
    video = GENERATOR.sample([5], count + more, start)
    close(GENERATOR.sample([5], count, start), video[:, :, :count])
    close(GENERATOR.sample([5], more, start + count), video[:, :, count:])


def test_a_training_clip_is_the_time_from_0_to_1():
    w, motion_z = GENERATOR._latents([3])
    with torch.no_grad():
        frames = GENERATOR.network.synthesis(w, torch.linspace(0, 1, 6)[None], motion_z)
    close(GENERATOR.sample([3], 6)[0].transpose(0, 1), frames.clamp(-1, 1))


def test_many_videos_at_once_are_those_one_by_one(monkeypatch):
    seeds = [7, 1, 2**63 - 1, 7, 0]
    alone = torch.cat([GENERATOR.sample([seed], 5) for seed in seeds])
    close(GENERATOR.sample(seeds, 5), alone)
    monkeypatch.setattr("vidbench.models.digan.system.fitting", lambda *_: 2)
    close(GENERATOR.sample(seeds, 5), alone)


def test_another_frame_rate_shows_the_same_motion():
    quick, slow = make(fps=12.5), make(fps=100.0)
    usual = GENERATOR.sample([3], 9)
    assert (quick.fps, slow.fps, slow.time_step) == (12.5, 100.0, 0.25)
    close(quick.sample([3], 5), usual[:, :, ::2])
    close(slow.sample([3], 33)[:, :, ::4], usual)
    assert (slow.sample([3], 3)[:, :, 1:] - usual[:, :, :1]).abs().max() > 0


def test_an_offset_moves_the_beginning_also_into_the_past():
    close(make(offset=7.0).sample([3], 4), GENERATOR.sample([3], 4, 7))
    close(make(offset=-2.0).sample([3], 4, 2), GENERATOR.sample([3], 4))
    assert not torch.equal(make(offset=-1.0).sample([3], 1), GENERATOR.sample([3], 1))


@pytest.mark.parametrize("start", [100_000, 10_000_000])
def test_hours_later_videos_still_move_and_are_the_same_however_they_are_cut(start):
    far, near = GENERATOR.sample([3], 40, start), GENERATOR.sample([3], 40)
    assert torch.isfinite(far).all()
    assert 0.1 < far.diff(dim=2).abs().mean() / near.diff(dim=2).abs().mean() < 10
    close(GENERATOR.sample([3], 3, start + 20), far[:, :, 20:23])


def test_only_motion_is_left_of_full_truncation():
    w, motion_z = make(truncation=0.0)._latents([1, 2])
    average = STATES["gan"]["G_ema"]["mapping.w_avg"]
    torch.testing.assert_close(w, average.expand(2, -1))
    assert not torch.equal(motion_z[0], motion_z[1])
    assert make(truncation=0.5)._latents([1, 2])[0].std(dim=0).max() < GENERATOR._latents([1, 2])[0].std(dim=0).max()


def test_it_says_what_it_is():
    assert GENERATOR.size == DIGAN.size_of(config()) == (16, 16)
    assert (GENERATOR.fps, GENERATOR.max_frames) == (25.0, None)


@pytest.mark.parametrize("options", [{"fps": 0}, {"fps": 50, "time_step": 2.0}, {"time_step": 0.0}])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match="must be above 0"):
        make(**options)


def test_devices_without_float64_are_refused_before_anything_is_made():
    with pytest.raises(ValueError, match="mps does not have; use cpu or cuda"):
        DIGAN.from_states(config(), STATES, 25.0, "mps")


def test_states_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="the stage gan is not trained"):
        DIGAN.from_states(config(), {"gan": {"D": {}}}, 25.0)
    with pytest.raises(ValueError, match=r"the tensors do not fit the network: .*instead of"):
        DIGAN.from_states(config({"w_dim": 12}), STATES, 25.0)
