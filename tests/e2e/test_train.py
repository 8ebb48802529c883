"""`vidbench train`, `vidbench sample` and what follows, as a user would run them."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

import vidbench
from tests.e2e.running import Run
from tests.vidbench.test_ranks import free_port
from vidbench.checkpoints import load_checkpoint, read_about
from vidbench.cli import cli
from vidbench.journal import read_log
from vidbench.sources import open_source

QUICK = [
    "stages.gan.steps=6",
    "stages.gan.checkpoint_every=2",
    "stages.gan.evaluate_every=6",
    "stages.gan.metric=fvd16@4",
]
TRAIN = ["train", "--tier", "ci", "--workers", "0", *(word for change in QUICK for word in ("--set", change))]
FOLDER = "stylegan-v/toy-ride-ci+" + "+".join(QUICK).replace("@", "_")


def start(place: Path, *arguments: str, launcher: tuple[str, ...] = ("-m", "vidbench")) -> subprocess.Popen[str]:
    """The command in a process and a folder of its own."""
    own = {"PYTHONPATH": str(Path(vidbench.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, *launcher, *arguments], cwd=place, env={**os.environ, **own}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def finish(process: subprocess.Popen[str]) -> str:
    """What it said."""
    _, said = process.communicate(timeout=90)
    assert process.returncode == 0, said
    return said


def weights(run: Path) -> dict[str, torch.Tensor]:
    """All tensors of the last checkpoint: networks and optimisers."""
    checkpoint = load_checkpoint(run / "gan" / "last.safetensors")
    parts = {**checkpoint.state, **{f"optimizer {name}": part for name, part in checkpoint.optimizers.items()}}
    return {f"{part}.{name}": tensor for part, tensors in parts.items() for name, tensor in tensors.items()}


def require_equal(a: Path, b: Path) -> None:
    mine, theirs = weights(a), weights(b)
    assert mine.keys() == theirs.keys()
    different = [name for name in mine if not torch.equal(mine[name], theirs[name])]
    assert not different, different


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing interrupts; its folder."""
    place = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("VIDBENCH_CACHE", str(place / "cache"))
        result = CliRunner().invoke(cli, TRAIN)
    said = result.stderr
    assert result.exit_code == 0, said
    assert "toy-ride (train): 10,000 videos at 32x32" in said
    assert "gan: 6 steps of 2 samples; parameters: G 0.40 M, D 0.38 M" in said
    assert "gan: step 6, fvd16@4[toy3d]" in said
    assert f"vidbench sample --model stylegan-v --checkpoint runs/{FOLDER}" in said
    return place / "runs" / FOLDER


@pytest.fixture
def trained(whole: Path, run: Run) -> Run:
    """The command in a folder with that run in it."""
    Path("runs/stylegan-v").mkdir(parents=True)
    Path(f"runs/{FOLDER}").symlink_to(whole)
    return run


def test_a_run_leaves_everything_in_its_folder(whole: Path) -> None:
    assert {path.name for path in whole.iterdir()} == {".lock", "config.yaml", "gan", "log.jsonl", "samples", "tb"}
    assert {path.name for path in (whole / "samples").iterdir()} == {"gan-0000006.mp4", "gan-0000006.png"}
    assert [line["step"] for line in read_log(whole / "log.jsonl")] == [6, 6]
    about = read_about(whole / "gan" / "best.safetensors")
    assert (about.model, about.data, about.split, about.step) == ("stylegan-v", "toy-ride", "train", 6)


def test_a_run_that_is_killed_at_any_step_and_resumed_is_bit_for_bit_the_same(whole: Path, tmp_path: Path) -> None:
    process = start(tmp_path, *TRAIN)
    last = tmp_path / "runs" / FOLDER / "gan" / "last.safetensors"
    while not last.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    time.sleep(0.1 * (time.time() % 1))  # in the middle of some step
    process.kill()
    assert process.wait() == -signal.SIGKILL
    step = read_about(last).step
    assert step in (2, 4)
    assert f"gan: goes on at step {step} of 6" in finish(start(tmp_path, *TRAIN))
    require_equal(whole, tmp_path / "runs" / FOLDER)


