"""Recordings of adaptive augmentation, of more than one folder."""

import torch
from einops import rearrange

from vidbench.models.layers.augment import BGC, STEPS, Augment

from . import Recording

NORMAL = {"scale", "aniso", "xfrac", "brightness", "contrast", "saturation"}
NEUTRAL = 0.5
STRENGTHS = {
    "scale": "scale_std",
    "rotate_pre": "rotate_max",
    "rotate_post": "rotate_max",
    "aniso": "aniso_std",
    "xfrac": "xfrac_std",
}
"""What a configuration calls the strength of a step."""


def check_augment(recording: Recording) -> None:
    """The `bgc` set with every draw at a percentile q: within 1e-4 of the deviation, and in float64 within 1e-5.

    Reals in [-1, 1] are then 2q - 1 and normal numbers erfinv(2q - 1), without the square root of 2 of a quantile; the
    second rotation is by 0, and everything happens. What is left in float64 are margins wider than the authors'.
    """
    videos = rearrange(recording["in/video"], "n t c h w -> n c t h w")
    for q in recording.config["percentiles"]:
        normal = torch.special.ndtr(torch.erfinv(torch.tensor(2 * q - 1, dtype=torch.float64))).item()
        numbers = {step: normal if step in NORMAL else q for step in STEPS} | {"rotate_post": NEUTRAL}
        row = [u for step, (count, _) in STEPS.items() for u in [numbers[step]] * count + [0.0]]
        draws = torch.tensor([row] * len(videos), dtype=torch.float64)
        for name, dtype, tolerance in (("out", torch.float32, 1e-4), ("out64", torch.float64, 1e-5)):
            found = augment_of(recording).to(dtype)(videos.to(dtype), draws)
            assert_close(found, rearrange(recording[f"{name}/percentile_{q}"], "n t c h w -> n c t h w"), tolerance)


def check_recorded_draws(recording: Recording) -> None:
    """Draws that are inputs, in order, each with what p was compared with; pixel noise comes on top, if there is any.

    Within 1e-4 of the deviation, the margins of the batch in the recording notwithstanding.
    """
    draws = {tuple(name.split(".")[2:]): draw for name, draw in recording.tensors.items() if "/draw." in name}
    strengths = {step: recording.config[key] for step, key in STRENGTHS.items() if key in recording.config}
    augment = augment_of(recording, strengths or BGC)
    videos = recording["in/video"]
    columns = []
    for step, (count, _) in STEPS.items():
        value = draws.get((step, "value"), torch.zeros(len(videos), count)).double().reshape(-1, count)
        gate = draws.get((step, "gate"), torch.ones(len(videos))).double().reshape(-1, 1)
        columns += [torch.special.ndtr(value) if step in NORMAL else value, gate]
    found = augment(videos, torch.cat(columns, dim=1))
    if ("noise", "field") in draws:
        field = rearrange(draws["noise", "field"], "n (c t) h w -> n c t h w", c=3)
        sigma = recording.config["noise_std"] * draws["noise", "sigma"].abs() * (draws["noise", "gate"] < augment.p)
        found = found + rearrange(sigma, "n 1 1 1 -> n 1 1 1 1") * field
    assert_close(found, recording["out/video"], 1e-4)


def augment_of(recording: Recording, strengths: dict[str, float] = BGC) -> Augment:
    augment = Augment(strengths)
    state = {name.removeprefix("state/"): x for name, x in recording.tensors.items() if name.startswith("state/")}
    for name, buffer in augment.state_dict().items():
        assert name == "p" or torch.allclose(buffer, state[name], rtol=0, atol=1e-7), name
    augment.load_state_dict(state)
    return augment


def assert_close(found: torch.Tensor, expected: torch.Tensor, tolerance: float) -> None:
    assert found.dtype == expected.dtype
    error = ((found - expected).abs().max() / expected.std()).item()
    assert error <= tolerance, f"{error:.2e} of the deviation"
