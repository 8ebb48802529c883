"""The motion stage's step: what moves when, what is drawn for whom, what is kept, and that processes stay alike."""

import numpy as np
import pytest
import torch

from tests.models.mocogan_hd.small import (
    FRAMES,
    config,
    copied,
    image_state,
    motion_stage,
    moved,
    parameters,
    step_of,
    update,
    watch,
    watch_draws,
)
from tests.models.resuming import take_over
from tests.models.two_processes import together
from vidbench.models.mocogan_hd import MotionGAN
from vidbench.models.mocogan_hd.config import MotionStage
from vidbench.models.mocogan_hd.motion_stage import Reader
from vidbench.sources import source_from_array
from vidbench.stage import Origin

BOTH = pytest.mark.parametrize("across", [False, True], ids=["one domain", "across"])
STATISTICS = ("running_mean", "running_var")


def test_the_authors_values_are_the_defaults():
    stage = MotionStage(steps=1, batch=1, checkpoint_every=1, evaluate_every=1, metric="fvd16")
    assert (stage.lr, stage.generator_steps, stage.pca_styles) == (1e-4, 5, 250 * 4000)
    assert (stage.information, stage.match, stage.penalty) == (1, 1, 10)


@BOTH
def test_adam_is_the_authors(across):
    for name, optimizer in motion_stage(across).optimizers.items():
        [group] = optimizer.param_groups
        expected = ((0, 0.999), 1e-6) if across and name == "D_image" else ((0.5, 0.999), 1e-8)
        assert (group["lr"], group["betas"], group["eps"]) == (1e-4, *expected)


def statistics(stage, *networks):
    """What calls in training mode move."""
    return {
        name for name in copied(stage)
        if name.startswith(networks) and name.endswith((*STATISTICS, "weight_u", "weight_v"))
    }  # fmt: skip


@BOTH
def test_a_step_is_made_of_parts_in_order_each_of_which_moves_what_it_should(across, monkeypatch):
    stage = motion_stage(across)
    parts = watch(stage, ["_find_directions", "_update_generator", "_update_discriminators"], monkeypatch)
    logs = update(stage, 0)
    names = ["_find_directions", "_update_generator", "_update_generator", "_update_discriminators"]
    assert [name for name, _ in parts] == names
    assert parts[0][1] == {"R/steps"}
    dead = {"R/enc_cell.weight_hh"}  # the state before the first frame is zero
    walks = parameters(stage, "R") - dead
    judges = statistics(stage, "D_video/", "D_image/")
    queues = {"D_image/q_real", "D_image/q_fake", "D_image/q_ptr"} if across else set()
    assert walks <= parts[2][1] <= walks | judges | queues
    converged = {name for name in judges if ".linear." in name}  # a row is its own singular vector
    assert queues | judges - converged <= parts[2][1]
    copy_of = {name for name in copied(stage) if name.startswith("D_image/momentum.")}
    judged = parameters(stage, "D_video") | parameters(stage, "D_image")
    now = parts[3][1]
    assert now <= judged | judges | copy_of
    assert {name for name in judged if name.endswith(("0.weight", "weight_orig"))} <= now
    if across:
        assert {name for name in copy_of if name.endswith("weight_orig")} <= now
        assert not {name for name in copy_of if name.endswith(("weight_u", "weight_v"))} & now
    assert not any(name.startswith("G_ema/") for _, part in parts for name in part)
    parts.clear()
    update(stage, 1)
    assert [name for name, _ in parts] == names[1:]
    losses = {"loss_image", "loss_video", "information", "loss_D_video", "penalty", "loss_D_image"}
    assert logs.keys() == losses | ({"match", "contrastive"} if across else set())
    assert all(value.numel() == 1 and torch.isfinite(value) for value in logs.values())


@BOTH
def test_each_random_number_of_a_step_is_used_once(across, monkeypatch):
    names = watch_draws(monkeypatch)
    update(motion_stage(across), 0)
    assert {f"normal/{part}/{what}" for part in ("R0", "R1", "D") for what in ("z", "e", "noise/6")} <= set(names)
    assert sum(name.startswith("uniform/") for name in names) == (1 + 4 + 2 * 2 if across else 1)
    assert len(names) == len(set(names))


def test_directions_are_those_in_which_the_frozen_generator_s_styles_differ():
    stage, other = motion_stage(), motion_stage()
    update(stage, 0)
    torch.manual_seed(7)
    update(other, 3)
    assert torch.equal(stage.R.steps, other.R.steps)
    deviations = stage.R.steps.norm(dim=1)
    assert (deviations.diff() < 0).all()
    directions = stage.R.steps / deviations[:, None]
    torch.testing.assert_close(directions @ directions.T, torch.eye(4), rtol=0, atol=1e-5)
    styles = stage.G.styles(torch.randn(20_000, 6, generator=torch.Generator().manual_seed(5)))
    torch.testing.assert_close((styles @ directions.T).std(dim=0), deviations, rtol=0.15, atol=0)


