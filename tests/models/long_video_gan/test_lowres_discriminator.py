"""The low-resolution discriminator judges whole videos; names and shapes are those of official checkpoints."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from vidbench.models.layers.loss import discriminator_loss, generator_loss, r1_penalty
from vidbench.models.long_video_gan.lowres_discriminator import LowResDiscriminator


def tiny(**settings) -> LowResDiscriminator:
    torch.manual_seed(0)
    sizes = {"frames": 8, "edge": 16, "channels": (4, 5, 6, 7, 8), "head_channels": 6}
    network = LowResDiscriminator(**(sizes | settings)).double()
    for name, x in network.named_parameters():
        if "bias" in name:
            x.data.normal_()
    return network


NETWORK = tiny()
VIDEOS = torch.randn(2, 3, 8, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_each_video_is_judged_alone():
    with torch.no_grad():
        together = NETWORK(VIDEOS)
        assert together.shape == (2,)
        torch.testing.assert_close(torch.cat([NETWORK(video[None]) for video in VIDEOS]), together)


def test_every_pixel_of_every_frame_counts():
    videos = VIDEOS.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(NETWORK(videos).sum(), videos)
    assert (gradient != 0).all()


def test_frames_are_padded_to_a_square_with_zeros():
    wide = VIDEOS[:, :, :, 3:13]
    with torch.no_grad():
        torch.testing.assert_close(NETWORK(wide), NETWORK(F.pad(wide, (0, 0, 3, 3))))
        odd = VIDEOS[:, :, :, :9]
        torch.testing.assert_close(NETWORK(odd), NETWORK(F.pad(odd, (0, 0, 3, 4))))


@pytest.mark.parametrize("frames", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("edge", [4, 8, 16, 32, 64])
def test_short_videos_and_small_frames_are_halved_less_often(frames, edge):
    with torch.no_grad():
        network = tiny(frames=frames, edge=edge)
        sizes: list[torch.Size] = []
        network.blocks[3].register_forward_hook(lambda module, args, output: sizes.append(output.shape))
        network(torch.randn(1, 3, frames, edge, edge, dtype=torch.float64))
    assert sizes[0] == (1, 8, {1: 1, 2: 2, 4: 2, 8: 2, 16: 2}[frames], 4, 4)


def test_other_videos_are_refused():
    with pytest.raises(ValueError, match="sees 8 frames of at most 16x16; given were 7 of 16x16"):
        NETWORK(VIDEOS[:, :, :7])
    with pytest.raises(ValueError, match="given were 8 of 16x17"):
        NETWORK(F.pad(VIDEOS, (0, 1)))


def test_r1_is_the_squared_norm_of_a_videos_gradient():
    """Of logits that are linear in the videos, it has a closed form."""
    weights = torch.randn(3, 8, 16, 16, dtype=torch.float64)
    videos = VIDEOS.clone().requires_grad_()
    penalty = r1_penalty((videos * weights).sum(dim=(1, 2, 3, 4)), videos)
    torch.testing.assert_close(penalty, weights.square().sum().expand(2))


def test_r1_has_the_gradients_of_differences():
    network = tiny()
    videos = VIDEOS.clone().requires_grad_()

    def penalty() -> Tensor:
        return r1_penalty(network(videos), videos).sum()

    named = {name: p for name, p in network.named_parameters() if name.endswith("weight")}
    gradients = torch.autograd.grad(penalty(), list(named.values()))
    for (name, parameter), gradient in zip(named.items(), gradients, strict=True):
        direction = torch.randn_like(parameter)
        direction *= 1e-7 * parameter.norm() / direction.norm()
        parameter.data += direction
        above = penalty().detach()
        parameter.data -= 2 * direction
        below = penalty().detach()
        parameter.data += direction
        torch.testing.assert_close((gradient * direction).sum(), (above - below) / 2, rtol=2e-3, atol=1e-12, msg=name)


def test_losses_are_logistic():
    fake, real = torch.tensor([0.0, 1.0]), torch.tensor([0.0, -2.0])
    torch.testing.assert_close(generator_loss(fake), torch.tensor([math.log(2), math.log(1 + math.exp(-1))]))
    expected = torch.tensor([2 * math.log(2), math.log(1 + math.e) + math.log(1 + math.exp(2))])
    torch.testing.assert_close(discriminator_loss(fake, real), expected)


@pytest.mark.parametrize("edge", [64, 32])
def test_names_and_shapes_are_the_official_ones(edge):
    with torch.device("meta"):
        network = LowResDiscriminator(edge=edge)
    if edge == 64:
        assert sum(parameter.numel() for parameter in network.parameters()) == 46_424_609
    shapes = {name: tuple(x.shape) for name, x in network.state_dict().items()}
    widths = (32, 64, 128, 256, 512)
    expected = {"blocks.0.conv_vid.weight": (32, 3, 1, 1, 1), "blocks.0.conv_vid._bias": (32,)}
    for i in range(4):
        wide, out, frames = widths[i], widths[i + 1], 5 if i else 1
        expected |= {f"blocks.{i}.conv_0.weight": (wide, wide, frames, 3, 3), f"blocks.{i}.conv_0._bias": (wide,)}
        expected |= {f"blocks.{i}.conv_1.weight": (out, wide, frames, 3, 3), f"blocks.{i}.conv_1._bias": (out,)}
        expected[f"blocks.{i}.conv_skip.weight"] = (out, wide, 1, 1, 1)
        if i or edge == 64:
            for layer in ("conv_1", "conv_skip"):
                expected[f"blocks.{i}.{layer}.downsample._downsample_filter"] = (4,)
    for i in range(4):
        shape = (1024, 1024, 3) if i else (1024, 512 * 16, 1)
        expected |= {f"epilogue.conv1d_{i}.weight": shape, f"epilogue.conv1d_{i}._bias": (1024,)}
    expected |= {"epilogue.linear_0.weight": (1024, 1024 * 16), "epilogue.linear_0.bias": (1024,)}
    expected |= {"epilogue.linear_1.weight": (1, 1024), "epilogue.linear_1.bias": (1,)}
    assert shapes == expected
