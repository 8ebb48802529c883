"""Clips: what a protocol draws from stored videos or from a generator, and the loader that reads them in parallel."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from heapq import nsmallest
from itertools import count, islice
from typing import Any, Protocol

import numpy as np
import torch

from .draws import draw, draw_seed
from .errors import BadVideoError, UserError
from .generator import Generator, OnReal
from .protocol import ClipProtocol
from .sources import Source, Video
from .sources.names import origin
from .sources.resize import Fit, crop_and_resize, shorter_side

GROUPS = 20  # of the delete-a-group jackknife


class Clips(Protocol):
    """One side of a score: clips in a protocol's size, by index."""

    name: str
    protocol: ClipProtocol

    def __len__(self) -> int:
        """How many clips."""
        ...

    def __getitem__(self, index: int) -> "np.ndarray | BadVideoError":
        """Clip uint8 `[3, T, H, W]`, or why its video cannot be read."""
        ...

    def group(self, index: int) -> int:
        """The jackknife group (0 to 19) of a clip: clips of one video, or cut from one, are in one group."""
        ...

    def describe(self, indices: range) -> list[Any]:
        """What identifies some clips within their source."""
        ...

    def without(self, bad: dict[str, str]) -> "Clips":
        """The same draw over the videos that are left when further unreadable ones are taken out."""
        ...


@dataclass(frozen=True)
class Drawn:
    """One drawn clip: which video, and the frame at which it starts."""

    video: Video
    start: int


class StoredClips:
    """Clips drawn from a source.

    A clip's start depends on (seed, the video's key, visit) alone and a pass over the videos is ordered by a hash of
    (seed, the video's key, pass), so neither container, order of listing, workers nor other videos move them.

    Args:
        source: stored videos, all of them indexed.
        protocol: a protocol with its size filled in.
        cycle: visit videos again until there are enough clips (the real side); otherwise one clip a video.
        bad: why each unreadable video is left out.
        name: what messages call it; default the source's name.

    Raises:
        UserError: too few or too short videos, with the numbers that would be needed.
    """

    def __init__(
        self,
        source: Source,
        protocol: ClipProtocol,
        *,
        cycle: bool,
        bad: dict[str, str] | None = None,
        name: str | None = None,
    ) -> None:
        assert protocol.size is not None
        self.name, self.protocol, self.bad = name or source.name, protocol, bad or {}
        self.source = source.resized(protocol.size, fit_of(protocol))
        self.cycle = cycle
        readable = [video for video in source.videos if video.name not in self.bad]
        self.videos = [video for video in readable if source.info(video).length >= protocol.needed]
        self.short = [video for video in readable if source.info(video).length < protocol.needed]
        if protocol.crop == "none":
            self._require_size(source, protocol.size)
        self.drawn = list(islice(self._visits(), protocol.clips))
        if len(self.drawn) < (2 if cycle else protocol.clips):
            raise self._too_few()
        origins = [origin_of(clip.video) for clip in self.drawn]
        self.groups, self.origins = groups_of(origins), len(set(origins))

    def _visits(self) -> Iterator[Drawn]:
        """Clips in order, without end where videos are visited again."""
        protocol = self.protocol
        if self.cycle and protocol.clips_per_video == "all":
            windows = [(video, t) for video in self.videos for t in range(self._starts(video))]
            yield from (Drawn(*window) for window in nsmallest(protocol.clips, windows, key=self._window_rank))
            return
        for visit in count() if self.cycle and protocol.clips_per_video == "cycle" and self.videos else (0,):
            for video in sorted(self.videos, key=lambda video: self._rank(video, visit)):
                yield Drawn(video, self._start(video, visit))

    def _rank(self, video: Video, visit: int) -> Any:
        """What a pass is sorted by."""
        if self.protocol.order == "sorted":
            return video.key
        return draw_seed(self.protocol.seed, f"order/{video.key}", visit)

    def _window_rank(self, window: tuple[Video, int]) -> int:
        video, start = window
        return draw_seed(self.protocol.seed, f"window/{video.key}", start)

    def _starts(self, video: Video) -> int:
        """At how many frames of a video a clip can start."""
        return self.source.info(video).length - self.protocol.span + 1

    def _start(self, video: Video, visit: int) -> int:
        if self.protocol.start == "zero":
            return 0
        chance = draw(self.protocol.seed, f"start/{video.key}", visit)
        return int(torch.randint(self._starts(video), (), generator=chance))

    def _require_size(self, source: Source, size: tuple[int, int]) -> None:
        for video in self.videos:
            if source.info(video).size != size:
                (height, width), name = source.info(video).size, self.protocol.name
                raise UserError(
                    f"{name} resizes nothing, so all videos must have {size[0]}x{size[1]} pixels; {video.name} in"
                    f" {self.name} has {height}x{width}. Bring the videos to one size first (vidbench data convert)."
                )

    def _too_few(self) -> UserError:
        protocol, have = self.protocol, len(self.videos)
        asked = f"{protocol.name} needs {'two clips from' if self.cycle else protocol.clips}"
        problems = []
        if self.short:
            shortest = self.short[0]
            length = self.source.info(shortest).length
            problems.append(
                f"{len(self.short)} of {len(self.source.videos)} videos in {self.name} have fewer than"
                f" {protocol.needed} frames and do not count ({shortest.name}: {length})"
            )
        if self.bad:
            problems.append(
                f"{len(self.bad)} of its videos cannot be read"
                if problems
                else f"{len(self.bad)} of {len(self.source.videos)} videos in {self.name} cannot be read"
            )
        found = "; ".join(problems) or f"{self.name} has {len(self.source.videos)} videos"
        mend = f"or score what is there with --clips {have} (its interval will be wide, and its bias large)"
        return UserError(
            f"{found}; {have} can be used, and {asked} videos of {protocol.needed} frames. Add longer or more videos"
            f"{', ' + mend if have >= 2 and not self.cycle else ''}."
        )

    def __len__(self) -> int:
        return len(self.drawn)

    def __getitem__(self, index: int) -> np.ndarray | BadVideoError:
        """Clip uint8 `[3, T, H, W]`, or why it cannot be read."""
        clip, protocol = self.drawn[index], self.protocol
        try:
            return self.source.read(clip.video, clip.start, clip.start + protocol.span, protocol.stride)
        except BadVideoError as error:
            return error

    def group(self, index: int) -> int:
        """The jackknife group of a clip."""
        return self.groups[index]

    def describe(self, indices: range) -> list[Any]:
        """Key and start of some clips."""
        return [[self.drawn[index].video.key, self.drawn[index].start] for index in indices]

    def without(self, bad: dict[str, str]) -> "StoredClips":
        """The same draw over the videos that are left when further unreadable ones are taken out."""
        return StoredClips(self.source, self.protocol, cycle=self.cycle, bad={**self.bad, **bad}, name=self.name)

    @property
    def repeats(self) -> int:
        """How many clips are exact repeats of another (same video, same start)."""
        return len(self.drawn) - len({(clip.video.name, clip.start) for clip in self.drawn})


