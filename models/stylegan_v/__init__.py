"""StyleGAN-V: a continuous video generator with the price, image quality and perks of StyleGAN2 (CVPR 2022)."""

from .stage import GAN
from .system import StyleGANV

StyleGANV.stages = {"gan": GAN}

__all__ = ["GAN", "StyleGANV"]
