"""Does a metric see motion? Spoil real clips by known amounts, score them, and judge the scores.

What is spoilt how stands in `vidbench.metrics.corruptions`, and the rules in `vidbench.metrics.sanity`; here clips are
drawn and read, corruptions run where clips are read, and what comes out becomes a document. Features of the real clips
and of each row are cached, so that an interrupted run goes on where it was.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
import torch
from einops import rearrange
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor
from torch.utils.data import DataLoader

from .clips import StoredClips, quantise
from .draws import draw
from .errors import BadVideoError, UserError
from .evaluator import Evaluator
from .files import atomic_write, cache_dir
from .metrics.corruptions import CORRUPTIONS, VERSION, Corruption, from_bytes, same
from .metrics.sanity import Deal, Row, Trial, deal, disagreements, verdicts
from .passes import cut_of
from .preflight import duration, seconds_of, stock
from .protocol import ClipProtocol
from .record import identity
from .sanity_report import SanityReport, TrialReport
from .sides import describe, indexed

CLIPS = 256  # n
WHOLE, LEAST = 10, 4  # times n: clips for a floor of disjoint draws, and for one whose draws share clips
AS_THEY_ARE = Corruption("real clips", "C", (1,), same)


def check_sanity(evaluator: Evaluator, seeds: Sequence[int]) -> SanityReport:
    """Put a metric to the test on its evaluator's real side.

    Args:
        evaluator: metric, backbone and real videos; its number of clips is n.
        seeds: one trial each.

    Raises:
        UserError: fewer than 4n different clips, with the numbers.
    """
    began = time.monotonic()
    pools = [Pool(evaluator, seed) for seed in seeds]
    trials = [pool.trial() for pool in pools]
    first = pools[0]
    return SanityReport(
        metric=metric_name(evaluator),
        better=first.better,
        passed=all(all(verdicts(trial).values()) for trial in trials),
        clips=first.n,
        trials=[TrialReport.of(trial) for trial in trials],
        disagreements=disagreements(trials),
        real=describe(first.real, first.clips),
        protocol=first.protocol,
        protocol_hash=first.protocol.hash,
        measure_version=evaluator.measure.version,
        backbone=evaluator.described_backbone,
        numeric_mode=evaluator.computed["numeric mode"],
        device=evaluator.device,
        seconds=round(time.monotonic() - began, 3),
    )


def metric_name(evaluator: Evaluator) -> str:
    """Preset and backbone, without a number of clips."""
    name = evaluator.protocol.name.partition("@")[0]
    return name + (f"[{evaluator.backbone_name}]" if evaluator.backbone_name else "")


class Pool:
    """The real clips of one seed: all different, drawn as a protocol draws them.

    Raises:
        UserError: fewer than 4n.
    """

    def __init__(self, evaluator: Evaluator, seed: int) -> None:
        assert evaluator.real is not None
        self.evaluator, self.real, self.seed = evaluator, evaluator.real, seed
        self.protocol = evaluator.resolve(self.real).resolved(seed=seed)
        self.n = self.protocol.clips
        self.better: str = getattr(evaluator.measure, "better", "lower")
        self.bad = evaluator.index(self.real)
        self._draw()

    def _draw(self) -> None:
        """Draw 10n different clips, or as many as there are."""
        for generous in (1, 4):  # a draw may hit some clips again
            protocol = self.protocol.resolved(clips=generous * WHOLE * self.n)
            self.clips = StoredClips(self.real, protocol, cycle=True, bad=self.bad)
            places = {(clip.video.name, clip.start): i for i, clip in reversed(list(enumerate(self.clips.drawn)))}
            self.places = sorted(places.values())[: WHOLE * self.n]
            if len(self.places) == WHOLE * self.n:
                break
        if len(self.places) < LEAST * self.n:
            raise too_few(self.clips.name, len(self.places), self.protocol)

    def trial(self) -> Trial:
        """Score the floor and every row."""
        features = self._features_of_all()
        dealt = deal(len(self.places), self.n, draw(self.seed, "sanity/deal"))
        references = [self._reference(features[drawn.reference]) for drawn in dealt.draws]
        floor = [
            self._compare(features[drawn.fresh], reference)
            for drawn, reference in zip(dealt.draws, references, strict=True)
        ]
        rows = [self._row(corruption, dealt, features, references[0]) for corruption in CORRUPTIONS]
        return Trial(self.seed, tuple(floor), tuple(rows), self.better)

    def _features_of_all(self) -> Tensor:
        """Features of all clips as they are; with `--skip-bad`, drawn anew without what turns out unreadable."""
        while True:
            try:
                return self._features(AS_THEY_ARE, torch.arange(len(self.places)))[:, 0]
            except BadVideoError as error:
                if not self.evaluator.skip_bad:
                    raise
                self.bad = {**self.bad, error.video: error.reason}
                self._draw()

    def _row(self, corruption: Corruption, dealt: Deal, features: Tensor, reference: Any) -> Row:
        own, others = dealt.row(self.n, draw(self.seed, f"sanity/{corruption.name}/clips"))
        uncorrupted = self._compare(features[own], reference)
        order = own.flip(0) if corruption.name == "reorder clips" else own
        spoilt = self._features(corruption, order, others)
        values = [self._compare(spoilt[:, level], reference) for level in range(len(corruption.levels))]
        return Row(corruption.name, corruption.kind, corruption.levels, uncorrupted, tuple(values))

    def _statistics(self, features: Tensor) -> Any:
        statistics = self.evaluator.measure.statistics()
        statistics.update(features)
        return statistics

    def _reference(self, features: Tensor) -> Any:
        """Statistics of reference clips; where a metric compares window by window, of each clip's first window."""
        backbone = self.evaluator.backbone
        return self._statistics(features[:, : backbone.dim] if backbone and self.protocol.window else features)

    def _compare(self, features: Tensor, reference: Any) -> float:
        try:
            return float(self.evaluator.measure.compare(self._statistics(features), reference)["value"])
        except ValueError as error:
            raise UserError(f"{metric_name(self.evaluator)}: {error}") from error

    def _features(self, corruption: Corruption, own: Tensor, others: Tensor | None = None) -> Tensor:
        """Features of some clips at every level, `[N, levels, ...]`; from the cache if they are in it."""
        places = [[self.places[i] for i in part.tolist()] for part in (own, own if others is None else others)]
        clips = [[(self.clips.drawn[i].video.key, self.clips.drawn[i].start) for i in part] for part in places]
        about = [VERSION, self.seed, self.protocol.hash, self.evaluator.computed, self.clips.source.fingerprint]
        name = f"{corruption.name}-{identity(corruption.levels, clips)[:16]}.safetensors".replace(" ", "-")
        path = cache_dir() / "features" / identity("sanity", about) / name
        with suppress(OSError, SafetensorError, KeyError):
            return load_file(path)["features"]
        spoiling = Spoiling(self.clips, places, corruption, self.seed, self.evaluator)
        features = torch.cat(list(spoilt_features(spoiling, self.evaluator, cut_of(self.protocol))))
        with suppress(UserError):  # a cache that cannot be written is no failure
            label = {"label": f"{metric_name(self.evaluator)} sanity check"}
            atomic_write(path, save({"features": features.contiguous()}, label))
        return features


