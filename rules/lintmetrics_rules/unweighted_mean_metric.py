"""LM114: a MeanMetric is given batch means without their weights."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from lintmetrics.model import batches, hooks
from lintmetrics.model.flow import LightningClass
from lintmetrics.model.hook_effects import MetricUse
from lintmetrics.model.values import Form, Metric, numbers, options
from lintmetrics.rule import Consequence, Finding, Rule


class UnweightedMeanMetric(Rule):
    """A MeanMetric that is given batch means without their weights.

    ``MeanMetric.update(value)`` gives each value the weight 1. When the value is the mean over a
    batch, a short last batch counts as much as a full one. ``nan_strategy="disable"`` has the same
    effect: it replaces all weights by 1 (torchmetrics 1.7 to 1.9).
    """

    code = "LM114"
    consequence = Consequence.WRONG_NUMBER
    source = "torchmetrics 1.9.0, aggregation.py, MeanMetric.update; measured: 3.3235 for 1.9457"
    bad = """
    import lightning.pytorch as pl
    import torch.nn.functional as F
    from torchmetrics import MeanMetric


    class Regressor(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net
            self.val_loss = MeanMetric()

        def validation_step(self, batch, batch_idx):
            x, y = batch
            loss = F.mse_loss(self.net(x), y)
            self.val_loss.update(loss)
            self.log("val_loss", self.val_loss)
    """
    good = """
    import lightning.pytorch as pl
    import torch.nn.functional as F
    from torchmetrics import MeanMetric


    class Regressor(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net
            self.val_loss = MeanMetric()

        def validation_step(self, batch, batch_idx):
            x, y = batch
            loss = F.mse_loss(self.net(x), y)
            self.val_loss.update(loss, weight=x.size(0))
            self.log("val_loss", self.val_loss)
    """

    def check(self, model: LightningClass) -> Iterator[Finding]:
        """Find updates with the mean of a batch and no weight."""
        for use in model.uses:
            disabled = _disabled(use)
            if disabled is not None and _has_weight(use):
                yield Finding(
                    model,
                    f"self.{use.metric.path} counts each value once, whatever weight it is given: "
                    'nan_strategy="disable" leaves the weights out',
                    help='nan_strategy=float("nan") keeps a NaN and the weights',
                    node=use.node,
                    module=use.module,
                    detail=disabled,
                    keys=tuple(_keys(model, use)),
                )
                continue
            if not _is_batch_mean(use) or batches.one_sample_per_batch(model.cls, use.hook):
                continue
            function = use.module.enclosing_function(use.node)
            stages = (hooks.stage_of(use.hook),)
            size = batches.of(model.cls, function, stages) if function is not None else None
            text = size.expression if size is not None else None
            yield Finding(
                model,
                f"self.{use.metric.path} gives every batch one vote, however few samples it holds",
                help=f"say weight={text}" if text else "say weight= with the number of samples",
                node=use.node,
                module=use.module,
                detail=size,
                keys=tuple(_keys(model, use)),
            )


def _keys(model: LightningClass, use: MetricUse) -> Iterator[tuple[str, str]]:
    """Yield the stages and keys under which the object, or what it computes, is logged."""
    for call in model.log_calls:
        for way in call.contexts:
            held = [option.path for option in options(way.value) if isinstance(option, Metric)]
            for number in numbers(way.value):
                held += [origin.metric.path for origin in number.origins if origin.metric]
            if use.metric.path in held:
                yield way.stage, way.key or "*"


def _disabled(use: MetricUse) -> ast.expr | None:
    """Return the ``"disable"`` that a MeanMetric is made with."""
    made = use.metric.constructor
    if made is None or not use.metric.name.endswith(".MeanMetric") or not use.metric.path:
        return None
    given = made.args[0] if made.args else None
    given = next((k.value for k in made.keywords if k.arg == "nan_strategy"), given)
    return given if isinstance(given, ast.Constant) and given.value == "disable" else None


def _has_weight(use: MetricUse) -> bool:
    if use.operation not in ("update", "forward"):
        return False
    weight = use.node.args[1] if len(use.node.args) > 1 else None
    weight = next((k.value for k in use.node.keywords if k.arg == "weight"), weight)
    return weight is not None and not (
        isinstance(weight, ast.Constant) and weight.value in (None, 1)
    )


def _is_batch_mean(use: MetricUse) -> bool:
    if use.operation not in ("update", "forward") or not hooks.is_batch_hook(use.hook):
        return False
    if not use.metric.name.endswith(".MeanMetric") or not use.metric.path:
        return False
    if len(use.node.args) != 1 or use.node.keywords or len(use.arguments) != 1:
        return False
    given = list(numbers(use.arguments[0]))
    return len(given) == len(options(use.arguments[0])) and all(
        number.form is Form.MEAN for number in given
    )
