"""Training samples: which video sample i of step s is made from, and the processes that read."""

import signal
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, default_collate

from .draws import draw
from .errors import BadVideoError, UserError
from .sources import Source, Video
from .stage import Stage, Step


class Samples:
    """All training samples of a stage, by (step, sample).

    Videos come in endless shuffled passes; which one a sample is made of is a function of (seed, stage, step, sample).

    Args:
        source: indexed videos.
        stage: makes a sample of a video.
        step: the first step; its seed and batch hold for all.

    Raises:
        UserError: no video is long enough.
    """

    def __init__(self, source: Source, stage: Stage, step: Step) -> None:
        self.source, self.reader, self.step = source, stage.reader, step
        self.videos = [video for video in source.videos if source.length(video) >= stage.frames]
        if not self.videos:
            raise UserError(
                f"No video in {source.name} has the {stage.frames} frames that {stage.name} is trained on. Add longer"
                f" videos, or change the configuration."
            )

    def video(self, index: int, sample: int) -> Video:
        """The video that a sample is made from."""
        position = index * self.step.batch + sample
        count = len(self.videos)
        return self.videos[order(self.step.seed, self.step.stage, position // count, count)[position % count]]

    def __getitem__(self, place: tuple[int, int]) -> dict[str, Tensor] | BadVideoError:
        """One sample, or why its video cannot be read."""
        index, sample = place
        chance = draw(self.step.seed, f"{self.step.stage}/sample/{index}", sample)
        try:
            return self.reader(self.source, self.video(index, sample), chance)
        except BadVideoError as error:
            return error


@lru_cache(maxsize=2)
def order(seed: int, stage: str, visit: int, count: int) -> list[int]:
    """The order of one pass over the videos."""
    shuffled: list[int] = torch.randperm(count, generator=draw(seed, f"{stage}/order", visit)).tolist()
    return shuffled


def collate(samples: list[dict[str, Tensor] | BadVideoError]) -> Any:
    """Samples stacked, or the first reason why there is none."""
    return next((sample for sample in samples if isinstance(sample, BadVideoError)), None) or default_collate(samples)


def batches(samples: Samples, until: int, workers: int) -> Iterator[dict[str, Tensor]]:
    """This process's part of each batch up to step `until`, in order, read ahead by `workers` processes.

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
        yield {name: tensor.to(first.device, non_blocking=True) for name, tensor in batch.items()}


def undisturbed(worker: int) -> None:
    """Ctrl-C, which reaches all processes at once, is for the one that trains."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
