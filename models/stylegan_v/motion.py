"""Motion codes of continuous time: noise tokens, a trajectory through them, acyclic waves along it (Sec. 3.1)."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from vidbench.models.layers.linear import Linear


@dataclass(frozen=True)
class Motion:
    """Sizes of the motion code. Times are in frames.

    Raises:
        ValueError: if a time is not above 0, or periods are the wrong way round.
    """

    z_dim: int = 512
    """Width of noise tokens."""
    v_dim: int = 512
    """Width of the trajectory's points."""
    kernel_size: int = 11
    """Tokens that either convolution joins."""
    distance: float = 16
    """Time between points."""
    time_dim: int = 256
    """Number of waves; the code is twice as wide."""
    min_period: float = 16
    """Of the quickest wave."""
    max_period: float = 1024
    """Of the slowest wave."""
    max_num_frames: int = 1024
    """Length of training videos."""

    def __post_init__(self) -> None:
        if not (self.distance > 0 and 0 < self.min_period <= self.max_period):
            raise ValueError(
                f"distance and periods must be above 0, and min_period at most max_period; they are {self.distance:g},"
                f" {self.min_period:g} and {self.max_period:g}"
            )

    @property
    def reach(self) -> int:
        """How many tokens after its own each point depends on."""
        return 2 * (self.kernel_size - 1)

    def num_tokens(self, last: float) -> int:
        """How many tokens, from the first on, all times up to `last` depend on."""
        return math.floor(last / self.distance) + 2 + self.reach


PAPER = Motion()
"""The sizes of the paper's networks."""


class MotionEncoder(torch.nn.Module):
    """From noise tokens to the motion code of any time.

    Args:
        motion: its sizes.
        c_dim: width of the label, which joins every token.
    """

    def __init__(self, motion: Motion, c_dim: int = 0) -> None:
        super().__init__()
        self.motion = motion
        self.conv = torch.nn.Sequential(
            Conv1d(motion.z_dim + c_dim, motion.z_dim, motion.kernel_size),
            Conv1d(motion.z_dim, motion.v_dim, motion.kernel_size),
        )
        self.time_encoder = TimeEncoder(motion)

    def forward(self, t: Tensor, motion_z: Tensor, c: Tensor | None = None, first_token: int = 0) -> Tensor:
        """Motion codes; only tokens that the times of a video depend on are read.

        Args:
            t: times `[N, T]` in frames, at least 0, in any order; computed in float64.
            motion_z: tokens `[N, L, z_dim]` at times `(first_token + i) * distance`, standard normal.
            c: labels `[N, c_dim]`.
            first_token: index of the first token of `motion_z`.

        Returns:
            `[N, T, 2 * time_dim]`.

        Raises:
            ValueError: times below 0, or that depend on tokens which are not there.
        """
        t = t.double()
        segment = torch.floor(t / self.motion.distance).long()
        first, last = segment.amin(dim=1), segment.amax(dim=1)
        self._check(t, int(first.min()), int(last.max()), first_token, motion_z.shape[1])
        points = int((last - first).max()) + 2
        window = torch.arange(points + self.motion.reach, device=t.device) + (first - first_token)[:, None]
        tokens = motion_z[torch.arange(len(t), device=t.device)[:, None], window.clamp(max=motion_z.shape[1] - 1)]
        v: Tensor = self.time_encoder(self.trajectory(tokens, c), t, first, segment)
        return v

    def trajectory(self, tokens: Tensor, c: Tensor | None = None) -> Tensor:
        """Points `[N, L - reach, v_dim]` from neighbouring tokens `[N, L, z_dim]` and labels `[N, c_dim]`."""
        if c is not None:
            tokens = torch.cat([tokens, c[:, None].expand(-1, tokens.shape[1], -1).to(tokens.dtype)], dim=2)
        u: Tensor = self.conv(rearrange(tokens, "n l z -> n z l"))
        return rearrange(u, "n v l -> n l v")

    def _check(self, t: Tensor, first: int, last: int, first_token: int, tokens: int) -> None:
        if not bool((t >= 0).all()):
            raise ValueError(f"Times start at 0; {t.min().item():g} was asked for.")
        needed = last + 2 + self.motion.reach
        if first < first_token or needed > first_token + tokens:
            raise ValueError(
                f"These times depend on the motion tokens {first} to {needed - 1};"
                f" given were {first_token} to {first_token + tokens - 1}."
            )


