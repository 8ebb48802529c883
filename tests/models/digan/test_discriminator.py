"""One discriminator judges two frames and the time between them, the other each frame alone."""

import pytest
import torch
from torch import Tensor

from vidbench.models.digan.discriminator import Discriminator
from vidbench.models.digan.pairs import paired
from vidbench.models.layers.precision import Precision


def tiny(**settings) -> Discriminator:
    torch.manual_seed(0)
    return Discriminator(**({"resolution": 16, "channel_base": 128, "channel_max": 12} | settings)).double()


NETWORK = tiny().requires_grad_(False)
FRAMES = torch.randn(8, 3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
DISTANCES = torch.tensor([0.0, 0.25, 0.5, 1.0], dtype=torch.float64)
SWAPPED = [1, 0, 3, 2, 5, 4, 7, 6]


def logits(frames: Tensor = FRAMES, distances: Tensor = DISTANCES, network: Discriminator = NETWORK):
    return network(paired(frames, distances))


def test_the_time_between_frames_counts_for_pairs_alone():
    (videos, images), (before, same) = logits(distances=DISTANCES + 0.1), logits()
    assert (videos - before).abs().min() > 1e-4
    assert torch.equal(images, same)


def test_the_order_of_frames_counts_for_pairs_alone():
    (videos, images), (before, same) = logits(FRAMES[SWAPPED]), logits()
    assert (videos - before).abs().min() > 1e-4
    torch.testing.assert_close(images, same[SWAPPED])


def test_samples_meet_only_those_of_their_group():
    """Of 4 videos in groups of 2, 0 meets 2 and 1 meets 3; and so do their first frames, and their second ones."""
    network = tiny(mbstd_group_size=2).requires_grad_(False)
    (before, same), other = logits(network=network), FRAMES.clone()
    other[0] += 1
    videos, images = logits(other, network=network)
    assert ((videos - before).abs() > 1e-9).tolist() == [True, False, True, False]
    assert ((images - same).abs() > 1e-9).nonzero().flatten().tolist() == [0, 4]


def test_a_batch_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="groups of 4"):
        tiny()(paired(torch.zeros(10, 3, 16, 16).double(), torch.zeros(5).double()))


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_half_precision_is_near_full(half):
    network = tiny(precision=Precision(num_fp16_res=2, conv_clamp=256, half=half)).float()
    assert network.videoD.b16.dtype == network.imageD.b16.dtype == half
    for found, expected in zip(logits(FRAMES.float(), network=network), logits(), strict=True):
        assert found.dtype == torch.float32
        torch.testing.assert_close(found.double(), expected, rtol=0, atol=0.1 * expected.std().item())


def test_gradients_are_those_of_differences():
    """Of both, in float64, along a random direction of the pairs."""
    pairs = paired(FRAMES, DISTANCES).requires_grad_()
    direction = 1e-5 * torch.randn_like(pairs)
    for which in (0, 1):
        (gradient,) = torch.autograd.grad(NETWORK(pairs)[which].sum(), pairs)
        above, below = (NETWORK(pairs.detach() + sign * direction)[which].sum() for sign in (1, -1))
        torch.testing.assert_close((gradient * direction).sum(), (above - below) / 2, rtol=1e-3, atol=1e-9)


def test_names_and_shapes_are_the_official_ones():
    with torch.device("meta"):
        network = Discriminator()
    shapes = {name: tuple(x.shape) for name, x in network.state_dict().items() if not name.endswith("resample_filter")}
    expected = {}
    for name, channels in (("videoD", 7), ("imageD", 3)):
        expected |= {f"{name}.b128.fromrgb.weight": (256, channels, 1, 1), f"{name}.b128.fromrgb.bias": (256,)}
        for res, width in ((128, 256), (64, 512), (32, 512), (16, 512), (8, 512)):
            block = f"{name}.b{res}"
            expected |= {f"{block}.conv0.weight": (width, width, 3, 3), f"{block}.conv0.bias": (width,)}
            expected |= {f"{block}.conv1.weight": (512, width, 3, 3), f"{block}.conv1.bias": (512,)}
            expected[f"{block}.skip.weight"] = (512, width, 1, 1)
        expected |= {f"{name}.b4.conv.weight": (512, 513, 3, 3), f"{name}.b4.conv.bias": (512,)}
        expected |= {f"{name}.b4.fc.weight": (512, 8192), f"{name}.b4.fc.bias": (512,)}
        expected |= {f"{name}.b4.out.weight": (1, 512), f"{name}.b4.out.bias": (1,)}
    assert shapes == expected
