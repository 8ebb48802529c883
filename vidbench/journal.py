"""The log of a run: JSON lines and TensorBoard, both of which a resumed run goes on with as if never interrupted."""

import json
from pathlib import Path
from typing import Any, Self

from .errors import UserError
from .files import atomic_write


class Journal:
    """The log of one stage.

    Args:
        folder: the run's folder; `log.jsonl` is shared by its stages, `tb/<stage>` is TensorBoard's.
        stage: which stage writes.
        step: the step that the stage goes on from; what was logged of it later is dropped.
    """

    def __init__(self, folder: Path, stage: str, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.path, self.stage = folder / "log.jsonl", stage
        kept = [line for line in read_log(self.path) if line["stage"] != stage or line["step"] <= step]
        atomic_write(self.path, "".join(json.dumps(line) + "\n" for line in kept))
        self._board = SummaryWriter(str(folder / "tb" / stage), purge_step=step + 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        self._board.close()

    def write(self, step: int, **values: Any) -> None:
        """Log numbers of a step."""
        with self.path.open("a") as file:
            file.write(json.dumps({"stage": self.stage, "step": step, **values}) + "\n")
        for name, value in values.items():
            if isinstance(value, int | float):
                self._board.add_scalar(name, value, step)


def scored_steps(folder: Path, stage: str) -> set[int]:
    """The steps at which a stage of the run in a folder was scored."""
    lines = read_log(folder / "log.jsonl")
    return {line["step"] for line in lines if line["stage"] == stage and "metric" in line}


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a log; one that a killed run left unfinished is passed over.

    Raises:
        UserError: the file is no log.
    """
    lines = []
    for text in path.read_text(errors="replace").splitlines() if path.exists() else []:
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if not isinstance(line, dict) or not {"stage", "step"} <= line.keys():
            raise UserError(f"{path} is no log of a training run. Remove it, or train with another --out.")
        lines.append(line)
    return lines
