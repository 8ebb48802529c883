"""Runs: what is trained, on what, and where it goes; from what a user asks for to networks at their beginning."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
import yaml

from . import config
from .checkpoints import About, load_checkpoint, read_about
from .datasets import DataSet
from .draws import draw_seed
from .errors import UserError
from .evaluator import check_device
from .files import atomic_write, check_writable
from .pace import duration, probe_seconds
from .ranks import is_first, world
from .record import difference_of
from .registry import MODELS, unknown
from .sides import commonest, open_real
from .sources import Source
from .stage import Origin, Stage, State, System
from .trained import folder_name, newest


@dataclass(frozen=True)
class Run:
    """What is trained, on what, and where it goes."""

    model: str
    """Registered name of the system."""
    system: type[System]
    """Its class."""
    config: Any
    """Its configuration."""
    tier: str
    """The configuration's name."""
    source: Source
    """Training videos, of the configuration's size."""
    backbone: str
    """What turns clips into features when checkpoints are compared."""
    folder: Path
    """`<out>/<model>/<data>-<tier>`."""
    seed: int = 0
    device: str = "cpu"
    workers: int = 1
    others: Mapping[str, Source] = field(default_factory=dict)
    """Other training videos than `source`, by the stages that are trained on them."""

    @property
    def data(self) -> str:
        """The data set's name, or several."""
        names = dict.fromkeys(self.source_of(stage).name for stage in self.system.stages)
        return "+".join(names)

    def source_of(self, stage: str) -> Source:
        """The videos that a stage is trained on."""
        return self.others.get(stage, self.source)

    def last(self, stage: str) -> Path:
        """Where training goes on from."""
        return self.folder / stage / "last.safetensors"

    def best(self, stage: str) -> Path:
        """The best networks so far."""
        return self.folder / stage / "best.safetensors"

    def describe(self) -> dict[str, Any]:
        """Everything that decides the weights; a folder holds one of these."""
        stages = self.system.stages
        sources = {"data": self.source, **{f"data of {stage}": source for stage, source in self.others.items()}}
        return {
            "model": self.model,
            **{
                key: {"name": source.name, "split": source.split, "fingerprint": source.fingerprint}
                for key, source in sources.items()
            },
            "seed": self.seed,
            "config": self.config.model_dump(mode="json", exclude={"stages": {name: {"cost"} for name in stages}}),
        }


def tiers(model: str) -> list[str]:
    """Names of a system's configurations that ship."""
    return config.names(f"models/{folder_of(model)}")


def folder_of(name: str) -> str:
    """The folder of a system: hyphens in commands are underscores in folders."""
    return name.replace("-", "_")


def load_system(model: str) -> type[System]:
    """The class of a system that can be trained.

    Raises:
        UserError: an unknown name, or a generator that is not trained.
    """
    system: type[System] = MODELS.load(model)
    if not hasattr(system, "stages"):
        trained = [name for name in MODELS.names() if hasattr(MODELS.load(name), "stages")]
        raise UserError(f"{model} is not trained. These are: {', '.join(trained)}.")
    return system


def load_settings(system: type[System], model: str, tier: str, path: Path | None, changes: tuple[str, ...]) -> Any:
    """A system's configuration: a shipped tier or a user's file, with some values changed (`stages.gan.batch=8`).

    Raises:
        UserError: an unknown tier, key or value.
    """
    if path is not None:
        settings = config.load(system.config_type, path)
    elif tier in tiers(model):
        settings = config.shipped(system.config_type, f"models/{folder_of(model)}", tier)
    else:
        raise unknown(f"tier of {model}", tier, tiers(model))
    return config.change(settings, changes) if changes else settings


