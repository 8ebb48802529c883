"""MoCoGAN-HD as it is trained, kept and sampled: walks that begin alike however long they are, options, stages."""

from itertools import islice

import numpy as np
import pytest
import torch

from tests.models.mocogan_hd.small import config, image_state, motion_stage, update
from tests.vidbench.systems import Listener
from vidbench.checkpoints import load_checkpoint, read_about
from vidbench.config import change
from vidbench.draws import draw
from vidbench.errors import UserError
from vidbench.models.mocogan_hd import MoCoGANHD
from vidbench.models.mocogan_hd import system as module
from vidbench.models.mocogan_hd.video import interpolated
from vidbench.runs import Run, load_settings
from vidbench.sources import source_from_array
from vidbench.testing import check_generator, check_round_trip
from vidbench.training import train

LENGTH = 37


def moving_states():
    """Of both stages; the walk's weights are far larger than at the start of training."""
    stage = motion_stage()
    update(stage, 0)
    with torch.no_grad():
        stage.R.w.mul_(50)
    return {"image": image_state(), "motion": {name: dict(part) for name, part in stage.state().items()}}


STATES = moving_states()


def make(**options) -> MoCoGANHD:
    return MoCoGANHD.from_states(config(), STATES, 30.0, **options)


MADE = make()
WHOLE = MADE.sample([5], LENGTH)


def close(a, b):
    torch.testing.assert_close(a, b, rtol=0, atol=1e-4)


def moves(videos):
    """How far pixels change from frame to frame."""
    return videos.diff(dim=2).abs().max().item()


@pytest.mark.parametrize("interpolate", [False, True])
@pytest.mark.parametrize(("start", "count"), [(0, 1), (0, 16), (1, 20), (15, 3), (16, 16), (30, 7), (36, 1)])
def test_a_window_is_that_of_a_longer_video_wherever_it_lies(interpolate, start, count):
    generator = make(interpolate=True) if interpolate else MADE
    whole = generator.sample([5], LENGTH) if interpolate else WHOLE
    close(generator.sample([5], count, start), whole[:, :, start : start + count])


@pytest.mark.parametrize("interpolate", [False, True])
def test_a_stream_is_the_sample_in_chunks(interpolate):
    generator = make(interpolate=interpolate)
    chunks = list(islice(generator.stream(5), 3))
    assert [chunk.shape[1] for chunk in chunks] == [module.CHUNK] * 3
    close(torch.cat(chunks, dim=1)[None, :, :LENGTH], generator.sample([5], LENGTH))


def test_a_video_does_not_depend_on_others(monkeypatch):
    together = MADE.sample([7, 5, 2**63 - 1], 4, 10)
    close(together[1:2], WHOLE[:, :, 10:14])
    close(together[2:], MADE.sample([2**63 - 1], 4, 10))
    assert (together[0] - together[1]).abs().max() > 0.01
    monkeypatch.setattr(module, "fitting", lambda *_, **__: 1)
    close(MADE.sample([7, 5], 4, 10), together[:2])


def test_it_is_a_generator():
    check_generator(make)
    check_generator(lambda: make(still=True))


def test_the_first_frame_is_the_image_of_the_first_latent_and_the_noise_of_the_video():
    z = torch.randn(1, 6, generator=draw(5, "z"))
    network = MADE.image
    noise = [
        torch.randn(1, 1, side, side, generator=draw(5, "noise", layer))
        for layer, side in enumerate(network.synthesis.noise_sides)
    ]
    with torch.no_grad():
        image = network(z, noise).clamp(-1, 1)
    close(WHOLE[:, :, 0], image)
    close(make(still=True).sample([5], 1)[:, :, 0], image)


def test_each_step_has_noise_of_its_own_that_is_the_video_s():
    _, styles = MADE._walk([5], MADE._start([5]), 0, 6)
    e = torch.stack([torch.randn(6, generator=draw(5, "e", t)) for t in range(1, 6)])
    with torch.no_grad():
        expected, _ = MADE.motion(styles[:, 0], e[None])
    close(styles, expected)
    assert (styles - MADE._walk([6], MADE._start([5]), 0, 6)[1]).abs().max() > 0.01


