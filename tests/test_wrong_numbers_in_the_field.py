"""What reading findings and fixes in published code brought up, as small cases of our own.

Each moved text was checked against lightning 2.6.6, with a short last batch: the key keeps its
name, and its number is the mean over samples.
"""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

import projects

from lintmetrics.codemod import Relation

HEAD = """\
import numpy as np
import torch
import torch.nn.functional as F
import pytorch_lightning as pl


class M(pl.LightningModule):
    def __init__(self, net):
        super().__init__()
        self.net = net
        self.outs = []

    def training_step(self, batch, batch_idx):
        return np.mean(torch.stack([F.relu(self.net(batch))]).numpy())

"""
DEFAULT = frozenset((Relation.PRESERVES, Relation.CORRECTS))


def fixed(tmp_path: Path, body: str, *codes: str) -> str:
    """Fix a module with these methods; return the whole file."""
    text = HEAD + indent(dedent(body).strip("\n"), "    ") + "\n"
    (tmp_path / "model.py").write_text(text, encoding="utf-8")
    report = projects.fix(tmp_path, *(codes or ("LM111", "LM201")), relations=DEFAULT)
    assert not report.failures
    assert not report.failed
    done = (tmp_path / "model.py").read_text(encoding="utf-8")
    compile(done, "model.py", "exec")
    return done


def methods(text: str) -> str:
    """Return what stands behind the training step."""
    return dedent(text.split("numpy())\n", 1)[1]).strip("\n") + "\n"


def reasons(tmp_path: Path, body: str, *codes: str) -> list[str]:
    text = HEAD + indent(dedent(body).strip("\n"), "    ") + "\n"
    (tmp_path / "model.py").write_text(text, encoding="utf-8")
    return [d.blocked for d in projects.check(tmp_path, *(codes or ("LM111",))).diagnostics]


# Comments ---------------------------------------------------------------------------------------


def test_comments_of_a_mean_that_leaves_a_hook_go_with_it(tmp_path: Path) -> None:
    done = fixed(
        tmp_path,
        """
        def validation_step(self, batch, batch_idx):
            loss = F.mse_loss(self.net(batch), batch)
            self.outs.append({"loss": loss, "x": batch})

        def on_validation_epoch_end(self):
            # pictures first
            self.draw(self.outs[0]["x"])
            # what the scheduler reads
            avg_loss = torch.stack(
                # one per batch
                [x["loss"] for x in self.outs]
            ).mean()  # over batches, not workers
            self.log("val_loss", avg_loss)  # watched
            self.outs.clear()  # free memory
        """,
    )
    assert methods(done) == dedent(
        """\
        def validation_step(self, batch, batch_idx):
            loss = F.mse_loss(self.net(batch), batch)
            # what the scheduler reads
            # one per batch
            # over batches, not workers
            # watched
            self.log("val_loss", loss)
            self.outs.append({"loss": loss, "x": batch})

        def on_validation_epoch_end(self):
            # pictures first
            self.draw(self.outs[0]["x"])
            self.outs.clear()  # free memory
        """
    )


def test_a_comment_that_heads_what_stays_stays(tmp_path: Path) -> None:
    done = fixed(
        tmp_path,
        """
        def validation_step(self, batch, batch_idx):
            loss = F.mse_loss(self.net(batch), batch)
            self.outs.append(loss)

        def on_validation_epoch_end(self):
            # the end of an epoch
            self.log("val_loss", torch.stack(self.outs).mean())
            self.draw(self.outs)
            self.outs.clear()
        """,
    )
    assert methods(done).endswith(
        "def on_validation_epoch_end(self):\n"
        "    # the end of an epoch\n"
        "    self.draw(self.outs)\n"
        "    self.outs.clear()\n"
    )


def test_what_is_said_about_emptying_a_list_goes_with_the_list(tmp_path: Path) -> None:
    done = fixed(
        tmp_path,
        """
        def validation_step(self, batch, batch_idx):
            loss = F.mse_loss(self.net(batch), batch)
            self.outs.append(loss)

        def on_validation_epoch_end(self):
            # mean loss
            self.log("val_loss", torch.stack(self.outs).mean())
            self.outs.clear()  # free memory
        """,
    )
    assert "self.outs" not in done
    assert methods(done) == dedent(
        """\
        def validation_step(self, batch, batch_idx):
            loss = F.mse_loss(self.net(batch), batch)
            # mean loss
            self.log("val_loss", loss)
        """
    )


