"""Super-resolution's step: corrupted conditions, what the discriminator sees of either resolution, losses, ADA."""

import numpy as np
import pytest
import torch
from torch import nn

from tests.models.long_video_gan.small import (
    CONTEXT,
    batches,
    judge_linearly,
    samples,
    step_of,
    superres,
    update,
)
from vidbench.models.layers.augment import NUM_DRAWS
from vidbench.models.long_video_gan import superres_stage as module
from vidbench.models.long_video_gan.corruption import NUM_CORRUPTION_DRAWS
from vidbench.models.long_video_gan.superres_stage import Reader
from vidbench.sources import source_from_array

FRAMES = 2
JUDGED = (6, FRAMES, 16, 16)
ALL_KEPT = {"condition_kept": 1.0}


def judge_of(stage):
    return judge_linearly(stage, *JUDGED)


def judge_start():
    """The linear discriminator's weights at its beginning."""
    return judge_of(superres()).weight.detach()


@pytest.fixture
def uncorrupted(monkeypatch):
    """The condition is as it is read."""
    monkeypatch.setattr(module, "corrupted", lambda augment, videos, draws, noise: videos)


@pytest.fixture
def corruptions(monkeypatch):
    """What is corrupted, with which draws and noise, and what becomes of it."""
    calls, corrupted = [], module.corrupted

    def watched(augment, videos, draws, noise):
        calls.append((videos, draws, noise, corrupted(augment, videos, draws, noise)))
        return calls[-1][3]

    monkeypatch.setattr(module, "corrupted", watched)
    return calls


def low_of(name, step):
    return samples(name, step)["low"] / 127.5 - 1


def test_each_branch_of_each_update_has_a_corruption_of_its_own(corruptions):
    stage = superres()
    for index in (0, 1):
        update(stage, index)
    assert len(corruptions) == 4 + 3
    for name, (videos, draws, noise, _) in zip(["G", "D", "D", "R1"], corruptions, strict=False):
        torch.testing.assert_close(videos, low_of(name, step_of(stage, 0)))
        assert draws.shape == (2, NUM_CORRUPTION_DRAWS)
        assert noise.shape == videos.shape == (2, 3, FRAMES + 2 * CONTEXT, 8, 8)
    for place, numbers in ((1, 14 * NUM_CORRUPTION_DRAWS), (2, 14 * 3 * 4 * 64)):
        drawn = torch.cat([call[place] for call in corruptions])
        assert len(drawn.unique()) > 0.99 * numbers
    assert torch.cat([noise for _, _, noise, _ in corruptions]).std().item() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("accumulation", [1, 2])
def test_both_networks_are_given_the_corrupted_condition(corruptions, accumulation):
    """The generator all of its frames, the discriminator those in the middle; of one branch, the same ones."""
    stage, given = superres(ALL_KEPT, accumulation=accumulation), []
    judge = judge_of(stage)
    stage.G.register_forward_pre_hook(lambda network, arguments: given.append(arguments[1]))
    update(stage, 0)
    for_g, fake, real, r1 = (made for *_, made in corruptions)
    assert torch.equal(torch.cat(given), torch.cat([for_g, fake]))
    assert (fake - real).abs().max() > 0.01
    parts = iter(judge.seen)
    seen = {"G": [], "fake": [], "real": [], "R1": []}
    for names in (["G"] * accumulation, ["fake", "real"] * accumulation, ["R1"] * accumulation):
        for name in names:
            seen[name].append(next(parts)[:, :3])
    for name, condition in (("G", for_g), ("fake", fake), ("real", real), ("R1", r1)):
        middle = condition[:, :, CONTEXT : CONTEXT + FRAMES]
        torch.testing.assert_close(torch.cat(seen[name]), stage.D.upsampled(middle))


def test_the_discriminator_s_videos_are_made_at_once_and_move_the_averages():
    stage, calls, styles = superres(batch=4, accumulation=2), [], []
    forward, mapping = stage.G.forward, stage.G.SG3.mapping

    def watched(z, low, beta=1.0):
        calls.append((z, beta))
        return forward(z, low, beta=beta)

    stage.G.forward = watched
    mapping.register_forward_hook(lambda network, given, w: styles.append(w.detach()))
    update(stage, 1)
    assert [(len(z), beta) for z, beta in calls] == [(2, 1.0), (2, 1.0), (4, 0.999)]
    assert len(torch.cat([z for z, _ in calls]).unique(dim=0)) == 8
    torch.testing.assert_close(mapping.w_avg, 0.002 * styles[-1].mean(dim=0))


