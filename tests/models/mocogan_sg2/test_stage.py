"""MoCoGAN+SG2's training step: what happens when, with which rates, and that processes share it exactly."""

import copy
import math

import pytest
import torch
from torch import distributed, multiprocessing

from tests.models.mocogan_sg2.small import batch, gan, step_of, update
from tests.models.resuming import take_over
from tests.vidbench.test_ranks import free_port
from vidbench.datasets import load_dataset
from vidbench.models.mocogan_sg2.stage import Reader


def copied(network):
    return copy.deepcopy(network.state_dict())


def test_adam_is_corrected_for_lazy_regularisation():
    """Karras et al., CVPR 2020, Appendix B; the video discriminator learns ten times as slowly."""
    made = gan()
    [g], [image, video] = (made.optimizers[name].param_groups for name in "GD")
    assert g["lr"] == pytest.approx(0.002)
    assert g["betas"] == (0, pytest.approx(0.99**0.8))
    assert image["lr"] == pytest.approx(0.0025 * 16 / 17)
    assert video["lr"] == pytest.approx(0.00025 * 16 / 17)
    assert image["betas"] == video["betas"] == (0, pytest.approx(0.99 ** (16 / 17)))
    assert g["eps"] == image["eps"] == video["eps"] == 1e-8
    for group, network in ((g, made.G), (image, made.D.image_discr), (video, made.D.video_discr)):
        assert {id(p) for p in group["params"]} == {id(p) for p in network.parameters()}


def test_a_step_moves_all_networks_and_says_how_it_went():
    made = gan()
    before = {name: copied(made.networks[name]) for name in "GD"}
    logs = update(made, 0)
    assert {"loss_G", "loss_G_video", "loss_D", "loss_D_video", "r1"} <= logs.keys()
    assert all(value.numel() == 1 and torch.isfinite(value) for value in logs.values())
    for name in "GD":
        now = made.networks[name].state_dict()
        moved = {key for key, value in before[name].items() if not torch.equal(value, now[key])}
        assert {key for key, _ in made.networks[name].named_parameters()} - moved == set()
    counts = {int(value) for key, value in made.D.state_dict().items() if key.endswith("num_batches_tracked")}
    assert counts == {3}, "of the generator's update, of fakes and of real videos; R1 is the image discriminator's"


def test_both_discriminators_judge_the_same_videos(monkeypatch):
    made, seen = gan(ada_target=0), {"frames": [], "videos": []}
    frames, videos = made.D.judge_frames, made.D.video_discr.forward
    monkeypatch.setattr(made.D, "judge_frames", lambda x: seen["frames"].append(x.detach()) or frames(x))
    monkeypatch.setattr(made.D.video_discr, "forward", lambda x, n: seen["videos"].append(x.detach()) or videos(x, n))
    logs = update(made, 1)
    assert len(seen["frames"]) == len(seen["videos"]) == 3
    assert all(torch.equal(*pair) for pair in zip(seen["frames"], seen["videos"], strict=True))
    assert torch.equal(seen["frames"][2], batch(step_of(made, 1))["frames"] / 127.5 - 1)
    softplus = torch.nn.functional.softplus
    again = gan(ada_target=0)
    noise = [torch.Generator().manual_seed(step_of(made, 1).chance("G/noise", i).initial_seed()) for i in range(4)]
    with torch.no_grad():
        fake = again._generate("G", batch(step_of(made, 1))["start_G"], step_of(made, 1))
        expected = softplus(-again.D.judge_frames(fake)).mean(), softplus(-again.D.video_discr(fake, noise)).mean()
    torch.testing.assert_close(torch.stack([logs["loss_G"], logs["loss_G_video"]]), torch.stack(expected))


def test_a_generated_video_depends_on_its_own_beginning_alone():
    """Its tokens are those of one sequence from time 0: the later clip goes on where the earlier one ends."""
    made = gan()
    step, starts = step_of(made, 3), torch.tensor([2, 0, 16, 5])
    with torch.no_grad():
        videos = made._generate("G", starts, step)
        assert videos.shape == (4, 3, 16, 16, 16)
        others = made._generate("G", torch.tensor([2, 9, 16, 1]), step)
    torch.testing.assert_close(videos[[0, 2]], others[[0, 2]], rtol=0, atol=1e-5)
    assert (videos[[1, 3]] - others[[1, 3]]).abs().amax(dim=(1, 2, 3, 4)).min() > 1e-4


@pytest.mark.parametrize("rampup", [None, 0.05])
def test_the_moving_average_follows_the_formula(rampup):
    made = gan(ema_rampup=rampup)
    for index in range(3):
        before = copied(made.G_ema)
        update(made, index)
        half_life = 100.0 if rampup is None else min(100.0, index * 4 * 16 * rampup)  # videos; the ramp counts frames
        beta = 0.5 ** (4 / half_life) if half_life else 0.0
        new = made.G.state_dict()
        parameters = dict(made.G_ema.named_parameters())
        for name, value in made.G_ema.state_dict().items():
            expected = beta * before[name] + (1 - beta) * new[name] if name in parameters else new[name]
            assert torch.allclose(value, expected, atol=1e-6), name


