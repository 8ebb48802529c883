"""LongVideoGAN's configuration, with the paper's values (Sec. 3, App. A and C; authors' release) as defaults."""

from typing import Annotated, Self

from pydantic import Field, PositiveInt, model_validator

from vidbench.stage import Config, StageConfig

from .lowres_generator import block_sizes
from .temporal_noise import PAPER, TimeScales

Five = Annotated[tuple[PositiveInt, ...], Field(min_length=5, max_length=5)]
Eleven = Annotated[tuple[PositiveInt, ...], Field(min_length=11, max_length=11)]


class LowResModel(Config):
    """The networks of the first stage."""

    height: PositiveInt = 36
    """Of its frames."""
    width: PositiveInt = 64
    """Of its frames."""
    frames: int = Field(default=128, ge=1)
    """Of the videos that the discriminator sees."""
    channels: Eleven = (512, 512, 512, 512, 512, 256, 256, 128, 128, 64, 64)
    """Of the generator: of its input, and of what leaves each of its ten blocks."""
    temporal_emb_dim: PositiveInt = 1024
    """Channels of the filtered noise."""
    w_dim: PositiveInt = 1024
    """Width of styles."""
    scales: TimeScales = PAPER
    """The temporal filters."""
    discriminator_channels: Five = (32, 64, 128, 256, 512)
    """Of what enters the discriminator's first block, and of what leaves each of its four."""
    head_channels: PositiveInt = 1024
    """Width of the discriminator's layers behind the blocks."""

    @model_validator(mode="after")
    def _require_sizes(self) -> Self:
        block_sizes(self.height, self.width)
        if self.temporal_emb_dim % self.scales.count:
            raise ValueError(f"{self.temporal_emb_dim} channels do not divide by {self.scales.count} temporal filters")
        return self


class SuperResModel(Config):
    """The networks of the second stage."""

    height: PositiveInt = 144
    """Of its frames, at most their width."""
    width: PositiveInt = 256
    """Of its frames, a power of two."""
    frames: int = Field(default=4, ge=1)
    """Of the videos that the discriminator sees."""
    context: int = Field(default=4, ge=0)
    """Low-resolution frames on either side of its own that a frame depends on."""
    z_dim: PositiveInt = 512
    """Width of the latent."""
    w_dim: PositiveInt = 512
    """Width of the style."""
    margin: int = Field(default=10, ge=1)
    """Samples around the picture in all layers but the last two."""
    num_layers: int = Field(default=14, ge=4)
    """Of the generator, without the one that makes colours."""
    channel_base: PositiveInt = 32768
    """Twice a layer's channels times its cutoff..."""
    channel_max: PositiveInt = 512
    """... at most so many."""
    discriminator_channel_base: PositiveInt = 16384
    """Channels of a block of the discriminator times its resolution..."""
    discriminator_channel_max: PositiveInt = 512
    """... at most so many."""
    num_fp16_res: int = Field(default=0, ge=0, le=32)
    """Resolutions, the highest, that are computed in half precision on a GPU."""

    @model_validator(mode="after")
    def _require_channels(self) -> Self:
        side = max(self.height, self.width)
        for name in ("channel_base", "discriminator_channel_base"):
            if getattr(self, name) < side:
                raise ValueError(f"{name} {getattr(self, name)} leaves no channels at {side} pixels")
        return self


class ModelConfig(Config):
    """All networks; the stages know of each other by the size of low-resolution frames alone."""

    lowres: LowResModel = LowResModel()
    superres: SuperResModel = SuperResModel()

    @model_validator(mode="after")
    def _require_factor(self) -> Self:
        low, high = self.lowres, self.superres
        if high.height > high.width or high.width & (high.width - 1):
            raise ValueError(f"frames must be as wide as a power of 2, and no higher; not {high.height}x{high.width}")
        factor = high.width // low.width
        if factor < 2 or (low.height * factor, low.width * factor) != (high.height, high.width):
            raise ValueError(
                f"{high.height}x{high.width} is not twice, or another multiple of, the low-resolution"
                f" {low.height}x{low.width}"
            )
        return self


class GANConfig(StageConfig):
    """What both stages have."""

    lr_G: float = 0.003
    """Learning rate of the generator."""
    lr_D: float
    """Learning rate of the discriminator, before the correction for lazy regularisation."""
    gamma: float = 1.0
    """Weight of R1."""
    r1_every: int = Field(default=16, ge=1)
    """Steps between R1 penalties."""
    ema_decay: float = Field(default=0.99985, ge=0, lt=1)
    """Of the generator's moving average, a step."""
    ema_warmup: int = Field(default=25_000, ge=0)
    """Steps until the moving average has this decay."""
    mirror: bool = True
    """Whether half of the real videos are mirrored."""
    accumulation: int = Field(default=1, ge=1)
    """Parts of a batch whose gradients are added up, one after the other, to save memory."""


class LowResStage(GANConfig):
    """The first stage."""

    lr_D: float = 0.002
    diffaug_p: float = Field(default=1.0, ge=0, le=1)
    """The probability that DiffAugment transforms a video; the paper's is 1."""


class SuperResStage(GANConfig):
    """The second stage."""

    lr_D: float = 0.003
    ada_target: float = 0.6
    """The mean sign of real logits that augmentation holds."""
    ada_steps: float = Field(default=8000, gt=0)
    """Steps in which the augmentation may rise from nothing to everything."""
    ada_max: float = Field(default=0.5, ge=0, le=1)
    """The highest probability of augmentation."""
    condition_kept: float = Field(default=0.1, ge=0, le=1)
    """Share of videos whose low-resolution frames the discriminator sees."""


class Stages(Config):
    """The stages."""

    lowres: LowResStage
    superres: SuperResStage


class LongVideoGANConfig(Config):
    """All of it."""

    name: str
    """Its tier."""
    model: ModelConfig
    stages: Stages
