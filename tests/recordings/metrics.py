"""Recordings of I3D, Fréchet and kernel distance, neighbours, streaming moments and colour similarity."""

import functools
import itertools
import math
import zlib

import numpy as np
import torch
from einops import rearrange

from vidbench.metrics.color import ColorSimilarity, color_similarity, shared_pixels
from vidbench.metrics.frechet import frechet_distance
from vidbench.metrics.i3d import I3D
from vidbench.metrics.i3d_fast import I3DBackbone
from vidbench.metrics.i3d_prepare import PREPARATIONS, prepared, resized
from vidbench.metrics.kernel import polynomial_mmd
from vidbench.metrics.moments import Moments
from vidbench.metrics.neighbours import prdc

from . import Recording


def check_color(recording: Recording) -> None:
    """Within 1e-15: all values are ratios of integers."""
    bins = recording.config["bins_per_color"]
    layout = recording.config["layout"].strip("[]").lower().replace("3", "c").replace(",", " ")
    video = rearrange(recording["in/x"], f"{layout} -> n c t h w")
    similarity = ColorSimilarity(video.shape[2])
    for clip in video:
        similarity.update(shared_pixels(clip[None], bins))
    curve = similarity.compute()
    found = {"similarity": color_similarity(video, bins), "mean": curve.mean[1:], "std": curve.std[1:]}
    for name, value in found.items():
        np.testing.assert_allclose(value, recording[f"out64/{name}"], rtol=0, atol=1e-15, err_msg=name)


def check_frechet(recording: Recording) -> None:
    """All five numbers, relative to the traces, with either normaliser."""
    x, y = moments_of(recording["in/x"]), moments_of(recording["in/y"])
    for normaliser, biased in (("unbiased", False), ("biased", True)):
        truth = dict(zip(recording.config["order"], recording[f"out64/{normaliser}"].tolist(), strict=True))
        result = frechet_distance(*x.compute(biased), *y.compute(biased))
        allowed = frechet_tolerance(recording, x, y) * (truth["trace_x"] + truth["trace_y"])
        for name, value in truth.items():
            found = getattr(result, "value" if name == "distance" else name)
            assert abs(found - value) <= allowed, f"{normaliser} {name}: {found} instead of {value}"


def frechet_tolerance(recording: Recording, x: Moments, y: Moments) -> float:
    """What a case's own difficulty costs in float64; a root of the product C1 C2 misses each by orders of magnitude."""
    tolerance = 1e-12
    for side in (x, y):
        mean, covariance = side.compute()
        variances = np.linalg.eigvalsh(covariance)
        if side.count <= side.dim:
            tolerance = max(tolerance, 1e-11)
        elif variances[0] <= 1e-10 * variances[-1]:
            tolerance = max(tolerance, 1e-10)
        if np.linalg.norm(mean) > 1e3 * np.sqrt(variances.sum()):
            tolerance = max(tolerance, 1e-9)
    if recording.config.get("truth", "").startswith("float64"):
        tolerance = max(tolerance, 1e-10)
    return tolerance


def moments_of(features: torch.Tensor, weight: torch.Tensor | None = None) -> Moments:
    moments = Moments(features.shape[1])
    moments.update(features, weight)
    return moments


