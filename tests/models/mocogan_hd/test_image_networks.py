"""The image stage: one generator for images and for the frames of videos; StyleGAN2's sizes, mixing and path length."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vidbench.models.mocogan_hd.image_loss import mixed, path_lengths, path_penalty
from vidbench.models.mocogan_hd.image_networks import ImageDiscriminator, ImageGenerator

CHANNELS = (6, 5, 4)
WIDE = (512, 512, 512, 512, 512, 256, 128, 64, 32)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def generator() -> ImageGenerator:
    torch.manual_seed(0)
    network = ImageGenerator(CHANNELS, z_dim=7, mapping_layers=2).double().eval()
    for name, parameter in network.named_parameters():
        if name.endswith("noise_strength"):
            parameter.data.fill_(0.5)
    return network


NETWORK = generator()


def noise(count: int) -> list[torch.Tensor]:
    return [normal(count, 1, side, side, seed=layer) for layer, side in enumerate(NETWORK.synthesis.noise_sides)]


def count(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("side", "parameters"), [(128, 29_328_669), (256, 30_034_338), (512, 30_276_583), (1024, 30_370_060)]
)
def test_the_authors_generators_are_of_this_size(side, parameters):
    with torch.device("meta"):
        network = ImageGenerator(WIDE[: side.bit_length() - 2])
    assert network.synthesis.resolutions[-1] == side
    assert count(network) == parameters


def test_a_layer_of_noise_each_but_for_the_colours():
    assert NETWORK.synthesis.noise_sides == [4, 8, 8, 16, 16]
    assert NETWORK.synthesis.num_ws == 6


def test_frames_of_a_still_video_are_one_image():
    """Styles are a frame's own, noise is a video's."""
    w = NETWORK.mapping(normal(2, 7), None)
    images = NETWORK.synthesis(w, noise(2))
    frames = NETWORK.synthesis(w.repeat_interleave(3, dim=0), noise(2))
    torch.testing.assert_close(frames, images.repeat_interleave(3, dim=0))


def test_noise_counts_only_where_it_is_given():
    z = normal(2, 7)
    without = NETWORK(z, None)
    assert (NETWORK(z, noise(2)) - without).abs().max() > 0.1
    assert (NETWORK(z, "const") - without).abs().max() > 0.1
    torch.testing.assert_close(NETWORK(z, [0 * maps for maps in noise(2)]), without)


@given(index=st.integers(0, 6))
def test_mixed_styles_are_the_first_below_and_the_second_from_the_index_on(index):
    first, second = normal(2, 6, 3), normal(2, 6, 3, seed=1)
    both = mixed(first, second, index)
    assert torch.equal(both[:, :index], first[:, :index])
    assert torch.equal(both[:, index:], second[:, index:])


def test_the_path_length_of_a_linear_map_is_the_norm_of_its_transpose():
    """For images A w, the gradient of y . A w / sqrt(pixels) at w is A' y / sqrt(pixels)."""
    ws, matrix, y = normal(2, 6, 3).requires_grad_(), normal(3 * 4 * 4, 6 * 3, seed=1), normal(2, 3, 4, 4, seed=2)
    images = (ws.flatten(1) @ matrix.T).view(2, 3, 4, 4)
    gradient = (y.flatten(1) @ matrix / 4).view(2, 6, 3)
    torch.testing.assert_close(path_lengths(images, ws, y), gradient.norm(dim=2).square().mean(dim=1).sqrt())


def test_equal_paths_of_the_mean_length_cost_nothing():
    mean = torch.tensor(3.0)
    penalty, moved = path_penalty(torch.full((4,), 3.0), mean, torch.tensor(3.0))
    assert (penalty, moved) == (0, mean)
    penalty, moved = path_penalty(torch.full((4,), 4.0), mean, torch.tensor(4.0))
    torch.testing.assert_close(moved, torch.tensor(3.01))
    torch.testing.assert_close(penalty, torch.tensor(0.99**2))


def test_the_moving_average_of_lengths_takes_gradients_and_is_kept_without():
    lengths = torch.tensor([1.0, 3.0], requires_grad=True)
    penalty, moved = path_penalty(lengths, torch.tensor(0.0), torch.tensor(2.0))
    assert not moved.requires_grad
    (gradient,) = torch.autograd.grad(penalty, lengths)
    torch.testing.assert_close(gradient, (lengths.detach() - 0.02) - 0.01 * (2 - 0.02))


def test_the_discriminator_sees_a_batch_in_any_order_of_groups():
    torch.manual_seed(0)
    network = ImageDiscriminator(CHANNELS).double()
    images = normal(4, 3, 16, 16)
    logits = network(images)
    assert logits.shape == (4,)
    torch.testing.assert_close(network(images.flip(0)), logits.flip(0))
    with pytest.raises(ValueError, match="does not divide into groups"):
        network(normal(6, 3, 16, 16))
