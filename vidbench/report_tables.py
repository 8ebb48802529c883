"""The tables of a report: comparable records only, with intervals, and what they say in words."""

from collections.abc import Sequence

from scipy.special import stdtrit

from .comparison import CONFIDENCE, difference, told_apart
from .datasets import dataset_names, load_dataset
from .figures import caption, head_of
from .published import published
from .record import Record
from .report_formats import Cell, Table
from .tables import FLOOR, GIVEN_REAL, number, shown_name

REAL = "real"
"""The reference generator that is no competitor: held-out real videos."""
PACES = ("changes too fast", "cannot be told from the data's pace", "changes too slowly")
TRENDS = ("gets better", "no change can be told", "gets worse")


def interval(value: float | None, se: float | None, groups: int) -> tuple[float | None, float | None]:
    """Ends of the 95 % interval: Student's t with one degree of freedom less than jackknife groups."""
    if value is None or se is None or groups < 2:
        return None, None
    reach = float(stdtrit(groups - 1, CONFIDENCE)) * se
    return value - reach, value + reach


def judged(low: float | None, high: float | None, words: tuple[str, str, str]) -> str:
    """What an interval says: it lies below 0, holds it, or lies above."""
    if low is None or high is None:
        return "no error to judge by"
    return words[1 + (low > 0) - (high < 0)]


def leaderboard(group: Sequence[Record]) -> Table:
    """Scores of comparable records, best first, with their intervals and whether they can be told from the best one."""
    group = told_apart(group)
    head, best = head_of(group), best_of(group)
    rows: list[dict[str, Cell]] = []
    for record in group:
        low, high = interval(record.value, record.se, len(record.leave_out))
        rows.append(
            {
                "model": shown_name(record),
                "value": record.value,
                "se": record.se,
                "low": low,
                "high": high,
                "limit": record.extrapolated,
                "clips": f"{record.fake.counts.used}/{record.fake.counts.asked}",
                "verdict": verdict(record, best),
                "key": record.key,
            }
        )
    labels = {
        "model": "model",
        "value": f"{head.value_of} {'↓' if head.better == 'lower' else '↑'}",
        "se": "± se",
        "low": "95 % from",
        "high": "to",
        "limit": "N → ∞",
        "clips": "clips",
        "verdict": "against the best",
    }
    return Table("leaderboard", title_of(head), note_of(group), about(head), labels, rows)


def best_of(group: Sequence[Record]) -> Record | None:
    """The best generator: real videos, and parts of systems that are given some, do not compete."""
    return next((record for record in group if competes(record)), None)


def competes(record: Record) -> bool:
    """Whether a score is a generator's own."""
    return record.model != REAL and not record.floor_of and not record.model.endswith(GIVEN_REAL)


def verdict(record: Record, best: Record | None) -> str:
    """How a score stands against the best generator's, in words."""
    if not competes(record) or best is None:
        return "does not compete"
    if record is best:
        return "best"
    found = difference(record, best).verdict
    words = {"undecided": "cannot be told apart", "unknown": "no error to judge by", "same": "the same"}
    return words.get(found, found)


def pace(group: Sequence[Record]) -> Table:
    """One number a model: the signed area between its colour similarity curve and the data's, with its interval."""
    head = head_of(group)
    rows: list[dict[str, Cell]] = []
    for record in told_apart(group):
        area, se = record.terms.get("signed"), record.terms_se.get("signed")
        low, high = interval(area, se, len(record.leave_out))
        rows.append(
            {
                "model": shown_name(record),
                "area": area,
                "se": se,
                "low": low,
                "high": high,
                "verdict": judged(low, high, PACES),
                "key": record.key,
            }
        )
    labels = {
        "model": "model",
        "area": "signed area",
        "se": "± se",
        "low": "95 % from",
        "high": "to",
        "verdict": "verdict",
    }
    note = (
        f"{note_of(group)} Signed area: mean over t of S(x, t) of the model minus the data's; above 0 the world changes"
        " too slowly, below 0 too fast."
    )
    return Table("pace", title_of(head), note, about(head), labels, rows)


def windows(group: Sequence[Record]) -> Table:
    """Does quality hold: the distance of the first and the last window of long videos, and the slope between."""
    head = head_of(group)
    rows: list[dict[str, Cell]] = []
    for record in told_apart(group):
        assert record.curve is not None
        low, high = interval(record.value, record.se, len(record.leave_out))
        ends = record.curve.mean[0], record.curve.mean[-1]
        rows.append(
            {
                "model": shown_name(record),
                "first": ends[0],
                "last": ends[1],
                "slope": record.value,
                "se": record.se,
                "low": low,
                "high": high,
                "verdict": judged(low, high, TRENDS),
                "key": record.key,
            }
        )
    labels = {
        "model": "model",
        "first": "first window",
        "last": "last window",
        "slope": "slope per 100 frames",
        "se": "± se",
        "low": "95 % from",
        "high": "to",
        "verdict": "verdict",
    }
    return Table("windows", title_of(head), note_of(group), about(head), labels, rows)


def printed(records: Sequence[Record]) -> Table | None:
    """Numbers printed in papers for the data sets or the models of the records; None where there are none."""
    known = set(dataset_names())
    titles = {name: load_dataset(name).title for name in {record.real.name for record in records} & known}
    models = {plain_name(record.model) for record in records}
    rows: list[dict[str, Cell]] = []
    for found in published():
        if found.dataset not in titles.values() and plain_name(found.model) not in models:
            continue
        ours = [
            f"{number(record.value)} ({record.metric})"
            for record in records
            if plain_name(record.model) == plain_name(found.model)
            and titles.get(record.real.name) == found.dataset
            and (found.metric, found.frames) == ("FVD", str(record.protocol.frames))
            and record.protocol.measure == "frechet"
        ]
        rows.append(
            {
                "model": found.model,
                "dataset": found.dataset,
                "metric": f"{found.metric}, {found.frames} frames" if found.frames else found.metric,
                "printed": f"{found.value:g}",
                "paper": f"{found.paper}: {found.table}",
                "ours": ", ".join(dict.fromkeys(ours)) or "not measured",
            }
        )
    labels = {
        "model": "model",
        "dataset": "data set",
        "metric": "metric",
        "printed": "printed",
        "paper": "paper and table",
        "ours": "ours: another protocol",
    }
    note = (
        "Every printed number stands under its own paper's protocol. None may be compared with a score of ours, nor"
        " with one of another table."
    )
    return Table("published", "Printed in papers, under other protocols", note, {}, labels, rows) if rows else None


def plain_name(text: str) -> str:
    """A model's name without what papers and commands write differently."""
    return "".join(filter(str.isalnum, text.lower()))


def title_of(head: Record) -> str:
    """Metric and real set."""
    return f"{head.metric} against {head.real.name}{f' ({head.real.split})' if head.real.split else ''}"


def note_of(group: Sequence[Record]) -> str:
    """The protocol of a group, and the marks that its names bear."""
    head = head_of(group)
    note = f"{caption(head)}, seed {head.protocol.seed}; protocol {head.protocol_hash[:8]} v{head.protocol.version}."
    if any(record.floor_of for record in group):
        note += f" † {FLOOR}."
    if any(record.model.endswith(GIVEN_REAL) for record in group):
        note += " ‡ goes on from real videos: a part of a system, and no generator by itself."
    return note


def about(head: Record) -> dict[str, Cell]:
    """What tells the groups of a CSV apart."""
    return {
        "dataset": head.real.name,
        "metric": head.metric,
        "protocol": head.protocol_hash,
        "real": head.real.fingerprint,
        "numeric_mode": head.numeric_mode,
    }
