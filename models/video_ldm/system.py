"""Video LDM as a generator of videos: key frames without end, all between them, decoded, and enlarged (Sec. 3)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, get_args

import torch
from einops import repeat
from torch import Tensor

from vidbench.draws import normal
from vidbench.generator import Generator, OnReal, VideoSource
from vidbench.stage import State, System, load_network

from .autoencoder import decoded_frames
from .averages import averaged
from .config import ModelConfig, VideoLDMConfig
from .context import ContextDenoiser, completed, first_frames, text_guided
from .decoder import VideoDecoder, decoded
from .diffusion import Sampler, sampled
from .networks import (
    ImageLDM,
    build_upsampler,
    open_decoder,
    open_image_model,
    open_interpolation,
    open_temporal,
    require_same,
    tensors_of,
)
from .real import Chained, Remade, reconstructed
from .unet import VideoUNet
from .upsampling import Upsampler
from .windows import BETWEEN, interpolated, key_frames

STILL = 16
"""Frames of a piece of a video that does not move."""


class VideoLDM(Chained, System):
    """Video LDM (Blattmann et al., CVPR 2023).

    A video is a chain of windows, whose noise is a function of its seed, the step's name and the window's number: a
    longer video begins with a shorter one, and memory does not grow.

    Args:
        model: the configuration.
        fps: frames a second of what it was trained on.
        image: the image model.
        temporal: what makes key frames; None for videos that do not move.
        interpolation: what makes the frames between; None for key frames alone.
        decoder: the decoder for videos; None for decoding frame by frame.
        upsampler: what enlarges; None for low resolution.
        levels: how often three frames are put between any two; default the configuration's.
        steps: of the sampler.
        sampler: its name.
        guidance: scale of guidance by given frames, in prediction.
        interpolation_guidance: the same in interpolation.
        text_guidance: scale of guidance by the prompt.

    Raises:
        ValueError: there is no such sampler.
    """

    config_type = VideoLDMConfig
    needed = ("temporal",)
    sampled: ClassVar[dict[str, tuple[str, ...]]] = {
        "autoencoder": ("vae",),
        "image": ("unet_ema", "scale"),
        "temporal": ("temporal_ema", "trained_on"),
        "decoder": ("decoder_ema",),
        "interpolation": ("net_ema",),
        "upsampler": ("net_ema",),
    }
    exact = ("image/unet_ema",)
    timed_by = "temporal"
    card: ClassVar[dict[str, str]] = {
        "title": "Video LDM",
        "about": "Temporal layers in an image latent diffusion model: key frames, interpolation, decoder, upsampler",
        "paper": "Blattmann et al., CVPR 2023 (arXiv 2304.08818)",
    }

    def __init__(
        self,
        model: ModelConfig,
        fps: float,
        image: ImageLDM,
        temporal: VideoUNet | None = None,
        interpolation: VideoUNet | None = None,
        decoder: VideoDecoder | None = None,
        upsampler: Upsampler | None = None,
        *,
        levels: int | None = None,
        steps: int | None = None,
        sampler: Sampler | None = None,
        guidance: float | None = None,
        interpolation_guidance: float = 1.0,
        text_guidance: float = 7.5,
    ) -> None:
        own = model.sampling
        self.image, self.temporal, self.interpolation = image, temporal, interpolation
        self.decoder, self.upsampler = decoder, upsampler
        self.levels = (model.levels if levels is None else levels) if interpolation else 0
        self.steps, self.sampler = own.steps if steps is None else steps, sampler or own.sampler
        if self.sampler not in get_args(Sampler) or self.steps < 1:
            raise ValueError(f"samplers are {' and '.join(get_args(Sampler))}, of 1 step or more")
        self.guidance = own.guidance if guidance is None else guidance
        self.interpolation_guidance, self.text_guidance = interpolation_guidance, text_guidance
        moving = temporal is not None
        self.fps = fps / 4 ** (model.levels - self.levels) if moving else fps
        factor = upsampler.factor if upsampler else 1
        self.size = (model.height * factor, model.width * factor)
        self.window = model.temporal.frames
        self.max_frames = None
        if temporal is not None and not temporal.takes_context:
            self.max_frames = (self.window - 1) * 4**self.levels + 1
        reduction = 2 ** (len(image.vae.config["block_out_channels"]) - 1)
        self.latents = (
            int(image.unet.config["in_channels"]),
            model.height // reduction,
            model.width // reduction,
        )

    @classmethod
    def size_of(cls, config: VideoLDMConfig) -> tuple[int, int]:
        """That of frames before the upsampler."""
        return config.model.height, config.model.width

    @classmethod
    def training_size(cls, config: VideoLDMConfig, stage: str) -> tuple[int, int]:
        """The upsampler is trained on larger frames than the other stages."""
        factor = config.model.upsampler.factor if stage == "upsampler" else 1
        return config.model.height * factor, config.model.width * factor

    @classmethod
    def from_states(
        cls,
        config: VideoLDMConfig,
        states: Mapping[str, State],
        fps: float,
        device: str = "cpu",
        /,
        **options: Any,
    ) -> "VideoLDM":
        """The generator of trained stages.

        Args:
            config: its configuration.
            states: the networks of the stages; moving averages are what is sampled.
            fps: frames a second of what it was trained on.
            device: where it runs.
            options: those of the constructor from `steps` on; `interpolate`, how often three frames are put between any
                two, 0 for key frames alone; `decoder`, False to decode frame by frame; `upsample`; `framewise`, True
                to enlarge without temporal layers; `still`, True for videos of the image model that do not move;
                `prompt`; `image_model`, another folder; `other_image`, True to put the temporal layers into another
                image model than they were trained on.

        Raises:
            ValueError: a stage is missing, or its tensors do not fit.
        """
        asked = {key: options.pop(key) for key in ("image_model", "prompt") if key in options}
        model = ModelConfig(**config.model.model_dump() | asked)
        moves, other = not options.pop("still", False), options.pop("other_image", False)
        levels = options.pop("interpolate", model.levels if moves else 0)
        decodes = options.pop("decoder", moves and "decoder" in states)
        upsamples = options.pop("upsample", moves and model.sampling.upsample and "upsampler" in states)
        framewise = options.pop("framewise", False)
        if levels not in range(model.levels + 1):
            raise ValueError(f"interpolate is 0 to {model.levels}, not {levels}")
        if not moves and (levels or decodes or upsamples):
            raise ValueError("still=true is the image model alone, without interpolate, decoder and upsample")
        if framewise and not upsamples:
            raise ValueError("framewise=true is of the upsampler; upsample=true adds that")
        image = open_image_model(model, states, device)
        temporal = interpolation = decoder = upsampler = None
        if moves:
            temporal = averaged(open_temporal(model, image), image.unet)
            load_network(temporal.temporal, tensors_of(states, "temporal", "temporal_ema"))
            require_same(image, tensors_of(states, "temporal", "trained_on"), other)
        if levels:
            if "interpolation" not in states:
                raise ValueError(
                    "the stage interpolation is not trained: vidbench train --model video-ldm --stage interpolation"
                    " trains it; interpolate=0 makes videos of key frames alone"
                )
            interpolation = averaged(open_interpolation(model, image))
            load_network(interpolation, tensors_of(states, "interpolation", "net_ema"))
        if decodes:
            decoder = averaged(open_decoder(model, image.vae))
            load_network(decoder, tensors_of(states, "decoder", "decoder_ema"))
        if upsamples:
            network, own = averaged(build_upsampler(model, device)), model.upsampler
            load_network(network, tensors_of(states, "upsampler", "net_ema"))
            steps = options.get("steps", model.sampling.steps)
            upsampler = Upsampler(network, own.factor, own.noise, steps, framewise)
        return cls(model, fps, image, temporal, interpolation, decoder, upsampler, levels=levels, **options)

    def on_real(self, real: VideoSource, num_frames: int) -> Mapping[str, OnReal]:
        """Real videos encoded and decoded again, frame by frame and by the decoder for videos (Tab. 1 and 3)."""
        if self.upsampler is not None or self.temporal is None:
            return {}
        vae = self.image.vae
        rows = {"autoencoder": Remade(real, num_frames, reconstructed(vae, lambda z: decoded_frames(vae, z)))}
        if self.decoder is not None:
            rows["decoder"] = Remade(real, num_frames, reconstructed(vae, self.decoder, decoded))
        for name, row in rows.items():
            row.checkpoint_hash = self.checkpoint_hash
            if self.fingerprint:
                row.fingerprint = f"{name} of {self.fingerprint}/{real.fingerprint}/{num_frames}"
        return rows

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return self.image.digest.device

    def pieces(self, seeds: Sequence[int]) -> Iterator[Tensor]:
        """Videos of some seeds, `[N, 3, t, H, W]` one piece after the other, on the device."""
        if self.temporal is None:
            frame = decoded_frames(self.image.vae, self._first(seeds) / self.image.scaling_factor)
            while True:
                yield repeat(frame, "n c 1 h w -> n c t h w", t=STILL)
        yield from self.frames(seeds, self.interpolations(seeds, self._keys(seeds)))

    def frames(self, seeds: Sequence[int], latents: Iterator[Tensor]) -> Iterator[Tensor]:
        """Scaled latents `[N, C, t, h, w]` as frames `[N, 3, t, H, W]`, piece by piece."""
        unscaled = (z / self.image.scaling_factor for z in latents)
        videos: Iterator[Tensor]
        if self.decoder is None:
            videos = (decoded_frames(self.image.vae, z) for z in unscaled)
        else:
            videos = decoded(unscaled, self.decoder)
        if self.upsampler is None:
            return videos
        return self.upsampler.enlarged(seeds, (video.clamp(-1, 1) for video in videos))

    def interpolations(self, seeds: Sequence[int], latents: Iterator[Tensor]) -> Iterator[Tensor]:
        """Scaled latents of key frames, with those between."""
        for level in range(self.levels):
            latents = interpolated(latents, self._fill(seeds, level))
        return latents

    def _first(self, seeds: Sequence[int]) -> Tensor:
        """Latents `[N, C, 1, h, w]` of the image model."""
        network = self._told(image_by_image(self.image.unet))
        noise = normal(seeds, "image", 0, self.latents[0], 1, *self.latents[1:]).to(self.device)
        return sampled(lambda z, tau: network(z, tau, None), noise, self.image.schedule, self.steps, self.sampler)

    def _keys(self, seeds: Sequence[int]) -> Iterator[Tensor]:
        """Latents of key frames: what follows an image, or one window of a model that does not predict."""
        temporal = self.temporal
        assert temporal is not None
        denoise = self._told(lambda z, tau, context, **text: temporal(z, tau, context=context, **text))

        def noise(k: int) -> Tensor:
            shape = (self.latents[0], self.window, *self.latents[1:])
            return normal(seeds, "keyframes", k, *shape).to(self.device)

        def predict(k: int, given: Tensor) -> Tensor:
            count = given.shape[2]
            z = torch.cat([given, given[:, :, -1:].expand(-1, -1, self.window - count, -1, -1)], dim=2)
            mask = first_frames(torch.full((len(z),), count, device=z.device), self.window)
            return completed(denoise, z, mask, noise(k), self.image.schedule, self.steps, self.sampler, self.guidance)

        if temporal.takes_context:
            return key_frames(self._first(seeds), predict)
        schedule = self.image.schedule
        return iter([sampled(lambda z, tau: denoise(z, tau, None), noise(0), schedule, self.steps, self.sampler)])

    def _fill(self, seeds: Sequence[int], level: int) -> Callable[[int, Tensor, Tensor], Tensor]:
        """What puts three frames between two."""
        network = self.interpolation
        assert network is not None

        def told(z: Tensor, tau: Tensor, context: Tensor | None, **text: Tensor) -> Tensor:
            regime = torch.full((len(z),), level, device=z.device)
            out: Tensor = network(z, tau, context=context, regime=regime, **text)
            return out

        denoise = self._told(told)

        def fill(k: int, left: Tensor, right: Tensor) -> Tensor:
            z = torch.cat([left.expand(-1, -1, BETWEEN + 1, -1, -1), right], dim=2)
            mask = torch.tensor([True, *[False] * BETWEEN, True], device=z.device).expand(len(z), -1)
            noise = normal(seeds, f"interpolation-{4 ** (level + 1)}", k, *z.shape[1:]).to(z)
            scale = self.interpolation_guidance
            made = completed(denoise, z, mask, noise, self.image.schedule, self.steps, self.sampler, scale)
            return made[:, :, 1:-1]

        return fill

    def _told(self, network: Callable[..., Tensor]) -> ContextDenoiser:
        """A network that is told the prompt, where the image model takes one."""
        if self.image.text is None:
            return network
        text, empty = torch.split(self.image.text, 1)
        return text_guided(
            lambda z, tau, context, tokens: network(z, tau, context, text=tokens), text, empty, self.text_guidance
        )


class Held(Generator):
    """Every frame of a generator, held for several: key frames at the rate of the data.

    Args:
        generator: of key frames.
        count: frames for which each is held.
    """

    def __init__(self, generator: VideoLDM, count: int) -> None:
        self.generator, self.count = generator, count
        self.size, self.fps = generator.size, generator.fps * count
        self.max_frames = None if generator.max_frames is None else generator.max_frames * count

    def stream(self, seed: int) -> Iterator[Tensor]:
        """One video, without end."""
        for chunk in self.generator.stream(seed):
            yield repeat(chunk, "c t h w -> c (t k) h w", k=self.count)

    def sample(self, seeds: Sequence[int], num_frames: int, start: int = 0) -> Tensor:
        """Frames `start : start + num_frames` of one video a seed, `[N, 3, T, H, W]` in [-1, 1]."""
        first, last = start // self.count, (start + num_frames - 1) // self.count
        keys = self.generator.sample(seeds, last - first + 1, first)
        skipped = start - first * self.count
        return repeat(keys, "n c t h w -> n c (t k) h w", k=self.count)[:, :, skipped : skipped + num_frames]


def image_by_image(unet: Any) -> ContextDenoiser:
    """The image UNet, for videos `[N, C, 1, h, w]` of one frame."""

    def denoise(z: Tensor, tau: Tensor, context: Tensor | None, text: Tensor | None = None) -> Tensor:
        tokens = {} if text is None else {"encoder_hidden_states": text}
        out: Tensor = unet(z.squeeze(2), tau, **tokens).sample
        return out.unsqueeze(2)

    return denoise
