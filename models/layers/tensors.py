"""What is read off the tensors of files that systems' authors publish; errors complete a sentence about the file."""

import re
from collections.abc import Mapping

from torch import Tensor


def highest(tensors: Mapping[str, Tensor], pattern: str) -> int:
    """The highest number in names of tensors; -1 if there is none."""
    return max((int(match[1]) for name in tensors if (match := re.fullmatch(pattern, name))), default=-1)


def shape(tensors: Mapping[str, Tensor], name: str, axes: int) -> tuple[int, ...]:
    """The shape of a tensor.

    Raises:
        ValueError: it is missing, empty, or has another number of axes.
    """
    if name not in tensors:
        raise ValueError(f"the tensor {name} is missing")
    found = tuple(tensors[name].shape)
    if len(found) != axes or 0 in found:
        raise ValueError(f"the tensor {name} has shape {list(found)}")
    return found