def open_run(
    *,
    model: str,
    stages: tuple[str, ...],
    data: str,
    real: str | None,
    split: str | None,
    backbone: str | None,
    tier: str | None,
    config_path: Path | None,
    changes: tuple[str, ...],
    out: Path,
    seed: int,
    device: str,
    workers: int,
    steps: int | None,
    domains: Mapping[str, str] = MappingProxyType({}),
) -> tuple[Run, list[str]]:
    """A run, and the stages of it that are to be trained; `domains` are data sets by what is learned from them.

    Raises:
        UserError: an unknown name, or videos or a device that are not there.
    """
    check_device(device)
    system = load_system(model)
    if tier is not None and config_path is not None:
        raise UserError(f"--tier {tier} and --config {config_path} both name a configuration. Give one of them.")
    tier = tier or "tiny"
    settings = load_settings(system, model, tier, config_path, changes)
    for stage in stages:
        if stage not in system.stages:
            raise unknown(f"stage of {model}", stage, system.stages)
    for domain in domains:
        if domain not in system.domains.values():
            raise UserError(f"{model} learns from one data set, and has no --{domain}-dataset. Give it --data.")
    named = {stage: domains.get(domain, real or data) for stage, domain in system.domains.items()}
    if len(set(named.values())) > 1:
        settings = config.change(settings, [system.across], "Different data sets:")
    planned = [stage for stage in system.stages if getattr(settings.stages, stage) is not None]
    if missing := [stage for stage in stages if stage not in planned]:
        raise UserError(f"The configuration has no stage {missing[0]}: stages.{missing[0]} is null.")
    wanted = {stage: (named.get(stage, real or data), system.training_size(settings, stage)) for stage in planned}
    main = ([real or data, *named.values()][-1], system.size_of(settings))
    opened = {video: open_training(video[0], split, video[1]) for video in dict.fromkeys([main, *wanted.values()])}
    source, card = opened[main]
    tier = "+".join([config_path.stem if config_path else tier, *changes])
    run = Run(
        model=model,
        system=system,
        config=settings,
        tier=tier,
        source=source,
        others={stage: opened[video][0] for stage, video in wanted.items() if video != main},
        backbone=backbone or (card.backbone if card else "i3d"),
        folder=out / model,
        seed=seed,
        device=device,
        workers=workers,
    )
    run = replace(run, folder=run.folder / folder_name(f"{run.data}-{tier}"))
    return run, [stage for stage in planned if not stages or stage in stages]


def open_training(name: str, split: str | None, size: tuple[int, int]) -> tuple[Source, DataSet | None]:
    """Videos to train on, of a data set or at a path, and the card of the data set."""
    source, card = open_real(name, split, size)
    source = source.resized(size)
    if card:
        source.name = card.name
    return source, card


def claim(run: Run) -> None:
    """Write down what the folder is for, or find that out.

    Raises:
        UserError: it holds another run, with every difference.
    """
    check_writable(run.folder)
    path = run.folder / "config.yaml"
    ours, found = run.describe(), list[str]()
    if path.exists():
        try:
            theirs = yaml.safe_load(path.read_text())
            known = {key: value for key, value in flat(theirs).items() if not key.endswith(".cost")}
            found = difference_of(known, flat(ours))
        except (yaml.YAMLError, UnicodeDecodeError, AttributeError) as error:
            raise UserError(f"{path} is no configuration. Remove it, or train with another --out.") from error
        if found and any(run.folder.glob("*/*.safetensors")):  # what came to nothing claims nothing
            raise UserError(
                f"{run.folder} holds another run: {'; '.join(found)}. Train with another --out, or remove that folder."
            )
    if is_first() and (found or not path.exists()):
        atomic_write(path, yaml.safe_dump(ours, sort_keys=False))


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values by dotted names."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return found


def stage_config(run: Run, name: str) -> Any:
    """The configuration of one stage."""
    return getattr(run.config.stages, name)


def last_step(run: Run, name: str, steps: int | None) -> int:
    """Where a stage ends: with its configuration, which schedules follow, or earlier."""
    own: int = stage_config(run, name).steps
    return min(steps or own, own)


