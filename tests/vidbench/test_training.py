"""The training loop: runs that are interrupted, resumed, refused; checkpoints that are kept."""

import os
import signal
import time
from dataclasses import replace

import pytest
import torch
from filelock import FileLock

from tests.vidbench import systems
from tests.vidbench.systems import Listener, Tint, make_run
from vidbench.checkpoints import EXPORTED, load_checkpoint, read_about, save_checkpoint
from vidbench.errors import UserError
from vidbench.journal import read_log
from vidbench.runs import build_stage, describe_run
from vidbench.training import Judge, train

STAGES = ["first", "second"]
CORES = torch.get_num_threads()


def weights(run, stage):
    checkpoint = load_checkpoint(run.last(stage))
    return checkpoint.about.step, checkpoint.state, checkpoint.optimizers


def equal(a, b):
    assert a[0] == b[0]
    for mine, other in zip(a[1:], b[1:], strict=True):
        assert mine.keys() == other.keys()
        for name, tensors in mine.items():
            assert tensors.keys() == other[name].keys()
            assert all(torch.equal(tensor, other[name][key]) for key, tensor in tensors.items())


def trained(folder, *, stages=STAGES, steps=None, **values):
    run, talk = make_run(folder, **values), Listener()
    train(run, stages, steps, talk)
    return run, talk


@pytest.fixture
def look(monkeypatch):
    """Scores 5, 4, 3, ... in turn, or as the test says, instead of those of the videos."""
    scores = iter(range(5, -100, -1))

    def set_scores(values):
        nonlocal scores
        scores = iter(values)

    class Judged:
        metric, se, better = "made-up", 0.5, "lower"

        def __init__(self):
            self.value = float(next(scores))

    monkeypatch.setattr("vidbench.training.Evaluator.score", lambda self, generator, name: Judged())
    monkeypatch.setattr("vidbench.training.write_grid", lambda *arguments: None)
    return set_scores


def test_every_stage_is_trained_and_scored_and_seen(tmp_path):
    run, talk = trained(tmp_path / "run")
    for stage in STAGES:
        assert read_about(run.last(stage)).step == 6
        best = read_about(run.best(stage))
        assert best.metric == "color-drift@4"
        assert best.step in (3, 6)
        assert load_checkpoint(run.best(stage)).optimizers == {}
        for step in (3, 6):
            assert {f"{stage}-{step:07d}.{kind}" for kind in ("mp4", "png")} <= {
                path.name for path in (run.folder / "samples").iterdir()
            }
    lines = read_log(run.folder / "log.jsonl")
    scores = [(line["stage"], line["step"], line["metric"]) for line in lines if "metric" in line]
    assert scores == [(stage, step, "color-drift@4") for stage in STAGES for step in (3, 6)]
    assert all(line["samples"] == 4 * line["step"] and line["loss"] > 0 for line in lines if "loss" in line)
    assert "first: step 3, color-drift@4" in talk.heard()


def test_the_pace_is_of_steps_and_not_of_scores_between_them(tmp_path, monkeypatch):
    monkeypatch.setattr("vidbench.training.Judge.look", lambda *arguments: time.sleep(0.5))
    run, _ = trained(tmp_path, stages=["first"], evaluate_every=1)
    paces = [line["seconds_a_step"] for line in read_log(run.folder / "log.jsonl")]
    assert paces and all(pace < 0.25 for pace in paces)


def test_a_preview_may_stand_on_the_training_videos_for_as_long_as_the_metric_asks(tmp_path, monkeypatch):
    seen, preview = [], Tint.preview

    def watched(self, real, num_frames):
        seen.append((real, num_frames))
        return preview(self, real, num_frames)

    monkeypatch.setattr(Tint, "preview", watched)
    run, _ = trained(tmp_path, stages=["first"])
    assert seen
    assert all(real is run.source and frames == 129 for real, frames in seen)


@pytest.mark.parametrize(("rate", "length"), [(1, 260), (2, 130), (2.5, 260)])
def test_what_learned_from_every_second_frame_is_held_against_every_second_frame(tmp_path, rate, length):
    run = make_run(tmp_path, frames=260)
    stage = build_stage(run, "first")
    stage.origin = replace(stage.origin, fps=stage.origin.fps / rate)
    judge = Judge(run, stage, "color-drift@4", Listener())
    assert judge.evaluator.real.length(judge.source.videos[0]) == length
    assert judge.source.length(judge.source.videos[0]) == 260  # what stands on real videos thins them itself


