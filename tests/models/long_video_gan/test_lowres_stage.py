"""The low-resolution stage's step: what is generated and cut, what the discriminator sees of it, and its losses."""

import numpy as np
import pytest
import torch
from torch import nn

from tests.models.long_video_gan.small import batches, judge_linearly, lowres, samples, step_of, update
from vidbench.models.long_video_gan import lowres_stage as module
from vidbench.models.long_video_gan.lowres_stage import Reader
from vidbench.sources import source_from_array

FRAMES = 32


class Ramp(nn.Module):
    """In a generator's place: the frames of a video are numbered, from 0 on, times a weight; it remembers its calls.

    Attributes:
        calls: the noise, frames and decay of each call.
    """

    noise_channels = 2

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones([]))
        self.calls = []

    def noise_length(self, frames):
        return frames + 5

    def forward(self, noise, frames, beta=1.0):
        self.calls.append((noise, frames, beta))
        ramp = self.scale * torch.arange(frames).float()
        return ramp[:, None, None].expand(len(noise), 3, -1, 8, 8)

    def excerpts(self, noise, frames, starts, count):
        videos = self(noise, frames)
        return torch.stack([video[:, first : first + count] for video, first in zip(videos, starts, strict=True)])


@pytest.fixture
def plain(monkeypatch):
    """Nothing is augmented."""
    monkeypatch.setattr(module, "diff_augment", lambda videos, draws: videos)
    monkeypatch.setattr(module, "temporal_stretch", lambda videos, draws: videos)


def judge_start():
    """The linear discriminator's weights at its beginning."""
    return judge_linearly(lowres(), 3, FRAMES, 8, 8).weight.detach()


def with_ramp(**values):
    stage = lowres(**values)
    stage.G = stage.networks["G"] = Ramp()
    stage.G_ema = Ramp()
    stage.optimizers["G"] = torch.optim.SGD(stage.G.parameters(), 1.0)
    return stage, judge_linearly(stage, 3, FRAMES, 8, 8)


def test_both_updates_cut_their_videos_out_of_longer_ones_anywhere(plain):
    stage, judge = with_ramp(batch=40)
    for index in (1, 2):
        judge.seen.clear()
        stage.G.scale.data.fill_(1.0)
        update(stage, index)
        for_g, for_d, _ = judge.seen
        cuts = []
        for videos in (for_g, for_d / stage.G.scale):
            starts = videos[:, 0, 0, 0, 0].round()
            assert (
                (videos - starts[:, None, None, None, None])[:, 0, :, 0, 0] - torch.arange(FRAMES)
            ).abs().max() < 1e-3
            assert 0 <= starts.min() < 6
            assert 25 < starts.max() <= 31
            assert len(starts.unique()) > 15
            cuts.append(starts)
        assert not torch.equal(*cuts)
    assert {frames for _, frames, _ in stage.G.calls} == {FRAMES + 32}


def test_noise_is_drawn_anew_for_each_update_step_and_video(plain):
    stage, _ = with_ramp()
    for index in (1, 2):
        update(stage, index)
    rows = torch.cat([noise for noise, _, _ in stage.G.calls])
    assert rows.shape == (8, 2, FRAMES + 32 + 5)
    assert len(rows.flatten(1).unique(dim=0)) == 8


def test_the_discriminator_s_videos_are_made_at_once_and_move_the_averages(plain):
    stage, judge = with_ramp(batch=4, accumulation=2)
    update(stage, 1)
    assert [(len(noise), beta) for noise, _, beta in stage.G.calls] == [(2, 1.0), (2, 1.0), (4, 0.999)]
    assert [len(videos) for videos in judge.seen] == [2] * 6


def test_real_videos_are_seen_in_the_range_of_generated_ones(plain):
    stage, judge = with_ramp()
    step = step_of(stage, 0)
    update(stage, 0)
    _, _, real, regularised = judge.seen
    for videos, name in ((real, "D"), (regularised, "R1")):
        torch.testing.assert_close(videos, samples(name, step)["frames"] / 127.5 - 1)
    assert not torch.equal(real, regularised)


def test_each_call_of_the_discriminator_has_augmentations_of_its_own(monkeypatch):
    draws, order = {"diff_augment": [], "temporal_stretch": []}, []

    def watch(name, run):
        def watched(videos, given):
            draws[name].append(given)
            order.append((name, run(videos, given)))
            return order[-1][1]

        monkeypatch.setattr(module, name, watched)

    for name in draws:
        watch(name, getattr(module, name))
    stage, seen = lowres(), []
    stage.D.register_forward_pre_hook(lambda network, videos: seen.append(videos[0]))
    for index in (0, 1):
        update(stage, index)
    assert [name for name, _ in order] == ["diff_augment", "temporal_stretch"] * 7
    assert [videos for _, videos in order[1::2]] == seen
    for name, width in (("diff_augment", 7), ("temporal_stretch", 2)):
        rows = torch.cat(draws[name])  # of the generator's update, generated and real videos, R1; then without R1
        assert rows.shape == (7 * 2, width)
        assert len(rows.unique()) == rows.numel()


@pytest.mark.parametrize("p", [0, 0.3, 1])
def test_some_videos_are_augmented_and_the_others_seen_as_they_are(monkeypatch, p):
    monkeypatch.setattr(module, "diff_augment", lambda videos, draws: videos + 1e6)
    monkeypatch.setattr(module, "temporal_stretch", lambda videos, draws: videos)
    stage, judge = with_ramp(batch=40)
    stage.settings = stage.settings.model_copy(update={"diffaug_p": p})
    stage.G.scale.data.fill_(0.0)
    step = step_of(stage, 1)
    update(stage, 1)
    for name, seen in zip(("G", "D/fake"), judge.seen, strict=False):
        augmented = seen[:, 0, 0, 0, 0] > 5e5
        assert torch.equal(augmented, step.uniform(f"{name}/augmented") < p)
        assert len(augmented.unique()) == (1 if p in (0, 1) else 2)