def check_moments(recording: Recording) -> None:
    """Chunks fed in turn, and merged in three orders: scatter within 1e-11 of its trace, orders within 1e-12 of it."""
    features, weights = (torch.tensor_split(recording[f"in/{name}"], recording["in/cuts"]) for name in ("x", "weight"))
    streamed, forward, backward = (Moments(features[0].shape[1]) for _ in range(3))
    for chunk, weight in zip(features, weights, strict=True):
        streamed.update(chunk, weight)
    parts = [moments_of(chunk, weight) for chunk, weight in zip(features, weights, strict=True)]
    for part in parts:
        forward, backward = forward.merge(part), part.merge(backward)
    odd_then_even = Moments(streamed.dim)
    for part in parts[1::2] + parts[::2]:
        odd_then_even = odd_then_even.merge(part)

    scatter, mean = recording["out64/scatter"].numpy(), recording["out64/mean"].numpy()
    for found in (streamed, forward, backward, odd_then_even):
        assert abs(found.scatter - scatter).max() <= 1e-11 * np.trace(scatter)
        assert abs(found.scatter - streamed.scatter).max() <= 1e-12 * np.trace(scatter)
        np.testing.assert_allclose(found.mean, mean, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(found.weight, recording["out64/weight_sum"].item(), rtol=1e-12)


def check_mmd_poly(recording: Recording) -> None:
    """Either kernel and estimate, and subsets of rows: within 1e-11 of the mean kernel value."""
    x, y = recording["in/x"], recording["in/y"]
    for (degree, offset), biased in itertools.product(((3, 1.0), (2, 0.0)), (False, True)):
        truth = recording[f"out64/deg{degree}_{'biased' if biased else 'unbiased'}"].item()
        compare_mmd(x, y, degree, offset, biased, truth)
    subsets = (recording["in/subset_x"], recording["in/subset_y"], recording["out64/subsets_deg3_unbiased"].tolist())
    for rows_x, rows_y, truth in zip(*subsets, strict=True):
        compare_mmd(x[rows_x], y[rows_y], 3, 1.0, False, truth)


def compare_mmd(x: torch.Tensor, y: torch.Tensor, degree: int, offset: float, biased: bool, truth: float) -> None:
    both = torch.cat([x, y]).double()
    mean_kernel = (both @ both.T / both.shape[1] + offset).pow(degree).mean().item()
    found = polynomial_mmd(x, y, degree, offset, biased)
    assert abs(found - truth) <= 1e-11 * mean_kernel, f"degree {degree}, {biased=}: {found} instead of {truth}"


def check_prdc(recording: Recording) -> None:
    """Within 1e-15: all values are ratios of integers."""
    found = prdc(recording["in/real"], recording["in/fake"], recording.config["nearest_k"])
    truth = dict(zip(recording.config["order"], recording["out64/prdc"].tolist(), strict=True))
    assert found._asdict().keys() == truth.keys()
    for name, value in truth.items():
        np.testing.assert_allclose(getattr(found, name), value, rtol=0, atol=1e-15, err_msg=name)


def check_i3d(preparation: str, recording: Recording) -> None:
    """Everything that the file holds: by the plain network in float32 and float64, logits by the fast backbone too.

    Bounds are relative to the spread over channels. Float32: two implementations that sum in another order differ by
    1e-5. Float64: 1e-9, or 2e-6 for conventions whose order of operations no example pins down.
    """
    video, eps = i3d_video(recording), PREPARATIONS[preparation].eps
    assert recording.config.get("bn_eps", eps) == eps
    rescale = recording.config.get("rescale", video.dtype == torch.uint8)
    exact = 2e-6 if preparation in ("tats", "tfhub") else 1e-9
    for prefix, dtype, tolerance in (("out", torch.float32, 2e-5), ("out64", torch.float64, exact)):
        x = i3d_prepared(video.to(dtype if preparation == "styleganv" else torch.float32), preparation, rescale)
        found = i3d_outputs(x.to(dtype), eps)
        for name in recorded(recording, prefix):
            compare_spread(found[name], recording[f"{prefix}/{name}"], tolerance, name)
    if rescale and video.dtype == torch.uint8:
        name = "logits" if PREPARATIONS[preparation].averaged else "logits_per_step"
        truth = recording[f"out64/{name}"]
        fast = I3DBackbone(i3d_weights(), preparation)(video)
        compare_spread(fast, truth if name == "logits" else truth.mean(dim=2), 2e-5, f"fast {name}")


def recorded(recording: Recording, prefix: str) -> list[str]:
    return [name.removeprefix(f"{prefix}/") for name in recording.tensors if name.startswith(f"{prefix}/")]


def compare_spread(found: torch.Tensor, expected: torch.Tensor, tolerance: float, name: str) -> None:
    """Largest error over channels, the second axis, relative to their standard deviation; of pixels, as it is."""
    assert found.shape == expected.shape, f"{name} has shape {list(found.shape)} instead of {list(expected.shape)}"
    error = (found.double() - expected.double()).abs()
    if name.startswith("prepared"):
        assert error.max() <= 1e-6, f"{name} is off by {error.max():.2g}"
        return
    if name == "probs" and expected.dtype == torch.float32:
        tolerance = 1e-4  # the softmax carries the absolute error of the logits
    relative = (error.amax(dim=1) / expected.double().std(dim=1)).max()
    assert relative <= tolerance, f"{name} is off by {relative:.2g} of its spread"


def i3d_video(recording: Recording) -> torch.Tensor:
    """The input `[N, 3, T, H, W]`, stored or drawn by its name."""
    if rule := recording.config.get("input_rule"):
        shape = recording.config["x_shape"]
        words = np.random.PCG64(zlib.crc32(rule.encode())).random_raw(math.prod(shape))
        video = torch.from_numpy((words >> np.uint64(56)).astype(np.uint8).reshape(shape))
    else:
        video = recording["in/x"]
    return video if video.shape[1] == 3 else rearrange(video, "n t h w c -> n c t h w")


def i3d_prepared(video: torch.Tensor, preparation: str, rescale: bool) -> torch.Tensor:
    """The network's input, in the precision of the video; one that is in [-1, 1] already is only resized."""
    if rescale:
        return prepared(video, preparation)
    frames = resized(rearrange(video, "n c t h w -> (n t) c h w"))
    return rearrange(frames, "(n t) c h w -> n c t h w", t=video.shape[2])


def i3d_outputs(x: torch.Tensor, eps: float) -> dict[str, torch.Tensor]:
    """All that a recording may hold, by its name there; the network in the precision of `x`."""
    network = I3D(eps)
    network.load_state_dict(i3d_weights())
    endpoints = network.to(x.dtype).endpoints(x)
    steps = endpoints["logits"].flatten(2)
    return {
        **{f"mean/{name}": value.mean(dim=(2, 3, 4)) for name, value in endpoints.items()},
        "logits_per_step": steps,
        "logits": steps.mean(dim=2),
        "probs": steps.mean(dim=2).softmax(dim=1),
        "prepared_mean_hw": x.mean(dim=(3, 4)),
        "prepared_corner": x[:, :, 0, :8, :8],
    }


@functools.cache
def i3d_weights() -> dict[str, torch.Tensor]:
    """Weights of the recorded networks: every tensor is drawn by its own name. To be read only."""
    state = {name: i3d_tensor(name, tuple(tensor.shape)) for name, tensor in I3D().state_dict().items()}
    learned = b"".join(state[name].numpy().tobytes() for name in sorted(state) if "num_batches" not in name)
    assert zlib.crc32(learned) == 0x5A87C9FE
    return state


def i3d_tensor(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    if name.endswith("num_batches_tracked"):
        return torch.tensor(0)
    words = np.random.PCG64(zlib.crc32(name.encode())).random_raw(math.prod(shape))
    u = ((words >> np.uint64(11)) * 2.0**-53).reshape(shape)
    if name.endswith("conv3d.weight"):
        values = (2 * u - 1) * math.sqrt(3 / math.prod(shape[1:]))
    elif name.endswith("bn.weight"):
        values = 0.8 + 0.4 * u
    elif name.endswith("bn.running_var"):
        values = 0.1 + 1.4 * u
    else:
        values = 0.1 * (2 * u - 1)
    return torch.from_numpy(values.astype(np.float32))


CHECKS = {
    "color": check_color,
    "frechet": check_frechet,
    "i3d_piergiaj": functools.partial(check_i3d, "piergiaj"),
    "i3d_tats": functools.partial(check_i3d, "tats"),
    "i3d_tfhub": functools.partial(check_i3d, "tfhub"),
    "i3d_torchscript": functools.partial(check_i3d, "styleganv"),
    "i3d_videogpt": functools.partial(check_i3d, "videogpt"),
    "mmd_poly": check_mmd_poly,
    "moments": check_moments,
    "prdc": check_prdc,
}
