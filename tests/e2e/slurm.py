"""`vidbench compare --launcher slurm` on a real Slurm of one node, which this script starts and stops.

    sudo apt-get install slurm-wlm munge
    sudo python -m tests.e2e.slurm

It runs one small suite by local processes and by Slurm, and wants the same scores, digit for digit; ends a job midway
by `scancel` and submits again; and takes a job's machine away as a cluster does (SIGUSR2): it must requeue itself, and
go on where it was. It is not part of the tests: it needs root, and a machine without a Slurm of its own.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import vidbench
from vidbench.checkpoints import read_about

STEPS = 60
SUITE = f"""
models:
  - noise
  - name: stylegan-v
    tier: ci
    changes: [stages.gan.steps={STEPS}, stages.gan.checkpoint_every=5, stages.gan.evaluate_every={STEPS}, "stages.gan.metric=fvd16@4"]
data: [toy-ride]
metrics: [fvd16]
clips: 4
workers: 0
slurm: {{time: 30, memory: 2, cpus: 1}}
"""  # noqa: E501
CONFIG = """
ClusterName=one
SlurmctldHost={host}
AuthType=auth/munge
AuthInfo=cred_expire=5
CryptoType=crypto/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmUser=root
SlurmdUser=root
StateSaveLocation={place}/state
SlurmdSpoolDir={place}/spool
SlurmctldPidFile={place}/slurmctld.pid
SlurmdPidFile={place}/slurmd.pid
SlurmctldLogFile={place}/slurmctld.log
SlurmdLogFile={place}/slurmd.log
ReturnToService=2
KillWait=30
JobRequeue=1
MpiDefault=none
NodeName={host} CPUs={cpus} RealMemory=4000 State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP OverSubscribe=YES
"""


@contextmanager
def slurm(place: Path) -> Iterator[None]:
    """A Slurm of one node, with all its state in one folder."""
    host = socket.gethostname().partition(".")[0]
    for folder in ("state", "spool"):
        (place / folder).mkdir()
    (place / "slurm.conf").write_text(CONFIG.format(host=host, place=place, cpus=os.cpu_count()))
    os.environ["SLURM_CONF"] = str(place / "slurm.conf")
    key = place / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    names = {"socket": "socket", "pid-file": "munged.pid", "log-file": "munged.log", "seed-file": "munged.seed"}
    own = [f"--{option}={place / name}" for option, name in names.items()]
    (place / "slurm.conf").write_text(
        (place / "slurm.conf").read_text().replace("cred_expire=5", f"cred_expire=5,socket={place / 'socket'}")
    )
    place.chmod(0o755)
    daemons = [
        subprocess.Popen(["munged", "--foreground", "--force", f"--key-file={key}", *own]),
        subprocess.Popen(["slurmctld", "-D"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL),
        subprocess.Popen(["slurmd", "-D", "-N", host], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL),
    ]
    try:
        until("the node is idle", lambda: "idle" in output("sinfo", "--noheader", "--format=%T"))
        yield
    finally:
        subprocess.run(["scancel", "--user", "root"], check=False)
        for daemon in reversed(daemons):
            daemon.terminate()
            daemon.wait()


def until(what: str, holds: Callable[[], object], seconds: float = 600) -> None:
    """Wait for something."""
    print(f"waiting until {what}", flush=True)
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.3)


def output(*command: str) -> str:
    """What a command prints."""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def compare(out: str, launcher: str) -> subprocess.Popen[str]:
    """The command, begun."""
    words = ["compare", "small.yaml", "--launcher", launcher, "--out", out, "--json"]
    return subprocess.Popen([sys.executable, "-m", "vidbench", *words], stdout=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str], code: int = 0) -> dict[str, float]:
    """The scores of a comparison, by model."""
    printed, _ = process.communicate()
    assert process.returncode == code, printed
    return {record["model"]: record["value"] for record in json.loads(printed)["records"]}


def training(out: str) -> tuple[str, int]:
    """The job that trains, and the step of its last checkpoint; 0 where there is none."""
    jobs = output("squeue", "--noheader", "--name=vidbench-stylegan-v_toy-ride", "--format=%i").split()
    found = list(Path(out, "stylegan-v").glob("*/gan/last.safetensors"))
    return (jobs[0] if jobs else ""), (read_about(found[0]).step if found else 0)


def begun(out: str) -> bool:
    """Whether a training is between its first checkpoint and its end."""
    return 0 < training(out)[1] < STEPS


def went_on(out: str) -> list[str]:
    """What the log of the training says of its beginning."""
    log = Path(out, "compare/small/stylegan-v_toy-ride.log").read_text()
    return [line for line in log.splitlines() if "goes on at step" in line]


def main() -> None:
    """Everything, in a temporary folder."""
    place = Path(tempfile.mkdtemp(prefix="vidbench-slurm-"))
    root = str(Path(vidbench.__file__).parents[1])
    os.environ |= {"VIDBENCH_CACHE": str(place / "cache"), "PYTHONPATH": root, "OMP_NUM_THREADS": "1"}
    os.chdir(place)
    Path("small.yaml").write_text(SUITE)
    local = finish(compare("local", "local"))
    with slurm(place):
        assert finish(compare("whole", "slurm")) == local
        print("Slurm gives the scores of the local run, digit for digit", flush=True)

        process = compare("ended", "slurm")
        until("a training has begun", lambda: begun("ended"))
        subprocess.run(["scancel", training("ended")[0]], check=True)
        assert finish(process, 1).keys() == {"noise"}
        assert finish(compare("ended", "slurm")) == local and went_on("ended")
        print("a job that scancel ended goes on when it is submitted again:", *went_on("ended"), flush=True)

        process = compare("taken", "slurm")
        until("a training has begun", lambda: begun("taken"))
        subprocess.run(["scancel", "--signal=USR2", training("taken")[0]], check=True)
        assert finish(process) == local and went_on("taken")
        print("a job whose machine is taken away requeues itself, and goes on:", *went_on("taken"), flush=True)
    shutil.rmtree(place)


if __name__ == "__main__":
    main()
