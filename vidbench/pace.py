"""How long a training will take: its steps were measured against a small piece of work, which is done here again."""

import time

import torch

from .loading import processors_shared

SHAPE = (4, 32, 16, 32, 32)
REPEATS = 3


def probe_seconds(device: str, workers: int) -> float:
    """Seconds that a convolution over space and time takes on a device, forward and backward; best of three.

    Args:
        device: where.
        workers: processes that read meanwhile, to which training leaves processors.
    """
    x, weight = torch.randn(SHAPE, device=device), torch.randn(32, 32, 3, 3, 3, device=device, requires_grad=True)
    best = float("inf")
    with processors_shared(workers):
        for _ in range(REPEATS):
            began = time.perf_counter()
            torch.nn.functional.conv3d(x, weight, padding=1).square().mean().backward()  # type: ignore[no-untyped-call]
            float(weight.grad.sum() if weight.grad is not None else 0)  # waits for a GPU
            best = min(best, time.perf_counter() - began)
    return best


def duration(seconds: float) -> str:
    """Such as `20 min` or `1 h 25 min`."""
    minutes = max(round(seconds / 60), 1)
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if hours else f"{rest} min"