def groups_of(origins: Sequence[tuple[str, str]]) -> list[int]:
    """The jackknife groups (0 to 19) of clips, dealt out by the rank of what each was cut from."""
    ranks = {source: rank for rank, source in enumerate(sorted(set(origins)))}
    return [ranks[source] % GROUPS for source in origins]


def origin_of(video: Video) -> tuple[str, str]:
    """What a video was cut from; two videos of one key and different names are two."""
    source = origin(video.key)
    return source, video.name if source == video.key else ""


class GeneratedClips:
    """Clips that a generator makes: clip `i` has the seed drawn from (seed, i), and starts at frame 0."""

    def __init__(self, name: str, generator: Generator, protocol: ClipProtocol) -> None:
        if protocol.crop == "none" and protocol.size not in (None, generator.size):
            raise UserError(
                f"{protocol.name} resizes nothing, and {name} makes {generator.size} pixels (height, width) where"
                f" {protocol.size} are asked for."
            )
        self.phases = getattr(generator, "phases", 1) if protocol.generated_start == "random-phase" else 1
        needed = protocol.span + self.phases - 1
        if generator.max_frames is not None and generator.max_frames < needed:
            raise UserError(
                f"{name} makes videos of at most {generator.max_frames} frames; {protocol.name} needs {needed}."
            )
        self.name, self.generator, self.protocol = name, generator, protocol

    def __len__(self) -> int:
        return self.protocol.clips

    def __getitem__(self, index: int) -> np.ndarray | BadVideoError:
        """Clip uint8 `[3, T, H, W]`, or why a real video that it is made from cannot be read; made chunk by chunk."""
        if self.phases > 1:
            clip: np.ndarray = self.sample([index])[0]
            return clip
        kept, first = list[np.ndarray](), 0
        protocol = self.protocol
        try:
            for chunk in self.generator.stream(self._seed(index)):
                wanted = chunk[None, :, -first % protocol.stride : max(protocol.span - first, 0) : protocol.stride]
                kept.append(self._fitted(wanted)[0])
                first += chunk.shape[1]
                if first >= protocol.span:
                    break
        except BadVideoError as error:
            return error
        if first < protocol.span:
            raise UserError(f"{self.name} ended after {first} frames; {protocol.name} needs {protocol.span}.")
        return np.concatenate(kept, axis=1)

    def sample(self, indices: Sequence[int]) -> np.ndarray:
        """Several clips at once `[N, 3, T, H, W]`: uint8, or float32 where the protocol does not quantise."""
        seeds, span = [self._seed(index) for index in indices], self.protocol.span
        videos = self.generator.sample(seeds, span + self.phases - 1)
        expected = (len(seeds), 3, span + self.phases - 1, *self.generator.size)
        if tuple(videos.shape) != expected or not videos.is_floating_point():
            raise UserError(
                f"{self.name} gave samples {videos.dtype} of shape {tuple(videos.shape)}; floating-point numbers in"
                f" [-1, 1] of shape {expected} were asked for."
            )
        if self.phases > 1:
            starts = [int(torch.randint(self.phases, (), generator=draw(seed, "phase"))) for seed in seeds]
            videos = torch.stack([video[:, t : t + span] for video, t in zip(videos, starts, strict=True)])
        return self._fitted(videos[:, :, :: self.protocol.stride])

    def _fitted(self, videos: torch.Tensor) -> np.ndarray:
        """Videos quantised, and brought to the protocol's size."""
        if not torch.isfinite(videos).all():
            raise UserError(f"{self.name} gave samples with values that are not finite (NaN or infinity).")
        clips = QUANTISE[self.protocol.quantise](videos)
        if self.protocol.size in (None, clips.shape[3:]):
            return clips
        if self.protocol.size is None or clips.dtype != np.uint8:
            raise UserError(f"{self.protocol.name} does not quantise, so samples cannot be resized. Leave --size away.")
        return np.stack([fit_of(self.protocol)(clip, self.protocol.size) for clip in clips])

    def _seed(self, index: int) -> int:
        return draw_seed(self.protocol.seed, "clip", index)

    def describe(self, indices: range) -> list[Any]:
        """Seeds of some clips, and the real videos that a generator on such leaves out."""
        return [[self._seed(index) for index in indices], sorted(getattr(self.generator, "left_out", ()))]

    def without(self, bad: dict[str, str]) -> "GeneratedClips":
        """The same clips of a generator on real videos that leaves out further unreadable real videos."""
        assert isinstance(self.generator, OnReal)
        return GeneratedClips(self.name, self.generator.without(bad), self.protocol)

    @cached_property
    def groups(self) -> list[int]:
        """Jackknife groups: each clip is its own video, but one that stands on a real video is of that."""
        if not isinstance(self.generator, OnReal):
            return [index % GROUPS for index in range(len(self))]
        return groups_of([origin_of(self.generator.pick(self._seed(index))[0]) for index in range(len(self))])

    def group(self, index: int) -> int:
        """The jackknife group of a clip."""
        return self.groups[index]


def quantise(videos: torch.Tensor) -> np.ndarray:
    """[-1, 1] to 8 bit by rounding half up: floor(127.5 x + 128), clamped to 0..255."""
    levels = (videos.detach().float() * 127.5 + 128).clamp(0, 255).to(torch.uint8)
    return levels.cpu().numpy()


def truncate(videos: torch.Tensor) -> np.ndarray:
    """[-1, 1] to 8 bit by truncation of 255 (x + 1) / 2, clamped to 0..255."""
    levels = ((videos.detach().float() + 1) / 2 * 255).clamp(0, 255).to(torch.uint8)
    return levels.cpu().numpy()


def leave(videos: torch.Tensor) -> np.ndarray:
    """[-1, 1] as it is, float32, clamped."""
    return videos.detach().float().clamp(-1, 1).cpu().numpy()


QUANTISE = {"round": quantise, "truncate": truncate, "none": leave}


def fit_of(protocol: ClipProtocol) -> Fit:
    """How stored frames are brought to the protocol's size."""
    if protocol.crop == "shorter-side":
        return partial(shorter_side, antialias=protocol.filter == "linear-antialias/torch")
    return crop_and_resize
