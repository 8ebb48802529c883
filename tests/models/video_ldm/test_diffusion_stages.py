"""Training of the denoisers: what moves when, what is drawn for whom, and that losses are what they are said to be."""

import pytest
import torch
from einops import rearrange

from tests.models.video_ldm.small import perturbed
from tests.models.video_ldm.stages import (
    DENOISERS,
    FACTOR,
    SCALE,
    SIDE,
    batches,
    build,
    config,
    copied,
    moved,
    parts,
    shaken,
    states,
    step_of,
    textures,
    update,
)
from vidbench.config import change
from vidbench.models.video_ldm.autoencoder import moments
from vidbench.models.video_ldm.readers import ClipReader
from vidbench.models.video_ldm.system import Held
from vidbench.models.video_ldm.upsampling import resized


def seen(stage, index=0):
    """The videos of a step, in [-1, 1]."""
    return batches(stage, step_of(stage, index))["real"]["clip"] / 127.5 - 1


@torch.no_grad()
def latents(vae, stage, index=0, scale=SCALE):
    """Of the videos of a step, drawn as the encoder says."""
    videos, frames = seen(stage, index), stage.reader.frames
    mean, logvar = moments(vae, rearrange(videos, "n c t h w -> (n t) c h w"))
    mean, std = (rearrange(x, "(n t) c h w -> n c t h w", t=frames) for x in (mean, (logvar / 2).exp()))
    return scale * (mean + std * step_of(stage, index).normal("z", *mean.shape[1:]))


def noisy(x, noise, tau):
    """Ho et al.'s noise at the times `[n]`, and the velocity (Salimans and Ho, 2022)."""
    kept = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), dim=0)[tau].float()
    alpha, sigma = (part.sqrt().reshape(-1, *[1] * (x.ndim - 1)) for part in (kept, 1 - kept))
    return alpha * x + sigma * noise, alpha * noise - sigma * x


def times(step, name="tau", count=1000, *shape):
    return (step.uniform(name, *shape) * count).floor().long()


def same(found, expected):
    torch.testing.assert_close(found["loss"], expected, rtol=1e-4, atol=1e-6)


def test_the_image_model_learns_velocity_of_single_frames():
    stage = build("image")
    stage.scale.factor.fill_(SCALE)
    step, z = step_of(stage, 0), latents(stage.vae, stage)[:, :, 0]
    x, velocity = noisy(z, step.normal("noise", *z.shape[1:]), times(step))
    with torch.no_grad():
        expected = (stage.unet(x, times(step)).sample - velocity).square().mean()
    same(update(stage, 0), expected)


def test_the_scale_of_latents_is_measured_once():
    stage, other = build("image"), build("image")
    assert stage.scale.factor == 0
    assert torch.isfinite(stage.preview(textures(), 4).sample([0], 1)).all()
    update(stage, 0)
    raw = latents(stage.vae, stage, scale=1)
    assert stage.scale.factor.item() == pytest.approx(1 / raw.std().item(), rel=0.01)
    before = stage.scale.factor.clone()
    update(stage, 1)
    assert torch.equal(stage.scale.factor, before)
    update(other, 1)
    assert not torch.equal(other.scale.factor, before)


def test_key_frames_are_denoised_together_with_none_one_or_two_given():
    stage = shaken(build("temporal"))
    found = set()
    for index in range(6):
        step, z = step_of(stage, index), latents(stage.image.vae, stage, index)
        x, velocity = noisy(z, step.normal("noise", *z.shape[1:]), times(step))
        given = times(step, "given", 3)
        mask = torch.zeros(2, 1, 4, 8, 8)
        for video, count in enumerate(given.tolist()):
            mask[video, :, :count] = 1
        context = torch.cat([z * mask, mask], dim=1)
        with torch.no_grad():
            expected = (stage.net(x, times(step), context=context) - velocity).square().mean()
            without = (stage.net(x, times(step)) - velocity).square().mean()
        same(update(stage, index), expected)
        assert given.any() == (abs(expected - without) > 1e-5)
        found |= set(given.tolist())
    assert found == {0, 1, 2}


