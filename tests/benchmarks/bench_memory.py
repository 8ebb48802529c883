"""Peak memory of `vidbench eval` from 256 to 4,096 clips, and of `vidbench sample` from 360 to 36,000 frames, as
ratios: statistics and videos stream, so both should be flat.

Run it: python -m tests.benchmarks.bench_memory
"""

import os
import subprocess
import sys
import tempfile

METRICS = ("fvd16", "color-drift")
COUNTS = (256, 1024, 4096)
FRAMES = (360, 36_000)
SCRIPT = """
import resource, sys
from vidbench.cli import cli
cli(sys.argv[1:], standalone_mode=False)
peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
print(peak, file=sys.stderr)
"""


def peak(*arguments: str) -> int:
    """Peak resident memory of the largest process of one command, in MiB."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "VIDBENCH_CACHE": folder}
        command = [sys.executable, "-c", SCRIPT, *arguments, "--out", folder]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    kilobytes = int(done.stderr.split()[-1])
    return kilobytes // (1024 * 1024 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    for metric in METRICS:
        asked = ("eval", "--model", "freeze", "--no-references", "--json", "--metric")
        peaks = {clips: peak(*asked, f"{metric}@{clips}") for clips in COUNTS}
        shown = ", ".join(f"{clips} clips {mebibytes} MiB" for clips, mebibytes in peaks.items())
        print(f"{metric}: {shown}; ratio {peaks[COUNTS[-1]] / peaks[COUNTS[0]]:.3f}")
    with tempfile.TemporaryDirectory() as folder:
        train = ["train", "--tier", "ci", "--steps", "1", "--out", folder]
        subprocess.run([sys.executable, "-m", "vidbench", *train], check=True)
        run = os.path.join(folder, "stylegan-v", "toy-ride-ci")
        peaks = {n: peak("sample", "--checkpoint", run, "-n", "1", "--frames", str(n)) for n in FRAMES}
    shown = ", ".join(f"{frames} frames {mebibytes} MiB" for frames, mebibytes in peaks.items())
    print(f"stylegan-v: {shown}; ratio {peaks[FRAMES[-1]] / peaks[FRAMES[0]]:.3f}")
