"""The condition is corrupted slightly, in half of all cases by each of its ways, all frames of a video alike."""

import pytest
import torch
from torch import Tensor

from vidbench.models.long_video_gan.corruption import NUM_CORRUPTION_DRAWS, condition_corruption, corrupted

CORRUPTION = condition_corruption()
VIDEOS = torch.randn(1, 3, 2, 8, 12, generator=torch.Generator().manual_seed(0)).expand(6, -1, -1, -1, -1)
NOISE = torch.randn(VIDEOS.shape, generator=torch.Generator().manual_seed(1))


def draws(seed: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(6, NUM_CORRUPTION_DRAWS, generator=generator, dtype=torch.float64)


def test_nothing_happens_where_every_draw_says_so():
    closed = draws()
    closed[:] = 0.9
    torch.testing.assert_close(corrupted(CORRUPTION, VIDEOS, closed, NOISE), VIDEOS)


@pytest.mark.parametrize(("strength", "sigma"), [(0.5, 0.0), (0.8413447460685429, 0.08), (0.15865525393145707, 0.08)])
def test_noise_is_as_strong_as_its_draw(strength, sigma):
    noisy = torch.full((6, NUM_CORRUPTION_DRAWS), 0.9, dtype=torch.float64)
    noisy[:, -2] = strength
    noisy[:3, -1] = 0.49
    added = corrupted(CORRUPTION, VIDEOS, noisy, NOISE) - VIDEOS
    torch.testing.assert_close(added[:3], sigma * NOISE[:3], rtol=1e-4, atol=1e-6)
    assert (added[3:] == 0).all()


def test_frames_of_a_video_share_their_geometry_and_videos_do_not():
    moved = corrupted(CORRUPTION, VIDEOS[:, :, :1].expand_as(VIDEOS), draws(), 0 * NOISE)
    torch.testing.assert_close(moved[:, :, 0], moved[:, :, 1])
    differences = [(moved[i] - moved[j]).abs().max() for i in range(6) for j in range(i)]
    assert min(differences) > 1e-3


def test_a_step_happens_half_of_the_time():
    assert CORRUPTION.p == 0.5
    numbers = CORRUPTION.numbers(torch.rand(4000, NUM_CORRUPTION_DRAWS - 2, dtype=torch.float64))
    for step in ("scale", "aniso", "xfrac"):
        assert (numbers[step][:, 0] != 0).double().mean().item() == pytest.approx(0.5, abs=0.05)
    assert all((numbers[step] == 0).all() for step in ("xflip", "rotate90", "brightness", "hue"))
