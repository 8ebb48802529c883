"""StyleGAN-V's discriminator: the frames of a video side by side as channels, and the time between them (Sec. 3.2)."""

import math

import torch
from einops import rearrange
from torch import Tensor

from vidbench.models.layers.mapping import MappingNetwork
from vidbench.models.layers.precision import FULL, Precision
from vidbench.models.layers.residual import DiscriminatorBlock, Epilogue


class Discriminator(torch.nn.Module):
    """One logit a video, from a few of its frames and the times between them.

    Args:
        resolution: side of the frames, a power of two.
        channels: of the frames.
        c_dim: width of the label; 0 for none.
        num_frames: of a video.
        max_num_frames: of training videos; times between frames are below it.
        channel_base: a block's channels times its resolution...
        channel_max: ... at most so many.
        concat_res: the resolution from which on all frames are one image.
        concat_divisor: the block before that has so many times fewer channels.
        equidistant: frames are, so that one time between them says all.
        skip_small_t_freqs: how many of the slowest waves of the time between frames are left out.
        mbstd_group_size: videos whose deviation is shown.
        mbstd_num_channels: channels that show it.
        mapping_layers: of the network that maps label and times.
        precision: of the blocks.

    Raises:
        ValueError: frames that are never joined.
    """

    def __init__(
        self,
        *,
        resolution: int = 256,
        channels: int = 3,
        c_dim: int = 0,
        num_frames: int = 3,
        max_num_frames: int = 1024,
        channel_base: int = 16384,
        channel_max: int = 512,
        concat_res: int = 16,
        concat_divisor: int = 2,
        equidistant: bool = False,
        skip_small_t_freqs: int = 0,
        mbstd_group_size: int = 4,
        mbstd_num_channels: int = 1,
        mapping_layers: int = 2,
        precision: Precision = FULL,
    ) -> None:
        super().__init__()
        self.num_frames, self.concat_res, self.equidistant = num_frames, concat_res, equidistant
        self.resolutions = [2**i for i in range(int(math.log2(resolution)), 2, -1)]
        if concat_res not in self.resolutions[1:]:
            raise ValueError(f"frames are joined at one of {self.resolutions[1:]} pixels; concat_res is {concat_res}")
        widths = {res: min(channel_base // res, channel_max) for res in [*self.resolutions, 4]}
        for res in self.resolutions:
            width = widths[res // 2] // (concat_divisor if res // 2 == concat_res else 1)
            block = DiscriminatorBlock(
                widths[res] // concat_divisor * num_frames if res == concat_res else widths[res],
                widths[res],
                width,
                channels if res == resolution else None,
                precision.of(res, resolution),
                precision.conv_clamp,
            )
            self.add_module(f"b{res}", block)
        distances = min(num_frames - 1, 1) if equidistant else num_frames - 1
        self.time_encoder = DistanceEncoder(max_num_frames, skip_small_t_freqs) if distances else None
        width = c_dim + distances * (self.time_encoder.width if self.time_encoder else 0)
        self.mapping = MappingNetwork(0, width, widths[4], mapping_layers) if width else None
        mbstd = (mbstd_group_size, mbstd_num_channels)
        self.b4 = Epilogue(widths[4], widths[4] if width else 1, precision.conv_clamp, mbstd)

    def forward(self, frames: Tensor, c: Tensor | None, t: Tensor) -> Tensor:
        """Logits `[N]`.

        Args:
            frames: `[N * T, channels, H, W]` in [-1, 1], the frames of a video in a row.
            c: labels `[N, c_dim]`; None where there are none.
            t: times `[N, T]` in frames, ascending.

        Raises:
            ValueError: another number of frames, or a batch that does not divide into groups.
        """
        if t.shape[1] != self.num_frames or len(frames) != t.numel():
            raise ValueError(
                f"The discriminator sees {self.num_frames} frames a video; given were {len(frames)} frames"
                f" at times of shape {list(t.shape)}."
            )
        x = frames.contiguous(memory_format=torch.channels_last)
        for res in self.resolutions:
            if res == self.concat_res:
                x = rearrange(x, "(n t) c h w -> n (t c) h w", t=self.num_frames)
                x = x.contiguous(memory_format=torch.channels_last)
            x = self.get_submodule(f"b{res}")(x)
        features: Tensor = self.b4(x.to(self.b4.out.weight.dtype))
        if self.mapping is None:
            return features.squeeze(1)
        directions: Tensor = self.mapping(None, self.condition(c, t))
        return (features * directions).sum(dim=1) / math.sqrt(features.shape[1])

    def condition(self, c: Tensor | None, t: Tensor) -> Tensor:
        """Label and times between frames, as one vector a video."""
        parts = [] if c is None else [c]
        if self.time_encoder is not None:
            distances = t.diff(dim=1)[:, : 1 if self.equidistant else None]
            parts.append(self.time_encoder(distances))
        return torch.cat(parts, dim=1)


class DistanceEncoder(torch.nn.Module):
    """Times between frames as learned vectors and as waves."""

    def __init__(self, max_num_frames: int, skip_small_t_freqs: int) -> None:
        super().__init__()
        self.const_embed = torch.nn.Embedding(max_num_frames, 256)
        self.time_encoder = Waves(max_num_frames, skip_small_t_freqs)
        self.width = 256 + 2 * self.time_encoder.fourier_coefs.shape[1]

    def forward(self, distances: Tensor) -> Tensor:
        """`[N, D]`, each below `max_num_frames`, to `[N, D * width]`."""
        embedded = self.const_embed(distances.round().long())
        coded = torch.cat([embedded, self.time_encoder(distances).to(embedded.dtype)], dim=2)
        return rearrange(coded, "n d v -> n (d v)")


class Waves(torch.nn.Module):
    """Sines and cosines of one half turn in the longest time, two, four, and so on."""

    fourier_coefs: Tensor

    def __init__(self, max_num_frames: int, skip: int) -> None:
        super().__init__()
        octaves = math.ceil(math.log2(max_num_frames))
        self.register_buffer("fourier_coefs", 2.0 ** torch.arange(octaves - skip)[None] * math.pi / 2**octaves)

    def forward(self, x: Tensor) -> Tensor:
        """`[N, D]` to `[N, D, 2 * n]`, all sines first."""
        angles = x[:, :, None].to(self.fourier_coefs.dtype) * self.fourier_coefs
        return torch.cat([angles.sin(), angles.cos()], dim=2)
