"""`vidbench export`."""

from pathlib import Path

import click

from .common import debug_option, json_option, say, which_run


@click.command("export")
@click.option("--model", default="stylegan-v", show_default=True, metavar="NAME", help="Which system.")
@which_run
@click.option("--stage", "stages", multiple=True, metavar="NAME", help="Only this stage; repeatable.  [default: all]")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    metavar="FOLDER",
    help="It becomes a run's folder; an older export there is replaced.",
)
@click.option(
    "--precision",
    type=click.Choice(["float16", "float32"]),
    default="float16",
    show_default=True,
    help="Of weights; what must be exact stays so.",
)
@json_option
@click.option("--dry-run", is_flag=True, help="Say what would be written, and stop.")
@debug_option
def command(
    model: str,
    checkpoint: Path | None,
    data: str,
    stages: tuple[str, ...],
    out: Path,
    precision: str,
    as_json: bool,
    dry_run: bool,
) -> None:
    """Write of a trained run what others need to sample it, and no more: its networks in half precision.

    FOLDER is a run's folder for everything that takes --checkpoint; it cannot be trained on. The run's config.yaml and
    log.jsonl go with it.

    \b
    # the newest StyleGAN-V on toy-ride
    vidbench export --out shared/stylegan-v
    # one stage of one run
    vidbench export --checkpoint runs/long-video-gan/toy-ride-tiny --model long-video-gan --stage lowres --out shared
    """
    import json

    import torch

    from ..exporting import exported, save_export
    from ..runs import load_system
    from ..trained import choose_trained, no_weights

    system = load_system(model)
    trained = choose_trained(model, checkpoint, data, Path("runs"))
    if trained is None:
        raise no_weights(model, data)
    checkpoints = exported(trained, stages, getattr(torch, precision))
    for each in checkpoints:
        count = sum(tensor.nbytes for part in each.state.values() for tensor in part.values())
        say(f"{each.path}: {', '.join(each.state)}, {count / 1e6:.2f} MB")
    if dry_run:
        return
    written = save_export(checkpoints, out)
    if as_json:
        click.echo(json.dumps([str(path) for path in written], indent=1))
    if {each.about.stage for each in checkpoints} >= {*system.needed}:
        say(f"Sample it: vidbench sample --model {model} --checkpoint {out}")