def test_frames_of_both_resolutions_are_augmented_alike_and_anew_in_each_call(uncorrupted):
    stage, calls = superres(ALL_KEPT), []
    judge, run = judge_of(stage), stage.augment.forward
    stage.augment.p.fill_(0.5)

    def watched(videos, draws):
        calls.append((videos, draws, run(videos, draws)))
        return calls[-1][2]

    stage.augment.forward = watched
    update(stage, 0)
    step = step_of(stage, 0)
    assert len(calls) == len(judge.seen) == 4
    assert len(torch.cat([draws for _, draws, _ in calls]).unique()) == 8 * NUM_DRAWS
    for name, (videos, _, augmented), seen in zip(["G", "D", "D", "R1"], calls, judge.seen, strict=True):
        middle = stage.D.upsampled(low_of(name, step)[:, :, CONTEXT : CONTEXT + FRAMES])
        torch.testing.assert_close(videos[:, :, :FRAMES], middle)
        assert videos.shape[2] == 2 * FRAMES
        assert torch.equal(seen, torch.cat([augmented[:, :, :FRAMES], augmented[:, :, FRAMES:]], dim=1))
    for name, call in (("D", calls[2]), ("R1", calls[3])):
        torch.testing.assert_close(call[0][:, :, FRAMES:].detach(), samples(name, step)["high"] / 127.5 - 1)


def test_a_tenth_of_the_videos_keeps_its_condition_the_others_have_an_exact_zero():
    """Also where augmentation would have made a colour of it."""
    stage = superres(batch=500)
    judge, step = judge_of(stage), step_of(stage, 1)
    stage.augment.forward = lambda videos, draws: videos + 1
    for name in ("G", "D/real"):
        judge.seen.clear()
        stage._judge(torch.zeros(500, 3, 4, 8, 8), torch.zeros(500, 3, FRAMES, 16, 16), name, slice(None), step)
        low, high = judge.seen[0].split(3, dim=1)
        assert (high == 1).all()
        kept = (low == 1).flatten(1).all(dim=1)
        assert (low[~kept] == 0).all()
        assert 25 < kept.sum() < 80
    first = kept
    judge.seen.clear()
    stage._judge(torch.zeros(500, 3, 4, 8, 8), high, "D/fake", slice(None), step)
    assert not torch.equal((judge.seen[0][:, :3] == 1).flatten(1).all(dim=1), first)


def test_the_generator_climbs_its_logits(uncorrupted):
    """The loss is softplus(-logit): its slope is -sigmoid(-logit)."""

    class Scaled(nn.Module):
        z_dim = 5

        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones([]))

        def forward(self, z, low, beta=1.0):
            return self.scale * z[:, :3, None, None, None].expand(-1, -1, FRAMES, 16, 16)

    stage, start = superres({"condition_kept": 0.0}), judge_start()
    judge = judge_of(stage)
    stage.G = stage.G_ema = stage.networks["G"] = Scaled()
    stage.optimizers["G"] = torch.optim.SGD(stage.G.parameters(), 1.0)
    logs = update(stage, 1)
    logits = (judge.seen[0] * start).sum(dim=(1, 2, 3, 4))  # the scale is 1
    assert logs["loss_G"].item() == pytest.approx(torch.log1p((-logits).exp()).mean().item(), rel=1e-4)
    assert 1 - stage.G.scale.item() == pytest.approx(-(torch.sigmoid(-logits) * logits).mean().item(), rel=1e-4)


@pytest.mark.parametrize("accumulation", [1, 2])
def test_the_discriminator_s_gradient_is_that_of_the_logistic_loss(accumulation):
    """Of softplus(logit) of generated videos and softplus(-logit) of real ones; means over videos."""
    stage, start = superres(accumulation=accumulation), judge_start()
    judge = judge_of(stage)
    logs = update(stage, 1)
    calls = judge.seen[accumulation:]
    fake, real = torch.cat(calls[::2]), torch.cat(calls[1::2])
    up, down = ((videos * start).sum(dim=(1, 2, 3, 4)) for videos in (fake, real))
    gradient = torch.einsum("n,n...->...", up.sigmoid(), fake) - torch.einsum("n,n...->...", (-down).sigmoid(), real)
    torch.testing.assert_close(start - judge.weight.detach(), gradient / 2, rtol=1e-4, atol=1e-5)
    loss = torch.log1p(up.exp()).mean() + torch.log1p((-down).exp()).mean()
    assert logs["loss_D"].item() == pytest.approx(loss.item(), rel=1e-4)


@pytest.mark.parametrize("accumulation", [1, 2])
def test_r1_is_16_times_the_squared_gradient_of_full_size_frames_before_augmentation(monkeypatch, accumulation):
    """With logits 3 (v low + w high), the penalty is gamma / 2 * 9 |w|^2: the condition has no part in it."""
    stage, start = superres(ALL_KEPT, gamma=0.02, accumulation=accumulation), judge_start()
    judge = judge_of(stage)
    stage.augment.forward = lambda videos, draws: 3 * videos
    monkeypatch.setattr(stage, "_update_discriminator", lambda batch, step: torch.zeros([]))
    logs = update(stage, 0)
    assert logs["r1"].item() == pytest.approx(0.01 * 9 * start[3:].square().sum().item(), rel=1e-4)
    moved = start - judge.weight.detach()
    torch.testing.assert_close(moved[3:], 16 * 0.02 * 9 * start[3:], rtol=1e-4, atol=1e-6)
    assert (moved[:3] == 0).all()


