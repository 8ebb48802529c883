"""Training samples: which video sample i of step s is made from, and the processes that read."""

import math
import os
import signal
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, default_collate

from .draws import draw
from .errors import BadVideoError, UserError
from .sources import Source, Video
from .stage import Batches, Stage, Step


class Samples:
    """All training samples of a stage, by (step, sample).

    Videos come in endless shuffled passes, each as often as it weighs; which one a sample is made of is a function of
    (seed, stage, step, sample).

    Args:
        source: indexed videos.
        stage: makes a sample of a video.
        step: the first step; its seed and batch hold for all.

    Raises:
        UserError: no video is long enough.
    """

    def __init__(self, source: Source, stage: Stage, step: Step) -> None:
        self.source, self.reader, self.reads, self.step = source, stage.reader, dict(stage.reads), step
        self.videos = [video for video in source.videos if source.length(video) >= stage.frames]
        if not self.videos:
            longest = max((source.length(video) for video in source.videos), default=0)
            enough = [change for change, frames in stage.shorter.items() if frames <= longest]
            mend = f"give --set {' or '.join(enough)}" if enough else "change the configuration"
            raise UserError(
                f"No video in {source.name} has the {stage.frames} frames that {stage.name} is trained on; the longest"
                f" has {longest}. Add longer videos, or {mend}."
            )
        weights = [stage.weight(source.length(video)) for video in self.videos]
        self.ends = [end // math.gcd(*weights) for end in accumulate(weights)]

    def video(self, name: str, index: int, sample: int) -> Video:
        """The video that a sample of a batch is made from; the batches of a name have passes of their own."""
        position = index // self.reads[name] * self.step.batch + sample
        visit, place = divmod(position, self.ends[-1])
        shuffled = order(self.step.seed, f"{self.step.stage}/{name}", visit, self.ends[-1])
        return self.videos[bisect_right(self.ends, int(shuffled[place]))]

    def __getitem__(self, place: tuple[int, int]) -> dict[str, dict[str, Tensor]] | BadVideoError:
        """One sample of each batch that a step reads, or why a video cannot be read."""
        index, sample = place
        try:
            return {name: self._read(name, index, sample) for name, every in self.reads.items() if index % every == 0}
        except BadVideoError as error:
            return error

    def _read(self, name: str, index: int, sample: int) -> dict[str, Tensor]:
        chance = draw(self.step.seed, f"{self.step.stage}/sample/{name}/{index}", sample)
        return self.reader(self.source, self.video(name, index, sample), chance)


@lru_cache(maxsize=8)
def order(seed: int, name: str, visit: int, count: int) -> Tensor:
    """The order of one pass over the videos."""
    return torch.randperm(count, generator=draw(seed, f"{name}/order", visit))


def collate(samples: list[dict[str, dict[str, Tensor]] | BadVideoError]) -> Any:
    """Samples stacked, or the first reason why there is none."""
    return next((sample for sample in samples if isinstance(sample, BadVideoError)), None) or default_collate(samples)


def batches(samples: Samples, until: int, workers: int) -> Iterator[Batches]:
    """This process's part of the batches of each step up to step `until`, in order, read ahead by `workers` processes.

    Raises:
        UserError: a video cannot be read.
    """
    first = samples.step
    places: Any = ([(index, sample) for sample in first.samples] for index in range(first.index, until))
    loader: DataLoader[Any] = DataLoader(
        samples,  # type: ignore[arg-type]
        batch_sampler=places,
        num_workers=workers,
        collate_fn=collate,
        pin_memory=first.device != "cpu",
        worker_init_fn=undisturbed,
    )
    for batch in loader:
        if isinstance(batch, BadVideoError):
            raise UserError(f"{batch.source}/{batch.video} cannot be read ({batch.reason}). Repair or remove it.")
        yield {
            name: {key: tensor.to(first.device, non_blocking=True) for key, tensor in part.items()}
            for name, part in batch.items()
        }


def undisturbed(worker: int) -> None:
    """Ctrl-C, which reaches all processes at once, is for the one that trains."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def processors_shared(workers: int) -> Iterator[None]:
    """Leave a processor to each process that reads: threads that wait for one another are slow where one of them waits.

    A user's OMP_NUM_THREADS, or torchrun's, stands.
    """
    before = torch.get_num_threads()
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(before - workers, 1))
    try:
        yield
    finally:
        torch.set_num_threads(before)
