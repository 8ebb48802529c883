"""Videos of walks, and what discriminators see of them."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vidbench.models.mocogan_hd.adversaries import turned
from vidbench.models.mocogan_hd.image_networks import ImageGenerator
from vidbench.models.mocogan_hd.video import interpolated, pair, pairs, plain, reduced, render


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


CLIPS = normal(2, 5, 3, 8, 8)
NETWORK = ImageGenerator((4, 4), z_dim=3, mapping_layers=1).double().eval().synthesis


@given(frames=st.integers(1, 6))
def test_between_any_two_frames_is_one_halfway(frames):
    styles = normal(2, frames, 4)
    between = interpolated(styles)
    assert between.shape == (2, 2 * frames - 1, 4)
    assert torch.equal(between[:, ::2], styles)
    torch.testing.assert_close(between[:, 1::2], (styles[:, 1:] + styles[:, :-1]) / 2)


def test_frames_depend_on_their_own_styles_alone():
    styles, noise = normal(2, 4, 3), [normal(2, 1, side, side) for side in NETWORK.noise_sides]
    videos = render(NETWORK, styles, noise)
    assert videos.shape == (2, 4, 3, 8, 8)
    torch.testing.assert_close(render(NETWORK, styles[:, 1:3], noise), videos[:, 1:3])
    torch.testing.assert_close(render(NETWORK, styles[1:], [maps[1:] for maps in noise]), videos[1:])


def test_frames_are_averaged_down():
    torch.testing.assert_close(reduced(CLIPS, 4)[0, 1, 2, 3, 0], CLIPS[0, 1, 2, 6:, :2].mean())
    assert torch.equal(reduced(CLIPS, 8), CLIPS)


@pytest.mark.parametrize("side", [3, 16])
def test_a_side_that_is_no_part_of_the_generator_s_is_refused(side):
    with pytest.raises(ValueError, match=f"frames of 8 pixels cannot be reduced to {side}"):
        reduced(CLIPS, side)


@given(t=st.integers(1, 4))
def test_pairs_are_the_first_frame_and_each_later_one(t):
    assert torch.equal(pairs(CLIPS)[:, :, t - 1], pair(CLIPS, t))
    assert torch.equal(pair(CLIPS, t), torch.cat([CLIPS[:, 0], CLIPS[:, t]], dim=1))


def test_backwards_the_first_frame_stays_in_its_place():
    videos = pairs(CLIPS)
    back = turned(videos, True)
    assert torch.equal(back[:, :3], videos[:, :3])
    assert torch.equal(back[:, 3:], videos[:, 3:].flip(2))
    assert torch.equal(turned(back, True), videos)
    assert torch.equal(turned(plain(CLIPS), True)[:, :, 0], CLIPS[:, -1])
