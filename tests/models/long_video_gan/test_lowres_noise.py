"""Noise is a function of seed and index; the filters are what they are said to be."""

import torch
import torch.nn.functional as F
from einops import rearrange
from hypothesis import given
from hypothesis import strategies as st

from vidbench.models.layers.filters import kaiser_filter, linear_filter, sinc_filter
from vidbench.models.long_video_gan.temporal_noise import FilterBank, TimeScales, noise_stream

SCALES = TimeScales(16, 90, 5)


@given(seed=st.integers(0, 2**31), start=st.integers(0, 500), length=st.integers(1, 300), data=st.data())
def test_noise_does_not_depend_on_what_else_is_drawn(seed, start, length, data):
    whole = noise_stream(seed, 3, range(start, start + length))
    assert whole.shape == (3, length)
    first = data.draw(st.integers(0, length - 1))
    last = data.draw(st.integers(first + 1, length))
    assert torch.equal(noise_stream(seed, 3, range(start + first, start + last)), whole[:, first:last])


def test_noise_is_standard_normal_and_never_the_same():
    rows = torch.cat([noise_stream(seed, 2, range(10_000)) for seed in range(2)])
    covariance = torch.cov(rows)
    torch.testing.assert_close(covariance, torch.eye(4), rtol=0, atol=0.05)
    torch.testing.assert_close(rows.mean(dim=1), torch.zeros(4), rtol=0, atol=0.05)
    assert len(rows.unique()) > 0.99 * rows.numel()


@given(seed=st.integers(0, 2**31), length=st.integers(1, 90))
def test_the_bank_is_a_correlation_of_each_channel_with_each_filter(seed, length):
    bank = FilterBank(SCALES).double()
    noise = torch.randn(2, 3, length + 44, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    lines = F.conv1d(rearrange(noise, "n j t -> (n j) 1 t"), bank.blur_filters) * bank.output_scale
    torch.testing.assert_close(bank(noise), rearrange(lines, "(n j) i t -> n (j i) t", j=3), rtol=0, atol=1e-12)


def test_filtered_noise_has_unit_variance_and_the_slower_filters_change_it_slower():
    x = FilterBank(SCALES)(torch.randn(1, 1, 200_000, generator=torch.Generator().manual_seed(0)))[0]
    torch.testing.assert_close(x.var(dim=1), torch.ones(5), rtol=0, atol=0.1)
    change = x.diff(dim=1).var(dim=1)
    assert (change.diff() < 0).all()


def test_all_filters_end_at_the_latest_frame_and_pass_a_constant():
    filters = FilterBank(SCALES).blur_filters[:, 0]
    assert filters.shape == (5, SCALES.reach) == (5, 45)
    assert [int(row.count_nonzero()) for row in filters] == [8, 13, 19, 30, 45]
    assert (filters[:, -1] != 0).all()
    torch.testing.assert_close(filters.sum(dim=1), torch.ones(5))


def test_the_papers_bank_reaches_from_125_to_5000_frames():
    rates = TimeScales().rates
    assert len(rates) == 128
    torch.testing.assert_close(rates[0], 250.0)
    torch.testing.assert_close(rates[-1], 10000.0)
    assert TimeScales().reach == 5000


def test_filters_of_resampling():
    torch.testing.assert_close(linear_filter(2), torch.tensor([1.0, 3, 3, 1]) / 8)
    torch.testing.assert_close(linear_filter(4).sum(), torch.tensor(1.0))
    taps = kaiser_filter(2)
    assert len(taps) == 12
    torch.testing.assert_close(taps[[0, -1]], torch.tensor([-1.4e-6, -1.4e-6]), rtol=0, atol=1e-7)
    torch.testing.assert_close(taps, taps.flip(0))


def test_half_of_the_amplitude_passes_at_the_cutoff():
    taps = sinc_filter(400, cutoff=2, width=1, rate=20).double()
    response = (taps * torch.cos(2 * torch.pi * 2 / 20 * (torch.arange(400) - 199.5))).sum()
    torch.testing.assert_close(response.item(), 0.5, rtol=0, atol=1e-3)
