"""Two frames of a clip and the time between them."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from vidbench.models.digan.pairs import NUM_DRAWS, augmented, frames_of, paired, two_times

FRAMES = torch.rand(6, 3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 2 - 1
DISTANCES = torch.tensor([0.0, 0.25, 1.0], dtype=torch.float64)
PAIRS = paired(FRAMES, DISTANCES)


def draws(**values: float) -> torch.Tensor:
    """Of three pairs; by default nothing changes."""
    usual = {"brightness": 0.5, "saturation": 0.5, "contrast": 0.5, "down": 0.5, "right": 0.5}
    return torch.tensor([list((usual | values).values())] * 3, dtype=torch.float64)


def test_times_are_a_late_and_an_early_one():
    times = two_times(torch.rand(5000, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))).numpy()
    rng = np.random.default_rng(2)
    expected = np.sort(np.stack([rng.beta(2, 1, 5000), rng.beta(1, 2, 5000)], axis=1), axis=1)
    for sides in ((0,), (1,)):
        assert ks_2samp(times[:, *sides], expected[:, *sides]).pvalue > 1e-3
    assert ks_2samp(np.diff(times)[:, 0], np.diff(expected)[:, 0]).pvalue > 1e-3


@given(st.tuples(*[st.floats(0, 1, exclude_max=True)] * 2))
def test_times_rise_within_a_clip(numbers):
    first, last = two_times(torch.tensor(numbers, dtype=torch.float64)).tolist()
    assert 0 <= first <= last <= 1


def test_a_pair_is_its_frames_in_a_row_and_a_plane():
    assert torch.equal(frames_of(PAIRS), FRAMES)
    assert torch.equal(PAIRS[1, :3], FRAMES[2])
    assert torch.equal(PAIRS[1, 3:6], FRAMES[3])
    assert torch.equal(PAIRS[:, 6].flatten(1), DISTANCES[:, None].expand(-1, 256))


def test_both_frames_of_a_pair_change_alike_and_their_distance_does_not():
    same = paired(FRAMES[::2].repeat_interleave(2, dim=0), DISTANCES)
    seen = augmented(same, torch.rand(3, NUM_DRAWS, dtype=torch.float64))
    assert torch.equal(seen[:, :3], seen[:, 3:6])
    assert torch.equal(seen[:, 6], PAIRS[:, 6])
    assert not torch.equal(seen[:, :3], same[:, :3])


@given(st.floats(0, 0.99), st.floats(0, 0.99))
def test_contrast_is_about_the_mean_of_each_frame(contrast, saturation):
    seen = frames_of(augmented(PAIRS, draws(contrast=contrast, saturation=saturation)))
    torch.testing.assert_close(seen.mean(dim=(1, 2, 3)), FRAMES.mean(dim=(1, 2, 3)))


def test_the_plane_passes_as_it_is_pixel_by_pixel():
    pairs = PAIRS.clone().requires_grad_()
    weights = torch.randn(3, 16, 16, dtype=torch.float64)
    (augmented(pairs, draws(brightness=0.7))[:, 6] * weights).sum().backward()
    assert torch.equal(pairs.grad[:, 6], weights)
    assert not pairs.grad[:, :6].any()
