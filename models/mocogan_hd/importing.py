"""The networks as others store them, under our names.

Image generators come with the names of the PyTorch StyleGAN2 that MoCoGAN-HD builds on, or with NVIDIA's, which are
ours. Everything is copied and reshaped, nothing computed, except for the mean style where a file has none. Names that
are not known are kept, so that whoever loads strictly can name them. Errors complete a sentence about the file.
"""

import re
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from vidbench.models.layers.fir import resample_filter
from vidbench.models.layers.mapping import MappingNetwork
from vidbench.models.layers.tensors import highest, shape

from .pca import scaled_directions

Tensors = dict[str, Tensor]

LAYER: dict[str, tuple[str, Callable[[Tensor], Tensor]]] = {
    "conv.weight": ("weight", lambda x: x.squeeze(0)),
    "conv.modulation.weight": ("affine.weight", lambda x: x),
    "conv.modulation.bias": ("affine.bias", lambda x: x),
    "activate.bias": ("bias", lambda x: x),
    "noise.weight": ("noise_strength", lambda x: x.squeeze(0)),
    "bias": ("bias", torch.flatten),
}
"""Of a layer of the generator."""
BLOCK = {
    "conv1.0.weight": "conv0.weight",
    "conv1.1.bias": "conv0.bias",
    "conv2.1.weight": "conv1.weight",
    "conv2.2.bias": "conv1.bias",
    "skip.1.weight": "skip.weight",
}
"""Of a block of the discriminator."""
HEAD = {
    "final_conv.0.weight": "b4.conv.weight",
    "final_conv.1.bias": "b4.conv.bias",
    "final_linear.0.weight": "b4.fc.weight",
    "final_linear.0.bias": "b4.fc.bias",
    "final_linear.1.weight": "b4.out.weight",
    "final_linear.1.bias": "b4.out.bias",
}
"""Of the end of the discriminator."""
MEAN_STYLES = 10_000
"""Styles whose mean stands for the mean of all, where a file has none."""


def image_generator_tensors(tensors: Mapping[str, Tensor], latent_avg: Tensor | None = None) -> Tensors:
    """The tensors of our `ImageGenerator`, its resampling filters and mean style among them.

    Args:
        tensors: of `g_ema`, in either naming.
        latent_avg: the mean style, `[z_dim]` or `[1, z_dim]`, where it is known; zeros count as unknown.

    Raises:
        ValueError: another resampling filter, or a mapping network that cannot be run.
    """
    _require_filters(tensors, gain=4)
    ours = {name: x for name, x in tensors.items() if not name.endswith("kernel")}
    if "input.input" in tensors:
        ours = dict(_generator_entry(name, x) for name, x in ours.items())
    if latent_avg is not None and bool(latent_avg.any()):
        ours["mapping.w_avg"] = latent_avg.flatten()
    if "mapping.w_avg" not in ours:
        ours["mapping.w_avg"] = mapped_styles(ours, MEAN_STYLES).mean(dim=0)
    return ours


def image_discriminator_tensors(tensors: Mapping[str, Tensor]) -> Tensors:
    """The tensors of our `ImageDiscriminator`, without its resampling filters.

    Args:
        tensors: of `d`, in either naming.

    Raises:
        ValueError: another resampling filter.
    """
    _require_filters(tensors, gain=1)
    ours = {name: x for name, x in tensors.items() if not name.endswith("kernel")}
    blocks = highest(tensors, r"convs\.(\d{1,2})\..*")
    if blocks < 0:
        return ours
    return {_discriminator_name(name, blocks): x for name, x in ours.items()}


def motion_tensors(tensors: Mapping[str, Tensor], directions: Tensor, deviations: Tensor) -> Tensors:
    """The tensors of our `MotionGenerator`, of `modelR` and the principal components of its image generator.

    Args:
        tensors: of `modelR`.
        directions: `pca_comp`, `[z_dim, z_dim]`.
        deviations: `pca_stdev`, `[z_dim]`.

    Raises:
        ValueError: the components are none, or not of styles of this width.
    """
    z_dim = shape(tensors, "fc2.weight", 2)[0]
    if directions.shape != (z_dim, z_dim) or deviations.shape != (z_dim,):
        raise ValueError(
            f"its styles have width {z_dim}, and the principal components have shapes {list(directions.shape)} and"
            f" {list(deviations.shape)}"
        )
    products = directions.double() @ directions.double().T
    if not torch.allclose(products, torch.eye(z_dim, dtype=torch.float64), rtol=0, atol=1e-4):
        raise ValueError("the rows of its principal components are not orthonormal")
    if not bool((deviations.diff() <= 0).all() and (deviations >= 0).all()):
        raise ValueError("the deviations along its principal components do not fall")
    return dict(tensors) | {"steps": scaled_directions(directions, deviations, shape(tensors, "w", 2)[1])}