def test_only_temporal_layers_move():
    stage = build("temporal")
    image = {name: x.clone() for name, x in stage.image.unet.state_dict().items()}
    start = copied(stage)
    for index in range(3):
        update(stage, index)
    assert moved(start, stage) == {name for name in start if not name.startswith("trained_on/")}
    assert stage.net.image is stage.ema.image is stage.image.unet
    assert all(torch.equal(x, image[name]) for name, x in stage.image.unet.state_dict().items())
    assert not any(parameter.requires_grad for parameter in stage.image.unet.parameters())
    assert parts(set(stage.state()["temporal"])) <= {"down_blocks", "mid_block", "up_blocks"}


def test_between_two_frames_three_are_made_at_each_rate():
    stage = shaken(build("interpolation", config(interpolation={"drop": 0.5})))
    dropped, rates = set(), set()
    for index in range(4):
        step, z = step_of(stage, index), latents(stage.image.vae, stage, index)
        x, velocity = noisy(z, step.normal("noise", *z.shape[1:]), times(step))
        rate = batches(stage, step)["real"]["rate"]
        shown = step.uniform("drop") >= 0.5
        mask = torch.tensor([1.0, 0, 0, 0, 1]).reshape(1, 1, 5, 1, 1) * shown.float().reshape(2, 1, 1, 1, 1)
        mask = mask.expand(-1, -1, -1, 8, 8)
        given, _ = noisy(z, step.normal("given", *z.shape[1:]), times(step, "strength", 251))
        with torch.no_grad():
            context = torch.cat([given * mask, mask], dim=1)
            prediction = stage.net(x, times(step), context=context, regime=rate)
        same(update(stage, index), (prediction - velocity).square().mean())
        dropped |= set(shown.tolist())
        rates |= set(rate.tolist())
    assert dropped == {True, False}
    assert rates == {0, 1}


@pytest.mark.parametrize("noise", [0, 250])
def test_given_frames_are_as_noisy_as_is_asked(noise, monkeypatch):
    stage, seen_times = build("interpolation", config(interpolation={"context_noise": noise})), []
    noised = stage.diffusion.noised

    def remember(x, given, tau):
        seen_times.append(tau)
        return noised(x, given, tau)

    monkeypatch.setattr(stage.diffusion, "noised", remember)
    for index in range(8):
        update(stage, index)
    strengths = torch.cat(seen_times[::2])
    assert 0 <= strengths.min() <= strengths.max() <= noise
    assert (len(strengths.unique()) > 10) == (noise > 0)
    assert torch.cat(seen_times[1::2]).max() > 300


def test_interpolation_moves_everything_but_not_the_image_model():
    stage = shaken(build("interpolation"))
    image = {name: x.clone() for name, x in stage.image.unet.state_dict().items()}
    start = copied(stage)
    for index in range(2):
        update(stage, index)
    everything = {"net/image", "net/temporal", "net_ema/image", "net_ema/temporal"}
    assert parts(moved(start, stage)) == everything
    assert all(torch.equal(x, image[name]) for name, x in stage.image.unet.state_dict().items())
    begun = build("interpolation").net
    assert all(torch.equal(x, image[name]) for name, x in begun.image.state_dict().items())
    assert not begun.temporal["regime"].weight.any()


