"""`vidbench doctor`."""

import json
from dataclasses import asdict
from typing import Any

import click

from .common import debug_option, json_option


@click.command("doctor")
@json_option
@debug_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Is this installation fit to make numbers?

    Versions, threads, processor, GPUs, decoder, cache, disk, weights and plug-ins, and a self-test of the numerics
    against known answers, in a few seconds. Exit code 1 where something is wrong; a warning is none.

    \b
    vidbench doctor
    vidbench doctor --json
    """
    from ..doctor import examination

    findings = list(examination())
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=1))
    else:
        print_findings(findings)
    ctx.exit(int(any(finding.state == "wrong" for finding in findings)))


def print_findings(findings: list[Any]) -> None:
    """A table of findings, each that is not ok with its mend below it."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    colors = {"ok": "green", "warning": "yellow", "wrong": "bold red"}
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("what", "state", "found"):
        table.add_column(name)
    for finding in findings:
        found = Text(finding.found)
        if finding.mend:
            found.append(f"\n→ {finding.mend}", "bold")
        table.add_row(Text(finding.what), Text(finding.state, colors[finding.state]), found)
    Console().print(table)
