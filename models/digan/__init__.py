"""DIGAN: videos as implicit functions of place and time (ICLR 2022)."""

from .stage import GAN
from .system import DIGAN

DIGAN.stages = {"gan": GAN}

__all__ = ["DIGAN", "GAN"]
