"""Recordings of MoCoGAN+SG2: motion codes, frames, and logits of videos.

Bounds are relative to an output's standard deviation: 1e-4 in float32, 1e-12 in float64, 1e-10 where statistics of a
batch are divided by.
"""

from typing import Any

import torch
from torch import Tensor, nn

from vidbench.models.mocogan_sg2.discriminator import VideoDiscriminator
from vidbench.models.mocogan_sg2.generator import Generator
from vidbench.models.mocogan_sg2.motion import MotionEncoder

from . import Recording
from ._stylegan_v import PRECISIONS, compare, inputs, keep, state


def check_all(recording: Recording, found: dict[str, Tensor], prefix: str, tolerance: float) -> None:
    missing = {name for name in recording.tensors if name.startswith(f"{prefix}/")} - {f"{prefix}/{k}" for k in found}
    assert not missing, f"no check of {missing}"
    compare(recording, found, prefix, tolerance)


def loaded(recording: Recording, network: nn.Module, dtype: torch.dtype) -> Any:
    """With its recorded tensors, in evaluation mode; a count of batches that is recorded as a fraction stays whole."""
    network.load_state_dict(state(recording))
    return network.to(dtype).eval()


def check_motion(recording: Recording) -> None:
    """Hidden states of the LSTM at single times, and codes; in steps, too."""
    motion = recording.config["cfg"]["motion"]
    for prefix, dtype, tolerance in PRECISIONS:
        encoder = loaded(recording, MotionEncoder(motion["z_dim"], motion["v_dim"]), dtype)
        x = inputs(recording, dtype)
        t = x["t"].long()
        with torch.no_grad():
            v = encoder(t, x["motion_z"])
            begun, state_between = encoder.walk(x["motion_z"][:, :7], None)
            rest, _ = encoder.walk(x["motion_z"][:, 7:], state_between)
        u = torch.cat([begun, rest], dim=1)[torch.arange(len(t))[:, None], t]
        check_all(recording, {"motion_u": u.flatten(0, 1), "motion_v": v.flatten(0, 1)}, prefix, tolerance)


def check_generator(recording: Recording) -> None:
    """Styles, motion codes, every block, frames."""
    config, cfg = recording.config, recording.config["cfg"]
    for prefix, dtype, tolerance in PRECISIONS:
        network = Generator(
            resolution=config["img_resolution"],
            z_dim=cfg["z_dim"],
            w_dim=cfg["w_dim"],
            mapping_layers=config["mapping_layers"],
            channel_base=config["synthesis"]["channel_base"],
            channel_max=config["synthesis"]["channel_max"],
            motion_z_dim=cfg["motion"]["z_dim"],
            motion_v_dim=cfg["motion"]["v_dim"],
        )
        network = loaded(recording, network, dtype)
        found: dict[str, Tensor] = {}
        for res in network.synthesis.resolutions:
            network.synthesis.get_submodule(f"b{res}").register_forward_hook(keep(found, f"b{res}"))
        x = inputs(recording, dtype)
        with torch.no_grad():
            found["img"] = network(x["z"], x["t"], x["motion_z"])
            found["motion_v"] = network.synthesis.motion_encoder(x["t"], x["motion_z"]).flatten(0, 1)
            found["ws"] = network.mapping(x["z"], None)[:, :1]
        check_all(recording, found, prefix, tolerance)


def check_video_discriminator(recording: Recording) -> None:
    """Logits without noise, in evaluation and in training, and the running statistics after it."""
    config = recording.config
    for prefix, dtype, tolerance in (("out", torch.float32, 1e-4), ("out64", torch.float64, 1e-10)):
        network = VideoDiscriminator(config["image_size"], config["ndf"], config["n_channels"])
        network = loaded(recording, network, dtype)
        video = inputs(recording, dtype)["video"]
        with torch.no_grad():
            found = {"logits_eval": network(video, None).squeeze(1)}
            found["logits_train"] = network.train()(video, None).squeeze(1)
        first = network.main[5]
        found |= {"running_mean_after": first.running_mean, "running_var_after": first.running_var}
        check_all(recording, found, prefix, tolerance)


CHECKS = {
    "mocogan_sg2_generator": check_generator,
    "mocogan_sg2_motion": check_motion,
    "mocogan_video_discriminator": check_video_discriminator,
}
