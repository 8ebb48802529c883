"""Data sets: their cards (`configs/datasets/*.yaml`, or a plug-in's) and the sources that they name."""

import hashlib
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from pydantic import Field

from . import config
from .errors import UserError
from .registry import DATASETS, unknown
from .sources import Info, Source, Video, open_source
from .sources.index import Index

DEFAULT = "toy-ride"
Render = Callable[[str, np.ndarray, tuple[int, int]], np.ndarray]


class DataSet(config.Config):
    """The card of a data set: what it is, where it comes from, where it lies, how it is scored by default."""

    name: str
    """Its name on the command line."""
    title: str
    """Its name in print."""
    about: str
    """One line: what the videos show."""
    licence: str
    """Name of the licence and where to read it; vidbench ships no data set."""
    home: str
    """Where it comes from."""
    paper: str = ""
    """Who published it."""
    fps: float | None = None
    """Frames a second; None where its home does not say."""
    path: str | None = None
    """Where it lies below `VIDBENCH_DATA`; None for a procedural set."""
    splits: tuple[str, ...] = ()
    """Its splits; the first is the one that papers score against."""
    videos: int = 0
    """Of a procedural set: how many videos a split lists."""
    frames: int = 0
    """Of a procedural set: how long each video is."""
    backbone: str = "i3d"
    """The backbone that scores it unless another is asked for."""
    clips: dict[str, int] = Field(default_factory=dict)
    """Clips of each metric unless another number is asked for; the metric's own number where it says nothing."""

    def source(self, split: str | None = None, size: tuple[int, int] | None = None) -> Source:
        """The videos of one split (default: the first).

        Args:
            split: one of `splits`.
            size: height and width; procedural sets render at it (default 32 x 32), others choose a stored resolution.

        Raises:
            UserError: an unknown split, or a data set that is not at hand.
        """
        if split is not None and self.splits and split not in self.splits:
            raise unknown(f"split of {self.name}", split, self.splits)
        if self.path is None:
            return render_source(self, split or self.splits[0], size or (32, 32))
        root = os.environ.get("VIDBENCH_DATA")
        if root is None or not (Path(root) / self.path).exists():
            where = f"{root} has no {self.path}" if root else "VIDBENCH_DATA is not set"
            raise UserError(
                f"The data set {self.name} is not at hand ({where}). Get it from {self.home}, put it into"
                f" $VIDBENCH_DATA/{self.path}, or name a folder with --real."
            )
        source = open_source(Path(root) / self.path, split=split, size=size)
        source.fps = self.fps
        return source


@dataclass(frozen=True)
class Rendered:
    """One procedural video, rendered where it is read."""

    render: Render
    video: str
    shape: Info

    def probe(self) -> Info:
        """What the video is; costs nothing."""
        return self.shape

    def read(self, info: Info, times: np.ndarray) -> Iterator[np.ndarray]:
        """Frames at `times`, uint8 `[3, T, H, W]`."""
        yield self.render(self.video, times, info.size)


@cache
def rendered(render: Render, split: str, count: int, shape: Info) -> tuple[Video, ...]:
    """The videos of a split of a procedural set, listed once: a suite opens it many times."""
    names = [f"{index:06d}" for index in range(count)]
    return tuple(Video(name, name, Rendered(render, f"{split}/{name}", shape)) for name in names)


def render_source(card: DataSet, split: str, size: tuple[int, int]) -> Source:
    """A procedural data set as a source; the fingerprint changes with the renderer's version."""
    render: Render = DATASETS.load(card.name)
    version = sys.modules[render.__module__].VERSION
    shape = Info(length=card.frames, size=size, fps=card.fps, codec="rendered")
    videos = [*rendered(render, f"{card.name}/{split}", card.videos, shape)]
    identity = f"{card.name}/{version}/{split}/{size}/{card.videos}/{card.frames}"
    index = Index()
    for video in videos:
        index.put(video, shape)
    fingerprint = hashlib.sha256(identity.encode()).hexdigest()
    return Source(card.name, videos, fingerprint, split=split, splits=card.splits, index=index)


def dataset_names() -> list[str]:
    """Names of all data sets, shipped and plugged in."""
    return sorted({*config.names("datasets"), *DATASETS.names()})


def load_dataset(name: str) -> DataSet:
    """The card of a data set: a shipped one, a plug-in's `DataSet`, or a user's YAML file.

    Raises:
        UserError: an unknown name, or a file with a wrong key or value.
    """
    if name.endswith((".yaml", ".yml")):
        return config.load(DataSet, Path(name))
    if name in config.names("datasets"):
        return config.shipped(DataSet, "datasets", name)
    if name not in DATASETS.names():
        raise unknown("data set", name, dataset_names())
    card: DataSet = DATASETS.load(name)
    return card
