"""StyleGAN-V's generator: StyleGAN2 with a style a video and a motion code a frame at its input (Sec. 3.1)."""

import math

import torch
from einops import rearrange, repeat
from torch import Tensor

from vidbench.models.layers.mapping import MappingNetwork
from vidbench.models.layers.precision import FULL, Precision
from vidbench.models.layers.skip import SynthesisBlock
from vidbench.models.layers.synthesis import Noise

from .motion import PAPER, Motion, MotionEncoder


class Generator(torch.nn.Module):
    """From a latent, a label and motion tokens to the frames at any times.

    Args:
        resolution: side of the frames, a power of two.
        channels: of the frames.
        z_dim: width of the latent.
        c_dim: width of the label; 0 for none.
        w_dim: width of the style.
        mapping_layers: of the mapping network.
        channel_base: a block's channels times its resolution...
        channel_max: ... at most so many.
        motion: sizes of the motion code.
        use_noise: whether layers add noise; StyleGAN-V's do not.
        precision: of the blocks.
    """

    def __init__(
        self,
        *,
        resolution: int = 256,
        channels: int = 3,
        z_dim: int = 512,
        c_dim: int = 0,
        w_dim: int = 512,
        mapping_layers: int = 2,
        channel_base: int = 16384,
        channel_max: int = 512,
        motion: Motion = PAPER,
        use_noise: bool = False,
        precision: Precision = FULL,
    ) -> None:
        super().__init__()
        self.z_dim, self.c_dim, self.motion = z_dim, c_dim, motion
        self.synthesis = SynthesisNetwork(
            MotionEncoder(motion, c_dim),
            resolution=resolution,
            img_channels=channels,
            w_dim=w_dim,
            channel_base=channel_base,
            channel_max=channel_max,
            use_noise=use_noise,
            precision=precision,
        )
        self.mapping = MappingNetwork(z_dim, c_dim, w_dim, mapping_layers, self.synthesis.num_ws)

    def forward(
        self, z: Tensor, c: Tensor | None, t: Tensor, motion_z: Tensor | None = None, first_token: int = 0
    ) -> Tensor:
        """Frames.

        Args:
            z: latents `[N, z_dim]`, standard normal.
            c: labels `[N, c_dim]`; None where `c_dim` is 0.
            t: times `[N, T]` in frames, real and at least 0, in any order.
            motion_z: tokens `[N, L, motion.z_dim]`, standard normal; by default drawn from torch's own generator.
            first_token: index of the first token of `motion_z`.

        Returns:
            `[N * T, channels, H, W]`, about [-1, 1], the frames of a video in a row.

        Raises:
            ValueError: times below 0, or that depend on tokens which are not there.
        """
        if motion_z is None:
            tokens = self.motion.num_tokens(float(t.max()))
            motion_z = torch.randn(len(z), tokens, self.motion.z_dim, device=z.device, dtype=z.dtype)
        frames: Tensor = self.synthesis(self.mapping(z, c), t, c, motion_z, first_token)
        return frames


class SynthesisNetwork(torch.nn.Module):
    """From styles and motion codes to frames: blocks `b4`, `b8` and so on, the colours added up over resolutions."""

    def __init__(
        self,
        motion_encoder: MotionEncoder,
        *,
        resolution: int,
        img_channels: int,
        w_dim: int,
        channel_base: int,
        channel_max: int,
        use_noise: bool,
        precision: Precision,
    ) -> None:
        super().__init__()
        self.motion_encoder = motion_encoder
        self.num_ws = 2 * int(math.log2(resolution)) - 2
        self.resolutions = [2**i for i in range(2, int(math.log2(resolution)) + 1)]
        widths = {res: min(channel_base // res, channel_max) for res in self.resolutions}
        for res in self.resolutions:
            block = SynthesisBlock(
                widths[4] + 2 * motion_encoder.motion.time_dim if res == 4 else widths[res // 2],
                widths[res],
                resolution=res,
                img_channels=img_channels,
                w_dim=w_dim,
                first=TemporalInput(widths[4]) if res == 4 else None,
                use_noise=use_noise,
                dtype=precision.of(res, resolution),
                conv_clamp=precision.conv_clamp,
            )
            self.add_module(f"b{res}", block)

    def forward(
        self,
        ws: Tensor,
        t: Tensor,
        c: Tensor | None,
        motion_z: Tensor,
        first_token: int = 0,
        noise: Noise = "random",
    ) -> Tensor:
        """Frames `[N * T, channels, H, W]`, the frames of a video in a row.

        Args:
            ws: styles `[N, num_ws, w_dim]`.
            t: times `[N, T]`.
            c: labels `[N, c_dim]`; None where there are none.
            motion_z: tokens `[N, L, motion.z_dim]`.
            first_token: index of the first token of `motion_z`.
            noise: drawn, or that of the layers, where they have it.

        Raises:
            ValueError: times below 0, or that depend on tokens which are not there.
        """
        x = rearrange(self.motion_encoder(t, motion_z, c, first_token), "n t v -> (n t) v 1 1").to(ws.dtype)
        img: Tensor | None = None
        for i, res in enumerate(self.resolutions):
            first = max(2 * i - 1, 0)
            x, img = self.get_submodule(f"b{res}")(x, img, ws[:, first : first + 3], noise)
        assert img is not None
        return img


class TemporalInput(torch.nn.Module):
    """A learned constant, and the motion code spread beside it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.input = torch.nn.ParameterDict({"const": torch.randn(1, channels, 4, 4)})

    def forward(self, v: Tensor) -> Tensor:
        """`[N, V, 1, 1]` to `[N, channels + V, 4, 4]`, channels last."""
        const = repeat(self.input["const"], "1 c h w -> n c h w", n=len(v))
        return torch.cat([const, v.expand(-1, -1, 4, 4)], dim=1).contiguous(memory_format=torch.channels_last)
