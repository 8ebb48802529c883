"""What runs in a job of submitit: one command, ended with a checkpoint where the cluster wants its machine back."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from submitit.helpers import DelayedSubmission

PATIENCE = 60  # seconds for the step that a training is in, and for the checkpoint after it


class Job:
    """A cell as a command in a process of its own, so that it may be one of `torchrun`; what it says goes to a log.

    A cluster that wants its machine back sends SIGUSR2: the command ends after the step that it is in, with a
    checkpoint, and the job is put back into the queue.
    """

    def __init__(self, command: Sequence[str], log: Path, environment: Mapping[str, str | None]) -> None:
        self.command, self.log, self.environment = list(command), log, dict(environment)
        self.told = list[int]()

    def __call__(self) -> None:
        """Run the command to its end."""
        ours = {**os.environ, **self.environment}
        on_slurm = ours["SUBMITIT_EXECUTOR"] == "slurm"
        if on_slurm:
            signal.signal(signal.SIGTERM, lambda number, frame: self.told.append(number))  # the command hears it, too
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={key: value for key, value in ours.items() if value is not None},
                preexec_fn=listen,
                start_new_session=not on_slurm,  # Ctrl-C is passed on once
            )
        try:
            while self.process.poll() is None:
                time.sleep(0.5)
        except KeyboardInterrupt:
            self.process.send_signal(signal.SIGINT)
            self.process.wait()
            raise
        if self.told:
            time.sleep(2 * PATIENCE)  # what follows is SIGUSR2, or the end

    def checkpoint(self) -> DelayedSubmission:
        """End the command, and say what is to be run when the job starts again."""
        if not self.told:  # who is asked twice breaks off
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
        return DelayedSubmission(Job(self.command, self.log, self.environment))


def listen() -> None:
    """In the command's process: Slurm's SIGUSR2 is for the job alone, which passes on SIGINT."""
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
