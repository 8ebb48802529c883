"""The image stage's step: its order, rates and losses, what is drawn for whom, and that processes share it exactly."""

import numpy as np
import pytest
import torch

from tests.models.mocogan_hd.small import (
    batches,
    copied,
    descend_plainly,
    image_stage,
    judge_linearly,
    moved,
    parameters,
    step_of,
    update,
    watch,
    watch_draws,
)
from tests.models.resuming import take_over
from tests.models.two_processes import together
from vidbench.models.mocogan_hd import image_stage as module
from vidbench.models.mocogan_hd.config import ImageStage
from vidbench.models.mocogan_hd.image_stage import Reader
from vidbench.sources import source_from_array

PARTS = [
    "_update_discriminator", "_regularise_discriminator", "_update_generator", "_regularise_generator", "_average"
]  # fmt: skip


def test_the_authors_values_are_the_defaults():
    stage = ImageStage(steps=1, batch=1, checkpoint_every=1, evaluate_every=1, metric="fvd16")
    assert (stage.lr, stage.gamma, stage.r1_every, stage.path_weight, stage.path_every) == (0.002, 10, 16, 2, 4)
    assert (stage.mixing, stage.mirror, stage.augment) == (0.9, True, False)
    assert stage.ema_decay == pytest.approx(0.99778, abs=5e-6)


def test_adam_is_corrected_for_lazy_regularisation():
    stage = image_stage()
    [g], [d] = (stage.optimizers[name].param_groups for name in "GD")
    assert g["lr"] == pytest.approx(0.002 * 4 / 5)
    assert g["betas"] == (0, pytest.approx(0.99 ** (4 / 5)))
    assert d["lr"] == pytest.approx(0.002 * 16 / 17)
    assert d["betas"] == (0, pytest.approx(0.99 ** (16 / 17)))
    assert g["eps"] == d["eps"] == 1e-8


def test_a_step_is_made_of_parts_in_order_each_of_which_moves_what_it_should(monkeypatch):
    stage = image_stage(augment=True)
    parts = watch(stage, PARTS, monkeypatch)
    logs = update(stage, 0)
    assert [name for name, _ in parts] == PARTS
    found = dict(parts)
    assert found["_update_discriminator"] == parameters(stage, "D") | {"G/mapping.w_avg"}
    assert found["_regularise_discriminator"]
    assert found["_regularise_discriminator"] < parameters(stage, "D")
    assert found["_update_generator"] == parameters(stage, "G") | {"G/mapping.w_avg"}
    path = found["_regularise_generator"]
    assert {"path/mean", "G/mapping.w_avg"} < path < parameters(stage, "G") | {"path/mean", "G/mapping.w_avg"}
    assert found["_average"] == {f"G_ema/{name[2:]}" for name in parameters(stage, "G") | {"G/mapping.w_avg"}}
    assert {"loss_D", "r1", "loss_G", "path_length", "path_penalty"} == logs.keys()
    assert all(value.numel() == 1 and torch.isfinite(value) for value in logs.values())


def test_regularisers_are_steps_of_their_own_now_and_then(monkeypatch):
    stage, steps = image_stage(8), []
    for name in "GD":
        monkeypatch.setattr(stage.optimizers[name], "step", lambda name=name: steps.append(name))
    made = {}
    for index in (0, 1, 4, 15, 16):
        steps.clear()
        update(stage, index)
        made[index] = "".join(steps)
    assert made == {0: "DDGG", 1: "DG", 4: "DGG", 15: "DG", 16: "DDGG"}


def test_each_random_number_of_a_step_is_used_once(monkeypatch):
    names = watch_draws(monkeypatch)
    update(image_stage(8, augment=True, mixing=1.0), 0)
    assert {f"uniform/{name}/augment" for name in ("D/fake", "D/real", "R1", "G")} <= set(names)
    assert {f"normal/{name}/{what}" for name in ("D", "G", "path") for what in ("z", "second")} <= set(names)
    assert len(names) == len(set(names))


def test_batches_are_mixed_as_a_whole_nine_times_in_ten_at_any_layer(monkeypatch):
    stage, mixes = image_stage(8), []

    def watched(first, second, index):
        assert not torch.equal(first, second)
        mixes.append(index)
        return first

    monkeypatch.setattr(module, "mixed", watched)
    for index in range(100):
        for name in ("D", "G", "path"):
            stage._generate(name, 1, step_of(stage, index))
    assert 240 < len(mixes) < 295
    assert set(mixes) == set(range(1, stage.G.synthesis.num_ws))


