"""StyleGAN3's layers, against their definitions: zeros inserted, filters as convolutions, weights for every video."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from vidbench.models.layers.alias_free import AliasFreeLayer, AliasFreeToRGB, signals
from vidbench.models.layers.banded import Resampling
from vidbench.models.layers.filters import sinc_filter
from vidbench.models.layers.fir import upfirdn2d


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


PLAN = signals(16, 32, num_layers=6, margin=4, channel_base=64, channel_max=5)
FINER = next(i for i in range(1, 6) if PLAN[i].rate > PLAN[i - 1].rate)


def layer(i: int) -> AliasFreeLayer:
    torch.manual_seed(0)
    made = AliasFreeLayer(7, PLAN[i - 1], PLAN[i], w_dim=6, conv_clamp=2.0).double()
    made.bias.data.normal_()
    made.magnitude_ema.fill_(1.7)
    return made


@given(
    size=st.integers(1, 90),
    taps=st.integers(1, 14),
    up=st.integers(1, 4),
    down=st.integers(1, 4),
    padding=st.tuples(st.integers(-6, 20), st.integers(-6, 20)),
    seed=st.integers(0, 2**32 - 1),
)
def test_resampling_by_bands_is_resampling(size, taps, up, down, padding, seed):
    assume((size - 1) * up + 1 + min(padding[0], 0) + min(padding[1], 0) > 0)  # not all of it is cut off
    resampling = Resampling(size, taps, up, down, padding)
    assume(resampling.length > 0 and size * up + sum(padding) >= taps)
    x, f = normal(2, size, 3, seed=seed), normal(taps, seed=seed + 1)
    expected = upfirdn2d(x.transpose(1, 2)[:, :, None], f[None], (up, 1), (down, 1), (*padding, 0, 0), gain=1.3)
    found = resampling(x, resampling.matrix(f, 1.3))
    torch.testing.assert_close(found, expected[:, :, 0].transpose(1, 2), rtol=0, atol=1e-12)


def test_resampling_by_bands_is_differentiable_twice():
    resampling = Resampling(40, 12, 2, 1, (-3, 7))
    matrix, x = resampling.matrix(normal(12)), normal(40, 1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: resampling(x, matrix), x)
    assert torch.autograd.gradgradcheck(lambda x: resampling(x, matrix).pow(3), x)


@pytest.mark.parametrize("i", [FINER, FINER + 1, 5])
def test_a_layer_is_its_definition(i):
    made, source, target = layer(i), PLAN[i - 1], PLAN[i]
    x, w = normal(4, 7, source.height, source.width), normal(2, 6, seed=1)
    rate = 2 * max(source.rate, target.rate)
    up, down = rate // source.rate, rate // target.rate
    frames = []
    for frame, style in zip(x, made.affine(w).repeat_interleave(2, dim=0), strict=True):
        weight = made.weight * style[:, None, None]
        weight = weight / weight.square().sum(dim=(1, 2, 3), keepdim=True).sqrt()
        frames.append(F.conv2d(frame[None], weight, padding=2) / math.sqrt(1.7) + made.bias[:, None, None])
    sides = []
    for before, after in ((source.width, target.width), (source.height, target.height)):
        total = (after - 1) * down + 1 - (before + 2) * up + 6 * up + 6 * down - 2
        sides += [(total + up) // 2, total - (total + up) // 2]
    fine = upfirdn2d(torch.cat(frames), made.up_filter, (up, up), (1, 1), tuple(sides), gain=up**2)
    fine = (math.sqrt(2) * F.leaky_relu(fine, 0.2)).clamp(-2, 2)
    expected = upfirdn2d(fine, made.down_filter, (1, 1), (down, down))
    assert expected.shape == (4, target.channels, target.height, target.width)
    torch.testing.assert_close(made(x, w), expected, rtol=0, atol=1e-6)


def test_colours_are_neither_demodulated_nor_filtered():
    torch.manual_seed(0)
    made = AliasFreeToRGB(7, 3, w_dim=6, conv_clamp=0.5).double()
    made.magnitude_ema.fill_(4.0)
    x, w = normal(4, 7, 3, 5), normal(2, 6, seed=1)
    styles = made.affine(w).repeat_interleave(2, dim=0) / math.sqrt(7)
    expected = torch.einsum("oi, ni, nihw -> nohw", made.weight[:, :, 0, 0], styles, x / 2).clamp(-0.5, 0.5)
    torch.testing.assert_close(made(x, w), expected)


def test_the_scale_of_styles_and_weights_is_nothing():
    made = layer(FINER)
    x, w = normal(2, 7, PLAN[FINER - 1].height, PLAN[FINER - 1].width), normal(1, 6, seed=1)
    before = made(x, w)
    made.weight.data *= 1e3
    made.affine.weight.data *= 1e-2
    made.affine.bias.data *= 1e-2
    torch.testing.assert_close(made(x, w), before, rtol=1e-6, atol=1e-7)


def test_magnitude_follows_the_mean_over_all_processes_when_asked():
    made, w = layer(FINER), normal(1, 6)
    x = 3 * normal(2, 7, PLAN[FINER - 1].height, PLAN[FINER - 1].width)
    before = made(x, w)
    assert made.magnitude_ema == 1.7
    made.reduce_mean = lambda mean: mean + 1
    after = made(x, w, beta=0.9)
    expected = 0.9 * 1.7 + 0.1 * (x.square().mean() + 1)
    torch.testing.assert_close(made.magnitude_ema, expected)
    torch.testing.assert_close(made(x, w), after)
    assert (after - before).abs().max() > 1e-3


@pytest.mark.parametrize(("taps", "cutoff", "width", "rate"), [(48, 4.0, 4.0, 32), (96, 8.0, 6.0, 64)])
def test_a_low_pass_lets_half_through_at_its_cutoff(taps, cutoff, width, rate):
    f = sinc_filter(taps, cutoff, width, rate).double()
    torch.testing.assert_close(f, f.flip(0))

    def response(frequency: float) -> float:
        angles = 2 * math.pi * frequency / rate * (torch.arange(taps) - (taps - 1) / 2)
        return (f * angles.cos()).sum().item()

    assert response(0) == pytest.approx(1, abs=1e-6)
    assert response(cutoff) == pytest.approx(0.5, abs=0.1)
    assert abs(response(rate / 2)) < 0.02


def test_half_precision_is_near_full():
    made = layer(FINER).float()
    x, w = normal(2, 7, PLAN[FINER - 1].height, PLAN[FINER - 1].width).float(), normal(1, 6, seed=1).float()
    full = made(x, w)
    for half in (torch.float16, torch.bfloat16):
        found = made(x.to(half), w)
        assert found.dtype == half
        torch.testing.assert_close(found.float(), full, rtol=0, atol=0.05 * full.std().item())


def test_signals_of_the_paper_at_144_by_256():
    plan = signals(144, 256)
    widths = [36, 36, 36, 52, 52, 84, 84, 148, 148, 148, 276, 276, 276, 256, 256]
    heights = [29, 29, 29, 38, 38, 56, 56, 92, 92, 92, 164, 164, 164, 144, 144]
    rates = [16, 16, 16, 32, 32, 64, 64, 128, 128, 128, 256, 256, 256, 256, 256]
    channels = [512] * 9 + [362, 256, 181, 128, 128, 3]
    found = [(signal.width, signal.height, signal.rate, signal.channels) for signal in plan]
    assert found == list(zip(widths, heights, rates, channels, strict=True))
    assert plan[0].cutoff == 2
    assert plan[-1].cutoff == pytest.approx(128)
    with pytest.raises(ValueError, match="power of 2; they are 48 x 32"):
        signals(32, 48)
