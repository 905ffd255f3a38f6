"""Right programs that came close to being found: what other code makes right stays quiet."""

from __future__ import annotations

from pathlib import Path

import projects
import pytest

HEAD = """\
import torch
import torch.nn.functional as F
import lightning.pytorch as pl
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from torchmetrics import MaxMetric, Metric
from torchmetrics.classification import BinaryF1Score
from torchmetrics.functional.classification import binary_f1_score
"""

PROGRAMS = {
    ("LM127", "no step has been made"): """\
class M(pl.LightningModule):
    def __init__(self, net):
        super().__init__()
        self.net = net
        self.val_acc = BinaryF1Score()
        self.val_acc_best = MaxMetric()
    def validation_step(self, b, i):
        x, y = b
        self.val_acc(self.net(x), y)
        self.log("val/acc", self.val_acc)
    def on_validation_epoch_end(self):
        if self.global_step == 0:
            return
        self.val_acc_best(self.val_acc.compute())
        self.log("val/acc_best", self.val_acc_best.compute())
""",
    ("LM127", "only behind a step"): """\
class M(pl.LightningModule):
    def __init__(self, net):
        super().__init__()
        self.net = net
        self.val_acc = BinaryF1Score()
        self.val_acc_best = MaxMetric()
    def validation_step(self, b, i):
        x, y = b
        self.val_acc(self.net(x), y)
    def on_validation_epoch_end(self):
        acc = self.val_acc.compute()
        if self.trainer.global_step > 0:
            self.val_acc_best.update(acc)
            self.log("val/acc_best", self.val_acc_best.compute())
        self.val_acc.reset()
""",
    ("LM127", "until the training has begun"): """\
class M(pl.LightningModule):
    def __init__(self, net):
        super().__init__()
        self.net = net
        self.val_acc = BinaryF1Score()
        self.val_acc_best = MaxMetric()
    def validation_step(self, b, i):
        x, y = b
        self.val_acc(self.net(x), y)
    def on_validation_epoch_end(self):
        if not self.started:
            self.val_acc.reset()
            return
        self.val_acc_best(self.val_acc.compute())
        self.log("val/acc_best", self.val_acc_best.compute())
    def on_train_start(self):
        self.started = True
""",
    ("LM127", "a callback resets"): """\
class M(pl.LightningModule):
    def __init__(self, net):
        super().__init__()
        self.net = net
        self.val_acc = BinaryF1Score()
        self.val_acc_best = MaxMetric()
    def validation_step(self, b, i):
        x, y = b
        self.val_acc(self.net(x), y)
    def on_validation_epoch_end(self):
        self.val_acc_best(self.val_acc.compute())
        self.log("val/acc_best", self.val_acc_best.compute())
class Resetter(pl.Callback):
    def on_train_start(self, trainer, pl_module):
        for m in pl_module.modules():
            if isinstance(m, Metric):
                m.reset()
""",
    ("LM127", "the loop is asked"): """\
class M(pl.LightningModule):
    def __init__(self, net):
        super().__init__()
        self.net = net
        self.val_acc = BinaryF1Score()
        self.val_acc_best = MaxMetric()
    def validation_step(self, b, i):
        x, y = b
        self.val_acc(self.net(x), y)
    def on_validation_epoch_end(self):
        acc = self.val_acc.compute()
        if self.trainer.fit_loop.epoch_progress.current.ready > 0:
            self.val_acc_best(acc)
        self.log("val/acc_best", self.val_acc_best.compute())
""",
    ("LM128", "a helper gathers"): """\
from comm import concat_all_ranks
class M(pl.LightningModule):
    def __init__(self, net):
        super().__init__()
        self.net = net
        self.s, self.t = [], []
    def validation_step(self, b, i):
        x, y = b
        self.s.append(self.net(x)); self.t.append(y)
    def on_validation_epoch_end(self):
        s = concat_all_ranks(torch.cat(self.s)); t = concat_all_ranks(torch.cat(self.t))
        self.log("f1", binary_f1_score(s, t))
        self.s.clear(); self.t.clear()
def main(net, d):
    pl.Trainer(devices=4, strategy="ddp").fit(M(net), d)

#@ comm.py
import torch.distributed as dist
def concat_all_ranks(x):
    out = [torch.zeros_like(x) for _ in range(dist.get_world_size())]
    dist.all_gather(out, x)
    return torch.cat(out)""",
    ("LM128", "each process has all samples"): """\
class M(pl.LightningModule):
    def __init__(self, net):
        super().__init__()
        self.net = net
        self.s, self.t = [], []
    def validation_step(self, b, i):
        x, y = b
        self.s.append(self.net(x)); self.t.append(y)
    def on_validation_epoch_end(self):
        self.log("f1", binary_f1_score(torch.cat(self.s), torch.cat(self.t)))
        self.s.clear(); self.t.clear()
def main(net, d):
    pl.Trainer(devices=4, strategy="ddp", use_distributed_sampler=False).fit(M(net), d)
""",
    ("LM128", "the step hands on what is gathered"): """\
from comm import sync_outputs
class M(pl.LightningModule):
    def __init__(self, net):
        super().__init__()
        self.net = net
        self.s, self.t = [], []
    def validation_step(self, b, i):
        x, y = b
        p = self.net(x)
        p, y = sync_outputs(p, y)
        self.s.append(p); self.t.append(y)
    def on_validation_epoch_end(self):
        self.log("f1", binary_f1_score(torch.cat(self.s), torch.cat(self.t)))
        self.s.clear(); self.t.clear()
def main(net, d):
    pl.Trainer(devices=4, strategy="ddp").fit(M(net), d)

#@ comm.py
import torch.distributed as dist
def sync_outputs(p, y):
    a = [torch.zeros_like(p) for _ in range(dist.get_world_size())]
    c = [torch.zeros_like(y) for _ in range(dist.get_world_size())]
    dist.all_gather(a, p)
    dist.all_gather(c, y)
    return torch.cat(a), torch.cat(c)""",
    ("LM129", "what the object computes"): """\
class M(pl.LightningModule):
    def __init__(self, net):
        super().__init__()
        self.net = net
        self.acc = BinaryF1Score()
    def validation_step(self, b, i):
        x, y = b
        self.acc.update(self.net(x), y)
        self.log("val_acc", self.acc)
    def on_validation_epoch_end(self):
        self.log("val_acc", self.acc.compute(), prog_bar=True)
""",
    ("LM129", "the object again"): """\
class M(pl.LightningModule):
    def __init__(self, net):
        super().__init__()
        self.net = net
        self.acc = BinaryF1Score()
    def validation_step(self, b, i):
        x, y = b
        self.acc.update(self.net(x), y)
        self.log("val_acc", self.acc)
    def on_validation_epoch_end(self):
        self.log("val_acc", self.acc, prog_bar=True)
""",
    ("LM129", "perhaps of several loaders"): """\
class M(pl.LightningModule):
    def __init__(self, net):
        super().__init__()
        self.net = net
        self.e = []
    def validation_step(self, b, i, dataloader_idx=0):
        x, y = b
        l = F.mse_loss(self.net(x), y)
        self.log("val_loss", l)
        self.e.append(l)
    def on_validation_epoch_end(self):
        self.log("val_loss", torch.stack(self.e).max())
        self.e.clear()
""",
    ("LM129", "of two loaders"): """\
class M(pl.LightningModule):
    def __init__(self, net, a, b):
        super().__init__()
        self.net = net
        self.a, self.b = a, b
        self.e = []
    def val_dataloader(self):
        return [torch.utils.data.DataLoader(self.a), torch.utils.data.DataLoader(self.b)]
    def validation_step(self, b, i, dataloader_idx=0):
        x, y = b
        l = F.mse_loss(self.net(x), y)
        self.log("val_loss", l)
        self.e.append(l)
    def on_validation_epoch_end(self):
        self.log("val_loss", torch.stack(self.e).max())
        self.e.clear()
""",
    ("LM215", "a loop of its own"): """\
import lightning as L
class Gan(pl.LightningModule):
    def training_step(self, b, which):
        return self.g(b).mean() if which else self.d(b).mean()
    def configure_optimizers(self):
        return torch.optim.Adam(self.g.parameters()), torch.optim.Adam(self.d.parameters())
def main(g, data):
    fabric = L.Fabric()
    model = Gan(g)
    og, od = model.configure_optimizers()
    model, og, od = fabric.setup(model, og, od)
    for b in data:
        fabric.backward(model.training_step(b, 0)); og.step()
        fabric.backward(model.training_step(b, 1)); od.step()
""",
    ("LM216", "averaged weights for a validation"): """\
class M(pl.LightningModule):
    def __init__(self, net, ema):
        super().__init__()
        self.net = net
        self.ema = ema
    def on_validation_epoch_start(self):
        self.backup = self.net
        self.net = self.ema
    def on_validation_epoch_end(self):
        self.net = self.backup
class Plot(pl.Callback):
    def on_validation_epoch_end(self, trainer, pl_module):
        print(pl_module.net)
""",
    ("LM216", "lists begun anew"): """\
class M(pl.LightningModule):
    def __init__(self, n):
        super().__init__()
        self.outs = [[] for _ in range(n)]
    def validation_step(self, b, i, dataloader_idx=0):
        self.outs[dataloader_idx].append(self(b))
    def on_validation_epoch_end(self):
        self.log("s", torch.cat(self.outs[0]).std())
        self.outs = [[] for _ in range(2)]
class Plot(pl.Callback):
    def on_validation_epoch_end(self, trainer, pl_module):
        print(pl_module.outs)
""",
    ("LM216", "a dict begun anew"): """\
class M(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.hist = {}
    def validation_step(self, b, i):
        self.hist["a"] = self(b)
    def on_validation_epoch_end(self):
        self.hist = {k: [] for k in ("a", "b")}
class Plot(pl.Callback):
    def on_validation_epoch_end(self, trainer, pl_module):
        print(pl_module.hist)
""",
    ("LM216", "a helper begins it anew"): """\
class M(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.cm = self._fresh()
    def _fresh(self):
        return {"a": [], "b": []}
    def validation_step(self, b, i):
        self.cm["a"].append(self(b))
    def on_validation_epoch_end(self):
        self.log("x", torch.cat(self.cm["a"]).std())
        self.cm = self._fresh()
class Plot(pl.Callback):
    def on_validation_epoch_end(self, trainer, pl_module):
        print(pl_module.cm)
""",
    ("LM216", "another module has the hook"): """\
class A(pl.LightningModule):
    def on_validation_epoch_end(self):
        self.threshold = self.find()
class B(pl.LightningModule):
    def __init__(self, threshold):
        super().__init__()
        self.threshold = threshold
    def validation_step(self, b, i):
        self.log("x", (self(b) > self.threshold).float().mean())
class Plot(pl.Callback):
    def on_validation_epoch_end(self, trainer, pl_module):
        print(pl_module.threshold)
def main(): 
    pl.Trainer(callbacks=[Plot()]).fit(B(0.5))
""",
    ("LM216", "what steps go by"): """\
class A(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.temperature = 1.0
    def training_step(self, b, i):
        return self(b).mean() / self.temperature
    def on_train_epoch_end(self):
        self.temperature = max(0.1, self.temperature * 0.9)
class TempLogger(pl.Callback):
    def on_train_epoch_end(self, trainer, pl_module):
        pl_module.log("temperature", pl_module.temperature)
""",
    ("LM216", "the last ones of a list"): """\
class A(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.preds = []
    def validation_step(self, b, i):
        self.preds.append(self(b))
    def on_validation_epoch_end(self):
        self.preds = self.preds[-5:]
class C(pl.Callback):
    def on_validation_epoch_end(self, trainer, pl_module):
        torch.save(pl_module.preds, "x.pt")
""",
    ("LM216", "a new object"): """\
class A(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.f1 = BinaryF1Score()
    def validation_step(self, b, i):
        x, y = b
        self.f1.update(self(x), y)
    def on_validation_epoch_end(self):
        self.log("f1", self.f1.compute())
        self.f1 = BinaryF1Score().to(self.device)
class C(pl.Callback):
    def on_validation_epoch_end(self, trainer, pl_module):
        print(pl_module.f1.compute())
""",
    ("LM216", "the value before"): """\
class A(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.prev = None
    def on_train_epoch_end(self):
        self.prev = self.trainer.callback_metrics["loss"]
class C(pl.Callback):
    def on_train_epoch_end(self, trainer, pl_module):
        now = trainer.callback_metrics["loss"]
        if pl_module.prev is not None:
            print(now - pl_module.prev)
""",
    ("LM216", "a module without the hook"): """\
class A(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.preds = []
    def validation_step(self, b, i):
        self.preds.append(self(b))
class B(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.preds = []
    def validation_step(self, b, i):
        self.preds.append(self(b))
    def on_validation_epoch_end(self):
        self.log("x", torch.cat(self.preds).std())
        self.preds.clear()
class C(pl.Callback):
    def on_validation_epoch_end(self, trainer, pl_module):
        torch.save(pl_module.preds, "x.pt")
        pl_module.preds.clear()
def main():
    pl.Trainer(callbacks=[C()]).fit(A())
    pl.Trainer().fit(B())
""",
    ("LM324", "of all that is kept"): """\
class E(Metric):
    def __init__(self):
        super().__init__()
        self.add_state("p", default=[], dist_reduce_fx="cat")
        self.add_state("t", default=[], dist_reduce_fx="cat")
        self.add_state("s", default=torch.tensor(0.0), dist_reduce_fx="sum")
    def update(self, p, t):
        self.p.append(p)
        self.t.append(t)
        bad = torch.cat(self.p) - torch.cat(self.t)
        self.s = bad.abs().sum()
    def compute(self):
        return self.s
""",
    ("LM324", "of an object that counts"): """\
class Counter:
    def __init__(self): self.n = 0
    def add(self, v):
        self.n += v
        return self.n
class E(Metric):
    def __init__(self):
        super().__init__()
        self.counter = Counter()
        self.add_state("s", default=torch.tensor(0.0), dist_reduce_fx="sum")
    def update(self, p, t):
        self.s = self.counter.add((p - t).abs().sum())
    def compute(self):
        return self.s
""",
    ("LM324", "of a list that grows"): """\
class E(Metric):
    def __init__(self):
        super().__init__()
        self.values = []
        self.add_state("total", default=torch.tensor(0.0), dist_reduce_fx="sum")
    def update(self, p):
        self.values.extend(p.tolist())
        vals = sorted(self.values)
        self.total = torch.tensor(sum(vals[: len(p)]))
    def compute(self):
        return self.total
""",
    ("LM405", "gathered"): """\
class M(pl.LightningModule):
    def validation_step(self, b, i):
        x, y = b
        loss = F.mse_loss(self(x), y)
        loss = self.all_gather(loss).mean()
        self.log("val_loss", loss, rank_zero_only=True)
    def configure_callbacks(self):
        return [EarlyStopping(monitor="val_loss")]
""",
    ("LM405", "the same everywhere"): """\
class M(pl.LightningModule):
    def on_train_epoch_end(self):
        self.log("epoch_no", float(self.current_epoch), rank_zero_only=True)
ck = ModelCheckpoint(monitor="epoch_no", mode="max", save_top_k=3)
""",
    ("LM405", "a helper reduces"): """\
from comm import mean_over_ranks
class M(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.l = []
    def validation_step(self, b, i):
        x, y = b
        self.l.append(F.mse_loss(self(x), y))
    def on_validation_epoch_end(self):
        v = mean_over_ranks(torch.stack(self.l))
        self.log("val_loss", v, rank_zero_only=True)
        self.l.clear()
ck = ModelCheckpoint(monitor="val_loss")

#@ comm.py
import torch.distributed as dist
def mean_over_ranks(t):
    m = t.mean()
    dist.all_reduce(m)
    return m / dist.get_world_size()""",
    ("LM405", "broadcast"): """\
class M(pl.LightningModule):
    def on_validation_epoch_end(self):
        score = torch.zeros(1)
        if self.trainer.is_global_zero:
            score = self.evaluate_files()
        score = self.trainer.strategy.broadcast(score)
        self.log("cider", score, rank_zero_only=True)
ck = ModelCheckpoint(monitor="cider", mode="max")
""",
    ("LM405", "one device"): """\
class M(pl.LightningModule):
    def validation_step(self, b, i):
        x, y = b
        self.log("val_loss", F.mse_loss(self(x), y), rank_zero_only=True)
ck = ModelCheckpoint(monitor="val_loss")
def main():
    pl.Trainer(devices=1, callbacks=[ck]).fit(M())
""",
    ("LM204,LM111", "statistics of the run"): """\
class M(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.x_sum = 0.0
        self.x_count = 0
    def training_step(self, b, i):
        x, y = b
        self.x_sum += x.sum().item()
        self.x_count += x.numel()
        return F.mse_loss(self(x), y)
    def on_train_epoch_end(self):
        self.x_mean = self.x_sum / self.x_count
""",
    ("LM204,LM111", "samples by time"): """\
import time
class M(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.n_samples = 0
        self.elapsed = 0.0
    def training_step(self, b, i):
        x, y = b
        t = time.time()
        l = F.mse_loss(self(x), y)
        self.elapsed += time.time() - t
        self.n_samples += x.size(0)
        return l
    def on_train_epoch_end(self):
        self.log("samples_per_second", self.n_samples / self.elapsed)
""",
    ("LM204,LM111", "a rate of the run"): """\
class M(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.wins = 0
        self.games = 0
    def training_step(self, b, i):
        out = self(b)
        self.games += 1
        if out.win:
            self.wins += 1
        return out.loss
    def on_train_epoch_end(self):
        self.log("win_rate", self.wins / self.games)
""",
    ("LM204,LM111", "tokens by steps"): """\
class M(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.tokens = 0
        self.steps = 0
    def training_step(self, b, i):
        self.tokens += b["mask"].sum().item()
        self.steps += 1
        return self(b).loss
    def on_train_epoch_end(self):
        self.log("tokens", float(self.tokens))
        self.log("tokens_per_step", self.tokens / self.steps)
""",
    ("LM204,LM111", "a share of the steps"): """\
class M(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.skipped = 0
        self.batches = 0
    def training_step(self, b, i):
        self.batches += 1
        loss = self(b).mean()
        if not torch.isfinite(loss):
            self.skipped += 1
            return None
        return loss
    def on_train_epoch_end(self):
        self.log("skipped_fraction", self.skipped / self.batches)
""",
    ("LM401", "a decorator of another package"): """\
from framework import auto_log
class M(pl.LightningModule):
    @auto_log
    def validation_step(self, b, i):
        return {"val_loss": self(b).mean()}
ck = ModelCheckpoint(monitor="val_loss")
""",
    ("LM401", "a base of another package"): """\
from framework import BaseModule
class M(BaseModule, pl.LightningModule):
    def validation_step(self, b, i):
        return {"val_loss": self(b).mean()}
ck = ModelCheckpoint(monitor="val_loss")
""",
    ("LM401", "a callback hands it on"): """\
class M(pl.LightningModule):
    def validation_step(self, b, i):
        return {"val_loss": self(b).mean()}
class C(pl.Callback):
    def on_validation_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        trainer.callback_metrics.update(outputs)
ck = ModelCheckpoint(monitor="val_loss")
""",
    ("LM401", "a callback of another package"): """\
from framework.callbacks import LogOutputs
class M(pl.LightningModule):
    def validation_step(self, b, i):
        return {"val_loss": self(b).mean()}
ck = ModelCheckpoint(monitor="val_loss")
t = pl.Trainer(callbacks=[LogOutputs(), ck])
""",
    ("LM610", "a graph"): """\
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
class M(pl.LightningModule):
    def on_train_start(self):
        self.logger.log_graph(self)
t = pl.Trainer(logger=[TensorBoardLogger("l"), CSVLogger("l")])
""",
    ("LM610", "parameters with metrics"): """\
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
class M(pl.LightningModule):
    def on_train_start(self):
        self.logger.log_hyperparams(self.hparams, {"hp/metric": 0})
t = pl.Trainer(logger=[TensorBoardLogger("l"), CSVLogger("l")])
""",
    ("LM610", "the others are looped over"): """\
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
class M(pl.LightningModule):
    def on_train_start(self):
        self.logger.log_metrics({"a": 1})
        for l in self.loggers[1:]:
            l.log_metrics({"a": 1, "b": 2})
t = pl.Trainer(logger=[TensorBoardLogger("l"), CSVLogger("l")])
""",
    ("LM610", "left for other loggers"): """\
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
class M(pl.LightningModule):
    def on_train_start(self):
        if not isinstance(self.logger, TensorBoardLogger):
            return
        self.logger.log_metrics({"a": 1})
t = pl.Trainer(logger=[TensorBoardLogger("l"), CSVLogger("l")])
""",
    ("LM507", "a file named after the epoch"): """\
class M(pl.LightningModule):
    def validation_step(self, b, i):
        self.log("epoch", float(self.current_epoch))
ck = ModelCheckpoint("ckpts", "epoch", save_top_k=-1)
""",
}


@pytest.mark.parametrize(("codes", "case"), list(PROGRAMS))
def test_a_right_program_is_quiet(codes: str, case: str, tmp_path: Path) -> None:
    model, _, beside = PROGRAMS[codes, case].partition("\n#@ comm.py\n")
    files = {"model.py": HEAD + model, **({"comm.py": beside} if beside else {})}
    projects.written(tmp_path, files)
    report = projects.check(tmp_path, *codes.split(","))
    assert not report.failures, report.failures
    assert [d.message for d in report.diagnostics] == []
