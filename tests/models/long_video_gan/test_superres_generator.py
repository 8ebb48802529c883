"""A frame is a function of latent and low-resolution neighbours alone; names and shapes are the official ones."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import upfirdn
from torch import Tensor

from vidbench.models.layers.precision import Precision
from vidbench.models.long_video_gan.condition import Condition, Resize, Upsample, fitted, resize_factors
from vidbench.models.long_video_gan.superres_generator import SuperResGenerator

CONTEXT, FRAMES = 2, 12


def tiny(**settings) -> SuperResGenerator:
    torch.manual_seed(0)
    sizes = {"hr_height": 12, "hr_width": 16, "lr_height": 6, "lr_width": 8, "temporal_context": CONTEXT}
    sizes |= {"latent_z_dim": 5, "latent_w_dim": 6, "margin_size": 4, "num_layers": 4}
    network = SuperResGenerator(**(sizes | {"channel_base": 64, "channel_max": 6} | settings))
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            parameter.data += 0.3 * torch.randn_like(parameter)
    return network


GENERATOR = tiny()


def inputs(videos: int = 2) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(videos, 5, generator=generator), torch.randn(videos, 3, FRAMES, 6, 8, generator=generator)


def made(z: Tensor, lr_video: Tensor, network: SuperResGenerator = GENERATOR) -> Tensor:
    with torch.no_grad():
        return network(z, lr_video)


def close(x: Tensor, y: Tensor) -> None:
    torch.testing.assert_close(x, y, rtol=0, atol=1e-5 * y.std().item())


@given(st.integers(CONTEXT, FRAMES - CONTEXT - 1), st.integers(1, FRAMES))
def test_a_frame_is_the_same_in_any_window(start, length):
    z, video = inputs()
    whole = made(z, video)  # of the frames CONTEXT : FRAMES - CONTEXT
    stop = min(start + length, FRAMES - CONTEXT)
    close(made(z, video[:, :, start - CONTEXT : stop + CONTEXT]), whole[:, :, start - CONTEXT : stop - CONTEXT])


def test_a_frame_depends_on_the_frames_around_it_and_no_others():
    z, video = inputs(1)
    whole = made(z, video)
    for changed in range(FRAMES):
        other = video.clone()
        other[:, :, changed] += 1
        differs = (made(z, other) - whole).abs().amax(dim=(0, 1, 3, 4)) > 1e-6
        for frame in range(CONTEXT, FRAMES - CONTEXT):
            assert differs[frame - CONTEXT] == (abs(changed - frame) <= CONTEXT)


def test_a_video_does_not_depend_on_its_neighbours_in_the_batch():
    z, video = inputs(3)
    alone = [made(z[i : i + 1], video[i : i + 1]) for i in range(3)]
    close(torch.cat(alone), made(z, video))


@pytest.mark.parametrize(("frames", "size"), [(2 * CONTEXT, (6, 8)), (FRAMES, (8, 6))])
def test_other_low_resolution_videos_are_refused(frames, size):
    with pytest.raises(ValueError, match=f"takes 8 x 6 frames, 2 more .* given were {frames} of {size[1]} x {size[0]}"):
        GENERATOR(inputs()[0], torch.zeros(2, 3, frames, *size))


def test_averages_move_when_asked_alone():
    network = tiny()
    z, video = inputs()
    before = {name: x.clone() for name, x in network.named_buffers()}
    frames = network(z, video)
    assert all(torch.equal(x, before[name]) for name, x in network.named_buffers())
    network.SG3.mapping.reduce_mean = lambda mean: mean + 1
    network(z, video, beta=0.9)
    moved = {name for name, x in network.named_buffers() if not torch.equal(x, before[name])}
    assert moved == {name for name in before if name.endswith(("w_avg", "magnitude_ema"))}
    expected = 0.002 * (network.SG3.mapping(z).mean(dim=0) + 1)
    torch.testing.assert_close(network.SG3.mapping.w_avg, expected)
    assert (network(z, video) - frames).abs().max() > 1e-3


def test_truncation_ends_at_the_average():
    mapping = tiny().SG3.mapping
    mapping.w_avg.copy_(torch.linspace(-1, 1, 6))
    z, _ = inputs()
    torch.testing.assert_close(mapping(z, 0.0), mapping.w_avg.expand(2, -1))
    torch.testing.assert_close(mapping(z, 0.3), mapping.w_avg.lerp(mapping(z), 0.3))


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_half_precision_is_near_full(half):
    network = tiny(precision=Precision(num_fp16_res=1, conv_clamp=256, half=half))
    assert half in network.dtypes
    z, video = inputs()
    found, expected = made(z, video, network), made(z, video)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=0, atol=0.1 * expected.std().item())


def test_gradients_are_those_of_differences():
    """Every parameter and the condition, in float64, along a random direction."""
    network = tiny().double()
    z, video = (x.double() for x in inputs())
    video = torch.nn.Parameter(video[:, :, : 2 * CONTEXT + 2])
    weights = torch.randn(2, 3, 2, 12, 16, dtype=torch.float64)
    named = dict(network.named_parameters()) | {"video": video}
    gradients = torch.autograd.grad((network(z, video) * weights).sum(), list(named.values()))
    for (name, parameter), gradient in zip(named.items(), gradients, strict=True):
        direction = torch.randn_like(parameter)
        direction *= 1e-5 * (parameter.detach().norm() + 0.01) / direction.norm()
        values = []
        for step in (1, -2):
            parameter.data += step * direction
            values.append((made(z, video, network) * weights).sum())
        parameter.data += direction
        found, expected = (gradient * direction).sum(), (values[0] - values[1]) / 2
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-8, msg=name)


def by_definition(line: np.ndarray, f: np.ndarray, up: int, down: int) -> np.ndarray:
    """One axis: extended, resampled about its centre, cut."""
    edge = max(up, down) if down > 1 else 1
    padded = np.pad(line, edge, mode="edge")
    full = upfirdn(f * up, padded, up)  # zeros beyond
    before = (len(f) + up - 1) // 2 if up > 1 else (len(f) - down + 1) // 2
    full = full[len(f) - 1 - before :][: len(padded) * up : down] if up == 1 else full[len(f) - 1 - before :]
    wanted = len(line) * up // down
    first = 1 if down > 1 else up
    return full[first : first + wanted]


@pytest.mark.parametrize(("up", "down"), [(2, 1), (4, 1), (1, 2), (1, 4)])
def test_resizing_is_its_definition(up, down):
    resize = Resize(up, down).double()
    x = torch.randn(2, 3, 8, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    f = resize.filter.numpy()
    columns = np.apply_along_axis(by_definition, 3, x.numpy(), f, up, down)
    expected = np.apply_along_axis(by_definition, 2, columns, f, up, down)
    torch.testing.assert_close(resize(x), torch.from_numpy(expected), rtol=0, atol=1e-12)
    torch.testing.assert_close(resize(torch.ones_like(x)).mean().item(), 1.0, rtol=0, atol=0.02)


def test_linear_upsampling_interpolates_between_pixels():
    ramp = torch.arange(6.0).expand(1, 1, 4, 6)
    found = Upsample(4)(ramp)[0, 0, 8, 4:-4]
    torch.testing.assert_close(found, (torch.arange(4, 20) + 0.5) / 4 - 0.5)


def test_condition_stacks_neighbours_with_the_colour_outermost():
    video = torch.randn(2, 3, 5, 6, 8, generator=torch.Generator().manual_seed(0))
    stack = Condition(video, context=1, margin=2).stack(torch.nn.Identity(), 6, 8)
    assert stack.shape == (6, 9, 6, 8)
    for n, t, colour, offset in ((0, 0, 0, 0), (1, 2, 1, 2), (0, 1, 2, 1)):
        torch.testing.assert_close(stack[3 * n + t, 3 * colour + offset], video[n, colour, t + offset])


def test_what_is_missing_around_a_frame_continues_its_edge():
    x = torch.arange(12.0).reshape(1, 1, 3, 4)
    assert torch.equal(fitted(x, 1, 2), x[:, :, 1:2, 1:3])
    found = fitted(x, 6, 2)[0, 0, :, 0]
    assert found.tolist() == [1, 1, 5, 9, 9, 9]


@given(st.integers(3, 7), st.integers(3, 8))
def test_pictures_are_brought_to_the_rate_of_a_layer(side, rate):
    up, down = resize_factors(2**side, 2**rate)
    assert 2**side * up == 2**rate * down
    assert min(up, down) == 1


def test_names_and_shapes_are_the_official_ones():
    with torch.device("meta"):
        network = SuperResGenerator(hr_height=144, hr_width=256, lr_height=36, lr_width=64)
    assert sum(parameter.numel() for parameter in network.parameters()) == 27_169_940
    expected = {"SG3.mapping.w_avg": (512,)}
    for i in range(2):
        expected |= {f"SG3.mapping.fc{i}.weight": (512, 512), f"SG3.mapping.fc{i}.bias": (512,)}
    sizes = ["36_29"] * 3 + ["52_38"] * 2 + ["84_56"] * 2 + ["148_92"] * 3 + ["276_164"] * 3 + ["256_144"] * 2
    channels = [512] * 9 + [362, 256, 181, 128, 128, 3]
    ups = {3: 24, 5: 24, 7: 24, 10: 24}
    resizes = {0: 24, 1: 24, 2: 24, 3: 24, 4: 12, 5: 12, 8: 12, 9: 12, 10: 12, 11: 24, 12: 24, 13: 24, 14: 24}
    for i, (size, out) in enumerate(zip(sizes, channels, strict=True)):
        name, width, kernel = f"SG3.synthesis.L{i}_{size}_{out}", 27 + (channels[i - 1] if i else 0), 3 if i < 14 else 1
        expected |= {f"{name}.weight": (out, width, kernel, kernel), f"{name}.bias": (out,)}
        expected |= {f"{name}.affine.weight": (width, 512), f"{name}.affine.bias": (width,)}
        expected[f"{name}.magnitude_ema"] = ()
        if i < 14:
            expected |= {f"{name}.up_filter": (ups.get(i, 12),), f"{name}.down_filter": (12,)}
    expected |= {f"SG3.resamples.{i}.filter": (taps,) for i, taps in resizes.items()}
    assert {name: tuple(x.shape) for name, x in network.state_dict().items()} == expected
