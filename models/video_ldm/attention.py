"""Temporal attention (Blattmann et al., CVPR 2023, Sec. 3.1), in the form that has the paper's number of parameters.

That is the form of the authors' later Stable Video Diffusion, whose names, as diffusers has them, are kept.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor, nn

from .mixing import TemporalLayer, videos_of, zeroed

MAX_ROWS = 65535
"""Sequences times heads that attention kernels are given at once: some cannot count further."""


class Attention(nn.Module):
    """Multi-head attention, of tokens to themselves or to others.

    Args:
        channels: of the tokens.
        heads: how many, which divides `channels`.
        others: channels of the other tokens; None for the same.
    """

    def __init__(self, channels: int, heads: int, others: int | None = None) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k = nn.Linear(others or channels, channels, bias=False)
        self.to_v = nn.Linear(others or channels, channels, bias=False)
        self.to_out = nn.Sequential(nn.Linear(channels, channels))
        zeroed(self.to_out[0])  # type: ignore[arg-type]

    def forward(self, x: Tensor, others: Tensor | None = None) -> Tensor:
        """`[n, l, channels]`, attending to `[n, m, others]` or themselves, to `[n, l, channels]`."""
        others = x if others is None else others
        q, k, v = (
            rearrange(tokens, "n l (heads d) -> n heads l d", heads=self.heads)
            for tokens in (self.to_q(x), self.to_k(others), self.to_v(others))
        )
        rows = max(1, MAX_ROWS // self.heads)
        parts = zip(*(tokens.split(rows) for tokens in (q, k, v)), strict=True)
        attended = torch.cat([F.scaled_dot_product_attention(*part) for part in parts])
        out: Tensor = self.to_out(rearrange(attended, "n heads l d -> n l (heads d)"))
        return out


class GEGLU(nn.Module):
    """`[..., c]` to `[..., 4 c]`: values times gates (Shazeer, *GLU Variants Improve Transformer*, 2020)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj = nn.Linear(channels, 8 * channels)

    def forward(self, x: Tensor) -> Tensor:
        """Of tokens."""
        value, gate = torch.chunk(self.proj(x), 2, dim=-1)
        return value * F.gelu(gate)


class FeedForward(nn.Module):
    """`[..., c]` to `[..., c]` by way of four times the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        last = nn.Linear(4 * channels, channels)
        zeroed(last)
        self.net = nn.Sequential(GEGLU(channels), nn.Identity(), last)  # the middle: dropout, in the later model

    def forward(self, x: Tensor) -> Tensor:
        """Of tokens."""
        out: Tensor = self.net(x)
        return out


class TemporalBlock(nn.Module):
    """Feed-forward, attention over frames, attention to text, feed-forward, each added to the tokens.

    Args:
        channels: of the tokens.
        heads: of both attentions.
        text: width of the text's tokens; None without text.
    """

    def __init__(self, channels: int, heads: int, text: int | None = None) -> None:
        super().__init__()
        self.norm_in = nn.LayerNorm(channels)
        self.ff_in = FeedForward(channels)
        self.norm1 = nn.LayerNorm(channels)
        self.attn1 = Attention(channels, heads)
        self.norm2 = None if text is None else nn.LayerNorm(channels)
        self.attn2 = None if text is None else Attention(channels, heads, text)
        self.norm3 = nn.LayerNorm(channels)
        self.ff = FeedForward(channels)

    def forward(self, y: Tensor, frames: int, text: Tensor | None = None) -> Tensor:
        """Tokens `[(b t), s, c]` to tokens; text `[b, l, width]`. Pixels do not see each other."""
        tokens: Tensor = rearrange(y, "(b t) s c -> (b s) t c", t=frames)
        tokens = tokens + self.ff_in(self.norm_in(tokens))
        tokens = tokens + self.attn1(self.norm1(tokens))
        if self.attn2 is not None and self.norm2 is not None:
            videos = rearrange(tokens, "(b s) t c -> b (s t) c", s=y.shape[1])
            videos = videos + self.attn2(self.norm2(videos), text)
            tokens = rearrange(videos, "b (s t) c -> (b s) t c", t=frames)
        tokens = tokens + self.ff(self.norm3(tokens))
        return rearrange(tokens, "(b s) t c -> (b t) s c", s=y.shape[1])


class FramePosition(nn.Module):
    """The sinusoidal embedding of frame indices, and what two layers make of it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.linear_1 = nn.Linear(channels, 4 * channels)
        self.linear_2 = nn.Linear(4 * channels, channels)
        zeroed(self.linear_2)

    def forward(self, frames: int) -> Tensor:
        """`[frames, channels]` of frames 0, 1, ..."""
        device, half = self.linear_1.weight.device, self.channels // 2
        periods = torch.exp(torch.arange(half, dtype=torch.float32, device=device) * (-math.log(10000) / half))
        angles = torch.outer(torch.arange(frames, dtype=torch.float32, device=device), periods)
        waves = torch.cat([angles.cos(), angles.sin()], dim=1).to(self.linear_1.weight.dtype)
        position: Tensor = self.linear_2(F.silu(self.linear_1(waves)))
        return position


