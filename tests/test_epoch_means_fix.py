"""Epoch ends that only reduce and log move into the step; those that do more stay hooks.

Each moved text was run: the module before on lightning 1.9.5, the one after on 2.6.6, with a short
last batch; metrics kept their numbers, means became the mean over samples.
"""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

import projects
import pytest

from lintmetrics.codemod import Relation
from lintmetrics.diagnostics import Report

HEAD = """\
import torch
import torch.nn.functional as F
import torchmetrics
import pytorch_lightning as pl
from sklearn.metrics import f1_score
from torchmetrics.functional import auroc


class M(pl.LightningModule):
    def __init__(self, net, num_classes=3):
        super().__init__()
        self.net = net
        self.num_classes = num_classes
        self.outs = []

    def training_step(self, batch, batch_idx):
        return f1_score(batch), auroc(batch), torchmetrics, F

"""
PRESERVES = frozenset((Relation.PRESERVES,))
DEFAULT = frozenset((Relation.PRESERVES, Relation.CORRECTS))


def moved(
    tmp_path: Path, body: str, relations: frozenset[Relation] = DEFAULT, style: str = "auto"
) -> str:
    """Fix a module with these methods; return all that follows its fixed head."""
    text = HEAD + indent(dedent(body).strip("\n"), "    ") + "\n"
    projects.written(tmp_path, {"model.py": ""})
    (tmp_path / "model.py").write_text(text, encoding="utf-8")
    report = projects.fix(tmp_path, "LM201", "LM111", relations=relations, style=style)
    assert not report.failures
    assert not report.failed
    done = (tmp_path / "model.py").read_text(encoding="utf-8")
    compile(done, "model.py", "exec")
    return done


def methods(text: str) -> str:
    """Return what stands behind the training step."""
    return dedent(text.split("torchmetrics, F\n", 1)[1]).strip("\n") + "\n"


def plans(tmp_path: Path, body: str) -> Report:
    text = HEAD + indent(dedent(body).strip("\n"), "    ") + "\n"
    (tmp_path / "model.py").write_text(text, encoding="utf-8")
    return projects.check(tmp_path, "LM201", "LM111")


MEANS = """
def validation_step(self, batch, batch_idx):
    x, y = batch
    logits = self.net(x)
    loss = F.cross_entropy(logits, y)
    return {"val_loss": loss, "val_acc": (logits.argmax(1) == y).float().mean()}

def validation_epoch_end(self, outputs):
    # what the scheduler watches
    avg_loss = torch.stack([x["val_loss"] for x in outputs]).mean()
    self.log("val_loss", avg_loss, prog_bar=True)
    self.log("val_acc", sum(x["val_acc"] for x in outputs) / len(outputs))
"""


def test_means_of_batch_values_are_logged_by_the_step(tmp_path: Path) -> None:
    assert (
        methods(moved(tmp_path, MEANS))
        == """\
def validation_step(self, batch, batch_idx):
    x, y = batch
    logits = self.net(x)
    loss = F.cross_entropy(logits, y)
    val_acc = (logits.argmax(1) == y).float().mean()
    # what the scheduler watches
    self.log("val_loss", loss, prog_bar=True)
    self.log("val_acc", val_acc)
    return {"val_loss": loss, "val_acc": val_acc}
"""
    )


def test_a_run_that_preserves_numbers_keeps_the_plain_mean(tmp_path: Path) -> None:
    done = methods(moved(tmp_path, MEANS, PRESERVES))
    assert "def on_validation_epoch_end(self):" in done
    assert "torch.stack([x[" in done
    assert done.count("self.log(") == 2


def test_the_style_of_output_lists_can_be_asked_for(tmp_path: Path) -> None:
    done = moved(tmp_path, MEANS, style="outputs")
    assert "self.validation_step_outputs.append(output)" in done