# Lists ------------------------------------------------------------------------------------------


def test_each_mean_is_read_from_its_own_list(tmp_path: Path) -> None:
    done = fixed(
        tmp_path,
        """
        def on_validation_epoch_start(self):
            self.outs = []
            self.accs = []

        def validation_step(self, batch, batch_idx):
            x, y = batch
            logits = self.net(x)
            self.outs.append(F.cross_entropy(logits, y).item())
            self.accs.append((logits.argmax(1) == y).float().mean().item())

        def on_validation_epoch_end(self):
            self.log("val/loss", np.mean(self.outs))
            self.log("val/acc", sum(self.accs) / len(self.accs))
        """,
    )
    assert "self.outs" not in done
    assert "self.accs" not in done
    assert methods(done) == dedent(
        """\
        def validation_step(self, batch, batch_idx):
            x, y = batch
            logits = self.net(x)
            loss = F.cross_entropy(logits, y)
            self.log("val/loss", loss)
            acc = (logits.argmax(1) == y).float().mean()
            self.log("val/acc", acc)
        """
    )


def test_a_list_that_another_object_reads_stays(tmp_path: Path) -> None:
    (tmp_path / "callback.py").write_text(
        "def on_validation_epoch_end(trainer, model):\n    print(len(model.outs))\n"
    )
    done = fixed(
        tmp_path,
        """
        def validation_step(self, batch, batch_idx):
            loss = F.mse_loss(self.net(batch), batch)
            self.outs.append(loss)

        def on_validation_epoch_end(self):
            self.log("val_loss", torch.stack(self.outs).mean())
        """,
    )
    assert "self.outs.append(loss)" in done
    assert 'self.log("val_loss", loss)' in done


def test_a_step_that_leaves_out_batches_logs_the_others(tmp_path: Path) -> None:
    done = fixed(
        tmp_path,
        """
        def validation_step(self, batch, batch_idx):
            loss = F.mse_loss(self.net(batch), batch)
            if torch.isfinite(loss):
                self.outs.append(loss)

        def on_validation_epoch_end(self):
            if len(self.outs) == 0:
                return
            self.log("val_loss", torch.stack(self.outs).mean())
            self.outs.clear()
        """,
    )
    assert methods(done) == dedent(
        """\
        def validation_step(self, batch, batch_idx):
            loss = F.mse_loss(self.net(batch), batch)
            if torch.isfinite(loss):
                self.log("val_loss", loss)
        """
    )


# Hooks of Lightning 1 ---------------------------------------------------------------------------

OLD = """
def validation_step(self, batch, batch_idx):
    loss = F.mse_loss(self.net(batch), batch)
    return {"loss": loss}

def validation_epoch_end(self, outputs):
    avg_loss = torch.stack([x["loss"] for x in outputs]).mean()
    self.log("val_loss", avg_loss)
"""


def test_flat_outputs_came_from_one_dataloader(tmp_path: Path) -> None:
    done = fixed(tmp_path, OLD.replace("batch_idx)", "batch_idx, dataloader_idx=0)"))
    assert methods(done) == dedent(
        """\
        def validation_step(self, batch, batch_idx, dataloader_idx=0):
            loss = F.mse_loss(self.net(batch), batch)
            self.log("val_loss", loss)
            return {"loss": loss}
        """
    )


def test_a_return_for_no_outputs_is_no_work(tmp_path: Path) -> None:
    guarded = OLD.replace(
        "    avg_loss =", "    if not outputs:\n        return {}\n    avg_loss ="
    )
    done = fixed(tmp_path, guarded)
    assert methods(done).endswith('    self.log("val_loss", loss)\n    return {"loss": loss}\n')
    kept = fixed(tmp_path, guarded + "    self.save()\n")
    assert "if not outputs:" in kept


def test_means_that_are_logged_together_move_together(tmp_path: Path) -> None:
    body = """
    def validation_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self.net(x), y)
        error = (self.net(x) - y).abs().mean()
        self.outs.append((loss, error))

    def on_validation_epoch_end(self):
        loss = torch.stack([o[0] for o in self.outs]).mean()
        error = torch.stack([o[1] for o in self.outs]).mean()
        self.log_dict({"val_loss": loss, "val_error": error})
        if loss < self.best:
            self.best = loss
        self.outs.clear()
    """
    done = fixed(tmp_path, body)
    assert methods(done) == dedent(
        """\
        def validation_step(self, batch, batch_idx):
            x, y = batch
            loss = F.cross_entropy(self.net(x), y)
            error = (self.net(x) - y).abs().mean()
            self.log("val_loss", loss)
            self.log("val_error", error)

        def on_validation_epoch_end(self):
            loss = self.trainer.callback_metrics["val_loss"]
            if loss < self.best:
                self.best = loss
        """
    )


