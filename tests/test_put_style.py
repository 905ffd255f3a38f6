"""``--style put``: log calls become objects that gather, and numbers that are handed over."""

from __future__ import annotations

import ast
from pathlib import Path
from textwrap import dedent, indent

import projects
import pytest

from lintmetrics.codemod import Relation

SAFE = frozenset((Relation.PRESERVES, Relation.CORRECTS))
HEAD = """\
import lightning.pytorch as pl
import torch
from torch.nn import functional as F
from torchmetrics import MeanMetric, MetricCollection, MinMetric
from torchmetrics.classification import BinaryF1Score


"""
INIT = """\
    def __init__(self):
        super().__init__()
        self.net = torch.nn.Linear(2, 1)
        self.train_f1 = BinaryF1Score()
        self.val_f1 = BinaryF1Score()
        self.scores = MetricCollection([BinaryF1Score()], prefix="val/")
        self.best = MinMetric()
        self.both = BinaryF1Score()
        self.plain = {"f1": BinaryF1Score()}
        self.per_loader = torch.nn.ModuleList([BinaryF1Score(), BinaryF1Score()])

    def forward(self, x):
        return self.net(x)

"""
TRAINER = "\n\ntrainer = pl.Trainer(max_epochs=1)\n"


def module(body: str) -> str:
    return HEAD + "class Net(pl.LightningModule):\n" + INIT + indent(dedent(body), " " * 4)


def step(lines: str, name: str = "validation_step", more: str = "") -> str:
    """Return a module with one step that logs, and what else it has."""
    begin = f"def {name}(self, batch, batch_idx):\n    x, y = batch\n    p = self(x)\n"
    begin += "    loss = F.mse_loss(p, y)\n"
    return module(begin + indent(dedent(lines), " " * 4) + "\n" + dedent(more))


def fixed(tmp_path: Path, text: str, relations: frozenset[Relation] = SAFE) -> str:
    """Return a file as the fix leaves it; it parses, and a second run is idle."""
    projects.written(tmp_path, {"model.py": text + TRAINER})
    report = projects.fix(tmp_path, style="put", relations=relations)
    assert not report.failed, [reason for _, reason in report.failed]
    after = (tmp_path / "model.py").read_text(encoding="utf-8")
    ast.parse(after)
    assert projects.fix(tmp_path, style="put", relations=relations).after == {}
    return after


def blocked(tmp_path: Path, text: str) -> str:
    """Return why a log call stays; nothing else is written over it."""
    projects.written(tmp_path, {"model.py": text + TRAINER})
    (found,) = [d for d in projects.check(tmp_path, style="put").diagnostics if d.code == "LM701"]
    assert found.fix is None
    line = found.source_line.strip()
    projects.fix(tmp_path, style="put")
    assert line in (tmp_path / "model.py").read_text(encoding="utf-8")
    return found.blocked