def test_two_processes_train_as_one(run: Run, tmp_path: Path) -> None:
    """The four samples of each step are shared; minibatch statistics keep their groups.

    Adam's first steps are as long as its rate whatever the gradient: where that is rounding noise, signs may differ.
    """
    same = ("--set", "stages.gan.batch=4", "--set", "model.mbstd_group_size=2", "--steps", "2")
    torchrun = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", free_port(), "-m", "vidbench")
    both = start(tmp_path, *TRAIN, *same, "--out", "two", launcher=torchrun)
    run(*TRAIN, *same, "--out", "one")
    finish(both)
    one, two = (next(tmp_path.glob(f"{name}/*/*")) for name in ("one", "two"))
    mine, theirs = weights(one), weights(two)
    assert mine.keys() == theirs.keys()
    for name, tensor in mine.items():
        difference = (tensor - theirs[name]).abs()
        assert difference.max() < 5 * 0.0025 and (difference > 5e-4).sum() <= 2 + tensor.numel() // 500, name
    assert mine["optimizer G.0/step"] == 2


def test_run_again_it_is_done_and_another_seed_is_refused(trained: Run) -> None:
    assert "gan: its 6 steps are done" in trained(*TRAIN).stderr
    result = trained(*TRAIN, "--seed", 1, code=2)
    assert "holds another run: seed differs (0, 1). Train with another --out" in result.stderr
    assert (
        "to runs/" + FOLDER + "+stages.gan.lr=0.001"
        in trained(*TRAIN, "--set", "stages.gan.lr=0.001", "--dry-run").stderr
    )


def test_samples_are_written_and_scored_like_the_run_itself(trained: Run) -> None:
    asked = ("-n", 5, "--frames", 16, "--as", "png", "--json")
    paths = json.loads(trained("sample", *asked).stdout)
    assert Path(paths[-1]).name == "stylegan-v.json"
    record = json.loads(Path(paths[-1]).read_text())
    assert record["checkpoint"] == f"runs/{FOLDER}/gan/best.safetensors"
    assert len(open_source("samples/stylegan-v")) == 5
    scored = ("--metric", "fvd16@5", "--no-references", "--workers", 0, "--json")
    [written] = json.loads(trained("eval", "--fake", "samples/stylegan-v", *scored).stdout)
    [direct] = json.loads(trained("eval", "--model", "stylegan-v", *scored).stdout)
    assert direct["checkpoint_hash"] == record["checkpoint_hash"]
    assert written["value"] == pytest.approx(direct["value"], rel=1e-3)


def test_eval_includes_a_run_without_being_asked(trained: Run) -> None:
    result = trained("eval", "--metric", "fvd16@4", "--workers", 0, "--json")
    assert {record["model"] for record in json.loads(result.stdout)} >= {"stylegan-v", "freeze", "noise"}
    assert f"stylegan-v: runs/{FOLDER}/gan/best.safetensors" in result.stderr


def test_a_run_on_other_videos_is_no_opponent_unasked(trained: Run) -> None:
    trained("data", "render", "toy-talk", "films", "-n", 24, "--frames", 16, "--size", 16, "--as", "png")
    asked = ("eval", "--metric", "fvd16@4", "--backbone", "toy3d", "--real", "films", "--workers", 0)
    unasked = json.loads(trained(*asked, "--json").stdout)
    assert "stylegan-v" not in {record["model"] for record in unasked}
    assert {tuple(record["protocol"]["size"]) for record in unasked} == {(16, 16)}
    assert "no checkpoint of stylegan-v for films" in trained(*asked, "--model", "stylegan-v", code=2).stderr
    [record] = json.loads(trained(*asked, "--checkpoint", f"runs/{FOLDER}", "--no-references", "--json").stdout)
    assert record["model"] == "stylegan-v"


