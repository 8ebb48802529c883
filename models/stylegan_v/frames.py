"""Which frames of a video the discriminator sees (StyleGAN-V, Skorokhodov et al., CVPR 2022, Sec. 3.2 and 3.3)."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor


@dataclass(frozen=True)
class FrameSampling:
    """A few frames a video: the first and the last a power of two apart, the others anywhere between them.

    The discriminator learns of times only by their differences, which are distributed alike for real and generated
    videos of one length.

    Raises:
        ValueError: if no distance has room for so many frames.
    """

    num_frames: int = 3
    """Frames a video, k, at least 2."""
    max_distance: int = 32
    """The largest distance between the first and the last frame."""
    max_num_frames: int = 1024
    """The longest video: of a longer one a window is taken."""

    def __post_init__(self) -> None:
        if self.num_frames < 2 or self.shortest - 1 > min(self.max_distance, self.max_num_frames - 1):
            raise ValueError(
                f"{self.num_frames} frames (at least 2) do not fit into a distance that is a power of two of at most "
                f"{self.max_distance} frames, in videos of {self.max_num_frames}."
            )

    @property
    def shortest(self) -> int:
        """Frames of the shortest video that will do: the smallest power of two that is at least k - 1, and one."""
        return int(2 ** (self.num_frames - 2).bit_length()) + 1

    def distances(self, length: int) -> list[int]:
        """All distances, equally likely, from the first to the last frame in a video of so many frames.

        Raises:
            ValueError: if the video is too short for any.
        """
        if length < self.shortest:
            raise ValueError(
                f"A video of {length} frames is too short: a sample of {self.num_frames} frames needs "
                f"{self.shortest}. Leave out the shorter videos."
            )
        longest = min(length - 1, self.max_distance, self.max_num_frames - 1)
        return [2**i for i in range(longest.bit_length()) if 2**i >= self.shortest - 1]

    def real(self, length: int, generator: Generator) -> tuple[int, Tensor]:
        """Frames of a real video.

        Args:
            length: how many frames the video has.
            generator: where the draws come from.

        Returns:
            The first frame of the window, and times after it: int64 `[k]`, rising. Frames to read are their sums.

        Raises:
            ValueError: if the video is too short.
        """
        window = min(length, self.max_num_frames)
        times = self._steps(length, generator)
        start = _below(length - window + 1, generator)
        return start, times + _below(window - int(times[-1]), generator)

    def fake(self, length: int, generator: Generator) -> Tensor:
        """Times of a generated video, in place of a real one: any real offset, and whole steps from there.

        Args:
            length: how many frames the real video has.
            generator: where the draws come from.

        Returns:
            Float64 `[k]`, rising, from 0 to at most `min(length, max_num_frames) - 1`.

        Raises:
            ValueError: if the real video is too short.
        """
        window = min(length, self.max_num_frames)
        times = self._steps(length, generator)
        return times + torch.rand((), generator=generator, dtype=torch.float64) * (window - 1 - times[-1])

    def _steps(self, length: int, generator: Generator) -> Tensor:
        """Times after the first frame: `[k]`, from 0 to the distance."""
        distances = self.distances(length)
        distance = distances[_below(len(distances), generator)]
        between = torch.randperm(distance - 1, generator=generator)[: self.num_frames - 2] + 1
        return torch.cat([torch.tensor([0]), between.sort().values, torch.tensor([distance])])


def _below(n: int, generator: Generator) -> int:
    return int(torch.randint(n, (), generator=generator))
