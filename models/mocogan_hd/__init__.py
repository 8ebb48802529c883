"""MoCoGAN-HD: motion in the latent space of a good image generator (ICLR 2021)."""

from .image_stage import ImageGAN
from .motion_stage import MotionGAN
from .system import MoCoGANHD

MoCoGANHD.stages = {"image": ImageGAN, "motion": MotionGAN}

__all__ = ["ImageGAN", "MoCoGANHD", "MotionGAN"]
