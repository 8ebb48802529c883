"""LongVideoGAN as it is trained, kept and sampled: any window of an endless video, of one stage or both."""

import numpy as np
import pytest
import torch

from tests.models.long_video_gan.small import CONTEXT, config, lowres, superres, update
from tests.vidbench.systems import Listener
from vidbench.checkpoints import load_checkpoint, read_about
from vidbench.clips import GeneratedClips
from vidbench.draws import draw
from vidbench.errors import UserError
from vidbench.models.long_video_gan import LongVideoGAN
from vidbench.models.long_video_gan import system as module
from vidbench.models.long_video_gan.system import CHUNK, SuperResolved
from vidbench.protocol import load_protocol
from vidbench.runs import Run
from vidbench.sources import source_from_array
from vidbench.testing import check_generator, check_round_trip
from vidbench.training import train

MADE = {"lowres": lowres(), "superres": superres()}
for stage in MADE.values():
    update(stage, 0)
STATES = {name: {network: dict(part) for network, part in stage.state().items()} for name, stage in MADE.items()}
LENGTH = 290
AUTHORS = ("fvd16", "fvd128", "fvd128-s8", "color-drift")


def make(**options) -> LongVideoGAN:
    return LongVideoGAN.from_states(config(), STATES, 25.0, **options)


BOTH = make()
LOW = make(superres=False)
WHOLE = {generator: generator.sample([5], LENGTH) for generator in (BOTH, LOW)}
either = pytest.mark.parametrize("generator", WHOLE, ids=["superres", "lowres"])


def close(a, b):
    torch.testing.assert_close(a, b, rtol=0, atol=1e-4)


@either
@pytest.mark.parametrize(
    ("start", "count"),
    [(0, 1), (0, 32), (1, 40), (31, 3), (32, 64), (119, 11), (127, 2), (128, 8), (150, 140), (289, 1)],
)
def test_a_window_is_that_of_a_longer_video_wherever_it_lies(generator, start, count):
    close(generator.sample([5], count, start), WHOLE[generator][:, :, start : start + count])


@either
def test_windows_far_out_are_of_one_video_that_still_moves(generator):
    start = 10_000_019
    far = generator.sample([5], 45, start)
    close(generator.sample([5], 3, start + 41), far[:, :, 41:44])
    assert 0.2 < far.diff(dim=2).abs().mean() / WHOLE[generator][:, :, :45].diff(dim=2).abs().mean() < 5


@either
def test_a_stream_is_the_sample_in_chunks(generator):
    stream = generator.stream(5)
    chunks = [next(stream) for _ in range(2)]
    assert [chunk.shape[1] for chunk in chunks] == [CHUNK - 2 * generator.context, CHUNK]
    streamed = torch.cat(chunks, dim=1)
    close(streamed[None], WHOLE[generator][:, :, : streamed.shape[1]])


@either
def test_a_video_does_not_depend_on_others(generator):
    together = generator.sample([7, 5, 2**63 - 1], 4, 30)
    close(together[1:2], WHOLE[generator][:, :, 30:34])
    close(together[2:], generator.sample([2**63 - 1], 4, 30))
    assert (together[0] - together[1]).abs().max() > 0.01


def test_it_is_a_generator():
    check_generator(make, 16)
    check_generator(lambda: make(superres=False), 16)


def test_the_second_stage_enlarges_what_the_first_makes():
    """Frame t is made of low-resolution frames t to t + 2 * context, with one latent a video."""
    low = LOW.sample([5], 12 + 2 * CONTEXT, 20)
    assert low.abs().max() < 1
    z = torch.randn(1, 5, generator=draw(5, "superres/z"))
    with torch.no_grad():
        close(MADE["superres"].G_ema(z, low), WHOLE[BOTH][:, :, 20:32])


def test_how_much_is_made_at_once_changes_nothing(monkeypatch):
    monkeypatch.setattr(module, "fitting", lambda *_, **__: 1)
    close(make().sample([5], 11), WHOLE[BOTH][:, :, :11])


