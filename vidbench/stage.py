"""The interface of everything that trains: a system is trained in named stages, one after the other."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, distributed, nn
from torch.optim import Optimizer

from .config import Config as Config
from .draws import draw
from .generator import Generator, OnReal, VideoSource

State = dict[str, dict[str, Tensor]]
"""The tensors of a stage's networks, by network and name."""
Batches = Mapping[str, Mapping[str, Tensor]]
"""Training samples of one step: by the batch's name and the tensor's, `[n, ...]`."""


class StageConfig(Config):
    """What the configuration of every stage has."""

    steps: int = Field(ge=1)
    """Training steps; schedules follow it."""
    batch: int = Field(ge=1)
    """Samples of a step, over all processes."""
    checkpoint_every: int = Field(ge=1)
    """Steps between checkpoints."""
    evaluate_every: int = Field(ge=1)
    """Steps between sample grids and evaluations."""
    metric: str
    """What the best checkpoint is chosen by, such as `fvd16@256`."""
    cost: float | None = Field(default=None, gt=0)
    """What a sample takes of time on a CPU, where that was measured: in units of the probe in `vidbench.pace`."""


@dataclass(frozen=True)
class Step:
    """Where training stands. All randomness of a step is a function of (seed, stage, step, sample), so that neither
    interruptions nor the number of processes change it: sample i of the batch is on rank i mod world.
    """

    seed: int
    stage: str
    index: int
    """Steps done before this one."""
    batch: int
    """Samples over all processes."""
    rank: int = 0
    world: int = 1
    device: str = "cpu"

    @property
    def samples(self) -> range:
        """Indices, within the whole batch, of this process's samples."""
        return range(self.rank, self.batch, self.world)

    def chance(self, name: str, sample: int) -> torch.Generator:
        """The source of one sample's random numbers of one name."""
        return draw(self.seed, f"{self.stage}/{name}/{self.index}", sample)

    def shared(self, name: str) -> torch.Generator:
        """The source of random numbers that all samples of the step share, on all processes."""
        return draw(self.seed, f"{self.stage}/{name}/{self.index}/shared")

    def normal(self, name: str, *shape: int) -> Tensor:
        """Standard normal numbers for each of this process's samples, `[n, *shape]`, float32."""
        rows = [torch.randn(shape, generator=self.chance(name, sample)) for sample in self.samples]
        return torch.stack(rows).to(self.device)

    def uniform(self, name: str, *shape: int) -> Tensor:
        """Uniform numbers in [0, 1) for each of this process's samples, `[n, *shape]`, float64, on the CPU."""
        rows = [torch.rand(shape, generator=self.chance(name, i), dtype=torch.float64) for i in self.samples]
        return torch.stack(rows)

    def mean(self, value: Tensor) -> Tensor:
        """The mean of a tensor over all processes, for running statistics."""
        if self.world == 1:
            return value
        total = value.detach().clone()
        distributed.all_reduce(total)
        return total / self.world

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace gradients by their means over all processes."""
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if self.world == 1 or not gradients:
            return
        sizes = [gradient.numel() for gradient in gradients]
        mean = self.mean(torch.cat([gradient.flatten() for gradient in gradients]))
        for gradient, part in zip(gradients, torch.split(mean, sizes), strict=True):
            gradient.copy_(part.view_as(gradient))


@dataclass(frozen=True)
class Origin:
    """What a stage is trained on."""

    size: tuple[int, int]
    """Height and width of the videos."""
    fps: float
    """Frames a second at which generated videos should be played."""


class Stage(ABC):
    """One stage of a system: networks, their optimisers, and what a training step does.

    Attributes:
        networks: everything that a checkpoint keeps, by name; moving averages and running statistics too.
        optimizers: the optimisers, by name.
        frames: how long a video must be to be trained on.
        group: samples that belong together, as for minibatch statistics: each process has a multiple of so many.
        reader: makes a training sample of one video: a function of the source, the video and random numbers to a dict
            of tensors. It runs in the processes that read.
        reads: the batches that steps take, each of other videos, and every how many steps one of them does.
        shorter: changes of the configuration, `key=value`, with which shorter videos do, and how long those must be.
    """

    name: ClassVar[str]
    networks: dict[str, nn.Module]
    optimizers: dict[str, Optimizer]
    frames: int
    group: int = 1
    reads: Mapping[str, int] = MappingProxyType({"real": 1})
    shorter: Mapping[str, int] = MappingProxyType({})
    reader: Callable[[VideoSource, Any, torch.Generator], dict[str, Tensor]]

    @abstractmethod
    def update(self, batches: Batches, step: Step) -> dict[str, Tensor]:
        """One training step.

        Args:
            batches: the samples of this process, stacked, `[n, ...]` each; those that this step reads, by name.
            step: where training stands, and the source of randomness.

        Returns:
            Scalars for the log.
        """

    @abstractmethod
    def preview(self, real: VideoSource, num_frames: int) -> Generator:
        """What can be sampled with the networks as they are; shares their memory.

        Args:
            real: videos that it may stand on, where a stage needs something to go on from.
            num_frames: frames of a video that will be wanted.
        """

    def weight(self, length: int) -> int:
        """How often a video of so many frames is visited, relative to others; once a pass if all weigh the same."""
        return 1

    def state(self) -> State:
        """The tensors of all networks."""
        return {name: network.state_dict() for name, network in self.networks.items()}


@dataclass(frozen=True)
class Network:
    """A network in a file of its authors, as plain data."""

    tensors: dict[str, Tensor]
    """By the names of its state dict."""
    arguments: dict[str, Any]
    """Of its constructor: plain values by name; those given without one by position, "0", "1"."""
    attributes: dict[str, Any]
    """Its own attributes; of the modules in it, numbers and texts alone, by dotted name."""


@dataclass(frozen=True)
class Snapshot:
    """A file of a system's authors."""

    networks: dict[str, Network]
    """By their names in it; a file that is one network holds the averaged one, `G_ema`."""
    stats: dict[str, Any]
    """What stands beside them: how far training was; single tensors, such as an array or a mean style."""


