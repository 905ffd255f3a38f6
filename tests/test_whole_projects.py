"""Whole small repositories in the styles that people write, each with what came out wrong once."""

from __future__ import annotations

from pathlib import Path

from projects import check, codes, fix, written


def test_a_mixin_that_hands_on_to_the_base_beside_it_moves_with_that_base(tmp_path: Path) -> None:
    written(
        tmp_path,
        {
            "core/__init__.py": "from .base import Base\nfrom .neighbours import Neighbours\n",
            "core/base.py": """
                import pytorch_lightning as pl
                import torch


                class Base(pl.LightningModule):
                    def __init__(self):
                        super().__init__()
                        self.layer = torch.nn.Linear(4, 2)

                    def validation_step(self, batch, batch_idx):
                        x, y = batch
                        return {"x": x, "y": y, "spread": self.layer(x).std()}

                    def validation_epoch_end(self, outs):
                        self.log("spread", torch.stack([o["spread"] for o in outs]).max())
                """,
            "core/neighbours.py": """
                import torch


                class Neighbours:
                    def validation_epoch_end(self, outs):
                        x = torch.cat([o["x"] for o in outs])
                        self.log("near", torch.cdist(x, x).median())
                        super().validation_epoch_end(outs)
                """,
            "model.py": """
                from core import Base, Neighbours


                class Model(Neighbours, Base):
                    pass
                """,
        },
    )
    fix(tmp_path)
    base = (tmp_path / "core/base.py").read_text()
    mixin = (tmp_path / "core/neighbours.py").read_text()
    assert "self.validation_step_outputs = []" in base
    assert "self.validation_step_outputs.clear()" in base
    assert "def on_validation_epoch_end(self):" in mixin
    assert "super().on_validation_epoch_end()" in mixin
    assert ".clear()" not in mixin
    assert codes(check(tmp_path)) == []


def test_a_mixin_that_some_class_takes_without_such_a_base_stays_with_all_others(
    tmp_path: Path,
) -> None:
    files = {
        "model.py": """
            import pytorch_lightning as pl
            import torch


            class Shown:
                def validation_epoch_end(self, outs):
                    self.log("spread", torch.cat(outs).std())
                    super().validation_epoch_end(outs)


            class Base(pl.LightningModule):
                def validation_step(self, batch, batch_idx):
                    return batch

                def validation_epoch_end(self, outs):
                    self.log("most", torch.cat(outs).max())


            class First(Shown, Base):
                pass


            class Second(Shown, pl.LightningModule):
                def validation_step(self, batch, batch_idx):
                    return batch
            """
    }
    before = (written(tmp_path, files) / "model.py").read_text()
    report = fix(tmp_path)
    assert (tmp_path / "model.py").read_text() == before
    assert all(d.blocked for d in report.diagnostics)


def test_a_step_that_a_mixin_takes_over_does_not_fill_the_list(tmp_path: Path) -> None:
    written(
        tmp_path,
        {
            "model.py": """
                import pytorch_lightning as pl
                import torch


                class Base(pl.LightningModule):
                    def validation_step(self, batch, batch_idx):
                        return batch

                    def validation_epoch_end(self, outs):
                        self.log("most", torch.cat(outs).max())


                class Halved:
                    def validation_step(self, batch, batch_idx):
                        return batch / 2


                class Model(Halved, Base):
                    pass
                """
        },
    )
    fix(tmp_path)
    text = (tmp_path / "model.py").read_text()
    assert "def on_validation_batch_end(self, outputs, batch, batch_idx" in text


def test_a_callback_hook_that_logs_does_not_move_to_one_that_may_not(tmp_path: Path) -> None:
    files = {
        "model.py": """
            import torch
            from lightning.pytorch import Callback, LightningModule


            class Model(LightningModule):
                def on_validation_epoch_end(self):
                    self.log("spread", torch.ones(3).std())


            class Ratio(Callback):
                def on_validation_epoch_end(self, trainer, pl_module):
                    spread = trainer.callback_metrics["spread"]
                    pl_module.log("half", spread / 2)
            """
    }
    before = (written(tmp_path, files) / "model.py").read_text()
    report = fix(tmp_path)
    assert (tmp_path / "model.py").read_text() == before
    assert codes(report) == ["LM207"]
    assert "on_validation_epoch_end also logs" in report.diagnostics[0].blocked


