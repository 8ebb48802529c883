"""Half precision at high resolutions, and limits that keep its numbers in range, as in StyleGAN2-ADA."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Precision:
    """Which blocks of a network are computed in half precision."""

    num_fp16_res: int = 0
    """How many of the highest resolutions."""
    conv_clamp: float | None = None
    """Limit of the magnitude of what layers put out, in whatever precision; 256 in the authors' networks."""
    half: torch.dtype = torch.float16
    """Or bfloat16."""

    def of(self, resolution: int, highest: int) -> torch.dtype | None:
        """That of the block of this resolution in a network up to `highest`; None for that of the weights."""
        lowest = max(2 * highest // 2**self.num_fp16_res, 8)
        return self.half if resolution >= lowest else None


FULL = Precision()
"""No half precision, no limits."""
