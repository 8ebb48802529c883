"""The super-resolution discriminator judges all frames of both resolutions, each in its place."""

import pytest
import torch
from torch import Tensor

from vidbench.models.layers.loss import r1_penalty
from vidbench.models.layers.precision import Precision
from vidbench.models.long_video_gan.superres_discriminator import SuperResDiscriminator


def tiny(**settings) -> SuperResDiscriminator:
    torch.manual_seed(0)
    sizes = {"hr_height": 12, "hr_width": 16, "lr_height": 3, "lr_width": 4, "seq_length": 2}
    return SuperResDiscriminator(**(sizes | {"channels_base": 128, "channels_max": 12} | settings)).double()


NETWORK = tiny()


def videos() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    shapes = (3, 3, 2, 3, 4), (3, 3, 2, 12, 16)
    low, high = (torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in shapes)
    return low, high


def test_low_resolution_frames_may_come_at_full_size():
    low, high = videos()
    upsampled = NETWORK.upsampled(low)
    assert upsampled.shape == high.shape
    torch.testing.assert_close(NETWORK(upsampled, high), NETWORK(low, high))


def test_a_video_does_not_depend_on_its_neighbours_in_the_batch():
    low, high = videos()
    alone = [NETWORK(low[i : i + 1], high[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(torch.cat(alone), NETWORK(low, high))


def test_both_videos_and_the_order_of_their_frames_count():
    low, high = videos()
    before = NETWORK(low, high)
    for other in ((low.flip(2), high), (low, high.flip(2)), (0 * low, high), (NETWORK.upsampled(low), high.flip(1))):
        assert (NETWORK(*other) - before).abs().min() > 1e-4


def test_r1_has_the_gradients_of_differences():
    network = tiny()
    low, high = videos()
    high.requires_grad_()
    named = {name: p for name, p in network.named_parameters() if name.endswith("weight")}
    gradients = torch.autograd.grad(r1_penalty(network(low, high), high).sum(), list(named.values()))
    for (name, parameter), gradient in zip(named.items(), gradients, strict=True):
        direction = torch.randn_like(parameter)
        direction *= 1e-6 * parameter.detach().norm() / direction.norm()
        values = []
        for step in (1, -2):
            parameter.data += step * direction
            values.append(r1_penalty(network(low, high), high).sum().detach())
        parameter.data += direction
        found, expected = (gradient * direction).sum(), (values[0] - values[1]) / 2
        torch.testing.assert_close(found, expected, rtol=2e-3, atol=1e-10, msg=name)


def test_half_precision_is_near_full():
    network = tiny(precision=Precision(num_fp16_res=1, conv_clamp=256)).float()
    low, high = videos()
    found, expected = network(low.float(), high.float()), NETWORK(low, high)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=0.05 * expected.std().item())


@pytest.mark.parametrize("shape", [(3, 3, 3, 12, 16), (3, 3, 2, 12, 12)])
def test_other_videos_are_refused(shape):
    with pytest.raises(ValueError, match="sees"):
        NETWORK(videos()[0], torch.zeros(shape, dtype=torch.float64))


@pytest.mark.parametrize(("height", "width"), [(16, 8), (12, 24)])
def test_upright_frames_and_odd_widths_are_refused(height, width):
    with pytest.raises(ValueError, match=f"a power of 2, and no higher; they are {width} x {height}"):
        tiny(hr_height=height, hr_width=width)


def test_an_odd_number_of_rows_is_padded_too():
    low, high = videos()
    assert tiny(hr_height=11)(NETWORK.upsampled(low)[:, :, :, 1:], high[:, :, :, 1:]).shape == (3,)


def test_names_and_shapes_are_the_official_ones():
    with torch.device("meta"):
        network = SuperResDiscriminator(hr_height=144, hr_width=256, lr_height=36, lr_width=64)
    assert round(sum(parameter.numel() for parameter in network.parameters()) / 1e6, 1) == 24.0
    expected = {"upsample.filter": (8,), "b256.fromrgb.weight": (64, 24, 1, 1), "b256.fromrgb.bias": (64,)}
    widths = {256: 64, 128: 128, 64: 256, 32: 512, 16: 512, 8: 512, 4: 512}
    for res in (256, 128, 64, 32, 16, 8):
        wide, out = widths[res], widths[res // 2]
        expected |= {f"b{res}.conv0.weight": (wide, wide, 3, 3), f"b{res}.conv0.bias": (wide,)}
        expected |= {f"b{res}.conv1.weight": (out, wide, 3, 3), f"b{res}.conv1.bias": (out,)}
        expected[f"b{res}.skip.weight"] = (out, wide, 1, 1)
        expected |= {f"b{res}.{part}resample_filter": (4, 4) for part in ("", "conv0.", "conv1.", "skip.")}
    expected |= {"b4.conv.weight": (512, 512, 3, 3), "b4.conv.bias": (512,)}
    expected |= {"b4.fc.weight": (512, 8192), "b4.fc.bias": (512,), "b4.out.weight": (1, 512), "b4.out.bias": (1,)}
    expected |= {"b4.conv.resample_filter": (4, 4), "b256.fromrgb.resample_filter": (4, 4)}
    assert {name: tuple(x.shape) for name, x in network.state_dict().items()} == expected
