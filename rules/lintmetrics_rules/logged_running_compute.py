"""LM103: compute() of a Metric object is logged at every step."""

from collections.abc import Iterator

from lintmetrics.model import hooks
from lintmetrics.model.flow import LightningClass
from lintmetrics.model.log_calls import LogCall
from lintmetrics.model.values import Metric
from lintmetrics.rule import Consequence, Finding, Rule

# What these compute is a value so far, meant to be read at every step.
_RUNNING = ("MaxMetric", "MinMetric", "Running", "RunningMean", "RunningSum", "MetricTracker")


class LoggedRunningCompute(Rule):
    """Running values of a Metric object averaged over the epoch.

    ``compute()`` inside a step answers for all batches so far. Logged at every step, these values
    are averaged once more at the end of the epoch, so that the first batches count over and over;
    and as Lightning is given a plain tensor, the object is not reset.
    """

    code = "LM103"
    consequence = Consequence.WRONG_NUMBER
    source = (
        "measured on lightning 2.6.6 and torchmetrics 1.9.0: AUROC .7078 logged, .6610 true; "
        "logger_connector/result.py, _ResultMetric"
    )
    bad = """
    import pytorch_lightning as pl
    from torchmetrics.classification import BinaryF1Score


    class Classifier(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net
            self.val_f1 = BinaryF1Score()

        def validation_step(self, batch, batch_idx):
            x, y = batch
            self.val_f1.update(self.net(x), y)
            self.log("val_f1", self.val_f1.compute())
    """
    good = """
    import pytorch_lightning as pl
    from torchmetrics.classification import BinaryF1Score


    class Classifier(pl.LightningModule):
        def __init__(self, net):
            super().__init__()
            self.net = net
            self.val_f1 = BinaryF1Score()

        def validation_step(self, batch, batch_idx):
            x, y = batch
            self.val_f1.update(self.net(x), y)
            self.log("val_f1", self.val_f1)
    """

    def check(self, call: LogCall) -> Iterator[Finding]:
        """Find running values that reach an epoch mean."""
        for origin, ways in call.averaged("compute"):
            metric = origin.metric
            if metric is None or metric.name.rsplit(".", 1)[-1] in _RUNNING:
                continue
            hooks_of = {way.hook for way in ways if hooks.is_batch_hook(way.hook)}
            reset = _is_reset(call, metric, hooks_of)
            if not hooks_of or (reset and origin.verdict not in ("no", "weighted")):
                continue
            name = call.name_of(origin)
            what = "batch values" if reset else "running values"
            module, node = call.place(origin)
            yield Finding(
                call,
                f"{call.key_in(ways)} is the mean of {what} of {name}, not its value on the epoch",
                help=f"log {name} itself in place of what it computes at every step",
                node=node,
                module=module,
                detail=origin,
            )


def _is_reset(call: LogCall, metric: Metric, names: set[str]) -> bool:
    """Tell whether the object starts anew in the steps themselves."""
    return any(
        use.operation == "reset"
        and hooks.is_batch_hook(use.hook)
        and (not names or use.hook in names)
        and (use.metric.path == metric.path or use.metric.constructor is metric.constructor)
        for use in LightningClass.of(call.cls).uses
    )
