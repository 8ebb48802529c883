"""Video LDM's configuration, with the paper's values as defaults (Blattmann et al., CVPR 2023).

Of the driving model, little is published: what is not, widths above all, follows the latent diffusion models of Rombach
et al., CVPR 2022, or is ours; `configs/models/video_ldm/paper-*.yaml` says which.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, PositiveInt, model_validator

from vidbench.stage import Config, StageConfig

from .diffusion import Sampler
from .tree import Placement
from .upsampling import MAX_NOISE, SAMPLING_NOISE

Widths = Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
Folder = Annotated[Path, AfterValidator(Path.resolve)]
Share = Annotated[float, Field(ge=0, lt=1)]
LEAST_FRAMES = 3
"""Key frames that are denoised together: the two that may be given, and another."""


class AutoencoderModel(Config):
    """The image autoencoder, and what it is trained against."""

    channels: Widths = (128, 256, 512, 512)
    """Of each level; latents have sides smaller by 2 to the number of levels less one."""
    layers: PositiveInt = 2
    """Residual blocks of a level."""
    groups: PositiveInt = 32
    """Of the norms."""
    latent_channels: PositiveInt = 4
    """Of the latents."""
    discriminator_channels: Widths = (64, 128, 256, 512)
    """Of the discriminator of patches."""


class ImageModel(Config):
    """The denoiser of single frames."""

    channels: Widths = (256, 512, 1024)
    """Of each level."""
    layers: PositiveInt = 2
    """Residual blocks of a level."""
    groups: PositiveInt = 32
    """Of the norms."""
    attention: tuple[bool, ...] = (True, True, True)
    """Whether each level has attention."""
    head_width: PositiveInt = 32
    """Channels of a head."""

    @model_validator(mode="after")
    def _require_levels(self) -> Self:
        if len(self.attention) != len(self.channels):
            raise ValueError(f"{len(self.channels)} levels need as many values of attention, not {len(self.attention)}")
        return self


class TemporalModel(Config):
    """What is added to it for videos."""

    frames: int = Field(default=8, ge=LEAST_FRAMES)
    """Key frames that are denoised together."""
    convolutions: bool = True
    """Whether there are temporal convolutions beside temporal attention; the paper compares both."""
    context: bool = True
    """Whether it predicts from given frames, for which it needs convolutions."""
    placement: Placement = "inside"
    """Of temporal attention, in image models with text."""
    alpha_per_frame: bool = False
    """Whether each frame has a mixing factor of its own."""

    @property
    def alphas(self) -> int:
        """Mixing factors of a layer."""
        return self.frames if self.alpha_per_frame else 1

    @model_validator(mode="after")
    def _require_paths(self) -> Self:
        if self.context and not self.convolutions:
            raise ValueError("given frames enter temporal convolutions: without those, context must be false")
        return self


class DecoderModel(Config):
    """The autoencoder's decoder for videos, and what it is trained against."""

    trains: Literal["all", "temporal"] = "all"
    """The whole decoder, or its temporal layers alone."""
    discriminator_channels: Widths = (64, 128, 256, 512)
    """Of the discriminator of patches of videos."""


class UpsamplerModel(Config):
    """Diffusion from low to high resolution."""

    channels: Widths = (128, 256, 512)
    """Of each level; it has no attention, so that it is a convolution."""
    layers: PositiveInt = 2
    """Residual blocks of a level."""
    groups: PositiveInt = 32
    """Of the norms."""
    factor: int = Field(default=4, ge=2)
    """By which sides grow."""
    patch: PositiveInt = 80
    """Side of the low-resolution patches that it is trained on."""
    noise: int = Field(default=SAMPLING_NOISE, ge=0, lt=1000)
    """Diffusion time of the noise on the low resolution, in sampling."""


class Sampling(Config):
    """How videos are made, where nothing else is asked for."""

    steps: PositiveInt = 50
    """Of the sampler."""
    sampler: Sampler = "ddim"
    """Its name."""
    guidance: float = Field(default=2.0, ge=0)
    """Scale of guidance by given frames; 1 is none."""
    upsample: bool = True
    """Whether the upsampler follows, where it is trained."""


