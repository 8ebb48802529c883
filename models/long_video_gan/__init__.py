"""LongVideoGAN: long videos from temporal noise at low resolution, and their super-resolution (NeurIPS 2022)."""

from .lowres_stage import LowResGAN
from .superres_stage import SuperResGAN
from .system import LongVideoGAN

LongVideoGAN.stages = {"lowres": LowResGAN, "superres": SuperResGAN}

__all__ = ["LongVideoGAN", "LowResGAN", "SuperResGAN"]
