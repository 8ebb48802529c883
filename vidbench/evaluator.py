"""Scoring under one protocol. Part of the stable API; in a training script:

from vidbench import Evaluator

evaluator = Evaluator("fvd16", real="data/train", backbone="toy3d", clips=512)
record = evaluator.score(generator)  # or a tensor [N, 3, T, H, W], or a folder of videos
print(record.value, record.se)
"""

import os
import time
from collections.abc import Iterable
from functools import reduce
from pathlib import Path
from typing import Any

import torch

from .clips import Clips, GeneratedClips, StoredClips
from .errors import BadVideoError, UserError
from .files import cache_dir
from .generator import Generator
from .passes import Pass, Track, gather, jackknife, load_pass, merge, save_pass
from .protocol import ClipProtocol, load_protocol
from .record import Backbone, Record, identity
from .registry import BACKBONES, MEASURES
from .sides import Fake, as_side, commonest, describe, mismatches, named_dataset, unreadable
from .sources import Source, open_source

BATCH_BYTES, BATCH_FRAMES = 2**26, 512  # a batch holds no more than either, but at least one clip


def quiet(items: Iterable[Any], label: str, total: int) -> Iterable[Any]:
    """A `Track` that shows nothing."""
    return items


class Evaluator:
    """Scores videos against real ones under one protocol.

    Args:
        metric: a preset (`fvd16`, `fvd128`, `fvd128-s8`, `color-drift`; `fvd16@512` for 512 clips), a YAML file, or
            a protocol.
        real: a data set's name, a folder, zip or array file, or a `Source`; default `toy-ride`.
        clips: clips on either side; default as the data set's card says, or else as the preset does.
        backbone: name of the network that turns clips into features; default as the data set's card says (`toy3d` for
            the toy sets, `i3d` for everything else).
        size: height and width at which clips are compared; default the commonest of the generated side.
        split: split of the real set.
        seed: seed of every draw; default the protocol's.
        skip_bad: leave unreadable videos out, and count them, instead of stopping.
        device: where the backbone runs.
        batch: clips at a time; default so that a batch stays below 64 MiB and 512 frames.
        workers: processes that read clips; default one a core.
        track: shows progress.

    Raises:
        UserError: unknown names, unreadable videos, or too few of them.
    """

    def __init__(
        self,
        metric: str | ClipProtocol = "fvd16",
        real: str | Path | Source | None = None,
        *,
        clips: int | None = None,
        backbone: str | None = None,
        size: tuple[int, int] | None = None,
        split: str | None = None,
        seed: int | None = None,
        skip_bad: bool = False,
        device: str = "cpu",
        batch: int | None = None,
        workers: int | None = None,
        track: Track = quiet,
    ) -> None:
        protocol = load_protocol(metric) if isinstance(metric, str) else metric
        card = None if isinstance(real, Source) else named_dataset(real)
        if isinstance(real, Source):
            self.real = real
        else:
            self.real = card.source(split, size) if card else open_source(str(real), split=split, size=size)
        if clips is None and card is not None and not (isinstance(metric, str) and "@" in metric):
            clips = card.clips.get(protocol.name)
        seed = protocol.seed if seed is None else seed
        self.protocol = protocol.resolved(clips=clips or protocol.clips, split=self.real.split, seed=seed)
        self.size, self.skip_bad, self.device, self.batch, self.track = size, skip_bad, device, batch, track
        self.workers = (os.cpu_count() or 1) if workers is None else workers
        measure = MEASURES.load(protocol.measure)
        self.backbone = None
        if measure.needs_backbone:
            self.backbone = load_backbone(backbone or (card.backbone if card else "i3d"), protocol).to(device)
        self.measure = measure(protocol.frames if self.backbone is None else self.backbone.dim)
        self._real_passes: dict[str, Pass] = {}

    @property
    def backbone_name(self) -> str | None:
        """Name of the backbone; None for metrics on pixels."""
        return None if self.backbone is None else self.backbone.name

    @property
    def metric(self) -> str:
        """Protocol and backbone, such as `fvd16@512[toy3d]`."""
        return self.protocol.name + (f"[{self.backbone.name}]" if self.backbone is not None else "")

    def score(self, fake: Fake, name: str | None = None) -> Record:
        """Score generated videos.

        Args:
            fake: a generator; or a tensor `[N, 3, T, H, W]`, float in [-1, 1] or uint8; or a source; or the path of a
                folder, zip or array file.
            name: what the record calls it.

        Raises:
            UserError: too few clips or frames for the protocol, with the numbers that would be needed.
        """
        return self.score_with_passes(fake, name)[0]

    def score_with_passes(self, fake: Fake, name: str | None = None) -> tuple[Record, Pass, Pass]:
        """`score`, and the passes over the generated and the real side that it rests on."""
        began = time.monotonic()
        fake = as_side(fake, self.size)
        protocol = self.resolve(fake)
        clips = self.clips(fake, protocol, name)
        real = self._real_pass(protocol)
        side = self._gather(clips, clips.name)
        result = self.measure.compare(reduce(merge, side.groups), reduce(merge, real.groups))
        se = jackknife(self.measure.compare, side.groups, real.groups)
        return self._record(fake, side, real, result, se, time.monotonic() - began), side, real

    def resolve(self, fake: Generator | Source) -> ClipProtocol:
        """The protocol with the size of the clips filled in."""
        size = self.size or (commonest(fake, "size") if isinstance(fake, Source) else fake.size)
        return self.protocol.resolved(size=size)

    def clips(
        self, side: Generator | Source, protocol: ClipProtocol, name: str | None = None, *, cycle: bool = False
    ) -> Clips:
        """The clips of one side, drawn but not read; a source is indexed first.

        Args:
            side: a generator or a source.
            protocol: with its size filled in.
            name: what messages call it.
            cycle: visit the videos of a source again until there are enough clips (the real side).
        """
        if not isinstance(side, Source):
            return GeneratedClips(name or type(side).__name__.lower(), side, protocol)
        return StoredClips(side, protocol, cycle=cycle, bad=self.index(side), name=name)

    def index(self, source: Source) -> dict[str, str]:
        """Find out about every video of a source, and say which ones cannot be read and why.

        Raises:
            BadVideoError: there is one, and it may not be skipped.
        """
        missing = [video for video in source.videos if not source.indexed(video)]
        if missing:
            bar = iter(self.track(range(len(missing)), f"index {source.name}", len(missing)))
            source.index(missing, workers=self.workers, progress=lambda count: [next(bar, None) for _ in range(count)])
            next(bar, None)
        bad = unreadable(source, source.videos)
        if bad and not self.skip_bad:
            raise BadVideoError(*next(iter(bad.items())))
        return bad

    def key(self, fake: Generator | Source) -> str:
        """Identity of the computation: equal keys give equal values."""
        fingerprint = getattr(fake, "fingerprint", None) or f"made at {time.time_ns()}"
        return identity(self._real_key(self.resolve(fake)), fingerprint)

    def features(self, videos: torch.Tensor) -> torch.Tensor:
        """What the statistics take of clips uint8 `[N, 3, T, H, W]`: features `[N, d]`, or the clips themselves."""
        if self.backbone is None:
            return videos
        with torch.backends.cudnn.flags(allow_tf32=False):
            features: torch.Tensor = self.backbone(videos.to(self.device)).cpu()
        return features

    def _gather(self, clips: Clips, label: str) -> Pass:
        height, width = clips.protocol.size or (1, 1)
        clip_bytes = 3 * clips.protocol.frames * height * width
        batch = self.batch or max(1, min(BATCH_FRAMES // clips.protocol.frames, BATCH_BYTES // clip_bytes))
        return gather(
            clips,
            self.measure.statistics,
            self.features,
            label=f"{self.metric} {label}",
            batch=batch,
            workers=self.workers,
            skip_bad=self.skip_bad,
            track=self.track,
        )

    def _real_key(self, protocol: ClipProtocol) -> str:
        backbone = self.backbone.tensor_hash() if self.backbone is not None else None
        parts = (protocol.hash, self.measure.version, self.real.fingerprint, backbone, "float32", self.skip_bad)
        return identity("statistics", 1, *parts)

    def _real_file(self, protocol: ClipProtocol) -> Path:
        return cache_dir() / "statistics" / f"{self._real_key(protocol)}.safetensors"

    def real_is_cached(self, protocol: ClipProtocol) -> bool:
        """Whether the real side's statistics are at hand."""
        return protocol.hash in self._real_passes or self._real_file(protocol).exists()

    def _real_pass(self, protocol: ClipProtocol) -> Pass:
        """The real side's statistics: kept, read from the cache, or computed and cached."""
        if protocol.hash not in self._real_passes:
            clips = self.clips(self.real, protocol, cycle=True)
            assert isinstance(clips, StoredClips)
            path = self._real_file(protocol)
            done = load_pass(clips, type(self.measure.statistics()), path)
            if done is None:
                done = self._gather(clips, f"real {self.real.name}")
                save_pass(done, path)
            self._real_passes[protocol.hash] = done
        return self._real_passes[protocol.hash]

    def _record(
        self, fake: Generator | Source, side: Pass, real: Pass, result: dict[str, Any], se: float | None, seconds: float
    ) -> Record:
        warnings = [*real.warnings, *side.warnings, *mismatches(self.real, fake)]
        if result.get("rank_deficient"):
            warnings.append(
                "no more clips than features, so the score is biased upwards: compare equal numbers of clips only."
            )
        backbone = self.backbone
        return Record(
            metric=self.metric,
            model=side.clips.name,
            se=se,
            protocol=side.clips.protocol,
            protocol_hash=side.clips.protocol.hash,
            measure_version=self.measure.version,
            backbone=backbone
            and Backbone(name=backbone.name, version=backbone.version, tensor_hash=backbone.tensor_hash()),
            key=self.key(fake),
            warnings=warnings,
            device=self.device,
            seconds=round(seconds, 3),
            fake=describe(fake, side.clips),
            real=describe(self.real, real.clips),
            **result,
        )


def load_backbone(name: str, protocol: ClipProtocol) -> Any:
    """A backbone for a protocol's clips, in evaluation mode.

    Raises:
        UserError: an unknown one, or clips that are too short for it.
    """
    if name == "i3d" and name not in BACKBONES.names():
        raise UserError(
            'The backbone "i3d", the default for everything but the toy sets, is not part of this version.'
            " Use the built-in one: --backbone toy3d."
        )
    backbone = BACKBONES.load(name)().eval()
    if protocol.frames < backbone.min_frames:
        raise UserError(
            f"{name} needs clips of {backbone.min_frames} frames or more; {protocol.name} has {protocol.frames}."
        )
    return backbone
