"""Driving the command as a user would."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.e2e.running import Run
from vidbench.cli import cli


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command in a temporary folder, without the systems that ship trained, and gives its result.

    `code` is the exit code that must come of it.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("vidbench.trained.shelf", lambda: tmp_path / "shelf")

    def invoke(*arguments: str, code: int = 0) -> Result:
        result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
        assert result.exit_code == code, result.output
        return result

    return invoke


@pytest.fixture
def trained(whole: Path, run: Run) -> Run:
    """The command in a folder with the run `whole` of a test's module in it."""
    link = Path("runs", *whole.parts[-2:])
    link.parent.mkdir(parents=True)
    link.symlink_to(whole)
    return run
