"""vidbench: trains, samples, scores and compares video generators under explicit, recorded protocols.

The stable API, imported when it is used:

- `Evaluator`: scores a generator, a tensor or a folder inside anyone's script.
- `Generator`: the interface of everything that makes videos.
- `open_source`: videos in any layout, with random access to frames.
- `UserError`: the exception for every mistake that a user can mend.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .errors import UserError
    from .evaluator import Evaluator
    from .generator import Generator
    from .sources import open_source

__all__ = ["Evaluator", "Generator", "UserError", "open_source"]

_HOMES = {"Evaluator": "evaluator", "Generator": "generator", "UserError": "errors", "open_source": "sources"}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("vidbench")
    if name not in _HOMES:
        raise AttributeError(f"module 'vidbench' has no attribute '{name}'")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