def too_few(name: str, have: int, protocol: ClipProtocol) -> UserError:
    """The error for a source with fewer than 4n different clips."""
    n = protocol.clips
    mend = f", or take --clips {have // LEAST}" if have >= 2 * LEAST else ""
    return UserError(
        f"{name} has {have} different clips of {protocol.frames} frames (stride {protocol.stride}); with n = {n} a"
        f" sanity check needs {LEAST * n}, and {WHOLE * n} for a floor of disjoint draws. Add videos{mend}."
    )


class Spoiling:
    """The clips of a row, spoilt at every level where they are read."""

    def __init__(
        self,
        clips: StoredClips,
        places: Sequence[list[int]],
        corruption: Corruption,
        seed: int,
        evaluator: Evaluator,
    ) -> None:
        self.clips, self.corruption, self.seed = clips, corruption, seed
        self.own, self.others = places
        self.features = evaluator.measure.features if evaluator.backbone is None else None

    def __len__(self) -> int:
        return len(self.own)

    def __getitem__(self, i: int) -> Tensor | BadVideoError:
        """One clip at every level, uint8 `[levels, 3, T, H, W]`; or its features, where they need no backbone."""
        clip = self.clips[self.own[i]]
        other = self.clips[self.others[i]] if self.corruption.needs_other else clip
        for found in (clip, other):
            if isinstance(found, BadVideoError):
                return BadVideoError(found.video, found.reason, self.clips.name)
        pair = [from_bytes(torch.from_numpy(np.ascontiguousarray(each))) for each in (clip, other)]
        name = f"sanity/{self.corruption.name}"
        spoil, levels = self.corruption, self.corruption.levels
        spoilt = [spoil(pair[0], level, draw(self.seed, name, i), pair[1]) for level in levels]
        stacked = torch.from_numpy(quantise(torch.stack(spoilt)))
        return stacked if self.features is None else self.features(stacked)


