"""Two processes that train one stage together: threads in their place."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import torch
from torch import Tensor

from vidbench.stage import Stage, Step


def together(update: Callable[..., Any], make: Callable[[], Stage], index: int, monkeypatch: Any) -> list[Stage]:
    """The stages of two processes after a step that they share.

    Args:
        update: one training step, of (stage, index, rank, world).
        make: makes the stage at its beginning.
        index: of the step.
        monkeypatch: of the test.
    """
    meeting, given = Barrier(2, timeout=60), [torch.empty(0)] * 2

    def mean(self: Step, value: Tensor) -> Tensor:
        given[self.rank] = value.detach().clone()
        meeting.wait()
        result = (given[0] + given[1]) / 2
        meeting.wait()
        return result

    stages = [make(), make()]
    with monkeypatch.context() as patch, ThreadPoolExecutor(2) as threads:
        patch.setattr(Step, "mean", mean)
        running = [threads.submit(update, stage, index, rank, 2) for rank, stage in enumerate(stages)]
        for share in running:
            share.result()
    return stages
