"""Recordings of MoCoGAN-HD's image stage: StyleGAN2, its losses, principal components, imported checkpoints."""

import argparse

import torch
from torch import Tensor

from vidbench.models.layers.loss import discriminator_loss, generator_loss, r1_penalty
from vidbench.models.mocogan_hd.image_loss import PATH_DECAY, mixed, path_lengths, path_penalty
from vidbench.models.mocogan_hd.image_networks import MBSTD_GROUP, ImageDiscriminator, ImageGenerator
from vidbench.models.mocogan_hd.importing import image_discriminator_tensors, image_generator_tensors, with_filters
from vidbench.models.mocogan_hd.pca import StyleStatistics
from vidbench.models.mocogan_hd.sizes import image_configuration

from . import Recording
from ._mocogan_hd import PRECISIONS, check_all, check_outputs, generator_of, gradients, noise_of, tensors_below
from .stylegan_v import inputs, state


def check_generator(recording: Recording) -> None:
    """Styles, layers, colours, images with and without noise, truncated, and of a style a layer."""
    for prefix, dtype, tolerance in PRECISIONS:
        network = generator_of(recording.config, state(recording)).to(dtype)
        x = inputs(recording, dtype)
        noise = noise_of(x)
        with torch.no_grad():
            found = blocks_of(network, x["z"], noise)
            network.mapping.w_avg.copy_(x["truncation_latent"][0])
            truncated = network.mapping(x["z"], None, recording.config["truncation"])
            found |= {
                "w": network.styles(x["z"]),
                "img_no_noise": network(x["z"], None),
                "img_const_noise": network(x["z"], "const"),
                "img_truncated": network.synthesis(truncated, noise),
                "img_per_layer_w": network.synthesis(x["per_layer_w"], noise),
            }
        check_outputs(recording, found, prefix, tolerance)


def blocks_of(network: ImageGenerator, z: Tensor, noise: list[Tensor]) -> dict[str, Tensor]:
    """The images, and what leaves each block on the way."""
    found: dict[str, Tensor] = {}
    hooks = []
    for res in network.synthesis.resolutions:
        block = network.synthesis.get_submodule(f"b{res}")

        def keep(module: torch.nn.Module, args: tuple[Tensor], output: tuple[Tensor, Tensor], res: int = res) -> None:
            found[f"b{res}_x"], found[f"b{res}_rgb"] = output

        def keep_first(module: torch.nn.Module, args: tuple[Tensor], output: Tensor, res: int = res) -> None:
            found[f"b{res}_conv0"] = output

        hooks.append(block.register_forward_hook(keep))
        if res > 4:
            hooks.append(block.get_submodule("conv0").register_forward_hook(keep_first))
    found["img"] = network(z, noise)
    for hook in hooks:
        hook.remove()
    return found


def check_losses(recording: Recording) -> None:
    """Logistic losses, R1, path length, and the gradients of each."""
    config = recording.config
    assert (config["path_decay"], config["stddev_group"]) == (PATH_DECAY, MBSTD_GROUP)
    for prefix, dtype, tolerance in PRECISIONS:
        generator = generator_of(config, state(recording, "G.")).to(dtype)
        discriminator = ImageDiscriminator(list(config["channels"].values())).to(dtype)
        tensors = image_discriminator_tensors(state(recording, "D."))
        discriminator.load_state_dict(with_filters(discriminator, tensors))
        x = inputs(recording, dtype)
        real = x["real"].requires_grad_()
        fake = generator.synthesis(styles(generator, x, "", config["mix_index"]), noise_of(x))
        fake_logits, real_logits = discriminator(fake), discriminator(real)
        ws = styles(generator, x, "path_", config["mix_index"])
        images = generator.synthesis(ws, noise_of(x, "path_noise_"))
        lengths = path_lengths(images, ws, x["path_image_noise"])
        before = torch.tensor(config["path_mean_before"], dtype=dtype)
        penalty, mean = path_penalty(lengths, before, lengths.detach().mean())
        r1 = r1_penalty(real_logits, real).mean()
        found = {
            "fake": fake,
            "fake_logits": fake_logits[:, None],
            "real_logits": real_logits[:, None],
            "d_loss": discriminator_loss(fake_logits, real_logits).mean(),
            "g_loss": generator_loss(fake_logits).mean(),
            "r1": r1,
            "path_lengths": lengths,
            "path_mean_after": mean,
            "path_penalty": penalty,
        }
        check_outputs(recording, found, prefix, tolerance)
        if prefix == "out":
            d_losses = {"d_loss": found["d_loss"], "r1_weighted": config["r1"] / 2 * config["d_reg_every"] * r1}
            for name, loss in d_losses.items():
                expected = image_discriminator_tensors(tensors_below(recording, f"out/grad/{name}/"))
                check_all(gradients(loss, discriminator), expected, 1e-3, gradients=True)
            weight = config["path_regularize"] * config["g_reg_every"]
            for name, loss in {"g_loss": found["g_loss"], "path_weighted": weight * penalty}.items():
                expected = image_generator_tensors(tensors_below(recording, f"out/grad/{name}/"), torch.ones(1))
                del expected["mapping.w_avg"]
                check_all(gradients(loss, generator), expected, 1e-3, gradients=True)


