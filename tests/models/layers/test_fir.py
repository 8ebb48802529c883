"""Resampling by filters, against its definition: zeros inserted, padded, convolved, thinned out."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.signal import convolve2d

from vidbench.models.layers.fir import downsample2d, filter2d, resample_filter, upfirdn2d, upsample2d

sides = st.integers(3, 7)
factors = st.tuples(st.integers(1, 3), st.integers(1, 3))


def by_definition(x, f, up, down, padding, flip, gain):
    """One channel `[H, W]` in numpy."""
    spread = np.zeros((x.shape[0] * up[1], x.shape[1] * up[0]))
    spread[:: up[1], :: up[0]] = x
    x0, x1, y0, y1 = padding
    padded = np.pad(spread, ((max(y0, 0), max(y1, 0)), (max(x0, 0), max(x1, 0))))
    padded = padded[max(-y0, 0) : len(padded) - max(-y1, 0), max(-x0, 0) : padded.shape[1] - max(-x1, 0)]
    kernel = f[::-1, ::-1] if flip else f
    return convolve2d(padded, kernel * gain, mode="valid")[:: down[1], :: down[0]]


@given(
    size=st.tuples(sides, sides),
    taps=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    up=factors,
    down=factors,
    padding=st.tuples(*[st.integers(-1, 5)] * 4),
    flip=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_upfirdn2d_is_its_definition(size, taps, up, down, padding, flip, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(2, 3, *size, generator=generator, dtype=torch.float64)
    f = torch.randn(*taps, generator=generator, dtype=torch.float64)
    room = [size[1] * up[0] + padding[0] + padding[1] - taps[1], size[0] * up[1] + padding[2] + padding[3] - taps[0]]
    assume(min(room) >= 0)
    found = upfirdn2d(x, f, up, down, padding, flip, 1.7)
    for i in range(2):
        for j in range(3):
            expected = by_definition(x[i, j].numpy(), f.numpy(), up, down, padding, flip, 1.7)
            torch.testing.assert_close(found[i, j], torch.from_numpy(expected.copy()), rtol=0, atol=1e-12)


@given(up=factors, down=factors, flip=st.booleans(), seed=st.integers(0, 2**32 - 1))
def test_a_filter_of_one_axis_is_its_outer_product(up, down, flip, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(1, 2, 6, 5, generator=generator, dtype=torch.float64)
    f = torch.randn(5, generator=generator, dtype=torch.float64)
    settings = (up, down, (3, 2, 1, 4), flip, 2.5)
    torch.testing.assert_close(upfirdn2d(x, f, *settings), upfirdn2d(x, torch.outer(f, f), *settings))


def test_resampling_keeps_a_constant_image_inside():
    x = torch.ones(1, 1, 8, 8)
    f = resample_filter()
    assert upsample2d(x, f).shape == (1, 1, 16, 16)
    assert downsample2d(x, f).shape == (1, 1, 4, 4)
    assert filter2d(x, f).shape == (1, 1, 8, 8)
    for y in (upsample2d(x, f), downsample2d(x, f), filter2d(x, f)):
        torch.testing.assert_close(y[:, :, 2:-2, 2:-2], torch.ones_like(y[:, :, 2:-2, 2:-2]))


def test_upsampling_centres_each_pixel_on_its_four():
    x = torch.zeros(1, 1, 5, 5)
    x[..., 2, 2] = 1
    column = upsample2d(x, resample_filter())[0, 0, :, 4]
    torch.testing.assert_close(column, torch.tensor([0, 0, 0, 3, 9, 9, 3, 0, 0, 0]) / 16)


@pytest.mark.parametrize("resample", [upsample2d, downsample2d, filter2d])
def test_resampling_is_differentiable_twice(resample):
    x = torch.randn(1, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    f = resample_filter().double()
    assert torch.autograd.gradcheck(lambda x: resample(x, f), x)
    assert torch.autograd.gradgradcheck(lambda x: resample(x, f).square(), x)
