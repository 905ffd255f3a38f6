"""LM326: a container of Metric objects is given a name that it refuses."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.refused_names import RefusedName, refused_names
from lintmetrics.project import Module
from lintmetrics.rule import Consequence, Finding, Rule


class RefusedMetricName(Rule):
    """Metric objects under names that a ``ModuleDict`` or ``MetricCollection`` refuses.

    Both keep their members as attributes, so that no name of a method of theirs is free: ``train``,
    ``type``, ``keys`` and ``update`` raise, and so do an empty name, one with a dot and one that is
    no text. A collection made of a list names each metric for its class, and raises on the second
    of one class; where that one stands in a collection inside, it takes the first one's place.
    """

    code = "LM326"
    consequence = Consequence.CRASH
    source = (
        "executed on torch 2.13 and torchmetrics 1.9.0, each name: KeyError, TypeError; ValueError "
        "for two of one class; one of two left for a collection in a collection"
    )
    bad = """
    import lightning.pytorch as pl
    from torch.nn import ModuleDict
    from torchmetrics import MetricCollection
    from torchmetrics.classification import BinaryF1Score


    class Classifier(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net
            self.f1 = ModuleDict({"train": BinaryF1Score(), "val": BinaryF1Score()})
            self.tested = MetricCollection([BinaryF1Score(0.5), BinaryF1Score(0.9)])
    """
    good = """
    import lightning.pytorch as pl
    from torch.nn import ModuleDict
    from torchmetrics import MetricCollection
    from torchmetrics.classification import BinaryF1Score


    class Classifier(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net
            self.f1 = ModuleDict({"train_f1": BinaryF1Score(), "val_f1": BinaryF1Score()})
            self.tested = MetricCollection({"f1": BinaryF1Score(0.5), "f1_90": BinaryF1Score(0.9)})
    """

    def check(self, module: Module) -> Iterator[Finding]:
        """Find names that raise, or that lose a metric."""
        for name in refused_names(module):
            what, help_ = _said(name)
            yield Finding(
                name,
                what,
                help=help_,
                consequence=Consequence.IGNORED if name.why == "lost" else None,
                blocked="whatever reads the name has to change with it",
            )


def _said(name: RefusedName) -> tuple[str, str]:
    """Return the message and the help of a name."""
    if name.why == "twice":
        return (
            f"this MetricCollection has two metrics of the class {name.name}, and raises",
            'give it a dict, with a name for each: {"first": ..., "second": ...}',
        )
    if name.why == "lost":
        return (
            f"the {name.name} in this collection takes the place of the one before, which is lost",
            "give one of the collections a prefix=, or the members names",
        )
    reasons = {
        "taken": "which is an attribute of every such object",
        "dot": "which has a dot",
        "empty": "which is empty",
        "text": "which is no text",
    }
    return (
        f"{name.container} raises on the name {name.name}, {reasons[name.why]}",
        "choose another name, such as one with the stage and the metric",
    )
