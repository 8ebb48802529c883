"""StyleGAN-V's configuration, with the paper's values (Sec. 4; authors' release) as defaults."""

from typing import Self

from pydantic import Field, model_validator

from vidbench.stage import Config, StageConfig

from .frames import FrameSampling
from .motion import Motion


class ModelConfig(Config):
    """The networks."""

    resolution: int = Field(ge=16)
    """Side of the square frames, a power of two."""
    z_dim: int = 512
    """Width of the latent."""
    w_dim: int = 512
    """Width of the style."""
    c_dim: int = Field(default=0, ge=0)
    """Classes of a conditional model; labels are drawn uniformly."""
    mapping_layers: int = 2
    """Of the mapping network."""
    channel_base: int = 16384
    """Channels of a block times its resolution..."""
    channel_max: int = 512
    """... at most so many."""
    motion: Motion = Motion()
    """The motion code."""
    sampling: FrameSampling = FrameSampling()
    """The frames that the discriminator sees."""
    concat_res: int = 16
    """The resolution from which on the discriminator sees all frames as one image."""
    concat_divisor: int = 2
    """The block before that has so many times fewer channels."""
    mbstd_group_size: int = Field(default=4, ge=1)
    """Videos whose deviation the discriminator is shown."""
    num_fp16_res: int = Field(default=0, ge=0, le=32)
    """Resolutions, the highest, that are computed in half precision on a GPU."""
    conv_clamp: float | None = Field(default=None, gt=0)
    """Limit of the magnitude of what layers put out."""

    @model_validator(mode="after")
    def _require_room(self) -> Self:
        if self.resolution & (self.resolution - 1):
            raise ValueError(f"resolution {self.resolution} is no power of two")
        if self.sampling.max_num_frames > self.motion.max_num_frames:
            raise ValueError(
                f"sampling.max_num_frames {self.sampling.max_num_frames} is above motion.max_num_frames"
                f" {self.motion.max_num_frames}"
            )
        return self


class GanConfig(StageConfig):
    """The only stage."""

    lr: float = 0.0025
    """Learning rate of both networks, before the correction for lazy regularisation."""
    gamma: float
    """Weight of R1; the paper's rule is 0.0002 * resolution^2 / batch."""
    r1_every: int = Field(default=16, ge=1)
    """Steps between R1 penalties."""
    ema_kvideos: float
    """Half-life of the generator's moving average, in thousands of videos."""
    ema_rampup: float | None = None
    """The half-life is at most so many times the frames seen so far."""
    ada_target: float = 0.6
    """The mean sign of real logits that augmentation holds; 0 switches it off."""
    ada_kvideos: float = Field(default=100, gt=0)
    """Thousands of videos in which the augmentation may rise from nothing to everything."""
    mirror: bool = True
    """Whether half of the real videos are mirrored."""


class Stages(Config):
    """The stages."""

    gan: GanConfig


class StyleGANVConfig(Config):
    """All of it."""

    name: str
    """Its tier."""
    model: ModelConfig
    stages: Stages
