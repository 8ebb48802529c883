"""Recordings of StyleGAN-V: operations, networks, losses and their gradients; and of its baseline, MoCoGAN+SG2.

Bounds are relative to an output's standard deviation. Float32: two implementations that sum in another order differ by
1e-5. Float64: 1e-12. Gradients are recorded in float32 alone; those of R1 carry that of two passes.
"""

import math
from typing import Any

import torch
from torch import Tensor

from vidbench.models.layers.convolution import modulated_conv2d, modulated_pointwise, resampled_conv2d
from vidbench.models.layers.fir import downsample2d, filter2d, resample_filter, upfirdn2d, upsample2d
from vidbench.models.layers.linear import activated
from vidbench.models.layers.loss import discriminator_loss, generator_loss, r1_penalty
from vidbench.models.layers.precision import Precision
from vidbench.models.stylegan_v.discriminator import Discriminator
from vidbench.models.stylegan_v.generator import Generator
from vidbench.models.stylegan_v.loss import r1_loss
from vidbench.models.stylegan_v.motion import Motion, MotionEncoder

from . import Recording, _mocogan_sg2
from ._augment import check_augment
from ._stylegan_v import PRECISIONS, compare, inputs, keep, state


def motion_of(cfg: dict[str, Any]) -> Motion:
    motion, time = cfg["motion"], cfg["time_enc"]
    return Motion(
        z_dim=motion["z_dim"],
        v_dim=motion["v_dim"],
        kernel_size=motion["kernel_size"],
        distance=motion["motion_z_distance"],
        time_dim=time["dim"],
        min_period=time["min_period_len"],
        max_period=time["max_period_len"],
        max_num_frames=cfg["sampling"]["max_num_frames"],
    )


def generator_of(config: dict[str, Any]) -> Generator:
    cfg, synthesis = config["cfg"], config["synthesis"]
    return Generator(
        resolution=config["img_resolution"],
        channels=config.get("img_channels", 3),
        z_dim=cfg["z_dim"],
        c_dim=cfg["c_dim"],
        w_dim=cfg["w_dim"],
        mapping_layers=config.get("mapping_layers", 2),
        channel_base=synthesis["channel_base"],
        channel_max=synthesis["channel_max"],
        motion=motion_of(cfg),
        use_noise=cfg["use_noise"],
        precision=Precision(conv_clamp=synthesis.get("conv_clamp")),
    )


def discriminator_of(config: dict[str, Any]) -> Discriminator:
    cfg, sampling = config["cfg"], config["cfg"]["sampling"]
    return Discriminator(
        resolution=config["img_resolution"],
        channels=config.get("img_channels", 3),
        c_dim=config.get("c_dim", 0),
        num_frames=sampling["num_frames_per_video"],
        max_num_frames=sampling["max_num_frames"],
        channel_base=config["channel_base"],
        channel_max=config["channel_max"],
        concat_res=cfg["concat_res"],
        concat_divisor=cfg["num_frames_div_factor"],
        equidistant=sampling["type"] == "uniform",
        skip_small_t_freqs=cfg.get("skip_small_t_freqs", 0),
        mbstd_group_size=config.get("mbstd_group_size", 4),
        mbstd_num_channels=config.get("mbstd_num_channels", 1),
        mapping_layers=config.get("mapping_layers", 2),
        precision=Precision(conv_clamp=config.get("conv_clamp")),
    )


def check_generator(recording: Recording) -> None:
    """Styles, motion codes, every block, frames."""
    config = recording.config
    for prefix, dtype, tolerance in PRECISIONS:
        network = generator_of(config)
        network.load_state_dict(state(recording))
        network.to(dtype).eval()
        found: dict[str, Tensor] = {}
        for res in network.synthesis.resolutions:
            network.synthesis.get_submodule(f"b{res}").register_forward_hook(keep(found, f"b{res}"))
        x = inputs(recording, dtype)
        psi, cutoff = config.get("truncation_psi", 1), config.get("truncation_cutoff")
        with torch.no_grad():
            ws = network.mapping(x["z"], x["c"], psi, cutoff)
            img = network.synthesis(ws, x["t"], x["c"], x["motion_z"], noise="const")
            v = network.synthesis.motion_encoder(x["t"], x["motion_z"], x["c"])
        found |= {"ws": ws[:, : recording["out/ws"].shape[1]], "img": img, "motion_v": v.flatten(0, 1)}
        compare(recording, found, prefix, tolerance)


