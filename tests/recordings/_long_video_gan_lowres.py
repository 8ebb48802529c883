"""Recordings of LongVideoGAN's low-resolution networks, of the bank of temporal filters and of augmentation.

Bounds are relative to an output's standard deviation: 1e-4 for what the authors' networks computed in float32, in which
two implementations differ, and 1e-6 for statistics that were computed in float64 and stored in float32.
"""

from collections.abc import Iterable
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from vidbench.models.layers.diffaug import NUM_DRAWS, diff_augment
from vidbench.models.layers.loss import generator_loss, r1_penalty
from vidbench.models.long_video_gan.lowres_discriminator import LowResDiscriminator
from vidbench.models.long_video_gan.lowres_generator import LowResGenerator
from vidbench.models.long_video_gan.stretch import stretch, stretched_length
from vidbench.models.long_video_gan.temporal_noise import FilterBank, TimeScales

from . import Recording
from .stylegan_v import state

TOLERANCE = 1e-4
PRECISIONS = ((torch.float32, TOLERANCE), (torch.float64, 1e-6))
"""Bounds of what was computed in float64."""


def compare(recording: Recording, found: dict[str, Tensor], tolerance: float, prefix: str = "out") -> None:
    """Everything found, relative to the deviation, or for gradients and a few numbers to the largest."""
    for name, value in found.items():
        expected = recording[f"{prefix}/{name}"].double()
        assert value.shape == expected.shape, f"{name} has shape {list(value.shape)} instead of {list(expected.shape)}"
        by_largest = "grad" in prefix or expected.numel() < 8
        scale = (expected.abs().max() if by_largest else expected.std()).item()
        error = (value.detach().double() - expected).abs().max().item()
        assert error <= tolerance * scale, f"{prefix}/{name} is off by {error:.2g}, at a scale of {scale:.2g}"


def recorded(recording: Recording, prefix: str) -> list[str]:
    return [name.removeprefix(f"{prefix}/") for name in recording.tensors if name.startswith(f"{prefix}/")]


def scales_of(config: dict[str, Any]) -> TimeScales:
    return TimeScales(config["min_sampling_rate"], config["max_sampling_rate"], config["blur_widths"])


def generator_of(config: dict[str, Any]) -> LowResGenerator:
    return LowResGenerator(
        height=config["out_height"],
        width=config["out_width"],
        channels=tuple(config["channels"]),
        temporal_emb_dim=config["temporal_emb_dim"],
        w_dim=config["latent_w_dim"],
        scales=scales_of(config["embedding_kwargs"]),
    )


def check_generator(recording: Recording) -> None:
    """Filtered noise, styles, features, the video; gradients; the averages of magnitudes after a step of training."""
    frames, beta = recording.config["T"], recording.config["ema_beta"]
    for dtype, tolerance in PRECISIONS:
        network = generator_of(recording.config)
        network.load_state_dict(state(recording))
        network.to(dtype)
        noise = recording["in/noise"].to(dtype).requires_grad_()
        features = keep_features([*network.temporal_layers, *network.spatial_layers])
        video = network(noise, frames)
        filtered = network.temporal_emb(noise)
        ws = list(network.styles(filtered, frames))
        found = {
            "temporal_emb": filtered,
            "video": video,
            "temporal_input": rearrange(network.w_to_temp_input(ws[0]), "n t c -> n c t"),
            **{f"ws.{i}": rearrange(ws[max(0, min(i - 1, 6))], "n t c -> n c t") for i in (1, 2, 5, 6, 11)},
            **{f"features.temporal_layers.{i}": features[i] for i in range(3)},
            "feature_stats": torch.stack([torch.stack([x.mean(), x.std()]) for x in [*features, video]]),
        }
        compare(recording, found, TOLERANCE)
        stats = torch.stack([video.mean(dim=(1, 2, 3, 4)), video.std(dim=(1, 2, 3, 4))])
        compare(recording, {"video_stats": stats}, tolerance, "out64")
        compare_gradients(recording, video.square().mean(), network, noise)
        with torch.no_grad():
            video = network(noise, frames, beta)
        compare(recording, {"video_frame0": video[:, :, 0]}, TOLERANCE, "out/ema_step")
        averages = {name: x for name, x in network.named_buffers() if "magnitude" in name}
        assert averages.keys() == {name for name in recorded(recording, "out/ema_step") if "magnitude" in name}
        compare(recording, averages, TOLERANCE, "out/ema_step")


def keep_features(blocks: Iterable[torch.nn.Module]) -> list[Tensor]:
    """What leaves each block, in order, is appended to this once the network is called."""
    features: list[Tensor] = []
    for block in blocks:
        block.register_forward_hook(lambda module, args, output: features.append(output))
    return features


