"""Recordings of TATS: the autoencoder and a step of its training, transformers, sampling, and files of its authors.

Outputs are within 1e-4 of their standard deviation, or for a single number of itself; tokens are equal. Gradients are
within 2e-3 of theirs, but for a bias nearly all of whose gradient cancels.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from vidbench.models.layers.loss import hinge_loss
from vidbench.models.tats import TATS
from vidbench.models.tats.codebook import Codebook, Pick, tiled
from vidbench.models.tats.discriminators import PatchDiscriminator
from vidbench.models.tats.networks import frozen_vqgan
from vidbench.models.tats.sampling import Choose, between, chosen, fill, filtered, generate, slide
from vidbench.models.tats.transformer import Transformer
from vidbench.models.tats.vqgan import VQGAN
from vidbench.models.tats.vqgan_loss import adversarial_loss, feature_loss, frames_at
from vidbench.stage import load_network
from vidbench.weights.snapshots import open_snapshot

from . import Recording
from .stylegan_v import state

GRADIENTS, CANCELLING = 2e-3, 1e-2


def check(name: str, found: Tensor, expected: Tensor, tolerance: float = 1e-4) -> None:
    assert found.shape == expected.shape, f"{name} has shape {list(found.shape)}, not {list(expected.shape)}"
    found, expected = found.detach().double(), expected.double()
    error, scale = (found - expected).abs().max(), expected.std() if expected.numel() > 1 else expected.abs()
    assert error <= tolerance * scale, f"{name} is off by {error:.2g}, at a scale of {scale:.2g}"


def same(name: str, found: Tensor, recorded: Tensor) -> None:
    assert torch.equal(found, recorded.long()), f"{name} differs"


def below(recording: Recording, prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): x for name, x in recording.tensors.items() if name.startswith(prefix)}


def check_gradients(recording: Recording, prefix: str, networks: dict[str, nn.Module]) -> None:
    found = {
        f"{at}{name}": parameter.grad
        for at, network in networks.items()
        for name, parameter in network.named_parameters()
    }
    expected = below(recording, prefix)
    assert expected
    for name, gradient in expected.items():
        check(name, found[name], gradient, CANCELLING if name == "pre_vq_conv.conv.bias" else GRADIENTS)


def vqgan_of(config: dict[str, Any], tensors: dict[str, Tensor]) -> VQGAN:
    network = VQGAN(
        tuple(config["downsample"]), config["n_hiddens"], config["n_codes"], config["embedding_dim"],
        config["norm_type"], config["padding_type"],
    )  # fmt: skip
    load_network(network, {name: x for name, x in tensors.items() if "discriminator" not in name})
    return network.eval()


def discriminator_of(config: dict[str, Any], tensors: dict[str, Tensor], axes: Any) -> PatchDiscriminator:
    network = PatchDiscriminator(axes, config["disc_channels"], config["disc_layers"])
    at = {2: "image_discriminator.", 3: "video_discriminator."}[axes]
    load_network(network, {name.removeprefix(at): x for name, x in tensors.items() if name.startswith(at)})
    return network.train()


def picks(noise: Tensor, permutation: Tensor) -> Pick:
    return lambda flat: tiled(flat, len(noise) if noise.numel() else 0, noise)[permutation.long()]


def check_vqgan(recording: Recording) -> None:
    network = vqgan_of(recording.config, state(recording))
    clips = recording["in/x"]
    with torch.no_grad():
        features = network.encoder(clips)
        z = network.pre_vq_conv(features)
        quantised = network.codebook(z)
        check("encoder", features, recording["out/encoder"])
        check("pre_vq", z, recording["out/pre_vq"])
        same("codes", quantised.codes, recording["out/codes"])
        same("encode", network.encode(clips), recording["out/codes"])
        check("commitment", quantised.commitment, recording["out/commitment_loss"])
        check("perplexity", quantised.perplexity, recording["out/perplexity"])
        check("reconstruction", network.rendered(quantised.values), recording["out/reconstruction"])
        check("decode", network.decode(quantised.codes), recording["out/decode_codes"])
        twice = torch.cat([quantised.codes[:1], quantised.codes[:1].flip(1)], dim=1)
        check("decode twice as long", network.decode(twice), recording["out/decode_twice_as_long"])
        exact = vqgan_of(recording.config, state(recording)).double()
        check("pre_vq in float64", exact.latents(clips.double()), recording["out64/pre_vq"], 1e-6)
    check_codebook(recording)
    check_training(recording, network.train())


def check_training(recording: Recording, network: VQGAN) -> None:
    """Both passes, without a step of an optimiser between them."""
    image, video = (discriminator_of(recording.config, state(recording), axes) for axes in (2, 3))
    clips, times = recording["in/x"], torch.tensor(recording.config["frame_index"])
    networks = {"": network, "image_discriminator.": image, "video_discriminator.": video}

    def reconstruct() -> tuple[Tensor, Tensor]:
        z = network.latents(clips)
        quantised = network.codebook(z)
        made = network.rendered(quantised.values)
        network.codebook.follow(z, quantised.codes, lambda value: value, None, 0)
        return made, quantised.commitment

    made, commitment = reconstruct()
    fakes = image(frames_at(made, times)), video(made)
    with torch.no_grad():
        reals = image(frames_at(clips, times)), video(clips)
    losses = {
        "recon_loss": recording.config["l1_weight"] * F.l1_loss(made, clips),
        "commitment": commitment,
        "gan_loss": adversarial_loss(fakes[0][-1], fakes[1][-1]),
        "feature_loss": recording.config["gan_feat_weight"]
        * torch.stack([feature_loss(*pair) for pair in zip(fakes, reals, strict=True)]).sum(),
    }
    for name, loss in losses.items():
        check(name, loss, recording[f"out/train_{name}"])
    torch.stack(list(losses.values())).sum().backward()
    check_gradients(recording, "out/train_grad/", networks)
    check_buffers(recording, "out/after_1/", networks)
    for each in networks.values():
        each.zero_grad()
    with torch.no_grad():
        made, _ = reconstruct()
    reals = image(frames_at(clips, times)), video(clips)
    fakes = image(frames_at(made, times)), video(made)
    loss = torch.stack([hinge_loss(real[-1], fake[-1]) for real, fake in zip(reals, fakes, strict=True)]).sum()
    check("discriminator loss", loss, recording["out/train_discriminator_loss"])
    loss.backward()
    check_gradients(recording, "out/train_discriminator_grad/", networks)
    check_buffers(recording, "out/after_2/", networks)


def check_buffers(recording: Recording, prefix: str, networks: dict[str, nn.Module]) -> None:
    found = {f"{at}{name}": x for at, network in networks.items() for name, x in network.named_buffers()}
    expected = below(recording, prefix)
    assert expected
    for name, x in expected.items():
        check(f"{prefix}{name}", found[name], x)


def check_codebook(recording: Recording) -> None:
    """Its beginning, and two steps with random restarts."""
    given, wanted = below(recording, "in/codebook/"), below(recording, "out/codebook/")
    network = Codebook(recording.config["n_codes"], recording.config["embedding_dim"])

    def check_state(when: str) -> None:
        for name, x in network.named_buffers():
            check(f"{name} {when}", x, wanted[f"{when}/{name}"]) if x.std() else same(name, x, wanted[f"{when}/{name}"])

    count, rare = recording.config["n_codes"], recording.config["codebook_recording"]["restart_thres"]

    def pick(noise: str, permutation: str) -> Pick:
        return lambda flat: tiled(flat, count, given.get(noise, torch.empty(0)))[given[permutation].long()][:count]

    network.start(given["z_1"], pick("init_noise", "init_permutation"))
    check_state("after_init")
    for i in (1, 2):
        z = given[f"z_{i}"]
        quantised = network(z)
        same("encodings", quantised.codes, wanted[f"encodings_{i}"])
        check("quantised", quantised.values, wanted[f"quantised_{i}"])
        check("commitment", quantised.commitment, wanted[f"commitment_loss_{i}"])
        check("perplexity", quantised.perplexity, wanted[f"perplexity_{i}"])
        picked = pick(f"restart_noise_{i}", f"restart_permutation_{i}")
        network.follow(z, quantised.codes, lambda value: value, picked, rare)
        check_state(f"after_{i}")


def transformer_of(config: dict[str, Any], tensors: dict[str, Tensor], vocabulary: int) -> Transformer:
    """A transformer; the masks that are stored with each layer must be its own."""
    network = Transformer(
        vocabulary, config["block_size"], config["n_layer"], config["n_head"], config["n_embd"], config["n_unmasked"]
    )
    masks = {name for name in tensors if name.endswith("attn.mask")}
    for name in masks:
        assert torch.equal(tensors[name][0, 0].bool(), network.mask), name
    load_network(network, {name: x for name, x in tensors.items() if name not in masks})
    return network.eval()


def greedy(logits: Tensor, index: int) -> Tensor:
    return logits.argmax(dim=1)


@torch.no_grad()
def check_sampled(recording: Recording, network: Transformer) -> None:
    """Filters, and the likeliest tokens."""
    for name, expected in below(recording, "out/filter_k").items():
        top_k, _, top_p = name.partition("_p")
        found = filtered(recording["in/filter_in"], int(top_k), float(top_p))
        assert torch.equal(found > 0, expected > 0), f"filter {name} keeps others"
        check(f"filter {name}", found, expected)
    condition, frame = recording["in/tokens"][:, :1].long(), recording.config["tokens_per_latent_frame"]
    short = recording["out/greedy_short"]
    same("greedy", generate(network, condition, short.shape[1], greedy), short)
    for context in (1, 2):
        found = torch.cat(list(islice(slide(network, condition, frame, context, greedy), 7)), dim=1)
        same(f"sliding window, context {context}", found, recording[f"out/sliding_window_context_{context}"])


def check_transformer(recording: Recording) -> None:
    network = transformer_of(recording.config, state(recording), recording.config["vocab_size"])
    tokens, targets = recording["in/tokens"].long(), recording["in/targets"].long()
    logits = network(tokens)
    check("logits", logits, recording["out/logits"])
    loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
    check("cross-entropy", loss, recording["out/cross_entropy"])
    loss.backward()
    check_gradients(recording, "out/grad/", {"": network})
    check_sampled(recording, network)
    with torch.no_grad():
        check("logits in float64", network.double()(tokens), recording["out64/logits"], 1e-6)


@torch.no_grad()
def check_interpolation(recording: Recording) -> None:
    with torch.enable_grad():
        check_transformer(recording)
    network = transformer_of(recording.config, state(recording), recording.config["vocab_size"])
    past, future = recording["in/interp_past"].long(), recording["in/interp_future"].long()
    expected = recording["out/interp_greedy"]
    same("interpolated", between(network, past, future, expected.shape[1], greedy), expected)
    tokens = torch.cat([past, future], dim=1)
    block, count = recording.config["block_size"], tokens.shape[1]
    places = torch.cat([torch.arange(past.shape[1]), torch.arange(block - future.shape[1], block)])
    features = network.features(tokens, places, network.mask[:count, :count])
    check("first pass", network.head(features), recording["out/interp_first_pass_logits"])


@torch.no_grad()
def check_sampling(recording: Recording) -> None:
    config = recording.config
    network = transformer_of(config, state(recording), config["n_cond"] + config["n_codes"])
    condition = recording["in/condition"].long()

    def drawn(kind: str, given: Tensor) -> Choose:
        def choose(logits: Tensor, index: int) -> Tensor:
            probabilities = filtered(logits / config["temperature"], config["top_k"], config["top_p"])
            check(f"probabilities {index}", probabilities, recording[f"out/probabilities_{kind}"][index])
            if kind == "uniform":
                return chosen(probabilities, given[index].double())
            return (probabilities / given[index]).argmax(dim=1)

        return choose

    ways = {"greedy": greedy, **{kind: drawn(kind, recording[f"in/{kind}"]) for kind in ("exponential", "uniform")}}
    for kind, choose in ways.items():
        tokens = generate(network, condition, config["steps"], choose)
        same(kind, tokens, recording[f"out/tokens_{kind}"])
    codes = (recording["out/tokens_exponential"] - config["n_cond"]).clamp(0, config["n_codes"] - 1)
    same("codes", codes.long().view(-1, *config["latent_shape"]), recording["out/codes_exponential"])


@torch.no_grad()
def check_long_video(recording: Recording) -> None:
    config, tensors = recording.config, state(recording)
    parts = {
        name: {key.removeprefix(f"{name}."): x for key, x in tensors.items() if key.startswith(f"{name}.")}
        for name in ("vqgan", "transformer", "interpolation")
    }
    vqgan = vqgan_of(config["vqgan"], parts["vqgan"])
    networks = {
        name: transformer_of(config[name], parts[name], config["n_cond"] + config["vqgan"]["n_codes"])
        for name in ("transformer", "interpolation")
    }
    uniform, side, context = recording["in/uniform"], config["sample_resolution"], config["temporal_sample_pos"]
    frame, condition = side**2, torch.full((uniform.shape[1], 1), config["class_label"])

    def drawn(given: Tensor, first: int = 0) -> Choose:
        def choose(logits: Tensor, index: int) -> Tensor:
            diverse = first > 0 and index < first
            limits = [config[f"{name}_init" if diverse else name] for name in ("top_k", "top_p")]
            return chosen(filtered(logits / config["temperature"], *limits), given[index].double())

        return choose

    def compare(kind: str, frames: Iterator[Tensor], count: int) -> Tensor:
        tokens = torch.stack(list(islice(frames, count)), dim=1)
        codes = rearrange(tokens, "n t (h w) -> n t h w", h=side)
        same(f"{kind} codes", codes, recording[f"out/{kind.replace(' ', '_')}"])
        return vqgan.decode(codes).clamp(-0.5, 0.5) + 0.5

    for kind, choose in (("greedy", greedy), ("uniform", drawn(uniform))):
        frames = slide(networks["transformer"], condition, frame, context, choose)
        video = compare(f"codes {kind}", frames, config["sample_length"])
        check(f"{kind} video", video, recording[f"out/video_{kind}"])
    levels = (video * 255).to(torch.uint8) - rearrange(recording["out/video_uniform_uint8"], "n t h w c -> n c t h w")
    assert set(levels.unique().tolist()) <= {0, 1, 255}

    given, length = recording["in/hierarchical_uniform"], config["hierarchical_sample_length"]
    every = config["interpolation"]["block_size"] // frame - 1
    few = length // every + 1
    sparse = slide(networks["transformer"], condition, frame, context, drawn(given, context * frame))
    missing = drawn(given[few * frame :])
    frames = fill(networks["interpolation"], condition, islice(sparse, few), every - 1, missing)
    video = compare("hierarchical codes uniform", frames, length + 1)
    check("hierarchical video", video, recording["out/hierarchical_video_uniform"])


@torch.no_grad()
def check_tiny_checkpoint(recording: Recording) -> None:
    """A file in the authors' form, with a script's arguments beside the tensors, and a part of VGG's weights."""
    snapshot = open_snapshot(recording.path.with_suffix(".ckpt"))
    tensors, expected = snapshot.networks["state_dict"].tensors, state(recording)
    for name, x in expected.items():
        assert torch.equal(tensors[name].to(x.dtype), x), name
    assert all(name in expected or "perceptual_model.net." in name for name in tensors)
    config, given = recording.config, snapshot.stats["hyper_parameters"]["args"]
    assert {name: given[name] for name in config["hyper_parameters"]} == config["hyper_parameters"]
    assert [snapshot.stats[name] for name in ("epoch", "global_step")] == [config["epoch"], config["global_step"]]
    if "out/logits" in recording.tensors:
        own = {name.removeprefix("transformer."): x for name, x in tensors.items() if name.startswith("transformer.")}
        logits = transformer_of(given, own, config["vocab_size"])(recording["in/tokens"].long())
        check("logits", logits, recording["out/logits"])
        return
    found = TATS.from_official([snapshot])
    network = frozen_vqgan(found.config.model, found.states["vqgan"], "cpu")
    check("decode", network.decode(recording["in/codes"].long()), recording["out/decode_codes"])


CHECKS = {
    "vqgan": check_vqgan,
    "transformer": check_transformer,
    "transformer_interpolation": check_interpolation,
    "sampling": check_sampling,
    "long_video": check_long_video,
    "tiny_checkpoint": check_tiny_checkpoint,
}
