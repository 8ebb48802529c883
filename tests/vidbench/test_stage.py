"""Randomness of training is a function of (seed, stage, step, sample); processes average what they found."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import distributed, multiprocessing, nn

from tests.vidbench.test_ranks import free_port
from vidbench.stage import Step, load_network

seeds, steps = st.integers(0, 2**63 - 1), st.integers(0, 10**7)


@given(seeds, steps, st.integers(1, 12), st.integers(1, 5))
def test_draws_do_not_depend_on_the_number_of_processes(seed, index, batch, world):
    one = Step(seed, "gan", index, batch)
    for rank in range(world):
        share = Step(seed, "gan", index, batch, rank, world)
        assert list(share.samples) == list(range(batch))[rank::world]
        if share.samples:
            assert torch.equal(share.normal("z", 3), one.normal("z", 3)[rank::world])
            assert torch.equal(share.uniform("u"), one.uniform("u")[rank::world])


@given(seeds, steps)
def test_every_name_step_stage_seed_and_sample_has_draws_of_its_own(seed, index):
    step = Step(seed, "gan", index, 2)
    others = [Step(seed, "gan", index + 1, 2), Step(seed, "image", index, 2), Step(seed ^ 1, "gan", index, 2)]
    draws = [*step.normal("z", 4), *step.normal("motion", 4), *(other.normal("z", 4)[0] for other in others)]
    assert len({tuple(row.tolist()) for row in draws}) == len(draws)
    assert torch.equal(step.normal("z", 4), Step(seed, "gan", index, 2).normal("z", 4))


def test_draws_are_distributed_as_they_say():
    step = Step(0, "gan", 0, 200)
    normal, uniform = step.normal("z", 50), step.uniform("u", 50)
    assert (normal.dtype, uniform.dtype) == (torch.float32, torch.float64)
    assert abs(normal.mean()) < 0.05 and abs(normal.std() - 1) < 0.05
    assert uniform.min() >= 0 and uniform.max() < 1 and abs(uniform.mean() - 0.5) < 0.02


def test_a_single_process_leaves_gradients_alone():
    parameter = nn.Parameter(torch.ones(2))
    parameter.grad = torch.tensor([1.0, 2.0])
    Step(0, "gan", 0, 2).average_gradients([parameter, nn.Parameter(torch.ones(1))])
    assert parameter.grad.tolist() == [1.0, 2.0]


def share(rank: int, port: str, folder: str) -> None:
    """What one of two processes finds after averaging."""
    distributed.init_process_group("gloo", f"tcp://localhost:{port}", rank=rank, world_size=2)
    step = Step(0, "gan", 0, 4, rank, 2)
    parameters = [nn.Parameter(torch.zeros(2, 3)), nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(4))]
    parameters[0].grad, parameters[2].grad = torch.full((2, 3), rank + 1.0), torch.arange(4.0) * (rank + 1)
    step.average_gradients(parameters)
    mean = step.mean(torch.tensor(10.0 * rank))
    torch.save([*(parameter.grad for parameter in parameters), mean], f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


def test_two_processes_have_the_mean_of_their_gradients(tmp_path):
    multiprocessing.spawn(share, (free_port(), str(tmp_path)), nprocs=2)
    for rank in (0, 1):
        first, none, last, mean = torch.load(tmp_path / f"{rank}.pt")
        assert torch.equal(first, torch.full((2, 3), 1.5))
        assert none is None
        assert torch.equal(last, 1.5 * torch.arange(4.0))
        assert mean == 5


def test_a_network_takes_its_tensors_and_half_precision_becomes_its_own():
    network = nn.Linear(2, 3)
    load_network(network, {"weight": torch.ones(3, 2).half(), "bias": torch.zeros(3)})
    assert network.weight.dtype == torch.float32
    assert torch.equal(network.weight, torch.ones(3, 2))


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"weight": torch.ones(3, 2)}, "bias is missing"),
        ({"weight": torch.ones(3, 2), "bias": torch.ones(3), "odd": torch.ones(1)}, "odd is unknown"),
        ({"weight": torch.ones(2, 3), "bias": torch.ones(3)}, r"weight has shape \[2, 3\] instead of \[3, 2\]"),
        ({str(i): torch.ones(1) for i in range(9)}, "and 6 more"),
    ],
)
def test_tensors_that_do_not_fit_are_named(tensors, message):
    with pytest.raises(ValueError, match=message):
        load_network(nn.Linear(2, 3), tensors)