def test_frames_and_coins_fall_anywhere_and_alike_in_all_processes():
    stage, coins, frames = motion_stage(), [], []
    for index in range(60):
        shares = [step_of(stage, index, rank, world).shared("D") for rank, world in ((0, 1), (0, 2), (1, 2))]
        fallen = {(stage._coins(chance), stage._frame(chance)) for chance in shares}
        assert len(fallen) == 1
        [(coin, frame)] = fallen
        coins.append(coin)
        frames.append(frame)
    assert set(coins) == {(real, fake) for real in (False, True) for fake in (False, True)}
    assert set(frames) == set(range(1, FRAMES))


@BOTH
def test_a_run_goes_on_from_its_tensors_alone(across):
    """Of another image generator, too: the one that motion was learnt for is among the tensors."""
    stage, other = motion_stage(across), motion_stage(across)
    update(stage, 0)
    with torch.no_grad():
        for parameter in other.G.parameters():
            parameter.normal_()
    take_over(other, stage)
    for index in (1, 2):
        update(stage, index)
        update(other, index)
    assert not moved(copied(stage), other)
    assert not any(parameter.requires_grad for parameter in other.G.parameters())


@BOTH
def test_two_processes_stay_alike(across, monkeypatch):
    """Means that losses compare with, and running statistics that nothing reads, are each process's own."""
    stages = together(update, lambda: motion_stage(across, generator_steps=1), 0, monkeypatch)
    own, beside = map(copied, stages)
    for name, tensor in own.items():
        if not name.endswith(STATISTICS):
            assert torch.equal(tensor, beside[name]), name


def test_the_queues_of_two_processes_are_those_of_one(monkeypatch):
    stage, other = (motion_stage(True, generator_steps=1) for _ in range(2))
    start = copied(stage)
    update(stage, 0)
    other, _ = together(update, lambda: motion_stage(True, generator_steps=1), 0, monkeypatch)
    now, shared = copied(stage), copied(other)
    assert int(other.D_image.q_ptr) == 4
    for name in ("D_image/q_real", "D_image/q_fake"):
        torch.testing.assert_close(shared[name], now[name], rtol=1e-4, atol=1e-5)
        assert torch.equal(now[name][4:], start[name][4:])
        assert not torch.equal(now[name][:4], start[name][:4])


def test_it_needs_an_image_generator():
    for before in ({}, {"image": {}}):
        with pytest.raises(ValueError, match=r"the stage image is not trained$"):
            MotionGAN(config(), Origin((32, 32), 25.0), "cpu", before)


def test_the_image_generator_is_frozen_as_it_is():
    stage, given = motion_stage(), image_state()["G_ema"]
    assert not stage.G.training
    assert not any(parameter.requires_grad for parameter in stage.G.parameters())
    update(stage, 0)
    assert all(torch.equal(tensor, given[name]) for name, tensor in stage.G.state_dict().items())


def textures(frames=13):
    """Two videos, all frames of which differ."""
    videos = np.random.default_rng(0).integers(0, 256, (2, frames, 32, 32, 3), np.uint8)
    return source_from_array("noise", videos, 25.0).resized((32, 32))


def test_a_sample_is_every_second_frame_of_a_part_of_a_video_at_the_discriminators_size():
    stage, source = motion_stage(), textures()
    assert (stage.reader, stage.frames) == (Reader(16, FRAMES, 2), 2 * FRAMES + 1)
    video = source.videos[1]
    whole = torch.from_numpy(source.reduced((16, 16)).read(video, 0, 13)).swapaxes(0, 1)
    found = set()
    for seed in range(40):
        clip = stage.reader(source, video, torch.Generator().manual_seed(seed))["clip"]
        assert (clip.shape, clip.dtype) == ((FRAMES, 3, 16, 16), torch.uint8)
        [start] = [t for t in range(13) if torch.equal(whole[t : t + 10 : 2], clip)]
        found.add(start)
    assert found == {0, 1, 2}
    shortest = textures(stage.frames)
    stage.reader(shortest, shortest.videos[0], torch.Generator())


def test_a_preview_is_of_the_walks_as_they_are():
    stage = motion_stage()
    update(stage, 0)
    preview = stage.preview(textures(), 16)
    assert preview.motion is stage.R
    assert preview.image is stage.G
    assert (preview.size, preview.fps) == ((32, 32), 12.5)
    assert preview.sample([0], 3).shape == (1, 3, 3, 32, 32)
    update(stage, 1)  # sampling leaves it trainable
