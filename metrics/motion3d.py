"""The built-in backbone for motion: a small network, trained to tell motions apart, whose weights lie beside it."""

from pathlib import Path

import torch
from einops import reduce
from safetensors.torch import load_file

from .i3d_fast import hash_of
from .toy3d import prepared

WEIGHTS = Path(__file__).with_name("motion3d.safetensors")
STAGES = ((16, 2, 1), (32, 2, 2), (64, 2, 2), (64, 1, 1))  # channels, stride in space, stride in time
FEATURES = STAGES[-1][0]
MOTIONS = 21


class MotionNetwork(torch.nn.Module):
    """Four stages of convolutions 1x3x3 and 3x1x1, after "(2+1)D" (Tran et al., CVPR 2018), and a classifier.

    Args:
        normalised: whether batch normalisation follows each convolution, in place of a bias.
    """

    def __init__(self, normalised: bool = False) -> None:
        super().__init__()
        layers: list[torch.nn.Module] = []
        channels = 3
        for width, space, time in STAGES:
            for kernel, stride in (((1, 3, 3), (1, space, space)), ((3, 1, 1), (time, 1, 1))):
                t, y, x = (side // 2 for side in kernel)
                layers.append(torch.nn.Conv3d(channels, width, kernel, stride, (t, y, x), bias=not normalised))
                if normalised:
                    layers.append(torch.nn.BatchNorm3d(width))
                layers.append(torch.nn.ReLU())
                channels = width
        self.layers = torch.nn.Sequential(*layers)
        self.classifier = torch.nn.Linear(FEATURES, MOTIONS)

    def features(self, video: torch.Tensor) -> torch.Tensor:
        """Float32 `[N, 3, T, 32, 32]` in [-1, 1] to the means of the last layer's channels, `[N, 64]`."""
        means: torch.Tensor = reduce(self.layers(video), "n c t y x -> n c", "mean")
        return means

    def forward(self, video: torch.Tensor) -> torch.Tensor:
        """Float32 `[N, 3, T, 32, 32]` in [-1, 1] to logits of the motions of `train_motion3d.py`, `[N, 21]`."""
        logits: torch.Tensor = self.classifier(self.features(video))
        return logits


class Motion3D(torch.nn.Module):
    """64 standardised features of a clip that follow its motion far more than its contrast.

    The network was trained to name the motion of noise textures (`train_motion3d.py`). Its weights are kept in half
    precision, with batch normalisation as part of the convolutions, and used in single. The constants of the
    standardisation are those of a fixed corpus, that of `toy3d`, never of the clips under test.

    Args:
        preparation: taken as every backbone takes it, and ignored: this network has its own preparation.
    """

    name = "motion3d"
    version = 1
    dim = FEATURES
    min_frames = 9
    numeric_mode = "float32"
    caveat = "fails its sanity check where motion is slow; read it beside toy3d, not instead of it"

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, preparation: str = "none") -> None:
        super().__init__()
        self.network = MotionNetwork()
        self.register_buffer("mean", torch.empty(FEATURES))
        self.register_buffer("std", torch.empty(FEATURES))
        self.load_state_dict(load_file(WEIGHTS))
        self.requires_grad_(False)

    @torch.no_grad()
    def forward(self, video: torch.Tensor) -> torch.Tensor:
        """Standardised features.

        Args:
            video: `[N, 3, T, H, W]`, uint8, or float in [-1, 1]; T at least 9. Frames of another size than 32x32 are
                resized to it, aspect not kept (bilinear, antialiased).

        Returns:
            float32 `[N, 64]`.

        Raises:
            ValueError: for another shape or dtype, or too few frames.
        """
        parts = prepared(video, self.min_frames)
        return torch.cat([(self.network.features(part) - self.mean) / self.std for part in parts])

    def tensor_hash(self) -> str:
        """SHA-256 over names and float32 bytes of weights and constants, in order of name."""
        return hash_of(self.state_dict())
