"""`vidbench weights`."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from .common import debug_option, json_option, progress_bars, say


@click.group("weights")
def command() -> None:
    """Get the weights of I3D, and prove what a weights file holds.

    \b
    vidbench weights fetch --dry-run
    vidbench weights verify i3d_torchscript.pt
    """


@command.command("fetch")
@click.argument("name", default="i3d")
@click.option("--dry-run", is_flag=True, help="Say what would be fetched from where, and stop.")
@debug_option
def fetch_command(name: str, dry_run: bool) -> None:
    """Fetch the weights of a backbone (i3d or i3d-imagenet; default: i3d) into the cache, and prove them.

    An interrupted download goes on where it was.

    \b
    # from where, how much, and where to
    vidbench weights fetch --dry-run
    # the network of FVD
    vidbench weights fetch
    # another network of the same form
    vidbench weights fetch i3d-imagenet
    """
    from ..weights.public import public_files
    from ..weights.state import weights_dir

    file = public_files(name)[0]
    if dry_run:
        for address in file.addresses:
            click.echo(f"from: {address}")
        click.echo(f"size: {f'{file.size:,} bytes' if file.size else 'not published, about 50 MB'}")
        click.echo(f"to:   {weights_dir() / file.name}")
        return
    from ..errors import UserError
    from ..weights.fetch import fetch
    from ..weights.state import load_i3d_state

    try:
        state = load_i3d_state(name)
        say(f"Weights {name} are in {weights_dir()} already.")
    except UserError:
        with progress_bars() as track:
            state = fetch(name, track)
        say(f"Weights {name} are in {weights_dir()} now.")
    click.echo(f"{name}: {state.verdict}")


@command.command("verify")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@json_option
@debug_option
@click.pass_context
def verify_command(ctx: click.Context, files: tuple[Path, ...], as_json: bool) -> None:
    """Say which network some weights files hold, whatever their format and naming.

    Every variable is compared with the checksums of the published checkpoints. Exit code 0: all files hold one of the
    two known networks; 1: one holds something else; 2: one cannot be read.

    \b
    vidbench weights verify i3d_torchscript.pt
    vidbench weights verify rgb_imagenet.pt i3d_pretrained_400.pt --json
    """
    from ..errors import UserError
    from ..weights.state import examine

    code, results = 0, []
    for file in files:
        try:
            found = examine(file)
        except UserError as error:
            code = 2
            results.append({"file": str(file), "error": str(error)})
            say(f"Error: {error}")
            continue
        code = max(code, 0 if found.network else 1)
        results.append(asdict(found))
        if not as_json:
            same = f" (byte for byte the published {found.published_as})" if found.published_as else ""
            click.echo(f"{file}: {found.verdict}{same}")
    if as_json:
        click.echo(json.dumps(results, indent=1))
    ctx.exit(code)
