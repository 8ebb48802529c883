"""The video decoder is the autoencoder's at birth, trains what it should, and its windows do not show."""

import copy

import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderKLTemporalDecoder
from einops import rearrange
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.video_ldm.small import LATENTS, autoencoder, normal, perturbed, set_mix
from tests.models.video_ldm.test_windows import CHUNKS, chunked
from vidbench.models.video_ldm.autoencoder import decoded_frames, encoded, moments, scaling_factor
from vidbench.models.video_ldm.backbone import build_autoencoder
from vidbench.models.video_ldm.decoder import VideoDecoder, decoded

Z = normal(2, LATENTS, 8, 4, 4)


@torch.no_grad()
@pytest.mark.parametrize("settings", [{}, {"use_post_quant_conv": False}, {"mid_block_add_attention": False}])
def test_a_new_decoder_is_the_autoencoders(settings):
    vae = autoencoder(**settings)
    expected = decoded_frames(vae, Z)
    network = VideoDecoder(copy.deepcopy(vae), "temporal")
    assert torch.equal(network(Z), decoded_frames(network.vae, Z))
    torch.testing.assert_close(network(Z), expected, rtol=0, atol=1e-5)
    perturbed(network.temporal["mid"])
    perturbed(network.temporal["up"])
    set_mix(network, 40)
    assert torch.equal(network(Z), decoded_frames(network.vae, Z))
    set_mix(network, 0)
    assert (network(Z) - expected).abs().max() > 1e-2


@pytest.mark.parametrize("trains", ["all", "temporal"])
def test_the_encoder_stays(trains):
    network = VideoDecoder(autoencoder(), trains)
    before = copy.deepcopy(network.vae.state_dict())
    optimizer = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], lr=1e-2)
    for _ in range(2):
        optimizer.zero_grad(set_to_none=True)
        network.train()(Z).square().mean().backward()
        optimizer.step()
    changed = {name for name, x in network.vae.state_dict().items() if not torch.equal(x, before[name])}
    parts = {name.split(".")[0] for name in changed}
    assert parts == ({"decoder", "post_quant_conv"} if trains == "all" else set())
    assert all(p.grad is not None and p.grad.any() for p in network.temporal.parameters())


@torch.no_grad()
def test_it_is_the_later_decoder_with_its_weights():
    """`AutoencoderKLTemporalDecoder`, which has alpha on the other side, and other eps in its temporal norms."""
    torch.manual_seed(0)
    sizes = {"block_out_channels": (32, 32), "layers_per_block": 2}
    later = AutoencoderKLTemporalDecoder(**sizes, down_block_types=("DownEncoderBlock2D",) * 2)
    perturbed(later, 0.05)
    vae = AutoencoderKL(
        **sizes,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=32,
        use_post_quant_conv=False,
    )
    network = VideoDecoder(vae)
    states = {}
    for name, x in later.state_dict().items():
        short = name.replace("spatial_res_block.", "")
        if "temporal_res_block" in name or "time_mixer" in name:
            short = name.replace("decoder.mid_block.resnets", "temporal.mid").replace(
                "decoder.up_blocks", "temporal.up"
            )
            short = short.replace(".resnets.", ".") if short.startswith("temporal.up") else short
            short = short.replace("temporal_res_block.", "").replace("time_mixer.mix_factor", "mix")
            states[short] = -x if short.endswith("mix") else x
        elif "time_conv_out" in name:
            states[name.replace("decoder.time_conv_out", "temporal.out")] = x
        else:
            states["vae." + short] = x
    network.load_state_dict(states, strict=True)
    for block in network.temporal.modules():
        if isinstance(block, torch.nn.GroupNorm):
            block.eps = 1e-5
    expected = later.decode(rearrange(Z, "b c t h w -> (b t) c h w"), num_frames=8).sample
    torch.testing.assert_close(rearrange(network(Z), "b c t h w -> (b t) c h w"), expected, rtol=0, atol=1e-5)


def test_number_of_parameters_at_32_pixels():
    vae = build_autoencoder((16, 32, 32), 1, 8, 4, (32, 32))
    network = VideoDecoder(vae)
    temporal = {name: sum(p.numel() for p in part.parameters()) for name, part in network.temporal.items()}
    assert sum(p.numel() for p in vae.parameters()) == 242_327
    assert (temporal["mid"] + temporal["up"], temporal["out"]) == (41_288, 30)


@torch.no_grad()
@settings(max_examples=10, deadline=None)
@given(st.integers(1, 19), CHUNKS)
def test_windows_do_not_depend_on_the_chunks_that_come_in(length, chunks):
    network = perturbed(VideoDecoder(autoencoder(), "temporal"))
    latents = normal(1, LATENTS, length, 2, 2)
    whole = torch.cat(list(decoded(iter([latents]), network)), dim=2)
    assert whole.shape == (1, 3, length, 8, 8)
    found = torch.cat(list(decoded(chunked(latents, chunks), network)), dim=2)
    assert torch.equal(found, whole)


@torch.no_grad()
@given(st.integers(1, 40))
def test_each_frame_comes_from_the_middle_of_a_window(length):
    latents = torch.arange(length, dtype=torch.float32).reshape(1, 1, -1, 1, 1)
    windows = []

    def decode(window):
        windows.append(window.flatten().tolist())
        return window

    found = torch.cat(list(decoded(chunked(latents, [3]), decode)), dim=2)
    assert found.flatten().tolist() == list(range(length))
    count = max(0, -(-(length - 8) // 4)) + 1
    assert windows == [[min(4 * j + i, length - 1) for i in range(8)] for j in range(count)]


def test_windows_are_decoded_when_they_are_asked_for():
    pulled = []

    def latents():
        for i in range(100):
            pulled.append(i)
            yield torch.full((1, 1, 1, 1, 1), float(i))

    stream = decoded(latents(), lambda window: window)
    assert [next(stream).flatten().tolist() for _ in range(2)] == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9]]
    assert len(pulled) == 12


@torch.no_grad()
def test_latents_of_training_are_drawn_and_those_of_sampling_are_means():
    vae, videos, noise = autoencoder(), normal(2, 3, 3, 16, 16).tanh(), normal(2, LATENTS, 3, 4, 4, seed=2)
    mean, logvar = moments(vae, rearrange(videos, "n c t h w -> (n t) c h w"))
    mean, std = (rearrange(x, "(n t) c h w -> n c t h w", n=2) for x in (mean, (logvar / 2).exp()))
    assert torch.equal(encoded(vae, videos), mean)
    torch.testing.assert_close(encoded(vae, videos, lambda *shape: noise.reshape(2, *shape)), mean + std * noise)
    latents = 3 * normal(4000) + 1
    assert scaling_factor(latents, torch.clone).item() == pytest.approx(1 / latents.std().item(), rel=1e-3)
