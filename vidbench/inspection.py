"""A look at a source: what is in it, what it is good for, and what looks wrong."""

from collections import Counter
from typing import Any

import numpy as np
from torch.utils.data import DataLoader

from .errors import BadVideoError
from .protocol import load_protocol, presets
from .sides import Track, index_all
from .sources import Source
from .suspicion import look_at, suspicions


class Glances:
    """What `look_at` says of the first, the middle and the last frame of every readable video."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.videos = [video for video in source.videos if source.length(video)]

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, index: int) -> tuple[int, bool, bool] | BadVideoError:
        """One video's, or why it cannot be read."""
        video = self.videos[index]
        last = self.source.length(video) - 1
        try:
            return look_at(np.concatenate([self.source.read(video, t, t + 1) for t in (0, last // 2, last)], axis=1))
        except BadVideoError as error:
            return error


def inspect_source(source: Source, workers: int, track: Track) -> dict[str, Any]:
    """Counts, lengths, sizes, rates, storage, fingerprint, clips of each preset, and warnings.

    Args:
        source: any source.
        workers: processes that read.
        track: shows progress.
    """
    bad = index_all(source, workers, track)
    glances, looks = Glances(source), list[tuple[int, bool, bool]]()
    loader = DataLoader(glances, None, num_workers=workers)  # type: ignore[arg-type, var-annotated]
    for look in track(loader, f"look at {source.name}", len(glances)):
        if isinstance(look, BadVideoError):
            bad[look.video] = look.reason
        else:
            looks.append(look)
    digest, still, black = np.array(looks, np.int64).reshape(-1, 3).T
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
    facts["long enough for"] = {name: int((lengths >= load_protocol(name).needed).sum()) for name in presets()}
    several = [
        f"{source.name} mixes {len(set(values))} values of {what}."
        for what, values in common.items()
        if len(set(values)) > 1
    ]
    facts["warnings"] = [*source.notes, *several, *suspicions(source.name, "videos", digest, still, black)]
    return facts