def test_steps_stay_below_their_bound_along_the_directions_that_there_are():
    _, styles = MADE._walk([5], MADE._start([5]), 0, LENGTH)
    steps = MADE.motion.steps
    deviations = steps.norm(dim=1)
    moves = styles[0].diff(dim=0)
    along = moves @ (steps / deviations[:, None]).T
    assert 0.05 < (along.abs() / deviations).max() <= 0.2 + 1e-4
    close(along @ (steps / deviations[:, None]), moves)


def test_strength_is_how_far_steps_go_and_without_any_a_video_is_still():
    assert moves(make(strength=0).sample([5], 6)) < 1e-5
    assert moves(WHOLE) > 0.1
    steps = [
        generator._walk([5], generator._start([5]), 0, 6)[1].diff(dim=1)
        for generator in (make(strength=0.1), MADE, make(strength=0.4))
    ]
    close(steps[1], 2 * steps[0])
    close(steps[2], 4 * steps[0])


def test_noise_is_one_map_a_video_and_can_be_left_out():
    plain, noisy = (make(noise=noise, strength=0).sample([5], 4) for noise in (False, True))
    assert max(moves(plain), moves(noisy)) < 1e-5
    assert (plain - noisy).abs().max() > 0.01


def test_without_noise_its_draws_do_not_matter(monkeypatch):
    quiet = make(noise=False)
    before = quiet.sample([5], 4)
    monkeypatch.setattr(MoCoGANHD, "_noise", lambda self, seeds: None)
    assert torch.equal(quiet.sample([5], 4), before)
    monkeypatch.undo()
    for name, tensor in quiet.image.named_buffers():
        if name.endswith("noise_const"):
            tensor.add_(1)
    assert torch.equal(quiet.sample([5], 4), before)


def test_truncation_draws_all_styles_to_their_average():
    average = make(truncation=0, noise=False).sample([5, 6], 4)
    assert moves(average) < 1e-5
    close(average[0], average[1])
    half = make(truncation=0.5)
    _, styles = half._walk([5], half._start([5]), 0, 4)
    noise = half._noise([5])
    middle = (styles + half.image.mapping.w_avg) / 2
    close(half.sample([5], 4), MADE._frames(middle, noise))


def test_between_any_two_frames_there_can_be_one_halfway():
    twice = make(interpolate=True)
    assert twice.fps == 2 * MADE.fps == 30
    close(twice.sample([5], 2 * LENGTH - 1)[:, :, ::2], WHOLE)
    _, styles = MADE._walk([5], MADE._start([5]), 0, 9)
    _, between = twice._walk([5], twice._start([5]), 0, 17)
    close(between, interpolated(styles))


def test_walks_drift_and_are_not_held_back():
    _, styles = MADE._walk([5], MADE._start([5]), 0, 400)
    away = (styles[0] - styles[0, 0]).norm(dim=1)
    assert away[399] > 2 * away[15]


def test_motion_is_sampled_with_the_generator_that_it_was_learnt_for():
    """The best image generator may be another than the last, which motion was learnt for."""
    other = {"G_ema": {name: x + 0.1 for name, x in STATES["image"]["G_ema"].items()}}
    found = MoCoGANHD.from_states(config(), {**STATES, "image": other}, 30.0)
    assert torch.equal(found.sample([5], 3), MADE.sample([5], 3))
    best = MoCoGANHD.from_states(config(), {**STATES, "image": other}, 30.0, still=True)
    assert not torch.equal(best.sample([5], 1), MADE.sample([5], 1))
    alone = {"image": STATES["image"], "motion": {"R": STATES["motion"]["R"]}}  # as in the authors' files
    assert torch.equal(MoCoGANHD.from_states(config(), alone, 30.0).sample([5], 3), MADE.sample([5], 3))


