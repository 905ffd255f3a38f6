"""``lintmetrics rules``: all rules there are."""

from __future__ import annotations

import json
import sys

import click

from lintmetrics import packs
from lintmetrics.commands.explain import record
from lintmetrics.report.terminal import write


@click.command("rules")
@click.option(
    "--output-format",
    type=click.Choice(("text", "json")),
    default="text",
    show_default=True,
    help="How the list is written.",
)
def command(output_format: str) -> None:
    """List the rules: code, whether a fix is known [*], consequence, name, and what is found."""
    rules = list(packs.rules().values())
    if output_format == "json":
        write(sys.stdout, json.dumps([record(rule) for rule in rules], indent=2) + "\n")
        return
    names = max((len(rule.name) for rule in rules), default=0)
    lines = []
    for rule in rules:
        mark = "[*]" if packs.codemods().get(rule.code) else "   "
        kind = rule.consequence.value
        lines.append(f"{rule.code}  {mark}  {kind:<12}  {rule.name:<{names}}  {rule.summary}\n")
    write(sys.stdout, "".join(lines))
