"""`vidbench import`: an authors' file becomes a run that samples, or is refused in one sentence."""

import json
from pathlib import Path

import pytest
import yaml
from safetensors.torch import load_file

from tests.e2e.running import Run
from tests.weights.persisting import attributes, call, file, module
from vidbench.checkpoints import file_hash, load_checkpoint

SMALL = Path(__file__).parents[1] / "reference" / "stylegan_v" / "tiny_checkpoint.pkl"
FOLDER = Path("runs/stylegan-v/imported-tiny_checkpoint")


def test_an_imported_run_holds_the_recorded_tensors_and_where_they_are_from(run: Run) -> None:
    shown = run("import", "stylegan-v", SMALL)
    assert "gan: G_ema, 70 tensors" in shown.stderr and f"--checkpoint {FOLDER}" in shown.stderr
    checkpoint = load_checkpoint(FOLDER / "gan" / "last.safetensors")
    found = {f"state/{part}.{name}": x for part, own in checkpoint.state.items() for name, x in own.items()}
    expected = {name: x for name, x in load_file(SMALL.with_suffix(".safetensors")).items() if name[:6] == "state/"}
    assert found.keys() == expected.keys()
    assert all(found[name].equal(expected[name]) for name in expected)
    digest = file_hash([SMALL])
    assert checkpoint.about.origin == f"imported by vidbench: G, D, G_ema of tiny_checkpoint.pkl (SHA-256 {digest})"
    assert (checkpoint.about.step, checkpoint.about.size, checkpoint.about.fps) == (10, (32, 32), 25)
    described = yaml.safe_load((FOLDER / "config.yaml").read_text())
    assert described["imported"] == {"tiny_checkpoint.pkl": digest}
    assert described["config"] == checkpoint.about.config


def test_an_imported_run_is_sampled(run: Run) -> None:
    run("import", "stylegan-v", SMALL, "--fps", 30)
    run("sample", "--checkpoint", FOLDER, "-n", 1, "--frames", 3, "--as", "png")
    assert len(list(Path("samples").rglob("*.png"))) == 4, "three frames and a contact sheet"
    assert json.loads(Path("samples/stylegan-v.json").read_text())


def test_a_dry_run_writes_nothing(run: Run) -> None:
    shown = run("import", "stylegan-v", SMALL, "--dry-run", "--json")
    assert json.loads(shown.stdout)["config"]["model"]["resolution"] == 32
    assert not Path("runs").exists()


def test_importing_again_is_harmless_and_another_file_is_not_written_over_it(run: Run) -> None:
    run("import", "stylegan-v", SMALL)
    run("import", "stylegan-v", SMALL)
    shown = run("import", "stylegan-v", SMALL, "--fps", 30, code=2)
    assert "holds another run" in shown.stderr


HOSTILE = {
    "os.system": (call("posix.system", "touch ran"), "posix.system"),
    "builtins.eval": (call("builtins.eval", "open('ran', 'w')"), "builtins.eval"),
    "builtins.getattr": (call("builtins.getattr", "x", "upper"), "builtins.getattr"),
    "another version": (module(attributes(), version=5), "version 5"),
    "another type": (module(attributes(), type="function"), "function"),
    "no StyleGAN-V": ({"G_ema": module(attributes())}, "cannot be imported as stylegan-v"),
}


@pytest.mark.parametrize(("value", "reason"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_files_end_in_one_sentence(run: Run, value: object, reason: str) -> None:
    Path("evil.pkl").write_bytes(file(value))
    shown = run("import", "stylegan-v", "evil.pkl", code=2)
    assert shown.stderr.count("\n") == 1 and reason in shown.stderr and "evil.pkl" in shown.stderr
    assert not Path("ran").exists() and not Path("runs").exists()


@pytest.mark.parametrize("length", [0, 3, 700, 100_000, 710_738])
def test_truncated_files_end_in_one_sentence(run: Run, length: int) -> None:
    Path("part.pkl").write_bytes(SMALL.read_bytes()[:length])
    shown = run("import", "stylegan-v", "part.pkl", code=2)
    assert shown.stderr.count("\n") == 1 and "part.pkl is not a readable pickle of networks" in shown.stderr


def test_models_that_cannot_be_imported_are_named(run: Run) -> None:
    assert "freeze is not trained" in run("import", "freeze", SMALL, code=2).stderr
    assert "stylegan-v" in run("import", "stylegan", SMALL, code=2).stderr
    assert "cannot be read" in run("import", "stylegan-v", "none.pkl", code=2).stderr
