"""Speed of the colour similarity against its plain formulation: `python -m tests.benchmarks.bench_color`.

129 frames, one thread.
"""

import time

import numpy as np
import torch

from vidbench.metrics.color import color_similarity

FRAMES = 129


def plain_similarity(video: torch.Tensor, bins: int = 20) -> np.ndarray:
    """The definition as it is written: one float32 histogram of all joint bins a frame. Video: uint8 `[3, T, H, W]`."""
    x = video.float() * 2 / 255 - 1
    histograms = []
    for frame in x.unbind(dim=1):
        r, g, b = torch.floor((frame / 2 + 0.5) * (bins - 1) + 0.5).clamp(0, bins - 1)
        index = (r * bins + g) * bins + b
        histograms.append(torch.histc(index, bins**3, 0, bins**3) / index.numel())
    return torch.stack([torch.minimum(histograms[0], h).sum() for h in histograms[1:]]).numpy()


def numpy_similarity(video: torch.Tensor, bins: int = 20) -> np.ndarray:
    """The same with a joint histogram by numpy a frame, as an evaluation script would have it."""
    frames = video.permute(1, 2, 3, 0).reshape(FRAMES, -1, 3).numpy()
    centred = (np.arange(bins + 1) - 0.5) * 255 / (bins - 1)
    histograms = [np.histogramdd(frame, [centred] * 3)[0].ravel() / len(frame) for frame in frames]
    return np.array([np.minimum(histograms[0], h).sum() for h in histograms[1:]])


def moving_colors(size: int) -> torch.Tensor:
    """A smooth video with grain: uint8 `[3, T, size, size]`."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(1, 3, 6, 8, 8, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, (FRAMES, size, size), mode="trilinear")[0]
    grain = torch.randn(smooth.shape, generator=generator)
    return (128 + 60 * smooth + 2 * grain).clamp(0, 255).byte()


def seconds(function, *args, repeats: int = 5) -> float:
    """Best of some runs, after one to warm up."""
    function(*args)
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function(*args)
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    torch.set_num_threads(1)
    print(f"{'size':>8} {'clips/s':>9} {'torch.histc loop':>17} {'ratio':>6} {'numpy loop':>11} {'ratio':>6}")
    for size in (32, 256):
        video = moving_colors(size)
        np.testing.assert_allclose(color_similarity(video[None])[0], plain_similarity(video), atol=1e-5)
        np.testing.assert_allclose(color_similarity(video[None])[0], numpy_similarity(video), atol=1e-5)
        ours, plain = seconds(color_similarity, video[None]), seconds(plain_similarity, video)
        numpys = seconds(numpy_similarity, video, repeats=1)
        ratios = f"{1 / plain:>17.1f} {plain / ours:>6.1f} {1 / numpys:>11.2f} {numpys / ours:>6.0f}"
        print(f"{size:>5}^2 {1 / ours:>9.1f} {ratios}")


if __name__ == "__main__":
    main()
