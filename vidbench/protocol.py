"""Clip protocols: how clips are drawn from videos and brought to a measure. Frozen, named, versioned, hashed."""

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from . import config
from .errors import UserError
from .registry import unknown


class ClipProtocol(config.Config):
    """Everything that decides which pixels a measure sees; two scores compare only where this agrees in every field.

    A YAML file in `configs/metrics/` is one of these. A name such as `fvd16@512` is the preset `fvd16` with 512 clips.
    """

    name: str
    """What the score is called."""
    version: int = Field(ge=1)
    """Raised whenever the meaning of the preset changes."""
    measure: str
    """What is computed from the clips: a name in the registry of measures (`frechet`, `color-similarity`)."""
    about: str
    """One line for people."""
    source: str
    """The paper that defines it."""
    clips: int = Field(ge=2)
    """Clips on either side."""
    clips_per_video: Literal["cycle", "one", "all"]
    """Of the real side. `cycle`: one clip of each video, then a further pass over all of them, until there are enough
    clips; `one`: one of each video, and fewer clips if there are fewer videos; `all`: every window of every video."""
    order: Literal["shuffled", "sorted"]
    """`shuffled`: videos (or windows) come in an order drawn from the seed, anew each pass; `sorted`: by their path, as
    a plain string."""
    frames: int = Field(ge=1)
    """Frames of a clip."""
    stride: int = Field(ge=1)
    """Every how manieth frame of the video is in the clip."""
    window: int | None = Field(default=None, ge=1)
    """Generated clips are compared window by window, each of so many frames, with real clips of that length; None: as
    a whole."""
    start: Literal["random", "zero"]
    """Where in a stored video, real or generated, a clip starts: uniform over all starts, or at frame 0."""
    generated_start: Literal["zero", "random-phase"]
    """Where in a generator's own sample the clip starts: at frame 0, or at a frame drawn among its `phases`."""
    eligible: Literal["span", "frames*stride"]
    """A video counts if it is at least (frames - 1) * stride + 1 frames long, or frames * stride."""
    crop: Literal["center-to-aspect", "shorter-side", "none"]
    """`center-to-aspect`: the largest centred box of the target's aspect ratio, resized; `shorter-side`: the shorter
    side to the target's, then the centre; `none`: sizes must agree."""
    filter: Literal["lanczos/pillow", "linear/torch", "linear-antialias/torch", "none"]
    """Resize filter and the library whose it is; frames that have the size already are left alone."""
    quantise: Literal["round", "truncate", "none"]
    """How a generator's [-1, 1] becomes 8 bit: round half up of 127.5 (x + 1), truncation of it, or not at all. What is
    truncated passes through floats on the real side too, and may lose a level."""
    preparation: Literal["styleganv", "tfhub", "videogpt", "tats", "cdfvd", "none"]
    """How a learned backbone prepares its input; `none` where the measure has no backbone."""
    covariance: Literal["n-1", "n", "none"]
    """Normaliser of covariances."""
    seed: int = Field(ge=0)
    """The seed of every draw."""
    split: str | None = None
    """The split that the real clips are drawn from; None where the set has none."""
    size: tuple[int, int] | None = None
    """Height and width of the clips; None until it is resolved against the fake side."""

    @field_validator("window")
    @classmethod
    def whole_windows(cls, window: int | None, others: ValidationInfo) -> int | None:
        """Clips are cut into windows without rest."""
        if window and others.data.get("frames", 0) % window:
            raise ValueError(f"frames must be a multiple of it; it is {others.data['frames']}")
        return window

    @property
    def span(self) -> int:
        """Frames of a video that a clip covers."""
        return (self.frames - 1) * self.stride + 1

    @property
    def needed(self) -> int:
        """Frames that a video must have to count."""
        return self.span if self.eligible == "span" else self.frames * self.stride

    @property
    def seen(self) -> int:
        """Frames that a backbone sees at once: a window's, or the whole clip's."""
        return self.window or self.frames

    @property
    def of_real(self) -> "ClipProtocol":
        """What holds for the real side, whose clips have one window."""
        return self.model_copy(update={"frames": self.seen})

    @property
    def identity(self) -> dict[str, Any]:
        """All fields but the texts for people."""
        return self.model_dump(mode="json", exclude={"about", "source"})

    @property
    def hash(self) -> str:
        """SHA-256 over its identity; the condition for comparing two scores."""
        return hashlib.sha256(json.dumps(self.identity, sort_keys=True).encode()).hexdigest()

    def resolved(self, **values: Any) -> "ClipProtocol":
        """The same protocol with a number of clips (which changes the name), a size, a split or a seed filled in."""
        if values.get("clips", self.clips) != self.clips:
            preset = self.name.partition("@")[0]
            own = preset in presets() and load_protocol(preset).clips == values["clips"]
            values["name"] = preset if own else f"{preset}@{values['clips']}"
        return config.build(ClipProtocol, {**self.model_dump(), **values}, self.name)


def presets() -> list[str]:
    """Names of the presets that ship."""
    return config.names("metrics")


def load_protocol(name: str) -> ClipProtocol:
    """A preset by name, with `@N` for N clips, or a user's YAML file by path.

    Raises:
        UserError: unknown name, or a file with a wrong key or value.
    """
    if name.endswith((".yaml", ".yml")):
        return config.load(ClipProtocol, Path(name))
    preset, at, clips = name.partition("@")
    if preset not in presets():
        raise unknown("metric", preset, presets())
    protocol = config.shipped(ClipProtocol, "metrics", preset)
    if not at:
        return protocol
    if not clips.isdecimal():
        raise UserError(f'"{name}": after @ stands the number of clips, as in {preset}@512.')
    return protocol.resolved(clips=int(clips))
