"""LM140: a score is given predictions for targets and targets for predictions."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.swapped_arguments import swapped_arguments
from lintmetrics.project import Module
from lintmetrics.rule import Consequence, Finding, Rule


class SwappedScoreArguments(Rule):
    """Predictions and targets in each other's place.

    scikit-learn takes ``(y_true, y_pred)`` and TorchMetrics ``(preds, target)``. Where one is
    called in the order of the other, nothing fails: the precision is the recall, a confusion matrix
    lies on its side, R2 is that of the targets as a model of the predictions.
    """

    code = "LM140"
    consequence = Consequence.WRONG_NUMBER
    source = "signatures of scikit-learn 1.9 and torchmetrics 1.9.0; each called in both orders"
    bad = """
    import lightning.pytorch as pl
    from sklearn.metrics import recall_score


    class Recall(pl.Callback):
        def on_validation_end(self, trainer, pl_module):
            preds, targets = pl_module.collected()
            print(recall_score(preds.cpu(), targets.cpu(), average="macro"))
    """
    good = """
    import lightning.pytorch as pl
    from sklearn.metrics import recall_score


    class Recall(pl.Callback):
        def on_validation_end(self, trainer, pl_module):
            preds, targets = pl_module.collected()
            print(recall_score(targets.cpu(), preds.cpu(), average="macro"))
    """

    def check(self, module: Module) -> Iterator[Finding]:
        """Find calls whose arguments are called the other way round."""
        for call in swapped_arguments(module):
            yield Finding(
                call,
                f"{call.name} takes {call.order} and is given ({call.first}, {call.second}): it "
                f"answers {call.answer}",
                help=f"write {call.name}({call.second}, {call.first}, ...)",
            )
