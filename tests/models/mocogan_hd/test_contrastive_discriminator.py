"""Spectral norm, the copy that follows, and the queues."""

import pytest
import torch

from vidbench.models.mocogan_hd.contrastive_discriminator import ContrastiveDiscriminator, ContrastiveNetwork
from vidbench.models.mocogan_hd.spectral import SpectralConv2d, SpectralLinear


def discriminator(length: int = 7, batch: int = 3) -> ContrastiveDiscriminator:
    torch.manual_seed(0)
    return ContrastiveDiscriminator(32, batch=batch, width=1, features=4, length=length)


def images(count: int = 3, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize("layer", [SpectralConv2d(4, 5, 3), SpectralLinear(6, 5)])
def test_in_training_the_weight_s_largest_singular_value_tends_to_1(layer):
    layer.weight_orig.data.normal_(generator=torch.Generator().manual_seed(0))
    for _ in range(200):
        layer.weight()
    largest = torch.linalg.matrix_norm(layer.weight().flatten(1), ord=2)
    torch.testing.assert_close(largest, torch.ones(()), rtol=1e-4, atol=0)


def test_in_evaluation_nothing_moves():
    network = discriminator().eval()
    before = {name: x.clone() for name, x in network.state_dict().items()}
    first, second = network(images()), network(images())
    torch.testing.assert_close(first, second)
    for name, x in network.state_dict().items():
        assert torch.equal(x, before[name]), name


def test_a_later_call_does_not_change_the_gradients_of_an_earlier_one():
    gradients = []
    for calls in (0, 2):
        network = discriminator().network
        score, _ = network(images())
        for _ in range(calls):
            network(images(seed=1))
        gradients.append(torch.autograd.grad(score.sum(), list(network.parameters()), allow_unused=True))
    for first, second in zip(*gradients, strict=True):
        torch.testing.assert_close(first, second)


def test_the_paper_s_network_is_of_this_size():
    with torch.device("meta"):
        network = ContrastiveNetwork(128, 96, 256)
    assert sum(parameter.numel() for parameter in network.parameters()) == 86_958_625


@pytest.mark.parametrize(("side", "last"), [(32, 8), (64, 4), (128, 4), (256, 4)])
def test_there_is_a_network_for_every_side(side, last):
    network, seen = ContrastiveNetwork(side, 1, 4), []
    network.blocks[-1].register_forward_hook(lambda module, args, output: seen.append(output.shape[-1]))
    with torch.no_grad():
        score, features = network(torch.zeros(2, 3, side, side))
    assert (score.shape, features.shape, seen) == ((2,), (2, 4), [last])


def test_another_side_is_refused():
    with pytest.raises(ValueError, match="sees 32, 64, 128, 256 pixels, not 48"):
        ContrastiveDiscriminator(48, batch=2)


def test_queues_shorter_than_a_batch_are_refused():
    with pytest.raises(ValueError, match="queues of 4 rows have no room for a batch of 8"):
        discriminator(length=4, batch=8)


def test_the_copy_starts_equal_and_follows_by_a_thousandth():
    network = discriminator()
    pairs = list(zip(network.momentum.parameters(), network.network.parameters(), strict=True))
    assert all(torch.equal(own, other) for own, other in pairs)
    assert not torch.equal(network.momentum.proj0.weight_u, network.network.proj0.weight_u)
    vectors = network.momentum.proj0.weight_u.clone()
    with torch.no_grad():
        for _, other in pairs:
            other += 1
    network.follow()
    for own, other in pairs:
        torch.testing.assert_close(other - own, torch.full_like(own, 0.999))
    assert torch.equal(network.momentum.proj0.weight_u, vectors)


def test_queues_are_filled_in_turn_and_only_in_whole_batches():
    network = discriminator(length=7, batch=3).eval()
    last_row = network.q_real[6].clone()
    pointers = []
    for i in range(3):
        real, fake = images(seed=i), images(seed=10 + i)
        network.enqueue(real, fake)
        rows = slice(3 * (i % 2), 3 * (i % 2) + 3)
        assert torch.equal(network.q_real[rows], network.momentum(real)[1])
        assert torch.equal(network.q_fake[rows], network.momentum(fake)[1])
        pointers.append(int(network.q_ptr))
    assert pointers == [3, 0, 3]
    assert torch.equal(network.q_real[6], last_row)
    assert [len(queue) for queue in network.queues()] == [6, 6]


def test_features_of_all_processes_enter_the_queues():
    network = discriminator(length=8, batch=4).eval()
    network.gather = lambda features: torch.cat([features, -features])
    network.enqueue(images(2), images(2, seed=1))
    assert torch.equal(network.q_real[2:4], -network.q_real[:2])
    assert int(network.q_ptr) == 4