def test_r1_is_taken_every_16_steps(monkeypatch):
    weights = []
    made = gan()
    monkeypatch.setattr(made, "_update_generator", lambda starts, step: {})
    monkeypatch.setattr(made, "_update_discriminators", lambda real, starts, step: {})
    monkeypatch.setattr(made, "_adjust", lambda step: {})
    monkeypatch.setattr(made, "_descend", lambda name, loss, step: weights.append((name, step.index, loss.item())))
    logs = [update(made, index) for index in range(33)]
    assert [index for index, log in enumerate(logs) if "r1" in log] == [0, 16, 32]
    for name, index, loss in weights:
        assert name == "D"
        assert loss == pytest.approx(16 * logs[index]["r1"].item(), rel=1e-5)


def test_r1_is_the_mean_over_frames(monkeypatch):
    """Of logits that are linear in the frames, it has a closed form."""
    made = gan(ada_target=0)
    weights = torch.randn(3, 1, 16, 16, requires_grad=True)
    monkeypatch.setattr(made.D, "judge_frames", lambda videos: (videos * weights).sum(dim=(1, 3, 4)))
    logs = update(made, 0)
    assert logs["r1"].item() == pytest.approx(0.05 / 2 * weights.square().sum().item(), rel=1e-5)


@pytest.mark.parametrize(("sign", "moves"), [(1.0, 1), (-1.0, -1)])
def test_the_augmentation_follows_overfitting_every_4_steps(monkeypatch, sign, moves):
    made = gan()
    made.augment.p.fill_(0.5)
    judge = made._judge

    def judged(videos, name, step):
        frames, logits = judge(videos, name, step)
        return frames + 1000 * sign if name == "D/real" else frames, logits

    monkeypatch.setattr(made, "_judge", judged)
    values = []
    for index in range(1, 9):
        logs = update(made, index)
        values.append(float(made.augment.p))
        assert ("augment_p" in logs) == (index in (3, 7))
        if "augment_p" in logs:
            assert logs["real_signs"] == sign, "the mean over all frames"
    speed = moves * 4 * 4 / 100
    assert values == pytest.approx([0.5] * 2 + [0.5 + speed] * 4 + [0.5 + 2 * speed] * 2)


def test_without_a_target_nothing_is_augmented(monkeypatch):
    made = gan(ada_target=0)
    made.augment.p.fill_(1.0)
    monkeypatch.setattr(made.augment, "forward", lambda *arguments: pytest.fail("augmented"))
    for index in range(1, 5):
        update(made, index)
    assert float(made.augment.p) == 1


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
    logs = [update(made, index, rank, 2) for index in range(4)]
    torch.save((made.state(), float(logs[3]["real_signs"])), f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


def test_two_processes_do_what_one_does(tmp_path):
    multiprocessing.spawn(train_share, (free_port(), str(tmp_path)), nprocs=2)
    made = gan()
    logs = [update(made, index) for index in range(4)]
    shares = [torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)]
    for state, signs in shares:
        assert signs == pytest.approx(float(logs[3]["real_signs"]))
        for network, tensors in made.state().items():
            for name, tensor in tensors.items():
                scale = max(1.0, tensor.abs().max().item())
                assert (state[network][name] - tensor).abs().max() <= 1e-4 * scale, f"{network}.{name}"
                assert torch.equal(state[network][name], shares[0][0][network][name])


@pytest.mark.parametrize("longest", [20, 10_000])
def test_a_sample_holds_16_frames_in_a_row(longest):
    source = load_dataset("toy-ride").source("train", (16, 16)).resized((16, 16))
    video = source.videos[3]
    whole = torch.from_numpy(source.read(video, 0, source.length(video)).copy())
    ways = {False: whole, True: whole.flip(-1)}
    mirrored, begins, starts = 0, set(), set()
    for index in range(20):
        sample = Reader(longest, True)(source, video, torch.Generator().manual_seed(index))
        found = [
            (flip, first)
            for flip, frames in ways.items()
            for first in range(whole.shape[1] - 15)
            if torch.equal(frames[:, first : first + 16], sample["frames"])
        ]
        assert found, "these frames are not in the video"
        mirrored += found[0][0]
        begins.add(found[0][1])
        starts |= {int(sample[f"start_{name}"]) for name in "GD"}
    assert 3 < mirrored < 17
    assert max(begins) > whole.shape[1] / 2, "long videos are seen to their end"
    latest = min(longest, whole.shape[1]) - 16
    assert 0 <= min(starts) <= latest / 8
    assert latest * 7 / 8 <= max(starts) <= latest


def test_groups_of_either_statistic_stay_whole():
    assert gan(batch=8).group == 2
    assert gan({"norm_group_size": 16}, batch=8).group == 8
    assert gan({"norm_group_size": 3}, batch=12).group == math.lcm(2, 3)
    assert gan().frames == 16


def test_a_preview_is_of_the_moving_average():
    made = gan()
    update(made, 0)
    preview = made.preview(load_dataset("toy-ride").source("train", (16, 16)), 2)
    assert preview.network is made.G_ema
    assert not made.G_ema.training
    before = copied(made.G_ema)
    assert preview.sample([0], 2).shape == (1, 3, 2, 16, 16)
    assert all(torch.equal(value, before[name]) for name, value in made.G_ema.state_dict().items())
    update(made, 1)  # sampling leaves it trainable