def compare_gradients(recording: Recording, loss: Tensor, network: torch.nn.Module, noise: Tensor) -> None:
    named = dict(network.named_parameters()) | {"in.noise": noise}
    names = recorded(recording, "out/grad")
    found = dict(zip(names, torch.autograd.grad(loss, [named[name] for name in names]), strict=True))
    found["in.noise"] = found["in.noise"][:, :, ::7]
    compare(recording, found, TOLERANCE, "out/grad")


def check_discriminator(recording: Recording) -> None:
    """Features, logits and R1; gradients of the generator's loss and, of second order, of R1."""
    config = recording.config
    for dtype, tolerance in PRECISIONS:
        network = LowResDiscriminator(
            frames=config["seq_length"],
            edge=config["max_edge"],
            channels=tuple(config["block_channels"]),
            head_channels=config["epilogue_kwargs"]["channels"],
        )
        network.load_state_dict(state(recording))
        network.to(dtype)
        features = keep_features(network.blocks)
        videos = recording["in/video"].to(dtype).requires_grad_()
        logits = network(videos)
        penalty = r1_penalty(logits, videos)
        found = {f"features.blocks.{i}": features[i] for i in range(1, 4)}
        compare(recording, found | {"logits": logits[:, None], "r1_penalty": penalty}, TOLERANCE)
        compare(recording, {"logits": logits[:, None]}, tolerance, "out64")
        named = dict(network.named_parameters())
        losses = {"grad": generator_loss(logits).mean(), "r1_grad": config["r1_gamma"] / 2 * penalty.mean()}
        for prefix, loss in losses.items():
            names = recorded(recording, f"out/{prefix}")
            gradients = torch.autograd.grad(
                loss, [named[name] for name in names], retain_graph=True, materialize_grads=True
            )
            compare(recording, dict(zip(names, gradients, strict=True)), TOLERANCE, f"out/{prefix}")


def check_filter_bank(recording: Recording) -> None:
    """Taps within 1e-5 of the largest, what they make of cosines, and filtered noise."""
    for dtype, tolerance in ((torch.float32, TOLERANCE), (torch.float64, 1e-5)):
        bank = FilterBank(scales_of(recording.config))
        if recorded(recording, "state"):
            for name, buffer in bank.state_dict().items():
                torch.testing.assert_close(buffer, recording[f"state/{name}"], rtol=1e-5, atol=1e-7, msg=name)
        bank.to(dtype)
        filters = bank.blur_filters[:, 0]
        angles = torch.outer(torch.arange(filters.shape[1]).to(dtype), recording["in/probe_frequencies"].to(dtype))
        first = filters.ne(0).int().argmax(dim=1)
        found = {
            "num_taps": filters.shape[1] - first,
            "output_scale": bank.output_scale.flatten(),
            "sum_of_squares": filters.square().sum(dim=1),
            "filters_rows": filters[recording["in/rows"].long()],
        }
        compare(recording, found, 1e-5)
        compare(recording, {"probe_response": filters @ angles.cos()}, tolerance)
        compare(recording, {"temporal_emb": bank(recording["in/noise"].to(dtype))}, tolerance)


def check_diffaugment(recording: Recording) -> None:
    """Draws that are inputs: numbers of colours as they are, whole numbers as the middle of their share of [0, 1)."""
    videos = recording["in/video"]
    height, width = videos.shape[3:]
    limit = round(0.25 * max(height, width))
    draws = [recording[name].flatten().double() for name in sorted(recording.tensors) if name.startswith("in/draw.")]
    for i, (lowest, count) in enumerate(((-limit, 2 * limit + 1),) * 2 + ((0, places(height)), (0, places(width))), 3):
        draws[i] = (draws[i] - lowest + 0.5) / count
    assert len(draws) == NUM_DRAWS
    compare(recording, {"video": diff_augment(videos, torch.stack(draws, dim=1))}, 1e-5)


def places(side: int) -> int:
    """Of the centre of a hole of half the side."""
    return side + 1 - int(side / 2 + 0.5) % 2


def check_stretch(recording: Recording) -> None:
    """Videos of half to twice the length, and their lengths before zeros are added or frames left out."""
    videos, factors = recording["in/video"], recording["in/scale"].tolist()
    firsts = (recording["in/crop_start"] - recording["in/pad_before"]).int().tolist()
    found = [stretch(*case) for case in zip(videos, factors, firsts, strict=True)]
    lengths = [stretched_length(videos.shape[2], factor) for factor in factors]
    assert lengths == recording["out/stretched_length"].tolist()
    compare(recording, {"video": torch.stack(found)}, 1e-5)


CHECKS = {
    "diffaugment": check_diffaugment,
    "lres_discriminator": check_discriminator,
    "lres_generator": check_generator,
    "temporal_filter_bank": check_filter_bank,
    "temporal_stretch": check_stretch,
}
