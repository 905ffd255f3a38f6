"""LM504: command line arguments that Lightning no longer makes."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from lintmetrics.model.lightning_versions import failing
from lintmetrics.model.old_members import old_members
from lintmetrics.project import Module
from lintmetrics.rule import Consequence, Finding, Rule


class ArgparseOfLightning(Rule):
    """Command line arguments that the Trainer or a data module makes or reads.

    ``Trainer.add_argparse_args`` and ``from_argparse_args`` went with Lightning 2. Which arguments
    a program shall take from then on is its author's to say, so no rewrite is right by itself.
    """

    code = "LM504"
    consequence = Consequence.CRASH
    source = "called on lightning 2.6.6: AttributeError"
    bad = """
    from argparse import ArgumentParser

    from pytorch_lightning import Trainer

    parser = Trainer.add_argparse_args(ArgumentParser())
    trainer = Trainer.from_argparse_args(parser.parse_args())
    """
    good = """
    from argparse import ArgumentParser

    from pytorch_lightning import Trainer

    parser = ArgumentParser()
    parser.add_argument("--max_epochs", type=int)
    arguments = parser.parse_args()
    trainer = Trainer(max_epochs=arguments.max_epochs)
    """

    def check(self, module: Module) -> Iterator[Finding]:
        """Find calls of what is gone."""
        for member in old_members(module, "argparse"):
            change = member.change
            shown = ast.unparse(member.node)
            yield Finding(
                member,
                f"{shown} is gone {failing(change, module.project)}",
                help=change.note,
                consequence=member.consequence,
                blocked=f"which arguments the program takes is yours to say: {change.note}",
            )
