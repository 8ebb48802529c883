"""Diffusion against its definition in float64, and samplers against a denoiser that knows."""

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.models.video_ldm.small import normal
from vidbench.models.video_ldm.diffusion import Diffusion, own_schedule, sampled

TAU = torch.tensor([0, 1, 20, 500, 980, 999])


def scales(tau: Tensor) -> tuple[Tensor, Tensor]:
    """Of signal and noise, in float64, `[n, 1, 1, 1, 1]`."""
    kept = torch.from_numpy(np.cumprod(1 - np.linspace(1e-4, 0.02, 1000)))[tau].reshape(-1, 1, 1, 1, 1)
    return kept.sqrt(), (1 - kept).sqrt()


def test_noise_and_velocity_are_those_of_the_definition():
    diffusion = Diffusion(own_schedule())
    x, noise = normal(6, 4, 3, 2, 2), normal(6, 4, 3, 2, 2, seed=1)
    signal, sigma = scales(TAU)
    torch.testing.assert_close((signal**2 + sigma**2), torch.ones_like(signal), rtol=0, atol=1e-6)
    noisy, velocity = diffusion.noised(x, noise, TAU), diffusion.target(x, noise, TAU)
    near = {"rtol": 0, "atol": 1e-5, "check_dtype": False}
    torch.testing.assert_close(noisy, signal * x + sigma * noise, **near)
    torch.testing.assert_close(velocity, signal * noise - sigma * x, **near)
    torch.testing.assert_close(signal * noisy - sigma * velocity, x, **near)
    torch.testing.assert_close(sigma * noisy + signal * velocity, noise, **near)


def test_a_network_of_noise_is_told_the_noise():
    diffusion = Diffusion(own_schedule() | {"prediction_type": "epsilon"})
    x, noise = normal(6, 4, 1, 2, 2), normal(6, 4, 1, 2, 2, seed=1)
    assert torch.equal(diffusion.target(x, noise, TAU), noise)
    assert diffusion.loss(lambda z, tau: noise, x, noise, TAU) == 0
    with pytest.raises(ValueError, match="predict sample is not supported"):
        Diffusion(own_schedule() | {"prediction_type": "sample"})


def test_the_loss_is_the_mean_over_everything():
    diffusion = Diffusion(own_schedule())
    x, noise = normal(6, 4, 3, 2, 2), normal(6, 4, 3, 2, 2, seed=1)
    off = torch.zeros_like(x)
    off[:, :, 0] = 3
    found = diffusion.loss(lambda z, tau: diffusion.target(x, noise, tau) + off, x, noise, TAU)
    torch.testing.assert_close(found, torch.tensor(3.0))


@pytest.mark.parametrize(
    ("betas", "signal"),
    [
        ((1e-4, 0.02, "linear"), 0.0064),
        ((0.0015, 0.0195, "scaled_linear"), 0.0119),
        ((0.00085, 0.012, "scaled_linear"), 0.0683),
    ],
)
def test_what_is_left_of_the_data_at_the_end(betas, signal):
    names = ("beta_start", "beta_end", "beta_schedule")
    diffusion = Diffusion(own_schedule() | dict(zip(names, betas, strict=True)))
    assert float(diffusion.signal[-1]) == pytest.approx(signal, abs=1e-4)


MEAN, STD = 0.7, 3.0


def knowing(z: Tensor, tau: Tensor) -> Tensor:
    """The best prediction of velocity for data N(MEAN, STD^2)."""
    signal, sigma = (scale.reshape(-1, 1).float() for scale in scales(tau))
    x = MEAN + signal * STD**2 * (z - signal * MEAN) / (signal**2 * STD**2 + sigma**2)
    noise = (z - signal * x) / sigma
    return signal * noise - sigma * x


@pytest.mark.parametrize(("sampler", "steps"), [("ddim", 200), ("dpm-solver++", 50)])
def test_samples_follow_the_law_of_the_data(sampler, steps):
    """Latents of deviation 3 too: nothing is clipped."""
    samples = sampled(knowing, normal(20_000, 1), own_schedule(), steps, sampler)
    assert samples.mean().item() == pytest.approx(MEAN, abs=0.02 * STD)
    assert samples.std().item() == pytest.approx(STD, rel=0.02)


def test_pixels_are_clipped():
    samples = sampled(knowing, normal(1000, 1), own_schedule(pixels=True), 50)
    assert samples.abs().max() <= 1 + 1e-3


@pytest.mark.parametrize("sampler", ["ddim", "dpm-solver++"])
def test_a_sampler_keeps_nothing_from_one_call_to_the_next(sampler):
    first = sampled(knowing, normal(3, 1), own_schedule(), 8, sampler)
    sampled(knowing, normal(3, 1, seed=1), own_schedule(), 8, sampler)
    assert torch.equal(sampled(knowing, normal(3, 1), own_schedule(), 8, sampler), first)


@pytest.mark.parametrize("sampler", ["ddim", "dpm-solver++"])
def test_sampling_begins_at_the_end(sampler):
    visited = []

    def network(z: Tensor, tau: Tensor) -> Tensor:
        visited.append(tau.tolist())
        return knowing(z, tau)

    sampled(network, normal(2, 1), own_schedule(), 8, sampler)
    assert visited == [[time, time] for time in (999, 874, 749, 624, 499, 374, 249, 124)]