def spoilt_features(spoiling: Spoiling, evaluator: Evaluator, cut: int) -> Iterator[Tensor]:
    """Features `[n, levels, ...]` of successive clips, a few at a time: as many as the backbone takes at once."""
    batch = max(1, cut // len(spoiling.corruption.levels))
    workers = min(evaluator.workers, -(-len(spoiling) // batch))
    loader: DataLoader[Any] = DataLoader(spoiling, batch, num_workers=workers, collate_fn=list)  # type: ignore[arg-type]
    place = [AS_THEY_ARE, *CORRUPTIONS].index(spoiling.corruption)
    label = f"seed {spoiling.seed}: {spoiling.corruption.name} ({place}/{len(CORRUPTIONS)})"
    for items in evaluator.track(loader, label, len(loader)):
        for item in items:
            if isinstance(item, BadVideoError):
                raise item
        found = torch.stack(items)
        if spoiling.features is None:
            parts = torch.split(rearrange(found, "n l ... -> (n l) ..."), cut)
            found = torch.cat([evaluator.features(part) for part in parts])
            found = rearrange(found, "(n l) ... -> n l ...", n=len(items))
        if not torch.isfinite(found).all():
            raise UserError(f"Features of clips with {spoiling.corruption.name} are not finite.")
        yield found


def preflight(evaluator: Evaluator, seeds: Sequence[int]) -> Iterator[str]:
    """Lines for the user: clips needed and available, and how long it will take; times single clips."""
    assert evaluator.real is not None
    protocol = evaluator.resolve(evaluator.real)
    assert protocol.size is not None
    height, width = protocol.size
    n, needed = protocol.clips, protocol.resolved(clips=WHOLE * protocol.clips)
    yield from dict.fromkeys(f"{evaluator.real.name}: {note}" for note in evaluator.real.notes)
    yield (
        f"{metric_name(evaluator)}: sanity check with n = {n} clips of {protocol.frames} frames, stride"
        f" {protocol.stride}, {height}x{width}, seeds {', '.join(map(str, seeds))}; {len(CORRUPTIONS)} corruptions"
    )
    yield (
        f"  clips needed: {WHOLE * n} different ones a seed, {LEAST * n} at least;"
        f" {stock(evaluator.real, needed, cycle=True)}"
    )
    yield f"expected: {duration(len(seeds) * trial_seconds(evaluator, protocol))} if nothing is cached"


def trial_seconds(evaluator: Evaluator, protocol: ClipProtocol) -> float:
    """How long one trial takes: reading and spoiling are shared by the workers, features are not."""
    real, size = evaluator.real, protocol.size
    assert real is not None
    assert size is not None
    video = next((video for video in indexed(real) if real.info(video).length >= protocol.needed), None)
    if video is None:
        return 0.0
    clip = torch.zeros(3, protocol.frames, *size)
    warp = next(corruption for corruption in CORRUPTIONS if corruption.name == "temporal warp")
    work: dict[str, Callable[[], object]] = {
        "read": partial(real.resized(size).read, video, 0, protocol.span, protocol.stride),
        "spoil": lambda: quantise(warp(clip, 0.1, draw(0, "preflight"), clip)),
        "see": lambda: evaluator.features(torch.zeros(1, *clip.shape, dtype=torch.uint8)),
    }
    seconds = {name: seconds_of(part) for name, part in work.items()}
    spoilt = sum(len(corruption.levels) for corruption in CORRUPTIONS)
    read = WHOLE + sum(1 + corruption.needs_other for corruption in CORRUPTIONS)
    workers = max(evaluator.workers, 1)
    shared = read * seconds["read"] + spoilt * seconds["spoil"]
    return protocol.clips * (shared / workers + (WHOLE + spoilt) * seconds["see"])
