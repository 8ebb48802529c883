"""Clips: what a protocol draws from stored videos or from a generator, and the loader that reads them in parallel."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Protocol

import numpy as np
import torch
from torch.utils.data import DataLoader

from .draws import draw, draw_seed
from .errors import BadVideoError, UserError
from .generator import Generator
from .protocol import ClipProtocol
from .sources import Source, Video

GROUPS = 20  # of the delete-a-group jackknife


class Indexed(Protocol):
    """Clips by index."""

    name: str

    def __len__(self) -> int:
        """How many clips."""
        ...

    def __getitem__(self, index: int) -> "np.ndarray | BadVideoError":
        """Clip uint8 `[3, T, H, W]`, or why its video cannot be read."""
        ...


class Clips(Indexed, Protocol):
    """One side of a score: clips in a protocol's size, ready for a measure."""

    protocol: ClipProtocol

    def group(self, index: int) -> int:
        """The jackknife group (0 to 19) of a clip: clips of one video are in one group."""
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
        self.source = source.resized(protocol.size)
        self.cycle = cycle
        readable = [video for video in source.videos if video.name not in self.bad]
        self.videos = [video for video in readable if source.info(video).length >= protocol.span]
        self.short = [video for video in readable if source.info(video).length < protocol.span]
        if not self.videos or (len(self.videos) < protocol.clips and not cycle):
            raise self._too_few()
        self.drawn = self._draw()
        ranks = {video.name: rank for rank, video in enumerate(sorted(self.videos, key=lambda video: video.key))}
        self.groups = [ranks[clip.video.name] % GROUPS for clip in self.drawn]

    def _draw(self) -> list[Drawn]:
        seed, drawn = self.protocol.seed, list[Drawn]()
        for visit in count():
            for video in sorted(self.videos, key=lambda video: draw_seed(seed, f"order/{video.key}", visit)):
                if len(drawn) == self.protocol.clips:
                    return drawn
                drawn.append(Drawn(video, self._start(video, visit)))
        raise AssertionError

    def _start(self, video: Video, visit: int) -> int:
        if self.protocol.start == "zero":
            return 0
        starts = self.source.info(video).length - self.protocol.span + 1
        return int(torch.randint(starts, (), generator=draw(self.protocol.seed, f"start/{video.key}", visit)))

    def _too_few(self) -> UserError:
        protocol, have = self.protocol, len(self.videos)
        asked = f"{protocol.name} needs {1 if self.cycle else protocol.clips}"
        problems = []
        if self.short:
            shortest = self.short[0]
            length = self.source.info(shortest).length
            problems.append(
                f"{len(self.short)} of {len(self.source.videos)} videos in {self.name} have fewer than {protocol.span}"
                f" frames and do not count ({shortest.name}: {length})"
            )
        if self.bad:
            problems.append(f"{len(self.bad)} cannot be read")
        found = "; ".join(problems) or f"{self.name} has {len(self.source.videos)} videos"
        mend = f"or score what is there with --clips {have} (its interval will be wide, and its bias large)"
        return UserError(
            f"{found}; {have} can be used, and {asked} videos of {protocol.span} frames. Add longer or more videos"
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

    def without(self, bad: dict[str, str]) -> "StoredClips":
        """The same draw over the videos that are left when further unreadable ones are taken out."""
        return StoredClips(self.source, self.protocol, cycle=self.cycle, bad={**self.bad, **bad}, name=self.name)

    @property
    def repeats(self) -> int:
        """How many clips are exact repeats of another (same video, same start)."""
        return len(self.drawn) - len({(clip.video.name, clip.start) for clip in self.drawn})


class GeneratedClips:
    """Clips that a generator makes: clip `i` has the seed drawn from (seed, i), and starts at frame 0."""

    def __init__(self, name: str, generator: Generator, protocol: ClipProtocol) -> None:
        if generator.max_frames is not None and generator.max_frames < protocol.span:
            raise UserError(
                f"{name} makes videos of at most {generator.max_frames} frames; {protocol.name} needs {protocol.span}."
            )
        self.name, self.generator, self.protocol = name, generator, protocol

    def __len__(self) -> int:
        return self.protocol.clips

    def __getitem__(self, index: int) -> np.ndarray | BadVideoError:
        """Clip uint8 `[3, T, H, W]`, or why a real video that it is made from cannot be read."""
        try:
            clip: np.ndarray = self.sample([index])[0]
        except BadVideoError as error:
            return error
        return clip

    def sample(self, indices: Sequence[int]) -> np.ndarray:
        """Several clips at once, uint8 `[N, 3, T, H, W]`."""
        seeds = [draw_seed(self.protocol.seed, "clip", index) for index in indices]
        videos = self.generator.sample(seeds, self.protocol.span)
        expected = (len(seeds), 3, self.protocol.span, *self.generator.size)
        if tuple(videos.shape) != expected:
            raise UserError(f"{self.name} gave samples of shape {tuple(videos.shape)} where {expected} was asked for.")
        return quantise(videos[:, :, :: self.protocol.stride], self.name)

    def without(self, bad: dict[str, str]) -> "GeneratedClips":
        """The same clips of a reference generator that leaves out further unreadable real videos."""
        reference: Any = self.generator
        return GeneratedClips(self.name, reference.without(bad), self.protocol)

    def group(self, index: int) -> int:
        """The jackknife group of a clip; each is its own video."""
        return index % GROUPS


def quantise(videos: torch.Tensor, name: str = "samples") -> np.ndarray:
    """[-1, 1] to 8 bit by rounding half up: floor(127.5 x + 128), clamped to 0..255; `name` is for messages.

    Raises:
        UserError: a value is not finite.
    """
    if not torch.isfinite(videos).all():
        raise UserError(f"{name}: there are values that are not finite (NaN or infinity).")
    levels = (videos.detach().float() * 127.5 + 128).clamp(0, 255).to(torch.uint8)
    return levels.cpu().numpy()


def batches(clips: Indexed, size: int, workers: int) -> Iterator[list[np.ndarray | BadVideoError]]:
    """Clips in order of index, `size` at a time; stored clips and light generators are read by worker processes.

    The queue is bounded: each worker is at most two batches ahead.
    """
    if isinstance(clips, GeneratedClips) and not clips.generator.in_workers:
        for first in range(0, len(clips), size):
            yield list(clips.sample(range(first, min(first + size, len(clips)))))
        return
    yield from DataLoader(clips, batch_size=size, num_workers=workers, collate_fn=list)  # type: ignore[arg-type]


class Watch:
    """Looks at clips as they pass for what should not be there: still, black and repeated ones."""

    def __init__(self) -> None:
        self.still, self.black = 0, 0
        self.seen: Counter[int] = Counter()

    def update(self, clips: Sequence[np.ndarray]) -> None:
        """Take clips, each uint8 `[3, T, H, W]`."""
        for clip in clips:
            self.still += bool(clip.shape[1] > 1 and (clip == clip[:, :1]).all())
            self.black += bool(clip.max() < 16)
            self.seen[hash(clip.tobytes())] += 1

    def warnings(self, name: str) -> list[str]:
        """One line for each kind of suspicious clip found."""
        repeated = sum(times - 1 for times in self.seen.values())
        total = self.seen.total()
        kinds = {"do not move at all": self.still, "are black": self.black, "are exact repeats of another": repeated}
        return [f"{name}: {found} of {total} clips {what}." for what, found in kinds.items() if found]
