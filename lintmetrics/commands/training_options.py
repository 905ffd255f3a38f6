"""What commands that train somebody's code have in common."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

import click

from lintmetrics.errors import LintmetricsError
from lintmetrics.report.terminal import tell, write

if TYPE_CHECKING:
    from lintmetrics.diagnostics import Diagnostic
    from lintmetrics.report.terminal import Paint
    from lintmetrics.verify.references import Progress, Reference
    from lintmetrics.verify.trees import Tree
    from lintmetrics.verify.verdict import Proof

_F = TypeVar("_F", bound=Callable[..., Any])

_NEEDS = ("jinja2", "matplotlib", "platformdirs", "psutil")


class CommandWithTraining(click.Command):
    """A command whose arguments behind the first ``--`` are the user's own command."""

    def parse_args(self, context: click.Context, arguments: list[str]) -> list[str]:
        if "--" in arguments:
            place = arguments.index("--")
            context.meta["training"] = tuple(arguments[place + 1 :])
            arguments = arguments[:place]
        return super().parse_args(context, arguments)

    def collect_usage_pieces(self, context: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(context), "[-- COMMAND...]"]


def command_of(context: click.Context) -> tuple[str, ...]:
    """Return the user's command; empty where none was given."""
    found: tuple[str, ...] = context.meta.get("training", ())
    return found


def _renamed(
    context: click.Context, parameter: click.Parameter, values: Sequence[str]
) -> dict[str, str]:
    pairs = {}
    for value in values:
        old, sign, new = value.partition("=")
        if not (sign and old and new):
            raise click.BadParameter(f"{value!r} is not OLD=NEW")
        pairs[new] = old
    return pairs


_OPTIONS = [
    click.option(
        "--reference",
        metavar="VERSION",
        help="The Lightning that the original was written for; see --list-references of verify.",
    ),
    click.option(
        "--accelerator",
        type=click.Choice(("cpu", "cuda")),
        help="Where to train; left to the program if not given.",
    ),
    click.option(
        "--processes",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        help="How many processes train together.",
    ),
    click.option(
        "--timeout",
        type=click.FloatRange(min=0, min_open=True),
        metavar="SECONDS",
        help="End a training that takes longer.",
    ),
    click.option(
        "--seed",
        type=click.IntRange(min=0, max=2**32 - 1),
        metavar="NUMBER",
        help="Seed random, NumPy and torch, for a program that does not.",
    ),
    click.option(
        "--tolerance",
        type=click.FloatRange(min=0),
        default=0.0,
        metavar="SHARE",
        help="How far numbers that must not change may be apart, as a share; 0 for bit-equal.",
    ),
    click.option(
        "--rename",
        "renamed",
        multiple=True,
        metavar="OLD=NEW",
        callback=_renamed,
        help="A logged key that has another name after the change.",
    ),
    click.option(
        "--via",
        "vias",
        multiple=True,
        type=click.Choice(("logger", "callback", "progress", "direct")),
        help="A way out of Lightning to compare; by default all but the progress bar.",
    ),
    click.option(
        "--original-today",
        "today",
        is_flag=True,
        help="Train also the unmodified original on today's Lightning, and tell what it does.",
    ),
    click.option("--show-output", is_flag=True, help="Pass on what the trainings print."),
    click.option(
        "--html", type=click.Path(dir_okay=False), metavar="FILE", help="Write a page there."
    ),
]