@pytest.mark.parametrize(("sign", "first", "later"), [(1, 0.2505, 0.251), (-1, 0.2495, 0.249)])
def test_the_augmentation_follows_overfitting_every_4_steps(monkeypatch, sign, first, later):
    """The signs are those of the discriminator's update; R1's, and generated videos', play no part."""
    stage, values = superres(), []
    stage.augment.p.fill_(0.25)
    judge = stage._judge

    def judged(low, high, name, part, step):
        return judge(low, high, name, part, step) + 1000 * (sign if name == "D/real" else -sign)

    monkeypatch.setattr(stage, "_judge", judged)
    monkeypatch.setattr(stage, "_update_generator", lambda batch, step: torch.zeros([]))
    for index in range(7):
        logs = update(stage, index)
        values.append(float(stage.augment.p))
        assert ("augment_p" in logs) == (index in (0, 4))
        if index in (0, 4):
            assert logs["real_signs"] == sign
            assert logs["augment_p"] == stage.augment.p
    assert values == pytest.approx([first] * 4 + [later] * 3)


@pytest.mark.parametrize(
    ("signs", "before", "after"),
    [((12, 20), 0.25, 0.2505), ((11, 20), 0.25, 0.2495), ((20, 20), 0.4999, 0.5), ((-20, 20), 0.0001, 0.0)],
)
def test_the_augmentation_rises_from_the_target_on_and_keeps_to_its_limits(signs, before, after):
    stage = superres()
    assert stage.augment.p == 0
    stage.augment.p.fill_(before)
    stage.overfitting.total.fill_(signs[0])
    stage.overfitting.count.fill_(signs[1])
    logs = stage._adjust()
    assert stage.augment.p.item() == pytest.approx(after, abs=1e-7)
    assert logs["real_signs"].item() == pytest.approx(signs[0] / signs[1])


def textures():
    """Three videos of 9 frames, all frames of which differ."""
    videos = np.random.default_rng(0).integers(0, 256, (3, 9, 16, 16, 3), np.uint8)
    return source_from_array("noise", videos, 25.0).resized((16, 16))


def test_a_sample_s_frames_are_those_in_the_middle_of_its_condition_and_mirrored_with_it():
    source = textures()
    video = source.videos[2]
    high = torch.from_numpy(source.read(video, 0, 9))
    low = torch.from_numpy(source.reduced((8, 8)).read(video, 0, 9))
    context, found = 2, set()
    for seed in range(60):
        sample = Reader((8, 8), FRAMES, context, True)(source, video, torch.Generator().manual_seed(seed))
        assert sample.keys() == {"low", "high"}
        mirrored = not any(torch.equal(high[:, t : t + FRAMES], sample["high"]) for t in range(8))
        shown = {name: frames.flip(-1) if mirrored else frames for name, frames in sample.items()}
        [first] = [t for t in range(8) if torch.equal(high[:, t : t + FRAMES], shown["high"])]
        assert torch.equal(low[:, first - context : first + FRAMES + context], shown["low"])
        found.add((first - context, mirrored))
    assert {start for start, _ in found} == set(range(4))
    assert {mirrored for _, mirrored in found} == {False, True}
    plain = Reader((8, 8), FRAMES, context, False)
    for seed in range(9):
        frames = plain(source, video, torch.Generator().manual_seed(seed))["high"]
        assert any(torch.equal(high[:, t : t + FRAMES], frames) for t in range(8))


def test_it_reads_a_batch_for_each_update():
    stage = superres(mirror=False, r1_every=4)
    assert stage.frames == FRAMES + 2 * CONTEXT
    assert stage.reads == {"G": 1, "D": 1, "R1": 4}
    assert stage.reader == Reader((8, 8), FRAMES, CONTEXT, False)
    assert batches(stage, step_of(stage, 4)).keys() == {"G", "D", "R1"}


def test_a_preview_is_of_the_moving_average_on_real_videos():
    stage, source = superres(), textures()
    update(stage, 1)
    preview = stage.preview(source, 5)
    assert preview.network is stage.G_ema
    assert (preview.source, preview.max_frames, preview.length) == (source, 5, 5 + 2 * CONTEXT)
    assert preview.sample([0], 5).shape == (1, 3, 5, 16, 16)
    update(stage, 2)  # sampling leaves it trainable
