"""The motion stage's losses, against what they are short forms of."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vidbench.models.mocogan_hd.motion_loss import (
    TEMPERATURE,
    average_least_squares,
    contrastive_loss,
    cosine_loss,
    hinge_loss,
    relativistic_loss,
)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


REAL, FAKE = ([normal(3, 1, 4, 4, seed=i), normal(3, 1, 2, 2, seed=i + 1)] for i in (0, 2))


@given(shift=st.floats(-5, 5))
def test_only_differences_of_logits_count(shift):
    shifted = [[logits + shift for logits in scales] for scales in (REAL, FAKE)]
    torch.testing.assert_close(relativistic_loss(*shifted), relativistic_loss(REAL, FAKE))


def test_real_logits_one_above_fake_ones_cost_a_discriminator_nothing():
    ones, zeros = [torch.ones(2, 3)], [torch.zeros(2, 3)]
    assert relativistic_loss(ones, zeros)[0] == 0
    assert average_least_squares(zeros, ones, 1) == 4


def test_scales_add_up():
    together = average_least_squares(REAL, FAKE, 1)
    torch.testing.assert_close(
        together, sum(average_least_squares([real], [fake], 1) for real, fake in zip(REAL, FAKE, strict=True))
    )


def test_hinges():
    parts = hinge_loss(torch.tensor([2.0, 0.0]), torch.tensor([-2.0, 1.0]))
    assert [part.item() for part in parts] == [0.5, 1.0]


def by_definition(first: torch.Tensor, second: torch.Tensor, queue: torch.Tensor) -> float:
    views = torch.cat([first, second])
    total = 0.0
    for i, view in enumerate(views):
        logits = []
        for j, other in enumerate([*views, *queue]):
            cosine = (view @ other / view.norm() / other.norm()).item()
            logits.append(0.0 if i == j else cosine / TEMPERATURE)
        partner = (i + len(first)) % len(views)
        total += math.log(sum(math.exp(x) for x in logits)) - logits[partner]
    return total / len(views)


FIRST, SECOND, QUEUE = normal(3, 5), normal(3, 5, seed=1), normal(4, 5, seed=2)


def test_the_contrastive_loss_is_that_of_every_row():
    assert contrastive_loss(FIRST, SECOND, QUEUE).item() == pytest.approx(by_definition(FIRST, SECOND, QUEUE))


@given(scale=st.floats(0.1, 10), row=st.integers(0, 2))
def test_lengths_of_features_do_not_count(scale, row):
    first, queue = FIRST.clone(), QUEUE.clone()
    first[row] *= scale
    queue[row] *= 1 / scale
    torch.testing.assert_close(contrastive_loss(first, SECOND, queue), contrastive_loss(FIRST, SECOND, QUEUE))


def test_neither_the_order_of_pairs_nor_which_view_is_first_counts():
    expected, order = contrastive_loss(FIRST, SECOND, QUEUE), [2, 0, 1]
    torch.testing.assert_close(contrastive_loss(FIRST[order], SECOND[order], QUEUE), expected)
    torch.testing.assert_close(contrastive_loss(SECOND, FIRST, QUEUE), expected)


def test_the_contrastive_loss_has_the_gradients_of_differences():
    inputs = FIRST.clone().requires_grad_(), SECOND.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda first, second: contrastive_loss(first, second, QUEUE), inputs)


def test_noise_that_is_recovered_up_to_its_length_costs_the_least():
    assert cosine_loss(3 * FIRST, FIRST).item() == pytest.approx(-1)
    assert cosine_loss(-FIRST, FIRST).item() == pytest.approx(1)
