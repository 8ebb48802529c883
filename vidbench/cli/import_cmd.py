"""`vidbench import`."""

from pathlib import Path

import click

from .common import any_stage, debug_option, json_option, out_option, say, stage_paths


@click.command("import", context_settings=any_stage)
@click.argument("model")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.UNPROCESSED)
@out_option("The run goes to DIR/<model>/imported-<file>.")
@click.option(
    "--fps",
    type=click.FloatRange(min=0, min_open=True),
    metavar="F",
    help="Frames a second of its videos.  [default: the file's, else 25]",
)
@json_option
@click.option("--dry-run", is_flag=True, help="Read and check, say what was found, and write nothing.")
@debug_option
def command(model: str, files: tuple[str, ...], out: Path, fps: float | None, as_json: bool, dry_run: bool) -> None:
    """Turn networks that a system's authors published into a run.

    Every tensor's name and shape is checked. Nothing that a file carries is run: a file that asks for anything but
    networks is refused.

    \b
    # StyleGAN-V, as its authors' training writes it
    vidbench import stylegan-v network-snapshot-025000.pkl --fps 30
    # what is in it
    vidbench import stylegan-v network-snapshot-025000.pkl --dry-run
    # a file a stage
    vidbench import long-video-gan --lowres horseback_lres.pkl --superres horseback_sres.pkl --fps 30
    """
    import json

    from ..importing import open_import

    words, stages = stage_paths(files, model)
    found = open_import(model, [*map(Path, words), *stages.values()], out, fps)
    if absent := [stage for stage in stages if stage not in found.found.states]:
        there = ", ".join(found.found.states)
        raise click.UsageError(f"--{absent[0]} {stages[absent[0]]} has no such stage; the files hold {there}.")
    if as_json:
        click.echo(json.dumps({"folder": str(found.folder), **found.describe()}, indent=1))
    for line in [*found.networks(), *found.found.notes]:
        say(line)
    if dry_run:
        say(f"It would go to {found.folder}.")
        return
    found.save()
    rest = "".join(f" --{stage} PATH" for stage in found.system.needed if stage not in found.found.states)
    say(f"Sample it: vidbench sample --model {model} --checkpoint {found.folder}{rest}")