def test_metrics_of_all_data_become_objects(tmp_path: Path) -> None:
    done = moved(
        tmp_path,
        """
        def validation_step(self, batch, batch_idx):
            x, y = batch
            return self.net(x), y.cpu()

        def validation_epoch_end(self, outputs):
            logits = torch.cat([o[0] for o in outputs])
            y = torch.cat([o[1] for o in outputs], dim=0)
            probs = logits.softmax(dim=-1)
            self.log("val/auroc", auroc(probs, y, task="multiclass", num_classes=self.num_classes))
            self.log("val_acc", torchmetrics.functional.accuracy(
                probs, y, task="multiclass", num_classes=self.num_classes
            ))
        """,
    )
    assert (
        "        self.val_auroc = torchmetrics.AUROC("
        'task="multiclass", num_classes=self.num_classes)\n'
        "        self.val_acc = torchmetrics.Accuracy("
        'task="multiclass", num_classes=self.num_classes)\n' in done
    )
    assert (
        methods(done)
        == """\
def validation_step(self, batch, batch_idx):
    x, y = batch
    logits = self.net(x)
    probs = logits.softmax(dim=-1)
    self.val_auroc.update(probs, y)
    self.log("val/auroc", self.val_auroc)
    self.val_acc.update(probs, y)
    self.log("val_acc", self.val_acc)
    return logits, y.cpu()
"""
    )


def test_whole_epoch_metrics_preserve_and_inferred_classes_assume(tmp_path: Path) -> None:
    body = """
    def validation_step(self, batch, batch_idx):
        x, y = batch
        logits = self.net(x)
        preds = logits.argmax(1)
        self.log("val_loss", F.cross_entropy(logits, y))
        return {"preds": preds, "y": y}

    def validation_epoch_end(self, outputs):
        preds = torch.cat([o["preds"] for o in outputs]).cpu().numpy()
        y = torch.cat([o["y"] for o in outputs]).cpu().numpy()
        self.log("val_f1", f1_score(y, preds<more>))
    """
    (sure,) = plans(tmp_path, body.replace("<more>", "")).diagnostics
    assert sure.fix is not None
    assert sure.fix.relation is Relation.PRESERVES
    assert sure.fix.style == "torchmetrics"
    (guess,) = plans(tmp_path, body.replace("<more>", ', average="macro"')).diagnostics
    assert [(p.relation, p.style) for p, _ in guess.plans] == [
        (Relation.ASSUMES, "torchmetrics"),
        (Relation.PRESERVES, "outputs"),
    ]
    assert guess.fix is not None
    assert guess.fix.style == "outputs"


def test_an_object_is_created_in_setup_where_its_classes_are_counted(tmp_path: Path) -> None:
    done = moved(
        tmp_path,
        """
        def setup(self, stage=None):
            self.n = self.trainer.datamodule.n

        def validation_step(self, batch, batch_idx):
            x, y = batch
            return self.net(x), y

        def validation_epoch_end(self, outputs):
            p = torch.cat([o[0] for o in outputs])
            y = torch.cat([o[1] for o in outputs])
            self.log("val_auc", auroc(p, y, task="multiclass", num_classes=self.n))
        """,
    )
    assert (
        "self.n = self.trainer.datamodule.n\n"
        '        self.val_auc = torchmetrics.AUROC(task="multiclass", num_classes=self.n)\n'
    ) in done
    assert "self.val_auc.update(" in done
    assert "validation_epoch_end" not in done


def test_training_is_logged_over_the_epoch_and_keeps_no_graph(tmp_path: Path) -> None:
    done = moved(
        tmp_path,
        """
        def training_step(self, batch, batch_idx):
            x, y = batch
            score = self.net(x)
            loss = F.binary_cross_entropy_with_logits(score, y.float())
            return {"loss": loss, "score": score, "y": y}

        def training_epoch_end(self, outputs):
            self.log("train_avg", torch.stack([o["loss"] for o in outputs]).mean())
            score = torch.cat([o["score"] for o in outputs])
            y = torch.cat([o["y"] for o in outputs])
            self.log("train_auroc", auroc(score, y, task="binary"))
        """,
    )
    assert 'self.log("train_avg", loss, on_step=False, on_epoch=True)' in done
    assert "self.train_auroc.update(score.detach(), y)" in done
    assert 'self.log("train_auroc", self.train_auroc, on_step=False, on_epoch=True)' in done


