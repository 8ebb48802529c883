"""Names to things: models, data sets, backbones and measures, the built-in ones and a plug-in's by the same door.

Things are entry points, imported when they are asked for. A plug-in is any installed distribution that declares one:

    [project.entry-points."vidbench.models"]
    my-model = "my_package.model:MyModel"
"""

import difflib
from collections.abc import Iterable
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from .errors import UserError


def unknown(kind: str, name: str, known: Iterable[str]) -> UserError:
    """The error for a name that does not exist: the nearest known names first, then all."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    return UserError(f'No {kind} named "{name}".{hint} Known: {", ".join(known) or "none"}.')


class Registry:
    """The things of one kind, by name; a thing is imported on first use.

    Args:
        kind: what one of them is called in messages ("model").
        group: the entry-point group ("vidbench.models").
    """

    def __init__(self, kind: str, group: str) -> None:
        self.kind, self.group = kind, group

    @cached_property
    def _points(self) -> dict[str, EntryPoint]:
        points: dict[str, EntryPoint] = {}
        for point in entry_points(group=self.group):
            taken = points.setdefault(point.name, point)
            if taken.value != point.value:
                raise UserError(
                    f'Two {self.kind}s are named "{point.name}": {taken.value} and {point.value}. Uninstall one.'
                )
        return points

    def names(self) -> list[str]:
        """All names, sorted; imports nothing."""
        return sorted(self._points)

    def load(self, name: str) -> Any:
        """The thing of that name.

        Raises:
            UserError: an unknown name (with the nearest known ones), or a plug-in that cannot be imported.
        """
        if name not in self._points:
            raise unknown(self.kind, name, self._points)
        try:
            return self._points[name].load()
        except Exception as error:
            raise UserError(
                f'The {self.kind} "{name}" ({self.describe_origin(name)}) cannot be imported: {error}.'
            ) from error

    def describe_origin(self, name: str) -> str:
        """Which distribution brings it and where it stands in there."""
        point = self._points[name]
        return f"{point.dist.name if point.dist else 'unknown distribution'}, {point.value}"


MODELS = Registry("model", "vidbench.models")
DATASETS = Registry("data set", "vidbench.datasets")
BACKBONES = Registry("backbone", "vidbench.backbones")
MEASURES = Registry("measure", "vidbench.metrics")