def check_motion_mapping(recording: Recording) -> None:
    """Codes of single times; the trajectory's points from all tokens at once."""
    motion = motion_of(recording.config["cfg"])
    for prefix, dtype, tolerance in PRECISIONS:
        encoder = MotionEncoder(motion, recording.config["cfg"]["c_dim"])
        encoder.load_state_dict(state(recording))
        encoder.to(dtype)
        x = inputs(recording, dtype)
        with torch.no_grad():
            v = encoder(x["t"], x["motion_z"], x["c"])
            u = encoder.trajectory(x["motion_z"], x["c"])
        left = torch.floor(x["t"] / motion.distance).long()
        rows = torch.arange(len(u))[:, None]
        found = {"motion_v": v.flatten(0, 1), "motion_u_left": u[rows, left], "motion_u_right": u[rows, left + 1]}
        compare(recording, found, prefix, tolerance)


def check_discriminator(recording: Recording) -> None:
    """Embedding of times, mapped label, blocks, logits."""
    for prefix, dtype, tolerance in PRECISIONS:
        network = discriminator_of(recording.config)
        network.load_state_dict(state(recording))
        network.to(dtype).eval()
        found: dict[str, Tensor] = {}
        for res in network.resolutions:
            network.get_submodule(f"b{res}").register_forward_hook(keep(found, f"b{res}"))
        x = inputs(recording, dtype)
        with torch.no_grad():
            found["logits"] = network(x["img"], x["c"], x["t"])
            condition = network.condition(x["c"], x["t"])
            assert network.mapping is not None
            found |= {"cmap": network.mapping(None, condition), "time_embedding": condition[:, x["c"].shape[1] :]}
        compare(recording, found, prefix, tolerance)


def check_losses(recording: Recording) -> None:
    """Losses, R1 and gradients of one step each of Gmain, Dmain and Dreg from the same weights."""
    config = recording.config
    for prefix, dtype, tolerance in PRECISIONS:
        networks = generator_of(config["G"]), discriminator_of(config["D"])
        for network, name in zip(networks, ("G.", "D."), strict=True):
            network.load_state_dict(state(recording, name))
            network.to(dtype).train()
        x = inputs(recording, dtype)
        for phase, step in (("Gmain", gmain), ("Dmain", dmain), ("Dreg", dreg)):
            found, loss = step(*networks, x, config["r1_gamma"])
            compare(recording, {f"{phase}/{name}": value for name, value in found.items()}, prefix, tolerance)
            gradients = gradients_of(loss.mean() * config["gains"][phase], networks[0 if phase == "Gmain" else 1])
            bound = 1e-3 if phase == "Dreg" else 1e-4
            compare(recording, {f"{phase}/grad/{name}": value for name, value in gradients.items()}, "out", bound)


def gradients_of(loss: Tensor, network: torch.nn.Module) -> dict[str, Tensor]:
    """By the parameter's name; zero where the loss does not depend on it."""
    named = dict(network.named_parameters())
    gradients = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    return {
        name: torch.zeros_like(parameter) if gradient is None else gradient
        for (name, parameter), gradient in zip(named.items(), gradients, strict=True)
    }


Step = tuple[dict[str, Tensor], Tensor]


def gmain(generator: Generator, discriminator: Discriminator, x: dict[str, Tensor], gamma: float) -> Step:
    scores = discriminator(generator(x["z"], x["c"], x["t_gen"], x["motion_z"]), x["c"], x["t_gen"])
    loss = generator_loss(scores)
    return {"scores_fake": scores, "G_loss": loss, "w_avg_after": generator.mapping.w_avg.clone()}, loss


