"""MoCoGAN-HD in its authors' files: its configuration, and its stages.

What no tensor tells is the authors' (Tian et al., ICLR 2021; release).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from vidbench.stage import Imported, Snapshot, State, require_fit

from .config import MoCoGANHDConfig, ModelConfig
from .files import COMPONENTS, components_of, networks_of
from .importing import mapped_styles, motion_tensors, spread_ratios, with_filters
from .networks import (
    build_frame_discriminator,
    build_image_discriminator,
    build_image_generator,
    build_motion_generator,
    build_video_discriminator,
)
from .sizes import contrastive_configuration, image_configuration, motion_configuration, patch_configuration

BUILDERS: dict[str, Callable[[ModelConfig, str], nn.Module]] = {
    "G_ema": build_image_generator,
    "G": build_image_generator,
    "D": build_image_discriminator,
    "R": build_motion_generator,
    "D_video": build_video_discriminator,
    "D_image": lambda model, device: build_frame_discriminator(model, 1, device),
}
STAGES = {"image": {"steps": 800_000}, "motion": {"steps": 20_000}}
"""A training like the authors', for a configuration that needs one; files do not record theirs."""
SETTINGS = {"batch": 16, "metric": "fvd16", "checkpoint_every": 500, "evaluate_every": 5000}
"""Of both stages."""
JUDGED = 128
"""Side of what the authors' discriminators of patches see, at most that of the frames; no tensor tells."""
STYLES, NEAR = 20_000, 1.25
"""Styles whose spread is compared with the principal components', and the factor between them that is still near."""


def read_official(snapshots: Sequence[Snapshot]) -> Imported:
    """MoCoGAN-HD in its authors' files, in any order: the image generator alone, or with the motion generator.

    Args:
        snapshots: the image generator's, with `g_ema`, and `g` and `d` where they are in it; `modelR`, and the arrays
            `pca_comp` and `pca_stdev` of that image generator; `modelD_3d` and `modelD_img`, if wanted.

    Returns:
        Stage `image` with `G_ema`, and `G` and `D` where they are in the file; stage `motion` with `R`, and `D_video`
        and `D_image` where they are given.

    Raises:
        ValueError: they are not of MoCoGAN-HD, or not as expected; the message completes a sentence about them.
    """
    found = networks_of(snapshots)
    motion, arrays = found.get("motion", {}), components_of(snapshots)
    if "G_ema" not in found.get("image", {}):
        raise ValueError("there is no image generator g_ema among them")
    if motion and "R" not in motion:
        raise ValueError("there are discriminators of motion among them, but no motion generator modelR")
    if motion and len(arrays) < len(COMPONENTS):
        raise ValueError(f"modelR needs {' and '.join(f'{name}.npy' for name in COMPONENTS)} of its image generator")
    if arrays and not motion:
        raise ValueError("there are principal components among them, but no motion generator modelR")
    if motion:
        directions, deviations = (arrays[name] for name in COMPONENTS)
        motion["R"] = motion_tensors(motion["R"], directions, deviations)
    config = config_of(found)
    states = {
        stage: {name: fitted(name, tensors, config.model) for name, tensors in found[stage].items()}
        for stage in STAGES
        if stage in found
    }
    notes = (
        notes_of_spread(states["image"]["G_ema"], directions, deviations, len(motion["R"]["steps"])) if motion else ()
    )
    return Imported(config, states, notes=notes)


def config_of(found: Mapping[str, State]) -> MoCoGANHDConfig:
    """The configuration of these networks, by stage and name.

    Raises:
        ValueError: a tensor is missing that it is read off, or the networks do not fit each other.
    """
    stages = {stage: settings | SETTINGS for stage, settings in STAGES.items()}
    try:
        return MoCoGANHDConfig.model_validate({"name": "official", "model": configuration(found), "stages": stages})
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def configuration(found: Mapping[str, State]) -> dict[str, dict[str, Any]]:
    """The values of a `ModelConfig`; what no tensor tells is the authors', as far as the image generator allows it.

    Raises:
        ValueError: a tensor is missing that they are read off, or the networks do not fit each other.
    """
    image = image_configuration(found["image"]["G_ema"])
    side = 4 * 2 ** (len(image["channels"]) - 1)
    motion: dict[str, Any] = {"side": min(side, JUDGED), "components": min(image["z_dim"], 384)}
    networks = found.get("motion", {})
    if "R" in networks:
        motion |= motion_configuration(networks["R"])
        if (width := motion.pop("z_dim")) != image["z_dim"]:
            raise ValueError(f"motion is in styles of width {width}, and the image generator has {image['z_dim']}")
    if "D_video" in networks:
        sizes = patch_configuration(networks["D_video"])
        motion |= {"cross_domain": sizes["in_channels"] == 3, "video_widths": sizes["widths"]}
    if "D_image" in networks:
        across = "q_real" in networks["D_image"]
        if motion.setdefault("cross_domain", across) != across:
            raise ValueError("of modelD_3d and modelD_img one is of one domain, the other of two")
        motion |= (contrastive_sizes if across else patch_sizes)(networks["D_image"])
    return {"image": image, "motion": motion}


def patch_sizes(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """The values of a `MotionModel` that the image discriminator of one domain tells."""
    return {"image_widths": patch_configuration(tensors)["widths"]}


def contrastive_sizes(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """The values of a `MotionModel` that the image discriminator of two domains tells."""
    sizes = contrastive_configuration(tensors)
    return {
        "side": sizes["side"],
        "contrastive_width": sizes["width"],
        "contrastive_features": sizes["features"],
        "queue": sizes["length"],
    }


def fitted(name: str, tensors: Mapping[str, Tensor], model: ModelConfig) -> dict[str, Tensor]:
    """Tensors that are all a network of the configuration has, filters added.

    Raises:
        ValueError: names or shapes differ.
    """
    with torch.device("meta"):
        expected = BUILDERS[name](model, "meta")
    complete = with_filters(expected, tensors)
    try:
        require_fit(expected, complete)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    return complete


def notes_of_spread(image: Mapping[str, Tensor], directions: Tensor, deviations: Tensor, count: int) -> tuple[str, ...]:
    """Say so if the image generator's styles do not spread as the first `count` principal components say."""
    ratios = spread_ratios(mapped_styles(image, STYLES), directions, deviations)[:count]
    least, most = float(ratios.min()), float(ratios.max())
    if 1 / NEAR < least <= most < NEAR:
        return ()
    return (
        f"The principal components seem to be of another image generator: its styles spread {least:.2g} to {most:.2g}"
        " times as far along them as they say.",
    )
