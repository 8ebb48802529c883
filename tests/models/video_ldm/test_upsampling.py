"""The upsampler is a convolution, trained on parts that fit, told how noisy what it sees is."""

import pytest
import torch
from torch import Tensor, nn

from tests.models.video_ldm.small import normal, perturbed, trained
from vidbench.models.video_ldm.backbone import build_unet
from vidbench.models.video_ldm.diffusion import Diffusion, own_schedule
from vidbench.models.video_ldm.unet import VideoUNet
from vidbench.models.video_ldm.upsampling import aligned_patches, noisy_condition, resized

TAU, LABELS = torch.tensor([300]), torch.tensor([20])


class FixedNorm(nn.Module):
    """A group norm with statistics that do not depend on the picture."""

    def __init__(self, norm: nn.GroupNorm) -> None:
        super().__init__()
        self.weight, self.bias = norm.weight, norm.bias

    def forward(self, x: Tensor) -> Tensor:
        shape = (1, -1, *[1] * (x.ndim - 2))
        return x / 2 * self.weight.reshape(shape) + self.bias.reshape(shape)


def upsampler() -> VideoUNet:
    torch.manual_seed(0)
    return trained(VideoUNet(perturbed(build_unet(6, 3, (8, 16), 1, 4, (False, False), num_labels=1000), 0.05)))


def with_fixed_norms(network: VideoUNet) -> VideoUNet:
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.GroupNorm):
                setattr(parent, name, FixedNorm(child))
    return network


@torch.no_grad()
def test_a_part_is_upsampled_as_in_the_whole_away_from_its_edges():
    x = normal(1, 6, 3, 64, 128)
    network = with_fixed_norms(upsampler())
    whole = network(x, TAU, labels=LABELS)
    part = network(x[..., 32:96], TAU, labels=LABELS)
    error = (part - whole[..., 32:96]).abs().amax(dim=(0, 1, 2, 3))
    assert error[28:36].max() < 1e-5
    assert error[[0, -1]].min() > 1e-3


@torch.no_grad()
def test_group_norms_see_the_whole_picture():
    x = normal(1, 6, 3, 64, 128)
    network = upsampler()
    whole = network(x, TAU, labels=LABELS)
    part = network(x[..., 32:96], TAU, labels=LABELS)
    error = (part - whole[..., 32:96]).abs()[..., 28:36].mean() / whole.std()
    assert 1e-4 < error < 0.1


@torch.no_grad()
def test_frame_by_frame_it_is_the_image_upsampler():
    network, x = upsampler(), normal(2, 6, 3, 16, 16)
    frames = x.transpose(1, 2).flatten(0, 1)
    tau, labels = torch.tensor([300, 900]), torch.tensor([20, 0])
    expected = network.image(frames, tau.repeat_interleave(3), labels.repeat_interleave(3)).sample
    found = network(x, tau, labels=labels, image_mode=True)
    assert torch.equal(found.transpose(1, 2).flatten(0, 1), expected)
    assert not torch.equal(network(x, tau, labels=labels), found)
    assert not torch.equal(network(x, tau, labels=labels.flip(0), image_mode=True), found)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_parts_of_both_videos_are_the_same_part(share):
    rows = torch.linspace(0, 1, 16)[:, None].expand(16, 24)
    low = torch.stack([rows, rows.T.reshape(24, 16).T.flip(1), torch.arange(24.0).expand(16, 24)])[None, :, None]
    video = low.repeat_interleave(4, dim=3).repeat_interleave(4, dim=4).expand(2, -1, 3, -1, -1)
    shares = torch.tensor([0.0, share]), torch.tensor([share, 0.0])
    parts = aligned_patches(video, low.expand(2, -1, 3, -1, -1), *shares, side=8)
    assert [part.shape for part in parts] == [(2, 3, 3, 32, 32), (2, 3, 3, 8, 8)]
    assert torch.equal(parts[0][..., ::4, ::4], parts[1])
    assert parts[1][0, 2, 0, 0, 0] == int(share * 17)


def test_the_condition_is_as_noisy_as_it_is_told():
    diffusion = Diffusion(own_schedule(pixels=True))
    low, noise = normal(2, 3, 2, 8, 8), normal(2, 3, 2, 8, 8, seed=1)
    tau = torch.tensor([0, 350])
    same = noisy_condition(low, noise, tau, diffusion, (8, 8))
    assert torch.equal(same, diffusion.noised(low, noise, tau))
    large = noisy_condition(low, noise, tau, diffusion, (32, 32))
    assert torch.equal(large, resized(same, (32, 32)))
    assert (same[0] - low[0]).abs().max() < 0.1
    assert (same[1] - low[1]).abs().mean() > 0.3


def test_videos_are_reduced_without_aliasing():
    stripes = torch.tensor([1.0, -1.0]).repeat(16).expand(1, 3, 2, 32, 32)
    assert resized(stripes, (8, 8))[..., 1:-1].abs().max() < 1e-3
    flat = torch.full((1, 3, 2, 32, 32), 0.25)
    torch.testing.assert_close(resized(flat, (8, 8)), flat[..., :8, :8])