@dataclass(frozen=True)
class TrainingOptions:
    """How to train; see the help of the options."""

    reference: str | None
    accelerator: str | None
    processes: int
    timeout: float | None
    seed: int | None
    tolerance: float
    renamed: Mapping[str, str]
    vias: tuple[str, ...]
    today: bool
    show_output: bool
    html: str | None

    @classmethod
    def taken(cls, given: dict[str, Any]) -> TrainingOptions:
        """Take the values of these options out of those of a command."""
        return cls(**{item.name: given.pop(item.name) for item in fields(cls)})

    def prove(
        self,
        command: Sequence[str],
        before: Tree,
        after: Tree,
        fixed: Sequence[Diagnostic],
        quiet: bool,
    ) -> Proof:
        """Train a program in two trees, and say before that the user's code is run."""
        from lintmetrics.verify import compare, own_code
        from lintmetrics.verify.case import Tolerance
        from lintmetrics.verify.proof import TODAY, Place
        from lintmetrics.verify.verdict import Verdict

        if not quiet:
            shown = shlex.join(command)
            tell(f"lintmetrics: this runs code: `{shown}`, in a copy of {before.label} and in one")
            tell(f"  of {after.label}{', fixed' if fixed else ''}")
        reason = "--tolerance" if self.tolerance else ""
        change = own_code.Change(
            command,
            before,
            after,
            self.reference or TODAY,
            Place(self.accelerator or ("cpu" if self.processes > 1 else ""), self.processes),
            self.timeout,
            fixed,
            self.renamed,
            Tolerance(relative=self.tolerance, reason=reason),
            self.vias or compare.DEFAULT_VIAS,
            self.seed,
        )
        proof = own_code.prove(
            change,
            today=self.today,
            building=building,
            on_line=_pass_on if self.show_output else None,
        )
        if proof.verdict is Verdict.CHANGED_TRAINING and self.seed is None:
            tell(
                "lintmetrics: the weights differ at the end: if the program draws random numbers "
                "that it does not seed, try --seed 0"
            )
        if proof.verdict is Verdict.CHANGED_TRAINING and _draws_in_its_check(self.reference):
            tell(
                f"lintmetrics: Lightning {self.reference} draws random numbers in the check before "
                "a training and today's takes them back:\n"
                "  with PL_TRAINER_NUM_SANITY_VAL_STEPS=0 in the environment there is no check"
            )
        for path in dict.fromkeys((*before.altered(), *after.altered())):
            tell(f"lintmetrics: {path} is shared with the trainings and was changed meanwhile")
        return proof


def _draws_in_its_check(reference: str | None) -> bool:
    """Return whether a shuffled training differs from today's by Lightning's sanity check.

    Source: trained on 1.0.8 to 1.9.5; lightning 1.6, trainer/trainer.py, _run_sanity_check, is the
    first to isolate its random numbers.
    """
    parts = (reference or "").split(".")[:2]
    return all(part.isdigit() for part in parts) and tuple(map(int, parts)) < (1, 6)


def training_options(function: _F) -> _F:
    """Give a command the options of how to train."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def _pass_on(name: str, line: str) -> None:
    tell(f"{name} | {line}")


def need_extra() -> None:
    """Make sure that what the ``verify`` extra brings is there.

    Raises:
        LintmetricsError: something is not installed.
    """
    from importlib.util import find_spec

    missing = [name for name in _NEEDS if find_spec(name) is None]
    if missing:
        raise LintmetricsError(
            f"to verify needs {' and '.join(missing)}: pip install 'lintmetrics[verify]'"
        )


def building(reference: Reference) -> Progress | None:
    """Show a bar on a terminal, and one line elsewhere, while a reference is built."""
    from lintmetrics.verify.references import is_built

    if is_built(reference):
        return None
    tell(f"lintmetrics: fetching Lightning {reference.name} and what it needs, once")
    if not sys.stderr.isatty():
        return None
    bar: Any = None

    def advance(done: int, total: int) -> None:
        nonlocal bar
        if bar is None:
            bar = click.progressbar(length=total, label=reference.name, file=sys.stderr)
            bar.__enter__()
        bar.update(done - bar.pos)
        if done == total:
            bar.__exit__(None, None, None)

    return advance


def write_page(path: str, proofs: Sequence[Proof]) -> None:
    """Write the HTML page of proofs.

    Raises:
        LintmetricsError: it cannot be written.
    """
    from lintmetrics.verify.report.page import page

    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(page(proofs))
    except OSError as error:
        raise LintmetricsError(f"--html {path}: cannot be written: {error.strerror}") from None
    tell(f"lintmetrics: the page is {path}")


def write_proofs(proofs: Sequence[Proof], output_format: str, paint: Paint) -> None:
    """Write proofs to standard output."""
    from lintmetrics.verify.report import machine, markdown, terminal

    if output_format == "json":
        write(sys.stdout, machine.to_json(proofs))
    elif output_format == "markdown":
        write(sys.stdout, markdown.table(proofs))
    elif output_format == "concise":
        write(sys.stdout, "".join(f"{terminal.line(proof, paint)}\n" for proof in proofs))
    else:
        write(sys.stdout, terminal.table(proofs, paint))


def exit_code(proofs: Sequence[Proof]) -> int:
    """Return 2 when a training failed, 1 when something does not hold, else 0."""
    from lintmetrics.verify.verdict import Verdict

    if any(proof.verdict is Verdict.FAILED for proof in proofs):
        return 2
    return 0 if all(proof.verdict.holds for proof in proofs) else 1