def body_of(text: str, name: str) -> str:
    """Return the statements of a method."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return "\n".join(ast.unparse(statement) for statement in node.body)
    raise AssertionError(f"no {name} in:\n{text}")


EVERYWHERE_BUT_THE_BAR = "destinations=['loggers', 'callbacks']"


def test_a_mean_over_the_epoch_is_gathered_with_the_sizes_of_the_batches(tmp_path: Path) -> None:
    after = fixed(tmp_path, step('self.log("val_loss", loss)'))
    assert 'self.val_loss = MeanMetric(nan_strategy=float("nan"))' in after
    assert body_of(after, "validation_step").endswith("self.val_loss.update(loss, x.size(0))")
    assert body_of(after, "on_validation_epoch_end") == dedent(
        f"""\
        self.put('val_loss', self.val_loss.compute(), {EVERYWHERE_BUT_THE_BAR})
        self.val_loss.reset()"""
    )
    assert "class Net(PutMixin, pl.LightningModule):" in after
    assert "pl.Trainer(max_epochs=1, callbacks=[PutRouter()])" in after
    assert "from lintmetrics.put import PutMixin, PutRouter" in after


@pytest.mark.parametrize(
    ("flags", "written"),
    [
        ("", ", destinations=['loggers', 'callbacks']"),
        (", prog_bar=True", ""),
        (", logger=False", ", destinations='callbacks'"),
        (", logger=False, prog_bar=True", ", destinations=['progress_bar', 'callbacks']"),
    ],
)
def test_a_number_goes_where_it_went(flags: str, written: str, tmp_path: Path) -> None:
    after = fixed(tmp_path, step(f'self.log("lr", 1.0{flags})', "training_step"))
    assert f"self.put('lr', 1.0{written})" in body_of(after, "training_step")


def test_a_said_batch_size_is_the_weight(tmp_path: Path) -> None:
    after = fixed(tmp_path, step('self.log("val_loss", loss, batch_size=y.numel())'))
    assert "self.val_loss.update(loss, y.numel())" in after


@pytest.mark.parametrize(
    ("reduction", "kind"), [("sum", "SumMetric"), ("min", "MinMetric"), ("max", "MaxMetric")]
)
def test_each_reduction_has_its_object(reduction: str, kind: str, tmp_path: Path) -> None:
    after = fixed(tmp_path, step(f'self.log("val_p", p.sum(), reduce_fx="{reduction}")'))
    assert f"self.val_p = {kind}(" in after
    assert "self.val_p.update(p.sum())" in after


def test_a_number_of_both_levels_keeps_its_three_keys(tmp_path: Path) -> None:
    after = fixed(
        tmp_path,
        step('self.log("loss", loss, on_step=True, on_epoch=True)\nreturn loss', "training_step"),
    )
    in_step = body_of(after, "training_step")
    assert f"self.put('loss_step', loss, {EVERYWHERE_BUT_THE_BAR})" in in_step
    assert "self.put('loss', loss, destinations='callbacks')" in in_step
    at_end = body_of(after, "on_train_epoch_end")
    assert "self.put('loss_epoch', self.train_loss.compute()" in at_end
    assert "self.put('loss', self.train_loss.compute(), destinations='callbacks')" in at_end


def test_a_value_that_is_worked_out_is_worked_out_once(tmp_path: Path) -> None:
    text = 'self.log("loss", self(x).mean(), on_step=True, on_epoch=True)'
    after = fixed(tmp_path, step(text, "training_step"))
    assert body_of(after, "training_step").count("self(x).mean()") == 1


def test_an_object_is_updated_computed_put_and_reset(tmp_path: Path) -> None:
    after = fixed(tmp_path, step('self.val_f1(p, y)\nself.log("val_f1", self.val_f1)'))
    assert body_of(after, "validation_step").endswith("self.val_f1.update(p, y)")
    at_end = body_of(after, "on_validation_epoch_end").splitlines()
    assert at_end[0].startswith("self.put('val_f1', self.val_f1.compute()")
    assert at_end[1] == "self.val_f1.reset()"


def test_an_object_that_is_logged_at_steps_answers_for_the_batch(tmp_path: Path) -> None:
    text = 'self.train_f1(p, y)\nself.log("f1", self.train_f1, on_step=True, on_epoch=False)'
    after = fixed(tmp_path, step(text, "training_step"))
    in_step = body_of(after, "training_step")
    assert "train_f1 = self.train_f1(p, y)" in in_step
    assert "self.put('f1', train_f1" in in_step
    assert body_of(after, "on_train_epoch_end") == "self.train_f1.reset()"


def test_a_collection_keeps_its_names(tmp_path: Path) -> None:
    after = fixed(tmp_path, step("self.scores(p, y)\nself.log_dict(self.scores)"))
    assert "self.put_dict(self.scores.compute()" in body_of(after, "on_validation_epoch_end")
    assert "self.scores.reset()" in body_of(after, "on_validation_epoch_end")


def test_an_existing_hook_is_added_to_before_it_resets(tmp_path: Path) -> None:
    more = """
    def on_validation_epoch_end(self):
        print("done")
        self.val_f1.reset()
    """
    text = step('self.val_f1.update(p, y)\nself.log("val_f1", self.val_f1)', more=more)
    lines = body_of(fixed(tmp_path, text), "on_validation_epoch_end").splitlines()
    assert lines[0] == "print('done')"
    assert lines[1].startswith("self.put('val_f1'")
    assert lines[2:] == ["self.val_f1.reset()"]


def test_a_hook_of_a_base_class_goes_on_being_called(tmp_path: Path) -> None:
    base = "class Base(pl.LightningModule):\n    def on_validation_epoch_end(self):\n        pass"
    text = step('self.log("val_loss", loss)').replace(
        "class Net(pl.LightningModule)", "class Net(Base)"
    )
    text = text.replace("class Net", f"{base}\n\n\nclass Net")
    after = fixed(tmp_path, text)
    assert "super().on_validation_epoch_end()" in after
    assert "class Net(Base, PutMixin):" in after


def family(below: str) -> str:
    text = step('self.val_f1(p, y)\nself.log("val_f1", self.val_f1)')
    return text + "\n\nclass Below(Net):\n" + indent(dedent(below), " " * 4)


def test_a_class_below_with_a_step_of_its_own_keeps_the_base_from_putting(tmp_path: Path) -> None:
    text = family(
        """
        def validation_step(self, batch, batch_idx):
            x, y = batch
            self.net(x)
        """
    )
    assert "Below has a validation_step that does not come here" in blocked(tmp_path, text)


def test_base_and_class_below_can_both_put(tmp_path: Path) -> None:
    """With the mixin in front in both, Python would find no order for the bases."""
    text = HEAD + dedent(
        """
        class Base(pl.LightningModule):
            def on_train_epoch_end(self):
                self.log("rate", 0.1)

        class Below(Base):
            def on_test_epoch_end(self):
                self.log("done", 1.0)

        class Lowest(Below, Other):
            def on_test_epoch_end(self):
                self.log("more", 1.0)
        """
    )
    after = fixed(tmp_path, text)
    assert "class Base(PutMixin, pl.LightningModule):" in after
    assert "class Below(Base):" in after
    assert "class Lowest(Below, Other):" in after


def test_a_class_below_a_base_of_another_file_has_the_mixin_last(tmp_path: Path) -> None:
    files = {
        "base.py": "import lightning.pytorch as pl\n\n\nclass Base(pl.LightningModule): ...\n",
        "model.py": "import lightning.pytorch as pl\nfrom base import Base\n\n\nclass Net(Base):\n"
        "    def on_test_epoch_end(self):\n        self.log('done', 1.0)\n" + TRAINER,
    }
    projects.written(tmp_path, files)
    projects.fix(tmp_path, style="put")
    assert "class Net(Base, PutMixin):" in (tmp_path / "model.py").read_text(encoding="utf-8")


def test_what_the_base_computes_is_not_computed_again(tmp_path: Path) -> None:
    text = family(
        """
        def validation_step(self, batch, batch_idx):
            x, y = batch
            self.val_f1(self.net(x), y)
            self.log("val_f1_below", self.val_f1)
        """
    )
    hook = "\n    def on_validation_epoch_end(self):\n        print(self.val_f1.compute())\n"
    text = text.replace("\n\nclass Below", f"{hook}\n\nclass Below")
    projects.written(tmp_path, {"model.py": text + TRAINER})
    assert not any(d.fix for d in projects.check(tmp_path, "LM701", style="put").diagnostics)


def test_a_class_below_that_calls_the_step_shares_the_hook(tmp_path: Path) -> None:
    text = family(
        """
        def validation_step(self, batch, batch_idx):
            super().validation_step(batch, batch_idx)
        """
    )
    assert "self.val_f1.update(p, y)" in fixed(tmp_path, text)


def test_stages_of_a_shared_step_are_told_apart(tmp_path: Path) -> None:
    text = module(
        """
        def shared(self, batch, stage):
            x, y = batch
            loss = F.mse_loss(self(x), y)
            self.log(f"{stage}_loss", loss)
            return loss

        def training_step(self, batch, batch_idx):
            return self.shared(batch, "train")

        def validation_step(self, batch, batch_idx):
            self.shared(batch, "val")

        def test_step(self, batch, batch_idx):
            self.shared(batch, "test")
        """
    )
    after = fixed(tmp_path, text)
    shared = body_of(after, "shared")
    assert "if self.trainer.training:\n    self.put(f'{stage}_loss', loss" in shared
    assert "else:\n    self.loss[f'{stage}_loss'].update(loss, x.size(0))" in shared
    for stage, hook in (("val", "on_validation_epoch_end"), ("test", "on_test_epoch_end")):
        put = f"self.put('{stage}_loss', self.loss['{stage}_loss'].compute()"
        assert put in body_of(after, hook)


def test_what_no_batch_logs_is_not_put(tmp_path: Path) -> None:
    after = fixed(tmp_path, step('if batch_idx > 2:\n    self.log("late", loss)'))
    assert "if self.val_late.update_called:\n    self.put('late'" in body_of(
        after, "on_validation_epoch_end"
    )


def test_entries_of_a_dict_go_their_own_ways(tmp_path: Path) -> None:
    text = (
        'self.val_f1(p, y)\nself.log_dict({"val_loss": loss, "val_f1": self.val_f1}, prog_bar=True)'
    )
    after = fixed(tmp_path, step(text))
    assert "self.val_loss.update(loss, x.size(0))" in after
    at_end = body_of(after, "on_validation_epoch_end")
    assert "self.put('val_loss', self.val_loss.compute())" in at_end
    assert "self.put('val_f1', self.val_f1.compute())" in at_end


def test_a_dict_of_a_step_stays_a_dict(tmp_path: Path) -> None:
    after = fixed(tmp_path, step('self.log_dict({"a": loss, "b": 2.0})', "training_step"))
    assert "self.put_dict({'a': loss, 'b': 2.0}" in body_of(after, "training_step")


def test_a_number_of_an_epoch_end_hook_is_put_there(tmp_path: Path) -> None:
    after = fixed(
        tmp_path,
        module(
            """
            def on_train_epoch_end(self):
                self.log("lr", 0.1)
            """
        ),
    )
    assert "self.put('lr', 0.1" in body_of(after, "on_train_epoch_end")


def test_each_dataloader_has_its_object_and_lightnings_ending(tmp_path: Path) -> None:
    text = module(
        """
        def validation_step(self, batch, batch_idx, dataloader_idx):
            x, y = batch
            p = self(x)
            self.per_loader[dataloader_idx](p, y)
            self.log("f1", self.per_loader[dataloader_idx])
            self.log("loss", F.mse_loss(p, y))

        def val_dataloader(self):
            return [make(0), make(1)]
        """
    )
    at_end = body_of(fixed(tmp_path, text), "on_validation_epoch_end")
    assert "for dataloader_idx, metric in enumerate(self.per_loader):" in at_end
    assert "self.put(f'f1/dataloader_idx_{dataloader_idx}', metric.compute()" in at_end
    assert "self.put(f'loss/dataloader_idx_{dataloader_idx}', metric.compute()" in at_end
    assert at_end.count("metric.reset()") == 2


def test_scores_of_batches_become_objects_first(tmp_path: Path) -> None:
    text = step('self.log("val_f1", binary_f1_score(p, y))').replace(
        "from torchmetrics.classification",
        "from torchmetrics.functional.classification import binary_f1_score\n"
        "from torchmetrics.classification",
    )
    after = fixed(tmp_path, text)
    assert "binary_f1_score" not in after
    assert "self.val_f1_metric.update(p, y)" in after
    assert "self.put('val_f1', self.val_f1_metric.compute()" in after.replace('"', "'")


def test_callbacks_put_as_well(tmp_path: Path) -> None:
    text = HEAD + dedent(
        """
        class Rate(pl.Callback):
            def on_train_epoch_end(self, trainer, pl_module):
                self.log("lr", 0.1, prog_bar=True)
        """
    )
    after = fixed(tmp_path, text)
    assert "class Rate(PutMixin, pl.Callback):" in after
    assert 'self.put("lr", 0.1)' in after


def test_a_monitor_finds_what_is_put(tmp_path: Path) -> None:
    projects.written(
        tmp_path,
        {
            "model.py": step('self.log("val_loss", loss)'),
            "train.py": """
            import lightning.pytorch as pl
            from lightning.pytorch.callbacks import ModelCheckpoint

            trainer = pl.Trainer(callbacks=[ModelCheckpoint(monitor="val_loss")])
            other = pl.Trainer(callbacks=[ModelCheckpoint(monitor="val_lsos")])
            """,
        },
    )
    report = projects.fix(tmp_path, style="put")
    assert [d.code for d in report.diagnostics] == ["LM401"]
    train = (tmp_path / "train.py").read_text(encoding="utf-8")
    assert 'callbacks=[ModelCheckpoint(monitor="val_loss"), PutRouter()]' in train


@pytest.mark.parametrize(
    ("lines", "name", "reason"),
    [
        ('self.log("a", loss, sync_dist=True)', "training_step", "put reduces nothing"),
        ('self.log("a", loss, on_step=True)', "validation_step", "axis of its own"),
        ('self.log("a", loss, rank_zero_only=True)', "training_step", "rank_zero_only="),
        ('self.log("a", loss, prog_bar=self.show)', "training_step", "not known until"),
        ('self.log("a", loss, reduce_fx=torch.std)', "validation_step", "LM606"),
        ('self.log("a", loss, **self.flags)', "training_step", "unpacked from a name"),
        ('self.log("a", loss, True)', "training_step", "flags by place"),
        ("self.log_dict(self.numbers(p))", "validation_step", "not written out"),
        ('self.log(f"{self.name}_loss", loss)', "validation_step", "key"),
        ('self.both(p, y)\nself.log("b", self.plain["f1"])', "validation_step", "plain dict"),
        (
            'self.val_f1(p, y)\nif batch_idx > 2:\n    self.log("f1", self.val_f1)',
            "validation_step",
            "another condition",
        ),
        ('self.best(loss)\nself.log("best", self.best)', "validation_step", "whole run"),
    ],
)
def test_what_has_no_counterpart_stays(lines: str, name: str, reason: str, tmp_path: Path) -> None:
    assert reason in blocked(tmp_path, step(lines, name))


def test_a_batch_of_unknown_size_is_not_guessed(tmp_path: Path) -> None:
    text = module(
        """
        def validation_step(self, batch, batch_idx):
            self.log("val_loss", self.loss(batch))
        """
    )
    assert "how many samples" in blocked(tmp_path, text)


def test_a_hook_that_returns_early_is_left_alone(tmp_path: Path) -> None:
    more = """
    def on_validation_epoch_end(self):
        if self.trainer.sanity_checking:
            return
        print("done")
    """
    assert "may return" in blocked(tmp_path, step('self.log("val_loss", loss)', more=more))


def test_a_put_of_the_users_own_is_not_hidden(tmp_path: Path) -> None:
    more = "def put(self, thing):\n    pass\n"
    assert "has a put of its own" in blocked(tmp_path, step('self.log("a", loss)', more=more))


@pytest.mark.parametrize(
    ("use", "is_read"),
    [
        ("trainer.validate(Net())", False),
        ("results = trainer.validate(Net())", True),
        ("print(pl.Trainer().validate(Net())[0])", True),
        ("results = trainer.test(Net())", False),
        ("errors = schema.validate(record)", False),
    ],
)
def test_what_the_trainer_answers_is_known_to_log_alone(
    use: str, is_read: bool, tmp_path: Path
) -> None:
    text = step('self.log("val_loss", loss)')
    projects.written(
        tmp_path, {"model.py": text + TRAINER, "run.py": f"import lightning.pytorch as pl\n{use}\n"}
    )
    (found,) = [d for d in projects.check(tmp_path, style="put").diagnostics if d.code == "LM701"]
    assert ("trainer.callback_metrics" in found.blocked) is is_read


def test_a_number_that_is_wrong_is_not_put(tmp_path: Path) -> None:
    text = step('self.log("val_sum", F.mse_loss(p, y, reduction="sum"))')
    assert "LM115 at line 27 comes first" in blocked(tmp_path, text)


def test_without_the_style_nothing_is_said_of_log_calls(tmp_path: Path) -> None:
    projects.written(tmp_path, {"model.py": step('self.log("val_loss", loss)') + TRAINER})
    assert projects.codes(projects.check(tmp_path)) == []
    assert projects.fix(tmp_path).after == {}


ROUTERS = [
    "pl.Trainer(callbacks=[PutRouter()])",
    "pl.Trainer(callbacks=[a, PutRouter(log_every_n_steps=1)])",
    "pl.Trainer(**arguments)",
    "pl.Trainer(callbacks=[*callbacks])",
]
PUTS = """
import lightning.pytorch as pl
from lintmetrics.put import PutMixin, PutRouter


