"""Numbers printed in papers: for reference only, each under its own table's protocol, never compared with a score."""

import csv
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True)
class Published:
    """One printed number."""

    paper: str
    """Where it was printed."""
    table: str
    """Which table, by content."""
    model: str
    """As the paper calls it."""
    dataset: str
    """As the paper calls it."""
    metric: str
    """FVD, FID, IS and others."""
    frames: str
    """Frames a clip; empty where it means nothing."""
    value: float
    """As printed."""
    source: str
    """Where it was read."""

    @property
    def protocol(self) -> str:
        """The name of its protocol: it may stand beside numbers of the same one only."""
        return f"published:{self.paper}: {self.table}"


def published(dataset: str = "") -> list[Published]:
    """All printed numbers at hand, or those of one data set (by its title, as in `SkyTimelapse`)."""
    text = files("vidbench").joinpath("results", "published", "published_results.csv").read_text()
    return [
        Published(
            paper=row["paper"],
            table=row["table"],
            model=row["model"],
            dataset=row["dataset"],
            metric=row["metric"],
            frames=row["frames"],
            value=float(row["value"]),
            source=row["source"],
        )
        for row in csv.DictReader(text.splitlines())
        if dataset in ("", row["dataset"])
    ]
