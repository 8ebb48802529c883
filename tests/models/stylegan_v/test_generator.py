"""Frames are a function of latent, motion tokens and time alone; names and shapes are those of official checkpoints."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from vidbench.models.layers.precision import Precision
from vidbench.models.stylegan_v.generator import Generator
from vidbench.models.stylegan_v.motion import Motion

MOTION = Motion(z_dim=6, v_dim=8, kernel_size=3, distance=8, time_dim=4, min_period=8, max_period=64, max_num_frames=64)


def tiny(**settings) -> Generator:
    torch.manual_seed(0)
    sizes = {"resolution": 16, "z_dim": 10, "w_dim": 10, "channel_base": 128, "channel_max": 10, "motion": MOTION}
    return Generator(**(sizes | settings)).eval()


GENERATOR = tiny()
TOKENS = MOTION.num_tokens(64)


def latents(n: int = 2, seed: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(n, 10, generator=generator)
    return z, torch.randn(n, TOKENS, MOTION.z_dim, generator=generator)


def frames(t, motion_z: Tensor | None = None, first_token: int = 0, generator: Generator = GENERATOR) -> Tensor:
    """`[T, 3, H, W]` of one video."""
    z, tokens = latents()
    with torch.no_grad():
        motion_z = tokens[:1] if motion_z is None else motion_z
        return generator(z[:1], None, torch.tensor([t]), motion_z, first_token)


def close(x: Tensor, y: Tensor) -> None:
    torch.testing.assert_close(x, y, rtol=0, atol=1e-5 * y.std().item())


times = st.lists(st.floats(0, 63), min_size=2, max_size=6)


@given(times, st.data())
def test_a_frame_depends_on_its_time_alone(t, data):
    order = data.draw(st.permutations(range(len(t))))
    together = frames(t)
    close(frames([t[i] for i in order]), together[list(order)])
    close(torch.cat([frames([each]) for each in t]), together)


@given(times)
def test_tokens_that_no_frame_needs_change_nothing(t):
    _, tokens = latents()
    needed = MOTION.num_tokens(max(t))
    first = int(min(t) // MOTION.distance)
    cut = tokens[:1, first:needed]
    close(frames(t, cut, first), frames(t))
    other = tokens[:1].clone()
    other[:, needed:] += 1
    close(frames(t, other), frames(t))


def test_each_needed_token_matters():
    _, tokens = latents()
    before = frames([20.0])
    for i in range(2, MOTION.num_tokens(20)):
        other = tokens[:1].clone()
        other[:, i] += 1
        assert (frames([20.0], other) - before).abs().max() > 1e-7, i


def test_a_video_does_not_depend_on_its_neighbours_in_the_batch():
    z, tokens = latents(3)
    t = torch.tensor([[0.0, 7.5], [40.0, 20.0], [63.0, 1.0]])
    with torch.no_grad():
        together = GENERATOR(z, None, t, tokens)
        alone = [GENERATOR(z[i : i + 1], None, t[i : i + 1], tokens[i : i + 1]) for i in range(3)]
    close(torch.cat(alone), together)


def test_an_hour_later_a_few_tokens_are_enough():
    _, tokens = latents()
    late, ring = 36000, tokens[:1, : MOTION.reach + 3]
    t = torch.tensor([[late + 2.25, late + 9.0]], dtype=torch.float64)
    found = GENERATOR.synthesis.motion_encoder(t, ring, None, late // 8)
    exact = tiny().double().synthesis.motion_encoder(t, ring.double(), None, late // 8)
    torch.testing.assert_close(found.double(), exact, rtol=0, atol=0.02)  # angles of 50,000 rad, of float32 frequencies


@pytest.mark.parametrize("t", [[-0.01], [3.0, -1.0], [float("nan")]])
def test_times_before_the_start_are_refused(t):
    with pytest.raises(ValueError, match="start at 0"):
        frames(t)


def test_tokens_that_are_missing_are_named():
    _, tokens = latents()
    with pytest.raises(ValueError, match="tokens 1 to 6; given were 0 to 5"):
        frames([8.0], tokens[:1, :6])
    with pytest.raises(ValueError, match="tokens 0 to 5; given were 1 to 9"):
        frames([0.0], tokens[:1, 1:10], first_token=1)


def test_tokens_are_drawn_where_none_are_given():
    z, _ = latents(1)
    t = torch.tensor([[0.0, 63.0]])
    torch.manual_seed(3)
    drawn = GENERATOR(z, None, t)
    torch.manual_seed(3)
    given_tokens = torch.randn(1, MOTION.num_tokens(63), MOTION.z_dim)
    torch.testing.assert_close(drawn, GENERATOR(z, None, t, given_tokens))


def test_truncation_ends_at_the_average():
    z, _ = latents()
    GENERATOR.mapping.w_avg.copy_(torch.linspace(-1, 1, 10))
    ws = GENERATOR.mapping(z, None)
    average = GENERATOR.mapping.w_avg.expand_as(ws)
    torch.testing.assert_close(GENERATOR.mapping(z, None, 0.0), average)
    torch.testing.assert_close(GENERATOR.mapping(z, None, 0.3), average.lerp(ws, 0.3))
    first = GENERATOR.mapping(z, None, 0.0, 2)
    torch.testing.assert_close(first, torch.cat([average[:, :2], ws[:, 2:]], dim=1))


def test_training_moves_the_average_of_styles_by_the_mean_over_all_processes():
    network = tiny().train()
    z, _ = latents()
    network.mapping.reduce_mean = lambda mean: mean + 1
    ws = network.mapping(z, None)
    torch.testing.assert_close(network.mapping.w_avg, 0.005 * (ws[:, 0].mean(dim=0) + 1))


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_half_precision_is_near_full(half):
    network = tiny(precision=Precision(num_fp16_res=1, conv_clamp=256, half=half))
    assert network.synthesis.b16.dtype == half
    assert network.synthesis.b8.dtype is None
    found = frames([3.0, 20.0], generator=network)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, frames([3.0, 20.0]), rtol=0, atol=0.05 * found.std().item())


def test_gradients_are_those_of_differences():
    """Every parameter, in float64, along a random direction."""
    network = tiny(resolution=8, motion=replace(MOTION, time_dim=2)).double()
    z, tokens = (x.double() for x in latents())
    t = torch.tensor([[0.3, 9.0], [15.9, 40.1]])
    weights = torch.randn(4, 3, 8, 8, dtype=torch.float64)

    def scalar() -> Tensor:
        return (network(z, None, t, tokens) * weights).sum()

    gradients = torch.autograd.grad(scalar(), list(network.parameters()))
    for (name, parameter), gradient in zip(network.named_parameters(), gradients, strict=True):
        direction = torch.randn_like(parameter)
        direction *= 1e-4 * (parameter.norm() + 0.01) / direction.norm()
        with torch.no_grad():
            parameter += direction
            above = scalar()
            parameter -= 2 * direction
            below = scalar()
            parameter += direction
        torch.testing.assert_close((gradient * direction).sum(), (above - below) / 2, rtol=1e-4, atol=1e-9, msg=name)


def test_names_and_shapes_are_the_official_ones():
    with torch.device("meta"):
        network = Generator()
    assert sum(parameter.numel() for parameter in network.parameters()) == 32_105_941
    shapes = {name: tuple(x.shape) for name, x in network.state_dict().items()}
    expected = {"mapping.w_avg": (512,), "synthesis.b4.input.input.const": (1, 512, 4, 4)}
    for i in range(2):
        expected |= {f"mapping.fc{i}.weight": (512, 512), f"mapping.fc{i}.bias": (512,)}
        motion = f"synthesis.motion_encoder.conv.{i}"
        expected |= {f"{motion}.weight": (512, 512, 11), f"{motion}.bias": (512,)}
    encoder = "synthesis.motion_encoder.time_encoder"
    expected |= {f"{encoder}.freqs": (1, 256), f"{encoder}.phase_scales": (1, 256)}
    for predictor, width in (("periods", 256), ("phase", 256), ("aligners", 512)):
        expected[f"{encoder}.{predictor}_predictor.weight"] = (width, 512)
    width = 1024
    for res, out in ((4, 512), (8, 512), (16, 512), (32, 512), (64, 256), (128, 128), (256, 64)):
        block = f"synthesis.b{res}"
        expected[f"{block}.resample_filter"] = (4, 4)
        for layer, wide in (("conv0", width), ("conv1", 1024 if res == 4 else out)):
            if (res, layer) != (4, "conv0"):
                expected |= {f"{block}.{layer}.weight": (out, wide, 3, 3), f"{block}.{layer}.bias": (out,)}
                expected |= {f"{block}.{layer}.affine.weight": (wide, 512), f"{block}.{layer}.affine.bias": (wide,)}
                expected[f"{block}.{layer}.resample_filter"] = (4, 4)
        expected |= {f"{block}.torgb.weight": (3, out, 1, 1), f"{block}.torgb.bias": (3,)}
        expected |= {f"{block}.torgb.affine.weight": (out, 512), f"{block}.torgb.affine.bias": (out,)}
        width = out
    assert shapes == expected
