"""MoCoGAN+SG2's generator: StyleGAN2 whose layers are steered by a style a video and a motion code a frame."""

import math

import torch
from einops import rearrange, repeat
from torch import Tensor, nn

from vidbench.models.layers.mapping import MappingNetwork
from vidbench.models.layers.precision import FULL, Precision
from vidbench.models.layers.skip import SynthesisBlock

from .motion import MotionEncoder


class Generator(nn.Module):
    """From a latent and motion tokens to the frames of any whole times.

    Args:
        resolution: side of the frames, a power of two.
        z_dim: width of the latent.
        w_dim: width of the style.
        mapping_layers: of the mapping network.
        channel_base: a block's channels times its resolution...
        channel_max: ... at most so many.
        motion_z_dim: width of motion tokens.
        motion_v_dim: width of motion codes.
        precision: of the blocks.
    """

    def __init__(
        self,
        *,
        resolution: int = 256,
        z_dim: int = 512,
        w_dim: int = 512,
        mapping_layers: int = 2,
        channel_base: int = 16384,
        channel_max: int = 512,
        motion_z_dim: int = 512,
        motion_v_dim: int = 512,
        precision: Precision = FULL,
    ) -> None:
        super().__init__()
        self.z_dim = z_dim
        widths = {2**i: min(channel_base // 2**i, channel_max) for i in range(2, int(math.log2(resolution)) + 1)}
        self.synthesis = SynthesisNetwork(MotionEncoder(motion_z_dim, motion_v_dim), widths, w_dim, precision)
        self.mapping = MappingNetwork(z_dim, 0, w_dim, mapping_layers, self.synthesis.num_ws)

    def forward(self, z: Tensor, t: Tensor, tokens: Tensor) -> Tensor:
        """Frames `[N * T, 3, H, W]`, about [-1, 1], the frames of a video in a row.

        Args:
            z: latents `[N, z_dim]`, standard normal.
            t: whole times `[N, T]` in frames, at least 0, in any order.
            tokens: those of frames 0, 1, 2, ..., `[N, L, motion_z_dim]`, standard normal.

        Raises:
            ValueError: times below 0, or of which there is no token.
        """
        frames: Tensor = self.synthesis(self.mapping(z, None), self.synthesis.motion_encoder(t, tokens))
        return frames


class SynthesisNetwork(nn.Module):
    """From styles and motion codes to frames: blocks `b4`, `b8` and so on, the colours added up over resolutions.

    Args:
        motion_encoder: makes the motion codes.
        widths: channels of each block by its resolution, 4 first.
        w_dim: width of styles.
        precision: of the blocks.
    """

    def __init__(self, motion_encoder: MotionEncoder, widths: dict[int, int], w_dim: int, precision: Precision) -> None:
        super().__init__()
        self.motion_encoder = motion_encoder
        self.resolutions = list(widths)
        self.num_ws = 2 * len(widths)
        for res, width in widths.items():
            block = SynthesisBlock(
                width if res == 4 else widths[res // 2],
                width,
                resolution=res,
                img_channels=3,
                w_dim=w_dim + motion_encoder.v_dim,
                first=ConstantInput(width) if res == 4 else None,
                dtype=precision.of(res, self.resolutions[-1]),
                conv_clamp=precision.conv_clamp,
            )
            self.add_module(f"b{res}", block)

    def forward(self, ws: Tensor, v: Tensor) -> Tensor:
        """Frames `[N * T, 3, H, W]`, the frames of a video in a row.

        Args:
            ws: styles `[N, num_ws, w_dim]`.
            v: motion codes `[N, T, v_dim]`; each stands beside all styles of its frame.
        """
        codes = rearrange(v, "n t v -> (n t) v")
        styles = torch.cat(
            [repeat(ws, "n l w -> (n t) l w", t=v.shape[1]), repeat(codes, "f v -> f l v", l=self.num_ws)], dim=2
        )
        x = codes
        img: Tensor | None = None
        for i, res in enumerate(self.resolutions):
            first = max(2 * i - 1, 0)
            x, img = self.get_submodule(f"b{res}")(x, img, styles[:, first : first + 3])
        assert img is not None
        return img


class ConstantInput(nn.Module):
    """A learned constant."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.input = nn.Parameter(torch.randn(channels, 4, 4))

    def forward(self, codes: Tensor) -> Tensor:
        """`[N, channels, 4, 4]`, channels last: as often as there are motion codes `[N, v_dim]`."""
        return repeat(self.input, "c h w -> n c h w", n=len(codes)).contiguous(memory_format=torch.channels_last)
