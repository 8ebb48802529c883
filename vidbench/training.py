"""Training of any system: stage after stage, resumed wherever it stopped, on one process or several."""

import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from filelock import FileLock, Timeout

from .checkpoints import EXPORTED, About, load_checkpoint, read_about, restore, save_checkpoint
from .clips import quantise
from .draws import draw_seed
from .errors import UserError
from .evaluator import Evaluator
from .generator import Generator, OnReal
from .journal import Journal, scored_steps
from .loading import Samples, batches, processors_shared
from .protocol import load_protocol
from .ranks import exchange, is_first, rank, world
from .record import Record
from .runs import Run, about, build_stage, claim, last_step, stage_config
from .sheets import contact_sheet
from .sides import Track, commonest, index_all
from .sources import Source
from .stage import Stage, Step
from .writing import write_mp4

LOG_EVERY = 10  # steps
GRID = 4  # videos on a side of the sample grid
GRID_FRAMES = 64  # at the most: a grid takes no longer than the score after it


@dataclass(frozen=True)
class Talk:
    """What a training tells its user."""

    track: Track
    """Shows progress."""
    say: Callable[[str], None]
    """Takes remarks, a line each."""
    status: Callable[[str], None]
    """Takes the state of the losses, to stand beside the progress."""


def train(run: Run, stages: list[str], steps: int | None, talk: Talk) -> None:
    """Train stages of a run, each from where it stopped.

    Args:
        run: what is trained.
        stages: names, in the system's order.
        steps: stop each stage after so many steps; default its configuration's.
        talk: tells the user.

    Raises:
        UserError: the folder holds another run, an earlier stage is not trained, a video cannot be read, or another
            training is running there.
    """
    claim(run)
    with alone(run.folder), processors_shared(run.workers):
        for name in stages:
            require_readable(run, name, talk)
            planned = stage_config(run, name).steps
            if steps is not None and steps > planned:
                talk.say(
                    f"{name}: --steps only stops earlier than the configuration's {planned:,} steps, which schedules"
                    f" follow. To train longer: --set stages.{name}.steps={steps}"
                )
            train_stage(run, name, last_step(run, name, steps), talk)


