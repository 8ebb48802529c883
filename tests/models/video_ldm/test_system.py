"""Video LDM as it is kept and sampled: one video however it is asked for, options, stages that are missing."""

import gc
import subprocess
import sys
from itertools import islice

import pytest
import torch

from tests.models.video_ldm.small import image_by_image, perturbed
from tests.models.video_ldm.stages import FACTOR, SCALE, SIDE, config, states, textures
from vidbench.checkpoints import About, save_checkpoint
from vidbench.draws import normal
from vidbench.models.video_ldm import VideoLDM
from vidbench.models.video_ldm import system as module
from vidbench.models.video_ldm.autoencoder import decoded_frames, encoded
from vidbench.models.video_ldm.decoder import decoded
from vidbench.models.video_ldm.diffusion import sampled
from vidbench.testing import check_generator, check_round_trip

CONFIG, LENGTH = config(), 37
OPTIONS = {
    "all": {},
    "guided": {"guidance": 2.0, "interpolation_guidance": 1.5, "sampler": "dpm-solver++", "steps": 3},
    "once": {"interpolate": 1},
    "keys": {"interpolate": 0, "decoder": False},
    "large": {"upsample": True, "interpolate": 0},
    "framewise": {"upsample": True, "interpolate": 0, "framewise": True},
    "still": {"still": True},
}


def make(model=CONFIG, without=(), **options) -> VideoLDM:
    given = {name: state for name, state in states().items() if name not in without}
    return VideoLDM.from_states(model, given, 32.0, **({"guidance": 1.0} | options))


def unprompted(settings=None):
    """A configuration whose temporal layers know no given frames, and states that fit it."""
    settings = settings or config({"temporal": {"frames": 4, "context": False}})
    temporal = {
        key: {name: x for name, x in part.items() if ".context." not in name}
        for key, part in states()["temporal"].items()
    }
    return settings, {**states(), "temporal": temporal}


@pytest.fixture(scope="module")
def whole():
    """One video of everything."""
    return make().sample([5], LENGTH)


def close(a, b):
    torch.testing.assert_close(a, b, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("start", "count"), [(0, 1), (1, 20), (5, 2), (16, 16), (36, 1)])
def test_a_window_is_that_of_a_longer_video_wherever_it_lies(whole, start, count):
    assert torch.equal(make().sample([5], count, start), whole[:, :, start : start + count])


def test_a_stream_is_the_sample_in_chunks_and_longer_videos_begin_with_shorter_ones(whole):
    chunks = list(islice(make().stream(5), 9))
    assert [chunk.shape[1] for chunk in chunks] == [6, *[4] * 8]
    assert torch.equal(torch.cat(chunks, dim=1)[None, :, :LENGTH], whole)


def test_a_video_does_not_depend_on_others(whole, monkeypatch):
    together = make().sample([7, 5, 2**63 - 1], 9, 10)
    close(together[1:2], whole[:, :, 10:19])
    assert (together[0] - together[1]).abs().max() > 0.01
    monkeypatch.setattr("vidbench.models.video_ldm.real.AT_ONCE", 1)
    assert torch.equal(make().sample([7, 5], 9, 10)[1:], whole[:, :, 10:19])


@pytest.mark.parametrize("name", ["once", "keys", "large", "still"])
def test_it_is_a_generator(name):
    check_generator(lambda: make(**OPTIONS[name]), length=3)


def test_without_prediction_it_is_a_generator_of_short_videos():
    settings, given = unprompted()
    for interpolate, frames in ((0, 4), (1, 13), (2, 49)):
        options = {"interpolate": interpolate, "decoder": interpolate == 2}
        generator = VideoLDM.from_states(settings, given, 32.0, **options)
        assert generator.max_frames == frames
        assert generator.sample([0], frames).shape[2] == frames
        assert sum(chunk.shape[1] for chunk in generator.stream(0)) == frames
    check_generator(lambda: VideoLDM.from_states(settings, given, 32.0, interpolate=1), length=3)


