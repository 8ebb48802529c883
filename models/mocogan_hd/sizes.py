"""Arguments of the networks, read off the shapes of their tensors; errors complete a sentence about a file."""

from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor

from vidbench.models.layers.tensors import highest, shape

from .contrastive_discriminator import BLOCKS


def image_configuration(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Arguments of our `ImageGenerator`, of its tensors.

    Raises:
        ValueError: a tensor is missing that they are read off.
    """
    sides = [4 * 2**i for i in range(10) if f"synthesis.b{4 * 2**i}.conv1.weight" in tensors]
    if sides[:1] != [4]:
        raise ValueError("the tensor synthesis.b4.conv1.weight is missing")
    return {
        "channels": tuple(shape(tensors, f"synthesis.b{side}.conv1.weight", 4)[0] for side in sides),
        "z_dim": shape(tensors, "mapping.fc0.weight", 2)[1],
        "mapping_layers": 1 + highest(tensors, r"mapping\.fc(\d{1,2})\.weight"),
    }


def motion_configuration(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Widths of our `MotionGenerator`, of its tensors: `hidden`, `components` and `z_dim`.

    Raises:
        ValueError: a tensor is missing that they are read off.
    """
    hidden, components = shape(tensors, "w", 2)
    return {"hidden": hidden, "components": components, "z_dim": shape(tensors, "cell.weight_ih", 2)[1]}


def patch_configuration(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Arguments of our `PatchDiscriminator`, of its tensors.

    Raises:
        ValueError: a tensor is missing that they are read off, or it has batch norm.
    """
    if "scale0_layer1.1.weight" in tensors:
        raise ValueError("its discriminator has batch norm, and instance norm is needed")
    count = 1 + highest(tensors, r"scale(\d{1,2})_layer0\.0\.weight")
    first = tensors.get("scale0_layer0.0.weight")
    axes: Literal[2, 3] = 3 if first is not None and first.ndim == 5 else 2
    shapes = [shape(tensors, f"scale{i}_layer0.0.weight", axes + 2) for i in range(max(count, 1))]
    return {"axes": axes, "in_channels": shapes[0][1], "widths": tuple(first[0] for first in shapes)}


def contrastive_configuration(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Arguments of our `ContrastiveDiscriminator`, except for the batch, of its tensors.

    Raises:
        ValueError: a tensor is missing that they are read off, or no network has so many blocks.
    """
    count = 1 + highest(tensors, r"network\.blocks\.(\d{1,2})\..*")
    sides = [side for side, (widths, _) in BLOCKS.items() if len(widths) == count]
    if not sides:
        raise ValueError(f"its discriminator has {count} blocks, which is that of no resolution")
    length, features = shape(tensors, "q_real", 2)
    out = shape(tensors, "network.blocks.0.conv1.weight_orig", 4)[0]
    return {"side": sides[0], "width": out // BLOCKS[sides[0]][0][0], "features": features, "length": length}
