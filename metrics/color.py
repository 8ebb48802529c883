"""Colour similarity over time: how long a video keeps the colours of its first frame (Brooks et al., 2022, Sec. 4)."""

from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import torch
from einops import rearrange
from scipy.stats import wasserstein_distance

Video = torch.Tensor | npt.NDArray[Any]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

MARKS = (16, 64, 128)
"""Frame separations t at which the distribution of S(x, t) over clips is kept."""

PIXELS_AT_ONCE = 2**16


class Curve(NamedTuple):
    """Colour similarity over clips: frame separations t = 0..T-1, mean and standard deviation (n-1; 0 for one clip)."""

    t: Ints
    mean: Floats
    std: Floats


def color_bins(video: npt.NDArray[Any], bins: int = 20) -> npt.NDArray[np.uint16]:
    """Joint colour bin (kR bins + kG) bins + kB of every pixel; kC = floor((x/2 + 1/2) (bins - 1) + 1/2) in float32.

    The bins are centred on equally spaced levels, the two end bins half as wide. Bytes v stand for x = 2v/255 - 1 and
    need no rounding: kC = floor((2 (bins - 1) v + 255) / 510) exactly.

    Args:
        video: `[3, ...]`, uint8, or float32 in [-1, 1]; values beyond fall into the end bins.
        bins: bins a channel, 2 to 40.

    Returns:
        `[...]`, 0 to bins^3 - 1.

    Raises:
        ValueError: for other bins or dtypes, and for NaN.
    """
    if not 2 <= bins <= 40:
        raise ValueError(f"There must be 2 to 40 bins a channel; found {bins}.")
    if video.dtype == np.uint8:
        k = video.astype(np.uint16)
        k *= bins - 1
        k += 128
        k += k >> 8  # (y + (y >> 8)) >> 8 is floor((y - 1) / 255) for 0 < y < 65280
        k >>= 8
    elif video.dtype == np.float32:
        level = np.floor((video / 2 + 0.5) * (bins - 1) + 0.5)
        if np.isnan(level).any():
            raise ValueError("The video has pixels that are not a number.")
        k = level.clip(0, bins - 1).astype(np.uint16)
    else:
        raise ValueError(f"The video has dtype {video.dtype}; uint8 or float32 is needed.")
    index: npt.NDArray[np.uint16] = k[0]
    for channel in k[1:]:
        index *= bins
        index += channel
    return index


def shared_pixels(video: Video, bins: int = 20) -> Ints:
    """S(x, t) times the number of pixels, an integer: sum over colour bins i of min(h_0[i], h_t[i]) of pixel counts h.

    Args:
        video: `[N, 3, T, H, W]`, uint8, or float in [-1, 1] (taken as float32).
        bins: bins a channel.

    Returns:
        `[N, T]`, for t = 0..T-1; the first is the number of pixels of a frame.

    Raises:
        ValueError: for another shape or dtype, or fewer than two frames.
    """
    clips = torch.as_tensor(video).detach()
    if clips.ndim != 5 or clips.shape[1] != 3 or clips.shape[2] < 2:
        raise ValueError(f"The video has shape {list(clips.shape)}; [N, 3, T, H, W] with at least 2 frames is needed.")
    clips = rearrange(clips.float() if clips.is_floating_point() else clips, "n c t h w -> n c t (h w)")
    rows = [_shared_pixels(clip.cpu().numpy(), bins) for clip in clips]
    return np.stack(rows) if rows else np.zeros((0, clips.shape[2]), np.int64)


