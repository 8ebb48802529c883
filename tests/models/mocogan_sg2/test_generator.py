"""Frames are a function of latent, motion tokens and time; names and shapes are those of the authors' code."""

import pytest
import torch
from torch import Tensor

from vidbench.models.layers.precision import Precision
from vidbench.models.mocogan_sg2.generator import Generator


def tiny(**settings) -> Generator:
    torch.manual_seed(0)
    sizes = {"resolution": 16, "z_dim": 10, "w_dim": 8, "channel_base": 128, "channel_max": 10}
    return Generator(**(sizes | {"motion_z_dim": 5, "motion_v_dim": 6} | settings)).eval()


def latents(n: int = 2) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    z, tokens = torch.randn(2, 10, generator=generator), torch.randn(2, 12, 5, generator=generator)
    return z[:n], tokens[:n]


def frames(t: list[list[int]], generator: Generator | None = None) -> Tensor:
    """`[N, T, 3, H, W]`."""
    z, tokens = latents(len(t))
    with torch.no_grad():
        return (generator or tiny())(z, torch.tensor(t), tokens).unflatten(0, (len(t), -1))


def close(x: Tensor, y: Tensor) -> None:
    torch.testing.assert_close(x, y, rtol=0, atol=1e-5 * y.std().item())


def test_frames_follow_one_another_in_their_video():
    together = frames([[0, 3, 11], [7, 7, 2]])
    close(together[1, 0], together[1, 1])
    close(frames([[11, 0, 3], [2, 7, 7]]), torch.stack([together[0, [2, 0, 1]], together[1, [2, 0, 1]]]))
    close(torch.cat([frames([[t]]) for t in (0, 3, 11)], dim=1), together[:1])
    assert (together[0, 0] - together[0, 1]).abs().max() > 1e-3 * together.std()


def test_motion_steers_every_layer():
    """Each layer's style changes from frame to frame, though the content is one."""
    network, seen = tiny(), {}
    for name, layer in network.named_modules():
        if name.endswith("affine"):
            layer.register_forward_hook(lambda _, inputs, styles, name=name: seen.update({name: styles}))
    frames([[0, 5]], network)
    assert len(seen) == 8
    for name, styles in seen.items():
        assert (styles[0] - styles[1]).abs().max() > 1e-4, name


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_half_precision_is_near_full(half):
    network = tiny(precision=Precision(num_fp16_res=1, conv_clamp=256, half=half))
    assert network.synthesis.b16.dtype == half
    assert network.synthesis.b8.dtype is None
    found = frames([[3, 10]], network)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, frames([[3, 10]]), rtol=0, atol=0.05 * found.std().item())


def test_gradients_are_those_of_differences():
    """Every parameter, in float64, along a random direction."""
    network = tiny(resolution=8).double()
    z, tokens = (x.double() for x in latents())
    t = torch.tensor([[0, 1], [5, 11]])
    weights = torch.randn(4, 3, 8, 8, dtype=torch.float64)

    def scalar() -> Tensor:
        return (network(z, t, tokens) * weights).sum()

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
        torch.testing.assert_close((gradient * direction).sum(), (above - below) / 2, rtol=1e-4, atol=1e-9, msg=name)


def test_names_and_shapes_are_the_official_ones():
    """At 256x256; style and motion code of 512 each steer every layer, and a constant comes in."""
    with torch.device("meta"):
        network = Generator()
    shapes = {name: tuple(x.shape) for name, x in network.state_dict().items()}
    expected = {"mapping.w_avg": (512,), "synthesis.b4.input.input": (512, 4, 4)}
    encoder = "synthesis.motion_encoder"
    for i in range(2):
        for mapping in ("mapping", f"{encoder}.mapping"):
            expected |= {f"{mapping}.fc{i}.weight": (512, 512), f"{mapping}.fc{i}.bias": (512,)}
    for part in ("ih", "hh"):
        expected |= {f"{encoder}.rnn.weight_{part}_l0": (2048, 512), f"{encoder}.rnn.bias_{part}_l0": (2048,)}
    width = 512
    for res, out in ((4, 512), (8, 512), (16, 512), (32, 512), (64, 256), (128, 128), (256, 64)):
        block = f"synthesis.b{res}"
        expected[f"{block}.resample_filter"] = (4, 4)
        for layer, wide in (("conv0", width), ("conv1", out)):
            if (res, layer) != (4, "conv0"):
                expected |= {f"{block}.{layer}.weight": (out, wide, 3, 3), f"{block}.{layer}.bias": (out,)}
                expected |= {f"{block}.{layer}.affine.weight": (wide, 1024), f"{block}.{layer}.affine.bias": (wide,)}
                expected[f"{block}.{layer}.resample_filter"] = (4, 4)
        expected |= {f"{block}.torgb.weight": (3, out, 1, 1), f"{block}.torgb.bias": (3,)}
        expected |= {f"{block}.torgb.affine.weight": (out, 1024), f"{block}.torgb.affine.bias": (out,)}
        width = out
    assert shapes == expected
