"""A system small enough to be trained in milliseconds: videos of one drifting colour, learnt from real videos."""

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from vidbench.draws import draw
from vidbench.runs import Run
from vidbench.sources import source_from_array
from vidbench.stage import Config, Stage, StageConfig, System, load_network
from vidbench.training import Talk


class Hue(nn.Module):
    """A colour `[3]`, and a running statistic."""

    def __init__(self) -> None:
        super().__init__()
        self.colour = nn.Parameter(torch.randn(3))
        self.register_buffer("seen", torch.zeros(3))


class TintConfig(StageConfig):
    lr: float = 0.05


class Stages(Config):
    first: TintConfig
    second: TintConfig


class PaintConfig(Config):
    name: str
    side: int = 8
    stages: Stages


def read(source: Any, video: Any, chance: torch.Generator) -> dict[str, Tensor]:
    start = int(torch.randint(source.length(video) - 3, (), generator=chance))
    return {"colour": torch.from_numpy(source.read(video, start, start + 4).mean(axis=(1, 2, 3))).float() / 127.5 - 1}


class Tint(Stage):
    """Draws the colour near that of the batch, with noise."""

    name = "first"
    frames = 4

    def __init__(self, config: Any, origin: Any, device: str, before: Any) -> None:
        self.hue, self.origin = Hue(), origin
        self.networks = {"hue": self.hue}
        self.optimizers = {"hue": torch.optim.Adam(self.hue.parameters(), lr=config.stages.first.lr)}
        self.reader = read

    def update(self, batches: Any, step: Any) -> dict[str, Tensor]:
        noisy = batches["real"]["colour"] + 0.1 * step.normal("noise", 3)
        loss = (self.hue.colour - noisy).square().mean()
        self.optimizers["hue"].zero_grad()
        loss.backward()
        step.average_gradients(self.hue.parameters())
        self.optimizers["hue"].step()
        self.hue.seen.lerp_(step.mean(noisy.mean(dim=0)), 0.1)
        return {"loss": loss.detach()}

    def preview(self, real: Any, num_frames: int) -> "Paint":
        return Paint(self.hue, self.origin.fps)


class Shade(Tint):
    """The same again, from where the first stage ended, without momentum and so without an optimiser's state."""

    name = "second"

    def __init__(self, config: Any, origin: Any, device: str, before: Any) -> None:
        super().__init__(config, origin, device, before)
        if "first" not in before:
            raise ValueError("the stage first is not trained")
        load_network(self.hue, before["first"]["hue"])
        self.optimizers = {"hue": torch.optim.SGD(self.hue.parameters(), lr=config.stages.second.lr)}


class Paint(System):
    config_type = PaintConfig
    stages: ClassVar[Any] = {"first": Tint, "second": Shade}
    needed = ("first",)

    def __init__(self, hue: Hue, fps: float, strength: float = 1.0) -> None:
        self.hue, self.fps, self.size, self.strength = hue, fps, (8, 8), strength

    @classmethod
    def size_of(cls, config: Any) -> tuple[int, int]:
        return config.side, config.side

    @classmethod
    def from_states(cls, config: Any, states: Any, fps: float, device: str = "cpu", /, **options: Any) -> "Paint":
        found = [stage for stage in cls.stages if stage in states]
        if not found:
            raise ValueError("the stage first is not trained")
        hue = Hue()
        load_network(hue, states[found[-1]]["hue"])
        return cls(hue, fps, **options)

    def stream(self, seed: int) -> Any:
        tone = 0.2 * torch.randn(3, 1, generator=draw(seed, "tone"))
        first = 0
        while True:
            with torch.no_grad():
                drift = torch.sin(0.1 * torch.arange(first, first + 6)) * tone
                frames = (self.strength * self.hue.colour[:, None] + drift).clamp(-1, 1)
            yield frames[:, :, None, None].expand(-1, -1, *self.size)
            first += 6


def settings(**values: Any) -> PaintConfig:
    """A configuration of a few steps."""
    stage = {"steps": 6, "batch": 4, "checkpoint_every": 2, "evaluate_every": 3, "metric": "color-drift@4"} | values
    return PaintConfig(name="quick", stages={"first": stage, "second": stage})


def videos(count: int = 10, frames: int = 130) -> np.ndarray:
    """Videos uint8 `[N, T, 8, 8, 3]` of textures that brighten."""
    rng = np.random.default_rng(0)
    return np.clip(
        rng.normal(160, 30, (count, 1, 8, 8, 3)) + np.arange(frames)[:, None, None, None] / 2, 0, 255
    ).astype(np.uint8)


def make_run(folder: Any, seed: int = 0, frames: int = 130, **values: Any) -> Run:
    """A run of it on ten videos in memory."""
    source = source_from_array("bright", videos(frames=frames), 25.0).resized((8, 8))
    return Run("paint", Paint, settings(**values), "quick", source, "toy3d", folder, seed, workers=0)


class Listener(Talk):
    """Remembers what a training says."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        super().__init__(lambda items, label, total: items, self.lines.append, lambda text: None)

    def heard(self) -> str:
        return "\n".join(self.lines)
