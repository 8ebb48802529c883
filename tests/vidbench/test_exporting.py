"""Exports: what they hold, what they say of themselves, and what they may not be written over or trained on."""

import shutil
from pathlib import Path

import pytest
import torch

from tests.vidbench.systems import Listener, Paint, make_run
from vidbench.checkpoints import load_checkpoint, read_about, restore
from vidbench.errors import UserError
from vidbench.exporting import SMALL, exported, rounded, save_export
from vidbench.registry import MODELS
from vidbench.runs import build_stage
from vidbench.trained import open_trained
from vidbench.training import train


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished training of both stages of `paint`."""
    run = make_run(tmp_path_factory.mktemp("runs") / "run")
    train(run, ["first", "second"], None, Listener())
    return run


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    """`paint` is a registered model, and sampling reads one network of each stage."""
    load = MODELS.load
    monkeypatch.setattr(MODELS, "load", lambda name: Paint if name == "paint" else load(name))
    monkeypatch.setattr(Paint, "sampled", {"first": ("hue",), "second": ("hue",)})


def export(run, out, *stages, precision=torch.float16):
    return save_export(exported(open_trained(run.folder), stages, precision), out)


def test_an_export_is_a_run_s_folder_that_says_what_it_is(run, tmp_path):
    written = export(run, tmp_path / "out")
    assert [path.relative_to(tmp_path / "out").as_posix() for path in written] == [
        "first/best.safetensors", "second/best.safetensors"
    ]  # fmt: skip
    ours, theirs = read_about(run.best("first")), read_about(written[0])
    assert theirs.origin == "exported by vidbench for sampling, weights in float16; trained by vidbench"
    assert theirs == ours.model_copy(update={"origin": theirs.origin, "optimizers": ()})
    assert theirs.value is not None
    for name in ("config.yaml", "log.jsonl"):
        assert (tmp_path / "out" / name).read_bytes() == (run.folder / name).read_bytes()
    assert torch.equal(open_trained(tmp_path / "out").generator().sample([0], 4),
                       open_trained(run.folder).generator().sample([0], 4))  # fmt: skip


def test_only_the_stages_asked_for_are_exported_and_an_older_export_goes(run, tmp_path):
    export(run, tmp_path / "out")
    [written] = export(run, tmp_path / "out", "second")
    assert list((tmp_path / "out").glob("*/*.safetensors")) == [written]
    with pytest.raises(UserError, match=r'No stage of paint to export named "third".*Known: first, second'):
        export(run, tmp_path / "out", "third")


def test_a_file_that_lies_in_no_run_is_named_as_it_is_and_takes_nothing_with_it(run, tmp_path, monkeypatch):
    (tmp_path / "files").mkdir()
    (tmp_path / "config.yaml").write_text("something: else")
    monkeypatch.chdir(tmp_path / "files")
    for name in ("best.safetensors", "mine.safetensors"):
        shutil.copy(run.best("first"), name)
        alone = open_trained(Path(name))
        assert alone.generator().checkpoint == str(alone) == name
        save_export(exported(alone, (), torch.float16), Path("out"))
        assert [path.name for path in Path("out").iterdir()] == ["first"]


def test_configuration_and_log_of_an_older_export_go_with_it(run, tmp_path):
    export(run, tmp_path / "out")
    shutil.copy(run.best("first"), tmp_path / "mine.safetensors")
    save_export(exported(open_trained(tmp_path / "mine.safetensors"), (), torch.float16), tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"first", "second"}
    assert [path.parent.name for path in (tmp_path / "out").rglob("*.safetensors")] == ["first"]


def test_another_system_is_refused_and_so_is_what_sampling_reads_nothing_of(run, tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"is a checkpoint of paint, not of stylegan-v"):
        exported(open_trained(run.folder, "stylegan-v"), (), torch.float16)
    monkeypatch.setattr(Paint, "sampled", {"second": ("hue",)})
    with pytest.raises(UserError, match=r"best.safetensors holds nothing that paint samples with: first"):
        shutil.copy(run.best("first"), tmp_path / "best.safetensors")
        exported(open_trained(tmp_path / "best.safetensors"), (), torch.float16)


def test_networks_that_sampling_does_not_read_stay_behind(run, tmp_path, monkeypatch):
    monkeypatch.setattr(Paint, "sampled", {"second": ("hue",)})
    [written] = export(run, tmp_path / "out")
    assert written.parent.name == "second" and load_checkpoint(written).state.keys() == {"hue"}


def test_weights_are_rounded_and_what_is_small_or_too_large_is_not():
    weights = torch.full((SMALL + 1,), 1 / 3)
    assert rounded(weights, torch.float16).dtype == torch.float16
    assert rounded(weights.double(), torch.float32).dtype == torch.float32
    for exact in (weights[:SMALL], 1e6 * weights, torch.arange(SMALL + 1)):
        assert rounded(exact, torch.float16) is exact


def test_networks_that_others_know_by_their_bits_stay_exact(run, tmp_path, monkeypatch):
    monkeypatch.setattr("vidbench.exporting.SMALL", 0)
    monkeypatch.setattr(Paint, "exact", ("second/hue",))
    dtypes = [load_checkpoint(path).state["hue"]["colour"].dtype for path in export(run, tmp_path / "out")]
    assert dtypes == [torch.float16, torch.float32]


def test_a_training_run_is_not_written_over(run, tmp_path):
    with pytest.raises(UserError, match=r"run holds a training run. Export to another folder"):
        export(run, run.folder)


def test_an_export_cannot_be_trained_on(run, tmp_path):
    written = export(run, tmp_path / "out")
    with pytest.raises(UserError, match=r"best.safetensors cannot be trained on: it lacks hue. Start another run"):
        restore(build_stage(run, "first"), load_checkpoint(written[0]))