def require_readable(run: Run, name: str, talk: Talk) -> None:
    """Find out about every video that a stage is trained on.

    Raises:
        UserError: one cannot be read.
    """
    source = run.source_of(name)
    bad = index_all(source, run.workers, talk.track)
    if bad:
        first, reason = next(iter(bad.items()))
        raise UserError(
            f"{source.name}: {len(bad)} of {len(source.videos)} videos cannot be read, such as {first}"
            f" ({reason}). Repair or remove them."
        )


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep other trainings out of a run's folder; the first of several processes does.

    Raises:
        UserError: one is in there.
    """
    if not is_first():
        yield
        return
    try:
        with FileLock(folder / ".lock", timeout=0):
            yield
    except Timeout as error:
        raise UserError(f"Another training is running in {folder}. Wait for it, or choose another --out.") from error


def train_stage(run: Run, name: str, until: int, talk: Talk) -> None:
    """Train one stage up to step `until`."""
    config, stage, last = stage_config(run, name), build_stage(run, name), run.last(name)
    start = 0
    if last.exists():
        checkpoint = load_checkpoint(last)
        restore(stage, checkpoint)
        start = checkpoint.about.step
        talk.say(f"{name}: goes on at step {start:,} of {until:,} ({last})")
    elif (best := run.best(name)).exists() and read_about(best).origin.startswith(EXPORTED):
        raise UserError(f"{run.folder} holds an export, which cannot be trained on. Train with another --out.")

    def is_scored(step: int) -> bool:
        return step > 0 and (step % config.evaluate_every == 0 or step == until)

    owed = is_scored(start) and start not in scored_steps(run.folder, name)  # a stop broke it off
    if start >= until and not owed:
        talk.say(f"{name}: its {start:,} steps are done")
        return
    if config.batch % (world() * stage.group):
        raise UserError(
            f"A batch of {config.batch} cannot be shared by {world()} process{'es' * (world() > 1)} in groups of"
            f" {stage.group}. Take a multiple of {world() * stage.group}: --set stages.{name}.batch=N."
        )
    source = run.source_of(name)
    samples = Samples(source, stage, Step(run.seed, name, start, config.batch, rank(), world(), run.device))
    if short := len(source.videos) - len(samples.videos):
        talk.say(f"{name}: {short:,} videos of fewer than {stage.frames} frames are left out")
    _ = samples[start, 0]  # what does not fit the stage is found here, not by a process that reads
    judge = Judge(run, stage, config.metric, talk)
    if is_first():
        for left in last.parent.glob(".*.part"):  # by a run that was killed
            left.unlink()
    began, fresh = time.monotonic(), dict[str, torch.Tensor]()
    with Journal(run.folder, name, start) if is_first() else Silence() as journal, stopping() as stop:

        def halt(step: int) -> None:
            talk.say(f"{name}: stopped at step {step:,}; the same command goes on from there")
            raise KeyboardInterrupt

        def look(step: int) -> float:
            """How long it took."""
            began = time.monotonic()
            try:
                with stop.at_once():
                    judge.look(stage, step, journal)
            except KeyboardInterrupt:
                halt(step)
            if any(exchange(stop.is_set())):  # of several processes, none of which breaks off alone
                halt(step)
            return time.monotonic() - began

        if owed:
            began += look(start)
        reading = batches(samples, until, run.workers)
        for done, batch in enumerate(talk.track(reading, f"{run.model} {name}", until - start), start + 1):
            fresh |= stage.update(batch, replace(samples.step, index=done - 1))
            stopped = any(exchange(stop.is_set()))
            if done % LOG_EVERY == 0 or done == until or stopped:
                pace = (time.monotonic() - began) / (done - start)
                logs = numbers(fresh)
                journal.write(done, samples=done * config.batch, seconds_a_step=pace, **logs)
                losses = "  ".join(f"{key} {value:.3g}" for key, value in logs.items())
                talk.status(f"{done * config.batch:,} samples  {pace:.2f} s/step  {losses}")
                fresh.clear()
            if done % config.checkpoint_every == 0 or is_scored(done) or stopped:
                if is_first():
                    save_checkpoint(last, about(run, stage, done), stage.state(), stage.optimizers)
                exchange(None)
            if stopped:
                halt(done)
            if is_scored(done):
                began += look(done)


def numbers(logs: dict[str, torch.Tensor]) -> dict[str, float]:
    """Scalars as plain numbers, five digits."""
    return {name: float(f"{float(value):.5g}") for name, value in logs.items()}


class Judge:
    """Looks at a stage every so often: a sample grid, a score, and the best checkpoint so far."""

    def __init__(self, run: Run, stage: Stage, metric: str, talk: Talk) -> None:
        self.run, self.talk, self.source = run, talk, run.source_of(stage.name)
        protocol = load_protocol(metric)
        self.frames = protocol.span
        self.shown = max(1, min(GRID_FRAMES, protocol.frames * protocol.clips // GRID**2))
        size = self.preview(stage).size
        if size != self.source.size:
            self.source = self.source.reduced(size)
        generator = self.preview(stage)
        if isinstance(generator, OnReal):
            try:
                generator.eligible  # noqa: B018
            except ValueError as error:
                raise UserError(
                    f"{stage.name} is judged on real videos, but {error}. Add longer ones, or set"
                    f" stages.{stage.name}.metric to one of shorter clips."
                ) from error
        real = at_rate_of(generator, self.source)
        self.evaluator = Evaluator(
            protocol,
            real,
            backbone=run.backbone,
            size=size,
            device=run.device,
            workers=run.workers,
            track=talk.track,
        )
        self.evaluator.clips(real, self.evaluator.resolve(generator), cycle=True)  # fails before hours pass

    def preview(self, stage: Stage) -> Generator:
        """What a stage makes as it is."""
        return stage.preview(self.source, self.frames)

    def look(self, stage: Stage, step: int, journal: Any) -> None:
        """Sample, score, and keep the networks if none were better."""
        run, generator = self.run, self.preview(stage)
        if is_first():
            write_grid(run.folder / "samples" / f"{stage.name}-{step:07d}", generator, run.seed, self.shown)
        record = self.evaluator.score(generator, run.model)
        if not is_first():
            return
        best = run.best(stage.name)
        if not best.exists() or is_better(record, step, read_about(best)):
            save_checkpoint(best, about(run, stage, step, metric=record.metric, value=record.value), stage.state())
        journal.write(step, metric=record.metric, value=record.value, se=record.se)  # and now it is not made again
        self.talk.say(f"{stage.name}: step {step:,}, {record.metric} {record.value:.4g} ± {record.se or 0:.2g}")


def at_rate_of(generator: Generator, source: Source) -> Source:
    """Real videos at the frame rate of what learned from every so many-th of their frames."""
    ratio = (commonest(source, "fps") or 25.0) / generator.fps
    step = round(ratio)
    return source.thinned(step) if step > 1 and math.isclose(ratio, step) else source


def is_better(record: Record, step: int, champion: About) -> bool:
    """Whether a step's score is better than the best one's before it, or that is of another metric."""
    if champion.step >= step or champion.metric != record.metric or champion.value is None:
        return True
    return record.value < champion.value if record.better == "lower" else record.value > champion.value


def write_grid(stem: Path, generator: Generator, seed: int, frames: int) -> None:
    """Sixteen videos of so many frames side by side, as mp4, and as a contact sheet of their frames."""
    seeds = [draw_seed(seed, "grid", index) for index in range(GRID**2)]
    videos = quantise(generator.sample(seeds, min(frames, generator.max_frames or frames)))
    tiled = rearrange(videos, "(a b) c t h w -> c t (a h) (b w)", a=GRID)
    write_mp4(stem.parent, [(stem.name, tiled)], generator.fps)
    contact_sheet(stem.with_suffix(".png"), stem.name, {"samples": list(videos)})


class Silence:
    """The journal of processes that do not write."""

    def __enter__(self) -> "Silence":
        return self

    def __exit__(self, *problem: object) -> None:
        pass

    def write(self, step: int, **values: Any) -> None:
        """Nothing."""


class Flag:
    """Whether someone asked to stop."""

    def __init__(self) -> None:
        self._set = self._hurried = False

    def set(self, *signal_and_frame: object) -> None:
        """Ask; who asks twice does not want to wait."""
        if (self._set or self._hurried) and world() == 1:
            raise KeyboardInterrupt
        self._set = True

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Within is what can be made again later: it is broken off."""
        self._hurried = True
        try:
            if self._set:
                self.set()
            yield
        finally:
            self._hurried = False

    def is_set(self) -> bool:
        """Whether it was asked."""
        return self._set


@contextmanager
def stopping() -> Iterator[Flag]:
    """Ctrl-C and SIGTERM ask for an end after the current step; what can be made again is broken off."""
    flag = Flag()
    before = {number: signal.signal(number, flag.set) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield flag
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