def dmain(generator: Generator, discriminator: Discriminator, x: dict[str, Tensor], gamma: float) -> Step:
    with torch.no_grad():
        frames = generator(x["z"], x["c"], x["t_gen"], x["motion_z"])
    fake = discriminator(frames, x["c"], x["t_gen"])
    real = discriminator(x["real_img"].flatten(0, 1), x["c"], x["t_real"])
    loss = discriminator_loss(fake, real)
    return {"scores_fake": fake, "scores_real": real, "D_loss": loss}, loss


def dreg(generator: Generator, discriminator: Discriminator, x: dict[str, Tensor], gamma: float) -> Step:
    frames = x["real_img"].flatten(0, 1).requires_grad_()
    real = discriminator(frames, x["c"], x["t_real"])
    loss = r1_loss(real, frames, gamma)
    return {"scores_real": real, "r1_penalty": r1_penalty(real, frames), "D_reg": loss}, loss


def check_ops(recording: Recording) -> None:
    """Micro-cases of resampling, convolution and activation; modulation in the one form that there is."""
    case = recording.config["upfirdn2d_asym"]
    for prefix, dtype, tolerance in PRECISIONS:
        i = inputs(recording, dtype)
        x, f, sep, w3, w1, styles = i["x"], resample_filter().to(dtype), i["fir12"], i["w3"], i["w1"], i["styles"]
        plain, bias = modulated_conv2d(x, w3, styles, f, torch.zeros(1, dtype=dtype)), torch.zeros(4, dtype=dtype)
        noisy = modulated_conv2d(x, w3, styles, f, i["noise"], up=2)
        found = {
            "setup_filter_1331": f,
            "upfirdn2d_asym": upfirdn2d(
                x, i["fir_asym"], case["up_xy"], case["down_xy"], case["padding_x0_x1_y0_y1"], gain=case["gain"]
            ),
            "upfirdn2d_asym_flip": upfirdn2d(x, i["fir_asym"], (1, 1), (2, 2), (1, 2, 2, 1), flip=True),
            "upsample2d": upsample2d(x, f),
            "downsample2d": downsample2d(x, f),
            "filter2d": filter2d(x, f),
            "upsample2d_sep12": upsample2d(x, sep),
            "downsample2d_sep12_flip": downsample2d(x, sep, padding=-2, flip=True),
            "conv3_same": resampled_conv2d(x, w3, f),
            "conv3_up2": resampled_conv2d(x, w3, f, up=2),
            "conv3_down2": resampled_conv2d(x, w3, f, down=2),
            "conv1_up2": resampled_conv2d(x, w1, f, up=2),
            "conv1_down2": resampled_conv2d(x, w1, f, down=2),
            "modconv_fused": plain,
            "modconv_unfused": plain,
            "modconv_up2_noise_fused": noisy,
            "modconv_up2_noise_unfused": noisy,
            "modconv_torgb": modulated_pointwise(x, w1, styles, bias),
            "bias_act_lrelu_clamp": activated((x + i["b"][:, None, None]) * (math.sqrt(2) / 2), "lrelu", 0.6),
        }
        missing = {name.split("/")[1] for name in recording.tensors if name.startswith("out/")} - set(found)
        assert not missing, f"no check of {missing}"
        compare(recording, found, prefix, tolerance)


def check_tiny_checkpoint(recording: Recording) -> None:
    """The tensors of a checkpoint load strictly, and its averaged generator makes the recorded frames."""
    networks = {"G": generator_of, "D": discriminator_of, "G_ema": generator_of}
    loaded = {}
    for name, build in networks.items():
        loaded[name] = build(recording.config[name.split("_")[0]])
        loaded[name].load_state_dict(state(recording, f"{name}."))
    x = inputs(recording, torch.float32)
    with torch.no_grad():
        img = loaded["G_ema"].eval()(x["z"], x["c"], x["t"], x["motion_z"])
    compare(recording, {"img": img}, "out", 1e-4)


CHECKS = {
    **_mocogan_sg2.CHECKS,
    "augment": check_augment,
    "discriminator": check_discriminator,
    "generator": check_generator,
    "losses": check_losses,
    "motion_mapping": check_motion_mapping,
    "ops": check_ops,
    "tiny_checkpoint": check_tiny_checkpoint,
}
