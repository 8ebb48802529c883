"""The discriminator judges whole videos and the times between their frames, and nothing else."""

import math

import pytest
import torch
from einops import rearrange
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from vidbench.draws import draw
from vidbench.models.layers.augment import NUM_DRAWS, Augment
from vidbench.models.layers.loss import discriminator_loss, generator_loss
from vidbench.models.layers.precision import Precision
from vidbench.models.stylegan_v.discriminator import Discriminator
from vidbench.models.stylegan_v.loss import r1_loss


def tiny(**settings) -> Discriminator:
    torch.manual_seed(0)
    sizes = {"resolution": 16, "channel_base": 128, "channel_max": 12, "concat_res": 8, "max_num_frames": 64}
    return Discriminator(**(sizes | settings)).double()


def logits(network: Discriminator, x: Tensor, t: list[list[float]]) -> Tensor:
    with torch.no_grad():
        return network(x.flatten(0, 1), None, torch.tensor(t, dtype=torch.float64))


VIDEOS = torch.randn(4, 3, 3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
TIMES = [[0.0, 3.0, 8.0]] * 4


@given(st.integers(0, 10**6))
def test_only_differences_of_times_count(shift):
    moved = [[t + shift for t in row] for row in TIMES]
    torch.testing.assert_close(logits(NETWORK, VIDEOS, moved), logits(NETWORK, VIDEOS, TIMES))


@pytest.mark.parametrize("other", [[0.0, 4.0, 9.0], [0.0, 3.0, 9.0], [0.0, 2.0, 8.0], [0.0, 3.25, 8.25]])
def test_every_difference_of_times_counts(other):
    assert (logits(NETWORK, VIDEOS, [other] * 4) - logits(NETWORK, VIDEOS, TIMES)).abs().min() > 1e-4


def test_equidistant_frames_have_one_difference():
    network = tiny(equidistant=True)
    found = logits(network, VIDEOS, [[0.0, 3.0, 6.0]] * 4)
    torch.testing.assert_close(found, logits(network, VIDEOS, [[0.0, 3.0, 9.0]] * 4))
    assert (found - logits(network, VIDEOS, [[0.0, 4.0, 8.0]] * 4)).abs().min() > 1e-4


@pytest.mark.parametrize("order", [[1, 0, 2], [2, 1, 0], [0, 2, 1]])
def test_the_order_of_frames_counts(order):
    assert (logits(NETWORK, VIDEOS[:, order], TIMES) - logits(NETWORK, VIDEOS, TIMES)).abs().min() > 1e-4


def test_videos_meet_only_those_of_their_group():
    """Of 4 videos in groups of 2, 0 meets 2 and 1 meets 3."""
    network = tiny(mbstd_group_size=2)
    before = logits(network, VIDEOS, TIMES)
    torch.testing.assert_close(logits(network, VIDEOS[[2, 1, 0, 3]], TIMES), before[[2, 1, 0, 3]])
    torch.testing.assert_close(logits(network, VIDEOS[[1, 0, 3, 2]], TIMES), before[[1, 0, 3, 2]])
    assert (logits(network, VIDEOS[[1, 0, 2, 3]], TIMES)[[1, 0]] - before[:2]).abs().min() > 1e-6


def test_r1_is_the_mean_over_frames():
    """Of logits that are linear in the frames, it has a closed form."""
    weights = torch.randn(3, 3, 16, 16, dtype=torch.float64)
    frames = VIDEOS.flatten(0, 1).requires_grad_()
    real = (frames.unflatten(0, (4, 3)) * weights).sum(dim=(1, 2, 3, 4))
    expected = 0.4 / 2 * weights.square().sum() / 3
    torch.testing.assert_close(r1_loss(real, frames, 0.4), expected.expand(4))


def test_r1_has_the_gradients_of_differences():
    network, t = tiny(), torch.tensor(TIMES)
    frames = VIDEOS.flatten(0, 1).requires_grad_()

    def penalty() -> Tensor:
        return r1_loss(network(frames, None, t), frames, 1.0).sum()

    named = {name: p for name, p in network.named_parameters() if name.endswith("weight") and "embed" not in name}
    gradients = torch.autograd.grad(penalty(), list(named.values()))
    for (name, parameter), gradient in zip(named.items(), gradients, strict=True):
        direction = torch.randn_like(parameter)
        direction *= 1e-5 * parameter.norm() / direction.norm()
        parameter.data += direction
        above = penalty().detach()
        parameter.data -= 2 * direction
        below = penalty().detach()
        parameter.data += direction
        torch.testing.assert_close((gradient * direction).sum(), (above - below) / 2, rtol=2e-3, atol=1e-9, msg=name)


def test_losses_are_logistic():
    fake, real = torch.tensor([0.0, 1.0]), torch.tensor([0.0, -2.0])
    torch.testing.assert_close(generator_loss(fake), torch.tensor([math.log(2), math.log(1 + math.exp(-1))]))
    expected = torch.tensor([2 * math.log(2), math.log(1 + math.e) + math.log(1 + math.exp(2))])
    torch.testing.assert_close(discriminator_loss(fake, real), expected)


def test_one_frame_has_no_times():
    network = tiny(num_frames=1)
    assert network.mapping is None
    assert logits(network, VIDEOS[:, :1], [[0.0]] * 4).shape == (4,)


@pytest.mark.parametrize("concat_res", [4, 12, 16, 32])
def test_frames_that_are_never_joined_are_refused(concat_res):
    with pytest.raises(ValueError, match=f"concat_res is {concat_res}"):
        tiny(concat_res=concat_res)


@pytest.mark.parametrize("p", [0.0, 0.8])
@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_half_precision_trains_like_full_precision(half, p):
    """Forward, backward and R1, through the augmentation, with the highest resolution in half precision."""
    found = []
    for precision in (Precision(0, 256), Precision(1, 256, half)):
        judge, augment = tiny(precision=precision).float(), Augment()
        augment.p.fill_(p)
        frames = torch.rand(12, 3, 16, 16, generator=draw(0, "frames")).requires_grad_()
        draws = torch.rand(4, NUM_DRAWS, generator=draw(0, "draws"), dtype=torch.float64)
        seen = augment(rearrange(frames, "(n t) c h w -> n c t h w", t=3), draws)
        logits = judge(rearrange(seen, "n c t h w -> (n t) c h w"), None, torch.tensor([[0.0, 1.0, 4.0]] * 4))
        r1 = r1_loss(logits, frames, 1.0).mean()
        r1.backward()
        assert logits.dtype == judge.b16.conv0.weight.grad.dtype == torch.float32
        found.append([r1.detach(), judge.b16.conv0.weight.grad, logits.detach()])
    for full, other in zip(*found, strict=True):
        assert not torch.equal(full, other)
        assert (full - other).norm() <= 0.03 * full.norm()


def test_another_number_of_frames_is_refused():
    with pytest.raises(ValueError, match="sees 3 frames a video; given were 8 frames"):
        logits(NETWORK, VIDEOS[:, :2], [[0.0, 1.0]] * 4)


def test_half_precision_is_near_full():
    network = tiny(precision=Precision(num_fp16_res=2, conv_clamp=256)).float()
    assert network.b16.dtype == torch.float16
    found = network(VIDEOS.flatten(0, 1).float(), None, torch.tensor(TIMES))
    expected = logits(NETWORK, VIDEOS, TIMES)
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=0.05 * expected.std().item())


