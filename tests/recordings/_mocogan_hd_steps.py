"""Recordings of one training step of MoCoGAN-HD's motion stage, of either kind, from recorded random numbers."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from vidbench.models.mocogan_hd.adversaries import (
    pair_discriminator_losses,
    pair_generator_loss,
    video_discriminator_losses,
    video_generator_loss,
    view_discriminator_losses,
    view_generator_losses,
)
from vidbench.models.mocogan_hd.contrastive_discriminator import ContrastiveDiscriminator
from vidbench.models.mocogan_hd.importing import contrastive_tensors, patch_tensors
from vidbench.models.mocogan_hd.motion_loss import cosine_loss
from vidbench.models.mocogan_hd.patch_discriminator import PatchDiscriminator
from vidbench.models.mocogan_hd.video import pairs, plain, reduced, render
from vidbench.models.mocogan_hd.views import BORDER, MOVE, SCALE, TURN

from . import Recording
from ._mocogan_hd import check_all, generator_of, motion_of, noise_of, split_state, tensors_below
from ._mocogan_hd_motion import PENALTY, contrastive_of, patch_discriminator_of, without_gradient
from .stylegan_v import inputs, state

EXEMPT_STEP = 2.01e-4
"""How far a bias may be off whose gradient is rounding noise: twice the learning rate, in opposite directions."""


class Draws:
    """Recorded random numbers, in the order in which they were drawn, as the uniform numbers that they stand for."""

    def __init__(self, config: dict[str, Any], step: str) -> None:
        self.lists = {kind: iter(config[f"{step}_{kind}_draws"]) for kind in ("integer", "uniform", "color", "affine")}

    def integer(self) -> int:
        return int(next(self.lists["integer"]))

    def backwards(self) -> bool:
        return self.integer() == 0

    def views(self, count: int) -> Tensor:
        """Draws of as many views."""
        squares = [self._square() for _ in range(count)]
        return torch.tensor([[*square, *self._change()] for square in squares], dtype=torch.float64)

    def _square(self) -> list[float]:
        length, side = next(self.lists["uniform"]), self.integer()
        depth, along = next(self.lists["uniform"]), next(self.lists["uniform"])
        band = (depth - (1 - BORDER) * (side % 2)) / (BORDER - length)
        return [2 * length / BORDER - 1, (side + 0.5) / 4, band, along / (1 - BORDER)]

    def _change(self) -> list[float]:
        kind = self.integer()
        numbers = [0.0] * 4
        if kind == 0:
            numbers[0] = (self.integer() + 0.5) / 2
        elif kind == 1:
            numbers[:2] = next(self.lists["color"]), (self.integer() + 0.5) / 4
        else:
            angle, right, down, scale = (next(self.lists["affine"]) for _ in range(4))
            numbers = [(x + 1) / 2 for x in (angle / TURN, right / MOVE, down / MOVE, (scale - 1) / SCALE)]
        return [(kind + 0.5) / 3, *numbers]

    def all_used(self) -> bool:
        return all(next(numbers, None) is None for numbers in self.lists.values())


def adam(network: nn.Module, config: dict[str, Any], **settings: Any) -> torch.optim.Adam:
    return torch.optim.Adam(network.parameters(), **({"lr": config["lr"], "betas": (0.5, 0.999)} | settings))


def check_step(recording: Recording) -> None:
    """Losses, gradients, and all networks after a step of the motion generator and one of the discriminators."""
    config, x = recording.config, inputs(recording, torch.float32)
    image, motion = split_state(recording, "modelG.")
    network = generator_of(generator_config(image), image).requires_grad_(False)
    walk = motion_of(x, motion, 0.2)
    video = patch_discriminator_of(state(recording, "modelD_3d."))
    tensors = state(recording, "modelD_img.")
    frame = contrastive_of(tensors, config["batchSize"]) if config["cross_domain"] else patch_discriminator_of(tensors)
    seen = plain if config["cross_domain"] else pairs

    def clips(step: str) -> tuple[Tensor, Tensor]:
        styles, recovered = walk(network.styles(x[f"{step}_z"]), x[f"{step}_e"])
        fake = reduced(render(network.synthesis, styles, noise_of(x, f"{step}_noise_")), config["video_frame_size"])
        return fake, cosine_loss(recovered, x[f"{step}_e"])

    generator_step = cross_generator_step if isinstance(frame, ContrastiveDiscriminator) else generator_step_of_pairs
    optimizer, draws = adam(walk, config), Draws(config, "g")
    fake, mutual = clips("g")
    found = generator_step(frame, video, seen, x["real"], fake, draws)
    assert draws.all_used()
    loss = found["g_loss_3d"] + found["g_loss_2d"] + mutual + config["w_match"] * found.get("g_loss_match", 0)
    loss.backward()
    optimizer.step()
    found |= {"g_loss_mutual": mutual}
    found |= {f"g_after/{name}": value.detach().clone() for name, value in walk.named_parameters()}
    slopes = {f"g_grad/{name}": grad(value) for name, value in walk.named_parameters()}
    if isinstance(frame, ContrastiveDiscriminator):
        found |= {f"g_{name}_after": getattr(frame, name).clone() for name in ("q_real", "q_fake")}

    draws = Draws(config, "d")
    with torch.no_grad():
        fake, _ = clips("d")
    if isinstance(frame, ContrastiveDiscriminator):
        optimizers = adam(video, config), adam(frame.network, config, betas=(0.0, 0.999), eps=1e-6)
    else:
        optimizers = adam(video, config), adam(frame, config)
    for each in optimizers:
        each.zero_grad()
    coin_fake, coin_real = draws.backwards(), draws.backwards()
    losses, penalty = video_discriminator_losses(
        video, seen(x["real"]), seen(fake), (coin_real, coin_fake), x["d_alpha"]
    )
    (torch.stack(losses).mean() + PENALTY * penalty).backward()
    found |= {"d_loss_real_3d": losses.real, "d_loss_fake_3d": losses.fake}
    if isinstance(frame, ContrastiveDiscriminator):
        draws.integer()
        found |= cross_discriminator_step(frame, fake, draws)
        (found["d_loss_real"] + found["d_loss_fake"] + 2 * found["d_loss_contrastive"]).backward()
    else:
        losses = pair_discriminator_losses(frame, x["real"], fake, draws.integer())
        torch.stack(losses).mean().backward()
        found |= {"d_loss_real": losses.real, "d_loss_fake": losses.fake}
    assert draws.all_used()
    for each in optimizers:
        each.step()
    if isinstance(frame, ContrastiveDiscriminator):
        frame.follow()
    named = {"modelD_3d.": video, "modelD_img.": frame}
    found |= {f"d_after/{start}{name}": y for start, part in named.items() for name, y in part.state_dict().items()}
    slopes |= {
        f"d_grad/{start}{name}": grad(y)
        for start, part in named.items()
        for name, y in part.named_parameters()
        if not name.startswith("momentum.")
    }
    compare_step(recording, found, slopes)


def grad(parameter: Tensor) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad.clone()


def generator_config(tensors: dict[str, Tensor]) -> dict[str, Any]:
    """What the configuration leaves out of the image generator."""
    widths = [tensors["input.input"].shape[1]]
    while f"convs.{2 * len(widths) - 1}.conv.weight" in tensors:
        widths.append(tensors[f"convs.{2 * len(widths) - 1}.conv.weight"].shape[1])
    layers = sum(name.startswith("style.") and name.endswith("bias") for name in tensors)
    channels = {str(4 * 2**i): width for i, width in enumerate(widths)}
    return {"channels": channels, "style_dim": len(tensors["style.1.bias"]), "n_mlp": layers}


Seen = Callable[[Tensor], Tensor]


def generator_step_of_pairs(
    frame: PatchDiscriminator, video: PatchDiscriminator, seen: Seen, real: Tensor, fake: Tensor, draws: Draws
) -> dict[str, Tensor]:
    loss = pair_generator_loss(frame, real, fake, draws.integer())
    coins = draws.backwards(), draws.backwards()
    return {"g_loss_2d": loss, "g_loss_3d": video_generator_loss(video, seen(real), seen(fake), coins)}


def cross_generator_step(
    frame: ContrastiveDiscriminator, video: PatchDiscriminator, seen: Seen, real: Tensor, fake: Tensor, draws: Draws
) -> dict[str, Tensor]:
    t = draws.integer()
    later, first = draws.views(len(fake)), draws.views(len(fake))
    hinge, match = view_generator_losses(frame, fake, t, later, first)
    coins = draws.backwards(), draws.backwards()
    loss = video_generator_loss(video, seen(real), seen(fake), coins)
    return {"g_loss_2d": hinge, "g_loss_match": match, "g_loss_3d": loss}


def cross_discriminator_step(frame: ContrastiveDiscriminator, fake: Tensor, draws: Draws) -> dict[str, Tensor]:
    """Views were drawn in another order than they are judged."""
    t = draws.integer()
    real2, real, fake2, fake1 = (draws.views(len(fake)) for _ in range(4))
    losses = view_discriminator_losses(frame, fake, t, (real, real2, fake1, fake2))
    return {f"d_loss_{name}": value for name, value in losses._asdict().items()}


def compare_step(recording: Recording, found: dict[str, Tensor], slopes: dict[str, Tensor]) -> None:
    expected = renamed(tensors_below(recording, "out/"))
    exempt = {name for name in expected if without_gradient(name)}
    for name in exempt:
        if name.startswith("d_after/"):
            assert (found[name] - expected[name]).abs().max() <= EXEMPT_STEP, name
        else:
            assert max(slopes[name].abs().max(), expected[name].abs().max()) < 1e-5, name
    expected = {name: y for name, y in expected.items() if name not in exempt}
    wanted = {name: y for name, y in expected.items() if "_grad/" in name}
    check_all(slopes, wanted, 1e-3, gradients=True)
    check_all(found, {name: y for name, y in expected.items() if name not in wanted}, 1e-4)


def renamed(expected: dict[str, Tensor]) -> dict[str, Tensor]:
    """The recorded networks' tensors, by our names."""
    ours = {}
    for name, value in expected.items():
        start, found, rest = name.partition("modelD_3d.")
        if not found:
            start, found, rest = name.partition("modelD_img.")
        if found:
            (rest,) = contrastive_tensors(patch_tensors({rest: value}))
        ours[start + found + rest] = value
    return ours


CHECKS = {"train_step": check_step}
