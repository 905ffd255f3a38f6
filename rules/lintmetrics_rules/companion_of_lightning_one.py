"""LM513: an import of a package that goes with Lightning 1 alone."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from lintmetrics import facts
from lintmetrics.model.lightning_objects import is_left_alone
from lintmetrics.project import Module
from lintmetrics.releases import reaches
from lintmetrics.rule import Consequence, Finding, Rule

_ASKED = re.compile(r"TYPE_CHECKING|avail|installed|find_spec|bolts", re.IGNORECASE)


class CompanionOfLightningOne(Rule):
    """An import of a package that was made for Lightning 1 and fails beside Lightning 2.

    The last release of ``lightning-bolts`` imports what Lightning 2 no longer has, so that
    ``import pl_bolts`` raises, whichever part of it is wanted; and its pin keeps Lightning below 2
    where both are installed together.
    """

    code = "LM513"
    consequence = Consequence.CRASH
    since = "lightning 2.0"
    source = "lightning-bolts 0.7.0 imported with pytorch-lightning 2.6.1: ModuleNotFoundError"
    bad = """
    import pytorch_lightning as pl
    import torch
    from pl_bolts.optimizers.lr_scheduler import LinearWarmupCosineAnnealingLR


    class Model(pl.LightningModule):
        def configure_optimizers(self):
            optimizer = torch.optim.Adam(self.parameters())
            return [optimizer], [LinearWarmupCosineAnnealingLR(optimizer, 10, 100)]
    """
    good = """
    import pytorch_lightning as pl
    import torch
    from torch.optim.lr_scheduler import CosineAnnealingLR


    class Model(pl.LightningModule):
        def configure_optimizers(self):
            optimizer = torch.optim.Adam(self.parameters())
            return [optimizer], [CosineAnnealingLR(optimizer, 100)]
    """

    def check(self, module: Module) -> Iterator[Finding]:
        """Find the first of what each statement imports of such a package."""
        told: set[ast.stmt] = set()
        for item in module.imports:
            statement = item.statement
            relative = isinstance(statement, ast.ImportFrom) and statement.level
            plain = isinstance(statement, ast.Import)
            root = (item.alias.name if plain else item.target).partition(".")[0]
            row = facts.lightning_companions().get(root)
            if row is None or relative or statement in told:
                continue
            if not reaches(module.project.target_lightning, row.since):
                continue
            if module.project.find(root, module) is not None or _is_only_read(module, statement):
                continue
            told.add(statement)
            yield Finding(
                item,
                f"{root} cannot be imported with Lightning {row.since} and later: {row.error} "
                f"from {row.distribution} {row.last}, its last release",
                help=row.help,
            )


def _is_only_read(module: Module, statement: ast.stmt) -> bool:
    """Tell whether an import runs only where it works, or not at all."""
    return is_left_alone(module, statement, "") or any(
        isinstance(around, ast.If) and _ASKED.search(ast.unparse(around.test))
        for around in module.ancestors(statement)
    )