def styles(generator: ImageGenerator, x: dict[str, Tensor], prefix: str, index: int) -> Tensor:
    first, second = (generator.mapping(x[f"{prefix}z{i}"], None) for i in (1, 2))
    return mixed(first, second, index)


def check_components(recording: Recording) -> None:
    """Directions, deviations, shares and mean; the authors' come from a singular value decomposition in float32."""
    statistics = StyleStatistics(recording.config["latent_dimension"])
    for batch in recording["in/w"].split(400):
        statistics.add(batch)
    components = statistics.components()
    found = {
        "pca_comp": components.directions,
        "pca_stdev": components.deviations,
        "pca_var_ratio": components.ratios,
        "style_mean": components.mean,
        "style_var": recording["in/w"].var(dim=0, correction=0),
    }
    check_all(found, tensors_below(recording, "out/"), 1e-4)


def check_checkpoint(recording: Recording) -> None:
    """A file of the image stage has the expected tensors under our names, and its networks make the expected images."""
    config = recording.config
    path = recording.path.with_name(f"tiny_stylegan2_{config['kind']}.pt")
    with torch.serialization.safe_globals([argparse.Namespace]):
        saved = torch.load(path, map_location="cpu", weights_only=True)
    tensors = image_generator_tensors(saved["g_ema"], saved.get("latent_avg"))
    wanted = tensors_below(recording, "out/nvidia/")
    check_equal(tensors, {name.removeprefix("G."): x for name, x in wanted.items() if name.startswith("G.")})
    arguments = image_configuration(tensors)
    assert arguments["channels"] == tuple(config["channels"].values())
    assert (arguments["z_dim"], arguments["mapping_layers"]) == (config["style_dim"], config["n_mlp"])
    network = ImageGenerator(**arguments)
    network.load_state_dict(with_filters(network, tensors))
    network.eval()
    x = inputs(recording, torch.float32)
    with torch.no_grad():
        found = {"w": network.styles(x["z"]), "img_const_noise": network(x["z"], "const")}
        if config["kind"] == "converted":
            found["img_const_noise_psi_0.7"] = network.synthesis(network.mapping(x["z"], None, 0.7), "const")
        if "d" in saved:
            tensors = image_discriminator_tensors(saved["d"])
            check_equal(tensors, {name.removeprefix("D."): y for name, y in wanted.items() if name.startswith("D.")})
            discriminator = ImageDiscriminator(arguments["channels"])
            discriminator.load_state_dict(with_filters(discriminator, tensors))
            found["logits"] = discriminator(x["x"])[:, None]
    expected = {name: y for name, y in tensors_below(recording, "out/").items() if not name.startswith("nvidia/")}
    check_all(found, expected, 1e-4)


def check_equal(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """Bit for bit; a mean style that is not in the file is not in the recording."""
    assert found.keys() - {"mapping.w_avg"} == expected.keys() - {"mapping.w_avg"}
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


CHECKS = {
    "image_stage_losses": check_losses,
    "pca_statistics": check_components,
    "stylegan2_generator": check_generator,
    "tiny_stylegan2": check_checkpoint,
}
