"""What runs the command in a test: see the fixture `run`."""

from collections.abc import Callable

from click.testing import Result

Run = Callable[..., Result]
