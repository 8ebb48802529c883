"""Others' names for our networks; files that are not what they should be are refused in a sentence."""

from pathlib import Path

import pytest
import torch

from vidbench.models.mocogan_hd.contrastive_discriminator import ContrastiveDiscriminator
from vidbench.models.mocogan_hd.image_networks import ImageDiscriminator, ImageGenerator
from vidbench.models.mocogan_hd.importing import (
    contrastive_tensors,
    image_discriminator_tensors,
    image_generator_tensors,
    motion_tensors,
    patch_tensors,
    spread_ratios,
    with_filters,
)
from vidbench.models.mocogan_hd.motion_generator import MotionGenerator
from vidbench.models.mocogan_hd.patch_discriminator import PatchDiscriminator
from vidbench.models.mocogan_hd.pca import StyleStatistics
from vidbench.models.mocogan_hd.sizes import (
    contrastive_configuration,
    image_configuration,
    motion_configuration,
    patch_configuration,
)

FILE = Path(__file__).parents[2] / "reference" / "mocogan_hd" / "tiny_stylegan2_converted.pt"
THEIRS = torch.load(FILE, weights_only=True)
CHANNELS = (10, 10, 8)


def equal(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> bool:
    return found.keys() == expected.keys() and all(torch.equal(found[name], x) for name, x in expected.items())


def test_our_names_are_nvidia_s():
    ours = ImageGenerator(CHANNELS, z_dim=10, mapping_layers=8).state_dict()
    assert equal(image_generator_tensors(ours), ours)
    assert image_configuration(ours) == {"channels": CHANNELS, "z_dim": 10, "mapping_layers": 8}
    judge = ImageDiscriminator(CHANNELS).state_dict()
    assert equal(image_discriminator_tensors(judge), judge)


def test_a_mean_style_that_is_missing_or_zero_is_computed():
    z_dim = 10
    for known in (None, torch.zeros(1, z_dim)):
        tensors = image_generator_tensors(THEIRS["g_ema"], known)
        network = ImageGenerator(**image_configuration(tensors)).eval()
        network.load_state_dict(with_filters(network, tensors))
        latents = torch.randn(5000, z_dim, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            styles = network.styles(latents)
        error = (tensors["mapping.w_avg"] - styles.mean(dim=0)).abs() / styles.std(dim=0)
        assert error.max() < 0.08
    known = torch.arange(1.0, z_dim + 1)[None]
    assert torch.equal(image_generator_tensors(THEIRS["g_ema"], known)["mapping.w_avg"], known[0])


def test_names_that_are_not_known_are_kept():
    extra = {"convs.0.conv.other": torch.zeros(1), "convs.999.conv.weight": torch.zeros(1)}
    tensors = image_generator_tensors(THEIRS["g_ema"] | extra, THEIRS["latent_avg"])
    assert extra.keys() < tensors.keys()


def test_another_resampling_filter_is_refused():
    wrong = THEIRS["g_ema"] | {"to_rgbs.0.upsample.kernel": torch.ones(4, 4) / 4}
    with pytest.raises(ValueError, match=r"filter to_rgbs\.0\.upsample\.kernel is not that of StyleGAN2"):
        image_generator_tensors(wrong)


def test_a_mapping_network_with_a_layer_missing_is_refused():
    wrong = {name: x for name, x in THEIRS["g_ema"].items() if name != "style.3.bias"}
    with pytest.raises(ValueError, match="its mapping network is not that of StyleGAN2"):
        image_generator_tensors(wrong)


def components(width: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    statistics = StyleStatistics(width)
    statistics.add(torch.randn(100, width, generator=torch.Generator().manual_seed(0)))
    found = statistics.components()
    return found.directions, found.deviations


def motion_state() -> dict[str, torch.Tensor]:
    state = MotionGenerator(torch.zeros(4, 6), hidden=5).state_dict()
    del state["steps"]
    return state


def test_a_motion_generator_gets_its_steps_from_the_principal_components():
    directions, deviations = components()
    tensors = motion_tensors(motion_state(), directions, deviations)
    assert motion_configuration(tensors) == {"hidden": 5, "components": 4, "z_dim": 6}
    torch.testing.assert_close(tensors["steps"].norm(dim=1).double(), deviations[:4])
    MotionGenerator(tensors["steps"], hidden=5).load_state_dict(tensors)


def test_principal_components_that_are_none_are_refused():
    directions, deviations = components()
    with pytest.raises(ValueError, match=r"width 6, and the principal components have shapes \[7, 7\] and \[7\]"):
        motion_tensors(motion_state(), *components(7))
    with pytest.raises(ValueError, match="not orthonormal"):
        motion_tensors(motion_state(), 2 * directions, deviations)
    with pytest.raises(ValueError, match="do not fall"):
        motion_tensors(motion_state(), directions, deviations.flip(0))


def test_principal_components_of_the_same_styles_have_their_spread():
    directions, deviations = components()
    styles = torch.randn(100, 6, generator=torch.Generator().manual_seed(0))
    ratios = spread_ratios(styles, directions, deviations)
    torch.testing.assert_close(ratios, torch.ones(6, dtype=torch.float64))


@pytest.mark.parametrize(("axes", "prefix"), [(2, "netD."), (3, "module.netD.")])
def test_patch_discriminators_with_and_without_a_prefix(axes, prefix):
    ours = PatchDiscriminator(axes, 6, (3, 2)).state_dict()
    found = patch_tensors({prefix + name: x for name, x in ours.items()})
    assert equal(found, ours)
    assert patch_configuration(found) == {"axes": axes, "in_channels": 6, "widths": (3, 2)}


def test_batch_norm_is_refused():
    tensors = PatchDiscriminator(2, 6, (3, 2)).state_dict() | {"scale0_layer1.1.weight": torch.ones(6)}
    with pytest.raises(ValueError, match="batch norm"):
        patch_configuration(tensors)


def test_contrastive_discriminators():
    ours = ContrastiveDiscriminator(32, batch=2, width=1, features=4, length=6).state_dict()
    theirs = {}
    for name, x in ours.items():
        part, _, rest = name.partition(".")
        start = {"network": "modelD.", "momentum": "modelD_ema."}.get(part, part)
        index, _, inner = rest.removeprefix("blocks.").partition(".")
        theirs[f"module.{start}" + (f"blocks.{index}.0.{inner}" if rest.startswith("blocks") else rest)] = x
    found = contrastive_tensors(theirs)
    assert equal(found, ours)
    assert contrastive_configuration(found) == {"side": 32, "width": 1, "features": 4, "length": 6}


@pytest.mark.parametrize(
    "configuration", [image_configuration, motion_configuration, patch_configuration, contrastive_configuration]
)
def test_a_file_without_tensors_is_refused(configuration):
    with pytest.raises(ValueError, match=r"is missing|that of no resolution"):
        configuration({})
