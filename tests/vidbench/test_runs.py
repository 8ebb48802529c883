"""Runs: what they are called, and that what is trained on a data set is found under its name again."""

from dataclasses import replace

import numpy as np
import pytest
import yaml
from PIL import Image

from vidbench import trained
from vidbench.checkpoints import save_checkpoint
from vidbench.datasets import load_dataset
from vidbench.runs import about, build_stage, claim, open_run
from vidbench.trained import choose_trained, folder_name


def opened(out, *, data="toy-ride", real=None):
    run, _ = open_run(
        model="stylegan-v", stages=(), data=data, real=real, split=None, backbone="toy3d", tier="ci", config_path=None,
        changes=(), out=out, seed=0, device="cpu", workers=0, steps=None,
    )  # fmt: skip
    return run


def frames(folder):
    """Two videos of frames, which lie in folders below it."""
    for video in ("a", "b"):
        (folder / video).mkdir(parents=True)
        for index in range(3):
            Image.fromarray(np.full((32, 32, 3), index, np.uint8)).save(folder / video / f"{index:06d}.png")


def found(run, out, data):
    """Whether a checkpoint of the run is the one that is meant by the name of its data."""
    stage = build_stage(run, "gan")
    save_checkpoint(run.last("gan"), about(run, stage, 1), {"G_ema": stage.state()["G_ema"]})
    chosen = choose_trained("stylegan-v", None, data, out)
    return chosen is not None and chosen.paths == (run.last("gan"),)


def test_a_new_measurement_of_how_long_steps_take_makes_no_other_run(tmp_path):
    """A folder refuses another configuration; what a step costs is none of what decides the weights."""
    run = opened(tmp_path)
    gan = run.config.stages.gan.model_copy(update={"cost": 7.0})
    stages = run.config.stages.model_copy(update={"gan": gan})
    again = replace(run, config=run.config.model_copy(update={"stages": stages}))
    assert again.describe() == run.describe()
    claim(run)
    path = run.folder / "config.yaml"
    written = yaml.safe_load(path.read_text())
    written["config"]["stages"]["gan"]["cost"] = 3.0  # by an earlier version
    path.write_text(yaml.safe_dump(written))
    (run.folder / "gan").mkdir()
    (run.folder / "gan" / "last.safetensors").touch()
    claim(again)


@pytest.fixture(autouse=True)
def nothing_ships(tmp_path, monkeypatch):
    monkeypatch.setattr(trained, "files", lambda package: tmp_path / "package")


def test_a_run_on_a_data_set_on_disk_bears_the_name_of_the_data_set(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDBENCH_DATA", str(tmp_path / "sets"))
    frames(tmp_path / "sets" / load_dataset("rainbow-jelly").path)
    run = opened(tmp_path / "runs", data="rainbow-jelly")
    assert run.folder == tmp_path / "runs/stylegan-v/rainbow-jelly-ci"
    assert run.describe()["data"]["name"] == "rainbow-jelly"
    assert found(run, tmp_path / "runs", "rainbow-jelly")


@pytest.mark.parametrize("name", ["my clips", "[clips]*", "clips.v2"])
def test_a_run_on_videos_of_any_name_is_found_by_that_name(tmp_path, name):
    frames(tmp_path / name)
    run = opened(tmp_path / "runs", real=str(tmp_path / name))
    assert run.folder.name == f"{folder_name(name)}-ci"
    assert found(run, tmp_path / "runs", name)
    assert choose_trained("stylegan-v", None, "/clips", tmp_path / "runs") is None
