"""What every evaluation says before it begins: counts asked, available and used; time and disk; what is cached."""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch

from .clips import GeneratedClips
from .errors import BadVideoError
from .evaluator import Evaluator
from .generator import Generator, OnReal
from .passes import BLOCK
from .protocol import ClipProtocol
from .sides import indexed
from .sources import Source

Contender = tuple[Evaluator, str, Generator | Source]

RECORD_BYTES = 250_000  # of a record with its contact sheet


def preflight(contenders: Sequence[Contender], done: set[str]) -> Iterator[str]:
    """Lines for the user; looks at no more than the headers of 64 videos a source, and times a clip of each contender.

    Args:
        contenders: evaluator, name and generator or source of everything that is to be scored.
        done: keys of what has a record already.
    """
    seconds = 0.0
    sources = [
        source for evaluator, _, side in contenders for source in (evaluator.real, side) if isinstance(source, Source)
    ]
    yield from dict.fromkeys(f"{source.name}: {note}" for source in sources for note in source.notes)
    waiting = [contender for contender in contenders if contender[0].key(contender[2]) not in done]
    for evaluator in dict.fromkeys(contender[0] for contender in contenders):
        members = [contender for contender in contenders if contender[0] is evaluator]
        protocol = evaluator.resolve(members[0][2])
        height, width = protocol.size or (0, 0)
        yield (
            f"{evaluator.metric}: {protocol.clips} clips of {protocol.frames} frames, stride {protocol.stride},"
            f" {height}x{width}, seed {protocol.seed}, against {opponent(evaluator, protocol)}"
        )
        for contender in members:
            state = "" if contender in waiting else "; its record is at hand"
            side = contender[2]
            what = stock(side, protocol, cycle=False) if isinstance(side, Source) else f"generator {contender[1]}"
            yield f"  {what}{state or cached(evaluator, side, protocol)}"
        pending = [(contender[2], protocol) for contender in members if contender in waiting]
        if pending and evaluator.real:
            pending.append((evaluator.real, protocol.of_real))
        for side, asked in pending:
            clips = uncached(evaluator, side, asked)
            seconds += clips * clip_seconds(evaluator, protocol, side) if clips else 0
    yield (
        f"expected: {duration(seconds)}, {len(waiting) * RECORD_BYTES / 1e6:.1f} MB of records;"
        f" {len(contenders) - len(waiting)} of {len(contenders)} scores are at hand"
    )


def opponent(evaluator: Evaluator, protocol: ClipProtocol) -> str:
    """The real side, in words."""
    if evaluator.real is None:
        return f"the statistics of {evaluator.real_name} in {evaluator.real_stats}"
    return stock(evaluator.real, protocol.of_real, cycle=True) + cached(evaluator, evaluator.real, protocol.of_real)


def uncached(evaluator: Evaluator, side: Generator | Source, protocol: ClipProtocol) -> int:
    """How many clips of a side have no features in the cache."""
    return max(protocol.clips - BLOCK * evaluator.cached_blocks(side, protocol), 0)


def cached(evaluator: Evaluator, side: Generator | Source, protocol: ClipProtocol) -> str:
    """What of a side's features is in the cache."""
    share = 1 - uncached(evaluator, side, protocol) / protocol.clips
    return f"; {share:.0%} of its features are cached" if share else ""


def stock(source: Source, protocol: ClipProtocol, *, cycle: bool) -> str:
    """What a source has for a protocol, as far as it is known without reading it all."""
    known = indexed(source)
    enough = sum(source.info(video).length >= protocol.needed for video in known)
    unread = sum(not source.indexed(video) for video in source.videos)
    bad = len(source.videos) - len(known) - unread
    parts = [f"{source.name}{f' ({source.split})' if source.split else ''}: {len(source.videos)} videos"]
    parts.append(f"{enough} long enough" + (f" of the {len(known)} looked at" if unread else ""))
    parts += [f"{bad} unreadable"] if bad else []
    parts += [f"{unread} not yet in the index"] if unread else []
    if not unread:
        found = enough
        if cycle and protocol.clips_per_video == "all":
            found = sum(max(source.info(video).length - protocol.span + 1, 0) for video in known)
        again = cycle and protocol.clips_per_video == "cycle" and enough > 0
        used = protocol.clips if again else min(found, protocol.clips)
        parts.append(
            f"{used} of {protocol.clips} clips" + (", visiting videos again" if again and used > enough else "")
        )
    return ", ".join(parts)


def clip_seconds(evaluator: Evaluator, protocol: ClipProtocol, side: Generator | Source) -> float:
    """How long one clip takes: reading (shared by the workers) and computing features; 0 where there can be none.

    Of what stands on real videos that are not yet all in the index, reading stands for the rest.
    """
    assert protocol.size is not None
    workers = max(evaluator.workers, 1)
    read: Callable[[], object]
    stored = side.source if isinstance(side, OnReal) else side
    if isinstance(stored, Source) and (stored is side or not all(map(stored.indexed, stored.videos))):
        videos = [video for video in indexed(stored)[:64] if stored.info(video).length >= protocol.needed]
        if not videos:
            return 0.0
        read = partial(stored.resized(protocol.size).read, videos[0], 0, protocol.span, protocol.stride)
    else:
        assert isinstance(side, Generator)
        if isinstance(side, OnReal) and not can_stand(side):
            return 0.0
        read = partial(GeneratedClips(type(side).__name__.lower(), side, protocol).sample, [0])
        workers = workers if side.in_workers else 1
    clip = torch.zeros(1, 3, protocol.frames, *protocol.size, dtype=torch.uint8)
    try:
        return seconds_of(read) / workers + seconds_of(partial(evaluator.features, clip))
    except BadVideoError:
        return 0.0


def can_stand(side: OnReal) -> bool:
    """Whether a real video is long enough for what stands on one."""
    try:
        return bool(side.eligible)
    except ValueError:
        return False


def seconds_of(work: Callable[[], object]) -> float:
    """How long something takes; a quick thing is timed the second time, when it is warm."""
    seconds = 0.0
    for _ in range(2):
        began = time.monotonic()
        work()
        seconds = time.monotonic() - began
        if seconds > 0.2:
            break
    return seconds


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 90:
        return f"about {max(round(seconds), 1)} s"
    return f"about {round(seconds / 60)} min" if seconds < 5400 else f"about {seconds / 3600:.1f} h"
