"""What a training step asks of the discriminators: roles, random numbers and gradients fall where they belong."""

import pytest
import torch

from vidbench.models.mocogan_hd.adversaries import (
    pair_discriminator_losses,
    pair_generator_loss,
    video_discriminator_losses,
    video_generator_loss,
    view_discriminator_losses,
    view_generator_losses,
)
from vidbench.models.mocogan_hd.contrastive_discriminator import ContrastiveDiscriminator
from vidbench.models.mocogan_hd.patch_discriminator import PatchDiscriminator
from vidbench.models.mocogan_hd.video import pairs
from vidbench.models.mocogan_hd.views import NUM_DRAWS


def clips(seed: int) -> torch.Tensor:
    return torch.rand(2, 4, 3, 32, 32, generator=torch.Generator().manual_seed(seed)) * 2 - 1


REAL, FAKE = clips(0), clips(1)
COINS = (True, False)
DRAWS = tuple(torch.rand(2, NUM_DRAWS, generator=torch.Generator().manual_seed(i)) for i in range(4))


def patches(axes: int) -> PatchDiscriminator:
    torch.manual_seed(0)
    return PatchDiscriminator(axes, 6, (2, 2))


def test_generator_and_discriminator_swap_the_roles_of_their_clips():
    alpha = torch.full((2, 1, 1, 1, 1), 0.5)
    losses, _ = video_discriminator_losses(patches(3), pairs(FAKE), pairs(REAL), COINS[::-1], alpha)
    torch.testing.assert_close(
        video_generator_loss(patches(3), pairs(REAL), pairs(FAKE), COINS), torch.stack(losses).mean()
    )
    losses = pair_discriminator_losses(patches(2), FAKE, REAL, 2)
    torch.testing.assert_close(pair_generator_loss(patches(2), REAL, FAKE, 2), torch.stack(losses).mean())


def test_coins_turn_their_own_clips():
    network = patches(3)
    values = [
        video_generator_loss(network, pairs(REAL), pairs(FAKE), (a, b)).item()
        for a in (False, True)
        for b in (False, True)
    ]
    assert len(set(values)) == 4


def test_the_penalty_is_of_clips_that_run_forwards():
    alpha = torch.full((2, 1, 1, 1, 1), 0.5)
    penalties = [
        video_discriminator_losses(patches(3), pairs(REAL), pairs(FAKE), coins, alpha)[1]
        for coins in ((False, False), (True, True))
    ]
    torch.testing.assert_close(*penalties)


@pytest.mark.parametrize("t", [1, 3])
def test_a_pair_is_judged_by_its_two_frames(t):
    fake = FAKE.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(pair_generator_loss(patches(2), REAL, fake, t), fake)
    assert gradient.abs().sum(dim=(0, 2, 3, 4)).nonzero().flatten().tolist() == [0, t]


def contrastive() -> ContrastiveDiscriminator:
    torch.manual_seed(0)
    return ContrastiveDiscriminator(32, batch=2, width=1, features=16, length=6)


def test_views_teach_the_later_frame_alone_and_fill_the_queues():
    network, fake = contrastive(), FAKE.clone().requires_grad_()
    hinge, match = view_generator_losses(network, fake, 2, *DRAWS[:2])
    assert int(network.q_ptr) == 2
    for loss in (hinge, match):
        (gradient,) = torch.autograd.grad(loss, fake, retain_graph=True)
        assert gradient.abs().sum(dim=(0, 2, 3, 4)).nonzero().flatten().tolist() == [2]


def test_the_discriminator_s_step_leaves_queues_and_copy_alone():
    network = contrastive()
    before = {name: x.clone() for name, x in network.state_dict().items() if not name.startswith("network.")}
    losses = view_discriminator_losses(network, FAKE, 2, DRAWS)
    sum(losses).backward()
    for name, x in before.items():
        assert torch.equal(network.state_dict()[name], x), name
    assert all(parameter.grad is None for parameter in network.momentum.parameters())
    assert all(parameter.grad is not None for parameter in network.network.parameters())


def test_only_the_contrastive_part_sees_the_second_views():
    others = (DRAWS[0], 1 - DRAWS[1], DRAWS[2], 1 - DRAWS[3])
    first, second = (view_discriminator_losses(contrastive().eval(), FAKE, 2, draws) for draws in (DRAWS, others))
    torch.testing.assert_close(first[:2], second[:2])
    assert first.contrastive != second.contrastive
