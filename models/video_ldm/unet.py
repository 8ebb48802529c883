"""The image UNet with temporal layers between its own: Video LDM's denoiser (Blattmann et al., CVPR 2023, Fig. 4).

The image UNet is diffusers', untouched: `VideoUNet` walks its blocks and calls a temporal residual block after each of
its residual blocks, a temporal attention after, or inside, each of its attentions. So spatial tensors keep their names
(`image.*`), temporal ones stand apart (`temporal.*`), and a copy of the whole is a copy.
"""

from dataclasses import dataclass
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from .backbone import Backbone, require_supported
from .residual import Context
from .tree import Placement, TemporalLevel, temporal_layers


@dataclass(frozen=True)
class Conditions:
    """What the layers of one call are told."""

    frames: int
    temb: Tensor
    """Of the spatial layers, `[(b t), width]`."""
    temporal_temb: Tensor
    """Of the temporal ones, `[(b t), width]`."""
    text: Tensor | None
    """Of the spatial layers, `[(b t), l, width]`."""
    temporal_text: Tensor | None
    """Of the temporal ones, `[b, l, width]`."""
    context: Context | None
    image_mode: bool


class VideoUNet(nn.Module):
    """Denoises all frames of a video together.

    A new one is the image UNet frame by frame, bit for bit, and so is any one in image mode.

    Args:
        image: a `UNet2DModel` or `UNet2DConditionModel`; it is kept, and frozen where `frozen` says so.
        context: channels of latents that can be given beside those to be denoised; None for no such paths.
        regimes: how many frame rates it is told apart; 0 for one.
        alphas: 1, or one for each frame, whose number is then fixed.
        convolutions: False for temporal attention alone, which the paper compares; it takes no context.
        placement: of temporal attention in a `UNet2DConditionModel`.
        frozen: whether the image UNet stays as it is.

    Attributes:
        image: the image UNet.
        temporal: everything else.

    Raises:
        ValueError: the image UNet is not supported.
    """

    image: Backbone
    temporal: Any

    def __init__(
        self,
        image: Backbone,
        *,
        context: int | None = None,
        regimes: int = 0,
        alphas: int = 1,
        convolutions: bool = True,
        placement: Placement = "inside",
        frozen: bool = True,
    ) -> None:
        super().__init__()
        require_supported({**image.config, "_class_name": type(image).__name__})
        self.image = image.requires_grad_(not frozen)
        self.frozen, self.placement, self.alphas = frozen, placement, alphas
        self.takes_text = type(image).__name__ == "UNet2DConditionModel"
        self.takes_context = context is not None and convolutions
        self.temporal = temporal_layers(image, context if convolutions else None, alphas, convolutions, placement)
        if regimes:
            self.temporal["regime"] = nn.Embedding(regimes, image.time_embedding.linear_2.out_features)
            nn.init.zeros_(self.temporal["regime"].weight)

    def train(self, mode: bool = True) -> "VideoUNet":
        """Training mode, in which a frozen image UNet takes no part."""
        super().train(mode)
        self.image.train(mode and not self.frozen)
        return self

    def forward(
        self,
        z: Tensor,
        tau: Tensor,
        *,
        context: Tensor | None = None,
        text: Tensor | None = None,
        temporal_text: Tensor | None = None,
        labels: Tensor | None = None,
        regime: Tensor | None = None,
        image_mode: bool = False,
    ) -> Tensor:
        """Noise or velocity, as the image UNet predicts it.

        Args:
            z: noisy latents, `[B, C, T, H, W]`, and what is concatenated to them.
            tau: diffusion time of each video, `[B]`, in 0..999.
            context: given latents and their mask, `[B, C + 1, T, H, W]`; a video whose mask is 0 everywhere is denoised
                as without.
            text: tokens `[B, l, width]`, where the image UNet takes text.
            temporal_text: other tokens for the temporal layers.
            labels: of the image UNet's class embedding, `[B]` or `[B, width]`.
            regime: frame rate of each video, `[B]`, in 0..regimes - 1; changes temporal layers only.
            image_mode: leave out all temporal layers.

        Returns:
            `[B, C', T, H, W]`.

        Raises:
            ValueError: there is no way for what is given, or the number of frames is another than that of the alphas.
        """
        frames = z.shape[2]
        if (text is not None) != self.takes_text:
            wrong = "takes text, and none was given" if self.takes_text else "takes no text, and some was given"
            raise ValueError(f"this image UNet {wrong}")
        if not image_mode:
            self._require(frames, context, regime)
        x = rearrange(z, "b c t h w -> (b t) c h w")
        temb = self._embedded(x, per_frame(tau, frames), None if labels is None else per_frame(labels, frames))
        conditions = Conditions(
            frames=frames,
            temb=temb,
            temporal_temb=temb if regime is None else temb + per_frame(self.temporal["regime"](regime), frames),
            text=None if text is None else per_frame(text, frames),
            temporal_text=text if temporal_text is None else temporal_text,
            context=None if context is None else context_of(context),
            image_mode=image_mode,
        )
        x = self._walk(x, conditions)
        return rearrange(x, "(b t) c h w -> b c t h w", t=frames)

    def _require(self, frames: int, context: Tensor | None, regime: Tensor | None) -> None:
        if context is not None and not self.takes_context:
            raise ValueError("context frames were given to a video UNet that has no paths for them")
        if regime is not None and "regime" not in self.temporal:
            raise ValueError("a frame rate was given to a video UNet that knows only one")
        if self.alphas not in (1, frames):
            raise ValueError(f"this video UNet has an alpha for each of {self.alphas} frames; {frames} were given")

    def _embedded(self, x: Tensor, tau: Tensor, labels: Tensor | None) -> Tensor:
        """Embedding of diffusion time and labels, `[(b t), width]`, as the image UNet's own `forward` has it."""
        image = self.image
        if self.takes_text:
            temb: Tensor = image.time_embedding(image.get_time_embed(sample=x, timestep=tau))
            labelled = image.get_class_embed(sample=x, class_labels=labels)
            temb = temb if labelled is None else temb + labelled
            return temb if image.time_embed_act is None else image.time_embed_act(temb)
        temb = image.time_embedding(image.time_proj(tau).to(image.dtype))
        if image.class_embedding is not None:
            if labels is None:
                raise ValueError("this image UNet takes labels, and none were given")
            timed = image.config["class_embed_type"] == "timestep"
            temb = temb + image.class_embedding(image.time_proj(labels) if timed else labels).to(image.dtype)
        return temb

    def _walk(self, x: Tensor, conditions: Conditions) -> Tensor:
        """The image UNet's layers in their order, each followed by its temporal one; `[(b t), c, h, w]`."""
        image, temporal = self.image, self.temporal
        x = image.conv_in(x)
        skips = [x]
        for block, level in zip(image.down_blocks, temporal["down_blocks"], strict=True):
            for j in range(len(block.resnets)):
                x = self._attention(block, level, j, self._residual(block, level, j, x, conditions), conditions)
                skips.append(x)
            for sampler in block.downsamplers or ():
                x = sampler(x, conditions.temb) if hasattr(sampler, "time_emb_proj") else sampler(x)
                skips.append(x)
        block, level = image.mid_block, temporal["mid_block"]
        x = self._residual(block, level, 0, x, conditions)
        for j in range(1, len(block.resnets)):
            x = self._attention(block, level, j - 1, x, conditions)
            x = self._residual(block, level, j, x, conditions)
        for block, level in zip(image.up_blocks, temporal["up_blocks"], strict=True):
            for j in range(len(block.resnets)):
                x = torch.cat([x, skips.pop()], dim=1)
                x = self._attention(block, level, j, self._residual(block, level, j, x, conditions), conditions)
            for sampler in block.upsamplers or ():
                resnet = hasattr(sampler, "time_emb_proj")
                x = sampler(x, conditions.temb) if resnet else sampler(x, tuple(skips[-1].shape[2:]))
        out: Tensor = image.conv_out(image.conv_act(image.conv_norm_out(x)))
        return out

    def _residual(self, block: Backbone, level: TemporalLevel, j: int, x: Tensor, conditions: Conditions) -> Tensor:
        x = block.resnets[j](x, conditions.temb)
        if conditions.image_mode or not len(level.resnets):
            return x
        mixed: Tensor = level.resnets[j](x, conditions.frames, conditions.temporal_temb, conditions.context)
        return mixed

    def _attention(self, block: Backbone, level: TemporalLevel, j: int, x: Tensor, conditions: Conditions) -> Tensor:
        if not len(level.attentions):
            return x
        spatial: Backbone = block.attentions[j]
        temporal: Any = level.attentions[j]
        frames, text = conditions.frames, conditions.temporal_text
        if hasattr(spatial, "transformer_blocks"):
            if self.placement == "inside" and not conditions.image_mode:
                inside: Tensor = temporal.inside(spatial, x, frames, conditions.text, text)
                return inside
            x = spatial(x, encoder_hidden_states=conditions.text, return_dict=False)[0]
        else:
            x = spatial(x, temb=conditions.temb)
        if conditions.image_mode:
            return x
        mixed: Tensor = temporal(x, frames, text)
        return mixed


def context_of(context: Tensor) -> Context:
    """Given latents and their mask, `[B, C + 1, T, H, W]`, as the temporal layers see them."""
    given = context[:, -1].amax(dim=(1, 2, 3)) > 0
    return Context(rearrange(context, "b c t h w -> (b t) c h w").contiguous(), given)


def per_frame(values: Tensor, frames: int) -> Tensor:
    """`[b, ...]` of videos as `[(b t), ...]` of all their frames."""
    return values.repeat_interleave(frames, dim=0)