def test_it_samples_the_moving_average():
    for name, network in (("lowres", BOTH.lowres), ("superres", BOTH.superres)):
        tensors = network.state_dict()
        assert all(torch.equal(tensors[key], value) for key, value in STATES[name]["G_ema"].items())
        assert not network.training
        assert any(not torch.equal(STATES[name]["G"][key], value) for key, value in tensors.items())


def test_it_says_what_it_is():
    assert BOTH.size == LongVideoGAN.size_of(config()) == (16, 16)
    assert LOW.size == (8, 8)
    assert (BOTH.fps, BOTH.max_frames) == (25.0, None)
    assert list(LongVideoGAN.stages) == list(LongVideoGAN.needed) == ["lowres", "superres"]


def test_the_first_stage_alone_makes_low_resolution_videos_if_that_is_asked_for():
    first = {"lowres": STATES["lowres"]}
    with pytest.raises(
        ValueError,
        match="the stage superres is not trained; vidbench sample --set superres=false makes low-resolution videos",
    ):
        LongVideoGAN.from_states(config(), first, 25.0)
    alone = LongVideoGAN.from_states(config(), first, 25.0, superres=False)
    close(alone.sample([5], 9), WHOLE[LOW][:, :, :9])


@pytest.mark.parametrize("options", [{}, {"superres": False}])
def test_the_second_stage_alone_makes_no_videos(options):
    with pytest.raises(ValueError, match=r"the stage lowres is not trained$"):
        LongVideoGAN.from_states(config(), {"superres": STATES["superres"]}, 25.0, **options)


def test_tensors_of_other_networks_are_refused():
    swapped = {"lowres": STATES["superres"], "superres": STATES["lowres"]}
    with pytest.raises(ValueError, match="the tensors do not fit the network"):
        LongVideoGAN.from_states(config(), swapped, 25.0)


def test_checkpoints_keep_its_videos():
    check_round_trip(LongVideoGAN, config(), STATES)


def real_videos(count=3, frames=40, fps=25.0):
    """Textures that drift to the right, each frame with noise of its own."""
    rng = np.random.default_rng(0)
    videos = np.stack(
        [
            np.stack([np.roll(picture, t, axis=1) for t in range(frames)])
            for picture in rng.integers(0, 200, (count, 16, 16, 3))
        ]
    )
    noisy = videos + rng.integers(0, 50, videos.shape)
    return source_from_array("drift", noisy.astype(np.uint8), fps).resized((16, 16))


def enlarger(frames, source=None):
    return SuperResolved(MADE["superres"].G_ema, source or real_videos(), frames)


def test_the_second_stage_alone_enlarges_real_low_resolution_frames():
    source, generator = real_videos(), enlarger(7)
    picked = set()
    for seed in (3, 4, 5, 6):
        video, first = generator.pick(seed)
        picked.add((video.name, first))
        low = torch.from_numpy(source.reduced((8, 8)).read(video, first, first + 7 + 2 * CONTEXT))[None] / 127.5 - 1
        z = torch.randn(1, 5, generator=draw(seed, "superres/z"))
        with torch.no_grad():
            wanted = MADE["superres"].G_ema(z, low).clamp(-1, 1)
        close(generator.sample([seed], 7), wanted)
        assert wanted.std() > 0.01
    assert len(picked) > 1


def test_real_videos_are_enlarged_in_chunks_as_at_once(monkeypatch):
    whole = enlarger(30).sample([3, 8], 30)
    monkeypatch.setattr(module, "CHUNK", 8)
    stream = enlarger(30).stream(8)
    chunks = list(stream)
    assert [chunk.shape[1] for chunk in chunks] == [8, 8, 8, 6]
    close(torch.cat(chunks, dim=1), whole[1])
    close(enlarger(30).sample([8], 5, 14)[0], whole[1][:, 14:19])


def test_enlarged_real_videos_are_those_of_a_generator():
    check_generator(lambda: enlarger(16), 16)
    generator = enlarger(16, real_videos(fps=12.0))
    assert (generator.size, generator.fps, generator.max_frames) == ((16, 16), 12.0, 16)


