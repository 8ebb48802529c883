"""Recorded inputs and outputs of the authors' networks and measures, and the checks that run them.

A recording is a `.safetensors` file with `in/...`, `out/...` and `out64/...` tensors. Its metadata names the
`component` that it records as `<folder>/<kind>`. Every module of this package that is not a test serves the folder of
its name: its `CHECKS` maps kinds to functions that take a `Recording` and assert. Folders named `dataset` hold sample
data sets, which other tests read; a file beside a `config.json` holds the weights of a network that recordings are of.
"""

import importlib
import json
import pkgutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open

PENDING: list[str] = []
"""Components whose recordings are left alone, because what they record is not built yet."""


class Recording(NamedTuple):
    path: Path
    config: dict[str, Any]
    tensors: dict[str, torch.Tensor]

    def __getitem__(self, name: str) -> torch.Tensor:
        return self.tensors[name]


def metadata(path: Path) -> dict[str, str]:
    with safe_open(path, "pt") as file:
        return file.metadata() or {}


def load(path: Path) -> Recording:
    with safe_open(path, "pt") as file:
        config = json.loads((file.metadata() or {}).get("config", "{}"))
        return Recording(path, config, {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118


def folders() -> set[str]:
    """The folders that have a module here; a name that begins with an underscore is none."""
    return {module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith(("test_", "_"))}


def collect(root: Path) -> list[Path]:
    """Recordings below `root` that must pass: those that lie in or name a folder with a module, less the pending."""
    return [path for path in sorted(root.rglob("*.safetensors")) if _is_collected(path, root)]


def _is_collected(path: Path, root: Path) -> bool:
    folder, *below = path.relative_to(root).parts
    if "dataset" in below or (path.parent / "config.json").exists():
        return False
    try:
        component = metadata(path).get("component", "")
    except SafetensorError:
        component = ""
    return component not in PENDING and not folders().isdisjoint({folder, component.split("/")[0]})


def check_of(path: Path) -> Callable[[Recording], None]:
    """The function that checks this recording, by the component in its metadata alone.

    Raises:
        LookupError: if there is none.
    """
    component = metadata(path).get("component")
    if component is None:
        raise LookupError(f"{path} has no component in its metadata.")
    folder, _, kind = component.partition("/")
    checks = importlib.import_module(f"{__name__}.{folder}").CHECKS if folder in folders() else {}
    if kind not in checks:
        raise LookupError(f"{path} records {component}, which no check knows and which is not pending.")
    check: Callable[[Recording], None] = checks[kind]
    return check