def test_a_key_that_the_step_logs_already_is_not_logged_twice(tmp_path: Path) -> None:
    done = methods(
        moved(
            tmp_path,
            """
            def validation_step(self, batch, batch_idx):
                loss = F.mse_loss(self.net(batch), batch)
                self.log("val_loss", loss)
                return loss

            def validation_epoch_end(self, outputs):
                self.log("val_loss", torch.stack(outputs).mean())
            """,
        )
    )
    assert done.count("self.log(") == 1
    assert "epoch_end" not in done


def test_a_shared_step_gets_a_name_for_its_answer(tmp_path: Path) -> None:
    done = methods(
        moved(
            tmp_path,
            """
            def _shared(self, batch):
                loss = F.mse_loss(self.net(batch), batch)
                return {"loss": loss}

            def validation_step(self, batch, batch_idx):
                return self._shared(batch)

            def validation_epoch_end(self, outputs):
                self.log("val_loss", torch.stack([o["loss"] for o in outputs]).mean())
            """,
        )
    )
    assert done.endswith(
        """\
def validation_step(self, batch, batch_idx):
    output = self._shared(batch)
    self.log("val_loss", output["loss"])
    return output
"""
    )


def test_what_needs_no_outputs_stays_in_a_hook_of_today(tmp_path: Path) -> None:
    done = methods(
        moved(
            tmp_path,
            """
            def validation_step(self, batch, batch_idx):
                return F.mse_loss(self.net(batch), batch)

            def validation_epoch_end(self, outputs):
                self.log("val_loss", torch.stack(outputs).mean())
                self.log("lr", self.lr)
            """,
        )
    )
    assert done.endswith(
        """\
    self.log("val_loss", loss)
    return loss

def on_validation_epoch_end(self):
    self.log("lr", self.lr)
"""
    )


def test_a_metric_of_the_module_is_updated_in_the_step(tmp_path: Path) -> None:
    body = """
    def setup(self, stage):
        self.val_acc = torchmetrics.Accuracy(task="multiclass", num_classes=3)

    def validation_step(self, batch, batch_idx):
        x, y = batch
        return self.net(x), y

    def validation_epoch_end(self, outputs):
        logits = torch.cat([o[0] for o in outputs])
        acc = self.val_acc(logits, torch.cat([o[1] for o in outputs]))
        self.log("val_acc", acc)
    """
    done = methods(moved(tmp_path, body))
    assert done.endswith(
        """\
    logits = self.net(x)
    self.val_acc.update(logits, y)
    self.log("val_acc", self.val_acc)
    return logits, y
"""
    )
    used_elsewhere = body + "\n    def forward(self, x):\n        return self.val_acc\n"
    assert "on_validation_epoch_end" in moved(tmp_path, used_elsewhere)


def test_loops_that_gather_are_read_like_comprehensions(tmp_path: Path) -> None:
    done = methods(
        moved(
            tmp_path,
            """
            def validation_step(self, batch, batch_idx):
                x, y = batch
                preds = self.net(x).sigmoid()
                loss = F.binary_cross_entropy(preds, y.float())
                return {"loss": loss, "preds": preds, "y": y}

            def validation_epoch_end(self, outputs):
                total, preds = 0, []
                labels = []
                for out in outputs:
                    total += out["loss"].item()
                    preds.append(out["preds"])
                    labels.extend(out["y"])
                total /= len(outputs)
                scores = torch.cat(preds)
                self.log("val_loss", total)
                self.log("val_f1", f1_score(labels, scores > 0.5))
            """,
        )
    )
    assert done.endswith(
        """\
    self.log("val_loss", loss)
    self.val_f1.update(preds > 0.5, y.int())
    self.log("val_f1", self.val_f1)
    return {"loss": loss, "preds": preds, "y": y}
"""
    )


