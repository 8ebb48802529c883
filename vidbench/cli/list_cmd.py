"""`vidbench list`."""

import json

import click

from .common import debug_option, json_option


@click.command("list")
@click.argument("name", required=False)
@json_option
@debug_option
def command(name: str | None, as_json: bool) -> None:
    """What there is: models, data sets, metrics and backbones, yours among them; with NAME, its card.

    \b
    vidbench list
    vidbench list fvd128
    vidbench list toy-ride --json
    """
    from rich.console import Console
    from rich.table import Table

    from ..cards import all_cards, find_card

    if name is not None:
        card = find_card(name)
        if as_json:
            click.echo(json.dumps(card, indent=1))
            return
        for key, value in card.items():
            lines = (
                value if isinstance(value, list) and value and isinstance(value[0], str) and len(value) > 3 else [value]
            )
            for index, line in enumerate(lines):
                click.echo(f"{'' if index else key + ':':20} {line}")
        return
    cards = all_cards()
    if as_json:
        click.echo(json.dumps(cards, indent=1))
        return
    console = Console()
    for kind, entries in cards.items():
        table = Table("name", "what it is", title=kind, title_justify="left", show_header=False, min_width=60)
        for entry, line in entries.items():
            table.add_row(entry, line)
        console.print(table)
    click.echo("The card of one of them: vidbench list NAME", err=True)
