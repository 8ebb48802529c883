"""StyleGAN-V's training step: what happens when, with which rates, and that processes share it exactly."""

import copy

import pytest
import torch
from torch import distributed, multiprocessing

from tests.models.resuming import take_over
from tests.models.stylegan_v.small import batch, gan, update
from tests.vidbench.test_ranks import free_port
from vidbench.datasets import load_dataset
from vidbench.models.stylegan_v import stage as module
from vidbench.models.stylegan_v.frames import FrameSampling
from vidbench.models.stylegan_v.stage import Reader
from vidbench.stage import Step


def copied(network):
    return copy.deepcopy(network.state_dict())


def test_adam_is_corrected_for_lazy_regularisation():
    """Karras et al., CVPR 2020, Appendix B: with c = interval / (interval + 1), lr is c lr, betas are betas^c."""
    made = gan()
    [g], [d] = (made.optimizers[name].param_groups for name in "GD")
    assert g["lr"] == pytest.approx(0.002)
    assert g["betas"] == (0, pytest.approx(0.99**0.8))
    assert d["lr"] == pytest.approx(0.0025 * 16 / 17)
    assert d["betas"] == (0, pytest.approx(0.99 ** (16 / 17)))
    assert g["eps"] == d["eps"] == 1e-8
    assert {id(p) for p in g["params"]} == {id(p) for p in made.G.parameters()}
    assert {id(p) for p in d["params"]} == {id(p) for p in made.D.parameters()}


def test_a_step_moves_both_networks_and_says_how_it_went():
    made = gan()
    before = {name: copied(made.networks[name]) for name in "GD"}
    logs = update(made, 0)
    assert {"loss_G", "loss_D", "r1"} <= logs.keys()
    assert all(value.numel() == 1 and torch.isfinite(value) for value in logs.values())
    for name in "GD":
        now = made.networks[name].state_dict()
        moved = {key for key, value in before[name].items() if not torch.equal(value, now[key])}
        assert {key for key, _ in made.networks[name].named_parameters()} - moved == set()


@pytest.mark.parametrize("rampup", [None, 0.05])
def test_the_moving_average_follows_the_formula(rampup):
    made = gan(ema_rampup=rampup)
    for index in range(3):
        before = copied(made.G_ema)
        update(made, index)
        half_life = 100.0 if rampup is None else min(100.0, index * 4 * 3 * rampup)  # videos; the ramp counts frames
        beta = 0.5 ** (4 / half_life) if half_life else 0.0
        new = made.G.state_dict()
        parameters = dict(made.G_ema.named_parameters())
        for name, value in made.G_ema.state_dict().items():
            expected = beta * before[name] + (1 - beta) * new[name] if name in parameters else new[name]
            assert torch.allclose(value, expected, atol=1e-6), name


def test_both_updates_move_the_average_style():
    made, w_avgs = gan(), []
    seen = made.G.mapping.forward

    def forward(*arguments):
        w = seen(*arguments)
        w_avgs.append((made.G.mapping.w_avg.clone(), w[:, 0].detach().mean(dim=0)))
        return w

    made.G.mapping.forward = forward
    update(made, 1)
    assert len(w_avgs) == 2  # the generator's update, and the fakes of the discriminator's
    average = torch.zeros(8)
    for now, mean in w_avgs:
        average = average.lerp(mean, 0.005)
        assert torch.allclose(now, average, atol=1e-7)
    assert torch.equal(made.G_ema.mapping.w_avg, made.G.mapping.w_avg)


def test_r1_is_taken_every_16_steps(monkeypatch):
    weights = []
    made = gan()
    monkeypatch.setattr(made, "_update_generator", lambda times, step: torch.zeros([]))
    monkeypatch.setattr(made, "_update_discriminator", lambda real, given, step: {})
    monkeypatch.setattr(made, "_adjust", lambda step: {})
    monkeypatch.setattr(made, "_descend", lambda name, loss, step: weights.append((name, step.index, loss.item())))
    logs = [update(made, index) for index in range(33)]
    assert [index for index, log in enumerate(logs) if "r1" in log] == [0, 16, 32]
    for name, index, loss in weights:
        assert name == "D"
        assert loss == pytest.approx(16 * logs[index]["r1"].item(), rel=1e-5)


@pytest.mark.parametrize(("sign", "moves"), [(1.0, 1), (-1.0, -1)])
def test_the_augmentation_follows_overfitting_every_4_steps(monkeypatch, sign, moves):
    made = gan()
    made.augment.p.fill_(0.5)
    judge = made._judge

    def judged(frames, times, name, step):
        logits = judge(frames, times, name, step)
        return logits + 1000 * sign if name in ("D/real", "R1") else logits

    monkeypatch.setattr(made, "_judge", judged)
    values = []
    for index in range(1, 9):
        logs = update(made, index)
        values.append(float(made.augment.p))
        assert ("augment_p" in logs) == (index in (3, 7))
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
    for index in range(3):
        update(made, index)
    take_over(other, made)
    for index in range(3, 6):
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
        assert signs == float(logs[3]["real_signs"])
        for network, tensors in made.state().items():
            for name, tensor in tensors.items():
                scale = max(1.0, tensor.abs().max().item())
                assert (state[network][name] - tensor).abs().max() <= 1e-4 * scale, f"{network}.{name}"
                assert torch.equal(state[network][name], shares[0][0][network][name])


def test_a_sample_holds_frames_at_the_times_it_says():
    source = load_dataset("toy-ride").source("train", (16, 16)).resized((16, 16))
    video = source.videos[3]
    whole = torch.from_numpy(source.read(video, 0, source.length(video)).swapaxes(0, 1).copy())
    mirrored = 0
    for index in range(20):
        sample = Reader(FrameSampling(3, 16, 10_000), True)(source, video, torch.Generator().manual_seed(index))
        steps = (sample["times"] - sample["times"][0]).long()
        found = [
            flip
            for flip in (False, True)
            for start in range(len(whole) - int(steps[-1]))
            if torch.equal(whole[start + steps].flip(-1) if flip else whole[start + steps], sample["frames"])
        ]
        assert found, "these frames are not in the video"
        mirrored += found[0]
        for name in ("times_G", "times_D"):
            assert sample[name].min() >= 0 and sample[name].max() <= len(whole) - 1
    assert 3 < mirrored < 17


def test_videos_must_have_room_for_a_distance():
    assert gan().frames == 3
    sampling = {"num_frames": 4, "max_distance": 8, "max_num_frames": 32}
    assert gan({"sampling": sampling}).frames == 5  # three steps fit into a distance that is a power of two: 4


def test_a_conditional_model_is_not_trained():
    with pytest.raises(ValueError, match="several classes can be sampled, but not trained"):
        gan({"c_dim": 3})


def test_a_preview_is_of_the_moving_average():
    made = gan(ema_rampup=None)
    update(made, 0)
    preview = made.preview(load_dataset("toy-ride").source("train", (16, 16)), 2)
    assert preview.network is made.G_ema
    assert not made.G_ema.training
    before = copied(made.G_ema)
    assert preview.sample([0], 2).shape == (1, 3, 2, 16, 16)
    assert all(torch.equal(value, before[name]) for name, value in made.G_ema.state_dict().items())
    update(made, 1)  # sampling leaves it trainable


def test_the_group_of_minibatch_statistics_stays_whole():
    assert gan(batch=8).group == 2
    assert module.GREG_EVERY == 4
    assert batch(Step(0, "gan", 0, 8, 1, 2))["frames"].shape == (4, 3, 3, 16, 16)
