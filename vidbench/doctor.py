"""Is this installation fit to make numbers? What it runs on, where it keeps things, and a test of its numerics."""

import io
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
import torch

from . import selftest
from .errors import UserError
from .files import cache_dir
from .record import versions
from .registry import BACKBONES, DATASETS, MEASURES, MODELS
from .weights.public import FILES, public_files
from .weights.state import examine, weights_dir

ENOUGH = 2**30
"""Bytes on a disk below which a run may not come to its end."""
SLOW = 0.05
"""Seconds for a small clip that no idle machine takes."""
CODECS = {"ffv1": ("bgr0", 0.0), "libx264": ("yuv420p", 3.0)}
"""Pixel format, and the mean error (of 255) that a frame may have after coding."""
DO_NOT_TRUST = (
    "Trust no score made here: install another version of torch, numpy or scipy, and run vidbench doctor again."
)


@dataclass(frozen=True)
class Finding:
    """One line of the examination."""

    what: str
    """What was looked at."""
    state: Literal["ok", "warning", "wrong"]
    """`warning`: something is slower or missing; `wrong`: numbers cannot be made, or not be trusted."""
    found: str
    """What was seen."""
    mend: str = ""
    """What to do where it is not ok."""


def examination() -> Iterator[Finding]:
    """All findings, the slower ones last."""
    numbers = versions()
    yield Finding("versions", "ok", ", ".join(f"{name} {number}" for name, number in numbers.items()))
    yield Finding("system", "ok", f"{platform.system()} {platform.release()}, {platform.machine()}")
    yield threads()
    yield Finding("processor", "ok", f"{torch.backends.cpu.get_cpu_capability()}; {extensions()}")
    yield Finding("GPU", "ok", gpus())
    yield decoder()
    yield cache()
    yield from map(room, dict.fromkeys([nearest(cache_dir()), Path.cwd()]))
    yield from weights()
    yield from plug_ins()
    yield from self_test()


def threads() -> Finding:
    """How many threads work, and how many there are cores for."""
    count = torch.get_num_threads()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    found = f"{count} of torch, {cores} cores"
    if count <= cores:
        return Finding("threads", "ok", found)
    return Finding(
        "threads", "warning", found, f"More threads than cores wait for each other: OMP_NUM_THREADS={cores}."
    )


def extensions() -> str:
    """Whether the processor has what makes bfloat16 quick, where the system tells."""
    try:
        flags = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return "the system does not say whether it has AMX"
    return "AMX: --precision bfloat16 is quick" if "amx_bf16" in flags else "no AMX: --precision bfloat16 gains little"


def gpus() -> str:
    """The accelerators that torch can use."""
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    found = [f"cuda:{index} {name}" for index, name in enumerate(names)]
    found += ["mps"] if torch.backends.mps.is_available() else []
    return ", ".join(found) or "none that torch can use: everything runs on the processor"


def decoder() -> Finding:
    """Code and decode a small video in memory, without and with loss."""
    name = f"PyAV {av.__version__}, FFmpeg {av.ffmpeg_version_info}"
    t, y, x = np.meshgrid(np.arange(8), np.arange(32), np.arange(48), indexing="ij")
    frames = np.stack([4 * x + t, 6 * y + t, 3 * (x + y) + t], axis=-1).astype(np.uint8)
    for codec, (pix_fmt, tolerance) in CODECS.items():
        try:
            error = float(np.abs(coded(frames, codec, pix_fmt).astype(float) - frames).mean())
        except (av.FFmpegError, ValueError) as problem:
            return Finding(
                "decoder", "wrong", f"{name}: {codec} fails ({problem})", "Install av anew: pip install -U av."
            )
        if not error <= tolerance:
            found = f"{name}: frames of {codec} are {error:.2f} levels off"
            return Finding("decoder", "wrong", found, "Install av anew: pip install -U av.")
    return Finding("decoder", "ok", f"{name}; {' and '.join(CODECS)} come back as they were written")


