"""StyleGAN2's mapping network: from noise and labels to style vectors (Karras et al., CVPR 2019 and 2020)."""

import torch
from einops import repeat
from torch import Tensor

from .averages import Averaging
from .linear import Linear


class MappingNetwork(Averaging):
    """Fully connected layers on the normalised latent and the normalised embedding of the label.

    Args:
        z_dim: width of the latent; 0 for none.
        c_dim: width of the label; 0 for none.
        w_dim: width of what comes out.
        num_layers: fully connected layers, the embedding of the label not counted.
        num_ws: how often the style is repeated, one for each layer that it steers; None for one vector and no average.

    Attributes:
        w_avg: `[w_dim]`, where there is `num_ws`: moving average of the styles, of every call in training mode.
    """

    w_avg: Tensor

    def __init__(self, z_dim: int, c_dim: int, w_dim: int, num_layers: int, num_ws: int | None = None) -> None:
        super().__init__()
        self.num_layers, self.num_ws = num_layers, num_ws
        self.embed = Linear(c_dim, w_dim) if c_dim > 0 else None
        width = z_dim + (w_dim if c_dim > 0 else 0)
        for i in range(num_layers):
            layer = Linear(width if i == 0 else w_dim, w_dim, activation="lrelu", lr_mult=0.01)
            self.add_module(f"fc{i}", layer)
        if num_ws is not None:
            self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(
        self, z: Tensor | None, c: Tensor | None, truncation_psi: float = 1.0, truncation_cutoff: int | None = None
    ) -> Tensor:
        """Style vectors.

        Args:
            z: latents `[N, z_dim]`, standard normal.
            c: labels `[N, c_dim]`.
            truncation_psi: how far styles stay from their average; 1 leaves them alone, 0 is the average.
            truncation_cutoff: the number of repetitions that are truncated, from the first on; None for all.

        Returns:
            `[N, num_ws, w_dim]`, or `[N, w_dim]` without `num_ws`.
        """
        parts = [] if z is None else [normalized(z)]
        if self.embed is not None and c is not None:
            parts.append(normalized(self.embed(c)))
        w = torch.cat(parts, dim=1)
        for i in range(self.num_layers):
            w = self.get_submodule(f"fc{i}")(w)
        if self.num_ws is None:
            return w
        if self.training:
            self.take_in(self.w_avg, w.detach().mean(dim=0), 0.995)
        ws = repeat(w, "n w -> n l w", l=self.num_ws)
        if truncation_psi == 1:
            return ws
        truncated = self.w_avg.lerp(ws, truncation_psi)
        cutoff = self.num_ws if truncation_cutoff is None else truncation_cutoff
        return torch.cat([truncated[:, :cutoff], ws[:, cutoff:]], dim=1)


def normalized(x: Tensor) -> Tensor:
    """`[N, C]` scaled so that the mean square of each row is 1."""
    return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-8)
