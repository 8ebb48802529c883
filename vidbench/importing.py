"""Importing: from files that a system's authors published to a run that can be sampled and scored."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from .checkpoints import About, file_hash, save_checkpoint
from .errors import UserError
from .files import atomic_write, check_writable
from .runs import load_system
from .stage import Imported, System
from .weights.snapshots import open_snapshot

FPS = 25.0
"""Frames a second, where neither the user nor the file says any."""


@dataclass(frozen=True)
class Import:
    """Files that were read and checked, and where they go."""

    model: str
    """Registered name of the system."""
    system: type[System]
    """Its class."""
    found: Imported
    """What is in the files."""
    fps: float
    """Frames a second."""
    sources: dict[str, str]
    """SHA-256 by the file's name."""
    folder: Path
    """`<out>/<model>/imported-<stem>`."""

    def describe(self) -> dict[str, Any]:
        """What a run's `config.yaml` says: where it is from, and the configuration that was found."""
        return {
            "model": self.model,
            "imported": self.sources,
            "fps": self.fps,
            "config": self.found.config.model_dump(mode="json"),
        }

    def networks(self) -> list[str]:
        """A line for each network: stage, name, tensors and numbers."""
        return [
            f"{stage}: {name}, {len(tensors)} tensors, {sum(tensor.numel() for tensor in tensors.values()):,} numbers"
            for stage, parts in self.found.states.items()
            for name, tensors in parts.items()
        ]

    def save(self) -> list[Path]:
        """Write the run: `config.yaml`, and a checkpoint a stage.

        Raises:
            UserError: the folder holds something else, or cannot be written.
        """
        path, ours = self.folder / "config.yaml", yaml.safe_dump(self.describe(), sort_keys=False)
        if path.exists() and path.read_bytes() != ours.encode():
            raise UserError(f"{self.folder} holds another run. Import with another --out, or remove that folder.")
        origin = ", ".join(f"{name} (SHA-256 {digest})" for name, digest in self.sources.items())
        written = []
        for stage, parts in self.found.states.items():
            about = About(
                model=self.model,
                stage=stage,
                step=self.found.steps,
                config=self.found.config.model_dump(mode="json"),
                tier="official",
                data="unknown",
                size=self.system.size_of(self.found.config),
                fps=self.fps,
                seed=0,
                origin=f"imported by vidbench: {', '.join(parts)} of {origin}",
            )
            written.append(self.folder / stage / "last.safetensors")
            save_checkpoint(written[-1], about, parts)
        atomic_write(path, ours)
        return written


def open_import(model: str, files: Sequence[Path], out: Path, fps: float | None) -> Import:
    """Read files of a system's authors and check every tensor in them; nothing in them is run.

    Args:
        model: registered name of the system.
        files: in the order in which the system wants them.
        out: where runs lie.
        fps: frames a second; default what the files say, else 25.

    Raises:
        UserError: an unknown system, or files that are not of it or not as expected.
    """
    system = load_system(model)
    named = ", ".join(map(str, files))
    folder = out / model / f"imported-{files[0].stem}"
    check_writable(folder)
    snapshots = [open_snapshot(file) for file in files]
    try:
        found = system.from_official(snapshots)
    except (ValueError, TypeError, ArithmeticError, RuntimeError) as error:  # whatever sizes the tensors pretend
        reason = " ".join(str(error).split())
        raise UserError(f"{named} cannot be imported as {model}: {reason[:600]}. Check file and model.") from error
    sources = {file.name: file_hash([file]) for file in files}
    return Import(model, system, found, fps or found.fps or FPS, sources, folder)
