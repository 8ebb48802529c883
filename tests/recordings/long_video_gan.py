"""Recordings of LongVideoGAN: the networks of both stages, augmentation, colour similarity."""

import numpy as np

from vidbench.metrics.color import ColorSimilarity, color_similarity, shared_pixels

from . import Recording, _long_video_gan_lowres, _long_video_gan_superres
from ._augment import check_recorded_draws


def check_color_similarity(recording: Recording) -> None:
    """Exact ratios of integers, rounded to float32; the recorded deviation comes from running sums in float32."""
    videos, bins = recording["in/video"], recording.config["bins_per_color"]
    curve = ColorSimilarity(videos.shape[2])
    curve.update(shared_pixels(videos, bins))
    result = curve.compute()
    pixels = (videos * 127.5 + 128).clamp(0, 255).byte()
    found = {
        "similarity": color_similarity(videos, bins),
        "similarity_uint8": color_similarity(pixels, bins),
        "mean": result.mean[1:],
    }
    for name, value in found.items():
        np.testing.assert_allclose(value, recording[f"out/{name}"], rtol=1e-7, atol=0, err_msg=name)
    np.testing.assert_allclose(result.std[1:], recording["out/std"], rtol=1e-3, atol=0)


CHECKS = {
    **_long_video_gan_lowres.CHECKS,
    **_long_video_gan_superres.CHECKS,
    "ada_superres": check_recorded_draws,
    "color_similarity": check_color_similarity,
}
