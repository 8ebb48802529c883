"""TATS's configuration, with the authors' values (Ge et al., ECCV 2022; release) as defaults."""

from typing import Literal, Self

from pydantic import Field, PositiveInt, model_validator

from vidbench.stage import Config, StageConfig

from .convolution import Padding

Factor = Literal[1, 2, 4, 8, 16]


class VQGANModel(Config):
    """The networks of the first stage."""

    side: PositiveInt = 128
    """Of the square frames."""
    frames: PositiveInt = 16
    """Of the clips that it is trained on."""
    time_step: PositiveInt = 1
    """Frames of the data from each frame of a clip to the next."""
    every_clip: bool = False
    """Whether a video is visited as often as it has clips; else all videos are visited alike."""
    downsample: tuple[Factor, Factor, Factor] = (4, 8, 8)
    """Frames, rows and columns to one code."""
    width: PositiveInt = 32
    """Channels of the first layer; each block has twice as many as the one before."""
    codes: int = Field(default=16384, ge=2)
    """Entries of the codebook."""
    code_width: PositiveInt = 256
    """Of an entry."""
    padding: Padding = "replicate"
    """What the encoder's convolutions see around a clip; with `constant`, zeros, codes tell their time."""
    discriminator_width: PositiveInt = 64
    """Channels of the first layer of both discriminators."""
    discriminator_layers: int = Field(default=3, ge=1)
    """Of theirs that halve the sides."""

    @property
    def latent_frame(self) -> int:
        """Codes of a latent frame."""
        return self.side**2 // (self.downsample[1] * self.downsample[2])

    @model_validator(mode="after")
    def _require_sizes(self) -> Self:
        time, height, width = self.downsample
        if self.side % height or self.side % width or self.frames % time:
            raise ValueError(
                f"clips of {self.frames} frames of {self.side} pixels do not divide by {time}x{height}x{width}"
            )
        if max(self.downsample) == 1:
            raise ValueError("a downsampling by 1x1x1 makes no codes of clips")
        return self


class TransformerModel(Config):
    """A transformer."""

    latent_frames: int = Field(default=4, ge=2)
    """Of the clips that it is trained on."""
    classes: int = Field(default=0, ge=0)
    """Classes of a conditional model; labels are drawn uniformly."""
    layers: PositiveInt = 24
    """Blocks."""
    heads: PositiveInt = 16
    """Of attention."""
    width: PositiveInt = 1024
    """Of a token."""

    @model_validator(mode="after")
    def _require_heads(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"a width of {self.width} does not divide by {self.heads} heads")
        return self


class ModelConfig(Config):
    """All networks."""

    vqgan: VQGANModel = VQGANModel()
    transformer: TransformerModel = TransformerModel()

    @property
    def every(self) -> int:
        """Latent frames from each that the first transformer makes to the next."""
        return 1


class HierarchicalModel(ModelConfig):
    """All networks of a model whose first transformer makes a few latent frames and whose second fills in the others.

    The second is trained on one more than `every` latent frames, of which it knows the first and the last.
    """

    interpolation: TransformerModel = TransformerModel(latent_frames=5)

    @property
    def every(self) -> int:
        """As there."""
        return self.interpolation.latent_frames - 1

    @model_validator(mode="after")
    def _require_classes(self) -> Self:
        if self.transformer.classes != self.interpolation.classes:
            raise ValueError("both transformers must have the same classes")
        return self


class VQGANStage(StageConfig):
    """The first stage."""

    lr: float = 9e-5
    """Learning rate of all networks."""
    accumulation: int = Field(default=6, ge=1)
    """Parts of a batch, one after the other, whose gradients are added up; batch norm and codebook see a part."""
    clip: float = Field(default=1.0, gt=0)
    """The largest norm of gradients, of autoencoder and discriminators each."""
    l1_weight: float = 4.0
    """Of the distance of pixels."""
    feature_weight: float = 4.0
    """Of the distance of discriminators' features."""
    perceptual_weight: float = Field(default=4.0, ge=0)
    """Of the distance of VGG's features (LPIPS) of a frame, where there is `vgg`."""
    vgg: str | None = None
    """A checkpoint of this stage that was imported from the authors' files, which hold VGG's weights; without it the
    distance of VGG's features is left out."""
    discriminator_start: float = Field(default=1 / 3, ge=0, le=1)
    """Share of the steps after which the discriminators are trained and heard."""
    restart_below: float = Field(default=0.0, ge=0)
    """Entries of the codebook that are given fewer vectors, on average, are put among them; 0 for none."""

    @model_validator(mode="after")
    def _require_parts(self) -> Self:
        if self.batch % self.accumulation:
            raise ValueError(f"a batch of {self.batch} does not divide by its {self.accumulation} parts")
        return self


class TransformerStage(StageConfig):
    """A later stage."""

    lr: float = 1.08e-4
    """Learning rate."""
    weight_decay: float = Field(default=0.01, ge=0)
    """Of the weights of linear layers."""


class Stages(Config):
    """The stages."""

    vqgan: VQGANStage
    transformer: TransformerStage


class HierarchicalStages(Stages):
    """The stages of a model with a second transformer."""

    interpolation: TransformerStage


class TATSConfig(Config):
    """All of it."""

    name: str
    """Its tier."""
    model: ModelConfig
    stages: Stages


class TATSHierarchicalConfig(TATSConfig):
    """All of it, with a second transformer."""

    model: HierarchicalModel
    stages: HierarchicalStages
