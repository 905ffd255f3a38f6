"""Means of per-batch means are found in all their shapes, and look-alikes are not."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

import projects
import pytest

from lintmetrics import runner
from lintmetrics.codemod import Relation
from lintmetrics.config import Settings
from lintmetrics.diagnostics import Diagnostic
from lintmetrics.sources import discover

_HEAD = """
import statistics
import numpy as np
import torch
import torch.nn.functional as F
import pytorch_lightning as pl


def mean(results, key):
    return torch.stack([r[key] for r in results]).mean()


def weighted_mean(results, key):
    total = sum(r[key] * r["n"] for r in results)
    return total / sum(r["n"] for r in results)


class Model(pl.LightningModule):
    def __init__(self, net):
        super().__init__()
        self.net = net
        self.losses = []

"""
_STEP = """
def validation_step(self, batch, batch_idx):
    x, y = batch
    loss = F.mse_loss(self.net(x), y)
    return {"loss": loss, "n": x.size(0), "pred": self.net(x)}
"""


def found(tmp_path: Path, *methods: str, code: str = "LM111") -> list[Diagnostic]:
    body = "\n".join(indent(dedent(m).strip("\n"), "    ") + "\n" for m in methods)
    file = tmp_path / "model.py"
    file.write_text(_HEAD + body)
    files, _ = discover([str(file)], lambda path: Settings())
    report = runner.check(files, lambda path: Settings())
    assert not report.failures, report.failures
    return [d for d in report.diagnostics if d.code == code]


_MEANS = [
    'avg = torch.stack([o["loss"] for o in outputs]).mean()',
    'avg = torch.mean(torch.stack([o["loss"] for o in outputs]))',
    'avg = torch.stack([o["loss"] for o in outputs]).mean(dim=0)',
    'avg = torch.stack([o["loss"] for o in outputs]).sum() / len(outputs)',
    'avg = torch.tensor([o["loss"].item() for o in outputs]).mean()',
    'avg = torch.cat([o["loss"].view(1) for o in outputs]).mean()',
    'avg = np.mean([o["loss"].item() for o in outputs])',
    'avg = np.array([o["loss"].item() for o in outputs]).mean()',
    'avg = statistics.mean([float(o["loss"]) for o in outputs])',
    'avg = sum(o["loss"] for o in outputs) / len(outputs)',
    'avg = sum([o["loss"] for o in outputs]) / max(len(outputs), 1)',
    'avg = mean(outputs, "loss")',
    'pick = lambda key: torch.stack([o[key] for o in outputs]).mean()\navg = pick("loss")',
    'avg = 0\nfor o in outputs:\n    avg += o["loss"]\navg /= len(outputs)',
    'total = 0.0\nfor o in outputs:\n    total = total + o["loss"]\navg = total / len(outputs)',
    'avg = torch.tensor(0).type_as(outputs[0]["loss"])\nfor o in outputs:\n'
    '    avg += o["loss"].detach().item()\navg /= len(outputs)',
    'avg = torch.zeros(1).to(self.device)\nfor o in outputs:\n    avg += o["loss"]\n'
    "avg = avg / len(outputs)",
    'kept = []\nfor o in outputs:\n    kept.append(o["loss"])\navg = torch.stack(kept).mean()',
    'kept = []\nfor o in outputs:\n    kept += [o["loss"]]\navg = torch.stack(kept).mean()',
]


@pytest.mark.parametrize("mean", _MEANS)
def test_a_mean_over_the_batches_of_an_epoch_is_found(tmp_path: Path, mean: str) -> None:
    end = "def validation_epoch_end(self, outputs):\n" + indent(mean, "    ")
    (finding,) = found(tmp_path, _STEP, end + '\n    self.log("val_loss", avg)')
    assert finding.message.startswith('"val_loss" gives every batch one vote')


@pytest.mark.parametrize(
    "use",
    [
        'return {"val_loss": avg}',
        'return {"log": {"val_loss": avg}}',
        'self.logger.experiment.add_scalar("val_loss", avg, self.current_epoch)',
        'self.log_dict({"val_loss": avg})',
        'print("loss", avg)',
    ],
)
def test_where_the_mean_goes_does_not_matter(tmp_path: Path, use: str) -> None:
    end = f"""
    def validation_epoch_end(self, outputs):
        avg = torch.stack([o["loss"] for o in outputs]).mean()
        {use}
    """
    assert len(found(tmp_path, _STEP, end)) == 1


@pytest.mark.parametrize(
    ("returned", "message", "keys"),
    [
        ('{"log": {"val_loss": avg}}', '"val_loss" gives', ["val_loss"]),
        ('{"progress_bar": {"val_loss": avg}}', '"val_loss" gives', ["val_loss"]),
        ('{"avg": avg, "log": {"val_loss": avg}}', '"val_loss" gives', ["val_loss", "avg"]),
        ('{"log": {"a": avg, "b": avg}}', "avg gives", ["a", "b"]),
        ('{"val_loss": avg}', '"val_loss", returned for callbacks alone, gives', ["val_loss"]),
        ('{"a": avg, "b": avg}', "avg, returned for callbacks alone, gives", ["a", "b"]),
        ("dict(log=dict(val_loss=avg, other=1.0))", '"val_loss" gives', ["val_loss"]),
    ],
)
def test_what_lightning_once_took_from_a_returned_dict_is_named(
    tmp_path: Path, returned: str, message: str, keys: list[str]
) -> None:
    end = f"""
    def validation_epoch_end(self, outputs):
        avg = torch.stack([o["loss"] for o in outputs]).mean()
        return {returned}
    """
    (finding,) = found(tmp_path, _STEP, end)
    assert finding.message.startswith(f"{message} every batch one vote")
    assert finding.keys == tuple(("val", key) for key in keys)


def test_a_logged_key_is_all_that_is_named(tmp_path: Path) -> None:
    end = """
    def validation_epoch_end(self, outputs):
        avg = torch.stack([o["loss"] for o in outputs]).mean()
        self.log("val_loss", avg)
        return {"avg": avg}
    """
    (finding,) = found(tmp_path, _STEP, end)
    assert finding.message.startswith('"val_loss" gives every batch one vote')
    assert finding.keys == (("val", "val_loss"),)


_KEPT_STEP = """
def validation_step(self, batch, batch_idx):
    x, y = batch
    self.losses.append(F.mse_loss(self.net(x), y))
