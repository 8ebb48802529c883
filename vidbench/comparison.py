"""Scores against the same real videos: which is better, and is the difference more than chance?"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from scipy.special import stdtrit

from .metrics.uncertainty import standard_error
from .record import Record, require_comparable

CONFIDENCE = 0.975  # of a one-sided limit, so that 95 % lie between the two
MANY_CLIPS = 10**6  # more than anyone will make


@dataclass(frozen=True)
class Difference:
    """How two scores differ, and whether that is more than chance."""

    first: str
    """The one model."""
    other: str
    """The other model."""
    value: float
    """The first score minus the other."""
    se: float | None
    """Standard error of that; None where a record does not hold the scores with each group left out."""
    groups: int
    """Jackknife groups that the error rests on, on the side that has fewer."""
    paired: bool
    """Whether the error is that of the differences, group by group; else the two errors are taken as independent, which
    makes it too large rather than too small."""
    limit: float | None
    """Half the width of the 95 % interval (Student's t with one degree of freedom less than groups)."""
    clips: int
    """Clips that the smallest of the four sides has."""
    clips_needed: int | None
    """About how many would decide, two digits, rounded up; None where these do, and where none would."""
    verdict: Literal["better", "worse", "undecided", "same", "unknown"]
    """Of the first; `same`: no digit differs; `unknown`: there is no error to judge by."""


def difference(first: Record, other: Record) -> Difference:
    """Compare two scores by the jackknife of their difference.

    Leaving group k out leaves the same real videos out of both scores, so that what they share cancels: the error is
    the jackknife's (Efron and Stein, 1981) of the values without group k, one minus the other. Where the real clips or
    the groups are not the same ones, the two variances are added.

    Raises:
        UserError: the scores cannot be compared, with every field in which they differ.
    """
    require_comparable([first, other])
    value = first.value - other.value
    groups = min(len(first.leave_out), len(other.leave_out))
    paired = can_be_paired(first, other)
    needed = None
    if paired:
        se = standard_error([a - b for a, b in zip(first.leave_out, other.leave_out, strict=True)])
    else:
        alone = [standard_error(record.leave_out) for record in (first, other)]
        se = None if None in alone else math.hypot(*filter(None, alone))
    limit = None if se is None else float(stdtrit(groups - 1, CONFIDENCE)) * se
    clips = min(side.counts.used for record in (first, other) for side in (record.fake, record.real))
    if value == 0 and first.leave_out == other.leave_out:
        verdict: Literal["better", "worse", "undecided", "same", "unknown"] = "same"
    elif limit is None:
        verdict = "unknown"
    elif abs(value) > limit:
        verdict = "better" if (value < 0) == (first.better == "lower") else "worse"
    else:
        verdict, needed = "undecided", clips_needed(clips, value, limit)
    return Difference(first.model, other.model, value, se, groups, paired, limit, clips, needed, verdict)


def can_be_paired(first: Record, other: Record) -> bool:
    """Whether group k of both is the same real clips."""
    a, b = (
        (record.protocol_hash, record.real.fingerprint, record.real.counts, len(record.leave_out))
        for record in (first, other)
    )
    return a == b and bool(first.leave_out)


def clips_needed(clips: int, value: float, limit: float) -> int | None:
    """About how many clips would decide, as errors fall with the root of their number; rounded up to two digits.

    Args:
        clips: how many there are.
        value: the difference found with them.
        limit: how large it would have to be with them.

    Returns:
        None where the scores are equal.
    """
    if value == 0:
        return None
    exact = clips * (limit / value) ** 2
    if not exact < 1e300:
        return None
    step = int(10 ** max(math.floor(math.log10(exact)) - 1, 0))
    return math.ceil(exact / step) * step


def ranking(records: Sequence[Record]) -> list[tuple[Record, Difference]]:
    """Records with their difference to the best one, best first.

    Raises:
        UserError: two of them cannot be compared.
    """
    require_comparable(records)
    ranked = sorted(records, key=lambda record: record.value, reverse=records[0].better == "higher")
    return [(record, difference(record, ranked[0])) for record in ranked]


def told_apart(records: Sequence[Record]) -> list[Record]:
    """The records, where several scores are of models of one name named with the start of their key as well."""
    named = Counter(model for model, _ in {(record.model, record.key) for record in records})
    return [
        record.named(f"{record.model} ({record.key[:10]})", record.real.name) if named[record.model] > 1 else record
        for record in records
    ]
