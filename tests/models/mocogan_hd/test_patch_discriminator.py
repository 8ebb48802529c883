"""Patches of images and of videos are judged at two scales."""

import pytest
import torch

from vidbench.models.mocogan_hd.patch_discriminator import PatchDiscriminator, gradient_penalty


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def video_discriminator() -> PatchDiscriminator:
    torch.manual_seed(0)
    return PatchDiscriminator(3, 6, (2, 3)).double()


@pytest.mark.parametrize(
    ("axes", "in_channels", "parameters"), [(3, 6, 22_136_706), (3, 3, 22_112_130), (2, 6, 5_535_618)]
)
def test_the_authors_discriminators_are_of_this_size(axes, in_channels, parameters):
    with torch.device("meta"):
        network = PatchDiscriminator(axes, in_channels)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


def test_logits_of_the_paper_s_clips():
    with torch.device("meta"):
        video = PatchDiscriminator(3, 6)(torch.empty(1, 6, 15, 128, 128))
        image = PatchDiscriminator(2, 6)(torch.empty(1, 6, 128, 128))
    assert [tuple(logits.shape[2:]) for logits in video] == [(5, 19, 19), (5, 11, 11)]
    assert [tuple(logits.shape[2:]) for logits in image] == [(19, 19), (11, 11)]


@pytest.mark.parametrize(("frames", "full", "half"), [(16, 5, 5), (17, 5, 4)])
def test_more_than_16_frames_are_averaged_over_time_too(frames, full, half):
    network = video_discriminator()
    logits = network(normal(1, 6, frames, 16, 16))
    assert [each.shape[2] for each in logits] == [full, half]


def test_a_video_does_not_depend_on_its_neighbours():
    network, x = video_discriminator(), normal(3, 6, 5, 16, 16)
    for together, alone in zip(network(x), network(x[1:2]), strict=True):
        torch.testing.assert_close(together[1:2], alone)


def test_the_penalty_has_the_gradients_of_differences():
    network, real, fake = video_discriminator(), normal(2, 6, 4, 8, 8), normal(2, 6, 4, 8, 8, seed=1)
    alpha = torch.rand(2, 1, 1, 1, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weight = network.scale1_layer1[0].weight
    (gradient,) = torch.autograd.grad(gradient_penalty(network, real, fake, alpha), weight)
    direction = 1e-6 * gradient / gradient.norm()
    values = []
    for step in (1, -2):
        weight.data += step * direction
        values.append(gradient_penalty(network, real, fake, alpha).item())
    assert (values[0] - values[1]) / 2e-6 == pytest.approx(gradient.norm().item(), rel=1e-4)


def test_the_penalty_counts_norms_of_pixels():
    """A discriminator whose gradient is everywhere the same, of norm 5 in each pixel."""

    class Sum(PatchDiscriminator):
        def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
            return [3 * x[:, 0] + 4 * x[:, 1], 0 * x[:, 0]]

    network, x = Sum(3, 2, (1,)), normal(2, 2, 3, 4, 4)
    penalty = gradient_penalty(network, x, 2 * x, torch.zeros(2, 1, 1, 1, 1, dtype=torch.float64))
    torch.testing.assert_close(penalty, torch.tensor(((5 - 1) ** 2 + 1) / 2, dtype=torch.float64))
    assert not penalty.isnan()


def test_a_norm_of_zero_has_a_gradient():
    network = video_discriminator()
    network.scale1_layer4[0].weight.data.zero_()
    network.scale0_layer4[0].weight.data.zero_()
    x = normal(1, 6, 4, 8, 8)
    penalty = gradient_penalty(network, x, x, torch.zeros(1, 1, 1, 1, 1, dtype=torch.float64))
    torch.testing.assert_close(penalty, torch.ones((), dtype=torch.float64))
    (gradient,) = torch.autograd.grad(penalty, network.scale1_layer4[0].weight)
    assert gradient.isfinite().all()