def test_a_hook_that_waits_for_outputs_that_no_step_returns_is_left(tmp_path: Path) -> None:
    files = {
        "model.py": """
            import lightning as L
            import torch


            class Model(L.LightningModule):
                def __init__(self):
                    super().__init__()
                    self.seen = []

                def validation_step(self, batch, batch_idx):
                    self.seen.append(batch)

                def on_validation_epoch_end(self, outputs):
                    self.log("spread", torch.cat(outputs).std())
            """
    }
    before = (written(tmp_path, files) / "model.py").read_text()
    report = fix(tmp_path, "LM203")
    assert (tmp_path / "model.py").read_text() == before
    assert "read self.seen" in report.diagnostics[0].blocked


def test_a_list_of_a_callback_that_is_averaged_and_never_emptied_is_found(tmp_path: Path) -> None:
    written(
        tmp_path,
        {
            "watch.py": """
                import torch
                from pytorch_lightning import Callback


                class Watch(Callback):
                    def __init__(self):
                        self.losses = []

                    def on_validation_batch_end(self, trainer, pl_module, outputs, *others):
                        self.losses.append(outputs["loss"])

                    def on_validation_epoch_end(self, trainer, pl_module):
                        print(torch.stack(self.losses).mean())
                """,
            "shown.py": """
                from pytorch_lightning import Callback


                class Shown(Callback):
                    def __init__(self):
                        self.losses = []

                    def on_train_batch_end(self, trainer, pl_module, outputs, *others):
                        self.losses.append(outputs["loss"].item())

                    def on_train_epoch_end(self, trainer, pl_module):
                        show(self.losses)
                """,
        },
    )
    assert [(d.path[-8:], d.code) for d in check(tmp_path, "LM204").diagnostics] == [
        ("watch.py", "LM204")
    ]
    fix(tmp_path, "LM204")
    assert (tmp_path / "watch.py").read_text().endswith("        self.losses.clear()\n")


def test_lists_made_together_and_lists_in_a_dict_or_a_list_are_emptied_one_by_one(
    tmp_path: Path,
) -> None:
    written(
        tmp_path,
        {
            "model.py": """
                import torch
                from lightning.pytorch import LightningModule


                class Model(LightningModule):
                    def __init__(self):
                        super().__init__()
                        self.targets, self.scores = [], []
                        self.parts = {"a": [], "b": []}
                        self.loaders = [[] for _ in range(2)]

                    def validation_step(self, batch, batch_idx, dataloader_idx=0):
                        self.targets.append(batch)
                        self.parts["a"].append(batch)
                        self.loaders[dataloader_idx].append(batch)

                    def on_validation_epoch_end(self):
                        self.log("spread", torch.cat(self.targets).std())
                        self.log("a", torch.cat(self.parts["a"]).std())
                        self.log("first", torch.cat(self.loaders[0]).std())
                """
        },
    )
    assert codes(check(tmp_path)) == ["LM204"] * 3
    fix(tmp_path)
    text = (tmp_path / "model.py").read_text()
    assert "        self.targets.clear()\n" in text
    assert "for kept in self.parts.values():\n            kept.clear()\n" in text
    assert "for kept in self.loaders:\n            kept.clear()\n" in text
    assert codes(check(tmp_path)) == []


def test_a_hook_whose_outputs_are_not_read_is_renamed_in_every_style(tmp_path: Path) -> None:
    written(
        tmp_path,
        {
            "model.py": """
                import pytorch_lightning as pl


                class Model(pl.LightningModule):
                    def training_epoch_end(self, outputs):
                        print("done")
                """
        },
    )
    fix(tmp_path, style="torchmetrics")
    assert "def on_train_epoch_end(self):" in (tmp_path / "model.py").read_text()


def test_a_fix_that_the_style_leaves_out_is_named_as_such(tmp_path: Path) -> None:
    written(
        tmp_path,
        {
            "model.py": """
                import pytorch_lightning as pl


                class Model(pl.LightningModule):
                    def validation_step(self, batch, batch_idx):
                        return batch

                    def validation_epoch_end(self, outputs):
                        self.table.write(outputs)
                """
        },
    )
    (only,) = fix(tmp_path, style="torchmetrics").diagnostics
    assert 'style = "torchmetrics" leaves that out' in only.blocked


def test_a_returned_dict_that_has_a_name_and_is_kept_can_still_be_logged(tmp_path: Path) -> None:
    written(
        tmp_path,
        {
            "model.py": """
                import pytorch_lightning as pl
                import torch


                class Model(pl.LightningModule):
                    def training_step(self, batch, batch_idx):
                        loss = self.loss(batch)
                        logs = {"entropy": loss}
                        return {"loss": 2 * loss, "log": logs}

                    def training_epoch_end(self, outputs):
                        self.log("worst", torch.stack([o["loss"] for o in outputs]).max())
                """
        },
    )
    fix(tmp_path)
    text = (tmp_path / "model.py").read_text()
    assert text.count("self.log_dict(logs)") == 1
    assert '"log"' not in text
    assert codes(check(tmp_path)) == []