def test_all_processes_mix_alike(monkeypatch):
    mixes = []
    monkeypatch.setattr(module, "mixed", lambda first, second, index: mixes.append(index) or first)
    for world in (1, 2):
        stage = image_stage(8)
        for rank in range(world):
            for index in range(12):
                stage._generate("G", 1, step_of(stage, index, rank, world))
            mixes.append(None)
    parts = [[]]
    for each in mixes:
        parts[-1].append(each) if each else parts.append([])
    assert parts[0] == parts[1] == parts[2] != []


def test_the_discriminator_s_gradient_is_that_of_the_logistic_loss():
    """Of softplus(logit) of generated images and softplus(-logit) of real ones; means over images."""
    stage = image_stage()
    judge = judge_linearly(stage)
    start = judge.weight.detach().clone()
    logs = update(stage, 1)
    fake, real, _ = judge.seen
    torch.testing.assert_close(real, batches(stage, step_of(stage, 1))["real"]["frame"] / 127.5 - 1)
    up, down = ((images * start).sum(dim=(1, 2, 3)) for images in (fake, real))
    gradient = torch.einsum("n,n...->...", up.sigmoid(), fake) - torch.einsum("n,n...->...", (-down).sigmoid(), real)
    torch.testing.assert_close(start - judge.weight.detach(), gradient / 4, rtol=1e-4, atol=1e-5)
    loss = torch.log1p(up.exp()).mean() + torch.log1p((-down).exp()).mean()
    assert logs["loss_D"].item() == pytest.approx(loss.item(), rel=1e-4)


def test_r1_is_16_times_the_squared_gradient_before_augmentation_on_the_step_s_own_images(monkeypatch):
    """With logits w (3 x), the penalty is gamma / 2 * 9 |w|^2 and its gradient 9 gamma w."""
    stage, draws = image_stage(gamma=0.02, augment=True), []

    def augmented(videos, given):
        draws.append(given)
        return 3 * videos

    monkeypatch.setattr(module, "color_translation", augmented)
    judge = judge_linearly(stage)
    start, seen = judge.weight.detach().clone(), []
    monkeypatch.setattr(stage, "_update_generator", lambda step: torch.zeros([]))
    monkeypatch.setattr(stage, "_regularise_generator", lambda step: {})
    descend = stage._descend

    def remember(name, loss, step):
        result = descend(name, loss, step)
        seen.append(judge.weight.detach().clone())
        return result

    monkeypatch.setattr(stage, "_descend", remember)
    logs = update(stage, 0)
    first, second = seen
    assert not torch.equal(start, first)
    assert logs["r1"].item() == pytest.approx(0.01 * 9 * first.square().sum().item(), rel=1e-4)
    torch.testing.assert_close(first - second, 16 * 0.02 * 9 * first, rtol=1e-4, atol=1e-6)
    assert torch.equal(judge.seen[1], judge.seen[2])
    assert len(torch.cat(draws).unique()) == 3 * 4 * 5  # of generated images, real ones, and the same again


@pytest.mark.parametrize(("batch", "half"), [(1, 1), (3, 1), (4, 2)])
def test_path_lengths_are_of_half_a_batch_and_weigh_8_times(monkeypatch, batch, half):
    stage, given, losses = image_stage(8, batch=batch), [], []
    lengths = module.path_lengths

    def watched(images, ws, noise):
        assert noise.shape == images.shape
        given.append(lengths(images, ws, noise))
        return given[-1]

    monkeypatch.setattr(module, "path_lengths", watched)
    monkeypatch.setattr(stage, "_descend", lambda name, loss, step: losses.append((name, loss.item())) or loss)
    logs = update(stage, 4)
    assert given[0].shape == (half,)
    mean = 0.01 * given[0].mean().item()
    assert stage.path.mean.item() == pytest.approx(mean, rel=1e-5)
    assert not stage.path.mean.requires_grad
    penalty = (given[0] - mean).square().mean().item()
    assert logs["path_penalty"].item() == pytest.approx(penalty, rel=1e-4)
    assert losses[-1] == ("G", pytest.approx(8 * penalty, rel=1e-4))


