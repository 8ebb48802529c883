"""The video UNet is its image UNet where it should be, sees time where it should, and trains what it should."""

import copy
import subprocess
import sys

import pytest
import torch
from diffusers import UNet2DConditionModel, UNetSpatioTemporalConditionModel
from einops import rearrange
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.models.video_ldm.small import (
    LATENTS,
    TEXT,
    frames_of,
    image_by_image,
    normal,
    perturbed,
    plain_unet,
    set_mix,
    text_unet,
    trained,
)
from vidbench.models.video_ldm.attention import Attention, TemporalAttention
from vidbench.models.video_ldm.backbone import build_unet
from vidbench.models.video_ldm.residual import TemporalResidualBlock
from vidbench.models.video_ldm.unet import VideoUNet

KINDS = {
    "plain": lambda: VideoUNet(plain_unet(), context=LATENTS, regimes=2),
    "scale-shift": lambda: VideoUNet(plain_unet(resnet_time_scale_shift="scale_shift"), context=LATENTS, regimes=2),
    "resnet": lambda: VideoUNet(
        plain_unet(downsample_type="resnet", upsample_type="resnet"), context=LATENTS, regimes=2
    ),
    "no attention": lambda: VideoUNet(
        build_unet(LATENTS, LATENTS, (8, 16), 1, 4, (False, False)), context=LATENTS, regimes=2
    ),
    "text inside": lambda: VideoUNet(text_unet(), context=LATENTS, regimes=2),
    "text inside, linear": lambda: VideoUNet(text_unet(use_linear_projection=True), context=LATENTS, regimes=2),
    "text inside, two deep": lambda: VideoUNet(text_unet(transformer_layers_per_block=2), context=LATENTS, regimes=2),
    "text after": lambda: VideoUNet(text_unet(), context=LATENTS, regimes=2, placement="after"),
    "text, other blocks": lambda: VideoUNet(
        text_unet(
            down_block_types=("CrossAttnDownBlock2D", "AttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "AttnUpBlock2D", "CrossAttnUpBlock2D"),
            mid_block_type="UNetMidBlock2D",
        ),
        context=LATENTS,
        regimes=2,
    ),
}
TAU = torch.tensor([10, 700])


def conditions(network: VideoUNet, z: Tensor) -> dict[str, Tensor]:
    """Context for the first video alone, two regimes, and text where there is any."""
    context = normal(len(z), LATENTS + 1, *z.shape[2:], seed=3)
    context[:, -1] = 0
    context[0, -1, :1] = 1
    text = {"text": normal(len(z), 5, TEXT, seed=4)} if isinstance(network.image, UNet2DConditionModel) else {}
    return {"context": context, "regime": torch.arange(len(z)) % 2} | text


def shapes_of(network: VideoUNet) -> list[tuple[int, int, int]]:
    """Frames, height, width; sides that cannot be halved are too much for attention without text."""
    plain = any(block.startswith("Attn") for block in network.image.config["up_block_types"])
    takes_odd = isinstance(network.image, UNet2DConditionModel) and not plain
    odd = [(2, 5, 6), (2, 7, 9)] if takes_odd else []
    return [(1, 8, 8), (2, 4, 8), (8, 8, 4), *odd]


@pytest.fixture(params=KINDS)
def network(request) -> VideoUNet:
    return KINDS[request.param]()


@torch.no_grad()
def test_image_mode_birth_and_saturated_alphas_are_the_image_unet(network):
    for shape in shapes_of(network):
        z = normal(2, LATENTS, *shape)
        told = conditions(network, z)
        expected = image_by_image(network.image, z, TAU, told.get("text"))
        born = copy.deepcopy(network)
        assert torch.equal(born(z, TAU, **told), expected)
        set_mix(born, -3)
        assert torch.equal(born(z, TAU, **told), expected)
        old = trained(born, mix=40)
        assert torch.equal(old(z, TAU, **told), expected)
        set_mix(old, -40)
        assert (old(z, TAU, **told) - expected).abs().mean() > 0.05 * expected.std()
        assert torch.equal(old(z, TAU, image_mode=True, **told), expected)


@torch.no_grad()
def test_image_mode_is_each_frame_alone(network):
    z = normal(2, LATENTS, 4, 8, 8)
    text = conditions(network, z).get("text")
    found = network(z, TAU, text=text, image_mode=True)
    for t in range(4):
        alone = image_by_image(network.image, z[:, :, t : t + 1], TAU, text)
        torch.testing.assert_close(found[:, :, t : t + 1], alone, rtol=0, atol=1e-5)


def test_only_temporal_parameters_are_trained_and_all_of_them(network):
    z = normal(2, LATENTS, 4, 8, 8)
    before = copy.deepcopy(network.image.state_dict())
    optimizer = torch.optim.AdamW(network.temporal.parameters(), lr=1e-2, weight_decay=0.1)
    for _ in range(3):
        optimizer.zero_grad(set_to_none=True)
        (network.train()(z, TAU, **conditions(network, z)) - normal(*z.shape, seed=9)).square().mean().backward()
        optimizer.step()
    assert not network.image.training
    assert all(parameter.grad is None for parameter in network.image.parameters())
    assert all(torch.equal(x, before[name]) for name, x in network.image.state_dict().items())
    without = [name for name, p in network.temporal.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


def test_everything_is_trained_where_nothing_is_frozen():
    network = VideoUNet(plain_unet(), frozen=False).train()
    assert network.image.training
    network(normal(1, LATENTS, 2, 8, 8), TAU[:1]).square().mean().backward()
    assert all(parameter.grad is not None for parameter in network.image.parameters())


def test_videos_of_a_batch_do_not_mix(network):
    trained(network)
    z = normal(2, LATENTS, 4, 8, 8).requires_grad_()
    told = conditions(network, z)
    out = network(z, TAU, **told)
    (gradient,) = torch.autograd.grad(out[0].sum(), z)
    assert gradient[0].abs().min() > 0
    assert not gradient[1].any()
    changed = torch.cat([z[:1], z[1:] + 1])
    torch.testing.assert_close(network(changed, TAU, **told)[0], out[0], rtol=0, atol=1e-5)


def test_attention_reaches_from_the_first_frame_to_the_last():
    """Convolutions over time and group norms, which see all frames too, are left out."""
    network = trained(VideoUNet(plain_unet(), convolutions=False))
    for layer in network.temporal.modules():
        if isinstance(layer, TemporalAttention):
            layer.norm = nn.Identity()
    z = normal(1, LATENTS, 8, 8, 8).requires_grad_()
    (gradient,) = torch.autograd.grad(network(z, TAU[:1])[:, :, 0].sum(), z)
    assert gradient[:, :, -1].abs().min() > 0


@torch.no_grad()
def test_attention_to_few_rows_at_once_is_that_to_all(monkeypatch):
    attention, x = perturbed(Attention(8, 2)), normal(9, 5, 8)
    whole = attention(x)
    monkeypatch.setattr("vidbench.models.video_ldm.attention.MAX_ROWS", 5)
    torch.testing.assert_close(attention(x), whole, rtol=0, atol=1e-6)


def test_a_residual_block_reaches_two_frames_and_no_other_pixel():
    block = perturbed(TemporalResidualBlock(8, 4, 1e-5, temb=6), 0.3)
    block.norm1 = block.norm2 = nn.Identity()
    x = normal(7, 8, 3, 3).requires_grad_()
    out = block(x, 7, normal(7, 6))
    (gradient,) = torch.autograd.grad(out[3, :, 1, 1].sum(), x)
    reached = gradient.abs().amax(dim=1) > 0
    expected = torch.zeros(7, 3, 3, dtype=torch.bool)
    expected[1:6, 1, 1] = True
    assert torch.equal(reached, expected)


@torch.no_grad()
@settings(max_examples=5, deadline=None)
@given(st.permutations(range(6)))
def test_only_temporal_layers_know_the_order_of_frames(order):
    network = trained(VideoUNet(plain_unet()))
    z, shuffled = normal(1, LATENTS, 6, 8, 8), normal(1, LATENTS, 6, 8, 8)[:, :, order]
    for image_mode in (True, False):
        expected = network(z, TAU[:1], image_mode=image_mode)[:, :, order]
        error = (network(shuffled, TAU[:1], image_mode=image_mode) - expected).abs().max()
        assert error < 1e-5 if image_mode or list(order) == list(range(6)) else error > 1e-3


@torch.no_grad()
def test_without_positions_attention_does_not_know_the_order_of_frames():
    network = trained(VideoUNet(plain_unet(), convolutions=False))
    z, order = normal(1, LATENTS, 6, 8, 8), [3, 1, 5, 0, 2, 4]
    assert (network(z[:, :, order], TAU[:1]) - network(z, TAU[:1])[:, :, order]).abs().max() > 1e-3
    for name, parameter in network.named_parameters():
        if "time_pos_embed.linear_2" in name:
            parameter.zero_()
    expected = network(z, TAU[:1])[:, :, order]
    torch.testing.assert_close(network(z[:, :, order], TAU[:1]), expected, rtol=0, atol=1e-5)


@torch.no_grad()
def test_a_video_without_given_frames_takes_no_context_path(network):
    trained(network)
    z = normal(2, LATENTS, 4, 8, 8)
    told = conditions(network, z)
    found = network(z, TAU, **told)
    del told["context"]
    without = network(z, TAU, **told)
    torch.testing.assert_close(found[1], without[1], rtol=0, atol=1e-6)
    assert (found[0] - without[0]).abs().max() > 1e-3


@torch.no_grad()
def test_a_frame_rate_changes_temporal_layers_alone():
    network = trained(VideoUNet(plain_unet(), regimes=2))
    z = normal(1, LATENTS, 4, 8, 8)
    slow, fast = (network(z, TAU[:1], regime=torch.tensor([i])) for i in (0, 1))
    assert (slow - fast).abs().max() > 1e-3


@torch.no_grad()
def test_texts_of_spatial_and_of_temporal_layers_are_their_own():
    network = trained(VideoUNet(text_unet()))
    z, one, other = normal(1, LATENTS, 4, 8, 8), normal(1, 5, TEXT), normal(1, 5, TEXT, seed=1)
    same = network(z, TAU[:1], text=one)
    assert torch.equal(network(z, TAU[:1], text=one, temporal_text=one), same)
    for texts in ((one, other), (other, one)):
        found = network(z, TAU[:1], text=texts[0], temporal_text=texts[1])
        assert (found - same).abs().max() > 1e-3


@torch.no_grad()
def test_each_frame_may_have_its_alpha():
    network = trained(VideoUNet(plain_unet(), alphas=4))
    z = normal(2, LATENTS, 4, 8, 8)
    set_mix(network, 40)
    expected = image_by_image(network.image, z, TAU)
    assert torch.equal(network(z, TAU), expected)
    last_resnet = network.temporal["up_blocks"][-1].resnets[-1]
    last_resnet.mix[2] = -40
    differs = (network(z, TAU) != expected).amax(dim=(0, 1, 3, 4))
    assert differs.tolist() == [False, False, True, False]


def test_a_copy_is_a_copy():
    network = VideoUNet(plain_unet())
    z = normal(1, LATENTS, 4, 8, 8)
    with torch.no_grad():
        born = network(z, TAU[:1])
        old = trained(copy.deepcopy(network))
        assert torch.equal(network(z, TAU[:1]), born)
        assert not torch.equal(old(z, TAU[:1]), born)


@torch.no_grad()
def test_temporal_layers_move_to_another_image_unet():
    """The image UNet comes back bit for bit where temporal layers are off: the paper's personalised models."""
    network = trained(VideoUNet(plain_unet()))
    other = VideoUNet(perturbed(plain_unet(), 0.02))
    names = {name for name in network.state_dict() if name.startswith("temporal.")}
    states = {name: x for name, x in network.state_dict().items() if name in names}
    missing, unexpected = other.load_state_dict(states, strict=False)
    assert not unexpected
    assert set(missing) == {f"image.{name}" for name in plain_unet().state_dict()}
    z = normal(1, LATENTS, 4, 8, 8)
    expected = image_by_image(other.image, z, TAU[:1])
    assert torch.equal(other(z, TAU[:1], image_mode=True), expected)
    assert not torch.equal(other(z, TAU[:1]), expected)


@pytest.mark.parametrize(
    ("shape", "spatial", "temporal"),
    [
        ({"cross_attention_dim": 768, "attention_head_dim": 8}, 859_520_964, 649_687_078),
        (
            {"cross_attention_dim": 1024, "attention_head_dim": (5, 10, 20, 20), "use_linear_projection": True},
            865_910_724,
            656_076_838,
        ),
    ],
    ids=["Stable Diffusion 1.4", "Stable Diffusion 2.1"],
)
def test_numbers_of_parameters_are_the_papers(shape, spatial, temporal):
    """It prints 860 and 865 million spatial and 649 and 656 million temporal ones (Appendix)."""
    with torch.device("meta"):
        network = VideoUNet(UNet2DConditionModel(**shape))
    assert number(network.image) == spatial
    assert number(network.temporal) == temporal
    assert sum(name.endswith("mix") for name in network.state_dict()) == 38


def test_number_of_parameters_at_32_pixels():
    network = VideoUNet(build_unet(4, 4, (32, 64, 64), 1, 8, (False, True, True)), context=4)
    assert (number(network.image), number(network.temporal)) == (1_164_836, 1_371_634)
    network = VideoUNet(build_unet(6, 3, (16, 32, 32), 1, 8, (False, False, False), num_labels=1000))
    assert (number(network.image), number(network.temporal)) == (328_035, 75_355)


def number(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@torch.no_grad()
def test_it_is_the_later_model_with_its_weights():
    """`UNetSpatioTemporalConditionModel`, whose group norms have other eps in some places."""
    torch.manual_seed(0)
    sizes = {"in_channels": LATENTS, "out_channels": LATENTS, "block_out_channels": (32, 64), "layers_per_block": 1}
    later = UNetSpatioTemporalConditionModel(
        **sizes,
        down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
        up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
        num_attention_heads=(4, 4),
        cross_attention_dim=TEXT,
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=24,
    )
    perturbed(later, 0.05)
    for name, module in later.named_modules():
        if isinstance(module, nn.GroupNorm) and "attentions" not in name:
            module.eps = 1e-5
    image = UNet2DConditionModel(
        **sizes,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        attention_head_dim=4,
        cross_attention_dim=TEXT,
        use_linear_projection=True,
    )
    later.add_embedding = nn.Sequential(nn.Flatten(), ZeroEmbedding(128))
    network = VideoUNet(image)
    network.load_state_dict(states_of(later), strict=True)
    z, text = normal(2, LATENTS, 5, 8, 8), normal(2, 1, TEXT)
    frames_first = rearrange(z, "b c t h w -> b t c h w")
    expected = later(frames_first, TAU, text, added_time_ids=torch.zeros(2, 3)).sample
    found = rearrange(network(z, TAU, text=text), "b c t h w -> b t c h w")
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


class ZeroEmbedding(nn.Module):
    """In place of what the later model is told besides."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, x: Tensor) -> Tensor:
        return x.new_zeros(len(x), self.width)


def states_of(later: nn.Module) -> dict[str, Tensor]:
    """The later model's tensors under the names of a video UNet."""
    states = {}
    for name, x in later.state_dict().items():
        short = name.replace("spatial_res_block.", "").replace("temporal_res_block.", "")
        short = short.replace("temporal_transformer_blocks.", "blocks.").replace("time_mixer.mix_factor", "mix")
        parts = ("temporal_res_block", "time_mixer", "temporal_transformer_blocks", "time_pos_embed")
        states[("temporal." if any(part in name for part in parts) else "image.") + short] = x
    return states


CHANNELS_LAST = """
import torch
from tests.models.video_ldm.small import LATENTS, autoencoder, normal, plain_unet
from vidbench.models.video_ldm.decoder import VideoDecoder
from vidbench.models.video_ldm.unet import VideoUNet

def loss_of(network, z, *args):
    network.zero_grad(set_to_none=True)
    loss = network(z, *args).square().mean()
    loss.backward()
    return loss.detach()

for network, args in (
    (VideoUNet(plain_unet(), context=LATENTS), (torch.tensor([5]),)),
    (VideoDecoder(autoencoder(), "temporal"), ()),
):
    z = normal(1, LATENTS, 4, 8, 8)
    last = z.transpose(1, 2).flatten(0, 1).contiguous(memory_format=torch.channels_last)
    last = last.unflatten(0, (1, 4)).transpose(1, 2)
    torch.testing.assert_close(loss_of(network, last, *args), loss_of(network, z, *args), rtol=1e-5, atol=0)
print("done")
"""


def test_latents_with_channels_last_do_not_end_the_process():
    """The gradient of a group norm does on the CPU, where nothing is done about it."""
    run = subprocess.run([sys.executable, "-c", CHANNELS_LAST], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (0, "done\n"), run.stderr


def test_what_an_image_unet_or_a_video_unet_cannot_do_is_named():
    with pytest.raises(ValueError, match="SkipDownBlock2D is not supported"):
        VideoUNet(plain_unet(down_block_types=("DownBlock2D", "SkipDownBlock2D", "AttnDownBlock2D")))
    with pytest.raises(ValueError, match="center_input_sample = True"):
        VideoUNet(plain_unet(center_input_sample=True))
    with pytest.raises(ValueError, match="not a Linear"):
        VideoUNet(unnamed())
    z = normal(1, LATENTS, 4, 8, 8)
    context = normal(1, LATENTS + 1, 4, 8, 8)
    for network in (VideoUNet(plain_unet()), VideoUNet(plain_unet(), context=LATENTS, convolutions=False)):
        with pytest.raises(ValueError, match="no paths"):
            network(z, TAU[:1], context=context)
        with pytest.raises(ValueError, match="only one"):
            network(z, TAU[:1], regime=torch.tensor([0]))
    with pytest.raises(ValueError, match="each of 8 frames; 4 were given"):
        VideoUNet(plain_unet(), alphas=8)(z, TAU[:1])
    with pytest.raises(ValueError, match="takes text"):
        VideoUNet(text_unet())(z, TAU[:1])
    with pytest.raises(ValueError, match="takes no text"):
        VideoUNet(plain_unet())(z, TAU[:1], text=normal(1, 5, TEXT))
    with pytest.raises(ValueError, match="takes labels"):
        VideoUNet(plain_unet(num_class_embeds=3))(z, TAU[:1])


def unnamed() -> nn.Module:
    network = nn.Linear(1, 1)
    network.config = {}
    return network


@torch.no_grad()
@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_saturated_alphas_are_the_image_unet_in_half_precision(half):
    network = trained(VideoUNet(plain_unet(), context=LATENTS), mix=40).to(half)
    z = normal(2, LATENTS, 4, 8, 8).to(half)
    context = conditions(network, z.float())["context"].to(half)
    found = network(z, TAU, context=context)
    assert found.dtype == half
    assert torch.equal(frames_of(found), frames_of(network(z, TAU, image_mode=True)))