class Net(PutMixin, pl.LightningModule):
    def on_train_epoch_end(self):
        self.put("lr", 0.1)


routers = [PutRouter()]
"""


@pytest.mark.parametrize("trainer", ROUTERS)
def test_a_trainer_that_may_have_a_router_is_left_alone(trainer: str, tmp_path: Path) -> None:
    projects.written(tmp_path, {"model.py": f"{PUTS}\ntrainer = {trainer}\n"})
    assert projects.codes(projects.check(tmp_path, "LM702")) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("pl.Trainer()", "pl.Trainer(callbacks=[PutRouter()])"),
        ("pl.Trainer(max_epochs=1)", "pl.Trainer(max_epochs=1, callbacks=[PutRouter()])"),
        ("pl.Trainer(callbacks=None)", "pl.Trainer(callbacks=[PutRouter()])"),
        ("pl.Trainer(callbacks=[])", "pl.Trainer(callbacks=[PutRouter()])"),
        ("pl.Trainer(callbacks=[a, b])", "pl.Trainer(callbacks=[a, b, PutRouter()])"),
    ],
)
def test_a_trainer_gets_its_router(before: str, after: str, tmp_path: Path) -> None:
    projects.written(tmp_path, {"model.py": f"{PUTS}\na = b = 1\ntrainer = {before}\n"})
    projects.fix(tmp_path, "LM702")
    text = (tmp_path / "model.py").read_text(encoding="utf-8")
    assert text.endswith(f"trainer = {after}\n")


def test_callbacks_from_elsewhere_are_for_a_person(tmp_path: Path) -> None:
    text = PUTS.replace("routers = [PutRouter()]", "").replace(", PutRouter", "")
    projects.written(tmp_path, {"model.py": f"{text}\ntrainer = pl.Trainer(callbacks=make())\n"})
    (found,) = projects.check(tmp_path, "LM702").diagnostics
    assert "make()" in found.blocked


def test_a_project_that_puts_nothing_needs_no_router(tmp_path: Path) -> None:
    projects.written(tmp_path, {"a.py": "import queue\nimport lightning.pytorch as pl\n"
                                "queue.Queue().put(1)\ntrainer = pl.Trainer()\n"})  # fmt: skip
    assert projects.codes(projects.check(tmp_path, "LM702")) == []


def test_a_vendored_copy_is_imported_from_where_it_is(tmp_path: Path) -> None:
    projects.written(
        tmp_path,
        {
            "app/__init__.py": "",
            "app/put.py": "class PutMixin:\n    pass\n\n\nclass PutRouter:\n    pass\n",
            "app/model.py": step('self.log("val_loss", loss)') + TRAINER,
        },
    )
    projects.fix(tmp_path, style="put")
    text = (tmp_path / "app/model.py").read_text(encoding="utf-8")
    assert "from app.put import PutMixin, PutRouter" in text


def test_a_project_without_trainer_hears_of_the_router(tmp_path: Path) -> None:
    projects.written(tmp_path, {"model.py": step('self.log("val_loss", loss)')})
    report = projects.fix(tmp_path, style="put")
    assert report.after
    (left,) = report.diagnostics
    assert left.code == "LM703"
    assert "callbacks=[PutRouter()]" in left.blocked


def test_the_page_shows_the_classes_that_were_measured() -> None:
    root = Path(__file__).parents[1]
    page = (root / "docs/put.md").read_text(encoding="utf-8")
    source = (root / "benchmarks/three_styles.py").read_text(encoding="utf-8")
    classes = [
        ast.get_source_segment(source, node)
        for node in ast.parse(source).body
        if isinstance(node, ast.ClassDef) and node.name.startswith("With")
    ]
    assert len(classes) == 3
    for text in classes:
        assert f"```python\n{text}\n```" in page