@dataclass(frozen=True)
class Imported:
    """What a system makes of its authors' files."""

    config: Config
    """Of the system's `config_type`."""
    states: dict[str, State]
    """The networks of each stage."""
    steps: int = 0
    """Training steps done; 0 where it is not recorded."""
    fps: float | None = None
    """Frames a second, where it is recorded."""
    notes: tuple[str, ...] = ()
    """Sentences for the user about what was found."""


class System(Generator):
    """A generator that is trained in stages.

    A system is made from its configuration and the states of its stages. `config` has the fields `model`, shared by all
    stages, and `stages`, one field a stage; a stage whose field is None is not trained.
    """

    config_type: ClassVar[type[Config]]
    """Its configuration, as in `configs/models/<name>/<tier>.yaml`."""
    stages: ClassVar[Mapping[str, Callable[..., Stage]]]
    """Its stages in order: functions of (configuration, origin, device, states of the stages before)."""
    needed: ClassVar[tuple[str, ...]]
    """The stages that sampling needs."""
    sampled: ClassVar[Mapping[str, tuple[str, ...]]] = MappingProxyType({})
    """The networks that sampling reads, by stage: what an export holds. Without any, that is all of them."""
    exact: ClassVar[tuple[str, ...]] = ()
    """Those of them, `stage/network`, that others know by their bits: an export leaves them as they are."""
    domains: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """What each stage learns, by its name, where stages may learn from different data sets: `--<domain>-dataset`."""
    across: ClassVar[str] = ""
    """What changes in the configuration then, as `key=value`."""
    timed_by: ClassVar[str | None] = None
    """The stage whose videos say how fast things move; None for the last."""
    version: ClassVar[int] = 1
    """Raised whenever the same weights give other videos."""
    continuous: ClassVar[bool] = False
    """Whether frames can be asked for at any times (option `fps`)."""
    fingerprint: str | None = None
    """Identity of weights and options."""
    checkpoint_hash: str | None = None
    """SHA-256 of the weights."""
    checkpoint: str | None = None
    """Where they lay."""

    @classmethod
    @abstractmethod
    def size_of(cls, config: Any) -> tuple[int, int]:
        """Height and width of the videos that a configuration is for."""

    @classmethod
    def training_size(cls, config: Any, stage: str) -> tuple[int, int]:
        """Height and width of the videos that a stage is trained on."""
        return cls.size_of(config)

    @classmethod
    @abstractmethod
    def from_states(
        cls, config: Any, states: Mapping[str, State], fps: float, device: str = "cpu", /, **options: Any
    ) -> "System":
        """The generator of trained stages.

        Args:
            config: of `config_type`.
            states: of all stages that sampling needs, by name.
            fps: frames a second of what it was trained on.
            device: where it runs.
            options: of sampling, such as truncation; `fps` among them is that of a continuous system's videos.

        Raises:
            ValueError: a stage is missing, or does not fit the configuration.
        """

    def on_real(self, real: VideoSource, num_frames: int) -> Mapping[str, OnReal]:
        """Later stages that go on from real videos instead of what earlier ones make: how much of a score is theirs.

        Args:
            real: videos of the size that the system makes.
            num_frames: frames of a video that will be wanted.

        Returns:
            Generators by the stage's name.
        """
        return {}

    @classmethod
    def from_official(cls, snapshots: Sequence[Snapshot]) -> Imported:
        """The system in its authors' own files: for `vidbench import`, where a system has it.

        Every name and shape is checked against the networks of the configuration that is found.

        Args:
            snapshots: the files, in the order given.

        Raises:
            ValueError: they are not of this system, or not as expected; the message completes a sentence about them.
        """
        raise ValueError("vidbench reads no files of this system's authors")


def at_rate(options: dict[str, Any], fps: float) -> float:
    """Take the option `fps` of a continuous system: another frame rate of the same motion, which sets `time_step`.

    Raises:
        ValueError: it is not above 0, or `time_step` is given, too.
    """
    wanted: float = options.pop("fps", fps)
    if wanted != fps:
        if wanted <= 0 or "time_step" in options:
            raise ValueError("fps must be above 0, and determines time_step; leave one of them away")
        options["time_step"] = fps / wanted
    return wanted


def load_network(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Load a network's tensors, all of them and nothing else; half precision becomes the network's own.

    Raises:
        ValueError: names or shapes differ, with the first few.
    """
    require_fit(network, tensors)
    network.load_state_dict(dict(tensors))


def require_fit(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Compare tensors with a network, which may be on the device `meta`.

    Raises:
        ValueError: names or shapes differ, with the first few.
    """
    own = network.state_dict()
    wrong = [f"{name} is missing" for name in own if name not in tensors]
    wrong += [f"{name} is unknown" for name in tensors if name not in own]
    wrong += [
        f"{name} has shape {list(tensors[name].shape)} instead of {list(own[name].shape)}"
        for name in own
        if name in tensors and tensors[name].shape != own[name].shape
    ]
    if wrong:
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise ValueError(f"the tensors do not fit the network: {'; '.join(wrong[:5])}{more}")