def test_the_moving_average_is_of_parameters_and_keeps_its_own_noise():
    stage = image_stage(8)
    for name, tensor in stage.G.named_buffers():
        if name.endswith("noise_const"):
            tensor.add_(1)
    for index in range(2):
        before = copied(stage)
        update(stage, index)
        now = copied(stage)
        for name, _ in stage.G.named_parameters():
            expected = 0.5**0.0032 * before[f"G_ema/{name}"] + (1 - 0.5**0.0032) * now[f"G/{name}"]
            torch.testing.assert_close(now[f"G_ema/{name}"], expected, rtol=1e-5, atol=1e-6, msg=name)
        noise = [name for name in now if name.startswith("G_ema/") and name.endswith("noise_const")]
        assert noise
        assert all(torch.equal(now[name], before[name]) for name in noise)
        assert torch.equal(now["G_ema/mapping.w_avg"], now["G/mapping.w_avg"])
    assert not stage.G_ema.training


def test_a_run_goes_on_from_its_tensors_alone():
    stage, other = image_stage(8, augment=True), image_stage(8, augment=True)
    for index in range(2):
        update(stage, index)
    take_over(other, stage)
    for index in range(2, 5):
        update(stage, index)
        update(other, index)
    assert not moved(copied(stage), other)


def test_two_processes_do_what_one_does(monkeypatch):
    """Step 16 has R1 and path lengths in it."""

    def make():
        return descend_plainly(image_stage(batch=8, augment=True))

    stage = make()
    start = copied(stage)
    update(stage, 16)
    now, (own, beside) = copied(stage), map(copied, together(update, make, 16, monkeypatch))
    for name, first in start.items():
        assert torch.equal(own[name], beside[name]), name
        way = now[name] - first
        torch.testing.assert_close(own[name] - first, way, rtol=0, atol=1e-6 + 2e-3 * way.abs().max().item(), msg=name)
    assert len(moved(start, stage)) > 40


def test_two_processes_stay_alike_and_know_the_length_of_all_paths(monkeypatch):
    stages = together(update, lambda: image_stage(8, batch=8), 4, monkeypatch)
    own, beside = map(copied, stages)
    assert all(torch.equal(tensor, beside[name]) for name, tensor in own.items())
    stage = image_stage(8, batch=8)
    update(stage, 4)
    assert stages[0].path.mean.item() == pytest.approx(stage.path.mean.item(), rel=1e-3)


def textures():
    """Three videos of 7 frames, all frames of which differ."""
    videos = np.random.default_rng(0).integers(0, 256, (3, 7, 16, 16, 3), np.uint8)
    return source_from_array("noise", videos, 25.0).resized((16, 16))


@pytest.mark.parametrize("mirror", [True, False])
def test_a_sample_is_any_frame_of_a_video(mirror):
    source = textures()
    video = source.videos[1]
    frames = torch.from_numpy(source.read(video, 0, 7))
    found = set()
    for seed in range(80):
        sample = Reader(mirror)(source, video, torch.Generator().manual_seed(seed))["frame"]
        assert sample.dtype == torch.uint8
        [place] = [
            (t, flipped)
            for t in range(7)
            for flipped in (False, True)
            if torch.equal(frames[:, t].flip(-1) if flipped else frames[:, t], sample)
        ]
        found.add(place)
    assert {t for t, _ in found} == set(range(7))
    assert {flipped for _, flipped in found} == ({False, True} if mirror else {False})
    assert image_stage(mirror=mirror).reader == Reader(mirror)


def test_processes_have_whole_groups_of_minibatch_statistics():
    assert [image_stage(8, batch=batch).group for batch in (2, 4, 16)] == [2, 4, 4]


def test_a_preview_is_of_the_moving_average_and_still():
    stage = image_stage()
    update(stage, 1)
    preview = stage.preview(textures(), 16)
    assert preview.image is stage.G_ema
    assert (preview.size, preview.fps) == ((16, 16), 25)
    videos = preview.sample([0, 1], 3)
    torch.testing.assert_close(videos, videos[:, :, :1].expand_as(videos))
    assert (videos[0] - videos[1]).abs().max() > 0.01
    update(stage, 2)  # sampling leaves it trainable
