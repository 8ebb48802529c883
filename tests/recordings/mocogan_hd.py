"""Recordings of MoCoGAN-HD: the image stage, the motion stage, and one step of its training."""

from . import _mocogan_hd_image, _mocogan_hd_motion, _mocogan_hd_steps

CHECKS = {**_mocogan_hd_image.CHECKS, **_mocogan_hd_motion.CHECKS, **_mocogan_hd_steps.CHECKS}
