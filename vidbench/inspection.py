"""A look at a source: what is in it, what it is good for, and what looks wrong."""

from collections import Counter
from typing import Any

import numpy as np

from .clips import Watch, batches
from .errors import BadVideoError
from .passes import Track
from .protocol import load_protocol, presets
from .sides import unreadable
from .sources import Source


class Glances:
    """Three frames of every readable video: the first, the middle and the last, uint8 `[3, 3, H, W]`."""

    def __init__(self, source: Source) -> None:
        self.source, self.name = source, source.name
        self.videos = [video for video in source.videos if source.length(video)]

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, index: int) -> np.ndarray | BadVideoError:
        """The frames of one video, or why it cannot be read."""
        video = self.videos[index]
        last = self.source.length(video) - 1
        try:
            return np.concatenate([self.source.read(video, t, t + 1) for t in (0, last // 2, last)], axis=1)
        except BadVideoError as error:
            return error


def inspect_source(source: Source, workers: int, track: Track) -> dict[str, Any]:
    """Counts, lengths, sizes, rates, storage, fingerprint, clips of each preset, and warnings.

    Args:
        source: any source.
        workers: processes that read.
        track: shows progress.
    """
    missing = [video for video in source.videos if not source.indexed(video)]
    for video in track(missing, f"index {source.name}", len(missing)):
        source.index([video])
    bad = unreadable(source, source.videos)
    watch, glances = Watch(), Glances(source)
    for items in track(batches(glances, 8, workers), f"look at {source.name}", -(-len(glances) // 8)):
        bad |= {item.video: item.reason for item in items if isinstance(item, BadVideoError)}
        watch.update([item for item in items if isinstance(item, np.ndarray)])
    infos = [source.info(video) for video in source.videos if video.name not in bad]
    lengths = np.array([info.length for info in infos])
    facts: dict[str, Any] = {
        "name": source.name,
        "split": source.split,
        "splits": list(source.splits),
        "fingerprint": source.fingerprint,
        "videos": len(source.videos),
        "unreadable": bad,
        "frames": int(lengths.sum()),
    }
    if len(lengths):
        facts["frames a video"] = {
            "min": int(lengths.min()),
            "median": float(np.median(lengths)),
            "max": int(lengths.max()),
        }
    common = {"size (height x width)": [f"{height}x{width}" for height, width in (info.size for info in infos)]}
    common |= {"frames a second": [f"{info.fps:g}" if info.fps else "not stated" for info in infos]}
    common |= {"storage": [info.codec for info in infos]}
    facts |= {what: dict(Counter(values).most_common(8)) for what, values in common.items()}
    facts["long enough for"] = {name: int((lengths >= load_protocol(name).span).sum()) for name in presets()}
    several = [
        f"{source.name} mixes {len(set(values))} values of {what}."
        for what, values in common.items()
        if len(set(values)) > 1
    ]
    facts["warnings"] = [*source.notes, *several, *watch.warnings(source.name)]
    return facts
