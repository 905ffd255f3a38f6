"""The command line. Nothing is imported before a command needs it: a hook runs this often."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Sequence

import click

from lintmetrics import __version__
from lintmetrics.errors import LintmetricsError
from lintmetrics.garbage import uncollected

# What is left at the end goes with the process; Python would search it through once more.
atexit.register(gc.freeze)

_COMMANDS = {
    "check": "lintmetrics.commands.check",
    "fix": "lintmetrics.commands.fix",
    "verify": "lintmetrics.commands.verify",
    "explain": "lintmetrics.commands.explain",
    "rules": "lintmetrics.commands.rules",
    "put": "lintmetrics.commands.put",
}
_ALIASES = {"rule": "explain"}


class _LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        import importlib

        name = _ALIASES.get(name, name)
        if name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(_COMMANDS[name]).command
        return command

    def resolve_command(
        self, context: click.Context, arguments: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = arguments[0]
        if not context.resilient_parsing and not name.startswith("-"):
            import difflib

            if self.get_command(context, name) is None:
                near = difflib.get_close_matches(name, [*_COMMANDS, *_ALIASES], 1)
                hint = f"did you mean {near[0]}?" if near else f"commands: {', '.join(_COMMANDS)}"
                if not near and (os.path.exists(name) or name == "-"):
                    hint = f"did you mean `lintmetrics check {name}`?"
                raise click.UsageError(f"no command is called {name!r}; {hint}", context)
        return super().resolve_command(context, arguments)


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, "-V", "--version", prog_name="lintmetrics")
def group() -> None:
    """Find, rewrite and prove the metrics that PyTorch Lightning code logs."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 clean, 1 found, 2 could not do the job."""
    try:
        with uncollected():
            result = group.main(
                None if arguments is None else list(arguments),
                prog_name="lintmetrics",
                standalone_mode=False,
            )
        sys.stdout.flush()
    except click.exceptions.Abort:
        # click turns Ctrl-C into this, behind an empty line of its own.
        click.echo("lintmetrics: interrupted", err=True)
        return 130
    except click.ClickException as error:
        error.show()
        return 2
    except LintmetricsError as error:
        click.echo(f"lintmetrics: {error}", err=True)
        return 2
    except BrokenPipeError:
        # The reader has seen enough. Python would complain once more when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return result if isinstance(result, int) else 0