def coded(frames: np.ndarray, codec: str, pix_fmt: str) -> np.ndarray:
    """Frames uint8 `[T, H, W, 3]` after coding and decoding."""
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as container:
        stream: Any = container.add_stream(codec, rate=25)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pix_fmt
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    file.seek(0)
    with av.open(file, "r") as written:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in written.decode(video=0)])


def cache() -> Finding:
    """Whether features can be kept."""
    place = cache_dir()
    try:
        with tempfile.TemporaryFile(dir=nearest(place)):
            return Finding("cache", "ok", f"{place}{'' if place.exists() else ', not made yet'}")
    except OSError as problem:
        found = f"{place} cannot be written to ({problem.strerror})"
        mend = "Everything is computed anew each time: change the permissions, or set VIDBENCH_CACHE to another folder."
        return Finding("cache", "warning", found, mend)


def nearest(path: Path) -> Path:
    """The path, or the nearest one above it that there is."""
    return next(place for place in (path, *path.absolute().parents) if place.exists())


def room(folder: Path) -> Finding:
    """Room on the disk that a folder is on."""
    free = shutil.disk_usage(folder).free
    found = f"{free / 2**30:.1f} GiB free at {folder}"
    if free >= ENOUGH:
        return Finding("disk", "ok", found)
    mend = "Free some space (vidbench cache shows what could go), or choose another place (--out, VIDBENCH_CACHE)."
    return Finding("disk", "warning", found, mend)


def weights() -> Iterator[Finding]:
    """Whether the weights in the cache are what their names say; those of I3D are missed where they are not there."""
    for backbone in dict.fromkeys(file.backbone for file in FILES):
        what, public = f"weights of {backbone}", [file.name for file in public_files(backbone)]
        paths = [weights_dir() / name for name in (f"{backbone}.safetensors", *public)]
        path = next((path for path in paths if path.is_file()), None)
        get = f"vidbench weights fetch {backbone}"
        if path is not None:
            try:
                found = examine(path)
                right, verdict = found.network == backbone, found.verdict
            except UserError as problem:
                right, verdict = False, str(problem)
            mend = "" if right else f"Remove {path}, then {get}."
            yield Finding(what, "ok" if right else "wrong", verdict, mend)
        elif backbone == "i3d":
            mend = f"{get}; without a network copy {public[0]} into {weights_dir()}, or use --backbone toy3d."
            yield Finding(what, "warning", "not in the cache", mend)


def plug_ins() -> Iterator[Finding]:
    """Whatever is registered and cannot be imported."""
    count = 0
    for registry in (MODELS, DATASETS, BACKBONES, MEASURES):
        names: list[str] = []
        try:
            names = registry.names()
        except UserError as problem:
            yield Finding(f"{registry.kind}s", "warning", str(problem), "Uninstall one of the two.")
        for name in names:
            count += 1
            try:
                registry.load(name)
            except UserError as problem:
                mend = (
                    f"Install anew, or uninstall, what it comes from: {registry.describe_origin(name).split(',')[0]}."
                )
                yield Finding(f"{registry.kind} {name}", "warning", str(problem), mend)
    yield Finding("plug-ins", "ok", f"{count} models, data sets, backbones and measures were looked at")


def self_test() -> Iterator[Finding]:
    """The numerics against known answers, and how quick they are."""
    for what, compute in selftest.KNOWN.items():
        try:
            answer = compute()
            right = answer.error <= answer.tolerance
            found = f"off by {answer.error:.1e}, {answer.tolerance:.0e} allowed" if answer.error else "exact"
        except Exception as problem:  # whatever goes wrong here is the finding
            right, found = False, f"{type(problem).__name__}: {problem}"
        yield Finding(what, "ok", found) if right else Finding(what, "wrong", found, DO_NOT_TRUST)
    seconds = selftest.seconds_a_clip()
    found = f"{seconds * 1e3:.1f} ms for toy3d's features of a clip of 16 frames"
    mend = "The machine is busy, or has fewer cores than threads: look at what else runs."
    yield Finding("speed", "ok", found) if seconds < SLOW else Finding("speed", "warning", found, mend)
