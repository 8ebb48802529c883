"""The log of a run: what a resumed run does again is not there twice."""

import pytest

from vidbench.errors import UserError
from vidbench.journal import Journal, read_log


def logged(folder, stage, start, steps):
    with Journal(folder, stage, start) as journal:
        for step in steps:
            journal.write(step, loss=step / 4, metric="fvd16")


def entries(folder):
    return [(line["stage"], line["step"]) for line in read_log(folder / "log.jsonl")]


def test_what_is_written_can_be_read(tmp_path):
    logged(tmp_path, "gan", 0, [1, 2])
    assert read_log(tmp_path / "log.jsonl") == [
        {"stage": "gan", "step": step, "loss": step / 4, "metric": "fvd16"} for step in (1, 2)
    ]


def test_a_resumed_run_drops_what_came_after_its_checkpoint_but_not_the_other_stages(tmp_path):
    logged(tmp_path, "image", 0, [1, 2, 3])
    logged(tmp_path, "motion", 0, [1, 2, 3, 4])
    logged(tmp_path, "motion", 2, [3])
    assert entries(tmp_path) == [("image", step) for step in (1, 2, 3)] + [("motion", step) for step in (1, 2, 3)]


def test_an_unfinished_last_line_is_passed_over_and_gone_after_resumption(tmp_path):
    logged(tmp_path, "gan", 0, [1, 2])
    path = tmp_path / "log.jsonl"
    path.write_text(path.read_text() + '{"stage": "gan", "st')
    assert entries(tmp_path) == [("gan", 1), ("gan", 2)]
    logged(tmp_path, "gan", 2, [3])
    assert entries(tmp_path) == [("gan", 1), ("gan", 2), ("gan", 3)]
    assert len(path.read_text().splitlines()) == 3


def test_lines_are_there_while_training_goes_on(tmp_path):
    with Journal(tmp_path, "gan", 0) as journal:
        journal.write(1, loss=1.0)
        assert entries(tmp_path) == [("gan", 1)]


def test_tensorboard_has_the_numbers_and_no_step_twice(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logged(tmp_path, "gan", 0, [1, 2, 3])
    logged(tmp_path, "gan", 2, [3, 4])
    board = EventAccumulator(str(tmp_path / "tb" / "gan")).Reload()
    assert [(event.step, event.value) for event in board.Scalars("loss")] == [(s, s / 4) for s in (1, 2, 3, 4)]


@pytest.mark.parametrize("text", ["[1, 2]\n", '{"stage": "gan"}\n', "3\n"])
def test_a_file_that_is_no_log_is_named(tmp_path, text):
    (tmp_path / "log.jsonl").write_text(text)
    with pytest.raises(UserError, match=r"log.jsonl is no log of a training run"):
        Journal(tmp_path, "gan", 0)


def test_there_may_be_no_log_yet(tmp_path):
    assert read_log(tmp_path / "log.jsonl") == []