@pytest.mark.parametrize(("clips", "frames"), [(4, 32), (10, 64)])
def test_a_grid_has_no_more_frames_than_the_score_and_64_of_a_video_at_most(tmp_path, monkeypatch, clips, frames):
    grids = []
    monkeypatch.setattr("vidbench.training.write_grid", lambda *arguments: grids.append(arguments[-1]))
    trained(tmp_path, stages=["first"], metric=f"color-drift@{clips}")
    assert grids == [frames, frames]


def test_training_moves_towards_the_videos(tmp_path, look):
    target = systems.videos().mean(axis=(0, 1, 2, 3)) / 127.5 - 1
    run = make_run(tmp_path, steps=100, evaluate_every=100, checkpoint_every=100)
    train(run, ["first"], None, Listener())
    colour = load_checkpoint(run.last("first")).state["hue"]["colour"]
    assert (colour - torch.from_numpy(target)).abs().max() < 0.15


@pytest.mark.parametrize("stop", [1, 2, 3, 5])
def test_a_resumed_run_is_bit_for_bit_the_uninterrupted_one(tmp_path, look, stop):
    whole, _ = trained(tmp_path / "whole")
    trained(tmp_path / "parts", steps=stop)
    parts, talk = trained(tmp_path / "parts")
    assert f"first: goes on at step {stop} of 6" in talk.heard()
    for stage in STAGES[:1]:
        equal(weights(parts, stage), weights(whole, stage))


@pytest.mark.parametrize("at", [1, 2, 4, 5])
def test_a_run_killed_in_the_middle_of_a_step_goes_on_from_its_last_checkpoint(tmp_path, look, monkeypatch, at):
    whole, _ = trained(tmp_path / "whole")
    update, calls = Tint.update, []

    def dies(self, batch, step):
        calls.append(step.index)
        if step.index == at:
            raise SystemError("killed")
        return update(self, batch, step)

    with monkeypatch.context() as patch:
        patch.setattr(Tint, "update", dies)
        with pytest.raises(SystemError):
            trained(tmp_path / "parts")
    (tmp_path / "parts" / "first").mkdir(exist_ok=True)
    (tmp_path / "parts" / "first" / ".half.part").touch()
    parts, talk = trained(tmp_path / "parts")
    assert ("goes on at step" in talk.heard()) == (at >= 2)
    for stage in STAGES:
        equal(weights(parts, stage), weights(whole, stage))
    assert not list(parts.folder.rglob("*.part"))
    assert [
        (line["stage"], line["step"], line.get("loss")) for line in read_log(parts.folder / "log.jsonl")
    ] == [(line["stage"], line["step"], line.get("loss")) for line in read_log(whole.folder / "log.jsonl")]  # fmt: skip


def test_what_is_done_is_not_done_again(tmp_path, look):
    run, _ = trained(tmp_path)
    before = run.last("second").stat().st_mtime_ns
    _, talk = trained(tmp_path)
    assert "first: its 6 steps are done" in talk.heard()
    assert run.last("second").stat().st_mtime_ns == before


def test_fewer_steps_may_be_asked_for_but_not_more(tmp_path, look):
    run, _ = trained(tmp_path, steps=4)
    assert [read_about(run.last(stage)).step for stage in STAGES] == [4, 4]
    run, talk = trained(tmp_path, steps=9)
    assert [read_about(run.last(stage)).step for stage in STAGES] == [6, 6]
    assert "--set stages.first.steps=9" in talk.heard()


@pytest.mark.parametrize("other", [{"seed": 1}, {"lr": 0.1}, {"batch": 2}])
def test_a_folder_holds_one_run_and_another_is_refused_with_the_difference(tmp_path, look, other):
    trained(tmp_path, steps=1)
    [(name, value)] = other.items()
    with pytest.raises(UserError, match=rf"{name} differs \([\d.]+, {value}\).*another --out"):
        trained(tmp_path, **other)


def test_a_run_that_came_to_nothing_claims_no_folder(tmp_path, look):
    with pytest.raises(UserError, match="needs two clips"):
        trained(tmp_path, frames=100)
    run, _ = trained(tmp_path)
    assert read_about(run.last("second")).step == 6