def test_parts_of_a_batch_are_augmented_as_in_the_whole(monkeypatch):
    drawn = []

    def watched(videos, draws):
        drawn.append(draws)
        return videos

    monkeypatch.setattr(module, "temporal_stretch", watched)
    for accumulation in (1, 2):
        update(lowres(accumulation=accumulation), 1)
    whole, parts = drawn[:3], drawn[3:]
    assert torch.equal(torch.cat([parts[i] for i in (0, 1, 2, 4, 3, 5)]), torch.cat(whole))


def test_the_generator_climbs_its_logits(plain):
    """The loss is softplus(-logit): its slope is -sigmoid(-logit)."""
    (stage, judge), start = with_ramp(), judge_start()
    logs = update(stage, 1)
    logits = (judge.seen[0] * start).sum(dim=(1, 2, 3, 4))  # the scale is 1
    assert logs["loss_G"].item() == pytest.approx(torch.log1p((-logits).exp()).mean().item(), rel=1e-4)
    assert 1 - stage.G.scale.item() == pytest.approx(-(torch.sigmoid(-logits) * logits).mean().item(), rel=1e-4)


@pytest.mark.parametrize("accumulation", [1, 2])
def test_the_discriminator_s_gradient_is_that_of_the_logistic_loss(plain, accumulation):
    """Of softplus(logit) of generated videos and softplus(-logit) of real ones; means over videos."""
    stage = lowres(accumulation=accumulation)
    judge, start = judge_linearly(stage, 3, FRAMES, 8, 8), judge_start()
    logs = update(stage, 1)
    calls = judge.seen[accumulation:]
    fake, real = torch.cat(calls[::2]), torch.cat(calls[1::2])
    up, down = ((videos * start).sum(dim=(1, 2, 3, 4)) for videos in (fake, real))
    gradient = (
        torch.einsum("n,n...->...", up.sigmoid(), fake) - torch.einsum("n,n...->...", (-down).sigmoid(), real)
    ) / 2
    torch.testing.assert_close(start - judge.weight.detach(), gradient, rtol=1e-4, atol=1e-5)
    loss = torch.log1p(up.exp()).mean() + torch.log1p((-down).exp()).mean()
    assert logs["loss_D"].item() == pytest.approx(loss.item(), rel=1e-4)


@pytest.mark.parametrize("accumulation", [1, 2])
def test_r1_is_16_times_the_squared_gradient_before_augmentation(monkeypatch, accumulation):
    """With logits w (3 x), the penalty is gamma / 2 * 9 |w|^2 and its gradient 9 gamma w."""
    monkeypatch.setattr(module, "diff_augment", lambda videos, draws: 3 * videos)
    monkeypatch.setattr(module, "temporal_stretch", lambda videos, draws: videos)
    stage = lowres(gamma=0.02, accumulation=accumulation)
    judge, start = judge_linearly(stage, 3, FRAMES, 8, 8), judge_start()
    monkeypatch.setattr(stage, "_update_discriminator", lambda batch, step: torch.zeros([]))
    logs = update(stage, 0)
    assert logs["r1"].item() == pytest.approx(0.01 * 9 * start.square().sum().item(), rel=1e-4)
    torch.testing.assert_close(start - judge.weight.detach(), 16 * 0.02 * 9 * start, rtol=1e-4, atol=1e-6)


def textures():
    """Three videos of 40 frames, all frames of which differ."""
    return source_from_array(
        "noise", np.random.default_rng(0).integers(0, 256, (3, 40, 16, 16, 3), np.uint8), 25.0
    ).resized((16, 16))


def test_a_sample_is_a_window_of_a_video_at_low_resolution():
    source = textures()
    video = source.videos[1]
    whole = torch.from_numpy(source.reduced((8, 8)).read(video, 0, 40))
    found = set()
    for seed in range(60):
        sample = Reader((8, 8), FRAMES, True)(source, video, torch.Generator().manual_seed(seed))
        assert sample.keys() == {"frames"}
        assert sample["frames"].dtype == torch.uint8
        [place] = [
            (start, mirrored)
            for start in range(9)
            for mirrored in (False, True)
            if torch.equal(
                whole[:, start : start + FRAMES].flip(-1) if mirrored else whole[:, start : start + FRAMES],
                sample["frames"],
            )
        ]
        found.add(place)
    assert {start for start, _ in found} == set(range(9))
    assert {mirrored for _, mirrored in found} == {False, True}
    plain = Reader((8, 8), FRAMES, False)
    for seed in range(9):
        window = plain(source, video, torch.Generator().manual_seed(seed))["frames"]
        assert any(torch.equal(whole[:, start : start + FRAMES], window) for start in range(9))


def test_it_reads_as_much_as_its_discriminator_sees():
    stage = lowres(mirror=False, r1_every=4)
    assert stage.frames == stage.reader.frames == FRAMES
    assert stage.reads == {"D": 1, "R1": 4}
    assert stage.reader == Reader((8, 8), FRAMES, False)
    assert batches(stage, step_of(stage, 4)).keys() == {"D", "R1"}


def test_a_preview_is_of_the_moving_average_at_low_resolution():
    stage = lowres()
    update(stage, 1)
    preview = stage.preview(textures(), 16)
    assert preview.lowres is stage.G_ema
    assert preview.size == (8, 8)
    assert preview.sample([0], 3).shape == (1, 3, 3, 8, 8)
    update(stage, 2)  # sampling leaves it trainable
