"""Recordings of LongVideoGAN's super-resolution networks and of what corrupts their condition."""

from typing import TypeVar

import torch
from einops import rearrange, repeat
from torch import Tensor

from vidbench.models.layers.augment import STEPS
from vidbench.models.layers.loss import generator_loss, r1_penalty
from vidbench.models.long_video_gan.condition import Condition
from vidbench.models.long_video_gan.corruption import NOISE, STRENGTHS, condition_corruption, corrupted
from vidbench.models.long_video_gan.superres_discriminator import SuperResDiscriminator
from vidbench.models.long_video_gan.superres_generator import SuperResGenerator

from . import Recording
from ._augment import NORMAL, assert_close
from ._augment import STRENGTHS as NAMES
from .stylegan_v import compare, gradients_of, inputs, keep, state

WAYS = {"N", "T", "truncation_psi", "r1_gamma", "num_fp16_res"}
"""What a configuration says that is no argument of the network."""


Network = TypeVar("Network", bound=torch.nn.Module)


def network_of(kind: type[Network], recording: Recording, dtype: torch.dtype) -> Network:
    """The recorded network, whose filters are the computed ones."""
    network = kind(**{name: x for name, x in recording.config.items() if name not in WAYS})
    recorded = state(recording)
    for name, own in network.state_dict().items():
        if name.endswith("filter"):
            torch.testing.assert_close(recorded[name], own, rtol=0, atol=1e-6, msg=name)
    network.load_state_dict(recorded)
    return network.to(dtype).eval()


def deviations(x: Tensor) -> Tensor:
    return torch.stack([x.mean(), x.std()])


def check_generator(recording: Recording) -> None:
    """Styles, conditions, layers, frames, gradients, and moving averages after one call that moves them."""
    for prefix, dtype, tolerance in (("out", torch.float32, 1e-4), ("out64", torch.float64, 1e-6)):
        network, x = network_of(SuperResGenerator, recording, dtype), inputs(recording, dtype)
        found: dict[str, Tensor] = {}
        for i, layer in enumerate(network.SG3.synthesis.values()):
            layer.register_forward_hook(keep(found, f"{i}"))
        video = network(x["z"], x["lr_video"])
        layers = [found.pop(f"{i}_x") for i in range(len(network.sources))]
        condition = Condition(x["lr_video"], network.context, network.margin)
        stacks = [
            condition.stack(resize, source.height, source.width)
            for resize, source in zip(network.SG3.resamples, network.sources, strict=True)
        ]
        w = network.SG3.mapping(x["z"])
        found = {"video": video, "ws": repeat(w, "n d -> (n t) 1 d", t=video.shape[2])}
        found |= {f"x.{i}.sample0": layer[0] for i, layer in enumerate(layers)}
        found |= {f"conds.{i}.sample0": stack[0] for i, stack in enumerate(stacks)}
        found["layer_stats"] = torch.stack([deviations(layer) for layer in layers])
        found["cond_stats"] = torch.stack([deviations(stack) for stack in stacks])
        found["video_stats"] = torch.stack([deviations(each) for each in video], dim=1)
        if psi := recording.config["truncation_psi"]:
            found["video_psi"] = network(x["z"], x["lr_video"], psi)[:, :, :1]
        compare(recording, found, prefix, tolerance)
        if prefix == "out":
            compare(recording, gradients(network, video.square().mean()), prefix, 1e-4)
            network(x["z"], x["lr_video"], beta=0.999)
            for name, moved in network.named_buffers():
                if not name.endswith("filter"):
                    torch.testing.assert_close(moved, recording[f"out/ema_step/{name}"], rtol=1e-6, atol=1e-7, msg=name)


def gradients(network: torch.nn.Module, loss: Tensor, prefix: str = "grad") -> dict[str, Tensor]:
    return {f"{prefix}/{name}": x for name, x in gradients_of(loss, network).items()}


def check_discriminator(recording: Recording) -> None:
    """Upsampled condition, blocks, logits; gradients of the generator's loss and of R1."""
    gamma = recording.config["r1_gamma"]
    for prefix, dtype, tolerance in (("out", torch.float32, 1e-4), ("out64", torch.float64, 1e-6)):
        network, x = network_of(SuperResDiscriminator, recording, dtype), inputs(recording, dtype)
        features: dict[str, Tensor] = {}
        for res in network.resolutions:
            network.get_submodule(f"b{res}").register_forward_hook(keep(features, f"b{res}"))
        frames = x["hr_video"].requires_grad_()
        logits = network(x["lr_video"], frames)
        found = {f"features.{name.removesuffix('_x')}": value for name, value in features.items()}
        found |= {"logits": logits[:, None], "lr_upsampled.sample0": network.upsampled(x["lr_video"])[0]}
        found["r1_penalty"] = r1_penalty(logits, frames)
        compare(recording, found, prefix, tolerance)
        compare(recording, gradients(network, gamma / 2 * found["r1_penalty"].mean(), "r1_grad"), "out", 1e-4)
        loss = generator_loss(network(x["lr_video"], frames)).mean()
        compare(recording, gradients(network, loss), "out", 1e-4)


def check_corruption(recording: Recording) -> None:
    """Draws that are inputs, in order, each with what p was compared with. Within 1e-4 of the deviation."""
    named = {tuple(name.split(".")[2:]): x for name, x in recording.tensors.items() if "/draw." in name}
    videos, augment = recording["in/video"], condition_corruption()
    for name, recorded in NAMES.items():
        assert STRENGTHS[name] == recording.config[recorded]
    assert (recording.config["noise_std"], recording.config["p"]) == (NOISE, augment.p.item())
    columns = []
    for step, (count, _) in STEPS.items():
        value = named.get((step, "value"), torch.zeros(len(videos), count)).double().reshape(-1, count)
        gate = named.get((step, "gate"), torch.ones(len(videos))).double().reshape(-1, 1)
        columns += [torch.special.ndtr(value) if step in NORMAL else value, gate]
    sigma, gate = (named["noise", part].double().reshape(-1, 1) for part in ("sigma", "gate"))
    draws = torch.cat([*columns, torch.special.ndtr(sigma), gate], dim=1)
    noise = rearrange(named["noise", "field"], "n (c t) h w -> n c t h w", c=3)
    assert_close(corrupted(augment, videos, draws, noise), recording["out/video"], 1e-4)


CHECKS = {
    "condition_corruption": check_corruption,
    "sres_discriminator": check_discriminator,
    "sres_generator": check_generator,
}
