"""The temporal residual block: convolutions over time (Blattmann et al., CVPR 2023, Sec. 3.1 and Fig. 4)."""

from dataclasses import dataclass

import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from .mixing import TemporalLayer, videos_of, zeroed


@dataclass(frozen=True)
class Context:
    """Frames that are given, as a temporal residual block sees them."""

    images: Tensor
    """`[(b t), C + 1, H, W]`: latents, 0 where nothing is given, and the mask."""
    given: Tensor
    """`[b]`, 1 where any frame of the video is given, else 0: the path is then open, not even its bias passes."""


class TemporalResidualBlock(TemporalLayer):
    """Two convolutions over three frames, between group norms over channels, frames and pixels; channels stay.

    Names are those of diffusers' `TemporalResnetBlock`. A new block changes nothing, whatever alpha is.

    Args:
        channels: of the images.
        groups: of the norms.
        eps: of the norms.
        temb: width of the embedding of diffusion time; None for none.
        context: channels of the given frames and their mask, where there are any.
        alphas: 1, or one for each frame.
    """

    def __init__(
        self,
        channels: int,
        groups: int,
        eps: float,
        temb: int | None = None,
        context: int | None = None,
        alphas: int = 1,
    ) -> None:
        super().__init__(alphas)
        self.norm1 = nn.GroupNorm(groups, channels, eps)
        self.conv1 = nn.Conv3d(channels, channels, (3, 1, 1), padding=(1, 0, 0))
        self.time_emb_proj = None if temb is None else nn.Linear(temb, channels)
        self.norm2 = nn.GroupNorm(groups, channels, eps)
        self.conv2 = nn.Conv3d(channels, channels, (3, 1, 1), padding=(1, 0, 0))
        zeroed(self.conv2)
        self.context = None if context is None else nn.Conv2d(context, channels, 3, padding=1)
        if self.context is not None:
            zeroed(self.context)

    def forward(self, x: Tensor, frames: int, temb: Tensor | None = None, context: Context | None = None) -> Tensor:
        """Images `[(b t), c, h, w]` to images.

        Args:
            x: the images.
            frames: of each video.
            temb: `[(b t), width]`.
            context: the given frames, of any size.
        """
        return self.mixed_maps(x, self.branch(x, frames, temb, context))

    def branch(self, x: Tensor, frames: int, temb: Tensor | None = None, context: Context | None = None) -> Tensor:
        """What is mixed with the images, `[b, c, t, h, w]`; arguments as in `forward`."""
        z = videos_of(x, frames)
        if self.context is not None and context is not None:
            z = z + self._joined(self.context, context, x, frames)
        h = self.conv1(F.silu(self.norm1(z)))
        if self.time_emb_proj is not None and temb is not None:
            h = h + rearrange(self.time_emb_proj(F.silu(temb)), "(b t) c -> b c t 1 1", t=frames)
        branch: Tensor = z + self.conv2(F.silu(self.norm2(h)))
        return branch

    @staticmethod
    def _joined(path: nn.Conv2d, context: Context, x: Tensor, frames: int) -> Tensor:
        """The given frames at the size and with the channels of the images, `[b, c, t, h, w]`."""
        resized = F.adaptive_avg_pool2d(context.images, (x.shape[2], x.shape[3]))
        features = videos_of(path(resized), frames)
        return features * rearrange(context.given, "b -> b 1 1 1 1").to(features.dtype)
