"""What both stages' training shares: rates, the order of a step and what each part moves, averages, shares of it."""

import pytest
import torch
from torch import distributed, multiprocessing

from tests.models.long_video_gan.small import STAGES, config, copied, descend_plainly, lowres, superres, update
from tests.models.resuming import take_over
from tests.vidbench.test_ranks import free_port
from vidbench.models.long_video_gan.adversarial import ema_decay
from vidbench.models.long_video_gan.config import LowResStage, SuperResStage
from vidbench.stage import Step

BOTH = pytest.mark.parametrize("make", STAGES.values(), ids=STAGES)
STATISTICS = ("magnitude_ema", "w_avg")


def moved(before, stage):
    """The tensors that are not what they were."""
    return {name for name, tensor in copied(stage).items() if not torch.equal(tensor, before[name])}


def parameters(stage, network):
    return {f"{network}/{name}" for name, _ in stage.networks[network].named_parameters()}


@pytest.mark.parametrize(("make", "lr"), [(lowres, 0.002), (superres, 0.003)])
def test_adam_of_the_discriminator_is_corrected_for_lazy_regularisation_and_no_other(make, lr):
    stage = make()
    [g], [d] = (stage.optimizers[name].param_groups for name in "GD")
    assert g["lr"] == 0.003
    assert g["betas"] == (0, 0.99)
    assert d["lr"] == pytest.approx(lr * 16 / 17)
    assert d["betas"] == (0, pytest.approx(0.99 ** (16 / 17)))
    assert g["eps"] == d["eps"] == 1e-8
    assert {id(p) for p in g["params"]} == {id(p) for p in stage.G.parameters()}
    assert {id(p) for p in d["params"]} == {id(p) for p in stage.D.parameters()}


def test_the_paper_s_values_are_the_defaults():
    sizes = {"steps": 1, "batch": 1, "checkpoint_every": 1, "evaluate_every": 1, "metric": "fvd16"}
    low, high = LowResStage(**sizes), SuperResStage(**sizes)
    for stage in (low, high):
        assert (stage.lr_G, stage.gamma, stage.r1_every, stage.ema_decay) == (0.003, 1, 16, 0.99985)
        assert (stage.ema_warmup, stage.mirror, stage.accumulation) == (25_000, True, 1)
    assert (low.lr_D, high.lr_D) == (0.002, 0.003)
    assert (high.ada_target, high.ada_max, high.condition_kept) == (0.6, 0.5, 0.1)
    assert 4 / high.ada_steps == 4 * 0.000125


@pytest.mark.parametrize(
    ("index", "decay"),
    [(0, 0.0235), (1, 0.1533), (100, 0.96355), (1000, 0.99626), (5000, 0.99925), (25_000, 0.99985), (10**6, 0.99985)],
)
def test_the_moving_average_s_decay_is_the_recorded_one(index, decay):
    assert ema_decay(index, 0.99985, 25_000) == pytest.approx(decay, abs=5e-5 if index < 2 else 5e-6)


@BOTH
def test_a_step_is_made_of_parts_in_order_each_of_which_moves_what_it_should(make, monkeypatch):
    stage, parts = make(), []

    def watched(name):
        run = getattr(stage, name)

        def part(*arguments):
            before = copied(stage)
            result = run(*arguments)
            parts.append((name, moved(before, stage)))
            return result

        monkeypatch.setattr(stage, name, part)

    names = ["_update_generator", "_update_discriminator", "_regularise", "average"]
    if stage.name == "superres":
        names.insert(3, "_adjust")
    for name in names:
        watched(name)
    logs = update(stage, 0)
    assert [name for name, _ in parts] == names
    found = dict(parts)
    statistics = {name for name in copied(stage) if name.startswith("G/") and name.endswith(STATISTICS)}
    assert len(statistics) > 4
    assert found["_update_generator"] == parameters(stage, "G")
    signs = {"overfitting/total", "overfitting/count"} if stage.name == "superres" else set()
    assert found["_update_discriminator"] == parameters(stage, "D") | statistics | signs
    assert found["_regularise"]
    assert found["_regularise"] < parameters(stage, "D")
    assert found["average"] == {f"G_ema/{name[2:]}" for name in parameters(stage, "G") | statistics}
    assert {"loss_G", "loss_D", "r1"} <= logs.keys()
    assert all(value.numel() == 1 and torch.isfinite(value) for value in logs.values())
    parts.clear()
    update(stage, 1)
    assert [name for name, _ in parts] == [name for name in names if name not in ("_regularise", "_adjust")]


