"""The two sides of a score: whatever a user names, as a source or a generator, and what there is to say of it."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from .clips import Clips, StoredClips, quantise
from .datasets import DEFAULT, DataSet, dataset_names, load_dataset
from .errors import BadVideoError, UserError
from .generator import Generator, OnReal
from .record import Counts, Side
from .sources import Source, Video, open_source, source_from_array

LOSSLESS = {"png", "bmp", "tiff", "array", "rendered"}  # storage that leaves pixels as they were
HEAD = 64  # videos whose headers are read before anything long begins

Track = Callable[[Iterable[Any], str, int], Iterable[Any]]
"""Shows progress over an iterable: (items, what is going on, how many there will be)."""

Fake = Generator | Source | Tensor | str | Path


def named_dataset(real: str | Path | None) -> DataSet | None:
    """The card of a data set given by name (None: the default one); None for the path of anything else."""
    if real is None:
        return load_dataset(DEFAULT)
    if Path(real).exists() or (str(real) not in dataset_names() and Path(real).name != str(real)):
        return None
    return load_dataset(str(real))


def open_real(
    real: str | Path | Source | None, split: str | None, size: tuple[int, int] | None
) -> tuple[Source, DataSet | None]:
    """The real side, and the card of the data set if it is one that was named."""
    if isinstance(real, Source):
        return real, None
    card = named_dataset(real)
    return (card.source(split, size) if card else open_source(str(real), split=split, size=size)), card


def as_side(fake: Fake, size: tuple[int, int] | None = None) -> Generator | Source:
    """Whatever is to be scored as a generator or a source.

    Args:
        fake: a generator, a source, a tensor `[N, 3, T, H, W]` (float in [-1, 1] or uint8), or the path of a folder,
            zip or array file.
        size: which resolution to open where several are stored.

    Raises:
        UserError: a tensor of another shape, or a path at which there are no videos.
    """
    if isinstance(fake, Tensor):
        if fake.ndim != 5 or fake.shape[1] != 3:
            raise UserError(f"Videos must be a tensor [N, 3, T, H, W]; this one has shape {list(fake.shape)}.")
        if fake.dtype != torch.uint8 and not fake.is_floating_point():
            raise UserError(f"Videos must be float in [-1, 1] or uint8; this tensor holds {fake.dtype}. Convert it.")
        if fake.is_floating_point() and not torch.isfinite(fake).all():
            raise UserError("The tensor holds values that are not finite (NaN or infinity).")
        videos = fake.cpu().numpy() if fake.dtype == torch.uint8 else quantise(fake)
        return source_from_array("tensor", rearrange(videos, "n c t h w -> n t h w c"))
    if isinstance(fake, str | Path):
        return open_source(fake, size=size)
    if not isinstance(fake, Source) and not all(hasattr(fake, part) for part in ("sample", "size", "fps")):
        raise UserError(f"A {type(fake).__name__} cannot be scored: give a generator, a tensor, a source or a path.")
    return fake


def unreadable(source: Source, videos: Sequence[Video]) -> dict[str, str]:
    """Which of some indexed videos cannot be read, and why."""
    found = {}
    for video in videos:
        try:
            source.info(video)
        except BadVideoError as error:
            found[video.name] = error.reason
    return found


def index_all(source: Source, workers: int, track: Track) -> dict[str, str]:
    """Find out about every video of a source, with progress; which ones cannot be read, and why."""
    missing = [video for video in source.videos if not source.indexed(video)]
    if missing:
        bar = iter(track(range(len(missing)), f"index {source.name}", len(missing)))
        source.index(missing, workers=workers, progress=lambda count: list(islice(bar, count)))
        next(bar, None)
    return unreadable(source, source.videos)


def indexed(source: Source) -> list[Video]:
    """The readable ones among the videos that are in the index; the first 64 are looked at if they are not."""
    source.index(source.videos[:HEAD])
    known = [video for video in source.videos if source.indexed(video)]
    bad = unreadable(source, known)
    return [video for video in known if video.name not in bad]


def commonest(source: Source, what: str) -> Any:
    """The commonest `size`, `fps` or `codec` of a source's first 64 videos (a function of the source alone).

    Raises:
        UserError: not one of them can be read.
    """
    head = source.videos[:HEAD]
    source.index(head)
    bad = unreadable(source, head)
    values = Counter(getattr(source.info(video), what) for video in head if video.name not in bad)
    if not values:
        why = "".join(f" ({name}: {reason})" for name, reason in list(bad.items())[:1])
        raise UserError(
            f"Not one of the first {len(head)} videos in {source.name} can be read{why}. Repair them, or choose others."
        )
    return values.most_common(1)[0][0]


def mismatches(real: Source, fake: Generator | Source) -> list[str]:
    """Differences between two sides that are no property of a model: frame rate, size, storage."""
    if isinstance(fake, OnReal):
        return []
    facts = {"fps": "frames a second", "size": "pixels (height, width)"}
    if isinstance(fake, Source):
        theirs = {what: commonest(fake, what) for what in (*facts, "codec")}
        name, facts = fake.name, {**facts, "codec": "storage"}
    else:
        name, theirs = type(fake).__name__.lower(), {"fps": fake.fps, "size": fake.size}
    ours = {what: commonest(real, what) for what in facts}
    return [
        f"{unit} differ: real {real.name} {ours[what]}, generated {name} {theirs[what]}."
        for what, unit in facts.items()
        if None not in (ours[what], theirs[what])
        and ours[what] != theirs[what]
        and not {ours[what], theirs[what]} <= LOSSLESS
    ]


def describe(side: Generator | Source, clips: Clips) -> Side:
    """One side for the record."""
    if not isinstance(clips, StoredClips) or not isinstance(side, Source):
        counts = Counts(asked=clips.protocol.clips, available=len(clips), used=len(clips))
        fingerprint = getattr(side, "fingerprint", None)
        return Side(name=clips.name, kind="generator", fingerprint=fingerprint, fps=side.fps, counts=counts)
    counts = Counts(
        asked=clips.protocol.clips,
        available=len(clips.videos),
        used=len(clips),
        short=len(clips.short),
        unreadable=len(clips.bad),
        origins=clips.origins,
        repeats=clips.repeats,
    )
    return Side(
        name=side.name,
        kind=str(commonest(side, "codec")),
        fingerprint=side.fingerprint,
        split=side.split,
        fps=commonest(side, "fps"),
        counts=counts,
    )
