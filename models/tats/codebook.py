"""The codebook of a VQ-VAE, whose entries follow the vectors that are given to them.

Van den Oord et al., NeurIPS 2017, App. A.1; with entries that are hardly used put back among the vectors.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor, nn

COMMITMENT = 0.25
"""Weight of the commitment loss."""
DECAY = 0.99
"""Of the moving averages."""
LAPLACE = 1e-7
NOISE = 0.01
"""Of vectors that are repeated, times the square root of their width."""

Pick = Callable[[Tensor], Tensor]
"""Of vectors `[M, D]`, as many as there are codes, at random: `[K, D]`."""


class Quantised(NamedTuple):
    """What a codebook makes of vectors."""

    codes: Tensor
    """`[N, t, h, w]`, int64."""
    values: Tensor
    """Their entries `[N, D, t, h, w]`; gradients pass to the vectors as if these were they."""
    commitment: Tensor
    """How far the vectors are from their entries, a scalar, weighted."""
    perplexity: Tensor
    """How many codes are in use, a scalar."""


def tiled(flat: Tensor, count: int, noise: Tensor) -> Tensor:
    """Vectors `[M, D]`, over and over until there are `count`, and then each with noise, standard normal, of its own.

    Args:
        flat: the vectors.
        count: how many are needed.
        noise: `[ceil(count / M) M, D]`; not looked at where there are enough.
    """
    if len(flat) >= count:
        return flat
    copies = repeat(flat, "m d -> (n m) d", n=-(-count // len(flat)))
    return copies + noise * (NOISE / math.sqrt(flat.shape[1]))


def pick_from(chance: torch.Generator, count: int) -> Pick:
    """What picks `count` vectors with random numbers of one source."""

    def pick(flat: Tensor) -> Tensor:
        rows = max(1, -(-count // len(flat))) * len(flat)
        noise = torch.randn(rows, flat.shape[1], generator=chance) if len(flat) < count else torch.empty(0)
        order = torch.randperm(rows, generator=chance)[:count]
        return tiled(flat, count, noise.to(flat))[order.to(flat.device)]

    return pick


class Codebook(nn.Module):
    """Entries, and the moving averages that they are made of.

    Args:
        count: K, how many entries.
        width: D, of each.

    Attributes:
        embeddings: the entries `[K, D]`.
        N: moving average of how many vectors an entry is given, `[K]`; 0 until the entries are started.
        z_avg: moving average of their sum, `[K, D]`.
    """

    embeddings: Tensor
    N: Tensor
    z_avg: Tensor

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.register_buffer("embeddings", torch.randn(count, width))
        self.register_buffer("N", torch.zeros(count))
        self.register_buffer("z_avg", self.embeddings.clone())

    def forward(self, z: Tensor) -> Quantised:
        """The entry that is nearest to each vector of `[N, D, t, h, w]`."""
        flat, entries = vectors(z.detach()), self.embeddings
        distances = flat.square().sum(1, keepdim=True) - 2 * flat @ entries.T + entries.square().sum(1)
        flat_codes = distances.argmin(dim=1)
        codes = rearrange(flat_codes, "(n t h w) -> n t h w", n=len(z), t=z.shape[2], h=z.shape[3])
        found = self.entries(codes)
        shares = torch.bincount(flat_codes, minlength=len(entries)) / len(flat)
        perplexity = torch.exp(-(shares * torch.log(shares + 1e-10)).sum())
        return Quantised(codes, z + (found - z).detach(), COMMITMENT * F.mse_loss(z, found), perplexity)

    def entries(self, codes: Tensor) -> Tensor:
        """The entries of codes `[N, t, h, w]`: `[N, D, t, h, w]`."""
        return rearrange(F.embedding(codes, self.embeddings), "n t h w d -> n d t h w")

    @torch.no_grad()
    def start(self, z: Tensor, pick: Pick) -> None:
        """Put the entries among the first vectors, where that has not been done."""
        if not self.N.any():
            self.embeddings.copy_(pick(vectors(z)))
            self.z_avg.copy_(self.embeddings)
            self.N.fill_(1)

    @torch.no_grad()
    def follow(
        self, z: Tensor, codes: Tensor, total: Callable[[Tensor], Tensor], pick: Pick | None, rare: float
    ) -> None:
        """Move the entries towards the vectors that were given to them.

        Args:
            z: vectors `[N, D, t, h, w]` of this process.
            codes: what they became, `[N, t, h, w]`.
            total: makes of this process's sum that of all processes.
            pick: puts rare entries among the vectors until the next step; None leaves them alone.
            rare: entries that are given fewer vectors, on average, are.
        """
        flat, flat_codes = vectors(z), codes.flatten()
        counts = torch.bincount(flat_codes, minlength=len(self.N)).to(flat)
        sums = torch.zeros_like(self.z_avg).index_add_(0, flat_codes, flat)
        self.N.mul_(DECAY).add_(total(counts), alpha=1 - DECAY)
        self.z_avg.mul_(DECAY).add_(total(sums), alpha=1 - DECAY)
        size = self.N.sum()
        weights = (self.N + LAPLACE) / (size + len(self.N) * LAPLACE) * size
        self.embeddings.copy_(self.z_avg / weights[:, None])
        if pick is not None:
            kept = (rare <= self.N)[:, None]
            self.embeddings.copy_(torch.where(kept, self.embeddings, pick(flat)))


def vectors(z: Tensor) -> Tensor:
    """The vectors of `[N, D, t, h, w]` in a list, `[N t h w, D]`."""
    return rearrange(z, "n d t h w -> (n t h w) d")
