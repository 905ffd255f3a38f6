"""Write ``docs/rules``: a page for each rule, rendered from the rule and its fixtures.

What a fix does to the numbers is planned on the rule's own example; how far they were off is what
``docs/verification.md`` holds of the fixtures in whose fix the rule has a part.

python docs/render.py          # write the pages
python docs/render.py --check  # exit with 1 when a page is not what the rule says
"""

from __future__ import annotations

import functools
import re
import sys
import tempfile
import textwrap
from pathlib import Path

from lintmetrics import packs, runner
from lintmetrics.codemod import Relation
from lintmetrics.commands.explain import record
from lintmetrics.config import CommandLine, Configuration
from lintmetrics.diagnostics import Report
from lintmetrics.releases import LIBRARIES
from lintmetrics.report.text import CONSEQUENCES
from lintmetrics.rule import Rule
from lintmetrics.sources import discover
from lintmetrics.verify.case import Case, read_case

FOLDER = Path(__file__).parent / "rules"
FIXTURES = FOLDER.parent.parent / "fixtures"
ALL = frozenset(Relation)


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
            *(effects(rule) if codemods else []),
            *measured(rule),
            f"Suppress one place with `# lintmetrics: ignore[{rule.code}] reason`.",
            "",
            f"Source: {rule.source}.",
            "",
            *(since(rule) if rule.since else []),
            *(style(rule) if rule.style else []),
        ]
    )


def fixed(text: str, chosen: str) -> Report:
    """Return what the fix of a file would be, in a style; nothing is written."""
    configuration = Configuration(CommandLine(isolated=True, style=chosen or None))
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "model.py").write_text(text, encoding="utf-8")
        files, _ = discover([folder], configuration.settings_for)
        return runner.fix(files, configuration.settings_for, 1, None, ALL)


def effects(rule: Rule) -> list[str]:
    """Return what the fix of the example does to the numbers, and what it assumes."""
    found = fixed(textwrap.dedent(rule.bad), rule.style).fixed
    told = dict.fromkeys(
        f"- `{item.fix.relation.value}`: {item.fix.message}"
        for item in found
        if item.code == rule.code and item.fix is not None
    )
    return ["In the example above:", "", *told, ""] if told else []


@functools.cache
def trainings() -> dict[str, list[Case]]:
    """Return the fixtures in whose fix each rule has a part, by code."""
    parts: dict[str, list[Case]] = {}
    for path in sorted(FIXTURES.glob("*/case.toml")):
        case = read_case(path.parent)
        chosen = case.fix[case.fix.index("--style") + 1] if "--style" in case.fix else ""
        text = (path.parent / "before.py").read_text(encoding="utf-8")
        for code in dict.fromkeys(item.code for item in fixed(text, chosen).fixed):
            parts.setdefault(code, []).append(case)
    return parts


@functools.cache
def proofs() -> dict[str, tuple[str, ...]]:
    """Return the row of each fixture in ``docs/verification.md``, without its name."""
    text = (FOLDER.parent / "verification.md").read_text(encoding="utf-8")
    rows = (line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| "))
    found: dict[str, tuple[str, ...]] = {}
    for name, *row in rows:
        found.setdefault(name.replace("\\_", "_"), tuple(row))
    return found


def measured(rule: Rule) -> list[str]:
    """Return how the numbers differed in training, before and after the fix."""
    lines = []
    for case in trainings().get(rule.code, ()):
        relation, _, compared, gap, verdict, off, *_ = proofs()[case.name]
        link = f"[{case.name}](../../fixtures/{case.name}/before.py)"
        about = re.sub(r"\|", r"\\|", case.about)
        lines.append(f"| {link} | {about} | {relation} | {compared} | {off} | {gap} | {verdict} |")
    if not lines:
        return []
    head = "| trained | about | relation | numbers | original off by | fix off by | verdict |"
    return [
        "## Measured",
        "",
        "Trained before and after the fix, which may mend more than this rule finds "
        "([how](../verification.md)):",
        "",
        head,
        "|---|---|---|---|---|---|---|",
        *lines,
        "",
    ]


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
