"""Does a metric see motion? Verdicts on its scores of real clips that were spoilt by known amounts.

After the noise study of FVD (Unterthiner et al., 2018) and the study of its content bias (Ge et al., CVPR 2024), with
levels, pairing and thresholds of our own. All is on numbers: what was spoilt how is in `vidbench.metrics.corruptions`.

1. Order: scores strictly rise over levels 2 to 5 of every `S` and `T` row; a pair of levels of which one has |z| < 3
   is not judged.
2. Detection: z > 5 at level 3 of every `T` row, of noise, blur and contrast, and at every level of `D` rows.
3. Controls: |z| < 3 in `C` rows.
4. Motion matters: temporal warp over static warp, as v - v0 with the divisor at least s, is above 1.5 at levels 2 to 4.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
import torch

DRAWS = 8
"""How many draws of real clips make the floor."""
SEEN, UNSEEN = 5.0, 3.0
"""Deviations of the floor beyond which a corruption is seen, and below which nothing is."""
BIAS = 1.5
"""What temporal over static warp must exceed."""
PLAIN = ("noise", "blur", "contrast")
"""Corruptions of frames that every metric must see."""


class Draw(NamedTuple):
    """Indices of reference clips `[2n]` and of fresh clips `[n]` that a draw of the floor compares."""

    reference: torch.Tensor
    fresh: torch.Tensor


class Deal(NamedTuple):
    """The draws of the floor, and the clips that rows draw from; the reference of rows is the first draw's."""

    draws: list[Draw]
    rest: torch.Tensor

    def row(self, n: int, chance: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Indices of a row's own n clips and of n others, no two of them equal."""
        picked = self.rest[torch.randperm(len(self.rest), generator=chance)]
        return picked[:n], picked[n : 2 * n]


def deal(available: int, n: int, chance: torch.Generator) -> Deal:
    """Deal clips to the reference (2n), to the eight draws of the floor (n each), and to the rows.

    From 10n clips on the eight draws are disjoint and have one reference. With fewer, every draw deals all clips anew,
    its reference too.

    Raises:
        ValueError: for fewer than 4n clips.
    """
    if available < 4 * n:
        raise ValueError(f"{4 * n} clips are needed for n = {n}; there are {available}.")
    order = torch.randperm(available, generator=chance)
    if available >= 10 * n:
        rest = order[2 * n : 10 * n]
        return Deal([Draw(order[: 2 * n], fresh) for fresh in torch.split(rest, n)], rest)
    orders = [order, *(torch.randperm(available, generator=chance) for _ in range(DRAWS - 1))]
    return Deal([Draw(order[: 2 * n], order[2 * n : 3 * n]) for order in orders], order[2 * n :])


@dataclass(frozen=True)
class Row:
    """Scores of one corruption, all of the same clips."""

    name: str
    kind: str
    """`S`, `T`, `D`, `C` or `R`: see `Corruption`."""
    levels: tuple[float, ...]
    uncorrupted: float
    """v0: the score of the row's clips as they are."""
    values: tuple[float, ...]
    """v: the score at each level."""


class Check(NamedTuple):
    """One verdict."""

    rule: int
    row: str
    passed: bool
    detail: str


@dataclass(frozen=True)
class Trial:
    """All rows of one seed, and the floor that they stand on."""

    seed: int
    floor: tuple[float, ...]
    """Scores of fresh real clips."""
    rows: tuple[Row, ...]
    better: str = "lower"
    """Which scores are the better ones; where it is `higher`, z and the rules are on negated scores."""

    @property
    def mean(self) -> float:
        """f: mean of the floor."""
        return float(np.mean(self.floor))

    @property
    def std(self) -> float:
        """s: standard deviation of the floor (n - 1); not below a billionth of its size, where it may be zero."""
        return max(float(np.std(self.floor, ddof=1)), 1e-9 * abs(self.mean), 1e-300)

    def rise(self, row: Row) -> list[float]:
        """By how much each level is worse than the same clips as they are."""
        sign = -1 if self.better == "higher" else 1
        return [sign * (value - row.uncorrupted) for value in row.values]

    def z(self, row: Row) -> list[float]:
        """The same in deviations of the floor."""
        return [rise / self.std for rise in self.rise(row)]

    def ratio(self, row: Row) -> list[float] | None:
        """Scores over the floor; None where that means nothing: scores that may be negative, or better when higher."""
        if self.better == "higher" or min(*self.floor, *row.values) <= 0:
            return None
        return [value / self.mean for value in row.values]

    def content_bias(self) -> list[float]:
        """Temporal over static warp, level by level: how much more a metric minds motion that is spoilt than frames."""
        temporal, static = (self.rise(row) for name in ("temporal warp", "static warp") for row in [self.row(name)])
        return [moving / max(still, self.std) for moving, still in zip(temporal, static, strict=True)]

    def row(self, name: str) -> Row:
        """A row by its corruption's name."""
        return next(row for row in self.rows if row.name == name)

    def checks(self) -> list[Check]:
        """Every verdict of rules 1 to 4."""
        return [*self._order(), *self._detection(), *self._controls(), self._motion()]

    def _order(self) -> Iterator[Check]:
        for row in self.rows:
            if row.kind in ("S", "T"):
                rise, z = self.rise(row), self.z(row)
                judged = [level for level in range(1, len(z)) if abs(z[level]) >= UNSEEN]
                falls = [f"{b + 1} not above {a + 1}" for a, b in combinations(judged, 2) if rise[b] <= rise[a]]
                yield Check(1, row.name, not falls, f"level {', level '.join(falls)}" if falls else "rises")

    def _detection(self) -> Iterator[Check]:
        for row in self.rows:
            if row.kind in ("T", "D") or row.name in PLAIN:
                z = self.z(row)
                judged = range(len(z)) if row.kind == "D" else [2]
                detail = ", ".join(f"level {level + 1}: z {z[level]:.1f}" for level in judged)
                yield Check(2, row.name, all(z[level] > SEEN for level in judged), detail)

    def _controls(self) -> Iterator[Check]:
        for row in self.rows:
            if row.kind == "C":
                z = self.z(row)
                yield Check(3, row.name, all(abs(value) < UNSEEN for value in z), f"z {z[0]:.1g}")

    def _motion(self) -> Check:
        judged = self.content_bias()[1:4]
        detail = "content bias index " + ", ".join(f"{value:.3g}" for value in judged)
        return Check(4, "temporal warp", all(value > BIAS for value in judged), detail)


def verdicts(trial: Trial) -> dict[int, bool]:
    """Whether each of rules 1 to 4 holds."""
    checks = trial.checks()
    return {rule: all(check.passed for check in checks if check.rule == rule) for rule in (1, 2, 3, 4)}


def disagreements(trials: Sequence[Trial]) -> list[int]:
    """Rule 5: the rules on which seeds do not agree."""
    found = [verdicts(trial) for trial in trials]
    return [rule for rule in (1, 2, 3, 4) if len({verdict[rule] for verdict in found}) > 1]