def test_a_configuration_is_named_once(trained: Run) -> None:
    Path("mine.yaml").write_text("model: {}")
    said = trained("train", "--tier", "ci", "--config", "mine.yaml", code=2).stderr
    assert "--tier ci and --config mine.yaml both name a configuration" in said


def test_options_of_sampling(trained: Run) -> None:
    few = ("sample", "-n", 1, "--frames", 3)
    assert "50 frames a second" in trained(*few, "--fps", 50, "--set", "truncation=0.5", "--as", "gif").stderr
    record = json.loads(Path("samples/stylegan-v.json").read_text())
    assert record["options"] == {"fps": 50.0, "truncation": 0.5}
    assert "unexpected keyword argument 'trunk'" in trained(*few, "--set", "trunk=1", code=2).stderr
    assert "1 videos of 3 frames" in trained(*few, "--out", "other", "--dry-run").stderr
    assert not Path("other").exists()


def test_learning_curves(trained: Run) -> None:
    assert "Figure: runs/records/training.png" in trained("plot", "training", f"runs/{FOLDER}").stderr
    assert Path("runs/records/training.png").stat().st_size > 10_000
    assert "no training run below nowhere" in trained("plot", "training", "nowhere", code=2).stderr


def test_a_dry_run_says_what_would_be_trained_and_leaves_nothing(run: Run) -> None:
    result = run("train", "--dry-run", "--json")
    assert "stylegan-v tiny on toy-ride (train)" in result.stderr
    assert json.loads(result.stdout)["config"]["stages"]["gan"]["steps"] == 3000
    assert not list(Path().iterdir())


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["--model", "stylegan"], "Did you mean stylegan-v?"),
        (["--model", "freeze"], "freeze is not trained. These are: digan, long-video-gan, mocogan-hd,"),
        (["--stage", "gam"], "Did you mean gan?"),
        (["--tier", "tny"], "Did you mean tiny?"),
        (["--data", "toy-rid"], "Did you mean toy-ride "),
        (["--split", "trian"], "Did you mean train?"),
        (["--set", "stages.gan.gama=1"], "Did you mean gamma?"),
        (["--set", "stages.gan.batch=0"], "stages.gan.batch = 0"),
        (["--set", "stages.gan.batch"], 'has no "="'),
        (["--set", "model.c_dim=4"], "can be sampled, but not trained"),
        (["--config", "mine.yaml"], "The configuration mine.yaml cannot be read"),
        (["--real", "nowhere/videos"], "nowhere/videos"),
        (["--device", "abacus"], 'There is no device "abacus" here'),
    ],
)
def test_a_mistake_ends_in_one_sentence(run: Run, asked: list[str], message: str) -> None:
    result = run("train", *asked, code=2)
    assert message in result.stderr
    assert not Path("runs").exists()


def test_sampling_without_weights_says_how_to_get_them(run: Run) -> None:
    result = run("sample", "--data", "toy-talk", code=2)
    assert (
        "Train one: vidbench train --model stylegan-v --data toy-talk; or name one with --checkpoint" in result.stderr
    )
    assert "There is no checkpoint nothing" in run("sample", "--checkpoint", "nothing", code=2).stderr


def test_your_own_videos_that_are_too_short_or_broken_are_named_at_once(run: Run) -> None:
    run("data", "render", "toy-sky", "mine", "-n", 3, "--frames", 12, "--size", "32", "--as", "mp4")
    mine = ("train", "--real", "mine", "--tier", "ci", "--backbone", "toy3d", "--workers", 0)
    assert "needs two clips from videos of 16 frames" in run(*mine, code=2).stderr
    broken = next(Path("mine").glob("*.mp4"))
    broken.write_bytes(b"nothing")
    assert f"mine: 1 of 3 videos cannot be read, such as {broken.name}" in run(*mine, code=2).stderr
