"""One pass over one side's clips, in blocks of 64: read, look, compute features, add to the groups' statistics.

Features are cached a block at a time, so that an interrupted evaluation goes on where it was and a finished one costs
nothing. Under `torchrun` each process takes every so manieth block. Blocks are cut for the backbone at the same places
whatever the batch size, and added in order of index, so that neither changes a digit.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from filelock import FileLock
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from torch import Tensor
from torch.utils.data import DataLoader

from .clips import GROUPS, Clips, GeneratedClips, quantise
from .errors import BadVideoError, UserError
from .files import atomic_write, cache_dir
from .protocol import ClipProtocol
from .ranks import exchange, rank, world
from .record import identity
from .sides import Track
from .suspicion import look_at, suspicions

warnings.filterwarnings("ignore", message="This DataLoader will create")  # more workers than cores: the user's choice

BLOCK = 64  # clips
CUT_FRAMES, CUT_BYTES = 512, 2**26  # the backbone sees no more at once, but at least one clip
SHEET = 8  # clips of each side on a contact sheet


@dataclass(frozen=True)
class Job:
    """What is computed of clips, and how."""

    statistics: Callable[[], Any]
    """Makes the empty statistics of one group."""
    features: Callable[[Tensor], Tensor]
    """What the statistics take of clips uint8 `[N, 3, T, H, W]`: `[N, d]`."""
    in_workers: bool
    """Whether features are light work, done by the processes that read."""
    key: str | None
    """Identity of backbone, protocol and videos, under which features are cached; None: they are not."""
    label: str
    """Says what is going on."""
    batch: int
    """Clips that are read, or generated, at a time."""
    workers: int
    """Processes that read."""
    skip_bad: bool
    """Draw again without the videos that turn out to be unreadable, instead of stopping."""
    track: Track
    """Shows progress."""

    @property
    def folder(self) -> Path:
        """Where blocks of features are cached."""
        return cache_dir() / "features" / (self.key or "none")


class Item(NamedTuple):
    """One clip on its way from a reading process."""

    clip: np.ndarray
    features: np.ndarray | None
    digest: int
    still: bool
    black: bool


NOTHING = np.zeros((3, 0, 0, 0), np.uint8)
STORED = ("features", "digest", "still", "black")


@dataclass
class Block:
    """Features `[n, d]` of up to 64 successive clips, what is known of each, and the first clips themselves."""

    features: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    digest: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    still: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    black: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    first: list[np.ndarray] = field(default_factory=list)
    bad: dict[str, str] = field(default_factory=dict)


@dataclass
class Pass:
    """What a pass leaves: statistics of each jackknife group, the first clips, and what looked suspicious."""

    clips: Clips
    groups: list[Any]
    first: list[np.ndarray] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def gather(clips: Clips, job: Job) -> Pass:
    """Pass over the clips of one side.

    Raises:
        BadVideoError: a video cannot be read and may not be skipped.
    """
    with ExitStack() as stack:
        if job.key and rank() == 0:
            with suppress(OSError):  # a cache that cannot be written needs no lock
                job.folder.parent.mkdir(parents=True, exist_ok=True)
                stack.enter_context(FileLock(f"{job.folder}.lock"))
                for left in job.folder.glob(".*.part"):  # by a run that was killed
                    left.unlink()
        exchange(None)
        done = Pass(clips, [job.statistics() for _ in range(GROUPS)])
        seen = Block()
        for block in blocks(clips, job):
            seen.bad |= block.bad
            if not seen.bad:
                add(done.groups, block, [clips.group(len(seen.digest) + i) for i in range(len(block.features))])
                for name in ("digest", "still", "black"):
                    setattr(seen, name, np.concatenate([getattr(seen, name), getattr(block, name)]))
                done.first += block.first
    if seen.bad:
        if not job.skip_bad:
            raise BadVideoError(*next(iter(seen.bad.items())), clips.name)
        return gather(clips.without(seen.bad), job)
    if not done.first:
        again = [clips[index] for index in range(min(SHEET, len(clips)))]
        done.first = [clip for clip in again if isinstance(clip, np.ndarray) and clip.dtype == np.uint8]
    if not getattr(getattr(clips, "generator", None), "is_reference", False):
        done.warnings = suspicions(clips.name, "clips", seen.digest, seen.still, seen.black)
    return done


def add(statistics: list[Any], block: Block, groups: list[int]) -> None:
    """Add the clips of a block to the statistics of their groups."""
    for group in sorted(set(groups)):
        statistics[group].update(torch.from_numpy(block.features[np.array(groups) == group]))


def blocks(clips: Clips, job: Job) -> Iterator[Block]:
    """All blocks in order of index; each process computes its share, and has all of them in the end."""
    everything = [range(start, min(start + BLOCK, len(clips))) for start in range(0, len(clips), BLOCK)]
    mine = everything[rank() :: world()]
    computed = job.track(compute(clips, mine, job), job.label, len(mine))
    if world() == 1:
        yield from computed
        return
    shares = exchange(list(computed))
    for index in range(len(everything)):
        yield shares[index % world()][index // world()]


def compute(clips: Clips, mine: list[range], job: Job) -> Iterator[Block]:
    """Some blocks, from the cache or from the clips; whatever is computed is cached."""
    paths = {indices: block_path(clips, indices, job) for indices in mine}
    cached = {indices: block for indices, path in paths.items() if path and (block := load_block(path))}
    wanted = [index for indices in mine if indices not in cached for index in indices]
    items = read(clips, wanted, job)
    for indices, path in paths.items():
        if indices in cached:
            yield cached[indices]
            continue
        block = make_block(items, indices, cut_of(clips.protocol), job)
        if path and not block.bad:
            with suppress(UserError):  # a cache that cannot be written is no failure
                save_block(block, path, job.label)
        yield block
        if block.bad and not job.skip_bad and world() == 1:
            return


def cut_of(protocol: ClipProtocol) -> int:
    """How many clips the backbone sees at once: a function of the protocol alone, since results depend on it."""
    height, width = protocol.size or (1, 1)
    clip_bytes = 3 * protocol.frames * height * width
    return max(1, min(BLOCK, CUT_FRAMES // protocol.frames, CUT_BYTES // clip_bytes))


def make_block(items: Iterator[Item | BadVideoError], indices: range, cut: int, job: Job) -> Block:
    """One block from the next items; without features if one of its clips cannot be read."""
    block, good, features = Block(), list[Item](), list[np.ndarray]()
    for start in range(0, len(indices), cut):
        part = list(islice(items, min(cut, len(indices) - start)))
        block.bad |= {error.video: error.reason for error in part if isinstance(error, BadVideoError)}
        if block.bad:
            continue
        found = [item for item in part if isinstance(item, Item)]
        if indices.start == 0:
            block.first += [item.clip for item in found[: max(SHEET - start, 0)]]
        if job.in_workers:
            features += [item.features for item in found if item.features is not None]
        else:
            features.append(job.features(torch.from_numpy(np.stack([item.clip for item in found]))).numpy())
        require_finite(features[-1], indices.start + start)
        good += [item._replace(clip=NOTHING, features=None) for item in found]
    if not block.bad:
        block.features = np.concatenate(features)
    block.digest = np.array([item.digest for item in good], np.int64)
    block.still = np.array([item.still for item in good], bool)
    block.black = np.array([item.black for item in good], bool)
    return block


def require_finite(features: np.ndarray, start: int) -> None:
    """Refuse features `[n, d]` of clips `start` and on that are not numbers.

    Raises:
        UserError: with the index of the first such clip.
    """
    broken = ~np.isfinite(features.reshape(len(features), -1)).all(axis=1)
    if broken.any():
        raise UserError(f"The features of clip {start + int(broken.argmax())} are not finite. Look at that clip.")


class Reading:
    """The items of some clips, for processes that read."""

    def __init__(self, clips: Clips, indices: list[int], job: Job) -> None:
        self.clips, self.indices = clips, indices
        self.features = job.features if job.in_workers else None

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> Item | BadVideoError:
        """One clip's item, or why its video cannot be read."""
        index = self.indices[position]
        clip = self.clips[index]
        return clip if isinstance(clip, BadVideoError) else self.item(clip, keep=index < SHEET)

    def item(self, clip: np.ndarray, keep: bool) -> Item:
        """What there is to know of a clip; the clip itself travels on only where it is needed."""
        features = None if self.features is None else self.features(torch.from_numpy(clip[None])).numpy()
        levels = clip if clip.dtype == np.uint8 else quantise(torch.from_numpy(clip))
        shown = clip if features is None else levels if keep else NOTHING
        return Item(shown, features, *look_at(levels))


