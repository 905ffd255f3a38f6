"""Write ``docs/rules``: a page for each rule, rendered from the rule itself.

python docs/render.py          # write the pages
python docs/render.py --check  # exit with 1 when a page is not what the rule says
"""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

from lintmetrics import packs
from lintmetrics.commands.explain import record
from lintmetrics.releases import LIBRARIES
from lintmetrics.report.text import CONSEQUENCES
from lintmetrics.rule import Rule

FOLDER = Path(__file__).parent / "rules"


def page(rule: Rule) -> str:
    """Return a rule's page as Markdown."""
    known = record(rule)
    explanation = str(known["explanation"]).replace("``", "`")
    _, _, why = explanation.partition("\n")
    codemods = ", ".join(f"`{c.name}`" for c in packs.codemods().get(rule.code, ()))
    return "\n".join(
        [
            f"# {rule.code} {rule.name}",
            "",
            f"**{rule.summary}.** {rule.consequence.value}: {CONSEQUENCES[rule.consequence]}.",
            "",
            why.strip(),
            "",
            "## Found",
            "",
            "```python",
            textwrap.dedent(rule.bad).strip("\n"),
            "```",
            "",
            "## Right",
            "",
            "```python",
            textwrap.dedent(rule.good).strip("\n"),
            "```",
            "",
            "## Fix",
            "",
            f"Written by {codemods}."
            if codemods
            else "None is known that is right without a person.",
            "",
            f"Suppress one place with `# lintmetrics: ignore[{rule.code}] reason`.",
            "",
            f"Source: {rule.source}.",
            "",
            *(since(rule) if rule.since else []),
            *(style(rule) if rule.style else []),
        ]
    )


def since(rule: Rule) -> list[str]:
    """Return the line that says for which targets a rule is silent."""
    library, _, release = rule.since.partition(" ")
    return [f"Silent where the target is older than {LIBRARIES[library]} {release}.", ""]


def style(rule: Rule) -> list[str]:
    """Return the line that says for which style a rule is there."""
    return [f'Looked for with `style = "{rule.style}"` or `--style {rule.style}` alone.', ""]


def index(rules: list[Rule]) -> str:
    """Return the table of all rules as Markdown."""
    lines = ["# Rules", "", "| code | name | consequence | what it finds |", "|---|---|---|---|"]
    for rule in rules:
        summary = rule.summary.replace("``", "`")
        link = f"[{rule.code}]({rule.name}.md)"
        lines.append(f"| {link} | {rule.name} | {rule.consequence.value} | {summary} |")
    return "\n".join([*lines, ""])


def pages() -> dict[str, str]:
    """Return every page by its file name."""
    rules = list(packs.rules().values())
    return {"README.md": index(rules), **{f"{rule.name}.md": page(rule) for rule in rules}}


def stale() -> list[str]:
    """Return the names of pages that are missing, outdated, or of no rule any more."""
    wanted = pages()
    there = {path.name: path.read_text("utf-8") for path in FOLDER.glob("*.md")}
    return sorted(
        name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name)
    )


def main() -> int:
    """Write or check the pages."""
    if "--check" in sys.argv[1:]:
        names = stale()
        for name in names:
            print(f"docs/rules/{name} is not what its rule says; run python docs/render.py")
        return 1 if names else 0
    FOLDER.mkdir(exist_ok=True)
    wanted = pages()
    for path in FOLDER.glob("*.md"):
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
