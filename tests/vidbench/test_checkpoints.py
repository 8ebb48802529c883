"""Checkpoints: everything that training goes on from, whole or not at all, and refused by name if they are not that."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from tests.vidbench.systems import Paint, Tint, make_run
from vidbench.checkpoints import KEY, file_hash, load_checkpoint, read_about, restore, save_checkpoint
from vidbench.errors import UserError
from vidbench.runs import about, build_stage
from vidbench.stage import Step


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "run")


def advance(stage: Tint, steps: range) -> None:
    for index in steps:
        stage.update({"real": {"colour": torch.full((4, 3), 0.5)}}, Step(0, "first", index, 4))


def saved(run, path, steps=3):
    stage = build_stage(run, "first")
    advance(stage, range(steps))
    save_checkpoint(path, about(run, stage, steps, metric="fvd16", value=1.5), stage.state(), stage.optimizers)
    return stage


def test_training_goes_on_from_a_checkpoint_as_if_nothing_had_been(run, tmp_path):
    stage = saved(run, tmp_path / "a.safetensors")
    other = build_stage(run, "first")
    restore(other, load_checkpoint(tmp_path / "a.safetensors"))
    advance(stage, range(3, 6))
    advance(other, range(3, 6))
    assert torch.equal(stage.hue.colour, other.hue.colour)
    assert torch.equal(stage.hue.seen, other.hue.seen)
    for mine, theirs in zip(*(s.optimizers["hue"].state.values() for s in (stage, other)), strict=True):
        assert mine.keys() == theirs.keys() == {"step", "exp_avg", "exp_avg_sq"}
        assert all(torch.equal(mine[key], theirs[key]) for key in mine)


def test_a_checkpoint_says_what_it_is_without_its_tensors_being_read(run, tmp_path):
    saved(run, tmp_path / "a.safetensors")
    found = read_about(tmp_path / "a.safetensors")
    assert found == load_checkpoint(tmp_path / "a.safetensors").about
    assert (found.model, found.stage, found.step, found.tier, found.data) == ("paint", "first", 3, "quick", "bright")
    assert (found.size, found.fps, found.metric, found.value) == ((8, 8), 25.0, "fvd16", 1.5)
    assert found.optimizers == ("hue",)
    assert Paint.config_type(**found.config) == run.config
    assert {"vidbench", "torch"} <= found.versions.keys()


@pytest.mark.parametrize(
    "make", [lambda p: torch.optim.SGD(p, 0.1), lambda p: torch.optim.SGD(p, 0.1, momentum=0.9), torch.optim.AdamW]
)
def test_any_optimiser_is_kept_also_one_without_state(run, tmp_path, make):
    stage, other = build_stage(run, "first"), build_stage(run, "first")
    for each in (stage, other):
        each.optimizers = {"hue": make(each.hue.parameters())}
    advance(stage, range(3))
    save_checkpoint(tmp_path / "a.safetensors", about(run, stage, 3), stage.state(), stage.optimizers)
    restore(other, load_checkpoint(tmp_path / "a.safetensors"))
    advance(stage, range(3, 5))
    advance(other, range(3, 5))
    assert torch.equal(stage.hue.colour, other.hue.colour)


def test_a_checkpoint_for_sampling_cannot_be_trained_on(run, tmp_path):
    stage = build_stage(run, "first")
    save_checkpoint(tmp_path / "best.safetensors", about(run, stage, 3), stage.state())
    with pytest.raises(UserError, match=r"best.safetensors cannot be trained on: it lacks hue. Start another run."):
        restore(stage, load_checkpoint(tmp_path / "best.safetensors"))


def test_networks_of_another_shape_are_named(run, tmp_path):
    stage = saved(run, tmp_path / "a.safetensors")
    stage.networks = {"hue": nn.Linear(2, 2)}
    with pytest.raises(UserError, match=r"a.safetensors, hue: .*weight is missing.*Check the configuration"):
        restore(stage, load_checkpoint(tmp_path / "a.safetensors"))


def hostile(path, run):
    """Files that are no checkpoints, by how they came about."""
    saved(run, path)
    whole, tensors = path.read_bytes(), load_file(path)
    values = json.loads(read_about(path).model_dump_json())
    yield "empty", lambda: path.write_bytes(b"")
    for cut in (4, 100, len(whole) - 1):
        yield f"cut at {cut}", lambda cut=cut: path.write_bytes(whole[:cut])
    yield "a pickle", lambda: torch.save({"weight": torch.ones(3)}, path)
    yield "without metadata", lambda: save_file(tensors, path)
    for name, text in {
        "no JSON": "{",
        "a list": "[1]",
        "no version": "{}",
        "a text as version": json.dumps({**values, "schema_version": "new"}),
        "a step that is none": json.dumps({**values, "step": "many"}),
        "a key too many": json.dumps({**values, "colour": 1}),
    }.items():
        yield name, lambda text=text: save_file(tensors, path, {KEY: text})
    for name in ("weights", "odd/hue/colour", "networks/hue"):
        odd = {**tensors, name: torch.ones(1)}
        yield f"a tensor {name}", lambda odd=odd: save_file(odd, path, {KEY: json.dumps(values)})


def test_what_is_no_checkpoint_is_refused_by_name(run, tmp_path):
    path = tmp_path / "odd.safetensors"
    for _, damage in hostile(path, run):
        damage()
        with pytest.raises(UserError, match=r"odd.safetensors is no checkpoint of vidbench, or is damaged \(.+\)"):
            load_checkpoint(path)


def test_a_newer_vidbench_s_checkpoint_asks_for_an_upgrade(run, tmp_path):
    path = tmp_path / "new.safetensors"
    saved(run, path)
    values = {**json.loads(read_about(path).model_dump_json()), "schema_version": 2, "unheard": "of"}
    save_file(load_file(path), path, {KEY: json.dumps(values)})
    with pytest.raises(UserError, match=r"new.safetensors was written by a newer vidbench. Upgrade"):
        load_checkpoint(path)


def test_a_file_that_is_not_there_and_a_folder_are_named(tmp_path):
    with pytest.raises(UserError, match=r"There is no checkpoint .*none.safetensors"):
        load_checkpoint(tmp_path / "none.safetensors")
    with pytest.raises(UserError, match="is no checkpoint"):
        load_checkpoint(tmp_path)


def test_a_checkpoint_that_cannot_be_completed_leaves_the_old_one(run, tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    stage = saved(run, path)
    before = path.read_bytes()

    def full(tensors, file, metadata):
        file.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vidbench.checkpoints.save_file", full)
    with pytest.raises(UserError, match="No space left on device"):
        save_checkpoint(path, about(run, stage, 9), stage.state())
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.safetensors"]


def test_the_hash_is_that_of_the_contents(tmp_path):
    for name, content in {"a": b"1", "b": b"2", "c": b"1"}.items():
        (tmp_path / name).write_bytes(content)
    a, b, c = (tmp_path / name for name in "abc")
    assert file_hash([a]) == file_hash([c]) != file_hash([b])
    assert file_hash([a, b]) != file_hash([b, a])
