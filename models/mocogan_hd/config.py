"""MoCoGAN-HD's configuration, with the authors' values (Tian et al., ICLR 2021; release) as defaults."""

from typing import Annotated, Self

from pydantic import Field, PositiveInt, model_validator

from vidbench.stage import Config, StageConfig

from .contrastive_discriminator import BLOCKS

Widths = Annotated[tuple[PositiveInt, ...], Field(min_length=1)]


class ImageModel(Config):
    """The networks of the first stage."""

    channels: Annotated[tuple[PositiveInt, ...], Field(min_length=2)] = (512, 512, 512, 512, 512, 256, 128)
    """Of each resolution, from 4x4 upwards; their number determines the side of the frames."""
    z_dim: PositiveInt = 512
    """Width of the latent, and of styles."""
    mapping_layers: int = Field(default=8, ge=1)
    """Of the mapping network."""

    @property
    def side(self) -> int:
        """Of the square frames."""
        return int(4 * 2 ** (len(self.channels) - 1))


class MotionModel(Config):
    """The networks of the second stage."""

    frames: int = Field(default=16, ge=4)
    """Of the clips that discriminators see."""
    time_step: int = Field(default=2, ge=1)
    """Frames of the data from each frame of a clip to the next."""
    side: PositiveInt = 128
    """Of what the discriminators see; the image generator's side is a multiple of it."""
    hidden: PositiveInt = 384
    """Width of the LSTM."""
    components: PositiveInt = 384
    """Principal directions along which styles move."""
    strength: float = Field(default=0.2, ge=0)
    """How many standard deviations a step moves at most along each."""
    cross_domain: bool = False
    """Whether content and motion come from different data sets: the discriminator of images then never sees those of
    the second."""
    video_widths: Widths = (64, 64)
    """Of the first layer of each scale of the video discriminator."""
    image_widths: Widths = (64, 64)
    """The same of the image discriminator of one domain."""
    contrastive_width: PositiveInt = 96
    """Unit of the channels of the image discriminator of two domains."""
    contrastive_features: PositiveInt = 256
    """Features that it compares."""
    queue: PositiveInt = 4096
    """Earlier images that it compares with."""


class ModelConfig(Config):
    """All networks."""

    image: ImageModel = ImageModel()
    motion: MotionModel = MotionModel()

    @model_validator(mode="after")
    def _require_sides(self) -> Self:
        if self.image.side % self.motion.side:
            raise ValueError(
                f"frames of {self.image.side} pixels are no multiple of the {self.motion.side} that are judged"
            )
        if self.motion.cross_domain and self.motion.side not in BLOCKS:
            raise ValueError(f"across domains {', '.join(map(str, BLOCKS))} pixels are judged, not {self.motion.side}")
        if self.motion.components > self.image.z_dim:
            raise ValueError(f"styles of width {self.image.z_dim} have no {self.motion.components} directions")
        return self


class ImageStage(StageConfig):
    """The first stage: StyleGAN2 on frames."""

    lr: float = 0.002
    """Learning rate of both networks, before the correction for lazy regularisation."""
    gamma: float = 10.0
    """Weight of R1."""
    r1_every: int = Field(default=16, ge=1)
    """Steps between R1 penalties."""
    path_weight: float = 2.0
    """Weight of the path length penalty."""
    path_every: int = Field(default=4, ge=1)
    """Steps between path length penalties."""
    mixing: float = Field(default=0.9, ge=0, le=1)
    """The probability that a batch is made of two styles each."""
    ema_decay: float = Field(default=0.5 ** (32 / 10_000), ge=0, lt=1)
    """Of the generator's moving average, a step."""
    mirror: bool = True
    """Whether half of the real frames are mirrored."""
    augment: bool = False
    """Whether the discriminator sees frames changed in colour and moved (DiffAugment)."""


class MotionStage(StageConfig):
    """The second stage: motion in the space of styles."""

    lr: float = 1e-4
    """Learning rate of all networks."""
    generator_steps: int = Field(default=5, ge=1)
    """Steps of the motion generator for each of the discriminators."""
    information: float = 1.0
    """Weight of the mutual information between noise and motion."""
    match: float = 1.0
    """Weight of the likeness of frames to the first, across domains."""
    penalty: float = 10.0
    """Weight of the gradient penalty."""
    pca_styles: int = Field(default=1_000_000, ge=2)
    """Styles whose principal components are taken."""


class Stages(Config):
    """The stages."""

    image: ImageStage
    motion: MotionStage


class MoCoGANHDConfig(Config):
    """All of it."""

    name: str
    """Its tier."""
    model: ModelConfig
    stages: Stages
