"""The command line: one small module a verb, imported when the verb is used."""

import os
import sys
from importlib import import_module
from io import TextIOWrapper
from typing import Any

import click

from ..errors import UserError
from ..registry import unknown

VERBS = {
    "list": "list_cmd",
    "data": "data_cmd",
    "train": "train_cmd",
    "sample": "sample_cmd",
    "import": "import_cmd",
    "export": "export_cmd",
    "eval": "eval_cmd",
    "plot": "plot_cmd",
    "show": "show_cmd",
    "report": "report_cmd",
    "compare": "compare_cmd",
    "sanity": "sanity_cmd",
    "regress": "regress_cmd",
    "weights": "weights_cmd",
    "cache": "cache_cmd",
    "doctor": "doctor_cmd",
}


class Mistake(click.ClickException):
    """A user's mistake."""

    exit_code = 2


class Failure(click.ClickException):
    """A run that failed for another reason."""

    exit_code = 1


class Verbs(click.Group):
    """A group whose commands are imported on first use, and whose errors are one sentence unless `--debug` is given."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All verbs."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """One verb, imported now.

        Raises:
            Mistake: an unknown verb.
        """
        if cmd_name not in VERBS:
            raise Mistake(str(unknown("command", cmd_name, VERBS)))
        command: click.Command = import_module(f".{VERBS[cmd_name]}", __name__).command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run a verb."""
        try:
            return super().invoke(ctx)
        except UserError as error:
            if ctx.meta.get("vidbench.debug"):
                raise
            raise Mistake(str(error)) from error
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError, KeyboardInterrupt):
            raise
        except Exception as error:
            if ctx.meta.get("vidbench.debug"):
                raise
            raise Failure(f"{type(error).__name__}: {error} (run it again with --debug to see where)") from error


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="vidbench")
def cli() -> None:
    """Trains, samples, scores and compares video generators under explicit, recorded protocols.

    \b
    # score the reference generators on the built-in toy data set, in about a minute
    vidbench eval
    # score a folder of generated videos against a folder of real ones
    vidbench eval --metric fvd16 --backbone toy3d --fake samples --real data --clips 24
    # does the world change at the right pace?
    vidbench plot color-drift
    # what there is
    vidbench list
    """


def main() -> None:
    """The entry point of the command."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # idle threads leave their core to the processes that read,
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # and small matrices are not worth several
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files need not be text
    cli()