def patch_tensors(tensors: Mapping[str, Tensor]) -> Tensors:
    """The tensors of our `PatchDiscriminator`."""
    return {name.removeprefix("module.").removeprefix("netD."): x for name, x in tensors.items()}


def contrastive_tensors(tensors: Mapping[str, Tensor]) -> Tensors:
    """The tensors of our `ContrastiveDiscriminator`."""
    return {_contrastive_name(name): x for name, x in tensors.items()}


def with_filters(network: nn.Module, tensors: Mapping[str, Tensor]) -> Tensors:
    """Tensors, and StyleGAN2's resampling filter wherever a network has it and they do not."""
    filters = {name: resample_filter() for name in network.state_dict() if name.endswith("resample_filter")}
    return filters | dict(tensors)


def mapped_styles(tensors: Mapping[str, Tensor], count: int) -> Tensor:
    """Styles `[count, z_dim]` of latents that are always the same, by the tensors of our `ImageGenerator`.

    Raises:
        ValueError: its mapping network cannot be run.
    """
    z_dim = shape(tensors, "mapping.fc0.weight", 2)[1]
    with torch.device("meta"):  # the tensors' own memory is used, so that none is taken for what shapes pretend
        mapping = MappingNetwork(z_dim, 0, z_dim, 1 + highest(tensors, r"mapping\.fc(\d{1,2})\.weight"))
    own = {name.removeprefix("mapping."): x for name, x in tensors.items() if name.startswith("mapping.fc")}
    try:
        mapping.load_state_dict(own, assign=True)
    except RuntimeError as error:
        raise ValueError("its mapping network is not that of StyleGAN2") from error
    latents = torch.randn(count, z_dim, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        styles: Tensor = mapping.float()(latents, None)
    return styles


def spread_ratios(styles: Tensor, directions: Tensor, deviations: Tensor) -> Tensor:
    """Deviations of styles `[N, C]` along principal components, over those recorded: `[C]`, near 1 if they belong."""
    return (styles.double() @ directions.double().T).std(dim=0) / deviations.double()


def _generator_entry(name: str, x: Tensor) -> tuple[str, Tensor]:
    if match := re.fullmatch(r"style\.(\d{1,2})\.(weight|bias)", name):
        return f"mapping.fc{int(match[1]) - 1}.{match[2]}", x
    if name == "input.input":
        return "synthesis.b4.const", x.squeeze(0)
    if match := re.fullmatch(r"noises\.noise_(\d{1,2})", name):
        return f"synthesis.{_place(int(match[1]) - 1)}.noise_const", x.squeeze(0).squeeze(0)
    match = re.fullmatch(r"(conv1|to_rgb1|(convs|to_rgbs)\.(\d{1,2}))\.(.+)", name)
    if match is None or match[4] not in LAYER:
        return name, x
    index = -1 if match[3] is None else int(match[3])
    colors = match[1].startswith("to_rgb")
    place = f"b{8 * 2**index if colors and index >= 0 else 4}.torgb" if colors else _place(index)
    part, reshaped = LAYER[match[4]]
    return f"synthesis.{place}.{part}", reshaped(x)


def _place(index: int) -> str:
    """Block and layer of the convolution of this index; -1 for the one at 4x4."""
    return "b4.conv1" if index < 0 else f"b{8 * 2 ** (index // 2)}.conv{index % 2}"


def _discriminator_name(name: str, blocks: int) -> str:
    if name in HEAD:
        return HEAD[name]
    match = re.fullmatch(r"convs\.(\d{1,2})\.(.+)", name)
    if match is None:
        return name
    index = int(match[1])
    side = 4 * 2 ** (blocks + 1 - max(index, 1))
    parts = BLOCK if index else {"0.weight": "fromrgb.weight", "1.bias": "fromrgb.bias"}
    return f"b{side}.{parts[match[2]]}" if match[2] in parts else name


def _contrastive_name(name: str) -> str:
    name = name.removeprefix("module.")
    for theirs, own in (("modelD.", "network."), ("modelD_ema.", "momentum.")):
        if name.startswith(theirs):
            return own + re.sub(r"^blocks\.(\d{1,2})\.0\.", r"blocks.\1.", name.removeprefix(theirs))
    return name


def _require_filters(tensors: Mapping[str, Tensor], gain: float) -> None:
    """Compare `kernel`s, whose sum is `gain`, and NVIDIA's `resample_filter`s, whose sum is 1."""
    for name, x in tensors.items():
        if name.endswith(("kernel", "resample_filter")):
            expected = resample_filter() * (gain if name.endswith("kernel") else 1)
            if x.shape != expected.shape or not torch.allclose(x.float(), expected):
                raise ValueError(f"its resampling filter {name} is not that of StyleGAN2")
