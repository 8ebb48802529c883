"""`vidbench cache`."""

import json
from typing import Any

import click

from .common import debug_option, json_option


@click.group("cache", invoke_without_command=True)
@json_option
@debug_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """What lies in the cache; clear it. Without a command: show.

    Features, frames (training videos at a smaller size) and the index are computed anew when they are needed, weights
    are fetched. The cache is the folder that VIDBENCH_CACHE names, or else the platform's own.

    \b
    vidbench cache
    vidbench cache clear --dry-run
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(show_command, as_json=as_json)


@command.command("show")
@json_option
@debug_option
def show_command(as_json: bool) -> None:
    """Place, and number, size and age of what is there, by kind and metric, or source.

    \b
    vidbench cache show
    vidbench cache show --json
    """
    from datetime import UTC, datetime

    from ..cache import items, readable
    from ..files import cache_dir

    rows: dict[tuple[str, str], list[Any]] = {}
    for item in items():
        rows.setdefault((item.kind, item.name), []).append(item)
    contents = [
        {
            "kind": kind,
            "name": name,
            "items": len(group),
            "files": sum(len(item.files) for item in group),
            "bytes": sum(item.bytes for item in group),
            "oldest": datetime.fromtimestamp(min(item.written for item in group), UTC).isoformat(timespec="seconds"),
            "newest": datetime.fromtimestamp(max(item.written for item in group), UTC).isoformat(timespec="seconds"),
        }
        for (kind, name), group in sorted(rows.items())
    ]
    total = sum(row["bytes"] for row in contents)
    if as_json:
        click.echo(json.dumps({"place": str(cache_dir()), "bytes": total, "contents": contents}, indent=1))
        return
    click.echo(f"{cache_dir()}: {readable(total)}")
    if contents:
        from rich import box
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=box.SIMPLE_HEAD)
        for heading in ("kind", "of", "files", "size", "first written", "last written"):
            table.add_column(heading, justify="right" if heading in ("files", "size") else "left")
        for row in contents:
            sizes = (f"{row['files']:,}", readable(row["bytes"]))
            table.add_row(row["kind"], Text(row["name"]), *sizes, row["oldest"][:10], row["newest"][:10])
        Console().print(table)


@command.command("clear")
@click.argument("what", required=False, type=click.Choice(["features", "frames", "index", "weights", "all"]))
@click.option("--yes", is_flag=True, help="Needed to remove weights, which have to be fetched again.")
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and stop.")
@json_option
@debug_option
def clear_command(what: str | None, yes: bool, dry_run: bool, as_json: bool) -> None:
    """Remove features, frames, the index, weights, or all of them; without a name: all but weights.

    Only files that vidbench has made are removed, never through links, and what another run is working on is left.

    \b
    vidbench cache clear --dry-run
    vidbench cache clear features
    vidbench cache clear all --yes
    """
    from ..cache import KINDS, clear, items, readable
    from ..errors import UserError

    kinds = {"all": KINDS, None: ("features", "frames", "index")}.get(what, (str(what),))
    if "weights" in kinds and not (yes or dry_run) and any(item.kind == "weights" for item in items()):
        raise UserError(f"Weights have to be fetched again. To remove them: vidbench cache clear {what} --yes.")
    removed, in_use = clear(kinds, dry_run=dry_run)
    counts: dict[str, dict[str, Any]] = {
        kind: {
            "files": sum(len(item.files) for item in removed if item.kind == kind),
            "bytes": sum(item.bytes for item in removed if item.kind == kind),
            "in_use": [str(item.path) for item in in_use if item.kind == kind],
        }
        for kind in kinds
    }
    if as_json:
        click.echo(json.dumps({"removed": not dry_run, **counts}, indent=1))
        return
    for kind, count in counts.items():
        verb = "would be removed" if dry_run else "removed"
        click.echo(f"{kind}: {count['files']:,} files, {readable(count['bytes'])} {verb}")
        for path in count["in_use"]:
            click.echo(f"  left, another run is at work there: {path}")
