"""Training of the autoencoder and of the decoder for videos: what moves when, and what the losses are."""

import pytest
import torch
from einops import rearrange

from tests.models.video_ldm.stages import batches, build, config, copied, moved, parts, step_of, textures, update
from vidbench.models.layers.loss import hinge_loss
from vidbench.models.video_ldm import autoencoder_stage as module
from vidbench.models.video_ldm.autoencoder import moments


def seen(stage, index):
    """The frames of a step, in [-1, 1]."""
    return batches(stage, step_of(stage, index))["real"]["clip"] / 127.5 - 1


def test_the_discriminator_is_asked_from_its_step_on():
    stage = build("autoencoder")
    start = copied(stage)
    assert update(stage, 0).keys() == {"reconstruction", "divergence"}
    assert {name.partition("/")[0] for name in moved(start, stage)} == {"vae"}
    before = copied(stage)
    logs = update(stage, 1)
    assert logs.keys() == {"reconstruction", "divergence", "matching", "loss_G", "loss_D"}
    last = {"D/convs.2.bias"}  # pulled as hard up as down
    assert set(before) - moved(before, stage) <= last
    assert all(value.numel() == 1 and torch.isfinite(value) for value in logs.values())


def test_the_autoencoder_s_loss_is_l1_at_three_scales_and_a_little_divergence():
    stage = build("autoencoder")
    images = rearrange(seen(stage, 0), "n c 1 h w -> n c h w")
    with torch.no_grad():
        mean, logvar = moments(stage.vae, images)
        z = mean + (logvar / 2).exp() * step_of(stage, 0).normal("z", *mean.shape[1:])
        made = stage.vae.decode(z).sample
    logs, pool = update(stage, 0), torch.nn.AvgPool2d(2)
    pairs = [(images, made), (pool(images), pool(made)), (pool(pool(images)), pool(pool(made)))]
    l1 = sum((a - b).abs().mean() for a, b in pairs) / 3
    torch.testing.assert_close(logs["reconstruction"], l1, rtol=1e-4, atol=0)
    divergence = (mean.square() + logvar.exp() - 1 - logvar).sum() / 2 / len(images)
    torch.testing.assert_close(logs["divergence"], divergence, rtol=1e-4, atol=0)


@pytest.mark.parametrize("name", ["autoencoder", "decoder"])
def test_the_discriminator_learns_what_was_made_before_its_step(name, monkeypatch):
    stage, given = build(name), []
    decode = stage.vae.decode if name == "autoencoder" else stage.net.forward

    def remember(*arguments):
        made = decode(*arguments)
        given.append((made if name == "decoder" else made.sample).detach())
        return made

    monkeypatch.setattr(*((stage.vae, "decode") if name == "autoencoder" else (stage.net, "forward")), remember)
    judge = {key: x.clone() for key, x in stage.D.state_dict().items()}
    real = seen(stage, 1) if name == "decoder" else rearrange(seen(stage, 1), "n c 1 h w -> n c h w")
    logs = update(stage, 1)
    stage.D.load_state_dict(judge)
    with torch.no_grad():
        loss = hinge_loss(stage.D(real)[-1], stage.D(given[0])[-1])
        torch.testing.assert_close(logs["loss_G"], -stage.D(given[0])[-1].mean(), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(logs["loss_D"], loss, rtol=1e-4, atol=1e-6)
    assert all(parameter.requires_grad and parameter.grad is None for parameter in stage.D.parameters())


@pytest.mark.parametrize("trains", ["all", "temporal"])
def test_the_encoder_stays_bit_for_bit(trains):
    stage = build("decoder", config({"decoder": {"trains": trains, "discriminator_channels": [8, 8]}}))
    start = copied(stage)
    for index in range(2):
        update(stage, index)
    changed = moved(start, stage)
    temporal = {"decoder/temporal", "decoder_ema/temporal", "D/convs", "D/norms"}
    assert {part for part in parts(changed) if not part.endswith("/vae")} == temporal
    inner = {".".join(name.split(".")[:2]) for name in changed if "/vae." in name}
    averages = ("decoder", "decoder_ema")
    spatial = {f"{network}/vae.{part}" for network in averages for part in ("decoder", "post_quant_conv")}
    assert inner == (spatial if trains == "all" else set())


def test_the_decoder_is_taught_by_frames_as_they_were():
    stage = build("decoder")
    videos, step = seen(stage, 0), step_of(stage, 0)
    with torch.no_grad():
        mean, logvar = moments(stage.net.vae, rearrange(videos, "n c t h w -> (n t) c h w"))
        mean, std = (rearrange(x, "(n t) c h w -> n c t h w", n=2) for x in (mean, (logvar / 2).exp()))
        made = stage.net(mean + std * step.normal("z", *mean.shape[1:]))
    frames = [rearrange(x, "n c t h w -> (n t) c h w") for x in (videos, made)]
    expected = module.reconstruction_loss(*frames) / frames[0][0].numel()
    torch.testing.assert_close(update(stage, 0)["reconstruction"], expected, rtol=1e-4, atol=0)


def test_the_moving_average_follows_faster_at_first():
    stage = build("decoder")
    for index, weight in ((0, 0.9), (1, 9 / 11), (100_000, 1e-4)):
        before = copied(stage)
        update(stage, index)
        now = copied(stage)
        name = "temporal.out.weight"
        old, new = before[f"decoder_ema/{name}"], now[f"decoder/{name}"]
        torch.testing.assert_close(now[f"decoder_ema/{name}"], old + weight * (new - old), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ["autoencoder", "decoder"])
def test_a_preview_is_real_videos_decoded(name):
    stage = build(name)
    preview = stage.preview(textures(), 11)
    videos = preview.sample([0, 1], 11)
    assert (videos.shape, preview.max_frames, preview.fps) == ((2, 3, 11, 16, 16), 11, 32)
    assert torch.equal(preview.sample([1], 4, 3), preview.sample([1], 11)[:, :, 3:7])
    chunks = list(preview.stream(0))
    torch.testing.assert_close(torch.cat(chunks, dim=1), videos[0], rtol=0, atol=1e-5)
    update(stage, 2)  # sampling leaves it trainable