def test_it_says_what_it_is():
    made = {name: make(**options) for name, options in OPTIONS.items()}
    assert {name: each.fps for name, each in made.items()} == {
        "all": 32, "guided": 32, "once": 8, "keys": 2, "large": 2, "framewise": 2, "still": 32,
    }  # fmt: skip
    large = (SIDE * FACTOR, SIDE * FACTOR)
    assert made["all"].size == VideoLDM.size_of(CONFIG) == (SIDE, SIDE)
    assert made["large"].size == VideoLDM.training_size(CONFIG, "upsampler") == large
    assert VideoLDM.training_size(CONFIG, "decoder") == (SIDE, SIDE)
    assert all(each.max_frames is None for each in made.values())
    assert list(VideoLDM.stages) == ["autoencoder", "image", "temporal", "decoder", "interpolation", "upsampler"]
    assert (VideoLDM.needed, VideoLDM.timed_by) == (("temporal",), "temporal")


def test_windows_draw_their_noise_by_name_and_number(monkeypatch):
    """For 17 frames the upsampler makes 24, of 28 latents, of 8 latents at the lower rate, of 3 key frames."""
    asked = []

    def watched(seeds, name, index, *shape):
        asked.append((name, index, shape))
        return normal(seeds, name, index, *shape)

    monkeypatch.setattr(module, "normal", watched)
    monkeypatch.setattr("vidbench.models.video_ldm.upsampling.normal", watched)
    make(upsample=True).sample([5], 17)
    numbers, shapes = {}, {}
    for name, index, shape in asked:
        numbers.setdefault(name, []).append(index)
        shapes.setdefault(name, set()).add(shape)
    assert numbers == {
        "image": [0], "keyframes": [0], "interpolation-4": [0, 1], "interpolation-16": [*range(7)],
        "upsampler-condition": [0, 1, 2], "upsampler": [0, 1, 2],
    }  # fmt: skip
    assert shapes == {
        "image": {(4, 1, 8, 8)}, "keyframes": {(4, 4, 8, 8)}, "interpolation-4": {(4, 5, 8, 8)},
        "interpolation-16": {(4, 5, 8, 8)}, "upsampler-condition": {(3, 8, SIDE, SIDE)},
        "upsampler": {(3, 8, SIDE * FACTOR, SIDE * FACTOR)},
    }  # fmt: skip


@torch.no_grad()
def test_the_first_key_frame_is_the_image_model_s():
    generator = make(interpolate=0, decoder=False)
    noise = normal([5], "image", 0, 4, 1, 8, 8)[:, :, 0]
    unet = generator.image.unet
    z = sampled(lambda x, tau: unet(x, tau).sample, noise, generator.image.schedule, 2)[:, :, None]
    image = decoded_frames(generator.image.vae, z / SCALE).clamp(-1, 1)
    close(generator.sample([5], 1), image)
    close(make(still=True).sample([5], 1), image)


@torch.no_grad()
def test_key_frames_are_kept_when_others_are_put_between():
    latents = {}
    for levels in (0, 1, 2):
        generator = make(interpolate=levels)
        pieces = generator.interpolations([5], generator._keys([5]))
        latents[levels] = torch.cat(list(islice(pieces, 3 if levels == 0 else 30)), dim=2)
    keys = latents[0]
    assert keys.shape[2] == 4 + 2 + 2
    for levels in (1, 2):
        kept = latents[levels][:, :, :: 4**levels]
        assert torch.equal(kept[:, :, :8], keys[:, :, : kept.shape[2]])
    assert torch.equal(latents[2][:, :, ::4], latents[1][:, :, :30])


def held():
    """Bytes of all tensors that are alive."""
    gc.collect()
    tensors = [x for x in gc.get_objects() if type(x) in (torch.Tensor, torch.nn.Parameter)]
    return sum({x.untyped_storage().data_ptr(): x.untyped_storage().nbytes() for x in tensors}.values())


def test_a_long_video_takes_no_more_memory_than_a_short_one():
    """Latents and frames of all 244 frames would be 1,000 kB."""
    stream = make().stream(5)
    list(islice(stream, 12))
    before = held()
    list(islice(stream, 48))
    assert abs(held() - before) < 50_000


