"""StyleGAN2's layers, against what they are short forms of."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from vidbench.models.layers.convolution import Conv2dLayer, modulated_conv2d, modulated_pointwise, resampled_conv2d
from vidbench.models.layers.fir import resample_filter
from vidbench.models.layers.linear import Linear
from vidbench.models.layers.mapping import MappingNetwork
from vidbench.models.layers.minibatch_std import with_minibatch_std
from vidbench.models.layers.synthesis import SynthesisLayer

FILTER = resample_filter().double()


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def modulated_by_definition(x, weight, styles, frames):
    """Weights of their own for every video."""
    out = []
    for video, style in zip(x.split(frames), styles, strict=True):
        own = weight * style[:, None, None]
        own = own / (own.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8).sqrt()
        out.append((video, own))
    return out


@given(videos=st.integers(1, 3), frames=st.integers(1, 3), up=st.sampled_from([1, 2]))
def test_modulation_is_weights_of_its_own_for_every_video(videos, frames, up):
    x, weight, styles = normal(videos * frames, 4, 5, 5), normal(3, 4, 3, 3, seed=1), normal(videos, 4, seed=2)
    expected = torch.cat(
        [resampled_conv2d(v, own, FILTER, up=up) for v, own in modulated_by_definition(x, weight, styles, frames)]
    )
    found = modulated_conv2d(x, weight, styles, FILTER, torch.full((), 0.5).double(), up, gain=3.0)
    torch.testing.assert_close(found, 3 * (expected + 0.5))
    colours = modulated_pointwise(x, weight[:, :, :1, :1], styles, torch.ones(3).double())
    per_video = zip(x.split(frames), styles, strict=True)
    expected = torch.cat([F.conv2d(v, weight[:, :, :1, :1] * s[:, None, None]) + 1 for v, s in per_video])
    torch.testing.assert_close(colours, expected)


def test_modulation_in_half_precision_stays_in_range():
    x, styles = 300 * torch.ones(1, 64, 8, 8, dtype=torch.float16), torch.full((1, 64), 1e4)
    found = modulated_conv2d(x, 1e3 * torch.ones(2, 64, 3, 3), styles, resample_filter(), torch.zeros(()))
    torch.testing.assert_close(found[..., 1:-1, 1:-1].float(), torch.full((1, 2, 6, 6), 300 * 24.0), rtol=1e-2, atol=0)


def test_a_layer_scales_its_weights_when_it_uses_them():
    layer = Conv2dLayer(4, 3, 3, activation="lrelu", conv_clamp=0.7).double()
    x = normal(2, 4, 6, 6)
    layer.bias.data.uniform_(-1, 1)
    plain = F.conv2d(x, layer.weight / math.sqrt(4 * 9), layer.bias, padding=1)
    expected = 0.5 * (math.sqrt(2) * F.leaky_relu(plain, 0.2)).clamp(-0.7, 0.7)
    torch.testing.assert_close(layer(x, gain=0.5), expected)


def test_a_slow_linear_layer_starts_where_any_other_does():
    torch.manual_seed(0)
    layer = Linear(400, 300, lr_mult=0.01, bias_init=2.0).double()
    y = layer(normal(50, 400)) - 0.02
    assert abs(y.std().item() - 1) < 0.05
    assert abs(y.mean().item()) < 0.05


def test_noise_is_the_same_for_all_channels_and_drawn_for_every_frame():
    torch.manual_seed(0)
    layer = SynthesisLayer(4, 3, w_dim=5, resolution=6, use_noise=True).double()
    x, w = normal(4, 4, 6, 6)[:1].expand(4, -1, -1, -1), normal(2, 5)[:1].expand(2, -1)
    plain = layer(x, w)
    torch.testing.assert_close(plain[0], plain[3])
    layer.noise_strength.data.fill_(0.5)
    constant = layer(x, w, "const")
    torch.testing.assert_close(constant[0], constant[3])
    noisy = layer(x, w)
    assert all((noisy[i] - noisy[j]).abs().max() > 0.1 for i in range(4) for j in range(i))


def test_mapping_ignores_the_scale_of_its_latent():
    network = MappingNetwork(6, 0, 5, 2, num_ws=3).double().eval()
    z = normal(4, 6)
    torch.testing.assert_close(network(z, None), network(z * 7, None), rtol=1e-6, atol=1e-9)
    assert network(z, None).shape == (4, 3, 5)


def test_minibatch_std_of_equal_samples_is_nothing():
    x = normal(4, 6, 3, 3)
    shown = with_minibatch_std(x[:1].expand(4, -1, -1, -1), group_size=4, num_channels=2)
    torch.testing.assert_close(shown[:, 6:], torch.full((4, 2, 3, 3), 1e-4).double())
    two = with_minibatch_std(x, group_size=2)
    expected = ((x[0] - x[2]).square() / 4 + 1e-8).sqrt().mean()
    torch.testing.assert_close(two[0, 6], expected.expand(3, 3))


def test_minibatch_std_needs_whole_groups():
    with pytest.raises(ValueError, match="batch of 5 does not divide into groups of 4"):
        with_minibatch_std(normal(5, 2, 2, 2), group_size=4)
