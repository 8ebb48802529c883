"""What benchmarks of networks share: the bare convolutions and products of a pass, plain resampling, a stopwatch."""

import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten
HEAVY = {aten.convolution.default, aten.convolution_backward.default, aten.mm.default, aten.addmm.default}
HEAVY |= {aten.bmm.default, aten.baddbmm.default}
HEAVY |= {
    aten._scaled_dot_product_flash_attention_for_cpu.default,
    aten._scaled_dot_product_flash_attention_for_cpu_backward.default,
}


class Recorder(TorchDispatchMode):
    """Keeps the convolutions and products of a pass, depthwise ones left out: those are resampling, not work."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        groups = {aten.convolution.default: 8, aten.convolution_backward.default: 9}.get(func)
        if func in HEAVY and (groups is None or args[groups] == 1):
            self.calls.append((func, [like(x) for x in args], kwargs or {}))
        return out


def like(x):
    """A tensor of the same shape and strides, of its own."""
    return torch.randn_like(x) if isinstance(x, Tensor) else x


def bare(step: Callable[[], None]) -> Callable[[], None]:
    """The heavy operations of a step alone."""
    with Recorder() as recorder:
        step()

    def run() -> None:
        for func, args, kwargs in recorder.calls:
            func(*args, **kwargs)

    return run


def plain_upfirdn2d(x, f, up=(1, 1), down=(1, 1), padding=(0, 0, 0, 0), flip=False, gain=1.0):
    n, c, h, w = x.shape
    x = F.pad(x[:, :, :, None, :, None], (0, up[0] - 1, 0, 0, 0, up[1] - 1)).reshape(n, c, h * up[1], w * up[0])
    f = torch.outer(f, f) if f.ndim == 1 else f
    kernel = (f if flip else f.flip(0, 1)).expand(c, 1, *f.shape) * gain
    return F.conv2d(F.pad(x, padding), kernel, groups=c)[:, :, :: down[1], :: down[0]]


def best_seconds(forms: list[Callable[[], None]], repeats: int = 5) -> list[float]:
    """Best of some runs of each form, taken in turn, after one to warm up."""
    best = [float("inf")] * len(forms)
    for repeat in range(repeats + 1):
        for i, form in enumerate(forms):
            start = time.perf_counter()
            form()
            if repeat:
                best[i] = min(best[i], time.perf_counter() - start)
    return best


def compare(
    forms: dict[str, Callable[[], object]], plainly: Callable[[Callable], Callable] | None, repeats: int
) -> None:
    """A line for each form: its time, that of its bare operations, and that of its plain formulation."""
    print(f"{'':>14} {'ms':>9} {'bare ms':>9} {'share':>6} {'plain ms':>9} {'times':>6}")
    for name, form in forms.items():
        ours, alone, slow = best_seconds([form, bare(form), plainly(form)], repeats)
        share, times = alone / ours, slow / ours
        print(
            f"{name:>14} {ours * 1e3:9.1f} {alone * 1e3:9.1f} {share:6.0%} {slow * 1e3:9.1f} {times:6.1f}", flush=True
        )