def test_guidance_scales_and_samplers_change_videos():
    key = {"interpolate": 0, "decoder": False}
    plain = make(**key).sample([5], 3)
    close(plain[:, :, :1], make(**key, guidance=3.0).sample([5], 1))
    options = [{"guidance": 3.0}, {"steps": 3}, {"sampler": "dpm-solver++"}]
    others = [make(**key, **option).sample([5], 3) for option in options]
    assert all((plain[:, :, 1:] - other[:, :, 1:]).abs().max() > 1e-3 for other in others)
    assert (make(interpolate=0).sample([5], 3) - plain).abs().max() > 1e-3
    once = {"interpolate": 1, "decoder": False}
    between = [make(**once, interpolation_guidance=scale).sample([5], 5) for scale in (1.0, 3.0)]
    close(between[0][:, :, ::4], between[1][:, :, ::4])
    assert (between[0][:, :, 1:4] - between[1][:, :, 1:4]).abs().max() > 1e-3


@torch.no_grad()
def test_what_is_decoded_or_enlarged_is_latents_and_frames_of_the_chain():
    generator = make(interpolate=0)
    z = torch.cat(list(islice(generator._keys([5]), 8)), dim=2) / SCALE
    close(generator.sample([5], 6), next(decoded(iter([z]), generator.decoder)).clamp(-1, 1))
    plain = make(interpolate=0, decoder=False)
    close(plain.sample([5], 8), decoded_frames(generator.image.vae, z[:, :, :8]).clamp(-1, 1))


@torch.no_grad()
def test_frame_by_frame_the_upsampler_s_temporal_layers_play_no_part():
    one, other = make(**OPTIONS["framewise"]), make(**OPTIONS["framewise"])
    perturbed(other.upsampler.network.temporal, 1.0)
    assert torch.equal(one.sample([5], 3), other.sample([5], 3))
    assert (one.sample([5], 3) - make(**OPTIONS["large"]).sample([5], 3)).abs().max() > 1e-3


def test_checkpoints_keep_its_videos():
    check_round_trip(VideoLDM, CONFIG, states())


ELSEWHERE = """
import sys, torch
from pathlib import Path
from vidbench.checkpoints import load_checkpoint
from vidbench.models.video_ldm import VideoLDM
from vidbench.models.video_ldm.config import VideoLDMConfig
torch.set_num_threads(1)
checkpoints = [load_checkpoint(path) for path in sorted(Path(sys.argv[1]).glob("*.safetensors"))]
states = {each.about.stage: each.state for each in checkpoints}
generator = VideoLDM.from_states(VideoLDMConfig(**checkpoints[0].about.config), states, 32.0, guidance=1.0)
torch.save(generator.sample([5], 10), sys.argv[1] + "/video.pt")
"""


def test_another_process_makes_the_same_video(whole, tmp_path):
    for stage, state in states().items():
        about = About(
            model="video-ldm", stage=stage, step=1, config=CONFIG.model_dump(mode="json"), tier="small", data="none",
            size=(SIDE, SIDE), fps=32.0, seed=0,
        )  # fmt: skip
        save_checkpoint(tmp_path / f"{stage}.safetensors", about, state)
    run = subprocess.run([sys.executable, "-c", ELSEWHERE, str(tmp_path)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    found = torch.load(tmp_path / "video.pt", weights_only=True)
    torch.testing.assert_close(found, whole[:, :, :10], rtol=0, atol=1e-6)


def test_missing_stages_are_named():
    with pytest.raises(
        ValueError, match=r"the stage interpolation is not trained: vidbench train .* interpolate=0 makes"
    ):
        make(without=["interpolation"])
    for stage in ("autoencoder", "image", "temporal"):
        with pytest.raises(ValueError, match=rf"the stage {stage} is not trained$"):
            make(without=[stage])
    for stage, option in (("decoder", "decoder"), ("upsampler", "upsample")):
        with pytest.raises(ValueError, match=rf"the stage {stage} is not trained$"):
            make(without=[stage], **{option: True})
    only = make(without=["decoder", "interpolation", "upsampler"], interpolate=0)
    assert only.decoder is only.interpolation is only.upsampler is None
    assert make(without=["temporal", "decoder", "interpolation"], still=True).fps == 32


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"interpolate": 3}, "interpolate is 0 to 2, not 3"),
        ({"interpolate": 1.5}, "interpolate is 0 to 2, not 1.5"),
        ({"sampler": "euler"}, r"samplers are ddim and dpm-solver\+\+, of 1 step or more"),
        ({"steps": 0}, "of 1 step or more"),
        ({"still": True, "upsample": True}, "still=true is the image model alone"),
        ({"still": True, "interpolate": 1}, "still=true is the image model alone"),
        ({"framewise": True}, "framewise=true is of the upsampler"),
        ({"prompt": "a red car"}, "this image model takes no prompt"),
        ({"image_model": "nowhere"}, "nowhere/unet/config.json does not exist"),
    ],
)
def test_options_that_cannot_be_are_refused(options, said):
    with pytest.raises(ValueError, match=said):
        make(**options)
    with pytest.raises(TypeError, match="colour"):
        make(colour=1)


