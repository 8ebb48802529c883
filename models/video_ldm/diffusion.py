"""Diffusion with the schedules and samplers of diffusers: what is predicted, its loss, and sampling from given noise.

A schedule is the configuration of a diffusers scheduler, as it stands in `scheduler_config.json`.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor

Schedule = Mapping[str, Any]
Sampler = Literal["ddim", "dpm-solver++"]
Denoiser = Callable[[Tensor, Tensor], Tensor]
"""What predicts noise or velocity from noisy latents `[B, ...]` and diffusion times `[B]`."""

SAMPLER_SETTINGS = (
    "num_train_timesteps",
    "beta_start",
    "beta_end",
    "beta_schedule",
    "trained_betas",
    "prediction_type",
    "timestep_spacing",
    "steps_offset",
    "rescale_betas_zero_snr",
)
"""What DPM-Solver++ takes over from a schedule."""


def own_schedule(*, pixels: bool = False) -> dict[str, Any]:
    """Ho et al.'s schedule (NeurIPS 2020, Sec. 4), and velocity predicted (Salimans and Ho, ICLR 2022).

    The paper says *linear, after Ho et al.*, but not which linear one; the driving model predicts velocity.

    Args:
        pixels: what is diffused lies in [-1, 1], so that predictions of it may be clipped; latents do not.
    """
    return {
        "num_train_timesteps": 1000,
        "beta_start": 1e-4,
        "beta_end": 0.02,
        "beta_schedule": "linear",
        "prediction_type": "v_prediction",
        "timestep_spacing": "trailing",
        "set_alpha_to_one": False,
        "steps_offset": 0,
        "clip_sample": pixels,
    }


class Diffusion:
    """Noise added to data, and what a network is to predict of the result.

    Args:
        schedule: of a diffusers scheduler.

    Attributes:
        schedule: as given.
        steps: diffusion times are 0 .. steps - 1.

    Raises:
        ValueError: what it predicts is neither noise nor velocity.
    """

    def __init__(self, schedule: Schedule) -> None:
        from diffusers import DDIMScheduler

        self.schedule = dict(schedule)
        kind = self.schedule.get("prediction_type", "epsilon")
        if kind not in ("epsilon", "v_prediction"):
            raise ValueError(f"a schedule for networks that predict {kind} is not supported; noise and velocity are")
        self.predicts_velocity = kind == "v_prediction"
        self._scheduler = DDIMScheduler.from_config(self.schedule)
        self.steps = int(self._scheduler.config["num_train_timesteps"])

    @property
    def signal(self) -> Tensor:
        """Scale of the data at each time, `[steps]`; what is left at the last pulls colours to grey in sampling."""
        scale: Tensor = self._scheduler.alphas_cumprod.sqrt()
        return scale

    def noised(self, x: Tensor, noise: Tensor, tau: Tensor) -> Tensor:
        """`alpha_tau * x + sigma_tau * noise`, all `[B, ...]`, at the times `[B]`."""
        noisy: Tensor = self._scheduler.add_noise(x, noise, tau)
        return noisy

    def target(self, x: Tensor, noise: Tensor, tau: Tensor) -> Tensor:
        """The noise, or the velocity `alpha_tau * noise - sigma_tau * x`, `[B, ...]`."""
        return self._scheduler.get_velocity(x, noise, tau) if self.predicts_velocity else noise

    def loss(self, network: Denoiser, x: Tensor, noise: Tensor, tau: Tensor) -> Tensor:
        """Mean squared error over everything, a scalar (Eq. 1 of the paper; all frames count, given ones too).

        Args:
            network: called with the noisy `x` and `tau`.
            x: data, `[B, ...]`.
            noise: standard normal, as `x`.
            tau: uniform whole numbers in 0 .. steps - 1, `[B]`.
        """
        prediction = network(self.noised(x, noise, tau), tau)
        return (prediction.float() - self.target(x, noise, tau)).square().mean()


def sampled(network: Denoiser, noise: Tensor, schedule: Schedule, steps: int, sampler: Sampler = "ddim") -> Tensor:
    """What the noise becomes, `[B, ...]`; nothing else is random.

    Args:
        network: what predicts.
        noise: standard normal, float32, `[B, ...]`.
        schedule: of the network.
        steps: of the sampler.
        sampler: DDIM with eta = 0 (Song et al., ICLR 2021), which the paper uses, or DPM-Solver++ of order 2
            (Lu et al., 2022), which needs fewer steps but does not clip.
    """
    from diffusers import DDIMScheduler, DPMSolverMultistepScheduler

    if sampler == "ddim":
        solver = DDIMScheduler.from_config(dict(schedule))
    else:
        kept = {key: schedule[key] for key in SAMPLER_SETTINGS if key in schedule}
        solver = DPMSolverMultistepScheduler(**kept, algorithm_type="dpmsolver++", solver_order=2)
    solver.set_timesteps(steps)
    z = noise
    for time in solver.timesteps:
        tau = torch.full((len(z),), int(time), device=z.device)
        z = solver.step(network(z, tau).float(), time, z, return_dict=False)[0]
    return z