class ModelConfig(Config):
    """All networks, and how frames become videos."""

    height: PositiveInt = 128
    """Of frames before the upsampler."""
    width: PositiveInt = 256
    """Of frames before the upsampler."""
    levels: int = Field(default=2, ge=0, le=2)
    """How often interpolation makes four of every frame: 4 to this power frames of the data lie between key frames."""
    image_model: Folder | None = None
    """A folder of diffusers with an image model, in place of the stages `autoencoder` and `image`."""
    prompt: str = ""
    """What all training videos show, in words, where the image model takes text."""
    autoencoder: AutoencoderModel = AutoencoderModel()
    image: ImageModel = ImageModel()
    temporal: TemporalModel = TemporalModel()
    decoder: DecoderModel = DecoderModel()
    upsampler: UpsamplerModel = UpsamplerModel()
    sampling: Sampling = Sampling()

    @property
    def key_stride(self) -> int:
        """Frames of the data from one key frame to the next."""
        return int(4**self.levels)

    @model_validator(mode="after")
    def _require_sizes(self) -> Self:
        unit = 2 ** (len(self.autoencoder.channels) - 1 + len(self.image.channels) - 1)
        if self.image_model is None and (self.height % unit or self.width % unit):
            raise ValueError(f"frames of {self.height}x{self.width} do not divide by {unit}, as these levels need")
        if self.upsampler.patch > min(self.height, self.width):
            raise ValueError(f"patches of {self.upsampler.patch} pixels do not fit {self.height}x{self.width}")
        return self


class AutoencoderStage(StageConfig):
    """The first stage."""

    lr: float
    """Learning rate of both networks."""
    adversary_from: int = Field(default=50_001, ge=0)
    """The step from which on the discriminator is asked."""


class DiffusionStage(StageConfig):
    """What the stages of denoisers, and of the decoder, have."""

    lr: float = 1e-4
    """Learning rate."""
    ema_decay: Share = 0.9999
    """Of the moving average, a step; lower at the beginning."""


class InterpolationStage(DiffusionStage):
    """Training of interpolation."""

    drop: float = Field(default=0.1, ge=0, le=1)
    """Share of videos that are denoised without the given frames."""
    context_noise: int = Field(default=250, ge=0, lt=1000)
    """The latest diffusion time of the noise on given frames."""


class UpsamplerStage(DiffusionStage):
    """Training of the upsampler, on images first."""

    image_steps: int = Field(ge=1)
    """Steps on images, before the rest on videos."""
    max_noise: int = Field(default=MAX_NOISE, ge=0, lt=1000)
    """The latest diffusion time of the noise on the low resolution."""


class Stages(Config):
    """The stages; those that are null are not trained."""

    autoencoder: AutoencoderStage | None
    image: DiffusionStage | None
    temporal: DiffusionStage
    decoder: DiffusionStage | None
    interpolation: InterpolationStage | None
    upsampler: UpsamplerStage | None


class VideoLDMConfig(Config):
    """All of it."""

    name: str
    """Its tier."""
    model: ModelConfig
    stages: Stages

    @model_validator(mode="before")
    @classmethod
    def _leave_out_stages(cls, values: Any) -> Any:
        """A folder takes the place of the two stages that make an image model; without levels nothing is between."""
        model, stages = (values.get(part) for part in ("model", "stages"))
        if not isinstance(model, dict) or not isinstance(stages, dict):
            return values
        image = dict.fromkeys(("autoencoder", "image") if model.get("image_model") else ())
        between = dict.fromkeys(("interpolation",) if model.get("levels") == 0 else ())
        return {**values, "stages": {**stages, **image, **between}}

    @model_validator(mode="after")
    def _require_image_model(self) -> Self:
        if self.model.image_model is None and None in (self.stages.autoencoder, self.stages.image):
            raise ValueError("without model.image_model, the stages autoencoder and image are needed")
        if self.model.image_model is None and self.model.prompt:
            raise ValueError("model.prompt is for an image model with text, which model.image_model names")
        return self