def build_stage(run: Run, name: str) -> Stage:
    """A stage at its very beginning: the same seed gives the same networks.

    Raises:
        UserError: a stage that it builds upon is not trained.
    """
    before: dict[str, State] = {}
    for other in run.system.stages:
        if other == name:
            break
        if path := newest(run.folder, other):
            before[other] = load_checkpoint(path).state
    torch.manual_seed(draw_seed(run.seed, f"{name}/networks"))
    source = run.source_of(name)
    origin = Origin(commonest(source, "size"), commonest(source, "fps") or 25.0)
    try:
        return run.system.stages[name](run.config, origin, run.device, before)
    except ValueError as error:
        raise UserError(f"The stage {name} cannot begin: {str(error).removesuffix('.')}.") from error


def describe_run(run: Run, stages: list[str], steps: int | None) -> Iterator[str]:
    """Lines for the user before anything long begins: data, networks, where it goes, and where it goes on."""
    shown = " and ".join(dict.fromkeys(described(run.source_of(stage)) for stage in stages))
    yield f"{run.model} {run.tier} on {shown}, seed {run.seed}, to {run.folder}"
    for name in stages:
        config, last = stage_config(run, name), run.last(name)
        begun = f", from step {read_about(last).step:,}" if last.exists() else ""
        asked = f"  {name}: {last_step(run, name, steps):,} steps of {config.batch} samples{begun}"
        try:
            stage = build_stage(run, name)
        except UserError:
            if name == stages[0]:
                raise
            yield f"{asked}, after the stages before it"
            continue
        counts = {key: parameters(network) for key, network in stage.networks.items()}
        networks = ", ".join(f"{key} {count / 1e6:.2f} M" for key, count in counts.items() if count)
        tensors = [tensor for part in stage.state().values() for tensor in part.values()]
        trained = [
            p for optimizer in stage.optimizers.values() for group in optimizer.param_groups for p in group["params"]
        ]
        size = sum(tensor.nbytes for tensor in [*tensors, *trained, *trained])
        yield (
            f"{asked}; parameters: {networks}; {size / 1e6:.0f} MB a checkpoint; scored by"
            f" {config.metric}[{run.backbone}] every {config.evaluate_every:,} steps"
        )
    if run.device == "cpu" and any(stage_config(run, name).cost for name in stages):
        yield expected_time(run, stages, steps)


def described(source: Source) -> str:
    """Training videos, for the user."""
    split, (height, width) = f" ({source.split})" if source.split else "", source.size
    return f"{source.name}{split}: {len(source.videos):,} videos at {height}x{width}"


def expected_time(run: Run, stages: list[str], steps: int | None) -> str:
    """How long the steps of stages will take on this machine as busy as it is, for the user."""
    probe, parts = probe_seconds(run.device, run.workers), dict[str, float]()
    for name in stages:
        config, last = stage_config(run, name), run.last(name)
        left = last_step(run, name, steps) - (read_about(last).step if last.exists() else 0)
        if config.cost:
            parts[name] = max(left, 0) * config.batch * config.cost * probe / world()
    total = f"  expected time: about {duration(sum(parts.values()))}"
    each = f" ({', '.join(f'{name} {duration(t)}' for name, t in parts.items())})" if len(parts) > 1 else ""
    return f"{total}{each}, and some for each score"


def parameters(network: Any) -> int:
    """How many numbers of a network are trained."""
    return sum(parameter.numel() for parameter in network.parameters())


def about(run: Run, stage: Stage, step: int, **values: Any) -> About:
    """What a checkpoint says of itself."""
    source = run.source_of(stage.name)
    return About(
        model=run.model,
        stage=stage.name,
        step=step,
        config=run.config.model_dump(mode="json"),
        tier=run.tier,
        data=run.data,
        data_fingerprint=source.fingerprint,
        split=source.split,
        size=commonest(source, "size"),
        fps=commonest(source, "fps") or 25.0,
        seed=run.seed,
        **values,
    )
