"""What verbs share: option types, option groups, progress bars, output."""

import difflib
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

Decorator = Callable[[Any], Any]


class Size(click.ParamType):  # type: ignore[type-arg]
    """A frame size: `64`, or height x width as in `144x256`."""

    name = "HxW"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """(height, width)."""
        if isinstance(value, tuple):
            return value
        parts = str(value).lower().split("x")
        if len(parts) > 2 or not all(part.isdecimal() and 1 <= int(part) <= 16384 for part in parts):
            self.fail(f'"{value}" is no size: give height x width in pixels, such as 64 or 144x256.', param, ctx)
        return int(parts[0]), int(parts[-1])


class Range(click.ParamType):  # type: ignore[type-arg]
    """The range of floating-point arrays: `0,1` or `-1,1`."""

    name = "LOW,HIGH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, float]:
        """(low, high)."""
        if isinstance(value, tuple):
            return value
        try:
            low, high = (float(part) for part in str(value).split(","))
            if not -math.inf < low < high < math.inf:
                raise ValueError
        except ValueError:
            self.fail(f'"{value}" is no range: give the two ends, such as --range 0,1.', param, ctx)
        return low, high


def set_debug(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    """Remember that tracebacks are wanted."""
    ctx.meta["vidbench.debug"] = ctx.meta.get("vidbench.debug") or value


def options(*decorators: Decorator) -> Decorator:
    """Several options as one decorator, in the order given."""
    return lambda command: reduce(lambda inner, decorate: decorate(inner), reversed(decorators), command)


which_run = options(
    click.option(
        "--checkpoint",
        type=click.Path(path_type=Path),
        metavar="PATH",
        help="A run's folder or a checkpoint.  [default: the newest run on --data, else the one that ships]",
    ),
    click.option(
        "--data", default="toy-ride", show_default=True, metavar="NAME", help="Which run, without --checkpoint."
    ),
)
"""Options that say which trained run is meant."""

any_stage = {"ignore_unknown_options": True, "allow_extra_args": True}
"""Context settings of commands that take `--STAGE PATH`, where the stages are those of the model named."""


def stage_paths(words: Sequence[str], model: str) -> tuple[list[str], dict[str, Path]]:
    """What a command did not know: words that are no options, and the paths given for stages of a system.

    Raises:
        click.UsageError: an option that neither the command nor the system has, or one without a path.
    """
    from ..contenders import load_model

    if model.startswith("-"):
        raise click.UsageError(f"Name the model first, and {model} after it.")
    plain, paths, rest = list[str](), dict[str, Path](), iter(words)
    stages = getattr(load_model(model), "stages", {}) if any(word.startswith("-") for word in words) else {}
    for word in rest:
        if not word.startswith("-"):
            plain.append(word)
            continue
        option, equals, value = word.partition("=")
        if option.removeprefix("--") not in stages:
            context = click.get_current_context()
            known = [name for param in context.command.params for name in param.opts if name.startswith("--")]
            near = difflib.get_close_matches(option, [*known, *(f"--{stage}" for stage in stages)])
            raise click.NoSuchOption(option, possibilities=near, ctx=context)
        path = value if equals else next(rest, None)
        if not path:
            raise click.UsageError(f"{option} takes a path: a run's folder or a checkpoint.")
        stage = option.removeprefix("--")
        if stage in paths:
            raise click.UsageError(f"{option} is given twice.")
        paths[stage] = Path(path)
    return plain, paths


debug_option = click.option(
    "--debug", is_flag=True, expose_value=False, is_eager=True, callback=set_debug, help="Show tracebacks."
)


def out_option(text: str, default: str = "runs", metavar: str = "DIR") -> Decorator:
    """The option `--out`, with the help text of one verb."""
    path = click.Path(path_type=Path)
    return click.option("--out", type=path, default=Path(default), show_default=True, metavar=metavar, help=text)


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON to standard output.")
reading_options = options(
    click.option("--key", metavar="NAME", help="Array of an HDF5 or npz file that holds several."),
    click.option("--range", "value_range", type=Range(), help="What floating-point arrays are scaled from."),
    click.option("--kind", type=click.Choice(["videos", "images"]), help="What to read where a folder holds both."),
)
scoring_options = options(
    click.option(
        "--model",
        "models",
        multiple=True,
        metavar="NAME|FILE.py:CLASS",
        help="Score this generator, as name[key=value] with options of its own; repeatable.  [default: all]",
    ),
    click.option(
        "--checkpoint",
        type=click.Path(path_type=Path),
        metavar="PATH",
        help="Of a trained model: a run's folder or a file.  [default: the newest run, else the one that ships]",
    ),
    click.option(
        "--fake",
        "fakes",
        multiple=True,
        metavar="PATH",
        help="Score these videos: a folder, zip or array file; repeatable.",
    ),
    click.option("--real", metavar="PATH", help="Real videos: a folder, zip or array file."),
    click.option("--data", metavar="NAME", help="Real videos: a data set by name.  [default: toy-ride]"),
    click.option("--split", metavar="NAME", help="Split of the real videos.  [default: train]"),
    click.option(
        "--clips",
        type=click.IntRange(min=2),
        metavar="N",
        help="Clips on either side.  [default: the data set's or metric's]",
    ),
    click.option("--size", type=Size(), help="Compare at this size.  [default: the commonest of the fake side]"),
    click.option(
        "--backbone",
        metavar="NAME",
        help="Network that turns clips into features.  [default: toy3d for toy sets, else i3d]",
    ),
    click.option("--skip-bad", is_flag=True, help="Leave out unreadable videos, and count them."),
    click.option(
        "--references/--no-references", default=True, show_default=True, help="Also score the reference generators."
    ),
    click.option(
        "--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change one value of the protocol; repeatable."
    ),
    reading_options,
    click.option(
        "--seed", type=click.IntRange(min=0), metavar="N", help="Seed of all draws.  [default: the protocol's, 0]"
    ),
    click.option(
        "--device",
        default="cpu",
        show_default=True,
        metavar="NAME",
        help="Where the backbone runs (cpu, cuda, cuda:1, mps).",
    ),
    click.option(
        "--precision",
        type=click.Choice(["float32", "bfloat16"]),
        default="float32",
        show_default=True,
        help="Of the backbone; bfloat16 is quicker, and recorded as another metric.",
    ),
    click.option(
        "--weights",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        help="The backbone's weights.  [default: the cache]",
    ),
    click.option(
        "--real-stats",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Take the real side's statistics from this file; write them to it if it does not exist.",
    ),
    click.option("--batch", type=click.IntRange(min=1), metavar="CLIPS", help="Clips at a time.  [default: by memory]"),
    click.option(
        "--workers", type=click.IntRange(min=0), metavar="N", help="Processes that read clips.  [default: one a core]"
    ),
    json_option,
    click.option("--dry-run", is_flag=True, help="Say what would be done, and stop."),
    debug_option,
)


def require_one_real(values: dict[str, Any]) -> None:
    """Refuse `--real` beside `--data`."""
    from ..errors import UserError

    if values["real"] and values["data"]:
        raise UserError(
            f"--real {values['real']} and --data {values['data']} both name the real videos. Give one of them."
        )


def request_from(metrics: Iterable[str], out: Path, values: dict[str, Any]) -> Any:
    """The `Request` of the scoring options."""
    from ..contenders import Request

    require_one_real(values)
    passed = (
        "clips",
        "size",
        "backbone",
        "skip_bad",
        "seed",
        "device",
        "precision",
        "weights",
        "real_stats",
        "batch",
        "workers",
    )
    return Request(
        metrics=tuple(metrics),
        models=values["models"],
        checkpoint=values["checkpoint"],
        fake=values["fakes"],
        real=values["real"],
        data=values["data"],
        split=values["split"],
        key=values["key"],
        value_range=values["value_range"],
        kind=values["kind"],
        references=values["references"],
        changes=values["changes"],
        out=out,
        options={name: values[name] for name in passed},
    )


def say(line: str) -> None:
    """A remark for the user, on standard error."""
    click.echo(line, err=True)


@contextmanager
def progress_bars() -> Iterator[Callable[[Iterable[Any], str, int], Iterable[Any]]]:
    """Bars on standard error (what, how far, how long still), gone when they are done."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield lambda items, label, total: progress.track(items, total=total, description=label)


def wide_console() -> "Console":
    """Where tables go: as wide as the terminal; wide enough for all columns where there is none."""
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=140)
