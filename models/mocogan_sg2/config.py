"""MoCoGAN+SG2's configuration, with the values of StyleGAN-V's authors (CVPR 2022, Sec. 4; release) as defaults."""

from typing import Self

from pydantic import Field, model_validator

from vidbench.stage import Config, StageConfig

from .discriminator import FRAMES


class ModelConfig(Config):
    """The networks."""

    resolution: int = Field(ge=16)
    """Side of the square frames, a power of two."""
    z_dim: int = Field(default=512, ge=1)
    """Width of the latent."""
    w_dim: int = Field(default=512, ge=1)
    """Width of the style."""
    mapping_layers: int = Field(default=2, ge=1)
    """Of the mapping network."""
    channel_base: int = Field(default=16384, ge=1)
    """Channels of a block of the generator and of the image discriminator times its resolution..."""
    channel_max: int = Field(default=512, ge=1)
    """... at most so many."""
    motion_z_dim: int = Field(default=512, ge=1)
    """Width of motion tokens, and of the LSTM."""
    motion_v_dim: int = Field(default=512, ge=1)
    """Width of motion codes."""
    max_num_frames: int = Field(default=1024, ge=FRAMES)
    """The longest training video: of a longer one a window is taken."""
    video_width: int = Field(default=64, ge=1)
    """Channels of the video discriminator's first layer."""
    mbstd_group_size: int = Field(default=4, ge=1)
    """Frames whose deviation the image discriminator is shown; of as many videos where the batch has them."""
    norm_group_size: int = Field(default=16, ge=1)
    """Videos that the video discriminator normalises together; the authors' batches of 64 are shared by four GPUs."""
    num_fp16_res: int = Field(default=0, ge=0, le=32)
    """Resolutions, the highest, that are computed in half precision on a GPU."""
    conv_clamp: float | None = Field(default=None, gt=0)
    """Limit of the magnitude of what layers put out."""

    @model_validator(mode="after")
    def _require_shape(self) -> Self:
        if self.resolution & (self.resolution - 1):
            raise ValueError(f"resolution {self.resolution} is no power of two")
        if self.channel_base < self.resolution:
            raise ValueError(f"channel_base {self.channel_base} leaves no channels at resolution {self.resolution}")
        return self


class GanConfig(StageConfig):
    """The only stage."""

    lr: float = 0.0025
    """Learning rate of generator and image discriminator, before the correction for lazy regularisation."""
    video_lr_factor: float = Field(default=0.1, gt=0)
    """That of the video discriminator is so many times as high."""
    gamma: float
    """Weight of R1; the authors' rule is 0.0002 * resolution^2 / batch."""
    r1_every: int = Field(default=16, ge=1)
    """Steps between R1 penalties."""
    ema_kvideos: float
    """Half-life of the generator's moving average, in thousands of videos."""
    ema_rampup: float | None = None
    """The half-life is at most so many times the frames seen so far."""
    ada_target: float = 0.6
    """The mean sign of real frames' logits that augmentation holds; 0 switches it off."""
    ada_kvideos: float = Field(default=100, gt=0)
    """Thousands of videos in which the augmentation may rise from nothing to everything."""
    mirror: bool = True
    """Whether half of the real videos are mirrored."""


class Stages(Config):
    """The stages."""

    gan: GanConfig


class MoCoGANSG2Config(Config):
    """All of it."""

    name: str
    """Its tier."""
    model: ModelConfig
    stages: Stages
