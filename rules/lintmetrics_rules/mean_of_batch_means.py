"""LM111: an epoch value is the plain mean of one value per batch."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from lintmetrics.model import hooks
from lintmetrics.model.batches import one_sample_per_batch
from lintmetrics.model.epoch_hooks import loads, references
from lintmetrics.model.flow import LightningClass
from lintmetrics.model.hook_effects import BatchMean
from lintmetrics.model.returned_logs import KEYS
from lintmetrics.model.values import UNKNOWN, Map, Number, Value, numbers, options
from lintmetrics.rule import Consequence, Finding, Rule


class MeanOfBatchMeans(Rule):
    """An epoch value that is the plain mean of one value per batch.

    Each batch has one vote in ``torch.stack(values).mean()`` or ``sum(values) / len(values)``,
    however few samples it holds. With 103 samples in batches of 32 the 7 samples of the last batch
    decide a quarter of the number. ``self.log`` in the step weighs each batch by its size. The same
    is true of a total in an attribute, ``self.total += loss``, over the number of batches.
    """

    code = "LM111"
    consequence = Consequence.WRONG_NUMBER
    source = (
        "lightning 2.6.6, logger_connector/result.py, _ResultMetric; measured: 3.3235 for 1.9457"
    )
    bad = """
    import lightning.pytorch as pl
    import torch
    import torch.nn.functional as F


    class Regressor(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net
            self.validation_step_outputs = []

        def validation_step(self, batch, batch_idx):
            x, y = batch
            loss = F.mse_loss(self.net(x), y)
            self.validation_step_outputs.append(loss)
            return loss

        def on_validation_epoch_end(self):
            self.log("val_loss", torch.stack(self.validation_step_outputs).mean())
            self.validation_step_outputs.clear()
    """
    good = """
    import lightning.pytorch as pl
    import torch.nn.functional as F


    class Regressor(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def validation_step(self, batch, batch_idx):
            x, y = batch
            loss = F.mse_loss(self.net(x), y)
            self.log("val_loss", loss)
            return loss
    """

    def check(self, model: LightningClass) -> Iterator[Finding]:
        """Find means over the batches of an epoch that are made by hand."""
        for mean in model.batch_means:
            if not mean.is_of_batch_values or one_sample_per_batch(model.cls, mean.hook):
                continue
            logged = _logged(model, mean)
            if any(_metric_is_reported(number) for _, number in logged):
                continue  # The metric cannot be averaged at all; that is the finding.
            keys = list(dict.fromkeys(key for key, _ in logged if key))
            label = f'"{keys[0]}"' if len(keys) == 1 else _called(mean)
            if not logged and mean.hook not in hooks.EPOCH_END:
                if _is_only_returned(mean):
                    continue  # Nobody looks at what a hook of today returns.
            elif not logged:
                shown, handed = _returned(model, mean)
                named = shown or handed
                label = f'"{named[0]}"' if len(named) == 1 else label
                label += "" if shown or not handed else ", returned for callbacks alone,"
                keys = [*shown, *handed]
            yield Finding(
                model,
                f"{label} gives every batch one vote, so a short last one weighs as a full one",
                help=_help(model, mean.hook, keys, label.partition(",")[0]),
                node=mean.node,
                module=mean.module,
                detail=mean,
                keys=tuple((hooks.stage_of(mean.hook) or "*", key) for key in keys),
            )


def _help(model: LightningClass, hook: str, keys: list[str], label: str) -> str:
    step = _step(model, hook)
    if len(keys) == 1 and "*" not in keys[0]:
        receiver = "pl_module" if _is_callback(model) else "self"
        call = f'{receiver}.log("{keys[0]}", value, on_step=False, on_epoch=True)'
        return f"log the batch value in {step}: {call}"
    which = "each its own key" if len(keys) > 1 else f"the key that {label} goes by"
    return f"log the batch value in {step} under {which}, with on_step=False, on_epoch=True"


def _step(model: LightningClass, hook: str) -> str:
    """Return the hook that sees the batches of an epoch, as a module or a callback has it."""
    stage = hooks.stage_of(hook)
    if _is_callback(model):
        loop = {"val": "validation"}.get(stage, stage)
        return f"on_{loop}_batch_end"
    return next((step for step, of in hooks.STEPS.items() if of == stage), "the step")


def _is_callback(model: LightningClass) -> bool:
    return model.cls.is_kind("Callback") and not model.cls.is_kind("LightningModule")


def _called(mean: BatchMean) -> str:
    """Return how the user names a mean."""
    statement = mean.module.statement(mean.node)
    targets = getattr(statement, "targets", None) or [getattr(statement, "target", None)]
    if isinstance(targets[0], (ast.Name, ast.Attribute)):
        return mean.module.source.segment(targets[0])
    text = " ".join(mean.module.source.segment(mean.node).split())
    return text if len(text) < 40 else "this mean"


def _logged(model: LightningClass, mean: BatchMean) -> list[tuple[str | None, Number]]:
    return [
        (context.key, number)
        for call in model.log_calls
        for context in call.contexts
        for number in numbers(context.value)
        if any(origin.node is mean.origin.node for origin in number.origins)
    ]


def _returned(model: LightningClass, mean: BatchMean) -> tuple[list[str], list[str]]:
    """Return the keys under which Lightning before 1.3 took a mean from what a hook returned.

    Those of ``log`` and ``progress_bar`` come first. What stood beside them went to callbacks, such
    as one that stops early, and to no logger (executed on 1.0.8 and 1.2.10).
    """
    shown: dict[str, None] = {}
    handed: dict[str, None] = {}
    for option in options(model.returned.get(mean.hook, UNKNOWN)):
        for key, value in option.items if isinstance(option, Map) else ():
            if key not in KEYS:
                if _is_of(value, mean):
                    handed[key] = None
                continue
            for inner in options(value):
                entries = inner.items if isinstance(inner, Map) else ()
                shown.update((name, None) for name, held in entries if _is_of(held, mean))
    return list(shown), list(handed)


def _is_only_returned(mean: BatchMean) -> bool:
    """Tell whether a method does nothing with a mean but return it."""
    function, statement = mean.function, mean.module.statement(mean.node)
    if function is None or function.name != mean.hook or _is_asked(mean):
        return False
    if isinstance(statement, ast.Return):
        return True
    if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
        return False
    target = statement.targets[0]
    if not isinstance(target, ast.Name) or statement.value is not mean.node:
        return False
    reads = loads(function, target.id)
    return all(isinstance(mean.module.statement(read), ast.Return) for read in reads)


def _is_asked(mean: BatchMean) -> bool:
    """Tell whether other code of the project calls the hook and does something with its answer."""
    return any(
        not isinstance(found.module.parent(found.call or found.node), (ast.Expr, ast.Return))
        for found in references(mean.module.project, mean.hook)
    )


def _is_of(value: Value, mean: BatchMean) -> bool:
    return any(
        origin.node is mean.origin.node for number in numbers(value) for origin in number.origins
    )


def _metric_is_reported(number: Number) -> bool:
    return any(
        origin.averaged and origin.verdict == "no" and origin.kind != "formula"
        for origin in number.origins
    )
