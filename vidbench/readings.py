"""Readings: numbers that are the same on every run but for rounding, of a model's training and of the metrics.

A reading is a list of numbers under a name, such as a loss at successive steps. Tensors are read by their norm and by
fixed random projections: rounding moves those a little, and whatever else it is that changes moves them more.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from .checkpoints import save_checkpoint
from .config import change
from .draws import draw
from .evaluator import Evaluator
from .generator import Generator
from .loading import Samples, batches
from .metrics.color import color_similarity
from .metrics.i3d_prepare import PREPARATIONS, prepared
from .metrics.uncertainty import extrapolation, jackknife, merged, standard_error
from .protocol import load_protocol, presets
from .record import Record
from .registry import BACKBONES, MEASURES, MODELS
from .runs import Run, about, build_stage, last_step
from .sides import open_real
from .stage import Stage, Step
from .trained import open_trained

Readings = dict[str, list[float]]
PROJECTIONS = 3
AT_FIRST = "at first"
"""How the names of readings end that are taken before any training."""
SEEDS = (0, 2**40 + 1)
FRAMES = 12
WINDOW = (101, 5)
"""First frame and length of a window in the middle of a video, beyond what any system makes at once."""
CLIPS = 6
NUDGE = 2.0**-22
"""Relative size of a nudge: about as large as rounding."""
EMBEDDED = ("toy3d", "toy3d-long", "motion3d")
"""Backbones whose weights ship."""
MEASURED = ("drift", "frechet", "kernel", "prdc")
"""Our own measures of a backbone's features; a plug-in's are its own affair."""
GROUPS, DIM, WINDOWS = 20, 8, 3
"""Of made-up features: groups of a side, features, and windows of a clip."""


def digest(tensors: Mapping[str, Tensor]) -> list[float]:
    """Norm of some tensors, then fixed random projections; each tensor counts alike, whatever its size.

    The directions are standard normal numbers drawn by the tensor's name.
    """
    total = torch.zeros(1 + PROJECTIONS, dtype=torch.float64)
    for name, tensor in tensors.items():
        flat = tensor.detach().double().cpu().flatten() / max(tensor.numel(), 1) ** 0.5
        directions = torch.randn(PROJECTIONS, len(flat), generator=draw(0, f"regress/{name}"))
        total += torch.cat([flat.square().sum()[None], directions.double() @ flat])
    total[0].sqrt_()
    return [float(value) for value in total]


def model_readings(run: Run, stages: Sequence[str], nudge: int = 0) -> Readings:
    """Train stages of a run from their beginning, and evaluate what comes of them.

    Args:
        run: what is trained; its checkpoints go to its folder.
        stages: names, in the system's order.
        nudge: not 0: nudge all parameters before training, each time otherwise; says how far rounding may go.
    """
    found: Readings = {}
    for name in stages:
        found |= {f"{name}: {what}": numbers for what, numbers in stage_readings(run, name, nudge)}
    generator = open_trained(run.folder).generator()
    longest = generator.max_frames or float("inf")
    found["samples"] = sampled(generator)
    if sum(WINDOW) <= longest:
        found["samples: a window"] = digest({"window": generator.sample(SEEDS[:1], WINDOW[1], WINDOW[0])})
    found["samples: a stream"] = digest({"stream": next(generator.stream(SEEDS[1]))})
    for metric in ("fvd16", "color-drift"):
        protocol = load_protocol(f"{metric}@{CLIPS}")
        if protocol.span <= longest:
            evaluator = Evaluator(protocol, run.source, backbone=run.backbone, size=generator.size, workers=0)
            found |= record_readings(evaluator.score(generator))
    if run.system.across:
        across = replace(run, config=change(run.config, [run.system.across]))
        of = f"{stages[-1]} across domains"
        found |= {f"{of}: {what}": numbers for what, numbers in stage_readings(across, stages[-1], nudge)}
    return found


def stage_readings(run: Run, name: str, nudge: int) -> Iterator[tuple[str, list[float]]]:
    """Networks and what they make before and after training, how far they moved, and what was logged."""
    stage = build_stage(run, name)
    if nudge:
        nudged(stage, nudge)
    source, last = run.source_of(name), last_step(run, name, None)
    first = parts(stage)
    for part, tensors in first.items():
        yield f"{part} {AT_FIRST}", digest(tensors)
    yield f"made {AT_FIRST}", sampled(stage.preview(source, FRAMES))
    samples = Samples(source, stage, Step(run.seed, name, 0, getattr(run.config.stages, name).batch))
    logs: Readings = {}
    for done, batch in enumerate(batches(samples, last, 0), 1):
        for key, value in stage.update(batch, replace(samples.step, index=done - 1)).items():
            logs.setdefault(key, []).append(float(value))
        if done in (1, 3, last):  # later, rounding has grown
            for part, tensors in parts(stage).items():
                before = first.get(part, {})
                moved = {key: tensor - before.get(key, 0) for key, tensor in tensors.items()}
                yield f"{part}, moved by step {done}", digest(moved)
    yield from logs.items()
    yield "made", sampled(stage.preview(source, FRAMES))
    save_checkpoint(run.last(name), about(run, stage, last), stage.state())


def parts(stage: Stage) -> dict[str, dict[str, Tensor]]:
    """Copies of a stage's parameters, of what else its networks keep, and of the averages of gradients that Adam keeps.

    The last show how large gradients are, which Adam's steps do not.
    """
    found: dict[str, dict[str, Tensor]] = {}
    for name, network in stage.networks.items():
        trained = dict(network.named_parameters())
        for key, tensor in network.state_dict().items():
            part = name if key in trained else f"{name} buffers"
            found.setdefault(part, {})[key] = tensor.detach().double().clone()
    for name, optimizer in stage.optimizers.items():
        for index, values in optimizer.state_dict()["state"].items():
            for key, tensor in values.items():
                if key.startswith("exp_avg"):
                    found.setdefault(f"{name} {key}", {})[str(index)] = tensor.detach().double().clone()
    return found


def nudged(stage: Stage, nudge: int) -> None:
    """Multiply all parameters by almost 1."""
    for key, network in stage.networks.items():
        for name, parameter in network.named_parameters():
            chance = draw(nudge, f"nudge/{key}/{name}")
            parameter.data.mul_(1 + NUDGE * torch.randn(parameter.shape, generator=chance).to(parameter))


def sampled(generator: Generator) -> list[float]:
    """Digest of a few videos."""
    frames = min(FRAMES, generator.max_frames or FRAMES)
    videos = generator.sample(SEEDS, frames)
    return digest({f"video {index}": video for index, video in enumerate(videos)})


def record_readings(record: Record) -> Readings:
    """Value, parts, uncertainty and curve of a score."""
    name = f"{record.metric} of {record.model}"
    found = {name: [record.value, *record.terms.values(), *record.leave_out]}
    if record.curve is not None:
        found[f"{name}: curve"] = thinned(record.curve.mean)
        found[f"{name}: deviations"] = thinned(record.curve.std or [])
    return {what: numbers for what, numbers in found.items() if numbers}


def thinned(curve: Sequence[float]) -> list[float]:
    """Every eighth point of a curve, and its first few."""
    return [*curve[:4], *curve[8::8]]


def metric_readings() -> Readings:
    """Every preset on reference generators, every backbone that ships on a clip, every measure on made-up features."""
    source, card = open_real("toy-ride", None, (32, 32))
    assert card is not None
    held_out = card.source("test", (32, 32)).resized((32, 32))
    found: Readings = {}
    for preset in presets():
        protocol = load_protocol(preset)
        if "/" in preset:
            continue
        for model in ("loop", "shuffle") if protocol.frames <= 16 else ("loop",):
            generator = MODELS.load(model)(held_out, protocol.span)
            evaluator = Evaluator(protocol.resolved(clips=CLIPS), source, backbone="toy3d", workers=0)
            found |= record_readings(evaluator.score(generator, model))
    drawn = load_protocol(f"fvd16@{CLIPS}")
    found |= record_readings(Evaluator(drawn, source, backbone="toy3d", workers=0).score(held_out, "held-out videos"))
    video = torch.from_numpy(source.read(source.videos[0], 0, 128))[None]
    found["S(x, t) of numbers in [-1, 1]"] = thinned(color_similarity(video.float() / 127.5 - 1)[0].tolist())
    for name in EMBEDDED:
        found[f"{name} features"] = digest({"features": BACKBONES.load(name)()(video)})
    for name in PREPARATIONS:
        found[f"{name} preparation"] = digest({"frames": prepared(video[:, :, :2], name)})
    for name in MEASURED:
        found |= measure_readings(name)
    return found


def measure_readings(name: str) -> Readings:
    """A measure of features, with its uncertainty, on normal numbers whose mean and spread differ between the sides."""
    measure = MEASURES.load(name)(DIM)
    width = DIM * (WINDOWS if name == "drift" else 1)
    sides: list[list[object]] = []
    for side, (shift, spread) in {"fake": (0.3, 1.2), "real": (0.0, 1.0)}.items():
        features = shift + spread * torch.randn(GROUPS, 5, width, generator=draw(0, f"regress/{name}/{side}"))
        ramp = 1 + 0.1 * torch.arange(width) / width
        sides.append([measure.statistics() for _ in range(GROUPS)])
        for group, rows in zip(sides[-1], features * ramp, strict=True):
            group.update(rows)  # type: ignore[attr-defined]
    fake, real = sides
    result = measure.compare(merged(fake), merged(real))
    left_out = [part["value"] for part in jackknife(measure.compare, fake, real)]
    numbers = [result["value"], *result.get("terms", {}).values(), standard_error(left_out)]
    if getattr(measure, "falls_with_clips", False):
        numbers.append(extrapolation(measure.compare, fake, real))
    return {f"{name} of made-up features": [float(number) for number in numbers if number is not None]}
