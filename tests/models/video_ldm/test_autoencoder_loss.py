"""What autoencoder and decoder minimise, and the discriminators that they are trained against."""

import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence

from tests.models.video_ldm.small import normal
from vidbench.models.layers.loss import hinge_loss
from vidbench.models.video_ldm import autoencoder_loss as losses
from vidbench.models.video_ldm.discriminator import PatchDiscriminator


def test_reconstruction_is_a_sum_over_an_image_and_sees_three_scales():
    real = normal(2, 3, 8, 8)
    torch.testing.assert_close(losses.reconstruction_loss(real, real + 0.5), torch.tensor(0.5 * 3 * 64))
    checks = torch.tensor([1.0, -1.0]).repeat(4)[:, None] * torch.tensor([1.0, -1.0]).repeat(4)
    found = losses.reconstruction_loss(real, real + checks)  # gone at half the side
    torch.testing.assert_close(found, torch.tensor(3 * 64 / 3.0), rtol=1e-5, atol=0)


def test_kl_divergence_is_summed_over_an_image():
    mean, logvar = normal(3, 4, 2, 2), normal(3, 4, 2, 2, seed=1)
    expected = kl_divergence(Normal(mean, (logvar / 2).exp()), Normal(0.0, 1.0)).sum() / 3
    torch.testing.assert_close(losses.kl_divergence(mean, logvar), expected)


def test_hinge_is_0_beyond_the_margins_alone():
    ones = torch.ones(2, 1, 3, 3)
    assert hinge_loss(ones, -ones) == 0
    assert hinge_loss(0 * ones, 0 * ones) == 1
    assert hinge_loss(-ones, ones) == 2


def test_the_adversary_pulls_half_as_strongly_as_the_reconstruction():
    torch.manual_seed(0)
    decoder, judge = nn.Conv2d(4, 3, 3), PatchDiscriminator(2, (8, 16))
    images = decoder(normal(2, 4, 18, 18))
    reconstruction = losses.reconstruction_loss(normal(2, 3, 16, 16), images)
    loss = losses.adversarial_loss(reconstruction, judge(images)[-1], decoder.weight, torch.clone)
    pulls = [torch.autograd.grad(x, decoder.weight, retain_graph=True)[0] for x in (loss, reconstruction)]
    assert pulls[0].norm() / pulls[1].norm() == pytest.approx(0.5, rel=0.1)


def test_feature_matching_moves_what_was_decoded_alone_and_leaves_logits_out():
    judge = PatchDiscriminator(2, (8, 16))
    real, decoded = normal(1, 3, 16, 16).requires_grad_(), normal(1, 3, 16, 16, seed=1).requires_grad_()
    features = judge(real), judge(decoded)
    loss = losses.feature_matching(*features)
    means = [(a - b).abs().mean() for a, b in zip(*features, strict=True)][:-1]
    torch.testing.assert_close(loss, sum(means) / 2)
    gradients = torch.autograd.grad(loss, (real, decoded), allow_unused=True)
    assert gradients[0] is None
    assert gradients[1].any()


@pytest.mark.parametrize(("dims", "number"), [(2, 168_033), (3, 502_881)])
def test_discriminators_see_patches(dims, number):
    judge = PatchDiscriminator(dims, (32, 64, 128))
    assert sum(p.numel() for p in judge.parameters()) == number
    x = normal(2, 3, *(8, 32, 32)[3 - dims :])
    shapes = [tuple(feature.shape[2:]) for feature in judge(x)]
    sides = [16, 8, 7, 6]
    assert shapes == [(8,) * (dims - 2) + (side, side) for side in sides]


def test_the_video_discriminator_of_the_paper_halves_time_once():
    judge = PatchDiscriminator(3, (8, 16, 32, 64))
    shapes = [tuple(feature.shape[2:]) for feature in judge(normal(1, 3, 8, 64, 64))]
    assert shapes == [(8, 32, 32), (8, 16, 16), (4, 8, 8), (4, 7, 7), (4, 6, 6)]


def test_the_video_discriminator_sees_motion():
    """Frames in another order get other logits, though each frame is the same."""
    judge, video = PatchDiscriminator(3, (8, 16, 32)), normal(1, 3, 8, 32, 32)
    assert (judge(video)[-1].mean() - judge(video[:, :, [0, 4, 2, 6, 1, 5, 3, 7]])[-1].mean()).abs() > 1e-6
