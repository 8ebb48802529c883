"""Scoring under one protocol. Part of the stable API; in a training script:

from vidbench import Evaluator

evaluator = Evaluator("fvd16", real="data/train", backbone="toy3d", clips=512)
record = evaluator.score(generator)  # or a tensor [N, 3, T, H, W], or a folder of videos
print(record.value, record.se)
"""

import inspect
import os
import time
from collections.abc import Iterable
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from einops import rearrange

from .backbones import load_backbone
from .clips import Clips, GeneratedClips, StoredClips
from .datasets import DataSet
from .errors import BadVideoError, UserError
from .generator import Generator
from .metrics.uncertainty import extrapolation, jackknife, merged, standard_error
from .passes import Job, Pass, cut_of, gather
from .protocol import ClipProtocol, load_protocol
from .ranks import is_first, world
from .real_stats import RealStats, check_real_stats, load_real_stats, save_real_stats
from .record import Backbone, Record, identity
from .registry import MEASURES
from .sides import Fake, Track, as_side, commonest, describe, index_all, mismatches, open_real
from .sources import Source


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
        precision: of the backbone: `float32`, or `bfloat16` where it offers that (another number, and recorded).
        weights: a file with the backbone's weights; default the cache.
        batch: clips at a time; default so that a batch stays below 64 MiB and 512 frames.
        workers: processes that read clips; default one a core.
        real_stats: a file with the real side's statistics, taken if it exists (`real` need not be there then), and
            written otherwise.
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
        precision: str = "float32",
        weights: Path | None = None,
        batch: int | None = None,
        workers: int | None = None,
        real_stats: Path | None = None,
        track: Track = quiet,
    ) -> None:
        protocol = load_protocol(metric) if isinstance(metric, str) else metric
        taken = real_stats is not None and real_stats.exists()
        self.real: Source | None = None
        card: DataSet | None = None
        if not (taken and real is None):
            self.real, card = open_real(real, split, size)
        if clips is None and card is not None and not (isinstance(metric, str) and "@" in metric):
            clips = card.clips.get(protocol.name)
        seed = protocol.seed if seed is None else seed
        self.protocol = protocol.resolved(clips=clips or protocol.clips, split=self.real and self.real.split, seed=seed)
        self.size, self.skip_bad, self.device, self.batch, self.track = size, skip_bad, device, batch, track
        check_device(device)
        self.workers = max((os.cpu_count() or 1) // world(), 1) if workers is None else workers
        measure = MEASURES.load(protocol.measure)
        windowed = "window" in inspect.signature(measure).parameters
        if windowed != (protocol.window is not None):
            raise UserError(f"{protocol.name}: {protocol.measure} {'needs a' if windowed else 'has no'} window.")
        self.backbone = None
        if measure.needs_backbone:
            name = backbone or (card.backbone if card else "i3d")
            self.backbone = load_backbone(name, protocol, precision, weights).to(device)
            windows = {"window": protocol.window} if protocol.window else {}
            make = partial(measure, self.backbone.dim, biased=protocol.covariance == "n", **windows)
        else:
            make = partial(measure, protocol.frames)
        try:
            self.measure = make()
        except ValueError as error:
            raise UserError(f"{protocol.name}: {error}") from error
        self._rendered = card if card is not None and card.path is None and size is None else None
        self.real_stats = real_stats
        self.taken = load_real_stats(real_stats, type(self.measure.statistics())) if real_stats and taken else None
        if self.taken is not None:
            self.protocol = self.protocol.resolved(split=self.taken.protocol.split)
        self._real_sides: dict[str, RealStats] = {}

    @property
    def backbone_name(self) -> str | None:
        """Name of the backbone; None for metrics on pixels."""
        return None if self.backbone is None else self.backbone.name

    @property
    def described_backbone(self) -> Backbone | None:
        """The backbone as documents have it; None for metrics on pixels."""
        backbone = self.backbone
        return backbone and Backbone(
            name=backbone.name,
            version=backbone.version,
            tensor_hash=backbone.tensor_hash(),
            weights=getattr(backbone, "weights_verdict", None),
        )

    @property
    def metric(self) -> str:
        """Protocol and backbone, such as `fvd16@512[toy3d]`."""
        return self.protocol.name + (f"[{self.backbone.name}]" if self.backbone is not None else "")

    @property
    def real_name(self) -> str:
        """What the real side is called."""
        return self.taken.side.name if self.taken else self.real.name if self.real else "none"

    @cached_property
    def computed(self) -> dict[str, Any]:
        """How features are computed: what statistics must agree in, apart from the protocol."""
        backbone = self.backbone
        described = backbone and {"name": backbone.name, "version": backbone.version, "hash": backbone.tensor_hash()}
        mode = backbone.numeric_mode if backbone is not None else "exact"
        return {"backbone": described or None, "numeric mode": mode, "measure version": self.measure.version}

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

    def score_with_passes(self, fake: Fake, name: str | None = None) -> tuple[Record, Pass, RealStats]:
        """`score`, and the two sides that it rests on."""
        began = time.monotonic()
        fake = as_side(fake, self.size)
        protocol = self.resolve(fake)
        if self._rendered is not None and self.real is not None:  # rather than resizing what was rendered
            self.real = self._rendered.source(self.real.split, protocol.size)
        clips = self.clips(fake, protocol, name)
        real = self._real_side(protocol)
        side = gather(clips, self._job(fake, protocol, clips.name))
        result = self._compare(side.groups, real.groups)
        return self._record(fake, side, real, result, time.monotonic() - began), side, real

    def _compare(self, fake: list[Any], real: list[Any]) -> dict[str, Any]:
        """The measure's result for the groups of both sides, and how sure it is, as fields of a record."""
        compare = self.measure.compare
        try:
            result: dict[str, Any] = compare(merged(fake), merged(real))
        except ValueError as error:
            raise UserError(f"{self.metric}: {error}") from error
        try:
            without = jackknife(compare, fake, real)
        except ValueError:  # what is left is too little for the measure
            without = []
        left_out = [float(part["value"]) for part in without]
        result |= {"se": standard_error(left_out), "leave_out": left_out}
        terms = {name for name in result.get("terms", {}) if without and all(name in part["terms"] for part in without)}
        result["terms_se"] = {name: standard_error([part["terms"][name] for part in without]) for name in sorted(terms)}
        if "curve" in result and "std" not in result["curve"]:
            curves = zip(*(part["curve"]["mean"] for part in without), strict=True)
            result["curve"]["se"] = [standard_error(points) for points in curves] if without else None
        if getattr(self.measure, "falls_with_clips", False):
            result["extrapolated"] = extrapolation(compare, fake, real)
        return result

    def resolve(self, fake: Generator | Source) -> ClipProtocol:
        """The protocol with the size of the clips filled in."""
        own = self.taken.protocol.size if self.taken else None
        size = self.size or own or (commonest(fake, "size") if isinstance(fake, Source) else fake.size)
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
        drawn = protocol.of_real if cycle else protocol
        return StoredClips(side, drawn, cycle=cycle, bad=self.index(side), name=name)

    def index(self, source: Source) -> dict[str, str]:
        """Find out about every video of a source, and say which ones cannot be read and why.

        Raises:
            BadVideoError: there is one, and it may not be skipped.
        """
        bad = index_all(source, self.workers, self.track)
        if bad and not self.skip_bad:
            raise BadVideoError(*next(iter(bad.items())), source.name)
        return bad

    def key(self, fake: Generator | Source) -> str:
        """Identity of the computation: equal keys give equal values."""
        protocol = self.resolve(fake)
        real = self.taken.key if self.taken else self.real and self._side_key(self.real, protocol.of_real)
        made = self._side_key(fake, protocol) or f"made at {time.time_ns()}"
        return identity(real, made, self.skip_bad)

    def cached_blocks(self, side: Generator | Source, protocol: ClipProtocol) -> int:
        """How many of a side's blocks of features may be in the cache."""
        return len(list(self._job(side, protocol, "").folder.glob("*.safetensors")))

    def features(self, videos: torch.Tensor) -> torch.Tensor:
        """What statistics take of clips uint8 `[N, 3, T, H, W]`: `[N, d]`; without TF32, whatever the user has set."""
        if self.backbone is None:
            shared: torch.Tensor = self.measure.features(videos)
            return shared
        windows = rearrange(videos, "n c (k t) h w -> (n k) c t h w", t=self.protocol.seen)
        with torch.backends.cudnn.flags(allow_tf32=False):
            features: torch.Tensor = self.backbone(windows.to(self.device)).cpu()
        return rearrange(features, "(n k) d -> n (k d)", n=len(videos))

    def _side_key(self, side: Generator | Source, protocol: ClipProtocol) -> str | None:
        """Identity of one side's features; None for a generator that states no fingerprint."""
        fingerprint: str | None = getattr(side, "fingerprint", None)
        return fingerprint and identity("features", 1, protocol.hash, self.computed, fingerprint)

    def _job(self, side: Generator | Source, protocol: ClipProtocol, label: str) -> Job:
        return Job(
            statistics=self.measure.statistics,
            features=self.measure.features if self.backbone is None else self.features,
            in_workers=self.backbone is None,
            key=self._side_key(side, protocol),
            label=f"{self.metric} {label}",
            batch=self.batch or cut_of(protocol),
            workers=self.workers,
            skip_bad=self.skip_bad,
            track=self.track,
        )

    def _real_side(self, protocol: ClipProtocol) -> RealStats:
        """The real side: made once a size, or taken from a file."""
        if self.taken is not None and self.real_stats is not None:
            check_real_stats(self.taken, self.real_stats, protocol, self.computed)
            return self.taken
        if protocol.hash not in self._real_sides:
            self._real_sides[protocol.hash] = self._make_real_side(protocol)
        return self._real_sides[protocol.hash]

    def _make_real_side(self, protocol: ClipProtocol) -> RealStats:
        real = self.real
        assert real is not None
        done = gather(self.clips(real, protocol, cycle=True), self._job(real, protocol.of_real, f"real {real.name}"))
        side, key = describe(real, done.clips), self._side_key(real, protocol.of_real)
        stats = RealStats(protocol, self.computed, side, key, done.groups, done.warnings, done.first)
        if self.real_stats is not None and is_first():
            save_real_stats(stats, self.real_stats)
        return stats

    def _record(
        self,
        fake: Generator | Source,
        side: Pass,
        real: RealStats,
        result: dict[str, Any],
        seconds: float,
    ) -> Record:
        warnings = [*real.warnings, *side.warnings, *(mismatches(self.real, fake) if self.real else ())]
        if result.get("rank_deficient") and getattr(self.measure, "falls_with_clips", False):
            warnings.append(
                "no more clips than features, so the score is biased upwards: compare equal numbers of clips only."
            )
        backbone = self.backbone
        if backbone is not None and hasattr(backbone, "caveat"):
            warnings.append(f"{backbone.name} {backbone.caveat}.")
        if backbone is not None and not getattr(backbone, "weights_proven", True):
            warnings.append(f"the weights of {backbone.name} are not proven ({backbone.weights_verdict}).")
        return Record(
            metric=self.metric,
            model=side.clips.name,
            value_of=getattr(self.measure, "value_of", "value"),
            better=getattr(self.measure, "better", "lower"),
            protocol=side.clips.protocol,
            protocol_hash=side.clips.protocol.hash,
            measure_version=self.measure.version,
            backbone=self.described_backbone,
            numeric_mode=self.computed["numeric mode"],
            key=self.key(fake),
            checkpoint_hash=getattr(fake, "checkpoint_hash", None),
            checkpoint=getattr(fake, "checkpoint", None),
            warnings=warnings,
            device=self.device,
            seconds=round(seconds, 3),
            fake=describe(fake, side.clips),
            real=real.side,
            **result,
        )


def check_device(device: str) -> None:
    """Refuse a device that this machine does not have.

    Raises:
        UserError: its name means nothing, or nothing here.
    """
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0][:100]
        raise UserError(f'There is no device "{device}" here ({reason}). Use --device cpu.') from error