def test_temporal_layers_go_into_another_image_model_if_that_is_meant():
    unet = {name: 0.9 * x for name, x in states()["image"]["unet_ema"].items()}
    given = {**states(), "image": {**states()["image"], "unet_ema": unet}}
    with pytest.raises(ValueError, match="trained on another image model than this; other_image=true takes it"):
        VideoLDM.from_states(CONFIG, given, 32.0)
    generator = VideoLDM.from_states(CONFIG, given, 32.0, other_image=True, interpolate=0)
    z, tau = torch.randn(1, 4, 4, 8, 8), torch.tensor([500])
    own = generator.image.unet
    assert all(torch.equal(x, unet[name]) for name, x in own.state_dict().items())
    with torch.no_grad():
        assert torch.equal(generator.temporal(z, tau, image_mode=True), image_by_image(own, z, tau))
        assert not torch.equal(generator.temporal(z, tau), image_by_image(own, z, tau))
    assert torch.isfinite(generator.sample([5], 3)).all()
    still = VideoLDM.from_states(CONFIG, given, 32.0, still=True)
    assert (still.sample([5], 1) - make(still=True).sample([5], 1)).abs().max() > 1e-3


def test_temporal_layers_keep_to_their_noise():
    temporal = states()["temporal"]
    for key, value in (("signal", 0.9 * temporal["trained_on"]["signal"]), ("velocity", torch.tensor(False))):
        other = {**temporal, "trained_on": {**temporal["trained_on"], key: value}}
        with pytest.raises(ValueError, match="with another noise schedule than this image model's"):
            VideoLDM.from_states(CONFIG, {**states(), "temporal": other}, 32.0, other_image=True)


@torch.no_grad()
def test_real_videos_are_decoded_with_and_without_temporal_layers():
    generator, source = make(), textures()
    generator.fingerprint, generator.checkpoint_hash = "mine", "abc"
    rows = generator.on_real(source, 16)
    assert list(rows) == ["autoencoder", "decoder"]
    found = {name: row.sample([1], 16) for name, row in rows.items()}
    video, first = rows["decoder"].pick(1)
    clip = torch.from_numpy(source.read(video, first, first + 16))[None] / 127.5 - 1
    z = encoded(generator.image.vae, clip)
    close(found["autoencoder"], decoded_frames(generator.image.vae, z).clamp(-1, 1))
    close(found["decoder"], torch.cat(list(decoded(iter([z]), generator.decoder)), dim=2).clamp(-1, 1))
    assert {row.fingerprint for row in rows.values()} == {
        f"{name} of mine/{source.fingerprint}/16" for name in ("autoencoder", "decoder")
    }
    assert {row.checkpoint_hash for row in rows.values()} == {"abc"}
    check_generator(lambda: make().on_real(source, 16)["decoder"], length=3)
    assert list(make(decoder=False).on_real(source, 16)) == ["autoencoder"]
    assert make(upsample=True).on_real(source, 16) == make(still=True).on_real(source, 16) == {}
