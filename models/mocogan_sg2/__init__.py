"""MoCoGAN+SG2: MoCoGAN's split of content and motion on StyleGAN2, the baseline of StyleGAN-V (CVPR 2022, Sec. 4)."""

from .stage import GAN
from .system import MoCoGANSG2

MoCoGANSG2.stages = {"gan": GAN}

__all__ = ["GAN", "MoCoGANSG2"]
