"""The real side's statistics as one file, to hand to a colleague: she scores against it without having the videos."""

import json
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save

from .clips import GROUPS
from .errors import UserError
from .files import atomic_write
from .protocol import ClipProtocol
from .record import Side, difference_of


@dataclass(frozen=True)
class RealStats:
    """One real side under one protocol."""

    protocol: ClipProtocol
    """With its size and split filled in."""
    computed: dict[str, Any]
    """Backbone, precision and version of the measure."""
    side: Side
    """What the videos are."""
    key: str | None
    """Identity of the features."""
    groups: list[Any]
    """Statistics of each jackknife group."""
    warnings: list[str]
    """What looked suspicious."""
    first: list[np.ndarray] = field(default_factory=list)
    """The first clips, for contact sheets; not in the file, which holds no pictures."""


def save_real_stats(stats: RealStats, path: Path) -> None:
    """Write a real side, whole or not at all."""
    tensors = {
        f"{k}/{name}": torch.as_tensor(value)
        for k, group in enumerate(stats.groups)
        for name, value in group.state_dict().items()
    }
    about = {
        "protocol": stats.protocol.model_dump(mode="json"),
        "computed": stats.computed,
        "side": stats.side.model_dump(mode="json"),
        "key": stats.key,
        "warnings": stats.warnings,
    }
    atomic_write(path, save(tensors, {"vidbench real statistics": json.dumps(about)}))


def load_real_stats(path: Path, statistics: Any) -> RealStats:
    """Read a real side; `statistics` is the class of one group's statistics.

    Raises:
        UserError: the file is something else, or damaged.
    """
    try:
        with safe_open(path, "pt") as file:
            about = json.loads(file.metadata()["vidbench real statistics"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        groups = [
            statistics.from_state_dict(
                {name.partition("/")[2]: t for name, t in tensors.items() if name.startswith(f"{k}/")}
            )
            for k in range(GROUPS)
        ]
        reduce(lambda total, group: total.merge(group), groups)  # which they can be if they fit together
        protocol, side = ClipProtocol(**about["protocol"]), Side(**about["side"])
        return RealStats(protocol, dict(about["computed"]), side, about["key"], groups, list(about["warnings"]))
    except Exception as error:  # whatever a file from outside makes safetensors, JSON, torch and the statistics raise
        raise UserError(f"{path} does not hold real statistics of vidbench, or is damaged. Write it anew.") from error


def check_real_stats(stats: RealStats, path: Path, protocol: ClipProtocol, computed: dict[str, Any]) -> None:
    """Refuse statistics that were made otherwise than the score asked for.

    Raises:
        UserError: with every field that differs.
    """
    theirs, ours = ({**part.identity, **how} for part, how in ((stats.protocol, stats.computed), (protocol, computed)))
    if found := difference_of(theirs, ours):
        raise UserError(f"{path} and the score asked for do not belong together: {'; '.join(found)}.")