def test_it_says_what_it_is():
    assert MADE.size == MoCoGANHD.size_of(config()) == (32, 32)
    assert (MADE.fps, MADE.max_frames, make(still=True).fps) == (15.0, None, 30.0)
    assert list(MoCoGANHD.stages) == list(MoCoGANHD.needed) == list(MoCoGANHD.domains) == ["image", "motion"]


def test_missing_stages_are_named():
    with pytest.raises(ValueError, match=r"the stage motion is not trained; still=true makes videos without motion$"):
        MoCoGANHD.from_states(config(), {"image": STATES["image"]}, 30.0)
    with pytest.raises(ValueError, match=r"the stage image is not trained$"):
        MoCoGANHD.from_states(config(), {}, 30.0, still=True)
    swapped = {"image": {"G_ema": STATES["motion"]["R"]}}
    with pytest.raises(ValueError, match="the tensors do not fit the network"):
        MoCoGANHD.from_states(config(), swapped, 30.0, still=True)


def test_checkpoints_keep_its_videos():
    check_round_trip(MoCoGANHD, config(), STATES)


def test_across_domains_nothing_else_changes():
    own = load_settings(MoCoGANHD, "mocogan-hd", "ci", None, ())
    both = change(own, [MoCoGANHD.across])
    assert both.model.motion.cross_domain
    assert both.model_copy(update={"model": own.model}) == own
    with pytest.raises(UserError, match="across domains 32, 64, 128, 256 pixels are judged, not 16"):
        change(config(), [MoCoGANHD.across])


def real_videos(name="drift"):
    """Textures that drift to the right."""
    pictures = np.random.default_rng(len(name)).integers(0, 255, (3, 32, 32, 3), np.uint8)
    videos = np.stack([np.stack([np.roll(picture, t, axis=1) for t in range(40)]) for picture in pictures])
    return source_from_array(name, videos, 25.0).resized((32, 32))


def training(folder, across=False, **values):
    """A run on a few textures; across domains, of content and of motion."""
    values = {"steps": 3, "checkpoint_every": 2, "evaluate_every": 3, "metric": "fvd16@2"} | values
    made = config(across=across, image=values | {"augment": True}, motion=values | {"generator_steps": 1})
    others = {"image": real_videos("content")} if across else {}
    return Run("mocogan-hd", MoCoGANHD, made, "small", real_videos(), "toy3d", folder, workers=0, others=others)


@pytest.mark.parametrize("across", [False, True], ids=["one domain", "across"])
def test_a_training_that_was_stopped_ends_as_one_that_was_not(tmp_path, monkeypatch, across):
    monkeypatch.setattr("vidbench.training.Judge.look", lambda *arguments: None)
    whole, parts = (training(tmp_path / name, across) for name in ("whole", "parts"))
    train(whole, ["image", "motion"], None, Listener())
    train(parts, ["image"], 1, Listener())
    train(parts, ["image"], None, Listener())
    train(parts, ["motion"], 1, Listener())
    listener = Listener()
    train(parts, ["motion"], None, listener)
    assert "motion: goes on at step 1 of 3" in listener.heard()
    for stage in ("image", "motion"):
        one, two = (load_checkpoint(run.last(stage)) for run in (whole, parts))
        for ours, other in ((one.state, two.state), (one.optimizers, two.optimizers)):
            assert ours.keys() == other.keys() != set()
            for name, tensors in ours.items():
                assert all(torch.equal(tensor, other[name][key]) for key, tensor in tensors.items()), name
    assert read_about(whole.last("motion")).data == ("content+drift" if across else "drift")


def test_each_stage_is_scored_and_seen(tmp_path):
    run = training(tmp_path / "run", steps=1, evaluate_every=1)
    train(run, ["image", "motion"], None, Listener())
    for stage in ("image", "motion"):
        assert read_about(run.best(stage)).metric == "fvd16@2[toy3d]"
        assert (run.folder / "samples" / f"{stage}-0000001.mp4").exists()
