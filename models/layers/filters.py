"""Taps of the resampling filters: linear interpolation, and windowed sincs with Kaiser's window."""

import torch
from torch import Tensor


def linear_filter(scale: int) -> Tensor:
    """Linear interpolation between samples `scale` apart: `[2 * scale]`, of sum 1; [1, 3, 3, 1] / 8 for 2."""
    ramp = (torch.arange(scale) + 0.5) / scale
    taps = torch.cat([ramp, ramp.flip(0)])
    return taps / taps.sum()


def kaiser_filter(scale: int) -> Tensor:
    """A low pass for rates `scale` apart: `[6 * scale]`, of sum 1."""
    return sinc_filter(6 * scale, cutoff=1, width=6, rate=4 * scale)


def sinc_filter(taps: int, cutoff: float, width: float, rate: float) -> Tensor:
    """A low pass: a sinc in Kaiser's window, `[taps]`, of sum 1, float32.

    Args:
        taps: how many.
        cutoff: the frequency at which half of the amplitude passes.
        width: of the band over which the filter falls.
        rate: samples in the unit of time.
    """
    from scipy.signal import firwin  # takes longer to import than everything else here

    return torch.from_numpy(firwin(taps, cutoff, width=width, fs=rate)).float()