class TemporalAttention(TemporalLayer):
    """Temporal blocks inside a spatial transformer, or one after a spatial attention.

    Args:
        channels: of the tokens.
        heads: as in the spatial attention.
        depth: temporal blocks, one for each block of the spatial transformer.
        text: width of the text's tokens; None without text.
        norm: groups and eps of the group norm of the form after; None for the form inside.
        alphas: 1, or one for each frame.
    """

    def __init__(
        self,
        channels: int,
        heads: int,
        depth: int = 1,
        text: int | None = None,
        norm: tuple[int, float] | None = None,
        alphas: int = 1,
    ) -> None:
        super().__init__(alphas)
        self.norm = None if norm is None else nn.GroupNorm(norm[0], channels, norm[1])
        self.time_pos_embed = FramePosition(channels)
        self.blocks = nn.ModuleList(TemporalBlock(channels, heads, text) for _ in range(depth))

    def inside(self, spatial: Any, x: Tensor, frames: int, text: Tensor | None, temporal_text: Tensor | None) -> Tensor:
        """A spatial transformer with a temporal block after each of its own, before its last projection.

        Args:
            spatial: diffusers' `Transformer2DModel`.
            x: images `[(b t), c, h, w]`.
            frames: of each video.
            text: tokens for the spatial blocks, `[(b t), l, width]`.
            temporal_text: tokens for the temporal blocks, `[b, l, width]`.

        Returns:
            Images `[(b t), c, h, w]`.
        """
        linear = spatial.use_linear_projection
        y = spatial.norm(x)
        y = y if linear else spatial.proj_in(y)
        y = rearrange(y, "n c h w -> n (h w) c")
        y = spatial.proj_in(y) if linear else y
        for block, temporal in zip(spatial.transformer_blocks, self.blocks, strict=True):
            y = block(y, encoder_hidden_states=text)
            y = self.mixed(y, self.attended(temporal, y, frames, temporal_text))
        y = spatial.proj_out(y) if linear else y
        y = rearrange(y, "n (h w) c -> n c h w", h=x.shape[2]).contiguous()
        y = y if linear else spatial.proj_out(y)
        out: Tensor = y + x
        return out

    def attended(self, temporal: nn.Module, y: Tensor, frames: int, text: Tensor | None) -> Tensor:
        """What one temporal block makes of tokens `[(b t), s, c]` and their frames' positions, before mixing."""
        position = repeat(self.time_pos_embed(frames), "t c -> (b t) 1 c", b=len(y) // frames)
        branch: Tensor = temporal(y + position, frames, text)
        return branch

    def forward(self, x: Tensor, frames: int, text: Tensor | None = None) -> Tensor:
        """The form after: images `[(b t), c, h, w]` to images, with text `[b, l, width]`."""
        assert self.norm is not None
        z = videos_of(x, frames)
        y = rearrange(self.norm(z), "b c t h w -> (b t) (h w) c")
        y = y + repeat(self.time_pos_embed(frames), "t c -> (b t) 1 c", b=len(z))
        change = rearrange(self.blocks[0](y, frames, text) - y, "(b t) (h w) c -> b c t h w", t=frames, h=x.shape[2])
        return self.mixed_maps(x, z + change)
