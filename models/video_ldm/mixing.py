"""What all temporal layers share: the mix with the spatial layer before them (Blattmann et al., CVPR 2023, Sec. 3.1).

Frames of a batch of videos are images `[(b t), ...]`, t fastest, between layers.
"""

import torch
from einops import rearrange
from torch import Tensor, nn

MIX = 0.5
"""Of a new layer, before the sigmoid: alpha is 0.62. The paper names no value."""


class TemporalLayer(nn.Module):
    """A branch that sees all frames, mixed with what came in: `alpha * z + (1 - alpha) * branch`.

    At alpha = 1, and where the branch is what came in, the result is what came in, bit for bit.

    Args:
        alphas: 1, or one for each frame.

    Attributes:
        mix: `[alphas]`; alpha is its sigmoid.
    """

    def __init__(self, alphas: int = 1) -> None:
        super().__init__()
        self.mix = nn.Parameter(torch.full((alphas,), MIX))

    def mixed(self, z: Tensor, branch: Tensor) -> Tensor:
        """Images or tokens `[(b t), ...]` and the branch, of the same shape, mixed."""
        alpha = torch.sigmoid(self.mix.float())
        if len(alpha) > 1:
            alpha = alpha.repeat(len(z) // len(alpha))
        return torch.lerp(branch.to(z.dtype), z, alpha.to(z.dtype).view(-1, *[1] * (z.ndim - 1)))

    def mixed_maps(self, z: Tensor, branch: Tensor) -> Tensor:
        """Images `[(b t), c, h, w]` and the branch `[b, c, t, h, w]`, mixed.

        The result is laid out in memory as `z` is: other layouts take other kernels, and the last bit changes.
        """
        last = z.is_contiguous(memory_format=torch.channels_last) and not z.is_contiguous()
        layout = torch.channels_last if last else torch.contiguous_format
        return self.mixed(z, rearrange(branch, "b c t h w -> (b t) c h w").contiguous(memory_format=layout))


def videos_of(images: Tensor, frames: int) -> Tensor:
    """`[(b t), c, h, w]` as `[b, c, t, h, w]`, contiguous.

    In PyTorch 2.13 on the CPU the gradient of a group norm with trained weights ends the process if its input is laid
    out with channels last and needs no gradient, which is what frozen spatial layers hand over.
    """
    return rearrange(images, "(b t) c h w -> b c t h w", t=frames).contiguous()


def zeroed(layer: nn.Conv2d | nn.Conv3d | nn.Linear) -> None:
    """Set a layer's weights and bias to 0, so that the branch it ends begins as nothing."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