def test_the_upsampler_learns_images_and_then_time_on_their_average():
    stage = build("upsampler")  # 2 steps on images
    start = copied(stage)
    for index in range(2):
        update(stage, index)
    assert parts(moved(start, stage)) == {"net/image", "net_ema/image"}
    before = copied(stage)
    name = "image.conv_in.weight"
    assert not torch.equal(before[f"net/{name}"], before[f"net_ema/{name}"])
    update(stage, 2)
    assert parts(moved(before, stage)) == {"net/image", "net/temporal", "net_ema/temporal"}
    now = copied(stage)
    image = [name for name in now if name.startswith("net/image.")]
    assert all(torch.equal(now[name], before[name.replace("net/", "net_ema/")]) for name in image)
    update(stage, 3)
    assert parts(moved(now, stage)) == {"net/temporal", "net_ema/temporal"}
    assert not any(parameter.requires_grad for parameter in stage.ema.parameters())


@pytest.mark.parametrize("index", [0, 2])
def test_the_upsampler_s_loss_is_that_of_frames_and_then_of_videos(index):
    stage = build("upsampler")
    perturbed(stage.net)
    perturbed(stage.ema)
    if index == 2:
        stage.net.image.load_state_dict(stage.ema.image.state_dict())
    video, step = seen(stage, index), step_of(stage, index)
    low_video = resized(video, (SIDE, SIDE))
    highs, lows = [], []
    for i, (row, column) in enumerate((step.uniform("place", 2) * (SIDE - 8 + 1)).long().tolist()):
        lows.append(low_video[i, :, :, row : row + 8, column : column + 8])
        row, column = FACTOR * row, FACTOR * column
        highs.append(video[i, :, :, row : row + 8 * FACTOR, column : column + 8 * FACTOR])
    high, low = torch.stack(highs), torch.stack(lows)
    noise, low_noise = step.normal("noise", *high.shape[1:]), step.normal("low", *low.shape[1:])
    tau, strength = times(step, "tau", 1000, 8), times(step, "strength", 351, 8)
    if index:
        tau, strength = (t[:, :1].expand(-1, 8) for t in (tau, strength))
    each = [rearrange(x, "n c t h w -> (n t) c h w") for x in (high, low, noise, low_noise)]
    x, velocity = noisy(each[0], each[2], tau.flatten())
    condition, _ = noisy(each[1], each[3], strength.flatten())
    condition = resized(condition[:, :, None], (8 * FACTOR, 8 * FACTOR))[:, :, 0]
    given = torch.cat([x, condition], dim=1)
    with torch.no_grad():
        if index:
            videos = rearrange(given, "(n t) c h w -> n c t h w", t=8)
            made = rearrange(stage.net(videos, tau[:, 0], labels=strength[:, 0]), "n c t h w -> (n t) c h w")
        else:
            made = stage.net.image(given, tau.flatten(), strength.flatten()).sample
    same(update(stage, index), (made - velocity).square().mean())


@pytest.mark.parametrize("name", DENOISERS)
def test_each_random_number_of_a_step_is_used_once_and_by_its_sample(name, monkeypatch):
    """Draws of a sample do not depend on who else is in the batch."""
    stage, names = build(name), []
    for kind in ("normal", "uniform"):
        draw = getattr(type(step_of(stage, 0)), kind)

        def named(self, key, *shape, kind=kind, draw=draw):
            names.append((kind, key))
            return draw(self, key, *shape)

        monkeypatch.setattr(type(step_of(stage, 0)), kind, named)
    update(stage, 0)
    assert {("uniform", "tau"), ("normal", "noise")} <= set(names)
    assert len({key for _, key in names}) == len(names)
    monkeypatch.undo()
    whole, second = step_of(stage, 5), step_of(stage, 5, 1, 2)
    for kind, key in names:
        assert torch.equal(getattr(whole, kind)(key, 3)[1:], getattr(second, kind)(key, 3))


def test_a_sample_is_a_clip_from_anywhere_at_one_of_the_rates():
    source = textures(frames=21)
    video = source.videos[1]
    whole, found = torch.from_numpy(source.read(video, 0, 21)), set()
    assert ClipReader(5, (4, 1)).span == 17
    for seed in range(100):
        sample = ClipReader(5, (4, 1))(source, video, torch.Generator().manual_seed(seed))
        stride, clip = (4, 1)[int(sample["rate"])], sample["clip"]
        starts = [t for t in range(21 - 4 * stride) if torch.equal(whole[:, t : t + 4 * stride + 1 : stride], clip)]
        assert starts
        found.add((stride, starts[0]))
    assert {start for stride, start in found if stride == 4} == set(range(5))
    assert len({start for stride, start in found if stride == 1}) > 10