"""


@pytest.mark.parametrize(
    "body",
    [
        'avg = torch.stack(self.losses).mean()\nreturn {"val_loss": avg}',
        'return {"val_loss": torch.stack(self.losses).mean()}',
    ],
)
def test_what_a_hook_of_today_returns_reaches_nobody(tmp_path: Path, body: str) -> None:
    end = "def on_validation_epoch_end(self):\n" + indent(body, "    ")
    assert not found(tmp_path, _KEPT_STEP, end)
    asking = """
    def on_validation_end(self):
        print(self.on_validation_epoch_end())
    """
    assert len(found(tmp_path, _KEPT_STEP, end, asking)) == 1


def test_a_list_that_the_step_fills_is_step_output(tmp_path: Path) -> None:
    step = """
    def validation_step(self, batch, batch_idx):
        x, y = batch
        loss = F.mse_loss(self.net(x), y)
        self.losses.append(loss)
    """
    end = """
    def on_validation_epoch_end(self):
        self.log("val_loss", sum(self.losses) / len(self.losses))
        self.losses.clear()
    """
    assert len(found(tmp_path, step, end)) == 1


def test_a_list_for_each_dataloader_is_seen_through(tmp_path: Path) -> None:
    step = _STEP.replace("batch_idx)", "batch_idx, dataloader_idx=0)")
    end = """
    def validation_epoch_end(self, outputs):
        for i, part in enumerate(outputs):
            self.log(f"loss_{i}", torch.stack([o["loss"] for o in part]).mean())
    """
    assert len(found(tmp_path, step, end)) == 1


def test_every_key_of_a_dict_of_means_is_one_finding_at_one_place(tmp_path: Path) -> None:
    end = """
    def validation_epoch_end(self, outputs):
        means = {k: torch.stack([o[k] for o in outputs]).mean() for k in ("loss",)}
        self.log_dict(means)
    """
    assert len(found(tmp_path, _STEP, end)) == 1


_QUIET = [
    'avg = torch.cat([o["pred"] for o in outputs]).mean()',
    'avg = weighted_mean(outputs, "loss")',
    'avg = sum(o["loss"] * o["n"] for o in outputs) / sum(o["n"] for o in outputs)',
    'avg = sum(o["loss"] for o in outputs) / len(self.trainer.datamodule.val_set)',
    'avg = sum(o["n"] for o in outputs) / len(outputs)',
    'avg = np.average([o["loss"].item() for o in outputs], weights=[o["n"] for o in outputs])',
    'avg = np.mean([float(p) for o in outputs for p in o["pred"]])',
    'avg = torch.stack([o["pred"] for o in outputs]).mean(dim=-1)',
]


@pytest.mark.parametrize("mean", _QUIET)
def test_a_mean_over_samples_is_no_finding(tmp_path: Path, mean: str) -> None:
    end = f"""
    def validation_epoch_end(self, outputs):
        {mean}
        self.log("val_loss", avg)
    """
    assert found(tmp_path, _STEP, end) == []


def test_values_collected_per_sample_are_no_batch_means(tmp_path: Path) -> None:
    step = """
    def validation_step(self, batch, batch_idx):
        x, y = batch
        for a, b in zip(self.net(x), y):
            self.losses.append(F.mse_loss(a, b))
    """
    end = """
    def on_validation_epoch_end(self):
        self.log("val_loss", torch.stack(self.losses).mean())
        self.losses.clear()
    """
    assert found(tmp_path, step, end) == []


@pytest.mark.parametrize(
    ("made", "read"),
    [("[]", "self.recent[-100:]"), ("collections.deque(maxlen=100)", "self.recent")],
)
def test_a_moving_window_is_no_epoch(tmp_path: Path, made: str, read: str) -> None:
    methods = f"""
    def on_fit_start(self):
        self.recent = {made}

    def training_step(self, batch, batch_idx):
        loss = F.mse_loss(self.net(batch), batch)
        self.recent.append(loss.item())
        return loss

    def on_train_epoch_end(self):
        recent = {read}
        self.log("recent_loss", sum(recent) / len(recent))
    """
    assert found(tmp_path, methods) == []


def test_batches_of_one_sample_have_one_vote_rightly(tmp_path: Path) -> None:
    end = """
    def validation_epoch_end(self, outputs):
        self.log("val_loss", torch.stack([o["loss"] for o in outputs]).mean())

    def val_dataloader(self):
        return torch.utils.data.DataLoader(self.volumes, batch_size=1)
    """
    assert found(tmp_path, _STEP, end) == []


def test_a_mean_over_loaders_is_no_mean_over_batches(tmp_path: Path) -> None:
    end = """
    def validation_epoch_end(self, outputs):
        per_set = []
        for name in self.names:
            per_set.append(self.metrics[name].compute())
        self.log("avg", torch.stack(per_set).mean())
    """
    assert found(tmp_path, _STEP, end) == []


def test_rewards_of_an_environment_are_no_batches(tmp_path: Path) -> None:
    step = """
    def test_step(self, *args, **kwargs):
        return {"reward": self.play()}
    """
    end = """
    def test_epoch_end(self, outputs):
        rewards = [o["reward"] for o in outputs]
        self.log("avg_reward", sum(rewards) / len(rewards))
    """
    assert found(tmp_path, step, end) == []


def test_a_list_that_a_base_collects_holds_the_outputs_of_the_step(tmp_path: Path) -> None:
    projects.written(
        tmp_path,
        {
            "base.py": """
            import pytorch_lightning as pl


            class Base(pl.LightningModule):
                def __init__(self):
                    super().__init__()
                    self.validation_step_outputs = []

                def on_validation_batch_end(self, outputs, batch, batch_idx, dataloader_idx=0):
                    collected = self.validation_step_outputs
                    if outputs is not None:
                        collected.append(outputs)
            """,
            "model.py": """
            import torch
            from base import Base
            from torch.nn import functional as F


            class Model(Base):
                def validation_step(self, batch, batch_idx):
                    x, y = batch
                    return {"val_loss": F.mse_loss(self(x), y)}

                def on_validation_epoch_end(self):
                    outputs = list(self.validation_step_outputs)
                    self.validation_step_outputs.clear()
                    self.log("val_loss", torch.stack([o["val_loss"] for o in outputs]).mean())
            """,
        },
    )
    assert projects.codes(projects.check(tmp_path)) == ["LM111"]


def test_moving_the_outputs_into_a_base_loses_no_finding(tmp_path: Path) -> None:
    projects.written(
        tmp_path,
        {
            "base.py": """
            import pytorch_lightning as pl


            class Base(pl.LightningModule):
                def validation_epoch_end(self, outputs):
                    return {"n": len(outputs)}
            """,
            "model.py": """
            import torch
            from base import Base
            from torch.nn import functional as F


            class Model(Base):
                def validation_step(self, batch, batch_idx):
                    x, y = batch
                    return {"val_loss": F.mse_loss(self(x), y)}

                def validation_epoch_end(self, outputs):
                    if self.trainer.sanity_checking:
                        print(outputs)
                    self.log("val_loss", torch.stack([o["val_loss"] for o in outputs]).mean())
            """,
        },
    )
    before = projects.check(tmp_path)
    assert projects.codes(before).count("LM111") == 1
    after = projects.fix(tmp_path, relations=frozenset([Relation.PRESERVES]))
    assert projects.codes(after) == ["LM111"]
    assert "LM111" not in {diagnostic.code for diagnostic in after.fixed}


def test_a_count_among_the_keys_hides_no_mean(tmp_path: Path) -> None:
    diagnostics = found(
        tmp_path,
        """
        def validation_step(self, batch, batch_idx):
            x, y = batch
            p = self.net(x)
            return {"hits": (p.argmax(1) == y).sum(), "loss": F.cross_entropy(p, y)}

        def validation_epoch_end(self, outputs):
            means = {k: torch.stack([o[k] for o in outputs]).mean() for k in outputs[0]}
            self.log_dict(means)
        """,
    )
    assert len(diagnostics) == 1


def test_a_flag_of_an_optional_import_is_no_constant(tmp_path: Path) -> None:
    projects.written(
        tmp_path,
        {
            "model.py": """
            import pytorch_lightning as pl
            import torch
            from torch.nn import functional as F

            try:
                import apex

                HAVE_APEX = True
            except ImportError:
                HAVE_APEX = False


            class Base(pl.LightningModule):
                def __init__(self):
                    super().__init__()
                    self.validation_step_outputs = []

                def on_validation_batch_end(self, outputs, batch, batch_idx, dataloader_idx=0):
                    collected = self.validation_step_outputs
                    collected.append(outputs)


            class Model(Base):
                def __init__(self):
                    if not HAVE_APEX:
                        raise ImportError("apex is not installed")
                    super().__init__()

                def validation_step(self, batch, batch_idx):
                    x, y = batch
                    return F.mse_loss(self(x), y)

                def on_validation_epoch_end(self):
                    losses = list(self.validation_step_outputs)
                    self.validation_step_outputs.clear()
                    self.log("val_loss", torch.stack(losses).mean())
            """,
        },
    )
    assert projects.codes(projects.check(tmp_path, "LM111")) == ["LM111"]
