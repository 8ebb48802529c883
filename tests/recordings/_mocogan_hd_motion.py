"""Recordings of MoCoGAN-HD's motion stage: motion generator, discriminators, views, losses."""

from typing import Any

import torch
from torch import Tensor, nn

from vidbench.models.mocogan_hd.contrastive_discriminator import MOMENTUM, ContrastiveDiscriminator
from vidbench.models.mocogan_hd.importing import contrastive_tensors, patch_tensors
from vidbench.models.mocogan_hd.motion_loss import (
    TEMPERATURE,
    contrastive_loss,
    cosine_loss,
    hinge_loss,
    relativistic_loss,
)
from vidbench.models.mocogan_hd.patch_discriminator import PatchDiscriminator, gradient_penalty
from vidbench.models.mocogan_hd.sizes import contrastive_configuration, patch_configuration
from vidbench.models.mocogan_hd.video import interpolated, render
from vidbench.models.mocogan_hd.views import (
    BORDER,
    affine_matrices,
    color_offsets,
    corners,
    cut_out,
    transformed,
)

from . import Recording
from ._mocogan_hd import (
    PRECISIONS,
    check_all,
    check_outputs,
    generator_of,
    gradients,
    motion_of,
    noise_of,
    split_state,
    tensors_below,
)
from .stylegan_v import inputs, state

PENALTY = 10
"""Weight of the gradient penalty."""


def check_motion_generator(recording: Recording) -> None:
    """Styles, states of the LSTM, recovered noise, the loss of mutual information; gradients."""
    config = recording.config
    for prefix, dtype, tolerance in PRECISIONS:
        x = inputs(recording, dtype)
        network = motion_of(x, state(recording), config["w_residual"]).to(dtype)
        assert network.steps.shape == (config["n_pca"], config["z_dim"])
        styles, recovered = network(x["w1"], x["e"])
        walks = [network.start(x["w1"])]
        for e in x["e"].unbind(dim=1):
            walks.append(network.step(walks[-1], e))
        loss = cosine_loss(recovered, x["e"])
        found = {
            "w": styles,
            "h": torch.stack([walk.h for walk in walks], dim=1),
            "c": torch.stack([walk.c for walk in walks], dim=1),
            "noise_reconstruction": recovered,
            "mutual_information_loss": loss,
        }
        check_outputs(recording, found, prefix, tolerance)
        if prefix == "out":
            expected = tensors_below(recording, "out/grad/")
            check_all(gradients(loss + styles.square().mean(), network), expected, 1e-3, gradients=True)


def check_video_generator(recording: Recording) -> None:
    """Videos with noise, without, and with a frame between any two."""
    image, motion = split_state(recording, "")
    for prefix, dtype, tolerance in PRECISIONS:
        x = inputs(recording, dtype)
        network = generator_of(recording.config, image).to(dtype)
        with torch.no_grad():
            walk = motion_of(x, motion, recording.config["w_residual"]).to(dtype)
            styles, _ = walk(network.styles(x["z"]), x["e"])
            found = {
                "video": render(network.synthesis, styles, noise_of(x)),
                "video_no_noise": render(network.synthesis, styles, None),
                "video_interpolated": render(network.synthesis, interpolated(styles), noise_of(x)),
            }
        check_outputs(recording, found, prefix, tolerance)


def patch_discriminator_of(tensors: dict[str, Tensor]) -> PatchDiscriminator:
    loaded = patch_tensors(tensors)
    network = PatchDiscriminator(**patch_configuration(loaded))
    network.load_state_dict(loaded)
    return network


def without_gradient(name: str) -> bool:
    """Whether it is a bias that only shifts what is normalised, or all logits alike: its gradient is rounding noise."""
    return name.endswith(tuple(f"layer{j}.0.bias" for j in range(1, 5)))


def check_patch_discriminator(recording: Recording) -> None:
    """Features and logits in training, logits in evaluation, running statistics, gradients, the gradient penalty."""
    for prefix, dtype, tolerance in PRECISIONS:
        network = patch_discriminator_of(state(recording)).to(dtype)
        x = inputs(recording, dtype)
        network.eval()
        found = named_logits("eval_logits", network(x["x"]))
        network.train()
        input_ = x["x"].clone().requires_grad_()
        for k in range(network.num_scales):
            for j in range(4):
                layer = network.get_submodule(f"scale{network.num_scales - 1 - k}_layer{j}")
                layer.register_forward_hook(keep_one(found, f"features_{k}_{j}"))
        logits = network(input_)
        found |= named_logits("logits", logits)
        found |= {f"after/netD.{name}": value.clone() for name, value in network.named_buffers()}
        (found["grad_input"],) = torch.autograd.grad(sum(each.square().mean() for each in logits), input_)
        expected = tensors_below(recording, f"{prefix}/")
        if "gradient_penalty" in expected:
            penalty = PENALTY * gradient_penalty(network, x["x"], x["y"], x["alpha"])
            found["gradient_penalty"] = penalty
            wanted = patch_tensors(tensors_below(recording, f"{prefix}/gradient_penalty_grad/"))
            wanted = {name: value for name, value in wanted.items() if not without_gradient(name)}
            check_all(gradients(penalty, network), wanted, 1e-3, gradients=True)
        expected = {name: value for name, value in expected.items() if "penalty_grad/" not in name}
        check_all(found, expected, tolerance)


def named_logits(name: str, logits: list[Tensor]) -> dict[str, Tensor]:
    return {f"{name}_{k}": each for k, each in enumerate(logits)}


def keep_one(found: dict[str, Tensor], name: str) -> Any:
    def hook(module: nn.Module, args: tuple[Tensor], output: Tensor) -> None:
        found.setdefault(name, output.detach().clone())

    return hook


