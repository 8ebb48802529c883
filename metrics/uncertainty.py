"""How sure a score is: its standard error, and what it would be with infinitely many clips.

Both work on the statistics of groups of videos, whatever the measure: objects with `count` and `merge`. Clips of one
video are in one group, so that neither is misled by clips that resemble each other.
"""

from collections.abc import Callable, Sequence
from functools import reduce
from itertools import accumulate
from typing import Any

import numpy as np

Compare = Callable[[Any, Any], dict[str, Any]]
"""A measure: statistics of the generated and of the real side to a dict with a `value`."""


def standard_error(left_out: Sequence[float]) -> float | None:
    """The jackknife's standard error of a number, from its values with each of G groups left out.

    se^2 = (G - 1) / G * sum over k of (value_k - their mean)^2. None for fewer than three groups.
    """
    values = np.array(left_out)
    if len(values) < 3:
        return None
    return float(np.sqrt((len(values) - 1) / len(values) * np.sum((values - values.mean()) ** 2)))


def aligned(fake: Sequence[Any], real: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Equally many groups on both sides: empty ones dropped, and those of the side that has more dealt out anew."""
    filled = [[group for group in side if group.count] for side in (fake, real)]
    count = min(map(len, filled))
    fake, real = ([merged(side[k::count]) for k in range(count)] for side in filled)
    return fake, real


def merged(groups: Sequence[Any]) -> Any:
    """The statistics of several groups together."""
    return reduce(lambda first, other: first.merge(other), groups)


def leave_one_out(groups: Sequence[Any]) -> list[Any]:
    """The statistics without each of the groups, by 3 G merges.

    Whatever is before a group is merged with whatever is behind it. Taking a group's moments off the total would do
    with fewer, at the price of digits where one group dominates, and only for statistics that can be taken off.
    """
    if len(groups) < 2:
        raise ValueError(f"To leave one group out takes at least 2; there are {len(groups)}.")
    before = list(accumulate(groups, lambda first, other: first.merge(other)))
    behind = list(accumulate(reversed(groups), lambda first, other: other.merge(first)))[::-1]
    inner = [before[k - 1].merge(behind[k + 1]) for k in range(1, len(groups) - 1)]
    return [behind[1], *inner, before[-2]]


def jackknife(compare: Compare, fake: Sequence[Any], real: Sequence[Any]) -> list[dict[str, Any]]:
    """What a measure gives with each group of videos left out, of both sides at once (Quenouille, 1956; Tukey, 1958).

    A bootstrap would be wrong for distances that fall with the number of clips: clips drawn twice lower the effective
    number, and its mean lies far above the estimate.

    Args:
        compare: the measure.
        fake: statistics of the groups of the generated side; `real` likewise. Group k of both is left out together.

    Returns:
        One result a group; none where there are fewer than three groups.
    """
    fake, real = aligned(fake, real)
    if len(fake) < 3:
        return []
    return [compare(*sides) for sides in zip(leave_one_out(fake), leave_one_out(real), strict=True)]


def extrapolation(compare: Compare, fake: Sequence[Any], real: Sequence[Any]) -> float | None:
    """A distance extrapolated to infinitely many clips (Chong and Forsyth, CVPR 2020).

    The bias of a Fréchet distance falls with one over the number of clips. The distances between the four quarters of
    both sides, between their two halves, and between the wholes are fitted by a line in that (least squares), whose
    value at 0 is the estimate. It spreads over draws about as the distance itself does. Quarters that have no more
    clips than features are left out of the fit: their bias falls otherwise.

    Args:
        compare: the measure.
        fake: statistics of the groups of the generated side; `real` likewise.

    Returns:
        None where there are fewer than eight groups, or where a half has no more clips than features.
    """
    fake, real = aligned(fake, real)
    if len(fake) < 8:
        return None
    parts = [slice(start, None, step) for step in (1, 2, 4) for start in range(step)]
    results = [compare(merged(fake[part]), merged(real[part])) for part in parts]
    if any(result["rank_deficient"] for result in results[:3]):
        return None
    fitted = [k for k, result in enumerate(results) if not result["rank_deficient"]]
    sizes = [len(fake) / len(fake[parts[k]]) for k in fitted]
    line = np.polynomial.Polynomial.fit(sizes, [results[k]["value"] for k in fitted], 1)
    return float(line(0.0))
