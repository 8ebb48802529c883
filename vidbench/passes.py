"""One pass over one side's clips: decode, look, compute features, add to the statistics of jackknife groups."""

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from .clips import GROUPS, Clips, StoredClips, Watch, batches
from .errors import BadVideoError
from .files import atomic_write

SHEET = 8  # clips of each side on a contact sheet

Track = Callable[[Iterable[Any], str, int], Iterable[Any]]
"""Shows progress over an iterable: (items, what is going on, how many there will be)."""


@dataclass
class Pass:
    """What a pass leaves: statistics of each jackknife group, the first clips, and what looked suspicious."""

    clips: Clips
    groups: list[Any]
    first: list[np.ndarray] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def gather(
    clips: Clips,
    statistics: Callable[[], Any],
    features: Callable[[Tensor], Tensor],
    *,
    batch: int,
    workers: int,
    skip_bad: bool,
    track: Track,
    label: str,
) -> Pass:
    """Pass over the clips of one side.

    Args:
        clips: the clips, in order.
        statistics: makes one group's empty statistics.
        features: what the statistics take of clips uint8 `[N, 3, T, H, W]`.
        batch: clips at a time.
        workers: processes that read.
        skip_bad: draw again without the videos that turn out to be unreadable, instead of stopping.
        track: shows progress.
        label: says what is going on.

    Raises:
        BadVideoError: a video cannot be read and may not be skipped.
    """
    done, watch, bad = Pass(clips, [statistics() for _ in range(GROUPS)]), Watch(), dict[str, str]()
    position = 0
    for items in track(batches(clips, batch, workers), label, math.ceil(len(clips) / batch)):
        for error in items:
            if isinstance(error, BadVideoError):
                if not skip_bad:
                    raise error
                bad[error.video] = error.reason
        if not bad:
            videos = torch.from_numpy(np.stack(items))
            done.first += items[: max(SHEET - position, 0)]
            watch.update(items)
            values = features(videos)
            groups = [clips.group(position + offset) for offset in range(len(items))]
            for group in sorted(set(groups)):
                done.groups[group].update(values[torch.tensor(groups) == group])
        position += len(items)
    if bad:
        return gather(
            clips.without(bad),
            statistics,
            features,
            batch=batch,
            workers=workers,
            skip_bad=skip_bad,
            track=track,
            label=label,
        )
    if not getattr(getattr(clips, "generator", None), "is_reference", False):
        done.warnings = watch.warnings(clips.name)
    return done


def jackknife(compare: Callable[[Any, Any], dict[str, Any]], fake: list[Any], real: list[Any]) -> float | None:
    """Standard error of a measure: groups of videos are left out, of both sides at once.

    se^2 = (G - 1) / G * sum over k of (value without group k - their mean)^2, G = 20 or, with fewer videos, as many as
    there are. None for fewer than three groups.

    Args:
        compare: the measure, of generated and real statistics.
        fake: statistics of the groups of the generated side; `real` likewise.
    """
    fake, real = ([group for group in side if group.count] for side in (fake, real))
    count = min(len(fake), len(real))
    if count < 3:
        return None
    fake, real = ([reduce(merge, side[k::count]) for k in range(count)] for side in (fake, real))
    values = [compare(all_but(fake, k), all_but(real, k))["value"] for k in range(count)]
    return float(np.sqrt((count - 1) / count * np.sum((values - np.mean(values)) ** 2)))


def merge(first: Any, other: Any) -> Any:
    """Two partial statistics as one."""
    return first.merge(other)


def all_but(groups: list[Any], k: int) -> Any:
    """All groups but one, merged."""
    return reduce(merge, groups[:k] + groups[k + 1 :])


def save_pass(done: Pass, path: Path) -> None:
    """Write a pass over stored clips into the cache, whole or not at all."""
    assert isinstance(done.clips, StoredClips)
    tensors = {
        f"{k}/{key}": torch.as_tensor(value)
        for k, group in enumerate(done.groups)
        for key, value in group.state_dict().items()
    }
    about = json.dumps({"bad": done.clips.bad, "warnings": done.warnings})
    atomic_write(path, save(tensors, {"pass": about}))


def load_pass(clips: StoredClips, statistics: Any, path: Path) -> Pass | None:
    """A cached pass; None where there is none that can be read.

    Args:
        clips: the clips that the pass was over, before unreadable ones were found.
        statistics: the class of one group's statistics.
        path: the file of the cache.
    """
    try:
        with safe_open(path, "pt") as file:
            about = json.loads(file.metadata()["pass"])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        groups = [
            statistics.from_state_dict(
                {key.partition("/")[2]: t for key, t in tensors.items() if key.startswith(f"{k}/")}
            )
            for k in range(GROUPS)
        ]
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return None
    clips = clips.without(about["bad"])
    first = [clip for index in range(min(SHEET, len(clips))) if isinstance(clip := clips[index], np.ndarray)]
    return Pass(clips, groups, first, about["warnings"])