# Attributes that change -------------------------------------------------------------------------


def test_a_number_that_a_method_sets_is_not_the_one_of_init(tmp_path: Path) -> None:
    projects.written(
        tmp_path,
        {
            "model.py": """
            import torch
            import pytorch_lightning as pl

            class Forecaster(pl.LightningModule):
                def __init__(self, net):
                    super().__init__()
                    self.net = net
                    self.size = 0
                    self.outs = []

                def fit(self, data, size=0):
                    self.size = size

                def validation_step(self, batch, batch_idx):
                    if self.size == 0:
                        return None
                    loss = (self.net(batch["x"]) - batch["y"]).abs().mean()
                    self.outs.append(loss)

                def on_validation_epoch_end(self):
                    if self.size == 0:
                        return
                    self.log("val_loss", torch.stack(self.outs).mean())
                    self.outs.clear()
            """
        },
    )
    assert projects.codes(projects.check(tmp_path, "LM1")) == ["LM111"]


def test_a_number_that_setting_up_sets_is_known(tmp_path: Path) -> None:
    projects.written(
        tmp_path,
        {
            "model.py": """
            import pytorch_lightning as pl
            from torchmetrics.functional import auroc

            class Classifier(pl.LightningModule):
                def __init__(self, net):
                    super().__init__()
                    self.net = net
                    self.prefix = "x"
                    self.build()

                def build(self):
                    self.prefix = "val"

                def validation_step(self, batch, batch_idx):
                    x, y = batch
                    self.log(f"{self.prefix}_auc", auroc(self.net(x), y, task="binary"))
            """
        },
    )
    (found,) = projects.check(tmp_path, "LM1").diagnostics
    assert found.message.startswith('"val_auc"')


# Means that a hook uses for more than logging ---------------------------------------------------


def test_a_mean_with_another_use_is_read_back(tmp_path: Path) -> None:
    # lightning 2.6.6: batches of 2, 2 and 1 with losses .5, 2.5 and 4; 2.3333 becomes 2.
    done = fixed(
        tmp_path,
        """
        def validation_step(self, batch, batch_idx):
            loss = F.mse_loss(self.net(batch), batch)
            return {"loss": loss}

        def validation_epoch_end(self, outputs):
            avg_loss = torch.stack([x["loss"] for x in outputs]).mean()
            self.log("val_loss", avg_loss)
            self.log("perplexity", torch.exp(avg_loss))
            print(f"loss {avg_loss:.3f}")
        """,
    )
    assert methods(done) == dedent(
        """\
        def validation_step(self, batch, batch_idx):
            loss = F.mse_loss(self.net(batch), batch)
            self.log("val_loss", loss)
            return {"loss": loss}

        def on_validation_epoch_end(self):
            avg_loss = self.trainer.callback_metrics["val_loss"]
            self.log("perplexity", torch.exp(avg_loss))
            print(f"loss {avg_loss:.3f}")
        """
    )


def test_a_list_whose_mean_is_read_back_goes(tmp_path: Path) -> None:
    done = fixed(
        tmp_path,
        """
        def validation_step(self, batch, batch_idx):
            loss = F.mse_loss(self.net(batch), batch)
            self.outs.append(loss.item())

        def on_validation_epoch_end(self):
            mean = np.mean(self.outs)
            self.log("val_loss", mean)
            self.history.append(mean)
            self.outs.clear()
        """,
    )
    assert "self.outs" not in done
    assert methods(done) == dedent(
        """\
        def validation_step(self, batch, batch_idx):
            loss = F.mse_loss(self.net(batch), batch)
            self.log("val_loss", loss)

        def on_validation_epoch_end(self):
            mean = self.trainer.callback_metrics["val_loss"].item()
            self.history.append(mean)
        """
    )


