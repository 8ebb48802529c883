"""DIGAN's configuration, with the authors' values (Yu et al., ICLR 2022; release) as defaults."""

from typing import Self

from pydantic import Field, PositiveInt, model_validator

from vidbench.stage import Config, StageConfig


class ModelConfig(Config):
    """The networks."""

    resolution: int = Field(default=128, ge=8)
    """Side of the square frames, a power of two."""
    clip_frames: int = Field(default=16, ge=2)
    """Frames of the clips that it learns from; their times reach from 0 to 1."""
    time_step: PositiveInt = 1
    """Frames of the data from each frame of a clip to the next."""
    z_dim: PositiveInt = 512
    """Width of the latent."""
    w_dim: PositiveInt = 512
    """Width of the style, and of the latent of motion."""
    mapping_layers: int = Field(default=2, ge=1)
    """Of the mapping network."""
    base_resolution: int = 32
    """Side that the first blocks work at, whatever their own; a power of two."""
    num_waves: PositiveInt = 128
    """Waves that coordinates become, each as sine and cosine."""
    motion_sigma: float = 0.25
    """How quickly time moves their phases."""
    rank: PositiveInt = 10
    """Of the change that a style makes to a layer's weights."""
    extra_layers_at: tuple[int, ...] = (128, 256)
    """Sides that blocks work at if they have a third layer."""
    channel_base: PositiveInt = 32768
    """Channels of a block times its resolution..."""
    channel_max: PositiveInt = 512
    """... at most so many."""
    mbstd_group_size: int = Field(default=4, ge=1)
    """Samples whose deviation a discriminator is shown."""
    num_fp16_res: int = Field(default=0, ge=0, le=32)
    """Resolutions of the discriminators, the highest, that are computed in half precision on a GPU."""
    conv_clamp: float | None = Field(default=None, gt=0)
    """Limit of the magnitude of what the discriminators' layers put out."""

    @model_validator(mode="after")
    def _require_powers(self) -> Self:
        for name in ("resolution", "base_resolution"):
            if (side := getattr(self, name)) & (side - 1):
                raise ValueError(f"{name} {side} is no power of two")
        if not 4 <= self.base_resolution <= self.resolution:
            raise ValueError(f"base_resolution {self.base_resolution} is not between 4 and {self.resolution}")
        if self.channel_base < self.resolution:
            raise ValueError(f"channel_base {self.channel_base} leaves no channel at {self.resolution} pixels")
        return self


class GanConfig(StageConfig):
    """The only stage."""

    lr: float = 0.0025
    """Learning rate of both networks, before the correction for lazy regularisation."""
    gamma: float = 1.0
    """Weight of R1, of either discriminator."""
    r1_every: int = Field(default=16, ge=1)
    """Steps between R1 penalties."""
    ema_kvideos: float = 20
    """Half-life of the generator's moving average, in thousands of videos."""
    ema_rampup: float = 0.05
    """The half-life is at most so many times the videos seen so far."""
    overlapping: bool = False
    """Whether clips begin at any frame of a video, or only where the one before ends."""
    mirror: bool = True
    """Whether half of the real clips are mirrored."""


class Stages(Config):
    """The stages."""

    gan: GanConfig


class DIGANConfig(Config):
    """All of it."""

    name: str
    """Its tier."""
    model: ModelConfig
    stages: Stages
