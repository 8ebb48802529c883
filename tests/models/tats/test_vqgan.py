"""TATS's autoencoder: codes that do not tell their time, pictures that depend on near codes alone, and its losses."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vidbench.models.layers.loss import hinge_loss
from vidbench.models.tats.convolution import PaddedConv3d, PaddedConvTranspose3d
from vidbench.models.tats.discriminators import PatchDiscriminator
from vidbench.models.tats.reconstruction import pictures
from vidbench.models.tats.vqgan import VQGAN, decoder_reach
from vidbench.models.tats.vqgan_loss import adversarial_loss, feature_loss, frames_at

FACTORS = [(4, 8, 8), (2, 4, 4), (4, 4, 4), (2, 8, 8), (1, 2, 2), (2, 2, 2), (4, 2, 2)]
REACHES = [(6, 6), (6, 6), (4, 4), (9, 8), (7, 6), (3, 3), (4, 4)]


def exact(downsample=(2, 4, 4), padding="replicate") -> VQGAN:
    """An autoencoder in float64, whose norms do something."""
    torch.manual_seed(0)
    network = VQGAN(downsample, 2, 10, 3, padding=padding)
    for name, x in network.named_buffers():
        if name.endswith("running_var"):
            x.uniform_(0.01, 0.1)
    return network.double().eval().requires_grad_(False)


@settings(max_examples=15)
@given(st.tuples(*[st.integers(1, 5)] * 3), st.tuples(*[st.sampled_from([1, 2])] * 3))
def test_convolutions_divide_or_multiply_sides_by_their_strides(sides, strides):
    full = tuple(2 * side for side in sides)
    down, up = PaddedConv3d(1, 1, 4, strides), PaddedConvTranspose3d(1, 1, strides)
    expected = tuple(side // stride for side, stride in zip(full, strides, strict=True))
    assert down(torch.zeros(1, 1, *full)).shape[2:] == expected
    assert up(torch.zeros(1, 1, *expected)).shape[2:] == full


def test_of_uneven_padding_the_larger_half_comes_first():
    layer = PaddedConv3d(1, 1, 4)
    with torch.no_grad():
        layer.conv.weight.zero_()[..., 0, 0, 0] = 1
        layer.conv.bias.zero_()
    x = torch.arange(6.0).view(1, 1, 6, 1, 1)
    assert layer(x).flatten().tolist() == [0, 0, 0, 1, 2, 3]


@pytest.mark.parametrize(("padding", "agnostic"), [("replicate", True), ("constant", False)])
def test_codes_of_a_still_video_tell_no_time(padding, agnostic):
    still = (torch.rand(1, 3, 1, 8, 8, dtype=torch.float64) - 0.5).expand(-1, -1, 12, -1, -1)
    z = exact(padding=padding).latents(still)
    spread = (z - z[:, :, :1]).abs().max()
    assert (spread < 1e-12) == agnostic


@pytest.mark.parametrize(("downsample", "reach"), list(zip(FACTORS, REACHES, strict=True)))
def test_pictures_depend_on_as_many_latent_frames_as_is_known(downsample, reach):
    assert decoder_reach(downsample) == reach


def test_pictures_come_in_parts_as_they_are_in_one_piece():
    network = exact((1, 2, 2))
    for count in (1, 7, 8, 14, 31):
        codes = torch.randint(10, (2, count, 2, 2))
        chunks = list(pictures(network, codes.unbind(dim=1)))
        whole = (2 * network.decode(codes)).clamp(-1, 1)
        torch.testing.assert_close(torch.cat(chunks, dim=2).double(), whole, rtol=0, atol=1e-6)


def test_constant_codes_give_a_video_of_the_period_of_a_code_but_for_its_ends():
    network, (left, right) = exact((4, 4, 4)), decoder_reach((4, 4, 4))
    video = network.decode(torch.full((1, left + right + 4, 1, 1), 3))
    inner = video[:, :, 4 * left : 4 * (left + 4)]
    torch.testing.assert_close(inner[:, :, 4:], inner[:, :, :-4], rtol=0, atol=1e-12)
    assert (video[:, :, :4] - inner[:, :, :4]).abs().max() > 1e-6


@pytest.mark.parametrize("axes", [2, 3])
def test_a_discriminator_gives_all_its_layers(axes):
    network = PatchDiscriminator(axes, 4, 3)
    shape = (2, 3, 16, 32, 32) if axes == 3 else (2, 3, 32, 32)
    outputs = network(torch.zeros(shape))
    assert [y.shape[1] for y in outputs] == [4, 8, 16, 32, 1]
    assert outputs[-1].shape[2:] == ((5, 7, 7) if axes == 3 else (7, 7))


def test_losses_by_hand():
    clips = torch.arange(2 * 3 * 4.0).view(2, 3, 4, 1, 1)
    torch.testing.assert_close(frames_at(clips, torch.tensor([1, 3])), clips[[0, 1], :, [1, 3]])
    real, fake = torch.tensor([2.0, 0.0]), torch.tensor([-3.0, 1.0])
    assert hinge_loss(real, fake).item() == (0.5 + 1) / 2
    assert adversarial_loss(real, fake).item() == -1 + 1
    assert feature_loss([real, fake, real], [fake, fake, fake]).item() == 3
