"""Peak memory of `vidbench eval` from 256 to 4,096 clips, as a ratio: statistics stream, so it should be flat.

Run it: python -m tests.benchmarks.bench_memory
"""

import os
import subprocess
import sys
import tempfile

METRICS = ("fvd16", "color-drift")
COUNTS = (256, 1024, 4096)
SCRIPT = """
import resource, sys
from vidbench.cli import cli
cli(sys.argv[1:], standalone_mode=False)
peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
print(peak, file=sys.stderr)
"""


def peak(metric: str, clips: int) -> int:
    """Peak resident memory of the largest process of one evaluation, in MiB."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["eval", "--metric", f"{metric}@{clips}", "--model", "freeze", "--no-references", "--json"]
        environment = {**os.environ, "VIDBENCH_CACHE": folder}
        command = [sys.executable, "-c", SCRIPT, *arguments, "--out", folder]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    kilobytes = int(done.stderr.split()[-1])
    return kilobytes // (1024 * 1024 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    for metric in METRICS:
        peaks = {clips: peak(metric, clips) for clips in COUNTS}
        shown = ", ".join(f"{clips} clips {mebibytes} MiB" for clips, mebibytes in peaks.items())
        print(f"{metric}: {shown}; ratio {peaks[COUNTS[-1]] / peaks[COUNTS[0]]:.3f}")
