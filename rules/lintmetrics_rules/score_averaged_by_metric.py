"""LM319: a custom metric answers with the mean of batch scores."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.averaged_scores import averaged_scores
from lintmetrics.model.metric_classes import MetricClass
from lintmetrics.project import ClassInfo
from lintmetrics.rule import Consequence, Finding, Rule


class ScoreAveragedByMetric(Rule):
    """Custom metrics that score each batch and answer with the mean of the scores.

    A Metric is there to see all data before it answers. One that adds up the AUROCs of batches
    gives their mean, which is not the AUROC of the epoch: it moves with the batch size and with
    the order of the data, and no reset or reduction mends it.
    """

    code = "LM319"
    consequence = Consequence.WRONG_NUMBER
    source = (
        "measured: metric_decomposability.csv (torchmetrics 1.9.0, scikit-learn 1.9.1); on the "
        "same data .7229 by batches, .6610 on all"
    )
    bad = """
    import torch
    from sklearn.metrics import roc_auc_score
    from torchmetrics import Metric


    class RocAuc(Metric):
        def __init__(self):
            super().__init__()
            self.add_state("total", default=torch.tensor(0.0), dist_reduce_fx="sum")
            self.add_state("batches", default=torch.tensor(0), dist_reduce_fx="sum")

        def update(self, preds, target):
            self.total += roc_auc_score(target.cpu(), preds.cpu())
            self.batches += 1

        def compute(self):
            return self.total / self.batches
    """
    good = """
    import torch
    from sklearn.metrics import roc_auc_score
    from torchmetrics import Metric
    from torchmetrics.utilities import dim_zero_cat


    class RocAuc(Metric):
        def __init__(self):
            super().__init__()
            self.add_state("target", default=[], dist_reduce_fx="cat")
            self.add_state("preds", default=[], dist_reduce_fx="cat")

        def update(self, preds, target):
            self.target.append(target)
            self.preds.append(preds)

        def compute(self):
            return torch.tensor(
                roc_auc_score(dim_zero_cat(self.target).cpu(), dim_zero_cat(self.preds).cpu())
            )
    """

    def check(self, cls: ClassInfo) -> Iterator[Finding]:
        """Find scores of batches that are added up and divided."""
        metric = MetricClass.of(cls)
        for score in averaged_scores(metric) if metric is not None else ():
            yield Finding(
                cls,
                f"{cls.node.name} answers with the mean of batch values of {score.label}, not with "
                "its value on all data",
                help=f"keep the inputs in list states, and call {score.label} once in compute",
                node=score.call,
                detail=score,
            )
