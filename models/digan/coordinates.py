"""Place and time as waves: what DIGAN's layers make frames of (Yu et al., ICLR 2022, Sec. 3.1)."""

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn
from torch.func import functional_call

from vidbench.models.layers.linear import Linear


class CoordinateFuser(nn.Module):
    """Waves over a frame: the style sets their directions, style and motion how their phases move with time.

    Args:
        w_dim: width of the style, and of the latent of motion.
        num_waves: waves, each of which is shown as sine and cosine.
        motion_sigma: how quickly time moves phases.
    """

    def __init__(self, w_dim: int, num_waves: int, motion_sigma: float) -> None:
        super().__init__()
        self.num_waves, self.motion_sigma = num_waves, motion_sigma
        self.xyaffine = Linear(w_dim, 3 * num_waves)
        self.affine = Linear(2 * w_dim, num_waves)
        self.motion_mlp = nn.Sequential(Linear(num_waves, num_waves, activation="lrelu"), Linear(num_waves, num_waves))

    def forward(self, w: Tensor, t: Tensor, motion_z: Tensor, side: int) -> Tensor:
        """All sines, then all cosines: `[N * T, 2 * num_waves, side, side]`, channels last.

        Args:
            w: styles `[N, w_dim]`.
            t: times `[N, T]`, any real numbers.
            motion_z: latents of motion `[N, w_dim]`.
            side: of the frames, in pixels.
        """
        directions, phases = self.xyaffine(w).split([2 * self.num_waves, self.num_waves], dim=1)
        right, up = rearrange(directions * math.sqrt(10), "n (k xy) -> xy n 1 1 1 k", xy=2)
        motion = self.affine(torch.cat([w, motion_z], dim=1))
        phases = (phases[:, None] + self._moved(motion, t)) % (2 * math.pi)
        phases = rearrange(phases.to(w.dtype), "n t k -> n t 1 1 k")
        places = grid(side).to(w)
        angles = right * places[:, None] + (up * places.flip(0)[:, None, None] + phases)
        return rearrange(torch.cat([angles.sin(), angles.cos()], dim=-1), "n t h w c -> (n t) c h w")

    def _moved(self, motion: Tensor, t: Tensor) -> Tensor:
        """By how much motions `[N, num_waves]` move phases at times `[N, T]`: float64, as they grow with time."""
        x = F.leaky_relu(motion[:, None].double() * t[:, :, None].double() * self.motion_sigma)  # of slope 0.01
        double = {name: parameter.double() for name, parameter in self.motion_mlp.named_parameters()}
        moved: Tensor = functional_call(self.motion_mlp, double, (x,))
        return moved


def grid(side: int) -> Tensor:
    """Coordinates of pixels, from left to right or from the bottom up: `[side]`, from -1 to 1 - 2 / side."""
    return 2 * torch.arange(side) / side - 1