def test_returned_dicts_of_old_releases_are_logged(tmp_path: Path) -> None:
    done = methods(
        moved(
            tmp_path,
            """
            def validation_step(self, batch, batch_idx):
                loss = F.mse_loss(self.net(batch), batch)
                return {"val_loss": loss}

            def validation_epoch_end(self, outputs):
                avg_loss = torch.stack([x["val_loss"] for x in outputs]).mean()
                logs = {"val_loss": avg_loss}
                return {"avg_val_loss": avg_loss, "log": logs, "progress_bar": logs}
            """,
        )
    )
    assert '    self.log("avg_val_loss", loss, logger=False)\n' in done
    assert '    self.log("val_loss", loss, prog_bar=True)\n' in done


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (
            MEANS + '    print("loss", avg_loss, len(outputs))\n',
            '`print("loss", avg_loss, len(outputs))` at line',
        ),
        (
            MEANS.replace("batch_idx):", "batch_idx, dataloader_idx=0):").replace(
                "in outputs", "in list(chain(*outputs))"
            ),
            "validation_step tells dataloaders apart",
        ),
        (
            MEANS + "\ndef test_step(self, batch, batch_idx):\n"
            "    return self.validation_step(batch, batch_idx)\n",
            "validation_step is also named at",
        ),
        (
            MEANS + "\ntest_epoch_end = validation_epoch_end\n",
            "test_epoch_end of M is an alias",
        ),
        (
            MEANS.replace("    loss = F", "    if y is None:\n        return None\n    loss = F"),
            "validation_step does not end with its only return",
        ),
        (
            MEANS.replace("    avg_loss", "    if len(outputs) < 2:\n        return\n    avg_loss"),
            "may end early at line",
        ),
    ],
)
def test_what_does_more_is_left_to_output_lists(tmp_path: Path, body: str, reason: str) -> None:
    from lintmetrics import packs
    from lintmetrics.codemod import Blocked
    from lintmetrics.config import Settings

    codemod = next(c for c in packs.codemods()["LM201"] if c.name == "step-logging")
    text = HEAD + indent(dedent(body).strip("\n"), "    ") + "\n"
    (tmp_path / "model.py").write_text(text, encoding="utf-8")
    from lintmetrics import syntax
    from lintmetrics.project import Project
    from lintmetrics.sources import decode

    source = decode(text.encode(), "model.py")
    path = str(tmp_path / "model.py")
    project = Project(lambda _: (source, syntax.parse(source)), lambda: (path,))
    module = project.module_at(path)
    assert module is not None
    (cls,) = module.classes
    finding = next(iter(packs.rules()["LM201"].check(cls)))
    plan = codemod.plan(finding, Settings())
    assert isinstance(plan, Blocked)
    assert reason in plan.reason


# Lists of today -------------------------------------------------------------------------------


def test_a_list_that_only_made_the_mean_goes_with_it(tmp_path: Path) -> None:
    done = moved(
        tmp_path,
        """
        def validation_step(self, batch, batch_idx):
            loss = F.mse_loss(self.net(batch), batch)
            self.outs.append(loss)
            return loss

        def on_validation_epoch_end(self):
            self.log("val_loss", torch.stack(self.outs).mean())
            self.outs.clear()
        """,
    )
    assert "outs" not in done
    assert (
        methods(done)
        == """\
def validation_step(self, batch, batch_idx):
    loss = F.mse_loss(self.net(batch), batch)
    self.log("val_loss", loss)
    return loss
"""
    )


def test_another_name_for_the_list_is_seen_through(tmp_path: Path) -> None:
    done = methods(
        moved(
            tmp_path,
            """
            def validation_step(self, batch, batch_idx):
                loss = F.mse_loss(self.net(batch), batch)
                self.outs.append({"val_loss": loss})

            def on_validation_epoch_end(self):
                outputs = self.outs
                avg_loss = torch.stack([x["val_loss"] for x in outputs]).mean()
                self.log("val_loss", avg_loss)
                outputs.clear()
            """,
        )
    )
    assert (
        done
        == """\
def validation_step(self, batch, batch_idx):
    loss = F.mse_loss(self.net(batch), batch)
    self.log("val_loss", loss)
"""
    )


