"""``lintmetrics explain``: the page of a rule."""

from __future__ import annotations

import difflib
import inspect
import json
import sys
import textwrap
from typing import TYPE_CHECKING

import click

from lintmetrics import packs
from lintmetrics.report.terminal import write
from lintmetrics.report.text import CONSEQUENCES

if TYPE_CHECKING:
    from lintmetrics.rule import Rule


@click.command("explain")
@click.argument("rule", metavar="CODE|NAME")
@click.option(
    "--output-format",
    type=click.Choice(("text", "json")),
    default="text",
    show_default=True,
    help="How the page is written.",
)
def command(rule: str, output_format: str) -> None:
    """Say what a rule finds, why it matters, and what is right."""
    found = named(rule)
    if output_format == "json":
        write(sys.stdout, json.dumps(record(found), indent=2) + "\n")
    else:
        write(sys.stdout, page(found))


def named(name: str) -> Rule:
    """Return the rule with a code or name, in any case.

    Raises:
        click.UsageError: there is none; names the nearest.
    """
    rules = packs.rules()
    words = {rule.code.lower(): rule for rule in rules.values()}
    words |= {rule.name.lower(): rule for rule in rules.values()}
    key = name.strip().lower().replace("_", "-")
    if key in words:
        return words[key]
    near = difflib.get_close_matches(key, list(words), 1, 0.5)
    if near:
        rule = words[near[0]]
        hint = f"did you mean {rule.code} ({rule.name})?"
    else:
        hint = "`lintmetrics rules` lists them"
    raise click.UsageError(f"no rule is called {name!r}; {hint}")


def record(rule: Rule) -> dict[str, object]:
    """Return what is known of a rule, for programs."""
    return {
        "code": rule.code,
        "name": rule.name,
        "summary": rule.summary,
        "consequence": rule.consequence.value,
        "since": rule.since,
        "explanation": inspect.cleandoc(type(rule).__doc__ or ""),
        "source": rule.source,
        "bad": rule.bad,
        "good": rule.good,
        "codemods": [codemod.name for codemod in packs.codemods().get(rule.code, ())],
    }


def page(rule: Rule) -> str:
    """Return the page of a rule as text."""
    codemods = packs.codemods().get(rule.code, ())
    names = ", ".join(codemod.name for codemod in codemods) or "none; a person decides"
    parts = [
        f"{rule.code} {rule.name}",
        f"{rule.consequence.value}: {CONSEQUENCES[rule.consequence]}",
        inspect.cleandoc(type(rule).__doc__ or ""),
        "Found:",
        textwrap.indent(textwrap.dedent(rule.bad).strip("\n"), "    "),
        "Right:",
        textwrap.indent(textwrap.dedent(rule.good).strip("\n"), "    "),
        f"Fixed by: {names}",
        f"Source: {rule.source}",
        *([f"Silent for a target before: {rule.since}"] if rule.since else []),
        f"Suppress: # lintmetrics: ignore[{rule.code}] reason",
    ]
    return "\n\n".join(parts) + "\n"