def contrastive_of(tensors: dict[str, Tensor], batch: int) -> ContrastiveDiscriminator:
    loaded = contrastive_tensors(tensors)
    network = ContrastiveDiscriminator(**contrastive_configuration(loaded), batch=batch)
    loaded["q_ptr"] = loaded["q_ptr"].long()
    network.load_state_dict(loaded)
    return network


def check_contrastive_discriminator(recording: Recording) -> None:
    """Four calls, the losses, gradients, singular vectors; then the copy moves and the queues are filled."""
    config = recording.config
    assert (config["moco_m"], config["moco_t"]) == (MOMENTUM, TEMPERATURE)
    for prefix, dtype, tolerance in PRECISIONS:
        network = contrastive_of(state(recording), config["batch"]).to(dtype)
        assert network.used == config["q_len"] // config["batch"] * config["batch"]
        x = inputs(recording, dtype)
        network.eval()
        with torch.no_grad():
            score, features = network(x["real"])
        found = {"eval_score_real": score[:, None], "eval_proj_real": features}
        network.train()
        x["fake"].requires_grad_()
        judged = {name: network(x[name]) for name in ("real", "real2", "fake", "fake2")}
        found |= {f"score_{name}": score[:, None] for name, (score, _) in judged.items()}
        found |= {f"proj_{name}": features for name, (_, features) in judged.items()}
        scores, proj = ({name: pair[i] for name, pair in judged.items()} for i in (0, 1))
        queues = network.queues()
        found["hinge_real"], found["hinge_fake"] = hinge_loss(scores["real"], scores["fake"])
        found["contrastive_loss"] = contrastive_loss(proj["real"], proj["real2"], queues[0]) + contrastive_loss(
            proj["fake"], proj["fake2"], queues[1]
        )
        total = found["hinge_real"] + found["hinge_fake"] + 2 * found["contrastive_loss"]
        found |= {
            "total_loss": total,
            "match_loss": cosine_loss(proj["fake"], proj["real"]),
            "hinge_generator": -scores["fake"].mean(),
        }
        (found["grad_fake"],) = torch.autograd.grad(total, x["fake"], retain_graph=True)
        slopes = gradients(total, network.network)
        network.follow()
        found |= {f"after/{name}": value.detach().clone() for name, value in network.state_dict().items()}
        images = x["real"], x["fake"].detach()
        kept = keep_features(network.momentum)
        network.enqueue(*images)
        found |= {"ema_proj_real": kept[0], "ema_proj_fake": kept[1]}
        found |= {f"{name}_after": getattr(network, name) for name in ("q_real", "q_fake", "q_ptr")}
        expected = contrastive_outputs(tensors_below(recording, f"{prefix}/"))
        check_all(found, {name: y for name, y in expected.items() if "grad/" not in name}, tolerance)
        if prefix == "out":
            wanted = contrastive_tensors(tensors_below(recording, "out/grad/"))
            check_all({f"network.{name}": y for name, y in slopes.items()}, wanted, 1e-3, gradients=True)


def contrastive_outputs(expected: dict[str, Tensor]) -> dict[str, Tensor]:
    """Outputs, of which states have our names."""
    after = contrastive_tensors({name.removeprefix("after/"): y for name, y in expected.items() if "after/" in name})
    return {name: y for name, y in expected.items() if "after/" not in name} | {
        f"after/{name}": y for name, y in after.items()
    }


def keep_features(network: nn.Module) -> list[Tensor]:
    kept: list[Tensor] = []
    network.register_forward_hook(lambda module, args, output: kept.append(output[1]))
    return kept


def check_views(recording: Recording) -> None:
    """Each change alone."""
    x = inputs(recording, torch.float32)
    images, size = x["x"], x["x"].shape[-1]
    assert recording.config == {"max_ratio": BORDER, "angle": 180, "trans": 0.1, "scale": 0.05}
    length, _, top, left = x["cutout"].double().unbind(dim=1)
    amount, channel = x["color"].unbind(dim=1)
    found = {
        "cutout": cut_out(images, *corners(length, top, left, size)),
        "color": images + color_offsets(amount, channel)[:, :, None, None],
        "affine": transformed(images, affine_matrices(*x["affine"].unbind(dim=1))),
        "flip": images.flip(3),
    }
    check_outputs(recording, found, "out", 1e-4)


def check_adversarial_losses(recording: Recording) -> None:
    """Both parts of the discriminator's loss, the generator's, and gradients at the logits."""
    x = inputs(recording, torch.float32)
    scales = range(recording.config["scales"])
    real, fake = ([x[f"{name}_{k}"].requires_grad_() for k in scales] for name in ("real", "fake"))
    parts = relativistic_loss(real, fake)
    d_loss, g_loss = torch.stack(parts).mean(), torch.stack(relativistic_loss(fake, real)).mean()
    slopes = torch.autograd.grad(d_loss, [*real, *fake])
    found = {"d_real": parts[0], "d_fake": parts[1], "d_loss": d_loss, "g_loss": g_loss}
    found |= {f"d_grad_real_{k}": slopes[k] for k in scales}
    found |= {f"d_grad_fake_{k}": slopes[len(scales) + k] for k in scales}
    found |= {f"g_grad_fake_{k}": slope for k, slope in enumerate(torch.autograd.grad(g_loss, fake))}
    check_all(found, tensors_below(recording, "out/"), 1e-4)


CHECKS = {
    "adversarial_losses": check_adversarial_losses,
    "contrastive_augmentations": check_views,
    "contrastive_discriminator": check_contrastive_discriminator,
    "image_discriminator": check_patch_discriminator,
    "motion_generator": check_motion_generator,
    "video_discriminator": check_patch_discriminator,
    "video_generator": check_video_generator,
}