def test_a_mean_is_not_read_back_where_the_hook_has_other_callers(tmp_path: Path) -> None:
    body = """
    def validation_step(self, batch, batch_idx):
        self.outs.append(F.mse_loss(self.net(batch), batch))

    def test_step(self, batch, batch_idx):
        self.outs.append(F.mse_loss(self.net(batch), batch))

    def on_validation_epoch_end(self):
        mean = torch.stack(self.outs).mean()
        self.log("val_loss", mean)
        self.outs.clear()

    def on_test_epoch_end(self):
        self.on_validation_epoch_end()
    """
    found = reasons(tmp_path, body)
    assert found
    assert all("is also filled at line" in reason for reason in found)
    assert all(reasons(tmp_path, body.replace("self.outs.clear()", "print(mean)")))


def test_a_key_made_at_run_time_is_not_read_back(tmp_path: Path) -> None:
    body = """
    def validation_step(self, batch, batch_idx):
        self.outs.append(F.mse_loss(self.net(batch), batch))

    def on_validation_epoch_end(self):
        mean = torch.stack(self.outs).mean()
        self.log(f"{self.name}_loss", mean)
        print(mean)
        self.outs.clear()
    """
    (reason,) = reasons(tmp_path, body)
    assert reason.startswith("`print(mean)` at line")


def test_a_name_that_becomes_the_dict_is_not_the_value_any_more(tmp_path: Path) -> None:
    done = fixed(
        tmp_path,
        """
        def validation_step(self, batch, batch_idx):
            loss = F.mse_loss(self.net(batch), batch)
            loss = {"val_loss": loss, "x": batch}
            self.outs.append(loss)

        def on_validation_epoch_end(self):
            self.draw(self.outs[0]["x"])
            self.log("val_loss", torch.stack([x["val_loss"] for x in self.outs]).mean())
            self.outs.clear()
        """,
    )
    assert '    self.log("val_loss", loss["val_loss"])\n' in methods(done)


def test_a_numpy_mean_of_a_list_that_may_stay_empty_is_not_read_back(tmp_path: Path) -> None:
    body = """
    def validation_step(self, batch, batch_idx):
        loss = F.mse_loss(self.net(batch), batch)
        if loss < 9:
            self.outs.append(loss.item())

    def on_validation_epoch_end(self):
        mean = np.mean(self.outs)
        self.log("val_loss", mean)
        print(mean)
        self.outs.clear()
    """
    (reason,) = reasons(tmp_path, body)
    assert reason.startswith("self.outs may stay empty")


def test_a_list_goes_with_its_comment_and_leaves_one_blank_line(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(
        dedent(
            """\
            import torch
            import torch.nn.functional as F
            import pytorch_lightning as pl


            class M(pl.LightningModule):
                def __init__(self, net):
                    super().__init__()
                    # used by on_validation_epoch_end
                    self.losses = []
                    self.net = net

                    self.errors = []

                    self.last = None

                def validation_step(self, batch, batch_idx):
                    loss = F.mse_loss(self.net(batch), batch)
                    self.losses.append(loss)
                    self.errors.append(loss.sqrt())

                def on_validation_epoch_end(self):
                    self.log("val_loss", torch.stack(self.losses).mean())
                    self.log("val_error", torch.stack(self.errors).mean())
                    self.losses.clear()
                    self.errors.clear()
            """
        )
    )
    projects.fix(tmp_path, "LM111", relations=DEFAULT)
    done = (tmp_path / "model.py").read_text()
    assert (
        "        super().__init__()\n        self.net = net\n\n        self.last = None\n\n    def"
        in done
    )


def test_a_hook_that_serves_the_step_of_a_subclass_stays(tmp_path: Path) -> None:
    body = """
    def validation_step(self, batch, batch_idx):
        self.outs.append(F.mse_loss(self.net(batch), batch))

    def on_validation_epoch_end(self):
        self.log("val_loss", torch.stack(self.outs).mean())
        self.outs.clear()
    """
    subclass = """

from model import M

class Robust(M):
    def validation_step(self, batch, batch_idx):
        self.outs.append(self.net(batch).abs().mean())
"""
    (tmp_path / "robust.py").write_text(subclass)
    assert all("Robust.validation_step feeds" in reason for reason in reasons(tmp_path, body))
    (tmp_path / "robust.py").write_text(
        subclass + "\n    def on_validation_epoch_end(self):\n        self.outs.clear()\n"
    )
    assert 'self.log("val_loss", ' in methods(fixed(tmp_path, body)).split("def on_")[0]
