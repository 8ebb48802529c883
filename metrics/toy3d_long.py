"""The built-in backbone for long clips: the features of `toy3d` at three speeds."""

import torch

from .toy3d import Toy3D

STRIDES = (1, 4, 16)


class Toy3DLong(Toy3D):
    """261 features of a clip: those of `toy3d` of all frames, then of every 4th, then of every 16th, from frame 0.

    The constants at every stride are those of `toy3d`, fitted at stride 1: a Fréchet distance needs a fixed scale for
    its features, not a unit one. So the tensors and their hash are those of `toy3d`, and the first 87 features too.

    128 frames at stride 16 are 8 frames: two positions of the filters, the fewest that have a deviation over time.
    """

    name = "toy3d-long"
    dim = Toy3D.dim * len(STRIDES)
    min_frames = 128
    caveat = "fails its sanity check: many swapped frames cost no more than some, and few clips hide slow faults"

    def standardised(self, video: torch.Tensor) -> torch.Tensor:
        """Standardised features of float32 `[N, 3, T, 32, 32]` in [-1, 1]; T at least 128: `[N, 261]`."""
        return torch.cat([super(Toy3DLong, self).standardised(video[:, :, ::stride]) for stride in STRIDES], dim=1)