def read(clips: Clips, indices: list[int], job: Job) -> Iterator[Item | BadVideoError]:
    """The items of some clips, in order.

    Stored clips and light generators are read by worker processes, each at most two batches ahead; other generators
    sample here, a batch at a time.
    """
    reading = Reading(clips, indices, job)
    if isinstance(clips, GeneratedClips) and not clips.generator.in_workers:
        for start in range(0, len(indices), job.batch):
            part = indices[start : start + job.batch]
            try:
                sampled: list[np.ndarray | BadVideoError] = list(clips.sample(part))
            except BadVideoError as error:  # of the real videos that a generator stands on
                sampled = [error] * len(part)
            for index, clip in zip(part, sampled, strict=True):
                yield clip if isinstance(clip, BadVideoError) else reading.item(clip, keep=index < SHEET)
    elif indices:
        workers = min(job.workers, -(-len(indices) // job.batch))
        loader: DataLoader[Any] = DataLoader(reading, job.batch, num_workers=workers, collate_fn=list)  # type: ignore[arg-type]
        for items in loader:
            yield from items


def block_path(clips: Clips, indices: range, job: Job) -> Path | None:
    """Where a block is cached: the name holds its place and a hash of which clips are in it."""
    if job.key is None:
        return None
    return job.folder / f"{indices.start:08d}-{identity(clips.describe(indices))[:16]}.safetensors"


def save_block(block: Block, path: Path, label: str) -> None:
    """Cache a block, whole or not at all; the label says to people what it is of.

    One key of metadata holds it all: several would be written in any order, and files would differ.
    """
    parts = {name: np.ascontiguousarray(getattr(block, name)) for name in STORED}
    atomic_write(path, save(parts, {"label": f"{label} {path.parent.name}/{path.name}"}))


def load_block(path: Path) -> Block | None:
    """A cached block; None where there is none that can be read."""
    try:
        with safe_open(path, "numpy") as file:
            if not (file.metadata() or {}).get("label", "").endswith(f" {path.parent.name}/{path.name}"):
                return None
            return Block(**{name: file.get_tensor(name) for name in STORED})
    except (OSError, SafetensorError):
        return None
