"""Any window of a video is made alone, and is that of the whole video; names and shapes are those of checkpoints."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from vidbench.models.layers.averages import Magnitude
from vidbench.models.long_video_gan.lowres_generator import LowResGenerator, block_sizes
from vidbench.models.long_video_gan.temporal_noise import TimeScales, noise_stream

LENGTH = 160


def tiny(**settings) -> LowResGenerator:
    """Of 8x8 pixels, all of whose parameters and averages do something."""
    torch.manual_seed(0)
    sizes = {"height": 8, "width": 8, "channels": (6,) * 11, "temporal_emb_dim": 8, "w_dim": 6}
    network = LowResGenerator(**(sizes | {"scales": TimeScales(16, 80, 4)} | settings)).eval()
    for name, x in network.state_dict().items():
        if "bias" in name and "affine" not in name:
            x.normal_()
        if "magnitude" in name:
            x.uniform_(0.5, 2)
    return network


def noise(span: range, seeds: tuple[int, ...] = (1,)) -> Tensor:
    return torch.stack([noise_stream(seed, 2, span) for seed in seeds])


@torch.no_grad()
def window(start: int, frames: int, network: LowResGenerator) -> Tensor:
    dtype = network.w_to_temp_input.weight.dtype
    return network.window(noise(network.noise_span(start, frames)).to(dtype), start, frames)


NETWORK = tiny()
EXACT = tiny().double()
VIDEO = window(0, LENGTH, EXACT)


def assert_near(found: Tensor, expected: Tensor, tolerance: float) -> None:
    torch.testing.assert_close(found.double(), expected.double(), rtol=0, atol=tolerance * expected.std().item())


@given(start=st.integers(0, LENGTH - 1), frames=st.integers(1, LENGTH))
@settings(max_examples=25)
def test_a_window_is_that_of_a_longer_video(start, frames):
    stop = min(start + frames, LENGTH)
    assert_near(window(start, stop - start, NETWORK), VIDEO[:, :, start:stop], 1e-4)
    assert_near(window(start, stop - start, EXACT), VIDEO[:, :, start:stop], 1e-5)


def test_an_hour_later_a_window_takes_as_much_noise_as_at_the_start():
    frames, later = 64, 108_000
    assert [x - later for x in NETWORK.noise_span(later, frames)] == list(NETWORK.noise_span(0, frames))
    whole = window(later - 64, 256, EXACT)
    assert_near(window(later, frames, NETWORK), whole[:, :, 64:128], 1e-4)


def test_no_frame_of_noise_is_asked_for_in_vain():
    """Of the whole span the network reads everything, up to styles so far away that nothing reaches a frame."""
    span = NETWORK.noise_span(0, 32)
    x = noise(span).double().requires_grad_()
    (gradient,) = torch.autograd.grad(EXACT.window(x, 0, 32).square().sum(), x)
    reached = gradient.abs().amax(dim=(0, 1)).gt(0).nonzero()
    assert len(span) - 1 - int(reached.max()) <= 32
    assert int(reached.min()) <= 32


def test_a_whole_video_of_a_multiple_of_32_frames_is_a_window():
    x = noise(NETWORK.noise_span(0, 64))
    with torch.no_grad():
        assert torch.equal(NETWORK(x, 64), NETWORK.window(x, 0, 64))


def test_a_video_does_not_depend_on_its_neighbours_in_the_batch():
    x = noise(NETWORK.noise_span(0, 32), seeds=(1, 2, 3))
    with torch.no_grad():
        together = NETWORK(x, 32)
        alone = torch.cat([NETWORK(row[None], 32) for row in x])
    assert_near(alone, together, 1e-5)


@pytest.mark.parametrize("frames", [1, 20, 31, 33])
def test_videos_have_as_many_frames_as_are_asked_for(frames):
    x = torch.randn(1, 2, NETWORK.noise_length(frames))
    with torch.no_grad():
        assert NETWORK(x, frames).shape == (1, 3, frames, 8, 8)


def test_noise_of_another_length_is_refused():
    with pytest.raises(ValueError, match=r"33 frames need noise \[N, 2, 615\]; given was \[1, 2, 583\]"):
        NETWORK(torch.randn(1, 2, NETWORK.noise_length(32)), 33)


@torch.no_grad()
def test_magnitudes_are_averaged_over_training_and_processes():
    network = tiny().double()
    x = noise(network.noise_span(0, 32)).double()
    before = {name: m.clone() for name, m in network.named_buffers()}
    network(x, 32)
    assert all(torch.equal(m, before[name]) for name, m in network.named_buffers())
    for module in network.modules():
        if isinstance(module, Magnitude):
            module.reduce_mean = lambda mean: mean + 1
    seen = []
    network.temporal_layers[0].register_forward_hook(lambda module, args, output: seen.append(args[0]))
    network(x, 32, beta=0.9)
    for name, m in network.named_buffers():
        assert torch.equal(m, before[name]) == ("magnitude" not in name), name
    expected = 0.9 * before["temporal_layers.0.input_magnitude_ema_0.magnitude_ema"] + 0.1 * (
        seen[0].square().mean() + 1
    )
    torch.testing.assert_close(network.temporal_layers[0].input_magnitude_ema_0.magnitude_ema, expected)


def test_gradients_are_those_of_differences():
    """Every parameter, in float64, along a random direction."""
    network = tiny(channels=(4,) * 11, temporal_emb_dim=4).double()
    x = torch.randn(1, 1, network.noise_length(5), dtype=torch.float64)
    weights = torch.randn(1, 3, 5, 8, 8, dtype=torch.float64)

    def scalar() -> Tensor:
        return (network(x, 5) * weights).sum()

    gradients = torch.autograd.grad(scalar(), list(network.parameters()))
    for (name, parameter), gradient in zip(network.named_parameters(), gradients, strict=True):
        direction = torch.randn_like(parameter)
        direction *= 1e-6 * (parameter.norm() + 0.01) / direction.norm()
        with torch.no_grad():
            parameter += direction
            above = scalar()
            parameter -= 2 * direction
            below = scalar()
            parameter += direction
        torch.testing.assert_close((gradient * direction).sum(), (above - below) / 2, rtol=1e-3, atol=1e-10, msg=name)


def test_half_precision_is_near_full():
    network = tiny(dtype=torch.bfloat16)
    found = window(0, 32, network)
    assert found.dtype == torch.float32
    assert_near(found, VIDEO[:, :, :32], 0.1)


@pytest.mark.parametrize(
    ("size", "levels"),
    [
        ((36, 64), [(3, 4), (5, 8), (9, 16), (18, 32), (36, 64), (36, 64)]),
        ((32, 32), [(4, 4), (8, 8), (16, 16), (32, 32), (32, 32), (32, 32)]),
        ((16, 16), [(4, 4), (8, 8), (16, 16), (16, 16), (16, 16), (16, 16)]),
        ((8, 8), [(4, 4), (8, 8), (8, 8), (8, 8), (8, 8), (8, 8)]),
        ((72, 128), [(3, 4), (5, 8), (9, 16), (18, 32), (36, 64), (72, 128)]),
    ],
)
def test_frames_grow_by_doubling(size, levels):
    assert block_sizes(*size) == [levels[i] for i in (0, 0, 1, 1, 2, 2, 2, 3, 3, 4, 5)]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"height": 48, "width": 48}, "48x48 is not reached by doubling 16x16"),
        ({"channels": (6,) * 10}, "11 widths"),
        ({"temporal_emb_dim": 10}, "10 channels do not divide by 4 temporal filters"),
    ],
)
def test_sizes_that_do_not_fit_together_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        tiny(**wrong)


def test_names_and_shapes_are_the_official_ones():
    with torch.device("meta"):
        network = LowResGenerator()
    assert sum(parameter.numel() for parameter in network.parameters()) == 83_215_939
    shapes = {name: tuple(x.shape) for name, x in network.state_dict().items()}
    widths = (512, 512, 512, 512, 512, 256, 256, 128, 128, 64, 64)
    expected = {
        "spatial_input": (1, 512, 1, 3, 4),
        "w_to_temp_input.weight": (512, 1024),
        "w_to_temp_input.bias": (512,),
    }
    for i in range(10):
        block, wide, out = f"{'temporal' if i < 6 else 'spatial'}_layers.{i % 6}", widths[i], widths[i + 1]
        kernel = (3 if i < 6 else 1, 3, 3)
        expected |= {f"{block}.weight_0": (wide, wide, *kernel), f"{block}.weight_1": (out, wide, *kernel)}
        expected |= {
            f"{block}.weight_skip": (out, wide, 1, 1, 1),
            f"{block}.bias_0": (wide,),
            f"{block}.bias_1": (out,),
        }
        for j in range(2):
            expected |= {f"{block}.affine_{j}.weight": (wide, 1024), f"{block}.affine_{j}.bias": (wide,)}
            expected[f"{block}.input_magnitude_ema_{j}.magnitude_ema"] = ()
        if i < 5:
            expected[f"{block}.temporal_upsample.filter"] = (4,)
        if i in (1, 3, 6, 8):
            expected[f"{block}.spatial_upsample.filter"] = (4,)
    expected |= {"to_rgb.weight": (3, 64, 1, 1, 1), "to_rgb.bias": (3,), "to_rgb.affine.weight": (64, 1024)}
    expected |= {"to_rgb.affine.bias": (64,), "to_rgb.input_magnitude_ema.magnitude_ema": ()}
    expected |= {"temporal_emb.output_scale": (1, 128, 1), "temporal_emb.blur_filters": (128, 1, 5000)}
    for i in range(2):
        expected |= {f"latent_mapping.layer_{i}.weight": (1024, 1024), f"latent_mapping.layer_{i}.bias": (1024,)}
    expected["temporal_downsample_latent.filter"] = (12,)
    assert shapes == expected


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 70), st.data())
def test_excerpts_are_of_the_whole_video_whichever_and_however_long(frames: int, data: st.DataObject) -> None:
    """And they have its gradients: training makes no more than is seen."""
    count = data.draw(st.integers(1, frames))
    starts = data.draw(st.lists(st.integers(0, frames - count), min_size=2, max_size=2))
    network = tiny().double()
    given_noise = torch.randn(2, network.noise_channels, network.noise_length(frames), dtype=torch.float64)
    whole = network(given_noise, frames)
    expected = torch.stack([video[:, start : start + count] for video, start in zip(whole, starts, strict=True)])
    excerpts = network.excerpts(given_noise, frames, starts, count)
    assert torch.allclose(excerpts, expected, atol=1e-4)
    weights = torch.randn_like(expected)
    of_whole, of_excerpts = (
        torch.autograd.grad((videos * weights).sum(), network.parameters()) for videos in (expected, excerpts)
    )
    for theirs, ours in zip(of_whole, of_excerpts, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-3 * float(theirs.abs().max()) + 1e-6)
