"""Plant faults in a copy of the tree, one at a time, and see whether `vidbench regress` finds them.

    python -m tests.mutations [--jobs N] [--model NAME] [--named TEXT]

Libraries are imported once, and each fault has a process of its own that is forked from there. Linux and macOS.
"""

import argparse
import io
import json
import os
import shutil
import sys
import time
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

from .faults import FAULTS, ROOT, Fault

LIBRARIES = ("click", "diffusers", "pydantic", "rich.table", "safetensors.torch", "scipy.stats", "torch.utils.data")
FOLDERS = ("vidbench", "metrics", "models", "configs", "results/baselines", "results/published")


def copied(place: Path) -> Path:
    """A copy of everything that the command needs, links as links."""
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, place / folder, symlinks=True)
    return place


def judged(fault: Fault | str, place: Path) -> dict[str, object]:
    """What `regress` says of a copy with a fault in it, or of a subject as it is; in a process without vidbench yet."""
    assert "vidbench" not in sys.modules
    if isinstance(fault, Fault):
        (place / fault.file).write_text(fault.planted())
    subject = fault.subject if isinstance(fault, Fault) else fault
    sys.path.insert(0, str(place))
    os.chdir(place)
    import vidbench
    from vidbench.cli import cli

    assert vidbench.__file__.startswith(str(place)), vidbench.__file__
    said, remarks, code = io.StringIO(), io.StringIO(), 0
    began = time.process_time()
    try:
        with redirect_stdout(said), redirect_stderr(remarks):
            code = cli.main(["regress", "--model", subject, "--json"], standalone_mode=False) or 0
    except Exception as error:  # a fault that ends the run is found, too
        return {"code": 1, "first": f"{type(error).__name__}: {error}", "readings": 0, "seconds": 0.0}
    moved = json.loads(said.getvalue())[subject]["moved"]
    return {
        "code": code,
        "first": moved[0]["reading"] if moved else "",
        "readings": len(moved),
        "seconds": time.process_time() - began,
    }


def forked(faults: Sequence[Fault | str], out: Path) -> int:
    """A process for every fault in turn, and one around them; its id."""
    if child := os.fork():
        return child
    for fault in faults:
        with TemporaryDirectory() as folder:
            place = copied(Path(folder).resolve())
            if not (child := os.fork()):
                result = judged(fault, place)
                with out.open("a") as file:
                    file.write(json.dumps({"fault": str(fault), **result}) + "\n")
                os._exit(0)
            os.waitpid(child, 0)
    os._exit(0)


def main() -> int:
    """Print which faults were found; 1 if fewer than 95 % were."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--model", action="append", help="faults of this model, or of metrics; repeatable")
    parser.add_argument("--named", default="", help="faults whose name has this in it")
    asked = parser.parse_args()
    models = asked.model or {fault.subject for fault in FAULTS}
    chosen = [fault for fault in FAULTS if asked.named in fault.name and fault.subject in models]
    if not chosen:
        parser.error("there is no such fault")
    subjects = list(dict.fromkeys(fault.subject for fault in chosen))
    for fault in chosen:
        compile(fault.planted(), fault.file, "exec")
    for library in LIBRARIES:
        import_module(library)
    with TemporaryDirectory() as folder:
        out = Path(folder) / "found.jsonl"
        work: list[Fault | str] = [*subjects, *chosen]  # each subject without a fault first, which must pass
        jobs = [forked(work[start :: asked.jobs], out) for start in range(min(asked.jobs, len(work)))]
        for job in jobs:
            os.waitpid(job, 0)
        lines = [json.loads(line) for line in out.read_text().splitlines()]
    results = {line["fault"]: line for line in lines}
    for subject in subjects:
        if (result := results.get(subject, {"code": 1, "first": "the process ended"}))["code"]:
            print(f"{subject} fails without any fault ({result['first']}): nothing can be told")
            return 1
    found = 0
    for fault in chosen:
        result = results.get(str(fault), {"code": 1, "first": "the process ended", "readings": 0})
        found += result["code"] == 1
        verdict = (
            f"found  ({result['readings']} readings, first {result['first']})" if result["code"] == 1 else "MISSED"
        )
        print(f"{fault.subject:15} {fault.name:32} {fault.file:42} {verdict}")
    print(f"{found} of {len(chosen)} found")
    return int(found < 0.95 * len(chosen))


if __name__ == "__main__":
    sys.exit(main())
