"""Speed of the I3D backbone against the plain network: `python -m tests.benchmarks.bench_i3d [THREADS]`.

Bars: exact 1.4 times the plain network (1.6 with AVX-512 and AMX), bfloat16 5 times with AMX.
"""

import sys
import time
from pathlib import Path

import torch

from tests.recordings.metrics import i3d_weights
from vidbench.metrics.i3d import I3D
from vidbench.metrics.i3d_fast import I3DBackbone
from vidbench.metrics.i3d_prepare import prepared

CLIPS, FRAMES, SIZE = 4, 16, 64


class PlainI3D(torch.nn.Module):
    """The network as it is written, on prepared clips."""

    def __init__(self) -> None:
        super().__init__()
        self.network = I3D()
        self.network.load_state_dict(i3d_weights())

    def forward(self, video: torch.Tensor) -> torch.Tensor:
        return self.network(prepared(video, "styleganv")).mean(dim=2)


def best_seconds(forms: list[torch.nn.Module], video: torch.Tensor, repeats: int = 5) -> list[float]:
    """Best of some runs of each form, taken in turn, after one to warm up."""
    best = [float("inf")] * len(forms)
    for repeat in range(repeats + 1):
        for i, form in enumerate(forms):
            start = time.perf_counter()
            form(video)
            if repeat:
                best[i] = min(best[i], time.perf_counter() - start)
    return best


def processor() -> str:
    """Which of the instructions that matter this processor has."""
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return "flags unknown"
    flags = set(next((line for line in info.read_text().splitlines() if line.startswith("flags")), "").split())
    wanted = ("avx512f", "avx512_bf16", "amx_tile", "amx_bf16")
    return ", ".join(f"{flag} {'yes' if flag in flags else 'no'}" for flag in wanted)


@torch.no_grad()
def main() -> None:
    if len(sys.argv) > 1:
        torch.set_num_threads(int(sys.argv[1]))
    generator = torch.Generator().manual_seed(0)
    video = torch.randint(0, 256, (CLIPS, 3, FRAMES, SIZE, SIZE), generator=generator, dtype=torch.uint8)
    forms = {
        "plain": PlainI3D(),
        "exact": I3DBackbone(i3d_weights()),
        "bfloat16": I3DBackbone(i3d_weights(), numeric_mode="bfloat16"),
    }
    seconds = best_seconds(list(forms.values()), video)
    plain = forms["plain"](video)
    print(f"{CLIPS} clips {FRAMES}x{SIZE}x{SIZE}, {torch.get_num_threads()} threads, {processor()}")
    print(f"{'':>10} {'clips/s':>8} {'ratio':>6} {'error / spread':>15}")
    for (name, form), took in zip(forms.items(), seconds, strict=True):
        error = ((form(video) - plain).abs().amax(dim=1) / plain.std(dim=1)).max().item()
        print(f"{name:>10} {CLIPS / took:>8.2f} {seconds[0] / took:>6.2f} {error:>15.1e}")


if __name__ == "__main__":
    main()
