"""Training of all stages: stopped and gone on, by two processes, on any layout of memory, in a folder's image model."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from diffusers import DDIMScheduler

from tests.models.two_processes import together
from tests.models.video_ldm.small import autoencoder, plain_unet
from tests.models.video_ldm.stages import (
    FACTOR,
    NAMES,
    SIDE,
    build,
    config,
    copied,
    moved,
    parts,
    textures,
    update,
)
from tests.vidbench.systems import Listener
from vidbench.checkpoints import load_checkpoint, read_about
from vidbench.errors import UserError
from vidbench.models.video_ldm import VideoLDM
from vidbench.runs import Run, build_stage
from vidbench.training import train


def training(folder: Path, settings=None, **values) -> Run:
    """A run on a few textures, of one level of interpolation."""
    every = {"steps": 3, "checkpoint_every": 2, "evaluate_every": 3} | values
    settings = settings or config({"levels": 1}, every)
    large = textures(SIDE * FACTOR, 20)
    return Run(
        "video-ldm", VideoLDM, settings, "small", textures(frames=20), "toy3d", folder, workers=0,
        others={"upsampler": large},
    )  # fmt: skip


def test_a_training_that_was_stopped_ends_as_one_that_was_not(tmp_path, monkeypatch):
    monkeypatch.setattr("vidbench.training.Judge.look", lambda *arguments: None)
    whole, halves = (training(tmp_path / name) for name in ("whole", "halves"))
    train(whole, NAMES, None, Listener())
    listener = Listener()
    for name in NAMES:
        for steps in (1, 2, None) if name == "upsampler" else (1, None):
            train(halves, [name], steps, listener)
    assert all(f"{name}: goes on at step 1 of" in listener.heard() for name in NAMES)
    for name in NAMES:
        one, two = (load_checkpoint(run.last(name)) for run in (whole, halves))
        for ours, other in ((one.state, two.state), (one.optimizers, two.optimizers)):
            assert ours.keys() == other.keys() != set()
            for key, tensors in ours.items():
                assert all(torch.equal(tensor, other[key][tensor_name]) for tensor_name, tensor in tensors.items()), key


def test_each_stage_is_scored_and_seen(tmp_path):
    run = training(tmp_path / "run", steps=1, evaluate_every=1)
    train(run, NAMES, None, Listener())
    for name in NAMES:
        assert read_about(run.best(name)).metric == "fvd16@2[toy3d]"
        assert (run.folder / "samples" / f"{name}-0000001.mp4").exists()


@pytest.mark.parametrize("name", NAMES)
def test_two_processes_do_what_one_does(name, monkeypatch):
    """With plain gradient descent: how far weights move is how large gradients are."""
    index = 2 if name == "upsampler" else 1

    def make():
        stage = build(name)
        for key, optimizer in stage.optimizers.items():
            stage.optimizers[key] = torch.optim.SGD(optimizer.param_groups[0]["params"], 1e-3)
        return stage

    stage = make()
    start = copied(stage)
    update(stage, index)
    now, (own, beside) = copied(stage), map(copied, together(update, make, index, monkeypatch))
    assert parts(moved(start, stage))
    for key, first in start.items():
        assert torch.equal(own[key], beside[key]), key
        way = now[key] - first if first.is_floating_point() else None
        if way is not None:
            bound = 1e-6 + 5e-3 * way.abs().max().item()
            torch.testing.assert_close(own[key] - first, way, rtol=0, atol=bound, msg=key)


CHANNELS_LAST = """
import torch
from tests.models.video_ldm import stages
torch.set_num_threads(1)
plain = stages.batches
def last(stage, step):
    real = plain(stage, step)["real"]
    return {"real": real | {"clip": real["clip"].contiguous(memory_format=torch.channels_last_3d)}}
for name in stages.NAMES:
    index, losses = 2 if name == "upsampler" else 1, []
    for stages.batches in (plain, last):
        losses.append(stages.update(stages.build(name), index))
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-5, atol=1e-5, msg=name)
print("done")
"""


def test_clips_with_channels_last_are_trained_on_alike():
    """Where nothing is done about it, the gradient of a group norm ends the process on the CPU."""
    run = subprocess.run([sys.executable, "-c", CHANNELS_LAST], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (0, "done\n"), run.stderr


@pytest.fixture
def folder(tmp_path) -> Path:
    """An image model in the layout of diffusers, for frames whose sides divide by 16."""
    place = tmp_path / "mine"
    plain_unet().save_pretrained(place / "unet")
    autoencoder(scaling_factor=0.7).save_pretrained(place / "vae")
    DDIMScheduler().save_pretrained(place / "scheduler")
    return place


def test_an_image_model_of_a_folder_is_trained_on_and_sampled_wherever_it_lies(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("vidbench.training.Judge.look", lambda *arguments: None)
    settings = config({"levels": 1, "image_model": str(folder)}, {"steps": 2, "metric": "fvd16@2"})
    run = training(tmp_path / "run", settings)
    planned = [name for name in NAMES if getattr(settings.stages, name) is not None]
    assert planned == NAMES[2:]
    train(run, planned[:-1], None, Listener())
    stage = build_stage(run, "temporal")
    assert stage.image.scaling_factor == 0.7
    assert not stage.diffusion.predicts_velocity
    assert not stage.diffusion.schedule["clip_sample"]
    given = {name: load_checkpoint(run.last(name)).state for name in planned[:-1]}
    video = VideoLDM.from_states(settings, given, 32.0).sample([5], 9)
    assert torch.isfinite(video).all()
    moved_to = folder.rename(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match=r"mine/unet/config\.json does not exist"):
        VideoLDM.from_states(settings, given, 32.0)
    assert torch.equal(VideoLDM.from_states(settings, given, 32.0, image_model=str(moved_to)).sample([5], 9), video)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"image_model": "absent"}, r"cannot begin: .*absent/unet/config.json does not exist"),
        ({"height": 24}, r"frames of 24x16 do not divide by 16, as the image model in .*mine needs\.$"),
        ({"prompt": "a red car"}, r"the image model in .*mine takes no prompt\.$"),
    ],
)
def test_an_image_model_that_does_not_fit_ends_in_one_sentence(folder, tmp_path, model, said):
    settings = config({"levels": 1, "image_model": str(folder)} | model)
    with pytest.raises(UserError, match=said) as raised:
        build_stage(training(tmp_path / "run", settings), "temporal")
    assert "\n" not in str(raised.value)


def test_without_an_image_model_stages_are_trained_in_order():
    for name, missing in (("image", "autoencoder"), ("temporal", "autoencoder"), ("interpolation", "autoencoder")):
        with pytest.raises(ValueError, match=f"the stage {missing} is not trained"):
            build(name, before={})
