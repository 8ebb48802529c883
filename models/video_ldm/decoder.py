"""The autoencoder's decoder with temporal layers (Blattmann et al., CVPR 2023, Sec. 3.1.1), and how it is applied.

Without them every frame is decoded alone, and flickers. The encoder stays as it is, so that latents keep their meaning.
"""

from collections.abc import Callable, Iterator
from typing import Any, Literal

import torch
from einops import rearrange
from torch import Tensor, nn

from .mixing import videos_of
from .residual import TemporalResidualBlock

WINDOW = 8
"""Frames decoded together: what comes out depends on it, so it is part of the model."""
HOP = 4
"""Frames from one window to the next."""
MARGIN = (WINDOW - HOP) // 2
"""Frames of a window, on either side, that are left to its neighbours."""


class VideoDecoder(nn.Module):
    """Decodes all frames of a window together; a new one decodes as the autoencoder does, bit for bit.

    Args:
        vae: diffusers' `AutoencoderKL`; it is kept, its encoder frozen.
        trains: the decoder's spatial layers too, or temporal ones alone.

    Attributes:
        vae: the autoencoder.
        temporal: everything else: a residual block after each of the decoder's, and a last convolution over time.
    """

    vae: Any
    temporal: Any

    def __init__(self, vae: Any, trains: Literal["all", "temporal"] = "all") -> None:
        super().__init__()
        self.vae = vae.requires_grad_(False)
        if trains == "all":
            for part in (vae.decoder, vae.post_quant_conv):
                if part is not None:
                    part.requires_grad_(True)
        groups = int(vae.config["norm_num_groups"])

        def level(block: Any) -> nn.ModuleList:
            resnets = block.resnets
            return nn.ModuleList(TemporalResidualBlock(r.out_channels, groups, r.norm2.eps) for r in resnets)

        channels = vae.config["out_channels"]
        out = nn.Conv3d(channels, channels, (3, 1, 1), padding=(1, 0, 0))
        with torch.no_grad():
            out.weight.zero_()[:, :, 1, 0, 0] = torch.eye(channels)
            out.bias.zero_()  # type: ignore[union-attr]
        up = nn.ModuleList(level(block) for block in vae.decoder.up_blocks)
        self.temporal = nn.ModuleDict({"mid": level(vae.decoder.mid_block), "up": up, "out": out})

    @property
    def last_weight(self) -> nn.Parameter:
        """The weight of the last convolution, at which losses are compared."""
        weight: nn.Parameter = self.temporal["out"].weight
        return weight

    def forward(self, z: Tensor) -> Tensor:
        """Latents `[N, C, T, h, w]`, as the encoder gives them, to a video `[N, 3, T, H, W]`, about [-1, 1]."""
        frames, decoder, temporal = z.shape[2], self.vae.decoder, self.temporal
        x = rearrange(z, "n c t h w -> (n t) c h w")
        x = x if self.vae.post_quant_conv is None else self.vae.post_quant_conv(x)
        x = decoder.conv_in(x)
        middle = decoder.mid_block
        x = temporal["mid"][0](middle.resnets[0](x, None), frames)
        for attention, resnet, layer in zip(middle.attentions, middle.resnets[1:], temporal["mid"][1:], strict=True):
            x = x if attention is None else attention(x)
            x = layer(resnet(x, None), frames)
        for block, layers in zip(decoder.up_blocks, temporal["up"], strict=True):
            for resnet, layer in zip(block.resnets, layers, strict=True):
                x = layer(resnet(x, None), frames)
            for sampler in block.upsamplers or ():
                x = sampler(x)
        x = decoder.conv_out(decoder.conv_act(decoder.conv_norm_out(x)))
        video: Tensor = temporal["out"](videos_of(x, frames))
        return video


def decoded(latents: Iterator[Tensor], decode: Callable[[Tensor], Tensor]) -> Iterator[Tensor]:
    """A video in overlapping windows, each of which gives its middle frames, the first and last those before and after.

    Args:
        latents: `[N, C, t, h, w]` of any lengths, in order; may never end.
        decode: latents `[N, C, WINDOW, h, w]` to frames `[N, 3, WINDOW, H, W]`.

    Yields:
        Frames `[N, 3, t, H, W]`, as many as there are latents. What a window lacks is its last latent again.
    """
    kept, first = next(latents), 0
    while True:
        while kept.shape[2] < WINDOW and (more := next(latents, None)) is not None:
            kept = torch.cat([kept, more], dim=2)
        window = kept[:, :, :WINDOW]
        missing = WINDOW - window.shape[2]
        frames = decode(torch.cat([window, window[:, :, -1:].expand(-1, -1, missing, -1, -1)], dim=2))
        if missing:
            yield frames[:, :, first : WINDOW - missing]
            return
        yield frames[:, :, first : WINDOW - MARGIN]
        if kept.shape[2] == WINDOW:
            if (more := next(latents, None)) is None:
                yield frames[:, :, WINDOW - MARGIN :]
                return
            kept = torch.cat([kept, more], dim=2)
        kept, first = kept[:, :, HOP:], MARGIN
