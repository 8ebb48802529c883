"""What the training of every GAN takes: rates for lazy regularisation, finite gradients, a sign of overfitting."""

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from vidbench.models.layers.training import Overfitting, descend, lazy_adam
from vidbench.stage import Step

STEP = Step(0, "gan", 0, 4)


@dataclass(frozen=True)
class OfTwo(Step):
    """A process beside one whose gradients, and sums of signs, are 0."""

    world: int = 2

    def mean(self, value):
        return value / 2


@pytest.mark.parametrize(("interval", "share"), [(None, 1), (4, 0.8), (16, 16 / 17)])
def test_adam_is_corrected_for_lazy_regularisation(interval, share):
    """Karras et al., CVPR 2020, Appendix B: with c = interval / (interval + 1), lr is c lr, betas are betas^c."""
    network = nn.Linear(2, 3)
    [group] = lazy_adam(network, 0.002, interval).param_groups
    assert group["lr"] == pytest.approx(0.002 * share)
    assert group["betas"] == (0, pytest.approx(0.99**share))
    assert all(type(beta) is float for beta in group["betas"])
    assert group["eps"] == 1e-8
    assert group["params"] == list(network.parameters())


def test_gradients_that_are_no_numbers_are_replaced():
    network = nn.Linear(4, 1)
    before = network.weight.detach().clone()
    network.weight.grad = torch.tensor([[float("nan"), float("inf"), float("-inf"), 2.0]])
    descend(network, torch.optim.SGD(network.parameters(), 1.0), STEP)
    assert (before - network.weight.detach()).tolist()[0] == pytest.approx([0, 1e5, -1e5, 2], rel=1e-5)


def test_gradients_are_gone_after_a_step_and_what_has_none_stays():
    network = nn.Linear(4, 1)
    bias = network.bias.detach().clone()
    network.weight.grad = torch.ones(1, 4)
    descend(network, torch.optim.SGD(network.parameters(), 1.0), STEP)
    assert network.weight.grad is None
    assert torch.equal(network.bias, bias)


def test_gradients_are_those_of_all_processes():
    network = nn.Linear(4, 1)
    before = network.weight.detach().clone()
    network.weight.grad = torch.full((1, 4), 6.0)
    descend(network, torch.optim.SGD(network.parameters(), 1.0), OfTwo(0, "gan", 0, 4))
    torch.testing.assert_close(before - network.weight.detach(), torch.full((1, 4), 3.0))


def test_overfitting_is_the_mean_sign_since_it_was_taken():
    """Karras et al., NeurIPS 2020, Eq. 1: r_t = E[sign(D(x))]."""
    signs = Overfitting()
    signs.add(torch.tensor([5.0, 0.1, -3.0, 100.0], requires_grad=True), STEP)
    signs.add(torch.tensor([-1.0, -2.0, -1e-9, 0.0]), STEP)
    assert signs.taken() == pytest.approx((2 - 3) / 8)
    signs.add(torch.ones(4), STEP)
    assert signs.taken() == 1


def test_overfitting_is_that_of_all_processes():
    signs = Overfitting()
    signs.add(torch.tensor([1.0, 1.0]), OfTwo(0, "gan", 0, 4))
    assert signs.taken() == 0.5


def test_a_checkpoint_keeps_what_was_counted_so_far():
    signs, other = Overfitting(), Overfitting()
    signs.add(torch.ones(4), STEP)
    other.load_state_dict(signs.state_dict())
    other.add(-torch.ones(4), STEP)
    assert other.taken() == 0