@BOTH
def test_each_random_number_of_a_step_is_used_once(make, monkeypatch):
    names = []

    def watch(kind, draw):
        def watched(self, name, *shape):
            names.append(name)
            return draw(self, name, *shape)

        monkeypatch.setattr(Step, kind, watched)

    watch("normal", Step.normal)
    watch("uniform", Step.uniform)
    update(make(), 0)
    assert len(names) > 10
    assert len(names) == len(set(names))


@BOTH
def test_r1_is_a_step_of_its_own_every_16_steps_where_its_batch_is_there(make, monkeypatch):
    stage, steps = make(), []
    assert stage.reads["R1"] == 16
    monkeypatch.setattr(stage.optimizers["D"], "step", lambda: steps.append("D"))
    monkeypatch.setattr(stage.optimizers["G"], "step", lambda: steps.append("G"))
    made = []
    for index in (0, 1, 15, 16):
        steps.clear()
        made.append(("r1" in update(stage, index), [*steps]))
    assert made == [(True, ["G", "D", "D"]), (False, ["G", "D"]), (False, ["G", "D"]), (True, ["G", "D", "D"])]


@BOTH
def test_the_moving_average_follows_the_formula_for_parameters_and_buffers(make):
    stage = make()
    for index, decay in enumerate([0.9**4, 0.9**2, 0.9 ** (4 / 3), 0.9, 0.9]):
        before = copied(stage)
        update(stage, index)
        now = copied(stage)
        for name in (name for name in now if name.startswith("G_ema/")):
            expected = decay * before[name] + (1 - decay) * now[name.replace("G_ema", "G")]
            torch.testing.assert_close(now[name], expected, rtol=1e-5, atol=1e-6, msg=name)
    assert not any(parameter.requires_grad for parameter in stage.G_ema.parameters())
    assert not stage.G_ema.training


def same_movement(stage, other, start):
    """Two stages have moved from their common start alike, but for rounding."""
    one, two = copied(stage), copied(other)
    for name, first in start.items():
        way = one[name] - first
        torch.testing.assert_close(two[name] - first, way, rtol=0, atol=1e-6 + 2e-3 * way.abs().max().item(), msg=name)
    assert any(not torch.equal(one[name], first) for name, first in start.items())


@BOTH
@pytest.mark.parametrize(("batch", "accumulation"), [(4, 2), (3, 2)])
def test_gradients_of_parts_add_up_to_those_of_the_batch(make, batch, accumulation):
    stages = [descend_plainly(make(batch=batch, accumulation=parts)) for parts in (1, accumulation)]
    start, logs = copied(stages[0]), []
    for stage in stages:
        logs.append(update(stage, 0))
    same_movement(*stages, start)
    for name, value in logs[0].items():
        torch.testing.assert_close(logs[1][name], value, rtol=1e-4, atol=1e-6)


def train_share(rank, port, folder):
    """The first step of one of two processes, in both stages."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"tcp://localhost:{port}", rank=rank, world_size=2)
    made = {}
    for name, make in STAGES.items():
        stage = descend_plainly(make(batch=4))
        logs = update(stage, 0, rank, 2)
        made[name] = stage.state(), logs.get("real_signs")
    torch.save(made, f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


def test_two_processes_do_what_one_does(tmp_path):
    multiprocessing.spawn(train_share, (free_port(), str(tmp_path)), nprocs=2)
    shares = [torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)]
    for name, make in STAGES.items():
        stage = descend_plainly(make(batch=4))
        start = copied(stage)
        logs = update(stage, 0)
        for share in shares:
            other = make()
            for network, tensors in share[name][0].items():
                other.networks[network].load_state_dict(tensors)
            same_movement(stage, other, start)
            assert share[name][1] == logs.get("real_signs")
        own, beside = (share[name][0] for share in shares)
        assert all(torch.equal(tensor, beside[network][key]) for network in own for key, tensor in own[network].items())


@BOTH
def test_a_run_goes_on_from_its_tensors_alone(make):
    stage, other = make(), make()
    for index in range(2):
        update(stage, index)
    take_over(other, stage)
    for index in range(2, 5):
        update(stage, index)
        update(other, index)
    assert not moved(copied(stage), other)


def test_sizes_that_are_no_whole_multiple_are_refused():
    made = config().model_dump()
    made["model"]["lowres"]["height"] = 4
    with pytest.raises(ValueError, match=r"16x16 is not twice, or another multiple of, the low-resolution 4x8"):
        type(config())(**made)