def test_stages_need_videos_as_long_as_their_clips():
    assert {name: build(name).frames for name in states()} == {
        "autoencoder": 1, "image": 1, "temporal": 49, "decoder": 8, "interpolation": 17, "upsampler": 8,
    }  # fmt: skip
    assert build("interpolation").reader.strides == [4, 1]


@pytest.mark.parametrize(("name", "changes"), [("temporal", 3), ("interpolation", 2), ("decoder", 1), ("upsampler", 1)])
def test_stages_know_with_what_changes_shorter_videos_do(name, changes):
    shorter = build(name).shorter
    assert len(shorter) == changes
    for assignment, frames in shorter.items():
        settings = change(config(), [assignment])
        left = getattr(settings.stages, name) is not None
        assert (build(name, settings).frames if left else 0) == frames < build(name).frames


def test_a_preview_of_images_does_not_move():
    stage = build("image")
    update(stage, 0)
    preview = stage.preview(textures(), 16)
    videos = preview.sample([0, 1], 20)
    assert (preview.size, preview.fps, preview.max_frames) == ((SIDE, SIDE), 32, None)
    assert torch.equal(videos, videos[:, :, :1].expand_as(videos))
    assert not torch.equal(videos[0], videos[1])
    update(stage, 1)  # sampling leaves it trainable


def test_a_preview_of_key_frames_holds_each_until_the_next():
    stage = shaken(build("temporal"))
    preview = stage.preview(textures(), 40)
    assert isinstance(preview, Held)
    assert preview.fps == 32
    videos, keys = preview.sample([3], 40), preview.generator.sample([3], 3)
    assert torch.equal(videos, keys.repeat_interleave(16, dim=2)[:, :, :40])
    assert torch.equal(preview.sample([3], 20, 10), videos[:, :, 10:30])
    streamed = next(preview.stream(3))
    torch.testing.assert_close(streamed[:, :40], videos[0], rtol=0, atol=1e-4)
    stage.ema.takes_context = False
    assert stage.preview(textures(), 40).max_frames == 4 * 16
    update(stage, 0)


@torch.no_grad()
def test_a_preview_of_interpolation_keeps_key_frames():
    stage = shaken(build("interpolation"))
    source = textures()
    preview = stage.preview(source, 18)
    assert preview.length == preview.max_frames == 33
    videos = preview.sample([0], 33)
    video, first = preview.pick(0)
    keys = torch.from_numpy(source.read(video, first, first + 33, 16))[None] / 127.5 - 1
    mean, _ = moments(stage.image.vae, rearrange(keys, "n c t h w -> (n t) c h w"))
    kept = stage.image.vae.decode(mean).sample.clamp(-1, 1)
    torch.testing.assert_close(rearrange(videos[:, :, ::16], "1 c t h w -> t c h w"), kept, rtol=0, atol=1e-4)
    assert (videos[:, :, 8] - videos[:, :, 0]).abs().max() > 1e-3
    assert sum(chunk.shape[1] for chunk in preview.stream(0)) == 33


@torch.no_grad()
def test_a_preview_of_the_upsampler_enlarges_real_videos_made_small():
    stage = shaken(build("upsampler"))
    source = textures(SIDE * FACTOR)
    preview = stage.preview(source, 11)
    videos = preview.sample([0], 11)
    assert videos.shape == (1, 3, 11, SIDE * FACTOR, SIDE * FACTOR)
    assert torch.equal(preview.sample([0], 11), videos)
    assert (videos - preview.sample([1], 11)).abs().max() > 1e-3
