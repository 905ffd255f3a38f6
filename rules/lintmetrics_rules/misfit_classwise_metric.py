"""LM327: a ClasswiseWrapper around a metric that it cannot take apart."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.classwise import misfits
from lintmetrics.project import Module
from lintmetrics.rule import Consequence, Finding, Rule


class MisfitClasswiseMetric(Rule):
    """Metrics in a ``ClasswiseWrapper`` that do not answer for each class, or for other ones.

    The wrapper names the entries of what its metric answers. A metric that averages over the
    classes, as most do unless they are told not to, has no entries, and the first ``compute`` or
    ``log_dict`` raises. The labels are put beside the entries until either ends: of three classes
    with two labels, the third is never reported, and nothing says so.
    """

    code = "LM327"
    consequence = Consequence.CRASH
    source = (
        "executed on torchmetrics 1.9.0: TypeError, iteration over a 0-d tensor; two of three "
        "classes for two labels"
    )
    bad = """
    from torchmetrics import Accuracy, ClasswiseWrapper

    by_class = ClasswiseWrapper(Accuracy(task="multiclass", num_classes=3))
    """
    good = """
    from torchmetrics import Accuracy, ClasswiseWrapper

    by_class = ClasswiseWrapper(Accuracy(task="multiclass", num_classes=3, average=None))
    """

    def check(self, module: Module) -> Iterator[Finding]:
        """Find metrics that answer once for all classes, and lists of labels of another length."""
        for found in misfits(module):
            if found.labels:
                is_less = found.labels < found.classes
                lost = "the other classes are" if is_less else "the labels at the end are"
                yield Finding(
                    found,
                    f"ClasswiseWrapper has {found.labels} labels for the {found.classes} classes "
                    f"of {found.metric}: {lost} left out",
                    help="give as many labels as there are classes",
                    consequence=Consequence.IGNORED,
                    blocked="which classes the labels name is for a person to say",
                )
                continue
            how = f'averages over the classes (average="{found.average}")'
            yield Finding(
                found,
                f"ClasswiseWrapper raises: {found.metric} "
                + (how if found.average else "answers with one number"),
                help="say average=None" if found.average else "log the metric without the wrapper",
                blocked="say average=None for one number a class, or log the average without the "
                "wrapper",
            )