def test_a_base_whose_super_is_another_base_in_one_subclass_only_is_left(tmp_path: Path) -> None:
    files = {
        "model.py": """
            import pytorch_lightning as pl
            import torch


            class Left(pl.LightningModule):
                def validation_epoch_end(self, outputs):
                    self.log("most", torch.cat(outputs).max())
                    super().validation_epoch_end(outputs)


            class Right(pl.LightningModule):
                def validation_epoch_end(self, outputs):
                    self.log("least", torch.cat(outputs).min())


            class Both(Left, Right):
                def validation_step(self, batch, batch_idx):
                    return batch
            """
    }
    before = (written(tmp_path, files) / "model.py").read_text()
    report = fix(tmp_path)
    assert (tmp_path / "model.py").read_text() == before
    assert all(d.blocked for d in report.diagnostics)


def test_an_alias_beside_a_super_call_to_a_base_of_another_package_is_named(tmp_path: Path) -> None:
    files = {
        "model.py": """
            import pytorch_lightning as pl
            import torch


            class Base(pl.LightningModule):
                def validation_epoch_end(self, outputs):
                    self.log("most", torch.cat(outputs).max())


            class Model(Base):
                def validation_step(self, batch, batch_idx):
                    return batch

                def validation_epoch_end(self, outputs):
                    super().validation_epoch_end(outputs)
                    print(len(outputs))

                test_epoch_end = validation_epoch_end
            """
    }
    report = check(written(tmp_path, files), "LM201")
    assert {d.blocked.split(" at ")[0] for d in report.diagnostics} == {
        "the alias Model.test_epoch_end"
    }


def test_a_formula_of_a_weighted_mean_says_why_it_has_no_fix(tmp_path: Path) -> None:
    files = {
        "model.py": """
            import pytorch_lightning as pl
            import torch
            import torch.nn.functional as F


            class Model(pl.LightningModule):
                def validation_step(self, batch, batch_idx):
                    x, y = batch
                    loss = F.cross_entropy(self(x), y, weight=self.weight)
                    self.log("perplexity", torch.exp(loss))
            """
    }
    (only,) = check(written(tmp_path, files)).diagnostics
    assert only.code == "LM104"
    assert only.blocked != only.help
    assert "is given weight=, and its mean is over the weights" in only.blocked
    assert "decide whether the epoch's value is to be weighted alike" in only.blocked


def test_a_formula_of_a_mean_without_a_metric_is_applied_to_the_mean_of_the_epoch(
    tmp_path: Path,
) -> None:
    # Batches of 4, 4 and 3 rows, trained on lightning 2.6.6: 2.571 logged before, -0.163 after,
    # and 10 * log10(1 / MSE of all rows) is -0.163.
    root = written(
        tmp_path,
        {
            "model.py": """
                import pytorch_lightning as pl
                import torch
                import torch.nn.functional as F


                class Model(pl.LightningModule):
                    def validation_step(self, batch, batch_idx):
                        x, y = batch
                        self.log("psnr", 10 * torch.log10(1 / F.mse_loss(self(x), y)))
                """
        },
    )
    assert [item.code for item in fix(root).fixed] == ["LM104"]
    text = (root / "model.py").read_text()
    assert "self.val_psnr_mean.update(F.mse_loss(self(x), y), y.numel())" in text
    assert 'self.log("psnr", 10 * torch.log10(1 / self.val_psnr_mean.compute()))' in text
    assert "self.val_psnr_mean.reset()" in text


def test_a_number_of_outputs_that_is_one_by_default_speaks_for_a_binary_task(
    tmp_path: Path,
) -> None:
    written(
        tmp_path,
        {
            "model.py": """
                import pytorch_lightning as pl
                import torch
                import torchmetrics


                class Model(pl.LightningModule):
                    def __init__(self, width, n_out=1):
                        super().__init__()
                        self.layer = torch.nn.Linear(width, n_out)
                        self.loss = torch.nn.BCEWithLogitsLoss()
                        self.accuracy = torchmetrics.Accuracy()

                    def training_step(self, batch, batch_idx):
                        x, y = batch
                        score = self.layer(x).squeeze(-1)
                        self.accuracy(score, y)
                        self.log("accuracy", self.accuracy)
                        return self.loss(score, y.float())
                """
        },
    )
    (only,) = check(tmp_path, "LM302").diagnostics
    assert only.fix is not None
    assert only.fix.relation.value == "assumes"
    fix(tmp_path)
    assert 'torchmetrics.Accuracy(task="binary")' in (tmp_path / "model.py").read_text()


