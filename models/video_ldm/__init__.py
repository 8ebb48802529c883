"""Video LDM: temporal layers in an image latent diffusion model (CVPR 2023)."""

from .autoencoder_stage import AutoencoderGAN, DecoderGAN
from .image_stage import ImageDiffusion
from .interpolation_stage import InterpolationDiffusion
from .system import VideoLDM
from .temporal_stage import TemporalDiffusion
from .upsampler_stage import UpsamplerDiffusion

VideoLDM.stages = {
    "autoencoder": AutoencoderGAN,
    "image": ImageDiffusion,
    "temporal": TemporalDiffusion,
    "decoder": DecoderGAN,
    "interpolation": InterpolationDiffusion,
    "upsampler": UpsamplerDiffusion,
}

__all__ = [
    "AutoencoderGAN",
    "DecoderGAN",
    "ImageDiffusion",
    "InterpolationDiffusion",
    "TemporalDiffusion",
    "UpsamplerDiffusion",
    "VideoLDM",
]
