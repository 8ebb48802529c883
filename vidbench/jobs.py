"""The cells of a suite as jobs of submitit: processes of this machine, or of a Slurm cluster."""

import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import submitit
import yaml
from filelock import FileLock, Timeout
from submitit.core.utils import FailedJobError

from .cells import Cell, folder_of
from .errors import UserError
from .files import atomic_write
from .job import PATIENCE, Job
from .suites import Suite
from .trained import folder_name
from .training import stopping

LOOK_EVERY = {"local": 0.5, "slurm": 10.0}  # seconds; a cluster is asked for each job
FOREVER = 60 * 24 * 365  # minutes
CONTROLLERS = "controllers.log"  # what submitit itself says of errors
REQUEUED = 1000  # times at most that a job may need more than its time


def launch(cells: Sequence[Cell], launcher: str, jobs: int, talk: Callable[[str], None]) -> Iterator[tuple[Cell, str]]:
    """Run cells, each as a job.

    Args:
        cells: of one suite.
        launcher: `local` or `slurm`.
        jobs: at most so many at once.
        talk: takes remarks, a line each.

    Yields:
        Each cell when its job is over, and the last that the job said of an error.

    Raises:
        UserError: there is no Slurm here, or it refuses the job.
        KeyboardInterrupt: someone asked to stop; the jobs have been told, and are over.
    """
    suite, out = cells[0].suite, cells[0].out
    folder = folder_of(suite, out).absolute()
    values = suite.model_dump(mode="json", exclude={"name"})
    if launcher == "slurm" and suite.workers is None:  # of a job's cores, not of the machine's
        values["workers"] = max(suite.slurm.cpus // suite.processes, 1)
    place = folder / f"jobs-{uuid.uuid4().hex[:8]}"
    for path in (folder / "suite.yaml", place / "suite.yaml"):  # for people; for these jobs, whatever is launched later
        atomic_write(path, yaml.safe_dump({"name": suite.name, **values}, sort_keys=False))
    executor = executor_for(suite, launcher, place)
    waiting, running, looked = list(cells), dict[Cell, submitit.Job[None]](), 0.0
    (folder / CONTROLLERS).unlink(missing_ok=True)
    with stopping() as stop:
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    cell = waiting.pop(0)
                    with errors_to(folder / CONTROLLERS):
                        running[cell] = submit(executor, cell, launcher, jobs, place)
                    talk(f"{cell.name}: job {running[cell].job_id}, log {log_of(cell)}")
                if time.monotonic() >= looked + LOOK_EVERY[launcher]:
                    for cell in [cell for cell, job in running.items() if is_over(job)]:
                        del running[cell]
                        yield cell, last_words(cell)
                    looked = time.monotonic()
                if stop.is_set():
                    talk("stopping; the same command goes on from here")
                    raise KeyboardInterrupt
                time.sleep(LOOK_EVERY["local"])
        finally:
            for job in running.values():
                job.cancel(check=False)
            for cell in running:
                with suppress(Timeout), FileLock(cell.lock, timeout=PATIENCE):
                    pass
            shutil.rmtree(place, ignore_errors=True)


@contextmanager
def errors_to(path: Path) -> Iterator[None]:
    """What processes that begin within say of errors goes to a file: Ctrl-C is none of the user's."""
    ours = os.dup(2)
    try:
        with path.open("a") as file:
            os.dup2(file.fileno(), 2)
        yield
    finally:
        os.dup2(ours, 2)
        os.close(ours)


def executor_for(suite: Suite, launcher: str, place: Path) -> submitit.AutoExecutor:
    """What submits the jobs of a suite.

    Raises:
        UserError: there is no Slurm here.
    """
    if launcher == "slurm" and shutil.which("sbatch") is None:
        raise UserError("There is no Slurm here: sbatch is not found. Start on a cluster, or take --launcher local.")
    asked = suite.slurm
    executor = submitit.AutoExecutor(place, cluster=launcher, slurm_max_num_timeout=REQUEUED)
    executor.update_parameters(timeout_min=asked.time if launcher == "slurm" else FOREVER, stderr_to_stdout=True)
    if launcher == "slurm":
        partition = {"slurm_partition": asked.partition} if asked.partition else {}
        executor.update_parameters(mem_gb=asked.memory, cpus_per_task=asked.cpus, gpus_per_node=asked.gpus, **partition)
    return executor


def submit(executor: submitit.AutoExecutor, cell: Cell, launcher: str, jobs: int, place: Path) -> "submitit.Job[None]":
    """Submit one cell.

    Raises:
        UserError: the cluster refuses it.
    """
    log = log_of(cell).absolute()
    log.unlink(missing_ok=True)
    environment: dict[str, str | None] = {}
    if launcher == "local":  # submitit hides GPUs from jobs that do not ask for them by number
        environment["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES")
        if jobs > 1:
            share = max((os.cpu_count() or 1) // jobs, 1)
            environment["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS", str(share))
    executor.update_parameters(name=f"vidbench-{folder_name(cell.name)}")
    try:
        return executor.submit(Job(command_for(cell, place), log, environment))
    except FailedJobError as error:
        raise UserError(f"{cell.name}: Slurm refuses the job ({' '.join(str(error).split())}).") from error


def command_for(cell: Cell, place: Path) -> list[str]:
    """The command that works on one cell."""
    count = cell.suite.processes
    torchrun = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(count), "-m"] if count > 1 else []
    words = [str(place / "suite.yaml"), "--cell", cell.name, "--out", str(cell.out.absolute())]
    return [sys.executable, "-m", *torchrun, "vidbench", "compare", *words]


def is_over(job: "submitit.Job[Any]") -> bool:
    """Whether a job has ended; of Slurm's, when it has left a result or the queue."""
    if isinstance(job, submitit.LocalJob):
        return job.done()
    if job.paths.result_pickle.exists():
        return True
    queue = subprocess.run(["squeue", "--noheader", "--jobs", job.job_id], capture_output=True, text=True)
    return "Invalid job id" in queue.stderr or (queue.returncode == 0 and not queue.stdout.strip())


def log_of(cell: Cell) -> Path:
    """What a cell's job says."""
    return cell.document.with_suffix(".log")


def last_words(cell: Cell) -> str:
    """What a cell's job said last of an error."""
    try:
        lines = log_of(cell).read_text(errors="replace").splitlines()
    except OSError:
        said = log_of(cell).with_name(CONTROLLERS)
        return f"its job never began; what it needs may be more than there is, or {said} says why"
    errors = [line.removeprefix("Error: ") for line in lines if line.startswith("Error: ")]
    return errors[-1] if errors else f"its job ended early; see {log_of(cell)}"
