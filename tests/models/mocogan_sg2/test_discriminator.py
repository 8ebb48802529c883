"""Frames are judged one by one, and 16 of them together; what is normalised together does not depend on the rest."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import batch_norm

from vidbench.models.mocogan_sg2.discriminator import SIGMA, BatchNorm, Discriminator, VideoDiscriminator


def tiny(**settings) -> Discriminator:
    torch.manual_seed(0)
    sizes = {"resolution": 16, "channel_base": 128, "channel_max": 8, "video_width": 2}
    return Discriminator(**(sizes | {"mbstd_group_size": 2, "norm_group_size": 2} | settings)).double()


VIDEOS = torch.randn(4, 3, 16, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def sources(n: int, seed: int = 0) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed + i) for i in range(n)]


def judged(network: Discriminator, videos: Tensor) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        return network.judge_frames(videos), network.video_discr(videos, None)


def test_the_order_of_frames_counts_for_the_video_alone():
    frames, videos = judged(tiny(), VIDEOS)
    assert frames.shape == (4, 16) and videos.shape == (4, 1)
    backwards = judged(tiny(), VIDEOS.flip(2))
    torch.testing.assert_close(backwards[0], frames.flip(1))
    assert (backwards[1] - videos).abs().min() > 1e-4 * videos.std()


def test_every_frame_counts_for_the_video():
    network = tiny()
    _, before = judged(network, VIDEOS)
    for t in range(16):
        changed = VIDEOS.clone()
        changed[:, :, t] *= -1
        assert (judged(network, changed)[1] - before).abs().min() > 1e-6, t


def test_videos_meet_only_those_of_their_group():
    """Of 4 videos in groups of 2, 0 meets 2 and 1 meets 3."""
    network = tiny()
    before = judged(network, VIDEOS)
    for order in ([2, 1, 0, 3], [1, 0, 3, 2]):
        for now, then in zip(judged(network, VIDEOS[order]), before, strict=True):
            torch.testing.assert_close(now, then[order])
    for now, then in zip(judged(network, VIDEOS[[1, 0, 2, 3]]), before, strict=True):
        assert (now[[1, 0]] - then[:2]).abs().max() > 1e-6


def test_a_group_is_normalised_as_a_batch_of_its_own():
    norm = BatchNorm(3, 2).double()
    with torch.no_grad():
        norm.bias.normal_()
    x = torch.randn(6, 3, 2, 4, 4, dtype=torch.float64) * 3 + 1
    found = norm(x)
    means, variances = [], []
    for first in range(3):
        part = x[[first, first + 3]]
        mean, var = torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
        expected = batch_norm(part, mean, var, norm.weight, norm.bias, training=True)
        torch.testing.assert_close(found[[first, first + 3]], expected)
        means.append(mean)
        variances.append(var)
    torch.testing.assert_close(norm.running_mean, torch.stack(means).mean(dim=0))
    torch.testing.assert_close(norm.running_var, torch.stack(variances).mean(dim=0))
    assert norm.num_batches_tracked == 1
    with pytest.raises(ValueError, match="batch of 3 does not divide into groups of 2"):
        norm(x[:3])


def test_noise_is_that_of_each_videos_source():
    network = tiny().float().video_discr.eval()
    videos = VIDEOS.float()
    with torch.no_grad():
        together = network(videos, sources(4))
        torch.testing.assert_close(network(videos[1:2], sources(4)[1:2]), together[1:2])
        assert (network(videos, sources(4, 10)) - together).abs().min() > 0
        assert (network(videos, None) - together).abs().min() > 0


def test_noise_comes_before_each_convolution_but_the_last():
    network, before, after = tiny().video_discr.float(), [], []
    for layer in network.main:
        if isinstance(layer, torch.nn.Conv3d):
            layer.register_forward_hook(lambda _, inputs, out: before.append((inputs[0].detach(), out.detach())))
    for noise in (sources(4), None):
        network(VIDEOS.float(), noise)
        after.append(before.copy())
        before.clear()
    assert len(after[0]) == 5
    noise = after[0][0][0] - after[1][0][0]
    assert noise.std().item() == pytest.approx(SIGMA, rel=0.02)
    kinds = [type(layer).__name__ for layer in network.main]
    assert kinds == ["Noise", "Conv3d", "LeakyReLU", *["Noise", "Conv3d", "BatchNorm", "LeakyReLU"] * 3, "Conv3d"]


def test_gradients_are_those_of_differences():
    """Of the frames, through both, in training: in float64, along random directions."""
    network = tiny()
    videos = VIDEOS.clone().requires_grad_()

    def scalar() -> Tensor:
        return network.judge_frames(videos).sum() + network.video_discr(videos, None).square().sum()

    (gradient,) = torch.autograd.grad(scalar(), videos)
    direction = torch.randn_like(videos)
    direction *= 1e-5 * VIDEOS.norm() / direction.norm()
    with torch.no_grad():
        videos += direction
        above = scalar()
        videos -= 2 * direction
        below = scalar()
    torch.testing.assert_close((gradient * direction).sum(), (above - below) / 2, rtol=1e-3, atol=1e-9)


@pytest.mark.parametrize(("resolution", "patches"), [(16, 1), (32, 1), (64, 1), (128, 25), (256, 169)])
def test_patches_of_each_resolution(resolution, patches):
    with torch.device("meta"):
        network = VideoDiscriminator(resolution)
        assert network(torch.empty(2, 3, 16, resolution, resolution), None).shape == (2, patches)


@pytest.mark.parametrize("resolution", [32, 64, 128, 256])
def test_names_and_shapes_of_the_video_discriminator_are_the_official_ones(resolution):
    with torch.device("meta"):
        network = VideoDiscriminator(resolution)
    weights = {f"main.{i}.weight": shape for i, shape in ((1, (64, 3)), (4, (128, 64)), (8, (256, 128)))}
    expected = {name: (*channels, 4, 4, 4) for name, channels in weights.items()}
    norms, last = {5: 128, 9: 256, 13: 512}, 15
    expected["main.12.weight"] = (512, 256, 4, 3, 3) if resolution == 32 else (512, 256, 4, 4, 4)
    if resolution == 256:
        expected |= {"main.16.weight": (512, 512, 3, 3, 3), "main.20.weight": (512, 512, 3, 3, 3)}
        norms |= {17: 512, 21: 512}
        last = 23
    expected[f"main.{last}.weight"] = (1, 512, 4, 4, 4)
    for i, width in norms.items():
        expected |= {f"main.{i}.{part}": (width,) for part in ("weight", "bias", "running_mean", "running_var")}
        expected[f"main.{i}.num_batches_tracked"] = ()
    assert {name: tuple(x.shape) for name, x in network.state_dict().items()} == expected


def test_the_image_discriminator_is_stylegan2s():
    """At 256x256, as StyleGAN-V's for one frame: no label, no time, full width everywhere."""
    with torch.device("meta"):
        shapes = {name: tuple(x.shape) for name, x in Discriminator().image_discr.state_dict().items()}
    assert shapes["b256.fromrgb.weight"] == (64, 3, 1, 1)
    assert shapes["b32.conv1.weight"] == shapes["b16.conv0.weight"] == (512, 512, 3, 3)
    assert shapes["b4.conv.weight"] == (512, 513, 3, 3)
    assert shapes["b4.out.weight"] == (1, 512)
    assert not [name for name in shapes if name.startswith(("mapping", "time_encoder"))]


def test_another_number_of_frames_is_refused():
    with pytest.raises(ValueError, match="sees 16 frames; given were 15"):
        tiny().video_discr(VIDEOS[:, :, :15], None)
