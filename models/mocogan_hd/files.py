"""Which networks are in files of MoCoGAN-HD's authors, and where they go.

The image generator may be any of StyleGAN2's: of the PyTorch code that the authors train with, converted to its names,
or in NVIDIA's own pickle (StyleGAN2-ADA), which is computed in full precision and without limits here.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from vidbench.stage import Network, Snapshot, State

from .importing import contrastive_tensors, image_discriminator_tensors, image_generator_tensors, patch_tensors


class Place(NamedTuple):
    """How a network is told, and where it goes."""

    called: str
    """In its file, in small letters; a file that is one network calls it `g_ema`."""
    mark: str
    """The name of one of its tensors."""
    axes: int
    """Of that tensor."""
    stage: str
    name: str


PLACES = (
    Place("g_ema", r"input\.input|synthesis\.b4\.conv1\.weight", 4, "image", "G_ema"),
    Place("g", r"input\.input", 4, "image", "G"),
    Place("d", r"final_conv\.0\.weight", 4, "image", "D"),
    Place("g_ema", r"enc_cell\.weight_ih", 2, "motion", "R"),
    Place("g_ema", r"netD\.scale0_layer0\.0\.weight", 5, "motion", "D_video"),
    Place("g_ema", r"netD\.scale0_layer0\.0\.weight", 4, "motion", "D_image"),
    Place("g_ema", r"modelD\.proj0\.weight_orig", 2, "motion", "D_image"),
)
COMPONENTS = ("pca_comp", "pca_stdev")
"""Arrays of the principal components: directions and deviations."""
IDLE = ("pca_var_ratio", "style_mean", "style_var")
"""Arrays that the authors save beside them and never read."""
ARGUMENTS = {
    *("z_dim", "c_dim", "w_dim", "img_resolution", "img_channels", "mapping_kwargs", "synthesis_kwargs", "num_layers"),
    *("channel_base", "channel_max", "num_fp16_res", "conv_clamp", "fused_modconv_default"),
}
"""What NVIDIA's constructor may have been given: what tensors tell, and what concerns half precision."""


def networks_of(snapshots: Sequence[Snapshot]) -> dict[str, State]:
    """The networks of all files under our names, by stage; of NVIDIA's the average alone.

    Raises:
        ValueError: there is none in a file, one that is unknown, or one twice.
    """
    found: dict[str, State] = {}
    for snapshot in snapshots:
        nvidia = any("synthesis.b4.const" in network.tensors for network in snapshot.networks.values())
        names = [name for name in snapshot.networks if name.lower() in (("g_ema",) if nvidia else ("g_ema", "g", "d"))]
        if snapshot.networks and not names:
            raise ValueError(f"a file has no network g_ema, but {', '.join(snapshot.networks)}")
        for name in names:
            place, tensors = placed(name, snapshot.networks[name], snapshot.stats.get("latent_avg"))
            networks = found.setdefault(place.stage, {})
            if place.name in networks:
                raise ValueError(f"two files hold the network {place.name} of the stage {place.stage}")
            networks[place.name] = tensors
    return found


def placed(name: str, network: Network, latent_avg: Any) -> tuple[Place, dict[str, Tensor]]:
    """Where a network goes, and its tensors under our names.

    Args:
        name: in its file.
        network: as it is there.
        latent_avg: what its file calls so.

    Raises:
        ValueError: it is none of MoCoGAN-HD's of this name, or was built with unknown arguments.
    """
    tensors = {key.removeprefix("module."): x for key, x in network.tensors.items()}
    for place in PLACES:
        marks = [x for key, x in tensors.items() if re.fullmatch(place.mark, key)]
        if name.lower() == place.called and any(x.ndim == place.axes for x in marks):
            break
    else:
        raise ValueError(f"{name} is none of MoCoGAN-HD's networks")
    if unknown := list(unknown_arguments(network.arguments)):
        raise ValueError(f"{name} was built with unknown arguments: {', '.join(map(str, unknown))}")
    if place.name in ("G_ema", "G"):
        average = latent_avg if place.name == "G_ema" and isinstance(latent_avg, Tensor) else None
        return place, image_generator_tensors(tensors, average)
    if place.name == "R":
        return place, tensors
    if place.name == "D":
        return place, image_discriminator_tensors(tensors)
    return place, contrastive_tensors(tensors) if "q_real" in tensors else patch_tensors(tensors)


def unknown_arguments(given: Mapping[str, Any]) -> Iterator[str]:
    """Arguments that NVIDIA's image generators are not built with."""
    for name, value in given.items():
        if name not in ARGUMENTS or name.endswith("_kwargs") != isinstance(value, dict):
            yield name
        elif isinstance(value, dict):
            yield from unknown_arguments(value)


def components_of(snapshots: Sequence[Snapshot]) -> dict[str, Tensor]:
    """The arrays of the principal components that are there.

    Raises:
        ValueError: there is an array of another name, or one twice.
    """
    arrays: dict[str, Tensor] = {}
    for name, array in (pair for snapshot in snapshots if not snapshot.networks for pair in snapshot.stats.items()):
        if name not in (*COMPONENTS, *IDLE) or name in arrays:
            raise ValueError(f"an array is called {name}, where one {' and one '.join(COMPONENTS)} are expected")
        arrays[name] = array
    return {name: array for name, array in arrays.items() if name in COMPONENTS}