def test_one_output_by_default_speaks_for_a_binary_object_in_an_epoch_end_too(
    tmp_path: Path,
) -> None:
    written(
        tmp_path,
        {
            "model.py": """
                import pytorch_lightning as pl
                import torch
                from sklearn.metrics import roc_auc_score


                class Model(pl.LightningModule):
                    def __init__(self, width, n_out=1):
                        super().__init__()
                        self.layer = torch.nn.Linear(width, n_out)
                        self.loss = torch.nn.BCEWithLogitsLoss()

                    def validation_step(self, batch, batch_idx):
                        x, y = batch
                        score = self.layer(x).squeeze(-1)
                        self.log("val_loss", self.loss(score, y.float()))
                        return score, y

                    def validation_epoch_end(self, outputs):
                        score = torch.cat([o[0] for o in outputs]).cpu().numpy()
                        y = torch.cat([o[1] for o in outputs]).cpu().numpy()
                        self.log("auc", roc_auc_score(y, score))
                """
        },
    )
    fix(tmp_path)
    assert "Multilabel" not in (tmp_path / "model.py").read_text()


def test_a_callback_that_reads_a_key_of_a_named_dict_too_early_is_found(tmp_path: Path) -> None:
    files = {
        "model.py": """
            import pytorch_lightning as pl
            import torch


            class Model(pl.LightningModule):
                def validation_step(self, batch, batch_idx):
                    return batch

                def validation_epoch_end(self, outs):
                    found = {"most": torch.cat(outs).max()}
                    self.log_dict(found, sync_dist=True)
            """,
        "show.py": """
            from pytorch_lightning import Callback


            class Show(Callback):
                def on_validation_epoch_end(self, trainer, pl_module):
                    print(trainer.callback_metrics["most"])
            """,
    }
    report = check(written(tmp_path, files), "LM207")
    assert [d.path[-7:] for d in report.diagnostics] == ["show.py"]


def test_a_mean_over_batches_that_are_lists_of_batches_is_left_to_a_person(tmp_path: Path) -> None:
    files = {
        "model.py": """
            import pytorch_lightning as pl
            import torch
            import torch.nn.functional as F


            class Model(pl.LightningModule):
                def validation_step(self, batch, batch_idx):
                    tokens, labels = batch[0], batch[1]
                    pieces = batch[0]
                    loss = 0
                    for i in range(len(pieces)):
                        piece = pieces[i]
                        rows, width = piece.size()
                        loss += F.cross_entropy(self(piece), labels[i]) / len(pieces)
                    return {"loss": loss}

                def validation_epoch_end(self, outputs):
                    self.log("val_loss", torch.stack([o["loss"] for o in outputs]).mean())
            """
    }
    report = fix(written(tmp_path, files), "LM111")
    (only,) = report.diagnostics
    assert "piece by piece" in only.blocked


def test_a_hook_that_reads_lists_by_dataloader_in_one_branch_gets_them(tmp_path: Path) -> None:
    written(
        tmp_path,
        {
            "model.py": """
                import pytorch_lightning as pl
                import torch


                class Model(pl.LightningModule):
                    def validation_step(self, batch, batch_idx, dataloader_idx=0):
                        return {"score": batch}

                    def validation_epoch_end(self, outputs):
                        if self.hparams.task == "pairs":
                            for i, output in enumerate(outputs):
                                score = torch.cat([x["score"] for x in output])
                                self.log(f"spread_{i}", score.std())
                            return
                        self.log("spread", torch.cat([x["score"] for x in outputs]).std())
                """
        },
    )
    fix(tmp_path)
    text = (tmp_path / "model.py").read_text()
    assert "def on_validation_batch_end(" in text
    assert "collected = collected[dataloader_idx]" in text


def test_scores_of_a_loaded_metric_that_are_taken_apart_on_the_way_are_found(
    tmp_path: Path,
) -> None:
    files = {
        "model.py": """
            import evaluate
            import pytorch_lightning as pl


            class Model(pl.LightningModule):
                def __init__(self):
                    super().__init__()
                    self.bleu = evaluate.load("sacrebleu")

                def test_step(self, batch, batch_idx):
                    found = self.bleu.compute(predictions=self(batch), references=batch["text"])
                    self.log_dict({k: v for k, v in found.items()})
                    self.log_dict({f"test_{k}": v for k, v in found.items()})

                def validation_step(self, batch, batch_idx):
                    found = self.bleu.compute(predictions=self(batch), references=batch["text"])
                    self.log("bleu", found["score"])
                    self.log_dict(found)
            """
    }
    report = check(written(tmp_path, files), "LM101")
    assert [d.start.line for d in report.diagnostics] == [12, 18, 19]
