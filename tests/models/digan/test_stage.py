"""DIGAN's training step: what happens when, with which weights, and that processes share it exactly."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import distributed, multiprocessing, nn

from tests.models.digan.small import batch, gan, update
from tests.models.resuming import take_over
from tests.vidbench.test_ranks import free_port
from vidbench.datasets import load_dataset
from vidbench.models.digan import stage as module
from vidbench.models.digan.pairs import frames_of
from vidbench.models.digan.stage import Reader
from vidbench.sources import source_from_array
from vidbench.stage import Step


def copied(network):
    return copy.deepcopy(network.state_dict())


class Linear(nn.Module):
    """Discriminators that are linear in what they see, and remember it."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.video = nn.Parameter(torch.randn(7, 16, 16, generator=generator) / 40)
        self.image = nn.Parameter(torch.randn(3, 16, 16, generator=generator) / 40)
        self.seen = []

    def forward(self, pairs):
        self.seen.append(pairs.detach())
        return (pairs * self.video).sum(dim=(1, 2, 3)), (frames_of(pairs) * self.image).sum(dim=(1, 2, 3))


def judged_linearly(**settings):
    """A stage whose discriminators are linear and descend by their gradient."""
    made = gan(**settings)
    made.D = made.networks["D"] = Linear()
    made.optimizers["D"] = torch.optim.SGD(made.D.parameters(), lr=1.0)
    return made


def test_adam_is_corrected_for_lazy_regularisation_of_both_networks():
    made = gan()
    [g], [d] = (made.optimizers[name].param_groups for name in "GD")
    assert (g["lr"], d["lr"]) == (pytest.approx(0.0025 * 4 / 5), pytest.approx(0.0025 * 16 / 17))
    assert g["betas"] == (0, pytest.approx(0.99 ** (4 / 5)))
    assert d["betas"] == (0, pytest.approx(0.99 ** (16 / 17)))


def test_a_step_moves_both_networks_and_says_how_it_went():
    made = gan()
    before = {name: copied(made.networks[name]) for name in "GD"}
    logs = update(made, 0)
    assert logs.keys() == {"loss_G", "loss_D", "r1"}
    assert all(value.numel() == 1 and torch.isfinite(value) for value in logs.values())
    for name in "GD":
        now = made.networks[name].state_dict()
        moved = {key for key, value in before[name].items() if not torch.equal(value, now[key])}
        assert {key for key, _ in made.networks[name].named_parameters()} - moved == set()


def test_the_moving_average_follows_the_formula():
    made = gan()
    for index in (0, 1, 600):
        before = copied(made.G_ema)
        update(made, index)
        half_life = min(100.0, index * 4 * 0.05)  # videos
        beta = 0.5 ** (4 / half_life) if half_life else 0.0
        new, parameters = made.G.state_dict(), dict(made.G_ema.named_parameters())
        for name, value in made.G_ema.state_dict().items():
            expected = beta * before[name] + (1 - beta) * new[name] if name in parameters else new[name]
            torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-6, msg=name)