def test_both_stages_come_with_the_second_one_on_real_videos_and_the_first_alone_with_nothing():
    source, generator = real_videos(), make()
    assert make(superres=False).on_real(source, 7) == {}
    assert generator.on_real(source, 7)["superres"].fingerprint is None
    generator.fingerprint, generator.checkpoint_hash = "weights", "hash"
    [(name, alone)] = generator.on_real(source, 7).items()
    assert name == "superres"
    assert torch.equal(alone.sample([3], 7), enlarger(7).sample([3], 7))
    assert alone.checkpoint_hash == "hash"
    others = [generator.on_real(real_videos(2), 7), generator.on_real(source, 8), make().on_real(source, 7)]
    assert alone.fingerprint not in [other["superres"].fingerprint for other in others]
    assert alone.fingerprint == generator.on_real(real_videos(), 7)["superres"].fingerprint


def test_real_videos_too_short_for_the_context_are_not_enlarged():
    exact = real_videos(frames=16 + 2 * CONTEXT)
    assert enlarger(16, exact).sample([1], 16).shape[2] == 16
    with pytest.raises(ValueError, match=r"drift has no readable video of 19 frames"):
        enlarger(17, exact).sample([1], 17)


def training(folder, frames=140, **values):
    """A run on a few textures."""
    settings = config(**({"checkpoint_every": 2, "evaluate_every": 3, "metric": "color-drift@2"} | values))
    return Run("long-video-gan", LongVideoGAN, settings, "small", real_videos(3, frames), "toy3d", folder, workers=0)


def test_a_training_that_was_stopped_ends_as_one_that_was_not(tmp_path, monkeypatch):
    monkeypatch.setattr("vidbench.training.Judge.look", lambda *arguments: None)
    whole, parts = training(tmp_path / "whole", steps=3), training(tmp_path / "parts", steps=3)
    train(whole, ["lowres", "superres"], None, Listener())
    train(parts, ["lowres", "superres"], 1, Listener())
    listener = Listener()
    train(parts, ["superres", "lowres"], None, listener)
    for stage in ("lowres", "superres"):
        assert f"{stage}: goes on at step 1 of 3" in listener.heard()
        one, two = (load_checkpoint(run.last(stage)) for run in (whole, parts))
        for ours, other in ((one.state, two.state), (one.optimizers, two.optimizers)):
            assert ours.keys() == other.keys() != set()
            for name, tensors in ours.items():
                assert all(torch.equal(tensor, other[name][key]) for key, tensor in tensors.items()), name


def test_each_stage_is_scored_and_seen(tmp_path):
    run = training(tmp_path / "run", steps=1)
    train(run, ["lowres", "superres"], None, Listener())
    for stage in ("lowres", "superres"):
        assert read_about(run.best(stage)).metric == "color-drift@2"
        assert (run.folder / "samples" / f"{stage}-0000001.mp4").exists()
    states = {name: load_checkpoint(run.best(name)).state for name in ("lowres", "superres")}
    assert LongVideoGAN.from_states(run.config, states, 25.0).sample([1], 2).shape == (1, 3, 2, 16, 16)


def test_videos_without_room_for_the_context_are_found_out_before_training(tmp_path):
    """The metric's clips are of 129 frames; the second stage makes them of two more."""
    with pytest.raises(UserError, match=r"superres is judged on real videos, but drift has no readable video of 131 "):
        train(training(tmp_path, frames=130, steps=1), ["superres"], None, Listener())
    assert not (tmp_path / "superres").exists()


def test_clips_of_the_authors_metrics_start_anywhere_in_the_networks_grids():
    """Their FVD makes 32 more frames and draws a start among them; their colour curve keeps the first frames."""
    generator = make()
    phases = {name: GeneratedClips("x", generator, load_protocol(f"longvideogan/{name}")).phases for name in AUTHORS}
    assert phases == {"fvd16": 32, "fvd128": 32, "fvd128-s8": 32, "color-drift": 1}