def _shared_pixels(clip: npt.NDArray[Any], bins: int) -> Ints:
    """The same for one clip `[3, T, pixels]`: one count for as many frames as fit into the cache."""
    _, num_frames, pixels = clip.shape
    colors = bins**3
    step = max(1, PIXELS_AT_ONCE // pixels)
    first = np.bincount(color_bins(clip[:, 0], bins), minlength=colors)
    occupied = np.flatnonzero(first)
    shared = [np.array([pixels])]
    for start in range(1, num_frames, step):
        index = color_bins(clip[:, start : start + step], bins)
        if len(index) == 1 and colors <= 2**15:  # torch counts 16-bit numbers as they are; numpy widens them first
            counts = torch.bincount(torch.from_numpy(index[0].view(np.int16)), minlength=colors).numpy()[None, occupied]
        else:
            index = index.astype(np.intp)
            index += colors * np.arange(len(index))[:, None]
            counts = np.bincount(index.ravel(), minlength=colors * len(index)).reshape(-1, colors)[:, occupied]
        shared.append(np.minimum(counts, first[occupied]).sum(axis=1))
    return np.concatenate(shared)


def color_similarity(video: Video, bins: int = 20) -> Floats:
    """S(x, t) of every clip, in [0, 1]: `[N, T-1]` for t = 1..T-1; arguments and errors as in `shared_pixels`."""
    shared = shared_pixels(video, bins)
    return shared[:, 1:] / shared[:, :1]


class ColorSimilarity:
    """S(x, t) over the clips of one side, as exact integer sums: no order, batch size or grouping changes a digit.

    For every t the sums over clips of the shared pixels and of their squares are kept, and at `MARKS` how many clips
    share how many pixels: at most one number a clip, and no more than a frame has pixels.

    Args:
        num_frames: T, frames a clip.
    """

    def __init__(self, num_frames: int = 129) -> None:
        self.num_frames = num_frames
        self.marks = [t for t in MARKS if t < num_frames]
        self.count, self.pixels = 0, 0
        self.sums: Ints = np.zeros(num_frames, np.int64)
        self.squares: Ints = np.zeros(num_frames, np.int64)
        self.marked: list[Ints] = [np.zeros((2, 0), np.int64) for _ in self.marks]

    def update(self, shared: torch.Tensor | Ints) -> None:
        """Add clips.

        Args:
            shared: `[N, T]`, integers: what `shared_pixels` gives.

        Raises:
            ValueError: for another number of frames, or frames of another number of pixels than before.
            OverflowError: if the clips are too many to be summed exactly (8 million of 1024x1024 pixels).
        """
        shared = np.asarray(shared)
        if shared.ndim != 2 or shared.shape[1] != self.num_frames:
            raise ValueError(f"Shared pixels have shape {list(shared.shape)}; [N, {self.num_frames}] is needed.")
        for pixels in np.unique(shared[:, 0]):
            part = shared[shared[:, 0] == pixels]
            self._require_pixels(int(pixels), len(part))
            marked = [np.stack(np.unique(part[:, t], return_counts=True)) for t in self.marks]
            self._add(len(part), part.sum(axis=0), (part**2).sum(axis=0), marked)

    def merge(self, other: "ColorSimilarity") -> "ColorSimilarity":
        """The statistics of both sets of clips together, as a new object.

        Raises:
            ValueError: if numbers of frames or of pixels differ.
            OverflowError: as in `update`.
        """
        if self.num_frames != other.num_frames:
            raise ValueError(f"Statistics of {self.num_frames} and of {other.num_frames} frames cannot be merged.")
        total = ColorSimilarity(self.num_frames)
        for part in (self, other):
            if part.count:
                total._require_pixels(part.pixels, part.count)
                total._add(part.count, part.sums, part.squares, part.marked)
        return total

    def _require_pixels(self, pixels: int, new_clips: int) -> None:
        if not self.count:
            self.pixels = pixels
        if pixels != self.pixels:
            raise ValueError(f"Clips of {pixels} pixels a frame cannot be added to clips of {self.pixels}.")
        if (self.count + new_clips) * pixels**2 >= 2**63:
            raise OverflowError(f"{self.count + new_clips} clips of {pixels} pixels are too many for exact sums.")

    def _add(self, count: int, sums: Ints, squares: Ints, marked: list[Ints]) -> None:
        self.count += count
        self.sums = self.sums + sums
        self.squares = self.squares + squares
        for index, (mine, new) in enumerate(zip(self.marked, marked, strict=True)):
            values, places = np.unique(np.concatenate([mine[0], new[0]]), return_inverse=True)
            clips = np.zeros_like(values)
            np.add.at(clips, places, np.concatenate([mine[1], new[1]]))
            self.marked[index] = np.stack([values, clips])

    def compute(self) -> Curve:
        """Mean and standard deviation of S(x, t) over the clips, `[T]` each; S(x, 0) = 1 stands in front.

        Raises:
            ValueError: if there is no clip.
        """
        n = self.count
        if not n:
            raise ValueError("A colour similarity needs at least 1 clip; there are 0.")
        sums, squares = self.sums.tolist(), self.squares.tolist()
        mean = [s / (n * self.pixels) for s in sums]
        # Python integers: n times a sum of squares may pass 2^63.
        spread = [n * q - s * s for s, q in zip(sums, squares, strict=True)]
        std = np.sqrt([v / max(n * (n - 1), 1) for v in spread]) / self.pixels
        return Curve(np.arange(self.num_frames), np.array(mean), np.array(std))

    def distribution(self, t: int) -> tuple[Floats, Ints]:
        """The values that S(x, t) takes over the clips, and how many clips take each; t is one of `marks`."""
        values, clips = self.marked[self.marks.index(t)]
        return values / self.pixels, clips

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Everything as integer tensors, for safetensors."""
        return {
            "count": torch.tensor(self.count),
            "pixels": torch.tensor(self.pixels),
            "sums": torch.from_numpy(self.sums.copy()),
            "squares": torch.from_numpy(self.squares.copy()),
            **{f"marked_{t}": torch.from_numpy(part.copy()) for t, part in zip(self.marks, self.marked, strict=True)},
        }

    @classmethod
    def from_state_dict(cls, state: dict[str, torch.Tensor]) -> Self:
        """The object whose `state_dict` this is."""
        similarity = cls(len(state["sums"]))
        similarity.count, similarity.pixels = int(state["count"]), int(state["pixels"])
        similarity.sums, similarity.squares = state["sums"].numpy().copy(), state["squares"].numpy().copy()
        similarity.marked = [state[f"marked_{t}"].numpy().copy() for t in similarity.marks]
        return similarity


class ColorDrift:
    """Mean absolute gap between the colour similarity curves of two sets of clips, over t = 1..T-1.

    Args:
        num_frames: T, frames a clip.
    """

    version = 1
    needs_backbone = False
    better = "lower"
    value_of = "gap"

    def __init__(self, num_frames: int) -> None:
        self.num_frames = num_frames

    def features(self, videos: torch.Tensor) -> torch.Tensor:
        """What the statistics take of videos `[N, 3, T, H, W]`: `shared_pixels`, int64 `[N, T]`."""
        return torch.from_numpy(shared_pixels(videos))

    def statistics(self) -> ColorSimilarity:
        """Empty statistics of one side, to be updated with `features`."""
        return ColorSimilarity(self.num_frames)

    def compare(self, fake: ColorSimilarity, real: ColorSimilarity) -> dict[str, Any]:
        """The gap as `value`, both curves, and as `terms` the signed area and what the mean over clips may hide.

        `signed` is the pace of change in one number: the mean over t = 1..T-1 of the generated minus the real curve, in
        [-1, 1]. Above 0 colours change more slowly than in the data, below 0 more quickly (the two failures of Brooks
        et al., 2022, Fig. 5).

        `w1@t` is the Wasserstein-1 distance between the distributions of S(x, t) over clips, at `MARKS` below T.

        Raises:
            ValueError: if a side has no clip.
        """
        curve, real_curve = fake.compute(), real.compute()
        gap = (curve.mean - real_curve.mean)[1:]
        terms = {"signed": float(gap.mean())}
        for t in fake.marks:
            (values, clips), (real_values, real_clips) = fake.distribution(t), real.distribution(t)
            terms[f"w1@{t}"] = float(wasserstein_distance(values, real_values, clips, real_clips))
        return {
            "value": float(np.abs(gap).mean()),
            "curve": {name: part.tolist() for name, part in curve._asdict().items()},
            "real_curve": {name: part.tolist() for name, part in real_curve._asdict().items()},
            "terms": terms,
        }
