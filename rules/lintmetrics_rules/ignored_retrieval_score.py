"""LM132: a retrieval metric is given scores that it takes for nothing found."""

from __future__ import annotations

from collections.abc import Iterator

from lintmetrics.model.retrieval_scores import low_scores
from lintmetrics.project import Module
from lintmetrics.rule import Consequence, Finding, Rule


class IgnoredRetrievalScore(Rule):
    """Retrieval metrics that are fed negated distances, log-probabilities, cosines or logits.

    Only the order of the scores matters to a ranking, but since TorchMetrics 1.7.4 RetrievalMAP,
    RetrievalMRR, RetrievalPrecision and RetrievalRecall take a document with a score of 0 or below
    for one that was not found. Of scores that are never above 0, each of them makes 0.0. A name
    such as ``logits`` is taken at its word.
    """

    code = "LM132"
    consequence = Consequence.WRONG_NUMBER
    since = "torchmetrics 1.7.4"
    source = (
        "executed on torchmetrics 1.9.0: of negated distances 0.0, 0.0, 0.0 and 0.0, of the same "
        "ranking above 0 0.75, 0.75, 0.63 and 0.76; the MAP of logits 0.51, of their sigmoid 0.62; "
        "RetrievalNormalizedDCG, HitRate, FallOut, RPrecision and AUROC are the same for both"
    )
    bad = """
    import lightning.pytorch as pl
    import torch
    from torchmetrics.retrieval import RetrievalMAP


    class Retriever(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net
            self.val_map = RetrievalMAP()

        def validation_step(self, batch, batch_idx):
            query, document, relevant, indexes = batch
            distances = (self.net(query) - self.net(document)).norm(dim=-1)
            self.val_map.update(-distances, relevant, indexes=indexes)
            self.log("val_map", self.val_map)
    """
    good = """
    import lightning.pytorch as pl
    import torch
    from torchmetrics.retrieval import RetrievalMAP


    class Retriever(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net
            self.val_map = RetrievalMAP()

        def validation_step(self, batch, batch_idx):
            query, document, relevant, indexes = batch
            distances = (self.net(query) - self.net(document)).norm(dim=-1)
            self.val_map.update(torch.exp(-distances), relevant, indexes=indexes)
            self.log("val_map", self.val_map)
    """

    def check(self, module: Module) -> Iterator[Finding]:
        """Find scores that the metric leaves out."""
        for scores in low_scores(module):
            what = "none of them above 0: it takes every document for one that was not found"
            if not scores.are_all:
                what = "and takes a document at 0 or below for one that was not found"
            help_ = {
                "negated distances": "torch.exp(-distances)",
                "log-probabilities": "the probabilities",
                "cosines": "the cosines plus 1",
                "logits": "their sigmoid",
            }[scores.what]
            yield Finding(
                scores,
                f"{scores.metric} is given {scores.what}, {what}",
                help=f"give it scores above 0 in the same order, such as {help_}",
                blocked="which scores above 0 keep the order is for a person to say",
            )
