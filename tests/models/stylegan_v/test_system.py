"""StyleGAN-V as it is sampled: any frame at any time, in any order; options."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.stylegan_v.small import config, gan, update
from vidbench.models.stylegan_v import StyleGANV
from vidbench.models.stylegan_v.system import chunks

STAGE = gan()
for step in range(2):
    update(STAGE, step)
STATES = {"gan": {name: dict(part) for name, part in STAGE.state().items()}}


def make(**options) -> StyleGANV:
    return StyleGANV.from_states(config(), STATES, 25.0, **options)


GENERATOR = make()


def close(a, b):
    torch.testing.assert_close(a, b, rtol=0, atol=1e-4)


@settings(max_examples=20)
@given(st.integers(0, 60), st.integers(1, 40), st.integers(1, 40))
def test_a_window_is_that_of_one_video_wherever_it_is_cut(start, count, more):
    video = GENERATOR.sample([5], count + more, start)
    close(GENERATOR.sample([5], count, start), video[:, :, :count])
    close(GENERATOR.sample([5], more, start + count), video[:, :, count:])


@given(st.integers(0, 100), st.integers(1, 100))
def test_pieces_cover_a_window_and_begin_at_multiples_of_32(start, count):
    pieces = list(chunks(start, count))
    assert [t for first, n in pieces for t in range(first, first + n)] == list(range(start, start + count))
    assert all(first % 32 == 0 for first, _ in pieces[1:])
    assert max(n for _, n in pieces) <= 32


def test_many_videos_at_once_are_those_one_by_one(monkeypatch):
    seeds = [7, 1, 2**63 - 1, 7, 0]
    alone = torch.cat([GENERATOR.sample([seed], 5) for seed in seeds])
    close(GENERATOR.sample(seeds, 5), alone)
    monkeypatch.setattr("vidbench.models.stylegan_v.system.fitting", lambda *_: 2)
    close(GENERATOR.sample(seeds, 5), alone)


def test_another_frame_rate_shows_the_same_motion():
    usual, quick, slow = make().sample([3], 9), make(fps=12.5), make(fps=100.0)
    assert (quick.fps, slow.fps) == (12.5, 100.0)
    close(quick.sample([3], 5), usual[:, :, ::2])
    close(slow.sample([3], 33)[:, :, ::4], usual)
    assert slow.time_step == 0.25
    between = slow.sample([3], 3)[:, :, 1:]
    assert (between - usual[:, :, :1]).abs().max() > 0


def test_frames_between_frames_lie_between_them_in_time():
    """Neighbours in time are alike: the quicker the camera, the less changes from frame to frame."""
    changes = [
        make(time_step=step).sample([3], 17)[:, :, 8:].diff(dim=2).abs().mean().item() for step in (1.0, 1 / 4, 1 / 16)
    ]
    assert changes[0] > 2 * changes[1] > 4 * changes[2] > 0


def test_an_offset_moves_the_beginning():
    close(make(offset=7.0).sample([3], 4), GENERATOR.sample([3], 4, 7))
    close(make(offset=0.5, time_step=0.5).sample([3], 4, 1), make(time_step=0.5).sample([3], 4, 2))


@pytest.mark.parametrize("start", [100_000, 10_000_000])
def test_hours_later_videos_still_move(start):
    far = GENERATOR.sample([3], 40, start)
    assert torch.isfinite(far).all()
    near = GENERATOR.sample([3], 40)
    assert 0.2 < far.diff(dim=2).abs().mean() / near.diff(dim=2).abs().mean() < 5
    close(GENERATOR.sample([3], 3, start + 20), far[:, :, 20:23])


def test_no_truncation_has_many_styles_and_full_truncation_one():
    def spread(psi):
        return make(truncation=psi)._style([1, 2, 3])[0].std(dim=0).max().item()

    assert spread(0.0) < 1e-6 < spread(0.5) < spread(1.0)
    average = STATES["gan"]["G_ema"]["mapping.w_avg"]
    assert torch.allclose(make(truncation=0.0)._style([1])[0][0, 0], average)
    assert torch.equal(make(truncation=1.0).sample([1], 2), GENERATOR.sample([1], 2))


def test_only_motion_is_left_of_full_truncation():
    still = make(truncation=0.0).sample([1, 2], 4)
    assert not torch.equal(still[0], still[1])


def test_a_stream_goes_on_and_its_tokens_are_those_of_a_sample():
    stream = GENERATOR.stream(11)
    streamed = torch.cat([next(stream) for _ in range(4)], dim=1)
    close(streamed[None], GENERATOR.sample([11], 128))


def test_a_conditional_model_draws_a_label_a_video():
    made = config({"c_dim": 5})
    from vidbench.models.stylegan_v.networks import build_generator

    torch.manual_seed(0)
    network = build_generator(made.model, "cpu")
    generator = StyleGANV.from_states(made, {"gan": {"G_ema": network.state_dict()}}, 25.0)
    _, labels = generator._style(list(range(40)))
    assert labels is not None
    assert labels.shape == (40, 5)
    assert (labels.sum(dim=1) == 1).all()
    assert (labels.sum(dim=0) > 0).all()
    close(generator.sample([4, 9], 3)[1:], generator.sample([9], 3))


def test_it_says_what_it_is():
    assert GENERATOR.size == StyleGANV.size_of(config()) == (16, 16)
    assert (GENERATOR.fps, GENERATOR.max_frames) == (25.0, None)
    assert math.isclose(GENERATOR.time_step, 1)


@pytest.mark.parametrize(
    "options", [{"fps": 0}, {"fps": 50, "time_step": 2.0}, {"time_step": 0.0}, {"offset": -1.0}, {"time_step": -1.0}]
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match="must be above 0"):
        make(**options)


def test_options_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match="could not convert string to float"):
        make(truncation="half")


def test_devices_without_float64_are_refused_before_anything_is_made():
    with pytest.raises(ValueError, match="mps does not have; use cpu or cuda"):
        StyleGANV.from_states(config(), STATES, 25.0, "mps")


@pytest.mark.parametrize(
    ("model", "gan", "message"),
    [
        ({"resolution": 48}, {}, "resolution 48 is no power of two"),
        ({"num_fp16_res": 10**12}, {}, "num_fp16_res"),
        ({"mbstd_group_size": 0}, {}, "mbstd_group_size"),
        ({"motion": {"distance": 0}}, {}, "distance and periods must be above 0"),
        ({"motion": {"min_period": 64, "max_period": 16}}, {}, "min_period at most max_period"),
        ({}, {"r1_every": 0}, "r1_every"),
        ({}, {"ada_kvideos": 0}, "ada_kvideos"),
    ],
)
def test_configurations_that_cannot_work_are_refused(model, gan, message):
    with pytest.raises(ValueError, match=message):
        config(model, **gan)


def test_states_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="the stage gan is not trained"):
        StyleGANV.from_states(config(), {"gan": {"D": {}}}, 25.0)
    with pytest.raises(ValueError, match=r"the tensors do not fit the network: .*instead of"):
        StyleGANV.from_states(config({"w_dim": 12}), STATES, 25.0)