def test_names_and_shapes_are_the_official_ones():
    with torch.device("meta"):
        network = Discriminator()
    assert sum(parameter.numel() for parameter in network.parameters()) == 25_333_568
    shapes = {name: tuple(x.shape) for name, x in network.state_dict().items()}
    filters = [name for name in shapes if name.endswith("resample_filter")]
    expected = dict.fromkeys(filters, (4, 4))
    expected |= {"b256.fromrgb.weight": (64, 3, 1, 1), "b256.fromrgb.bias": (64,)}
    widths = {256: (64, 64, 128), 128: (128, 128, 256), 64: (256, 256, 512), 32: (512, 512, 256)}
    widths |= {16: (768, 512, 512), 8: (512, 512, 512)}
    for res, (wide, hidden, out) in widths.items():
        expected |= {f"b{res}.conv0.weight": (hidden, wide, 3, 3), f"b{res}.conv0.bias": (hidden,)}
        expected |= {f"b{res}.conv1.weight": (out, hidden, 3, 3), f"b{res}.conv1.bias": (out,)}
        expected[f"b{res}.skip.weight"] = (out, wide, 1, 1)
    expected |= {"b4.conv.weight": (512, 513, 3, 3), "b4.conv.bias": (512,)}
    expected |= {"b4.fc.weight": (512, 8192), "b4.fc.bias": (512,), "b4.out.weight": (512, 512), "b4.out.bias": (512,)}
    expected |= {"mapping.embed.weight": (512, 552), "mapping.embed.bias": (512,)}
    for i in range(2):
        expected |= {f"mapping.fc{i}.weight": (512, 512), f"mapping.fc{i}.bias": (512,)}
    expected |= {"time_encoder.const_embed.weight": (1024, 256), "time_encoder.time_encoder.fourier_coefs": (1, 10)}
    assert shapes == expected
    assert set(filters) == {"b4.conv.resample_filter", "b256.fromrgb.resample_filter"} | {
        f"b{res}.{layer}resample_filter" for res in widths for layer in ("", "conv0.", "conv1.", "skip.")
    }


NETWORK = tiny()
