"""Which weights are meant: those named, else the newest run on the data, else those that ship."""

import os

import pytest
import torch

from tests.vidbench.systems import Hue, Paint, settings
from vidbench import trained
from vidbench.checkpoints import About, file_hash, read_about, save_checkpoint
from vidbench.errors import UserError
from vidbench.registry import MODELS
from vidbench.trained import choose_trained, open_trained


@pytest.fixture(autouse=True)
def registered(tmp_path, monkeypatch):
    """`paint` is a registered model, and the package that ships checkpoints is elsewhere."""
    load = MODELS.load
    monkeypatch.setattr(MODELS, "load", lambda name: Paint if name == "paint" else load(name))
    monkeypatch.setattr(trained, "files", lambda package: tmp_path / "package")


def put(run, stage="first", name="last", data="toy-ride", value=0.0, age=0, model="paint", step=1):
    """A checkpoint of a run's folder, so many seconds old."""
    hue = Hue()
    torch.nn.init.constant_(hue.colour, value)
    path = run / stage / f"{name}.safetensors"
    about = About(
        model=model, stage=stage, step=step, config=settings().model_dump(mode="json"), tier="quick", data=data,
        size=(8, 8), fps=12.0, seed=0,
    )  # fmt: skip
    save_checkpoint(path, about, {"hue": hue.state_dict()})
    os.utime(path, (10**9 - age, 10**9 - age))
    return path


def chosen(tmp_path, checkpoint=None, data="toy-ride"):
    found = choose_trained("paint", checkpoint, data, tmp_path / "runs")
    return found and [path.relative_to(tmp_path).as_posix() for path in found.paths]


def test_there_may_be_nothing(tmp_path):
    assert chosen(tmp_path) is None


def test_what_is_named_comes_before_runs_and_those_before_what_ships(tmp_path):
    shipped = put(tmp_path / "package/results/toy/paint/toy-ride-tiny")
    assert chosen(tmp_path) == [shipped.relative_to(tmp_path).as_posix()]
    own = put(tmp_path / "runs/paint/toy-ride-tiny", age=100)
    assert chosen(tmp_path) == [own.relative_to(tmp_path).as_posix()]
    named = put(tmp_path / "elsewhere", age=200)
    assert chosen(tmp_path, tmp_path / "elsewhere") == ["elsewhere/first/last.safetensors"]
    assert chosen(tmp_path, named) == ["elsewhere/first/last.safetensors"]


def test_the_newest_run_by_its_weights_is_taken(tmp_path):
    runs = tmp_path / "runs/paint"
    put(runs / "toy-ride-b", age=10)
    put(runs / "toy-ride-a", age=20)
    assert chosen(tmp_path) == ["runs/paint/toy-ride-b/first/last.safetensors"]
    put(runs / "toy-ride-a", age=5)
    assert chosen(tmp_path) == ["runs/paint/toy-ride-a/first/last.safetensors"]


def test_the_best_comes_before_the_last(tmp_path):
    for name in ("last", "best"):
        put(tmp_path / "runs/paint/toy-ride-a", name=name)
    assert chosen(tmp_path) == ["runs/paint/toy-ride-a/first/best.safetensors"]


def test_a_run_on_other_data_is_not_meant_even_if_its_name_begins_alike(tmp_path):
    put(tmp_path / "runs/paint/toy-ride-long-tiny", data="toy-ride-long")
    assert chosen(tmp_path) is None
    assert chosen(tmp_path, data="toy-ride-long") == ["runs/paint/toy-ride-long-tiny/first/last.safetensors"]


def test_a_run_without_a_stage_that_sampling_needs_is_passed_over(tmp_path):
    put(tmp_path / "runs/paint/toy-ride-new", stage="second")
    put(tmp_path / "runs/paint/toy-ride-old", age=50)
    assert chosen(tmp_path) == ["runs/paint/toy-ride-old/first/last.safetensors"]


def test_all_stages_of_a_folder_are_taken(tmp_path):
    for stage, value in {"first": 0.25, "second": 0.5}.items():
        put(tmp_path / "run", stage=stage, value=value)
    (tmp_path / "run" / "samples").mkdir()
    (tmp_path / "run" / "log.jsonl").touch()
    found = open_trained(tmp_path / "run")
    assert [path.parent.name for path in found.paths] == ["first", "second"]
    assert found.model == "paint"
    assert found.generator().sample([0], 1).mean() == pytest.approx(0.5)


def test_a_generator_says_what_it_is_of(tmp_path):
    runs = [put(tmp_path / "a", value=0.25), put(tmp_path / "b", value=0.5)]
    one, other = (open_trained(path).generator() for path in runs)
    assert one.fps == 12.0
    assert len({one.fingerprint, other.fingerprint, open_trained(runs[0]).generator(strength=0.5).fingerprint}) == 3
    assert open_trained(runs[0]).generator().fingerprint == one.fingerprint
    assert one.checkpoint_hash != other.checkpoint_hash


def test_weights_that_a_training_replaces_while_they_are_read_go_by_their_own_hash(tmp_path, monkeypatch):
    path = put(tmp_path / "run", value=0.25)

    def replaced(paths):
        if read_about(path).step == 1:
            put(tmp_path / "run", value=0.5, step=2)
        return file_hash(paths)

    monkeypatch.setattr(trained, "file_hash", replaced)
    generator = open_trained(path).generator()
    assert generator.sample([0], 1).mean() == pytest.approx(0.5, abs=0.1)
    assert generator.checkpoint_hash == file_hash([path])


def test_bad_input_ends_in_one_sentence(tmp_path):
    with pytest.raises(UserError, match=r"There is no checkpoint .*nothing"):
        open_trained(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty holds no checkpoint. Name a run's folder"):
        open_trained(tmp_path / "empty")
    path = put(tmp_path / "run", model="stylegan-v")
    with pytest.raises(UserError, match=r"last.safetensors is a checkpoint of stylegan-v, not of paint"):
        open_trained(path, "paint").generator()
    path = put(tmp_path / "run")
    with pytest.raises(UserError, match=r"last.safetensors: .*unexpected keyword argument 'hue_of_sky'"):
        open_trained(path).generator(hue_of_sky=1)
    with pytest.raises(UserError, match='There is no device "abacus" here'):
        open_trained(path).generator("abacus")
    path = put(tmp_path / "other", stage="third")
    with pytest.raises(UserError, match="the stage first is not trained"):
        open_trained(path).generator()