class TimeEncoder(torch.nn.Module):
    """Waves whose frequency and phase the trajectory steers, less what they are at its points.

    Between two points the code is a wave minus its chord, plus the straight line between what the points ask for.

    Args:
        motion: sizes.
    """

    freqs: Tensor
    phase_scales: Tensor

    def __init__(self, motion: Motion) -> None:
        super().__init__()
        self.distance = motion.distance
        lowest, highest = math.log2(motion.min_period), math.log2(motion.max_period)
        periods = 2 ** torch.linspace(lowest, highest, motion.time_dim, dtype=torch.float64)
        freqs = (2 * math.pi / periods).flip(0)[None].float()
        self.register_buffer("freqs", freqs)
        self.register_buffer("phase_scales", motion.max_period / (2 * math.pi / freqs))
        self.periods_predictor = Linear(motion.v_dim, motion.time_dim, bias=False)
        self.phase_predictor = Linear(motion.v_dim, motion.time_dim, bias=False)
        self.aligners_predictor = Linear(motion.v_dim, 2 * motion.time_dim, bias=False)

    def forward(self, u: Tensor, t: Tensor, first: Tensor, segment: Tensor) -> Tensor:
        """Motion codes.

        Args:
            u: points `[N, P, v_dim]`, the first of them that of index `first`.
            t: times `[N, T]`, float64.
            first: `[N]`.
            segment: index of the last point before each time, `[N, T]`.

        Returns:
            `[N, T, 2 * time_dim]` in the precision of `u`.
        """
        left = u[:, :-1]
        freqs = self.freqs * (self.periods_predictor(left).tanh() + 1)
        phases = self.phase_predictor(left) * self.phase_scales
        aligners = self.aligners_predictor(u)

        index = torch.arange(left.shape[1], device=t.device) + first[:, None]
        start = aligners[:, :-1] - waves(freqs, phases, index * self.distance)
        stop = aligners[:, 1:] - waves(freqs, phases, (index + 1) * self.distance)

        at = (torch.arange(len(t), device=t.device)[:, None], segment - first[:, None])
        alpha = (t / self.distance - segment)[:, :, None].to(u.dtype)
        v: Tensor = waves(freqs[at], phases[at], t) + start[at].lerp(stop[at], alpha)
        return v


def waves(freqs: Tensor, phases: Tensor, t: Tensor) -> Tensor:
    """Sines, then cosines, `[N, P, 2 * m]`, of waves `[N, P, m]` at times `[N, P]`; angles in float64."""
    angles = freqs.double() * t[:, :, None] + phases.double()
    return torch.cat([angles.sin(), angles.cos()], dim=-1).to(freqs.dtype)


class Conv1d(torch.nn.Module):
    """Correlation over tokens with an equalised learning rate, a hundredth of the others'; leaky ReLU without gain."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int) -> None:
        super().__init__()
        lr_mult = 0.01
        self.weight_gain, self.bias_gain = lr_mult / math.sqrt(in_channels * kernel_size), lr_mult
        self.weight = torch.nn.Parameter(torch.randn(out_channels, in_channels, kernel_size) / lr_mult)
        self.bias = torch.nn.Parameter(torch.zeros(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        """`[N, in_channels, L]` to `[N, out_channels, L - kernel_size + 1]`."""
        return F.leaky_relu(F.conv1d(x, self.weight * self.weight_gain, self.bias * self.bias_gain), 0.2)
