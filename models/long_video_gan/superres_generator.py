"""LongVideoGAN's super-resolution generator: StyleGAN3 without its input, every layer of which sees the condition.

Brooks et al., *Generating Long Videos of Dynamic Scenes*, NeurIPS 2022, Sec. 3.3. Frames do not depend on one another:
each is a function of the video's latent and of the low-resolution frames around it.
"""

import torch
from einops import rearrange
from torch import Tensor

from vidbench.models.layers.alias_free import AliasFreeLayer, AliasFreeToRGB, signals
from vidbench.models.layers.averages import Averaging
from vidbench.models.layers.linear import Linear
from vidbench.models.layers.mapping import normalized
from vidbench.models.layers.precision import Precision

from .condition import Condition, Resize, resize_factors

PRECISION = Precision(conv_clamp=256)
"""Limits as in the authors' networks, no half precision."""
OUTPUT_SCALE = 0.25
"""What the colours are multiplied by."""
W_AVG_DECAY = 0.998
"""Of the moving average of styles."""


class SuperResGenerator(torch.nn.Module):
    """From a latent and a low-resolution video to the video.

    Args:
        hr_height: of the frames that are made.
        hr_width: of the frames that are made; the longer side is a power of two.
        lr_height: of the frames that come in.
        lr_width: of the frames that come in.
        temporal_context: low-resolution frames that each frame depends on, on either side of its own.
        latent_z_dim: width of the latent.
        latent_w_dim: width of the style.
        margin_size: samples around the picture in all layers but the last two.
        num_layers: without the one that makes the colours.
        channel_base: twice a layer's channels times its cutoff...
        channel_max: ... at most so many channels.
        precision: of the layers.
    """

    def __init__(
        self,
        *,
        hr_height: int,
        hr_width: int,
        lr_height: int,
        lr_width: int,
        temporal_context: int = 4,
        latent_z_dim: int = 512,
        latent_w_dim: int = 512,
        margin_size: int = 10,
        num_layers: int = 14,
        channel_base: int = 32768,
        channel_max: int = 512,
        precision: Precision = PRECISION,
    ) -> None:
        super().__init__()
        self.z_dim, self.context, self.margin = latent_z_dim, temporal_context, margin_size
        self.size, self.lr_size = (hr_height, hr_width), (lr_height, lr_width)
        plan = signals(
            hr_height,
            hr_width,
            num_layers=num_layers,
            margin=margin_size,
            channel_base=channel_base,
            channel_max=channel_max,
        )
        self.sources = [plan[0], *plan[:-1]]
        self.dtypes = [precision.of(target.rate, max(self.size)) for target in plan]
        self.SG3 = Layers(latent_z_dim, latent_w_dim)
        stacked = 3 * (2 * temporal_context + 1)
        for i, (source, target) in enumerate(zip(self.sources, plan, strict=True)):
            in_channels = stacked + (source.channels if i else 0)
            self.SG3.synthesis[f"L{i}_{target.width}_{target.height}_{target.channels}"] = (
                AliasFreeLayer(in_channels, source, target, w_dim=latent_w_dim, conv_clamp=precision.conv_clamp)
                if i < num_layers
                else AliasFreeToRGB(in_channels, 3, w_dim=latent_w_dim, conv_clamp=precision.conv_clamp)
            )
            factors = resize_factors(max(self.lr_size), source.rate)
            self.SG3.resamples.append(torch.nn.Identity() if factors == (1, 1) else Resize(*factors))

    def forward(self, z: Tensor, lr_video: Tensor, truncation_psi: float = 1.0, beta: float = 1.0) -> Tensor:
        """Frames `[N, 3, T, H, W]`, about [-1, 1]: those in the middle of the low-resolution ones.

        Args:
            z: latents `[N, latent_z_dim]`, standard normal.
            lr_video: `[N, 3, T + 2 * temporal_context, h, w]`, about [-1, 1].
            truncation_psi: how far styles stay from their average; 1 leaves them alone, 0 is the average.
            beta: decay of the averages of magnitudes; 1 leaves them, and that of styles, alone.

        Raises:
            ValueError: low-resolution frames of another size, or too few.
        """
        frames, size = lr_video.shape[2] - 2 * self.context, tuple(lr_video.shape[3:])
        if frames < 1 or size != self.lr_size:
            height, width = self.lr_size
            raise ValueError(
                f"Super-resolution takes {width} x {height} frames, {self.context} more on either side than it makes;"
                f" given were {lr_video.shape[2]} of {size[1]} x {size[0]}."
            )
        w = self.SG3.mapping(z, truncation_psi, 1.0 if beta == 1 else W_AVG_DECAY)
        condition = Condition(lr_video, self.context, self.margin)
        x: Tensor | None = None
        for layer, resize, source, dtype in zip(
            self.SG3.synthesis.values(), self.SG3.resamples, self.sources, self.dtypes, strict=True
        ):
            stack = condition.stack(resize, source.height, source.width)
            x = stack if x is None else torch.cat([x, stack.to(x.dtype)], dim=1)
            x = layer(x if dtype is None else x.to(dtype), w, beta)
        assert x is not None
        return rearrange(x.to(w.dtype) * OUTPUT_SCALE, "(n t) c h w -> n c t h w", n=len(z))


class Layers(torch.nn.Module):
    """The network's parts: styles, layers by name, and what brings the condition to each layer's rate."""

    def __init__(self, z_dim: int, w_dim: int) -> None:
        super().__init__()
        self.mapping = Mapping(z_dim, w_dim)
        self.synthesis = torch.nn.ModuleDict()
        self.resamples = torch.nn.ModuleList()


class Mapping(Averaging):
    """From the normalised latent to the style vector of all layers, through two fully connected ones.

    Attributes:
        w_avg: `[w_dim]`, moving average of the styles.
    """

    w_avg: Tensor

    def __init__(self, z_dim: int, w_dim: int) -> None:
        super().__init__()
        self.fc0 = Linear(z_dim, w_dim, activation="lrelu", lr_mult=0.01)
        self.fc1 = Linear(w_dim, w_dim, activation="lrelu", lr_mult=0.01)
        self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(self, z: Tensor, truncation_psi: float = 1.0, beta: float = 1.0) -> Tensor:
        """`[N, z_dim]` to `[N, w_dim]`, moved towards the average if `truncation_psi` is below 1.

        Args:
            z: latents, standard normal.
            truncation_psi: 1 leaves styles alone, 0 is the average.
            beta: decay of the average; 1 leaves it alone.
        """
        w: Tensor = self.fc1(self.fc0(normalized(z)))
        if beta != 1:
            self.take_in(self.w_avg, w.detach().mean(dim=0), beta)
        return w if truncation_psi == 1 else self.w_avg.lerp(w, truncation_psi)
