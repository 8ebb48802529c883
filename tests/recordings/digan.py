"""Recordings of DIGAN: the generator, and the pair of discriminators."""

from typing import Any

import torch
from einops import rearrange

from vidbench.models.digan.discriminator import Discriminator
from vidbench.models.digan.generator import Generator

from . import Recording
from ._stylegan_v import PRECISIONS, compare, inputs, keep, state


def generator_of(config: dict[str, Any]) -> Generator:
    cfg, resolution = config["cfg"], config["img_resolution"]
    return Generator(
        resolution=resolution,
        z_dim=config["z_dim"],
        w_dim=config["w_dim"],
        mapping_layers=config["mapping_layers"],
        channel_base=config["channel_base"],
        channel_max=config["channel_max"],
        base_resolution=cfg["input"]["resolution"],
        num_waves=cfg["coords"]["res_configs"][str(resolution)]["predictable_emb_size"],
        motion_sigma=cfg["coords"]["motion_sigma"],
        rank=cfg["fmm"]["rank"],
        extra_layers_at=[int(side) for side in cfg["num_extra_convs"]],
    )


def check_generator(recording: Recording) -> None:
    """Styles, every block, frames; the filters in the authors' state are not used, and the first fuser lies deeper."""
    tensors = {
        name.replace("input.input.", ""): tensor
        for name, tensor in state(recording).items()
        if not name.endswith("resample_filter")
    }
    for prefix, dtype, tolerance in PRECISIONS:
        network = generator_of(recording.config)
        network.load_state_dict(tensors)
        network.to(dtype).eval()
        found: dict[str, Any] = {}
        for res in network.synthesis.resolutions:
            network.synthesis.get_submodule(f"b{res}").register_forward_hook(keep(found, f"b{res}"))
        x = inputs(recording, dtype)
        with torch.no_grad():
            times = rearrange(x["Ts"], "(n t) 1 1 1 -> n t", n=len(x["z"]))
            found["img"] = network(x["z"], times, x["z_motion"])
            found["ws"] = network.style(x["z"])[:, None]
        found |= {name: tensor[:2, :, ::4, ::4] for name, tensor in found.items() if name.endswith("_x")}
        compare(recording, found, prefix, tolerance)


def check_discriminator(recording: Recording) -> None:
    """Logits of pairs and of frames."""
    config = recording.config
    for prefix, dtype, tolerance in PRECISIONS:
        network = Discriminator(
            resolution=config["img_resolution"],
            channel_base=config["channel_base"],
            channel_max=config["channel_max"],
            mbstd_group_size=config["mbstd_group_size"],
        )
        network.load_state_dict(state(recording))
        network.to(dtype)
        with torch.no_grad():
            videos, frames = network(inputs(recording, dtype)["vid"])
        compare(recording, {"video_logits": videos[:, None], "image_logits": frames[:, None]}, prefix, tolerance)


CHECKS = {"discriminator": check_discriminator, "generator": check_generator}