def test_a_file_that_is_no_configuration_is_named(tmp_path):
    (tmp_path / "config.yaml").write_text("- a list")
    with pytest.raises(UserError, match=r"config.yaml is no configuration"):
        trained(tmp_path)


@pytest.mark.parametrize(("scores", "step"), [([5, 6], 3), ([5, 4], 6), ([5, 5], 3), ([5, float("nan")], 3)])
def test_the_best_by_the_metric_is_kept(tmp_path, look, scores, step):
    look(scores)
    run, _ = trained(tmp_path, stages=["first"])
    best = read_about(run.best("first"))
    assert (best.step, best.value, best.metric) == (step, min(scores[: step // 3]), "made-up")


def test_where_more_is_better_more_is_better(tmp_path, look, monkeypatch):
    class Judged:
        metric, se, better, value = "prdc", None, "higher", 0.0

    judged = Judged()
    values = iter([0.5, 0.7])

    def score(self, generator, name):
        judged.value = next(values)
        return judged

    monkeypatch.setattr("vidbench.training.Evaluator.score", score)
    run, _ = trained(tmp_path, stages=["first"])
    assert read_about(run.best("first")).step == 6


def test_another_metric_s_best_is_no_rival(tmp_path, look, monkeypatch):
    look([-100])
    run, _ = trained(tmp_path, stages=["first"], steps=3)
    path = run.best("first")
    changed = load_checkpoint(path)
    from vidbench.checkpoints import save_checkpoint

    save_checkpoint(path, changed.about.model_copy(update={"metric": "another"}), changed.state)
    look([7])
    trained(tmp_path, stages=["first"])
    assert (read_about(path).step, read_about(path).metric) == (6, "made-up")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_after_the_step(tmp_path, look, monkeypatch, number):
    update = Tint.update

    def interrupted(self, batch, step):
        if step.index == 2:
            os.kill(os.getpid(), number)
        return update(self, batch, step)

    whole, _ = trained(tmp_path / "whole")
    before = signal.getsignal(number)
    run, talk = make_run(tmp_path / "parts"), Listener()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Tint, "update", interrupted)
        train(run, STAGES, None, talk)
    assert "first: stopped at step 3" in talk.heard()
    assert read_about(run.last("first")).step == 3
    assert signal.getsignal(number) == before
    trained(tmp_path / "parts")
    equal(weights(run, "first"), weights(whole, "first"))


def scores(folder):
    """The steps of the first stage that have a score."""
    return [line["step"] for line in read_log(folder / "log.jsonl") if "metric" in line]


def signalled_at(step, number):
    """A look that a signal comes into."""

    def look(self, stage, done, journal):
        if done == step:
            os.kill(os.getpid(), number)
            raise AssertionError("went on")
        journal.write(done, metric="made-up", value=1)

    return look


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("step", [3, 6])
def test_a_signal_breaks_off_a_score_which_is_made_when_the_run_goes_on(tmp_path, look, monkeypatch, number, step):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("vidbench.training.Judge.look", signalled_at(step, number))
        trained(tmp_path, stages=["first"])
    run, _ = trained(tmp_path, stages=["first"])
    assert scores(tmp_path) == [3, 6] and read_about(run.last("first")).step == 6
    whole, _ = trained(tmp_path / "whole", stages=["first"])
    equal(weights(run, "first"), weights(whole, "first"))


def test_a_signal_in_the_step_before_a_score_does_not_wait_for_it(tmp_path, look, monkeypatch):
    update = Tint.update

    def interrupted(self, batch, step):
        if step.index == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return update(self, batch, step)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Tint, "update", interrupted)
        patch.setattr("vidbench.training.Judge.look", signalled_at(3, signal.SIGTERM))
        trained(tmp_path, stages=["first"])
    assert not scores(tmp_path)
    trained(tmp_path, stages=["first"])
    assert scores(tmp_path) == [3, 6]


@pytest.mark.parametrize("step", [3, 6])
def test_a_signal_while_a_checkpoint_is_written_is_not_lost(tmp_path, look, monkeypatch, step):
    def saved(path, about, *state):
        save_checkpoint(path, about, *state)
        if (path.name, about.step) == ("last.safetensors", step):
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("vidbench.training.save_checkpoint", saved)
        trained(tmp_path, stages=["first"])
    assert scores(tmp_path) == [3, 6][: step // 3 - 1]
    trained(tmp_path, stages=["first"])
    assert scores(tmp_path) == [3, 6]


def test_a_score_whose_best_networks_were_not_kept_is_made_again(tmp_path, look, monkeypatch):
    def killed(path, about, *state):
        if path.name == "best.safetensors" and about.step == 6:
            raise KeyboardInterrupt
        save_checkpoint(path, about, *state)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("vidbench.training.save_checkpoint", killed)
        trained(tmp_path, stages=["first"])
    run, talk = trained(tmp_path, stages=["first"])
    assert read_about(run.best("first")).step == 6 and scores(tmp_path) == [3, 6]
    assert "first: goes on at step 6 of 6" in talk.heard()


def test_a_run_that_is_past_the_step_asked_for_is_done(tmp_path, look):
    trained(tmp_path, stages=["first"], steps=4)
    before = (tmp_path / "log.jsonl").stat().st_mtime_ns
    _, talk = trained(tmp_path, stages=["first"], steps=2)
    assert "first: its 4 steps are done" in talk.heard()
    assert (tmp_path / "log.jsonl").stat().st_mtime_ns == before


def test_a_second_signal_does_not_wait(tmp_path, look, monkeypatch):
    def hangs(self, batch, step):
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("went on")

    monkeypatch.setattr(Tint, "update", hangs)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path)
    assert not (tmp_path / "first" / "last.safetensors").exists()


def test_a_stage_that_stands_on_one_that_is_not_trained_cannot_begin(tmp_path):
    with pytest.raises(UserError, match="second cannot begin: the stage first is not trained"):
        trained(tmp_path, stages=["second"])


def test_a_run_is_described_before_anything_long_begins(tmp_path, look):
    lines = list(describe_run(make_run(tmp_path), STAGES, 4))
    assert "paint quick on bright: 10 videos at 8x8, seed 0" in lines[0]
    assert "first: 4 steps of 4 samples; parameters: hue 0.00 M" in lines[1]
    assert "second: 4 steps of 4 samples, after the stages before it" in lines[2]
    run, _ = trained(tmp_path, steps=2)
    assert ", from step 2; parameters" in list(describe_run(run, STAGES, None))[2]


def test_too_few_videos_for_the_metric_are_found_out_at_once(tmp_path):
    with pytest.raises(UserError, match="needs two clips from videos of 129 frames"):
        trained(tmp_path, frames=100)
    assert not (tmp_path / "first").exists()


def test_a_batch_that_cannot_be_shared_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(Tint, "group", 3)
    with pytest.raises(UserError, match=r"A batch of 4 cannot be shared by 1 process in groups of 3. Take a multiple"):
        trained(tmp_path)


def test_two_trainings_do_not_share_a_folder(tmp_path):
    folder = make_run(tmp_path / "run").folder
    folder.mkdir(parents=True)
    with FileLock(folder / ".lock"), pytest.raises(UserError, match="Another training is running in"):
        trained(tmp_path / "run", steps=1)
    trained(tmp_path / "run", steps=1)


def test_an_export_is_not_trained_over(tmp_path):
    run, _ = trained(tmp_path)
    about = read_about(run.best("first"))
    save_checkpoint(run.best("first"), about.model_copy(update={"origin": f"{EXPORTED} for sampling"}), {})
    run.last("first").unlink()
    with pytest.raises(UserError, match=r"holds an export, which cannot be trained on. Train with another --out"):
        trained(tmp_path)


@pytest.mark.parametrize(("variable", "workers", "expected"), [(None, 0, 4), (None, 1, 3), (None, 5, 1), ("4", 1, 4)])
def test_processes_that_read_have_processors_of_their_own(tmp_path, monkeypatch, look, variable, workers, expected):
    seen, update = set(), Tint.update
    monkeypatch.setattr(Tint, "update", lambda *asked: (seen.add(torch.get_num_threads()), update(*asked))[1])
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if variable:
        monkeypatch.setenv("OMP_NUM_THREADS", variable)
    torch.set_num_threads(4)
    try:
        train(replace(make_run(tmp_path), workers=workers), STAGES, 1, Listener())
        assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(CORES)
    assert seen == {expected}