def test_a_list_with_other_readers_stays(tmp_path: Path) -> None:
    done = methods(
        moved(
            tmp_path,
            """
            def validation_step(self, batch, batch_idx):
                x = self.net(batch)
                output = {"loss": F.mse_loss(x, batch), "x": x}
                self.outs.append(output)

            def on_validation_epoch_end(self):
                avg = torch.stack([o["loss"] for o in self.outs]).mean()
                self.log("val_loss", avg)
                self.draw(torch.cat([o["x"] for o in self.outs]))
                self.outs.clear()
            """,
        )
    )
    assert (
        done
        == """\
def validation_step(self, batch, batch_idx):
    x = self.net(batch)
    output = {"loss": F.mse_loss(x, batch), "x": x}
    self.log("val_loss", output["loss"])
    self.outs.append(output)

def on_validation_epoch_end(self):
    self.draw(torch.cat([o["x"] for o in self.outs]))
    self.outs.clear()
"""
    )


def test_a_mean_with_another_use_is_left_to_a_person(tmp_path: Path) -> None:
    report = plans(
        tmp_path,
        """
        def validation_step(self, batch, batch_idx):
            loss = F.mse_loss(self.net(batch), batch)
            self.outs.append(loss)

        def on_validation_epoch_end(self):
            avg = sum(self.outs) / len(self.outs)
            self.log("val_loss", avg)
            self.best = min(self.best, avg)
            self.outs.clear()
        """,
    )
    (finding,) = report.diagnostics
    assert finding.fix is None
    assert "`self.best = min(self.best, avg)` at line" in finding.blocked


@pytest.mark.parametrize(
    "test",
    [
        "self.outs",
        "len(self.outs)",
        "len(self.outs) > 0",
        "not self.trainer.sanity_checking",
        "self.outs and not self.trainer.sanity_checking",
    ],
)
def test_a_hook_that_asks_for_outputs_first_is_read_through(test: str, tmp_path: Path) -> None:
    done = methods(
        moved(
            tmp_path,
            f"""
            def validation_step(self, batch, batch_idx):
                loss = F.mse_loss(self.net(batch), batch)
                self.outs.append({{"val_loss": loss}})

            def on_validation_epoch_end(self):
                if {test}:
                    avg_loss = torch.stack([x["val_loss"] for x in self.outs]).mean()
                    self.log("val_loss", avg_loss)
                    self.outs.clear()
            """,
        )
    )
    assert (
        done
        == """\
def validation_step(self, batch, batch_idx):
    loss = F.mse_loss(self.net(batch), batch)
    self.log("val_loss", loss)
"""
    )


def test_a_removed_hook_that_asks_for_outputs_first_goes(tmp_path: Path) -> None:
    done = methods(
        moved(
            tmp_path,
            """
            def validation_step(self, batch, batch_idx):
                loss = F.mse_loss(self.net(batch), batch)
                return {"val_loss": loss}

            def validation_epoch_end(self, outputs):
                if len(outputs) > 0:
                    avg_loss = torch.stack([x["val_loss"] for x in outputs]).mean()
                    self.log("val_loss", avg_loss)
            """,
        )
    )
    assert "epoch_end" not in done
    assert '    self.log("val_loss", loss)\n' in done


@pytest.mark.parametrize(
    ("test", "more"),
    [
        ("self.verbose", ""),
        ("self.outs", "print(avg_loss)"),
        ("self.outs", "return avg_loss"),
        ("len(self.outs) > 3", ""),
    ],
)
def test_a_condition_that_decides_something_stays(test: str, more: str, tmp_path: Path) -> None:
    done = moved(
        tmp_path,
        f"""
        def validation_step(self, batch, batch_idx):
            loss = F.mse_loss(self.net(batch), batch)
            self.outs.append({{"val_loss": loss}})

        def on_validation_epoch_end(self):
            if {test}:
                avg_loss = torch.stack([x["val_loss"] for x in self.outs]).mean()
                self.log("val_loss", avg_loss)
                {more or "pass"}
            self.outs.clear()
        """,
    )
    assert f"if {test}:" in done
