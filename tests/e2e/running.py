"""What runs the command in a test: the fixtures `run` and `trained`, and `run_in`."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from vidbench.cli import cli

Run = Callable[..., Result]


def run_in(place: Path, arguments: Sequence[str]) -> Result:
    """The command, run once for several tests, in a folder of its own with a cache of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("VIDBENCH_CACHE", str(place / "cache"))
        result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    return result
