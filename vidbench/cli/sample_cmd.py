"""`vidbench sample`."""

from pathlib import Path

import click

from .common import any_stage, debug_option, json_option, out_option, progress_bars, say, stage_paths, which_run


@click.command("sample", context_settings=any_stage)
@click.option(
    "--model", default="stylegan-v", show_default=True, metavar="NAME|FILE.py:CLASS", help="What makes the videos."
)
@which_run
@click.option("-n", "count", type=click.IntRange(min=1), default=4, show_default=True, metavar="N", help="Videos.")
@click.option("--frames", type=click.IntRange(min=1), default=128, show_default=True, metavar="T", help="Of each.")
@out_option("The videos go to DIR/<model>.", "samples")
@click.option(
    "--as",
    "form",
    type=click.Choice(["mp4", "gif", "png"]),
    default="mp4",
    show_default=True,
    help="mp4 and gif to look at; folders of png frames, lossless, to score.",
)
@click.option(
    "--fps", type=click.FloatRange(min=0, min_open=True), metavar="F", help="Frames a second, of a continuous model."
)
@click.option("--prompt", metavar="TEXT", help="What the videos show, of a model with text.")
@click.option("--set", "options", multiple=True, metavar="KEY=VALUE", help="Option of the model, as truncation=0.7.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, metavar="N", help="Of all draws.")
@click.option("--device", default="cpu", show_default=True, metavar="NAME", help="cpu, cuda, cuda:1.")
@json_option
@click.option("--dry-run", is_flag=True, help="Say what would be written, and stop.")
@debug_option
@click.pass_context
def command(
    ctx: click.Context,
    model: str,
    checkpoint: Path | None,
    data: str,
    count: int,
    frames: int,
    out: Path,
    form: str,
    fps: float | None,
    prompt: str | None,
    options: tuple[str, ...],
    seed: int,
    device: str,
    as_json: bool,
    dry_run: bool,
) -> None:
    """Make videos: files, a contact sheet, and a record of how they were made.

    \b
    # four videos of the newest StyleGAN-V on toy-ride
    vidbench sample
    # a minute at 25 frames a second, of one checkpoint, as lossless frames
    vidbench sample --checkpoint runs/stylegan-v/toy-ride-tiny -n 1 --frames 1500 --as png
    # slow motion: frames between frames
    vidbench sample --fps 100 --as gif
    # any generator of yours
    vidbench sample --model my_model.py:MyModel
    # one stage from elsewhere: --STAGE PATH
    vidbench sample --model long-video-gan --superres runs/long-video-gan/toy-ride-tiny
    """
    import json

    from ..choosing import open_generator
    from ..sampling import write_samples

    words, stages = stage_paths(ctx.args, model)
    if words:
        raise click.UsageError(f"Got unexpected extra argument ({' '.join(words)})")
    options += () if prompt is None else (f"prompt={json.dumps(prompt)}",)
    generator, about = open_generator(model, checkpoint, data, options, device, fps, stages)
    height, width = generator.size
    checkpoint_of = f" ({about['checkpoint']})" if "checkpoint" in about else ""
    say(
        f"{model}{checkpoint_of}: {count} videos of {frames} frames, {height}x{width}, {generator.fps:g} frames a"
        f" second, seed {seed}, to {out}"
    )
    if dry_run:
        return
    name = model.rpartition(":")[2]
    with progress_bars() as track:
        written = write_samples(
            out, generator, name=name, count=count, frames=frames, seed=seed, form=form, about=about, track=track
        )
    if as_json:
        click.echo(json.dumps([str(path) for path in written], indent=1))
    else:
        say(f"Videos: {out / name}. Contact sheet: {written[-2]}. Record: {written[-1]}.")
