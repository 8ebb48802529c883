"""The temporal layers of an image UNet, in a tree beside it of the same shape."""

from typing import Literal

from torch import nn

from .attention import TemporalAttention
from .backbone import Backbone
from .residual import TemporalResidualBlock

Placement = Literal["inside", "after"]


class TemporalLevel(nn.Module):
    """The temporal layers beside one block of the image UNet; either list is empty where there are none."""

    def __init__(self, resnets: list[TemporalResidualBlock], attentions: list[TemporalAttention]) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(resnets)
        self.attentions = nn.ModuleList(attentions)


def temporal_layers(
    image: Backbone, context: int | None, alphas: int, convolutions: bool, placement: Placement
) -> nn.ModuleDict:
    """Temporal layers for each block of an image UNet: `down_blocks`, `mid_block` and `up_blocks`.

    Args:
        image: a `UNet2DModel` or `UNet2DConditionModel`.
        context: channels of latents that can be given; None for no paths for them.
        alphas: 1, or one for each frame.
        convolutions: whether there are temporal residual blocks.
        placement: of temporal attention in a `UNet2DConditionModel`.
    """
    groups, eps = int(image.config["norm_num_groups"]), float(image.config["norm_eps"])
    width = image.time_embedding.linear_2.out_features

    def residual(spatial: Backbone) -> TemporalResidualBlock:
        path = None if context is None else context + 1
        return TemporalResidualBlock(spatial.out_channels, groups, eps, width, path, alphas)

    def attention(spatial: Backbone) -> TemporalAttention:
        if not hasattr(spatial, "transformer_blocks"):
            return TemporalAttention(spatial.query_dim, spatial.heads, norm=(groups, eps), alphas=alphas)
        first = spatial.transformer_blocks[0]
        channels, heads, text = first.attn1.to_q.out_features, first.attn1.heads, first.attn2.to_k.in_features
        if placement == "inside":
            return TemporalAttention(channels, heads, len(spatial.transformer_blocks), text, alphas=alphas)
        return TemporalAttention(spatial.in_channels, heads, text=text, norm=(groups, eps), alphas=alphas)

    def level(block: Backbone) -> TemporalLevel:
        resnets = [residual(spatial) for spatial in block.resnets] if convolutions else []
        return TemporalLevel(resnets, [attention(spatial) for spatial in attentions_of(block)])

    return nn.ModuleDict(
        {
            "down_blocks": nn.ModuleList(level(block) for block in image.down_blocks),
            "mid_block": level(image.mid_block),
            "up_blocks": nn.ModuleList(level(block) for block in image.up_blocks),
        }
    )


def attentions_of(block: Backbone) -> list[Backbone]:
    """The spatial attentions of a block of the image UNet; none where it has none."""
    return [attention for attention in getattr(block, "attentions", ()) if attention is not None]