def test_the_losses_are_logistic_and_means_over_pairs_and_over_frames():
    made = judged_linearly()
    judge = copy.deepcopy(made.D)
    logs = update(made, 1)
    of_generator, fake, real = made.D.seen
    videos, images = judge(of_generator)
    loss = F.softplus(-videos).mean() + F.softplus(-images).mean()
    assert logs["loss_G"].item() == pytest.approx(loss.item(), rel=1e-5)
    loss = sum(F.softplus(logits).mean() for logits in judge(fake)) + sum(F.softplus(-x).mean() for x in judge(real))
    assert logs["loss_D"].item() == pytest.approx(loss.item(), rel=1e-5)
    loss.backward()
    torch.testing.assert_close(made.D.video.detach(), judge.video.detach() - judge.video.grad, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(made.D.image.detach(), judge.image.detach() - judge.image.grad, rtol=1e-4, atol=1e-6)


def test_r1_of_pairs_is_before_augmentation_and_that_of_frames_after_it(monkeypatch):
    """Of logits w (3 x) and v y, penalties are |3 w|^2 on the frames' channels, |w|^2 on the plane, and |v|^2."""
    made = judged_linearly(gamma=0.02)
    monkeypatch.setattr(module, "augmented", lambda pairs, draws: torch.cat([3 * pairs[:, :6], pairs[:, 6:]], dim=1))
    monkeypatch.setattr(made, "_update_generator", lambda step: torch.zeros([]))
    monkeypatch.setattr(made, "_update_discriminator", lambda real, step: torch.zeros([]))
    before = copy.deepcopy(made.D)
    logs = update(made, 16)
    w, v = before.video.detach(), before.image.detach()
    penalty = 9 * w[:6].square().sum() + w[6].square().sum() + v.square().sum()
    assert logs["r1"].item() == pytest.approx(0.01 * penalty.item(), rel=1e-4)
    factors = torch.tensor([9.0] * 6 + [1.0])[:, None, None]
    torch.testing.assert_close(w - made.D.video.detach(), 16 * 0.02 * factors * w, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(v - made.D.image.detach(), 16 * 0.02 * v, rtol=1e-4, atol=1e-6)


def test_r1_is_taken_every_16_steps(monkeypatch):
    made = gan()
    monkeypatch.setattr(made, "_update_generator", lambda step: torch.zeros([]))
    monkeypatch.setattr(made, "_update_discriminator", lambda real, step: torch.zeros([]))
    assert [index for index in range(33) if "r1" in update(made, index)] == [0, 16, 32]


def test_each_video_of_a_step_is_augmented_by_its_own_draws(monkeypatch):
    made, draws = gan(), []
    usual = module.augmented
    monkeypatch.setattr(module, "augmented", lambda pairs, given: draws.append(given) or usual(pairs, given))
    update(made, 0)
    assert [tuple(given.shape) for given in draws] == [(4, 5)] * 4  # G, generated and real pairs of D, R1
    assert len(torch.cat(draws).unique()) == 4 * 4 * 5


def test_generated_pairs_hold_frames_of_one_video_and_the_time_between_them(monkeypatch):
    made, given = gan(), []
    forward = made.G.forward
    monkeypatch.setattr(made.G, "forward", lambda z, t, m: given.append((z, t, m)) or forward(z, t, m))
    pairs = made._generate("G", Step(0, "gan", 3, 4))
    [(z, t, motion)] = given
    torch.testing.assert_close(pairs[:, 6, 5, 5], (t[:, 1] - t[:, 0]).float())
    assert (t[:, 1] > t[:, 0]).all()
    frames = rearrange(pairs[:, :6], "n (t c) h w -> n t c h w", t=2)
    for i in range(4):
        alone = forward(z[i : i + 1], t[i : i + 1, 1:], motion[i : i + 1])
        torch.testing.assert_close(frames[i, 1:], alone, rtol=0, atol=1e-4)


def test_both_updates_move_the_average_style():
    made, means = gan(), []
    seen = made.G.mapping.forward
    made.G.mapping.forward = lambda *args: (w := seen(*args), means.append(w[:, 0].detach().mean(dim=0)))[0]
    update(made, 1)
    first, second = means  # the generator's update, and the fakes of the discriminator's
    expected = (0.005 * first).lerp(second, 0.005)
    torch.testing.assert_close(made.G.mapping.w_avg, expected)
    assert torch.equal(made.G_ema.mapping.w_avg, made.G.mapping.w_avg)


def test_a_run_goes_on_from_its_tensors_alone():
    made, other = gan(), gan()
    for index in range(2):
        update(made, index)
    take_over(other, made)
    for index in range(2, 4):
        update(made, index)
        update(other, index)
    for network, tensors in made.state().items():
        for name, tensor in tensors.items():
            assert torch.equal(tensor, other.state()[network][name]), f"{network}.{name}"


def train_share(rank, port, folder):
    """The first steps of one of two processes."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"tcp://localhost:{port}", rank=rank, world_size=2)
    made = gan()
    for index in range(2):
        update(made, index, rank, 2)
    torch.save(made.state(), f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


def test_two_processes_do_what_one_does(tmp_path):
    multiprocessing.spawn(train_share, (free_port(), str(tmp_path)), nprocs=2)
    made = gan()
    for index in range(2):
        update(made, index)
    shares = [torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)]
    for network, tensors in made.state().items():
        for name, tensor in tensors.items():
            scale = max(1.0, tensor.abs().max().item())
            assert (shares[0][network][name] - tensor).abs().max() <= 1e-4 * scale, f"{network}.{name}"
            assert torch.equal(shares[0][network][name], shares[1][network][name])


def numbered(frames):
    """A video whose frames are told apart by their grey, brighter on the right: `source`, `video`."""
    ramp = np.arange(frames)[:, None, None, None] * 8 + np.arange(4)[None, None, :, None]
    source = source_from_array("numbers", np.broadcast_to(ramp, (1, frames, 4, 4, 3)).astype(np.uint8), 25.0)
    return source, source.videos[0]


def samples(reader, frames, count):
    """Of each sample: the numbers of its frames, its distance, and whether it is mirrored."""
    source, video = numbered(frames)
    for seed in range(count):
        sample = reader(source, video, torch.Generator().manual_seed(seed))
        pixels = sample["frames"][:, 0, 0].long()
        mirrored = bool(pixels[0, 0] > pixels[0, -1])
        yield (pixels.min(dim=1).values // 8).tolist(), float(sample["distance"]), mirrored


def test_samples_are_two_frames_of_a_clip_at_the_distance_that_they_say():
    starts, mirrored = set(), 0
    for (first, last), distance, flipped in samples(Reader(6, False, True), 20, 200):
        assert first // 6 == last // 6 < 3  # clips are 0 to 5, 6 to 11 and 12 to 17
        assert distance == pytest.approx((last - first) / 5)
        starts.add(first // 6)
        mirrored += flipped
    assert starts == {0, 1, 2}
    assert 60 < mirrored < 140


def test_clips_may_overlap():
    found = list(samples(Reader(6, True, False), 8, 300))
    assert {t for pair, _, _ in found for t in pair} == set(range(8))
    assert {last - first for (first, last), _, _ in found} == set(range(6))
    assert not any(flipped for *_, flipped in found)


def test_runs_of_frames_are_cut_into_clips_that_take_turns():
    reader, seen = Reader(3, False, False, time_step=2), set()
    for (first, last), distance, _ in samples(reader, 20, 300):
        assert first // 6 == last // 6 < 3 and first % 2 == last % 2
        assert distance == pytest.approx((last - first) / 2 / 2)
        seen |= {first, last}
    assert seen == set(range(18))


def test_a_video_counts_as_many_samples_as_clips_begin_in_it():
    assert [Reader(6, False, True).weight(length) for length in (6, 11, 12, 20)] == [1, 1, 2, 3]
    assert [Reader(6, True, True).weight(length) for length in (6, 7, 12)] == [1, 2, 7]
    assert [Reader(3, False, False, time_step=2).weight(length) for length in (6, 12)] == [1, 2]
    made = gan()
    assert made.weight(2 * made.frames) == 2 * made.weight(made.frames) > 0


def test_frames_of_a_clip_are_as_often_early_as_late():
    """Times of Beta(2, 1) and of Beta(1, 2) together are uniform."""
    frames = [t for pair, _, _ in samples(Reader(6, False, False), 6, 1500) for t in pair]
    assert np.bincount(frames, minlength=6) / 500 == pytest.approx(np.ones(6), abs=0.2)


def test_a_preview_is_of_the_moving_average():
    made = gan()
    update(made, 0)
    preview = made.preview(load_dataset("toy-ride").source("train", (16, 16)), 2)
    assert preview.network is made.G_ema
    assert preview.clip_frames == made.frames == 6
    before = copied(made.G_ema)
    assert preview.sample([0], 2).shape == (1, 3, 2, 16, 16)
    assert all(torch.equal(value, before[name]) for name, value in made.G_ema.state_dict().items())


def test_a_batch_is_the_same_however_many_processes_share_it():
    whole = batch(Step(0, "gan", 1, 4))
    for rank in (0, 1):
        share = batch(Step(0, "gan", 1, 4, rank, 2))
        assert all(torch.equal(share[name], whole[name][rank::2]) for name in whole)
