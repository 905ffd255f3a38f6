"""Hooks that took the outputs of an epoch: found wherever they are, moved with all that calls them.

Each expected text was run: the module before on lightning 1.9.5, the one after on 2.6.6, with the
same logged numbers.
"""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import projects
import pytest

from lintmetrics.codemod import Relation

HEAD = """\
import torch
import pytorch_lightning as pl


"""


def migrated(tmp_path: Path, **files: str) -> str:
    """Fix files with the hook rules; return all texts, one after the other."""
    projects.written(tmp_path, {f"{name}.py": HEAD + dedent(text) for name, text in files.items()})
    projects.fix(tmp_path, "LM2", style="outputs")
    texts = [(tmp_path / f"{name}.py").read_text(encoding="utf-8") for name in files]
    return "".join(text.removeprefix(HEAD) for text in texts)


def blocked(tmp_path: Path, **files: str) -> list[str]:
    """Return why findings have no fix."""
    projects.written(tmp_path, {f"{name}.py": HEAD + dedent(text) for name, text in files.items()})
    report = projects.check(tmp_path, "LM2")
    return [d.blocked for d in report.diagnostics if d.blocked]


def found(tmp_path: Path, **files: str) -> list[str]:
    """Return ``code line`` of every finding."""
    projects.written(tmp_path, {f"{name}.py": HEAD + dedent(text) for name, text in files.items()})
    report = projects.check(tmp_path, "LM2")
    return [f"{d.code} {d.start.line - 4}" for d in report.diagnostics]


# What is found ----------------------------------------------------------------------------------


def test_any_signature_and_an_alias_are_found(tmp_path: Path) -> None:
    assert found(
        tmp_path,
        a="""\
        class M(pl.LightningModule):
            def training_epoch_end(self, *args, **kwargs):
                pass
            def validation_epoch_end(self, outs: list) -> None:
                pass
            test_epoch_end = validation_epoch_end
        """,
    ) == ["LM201 2", "LM201 4", "LM201 6"]


def test_a_class_known_only_through_another_file_and_a_mixin_are_found(tmp_path: Path) -> None:
    files = {
        "base": "class Base(pl.LightningModule):\n    pass\n",
        "mixin": "class Mixin:\n    def test_epoch_end(self, outputs):\n        pass\n",
        "model": "from base import Base\nfrom mixin import Mixin\n\n"
        "class M(Mixin, Base):\n    def validation_epoch_end(self, outputs):\n        pass\n",
    }
    assert found(tmp_path, **files) == ["LM201 2", "LM201 5"]


def test_look_alikes_are_quiet(tmp_path: Path) -> None:
    assert (
        found(
            tmp_path,
            a="""\
            class Adapter:
                def validation_epoch_end(self, outputs):
                    return len(outputs)

            class Probe(pl.Callback):
                def on_validation_epoch_end(self, trainer, module):
                    pass
                def validation_epoch_end(self, outputs):
                    pass

            class M(pl.LightningModule):
                validation_epoch_end = None
                def on_validation_epoch_end(self, split="val"):
                    self.log(split, 1.0)
                def on_train_epoch_end(self, *args, **kwargs):
                    pass
            """,
        )
        == []
    )


# Outputs that are not used ----------------------------------------------------------------------


def test_unused_outputs_make_a_plain_rename(tmp_path: Path) -> None:
    assert migrated(
        tmp_path,
        a="""\
            class M(pl.LightningModule):
                def training_epoch_end(
                    self, outputs: list
                ) -> None:
                    \"\"\"Log the metrics; outputs are left alone.\"\"\"
                    # the epoch is over
                    self.log_dict(self.metrics.compute())

                def validation_epoch_end(self, *args, **kwargs):  # noqa: D102
                    self.log("x", 1.0)
            """,
    ) == dedent("""\
            class M(pl.LightningModule):
                def on_train_epoch_end(self) -> None:
                    \"\"\"Log the metrics; outputs are left alone.\"\"\"
                    # the epoch is over
                    self.log_dict(self.metrics.compute())

                def on_validation_epoch_end(self):  # noqa: D102
                    self.log("x", 1.0)
            """)


def test_super_calls_that_only_hand_outputs_on_lose_them(tmp_path: Path) -> None:
    assert migrated(
        tmp_path,
        a="""\
        class A(pl.LightningModule):
            def validation_epoch_end(self, outputs):
                self.log("a", 1.0)

        class B(A):
            def validation_epoch_end(self, outputs):
                super().validation_epoch_end(outputs)
                self.log("b", 1.0)
        """,
    ) == dedent("""\
        class A(pl.LightningModule):
            def on_validation_epoch_end(self):
                self.log("a", 1.0)

        class B(A):
            def on_validation_epoch_end(self):
                super().on_validation_epoch_end()
                self.log("b", 1.0)
        """)


def test_a_super_call_to_lightning_itself_goes(tmp_path: Path) -> None:
    assert migrated(
        tmp_path,
        a="""\
        class A(pl.LightningModule):
            def training_epoch_end(self, outputs):
                self.log("a", 1.0)
                return super().training_epoch_end(outputs)

            def test_epoch_end(self, outputs):
                if self.quiet:
                    return super().test_epoch_end(outputs)
                self.log("b", 1.0)
        """,
    ) == dedent("""\
        class A(pl.LightningModule):
            def on_train_epoch_end(self):
                self.log("a", 1.0)

            def on_test_epoch_end(self):
                if self.quiet:
                    return
                self.log("b", 1.0)
        """)


# Outputs that are used --------------------------------------------------------------------------


def test_the_step_collects_and_the_hook_empties(tmp_path: Path) -> None:
    assert migrated(
        tmp_path,
        a="""\
        class M(pl.LightningModule):
            def __init__(self):
                super().__init__()
                self.layer = torch.nn.Linear(2, 1)

            def validation_step(self, batch, batch_idx):
                if batch_idx == 0:
                    return
                x, y = batch
                return {"loss": self.loss(x, y), "n": len(x)}

            def validation_epoch_end(self, outs):
                self.log("loss", sum(o["loss"] for o in outs))
        """,
    ) == dedent("""\
        class M(pl.LightningModule):
            def __init__(self):
                super().__init__()
                self.validation_step_outputs = []
                self.layer = torch.nn.Linear(2, 1)

            def validation_step(self, batch, batch_idx):
                if batch_idx == 0:
                    return
                x, y = batch
                output = {"loss": self.loss(x, y), "n": len(x)}
                self.validation_step_outputs.append(output)
                return output

            def on_validation_epoch_end(self):
                self.log("loss", sum(o["loss"] for o in self.validation_step_outputs))
                self.validation_step_outputs.clear()
        """)


@pytest.mark.parametrize(
    "body",
    [
        "if not outputs:\n    return\nself.log('n', float(len(outputs)))",
        "outputs = self.all_gather(outputs)\nself.log('n', float(len(outputs)))",
        "self.last = outputs",
        "self.report(lambda: outputs)",
        "self.report(outputs)",
        "return outputs",
    ],
    ids=["early return", "rebound", "escapes", "closure", "handed on", "returned"],
)
def test_a_body_that_is_not_simple_keeps_every_byte(tmp_path: Path, body: str) -> None:
    lines = [f"        {line}\n" for line in body.split("\n")]
    text = (
        "class M(pl.LightningModule):\n"
        "    def validation_step(self, batch, batch_idx):\n"
        "        return self.loss(batch)\n"
        "    def validation_epoch_end(self, outputs):\n"
    ) + "".join(lines)
    after = migrated(tmp_path, a=text)
    copied = (
        "    def on_validation_epoch_end(self):\n"
        "        outputs = list(self.validation_step_outputs)\n"
        "        self.validation_step_outputs.clear()\n"
    )
    assert copied + "".join(lines) in after


def test_training_outputs_are_dicts_without_graph(tmp_path: Path) -> None:
    after = migrated(
        tmp_path,
        a="""\
        class M(pl.LightningModule):
            def training_step(self, batch, batch_idx):
                loss = self.loss(batch)
                self.log("loss", loss)
                return loss

            def training_epoch_end(self, outputs):
                self.log("sum", sum(o["loss"] for o in outputs))
        """,
    )
    assert (
        'self.training_step_outputs.append({"loss": loss.detach()})\n        return loss' in after
    )


def test_training_outputs_of_unknown_shape_are_taken_where_lightning_gives_them(
    tmp_path: Path,
) -> None:
    after = migrated(
        tmp_path,
        a="""\
        class M(pl.LightningModule):
            def training_step(self, batch, batch_idx):
                return self.shared(batch)

            def training_epoch_end(self, outputs):
                self.log("sum", sum(o["loss"] for o in outputs))
        """,
    )
    assert "    def on_train_batch_end(self, outputs, batch, batch_idx):\n" in after
    assert "        if outputs:\n            self.training_step_outputs.append(\n" in after
    assert "        return self.shared(batch)\n" in after


def test_several_dataloaders_keep_a_list_for_each(tmp_path: Path) -> None:
    after = migrated(
        tmp_path,
        a="""\
        class M(pl.LightningModule):
            def validation_step(self, batch, batch_idx, dataloader_idx=0):
                return self.loss(batch)

            def validation_epoch_end(self, outputs):
                for index, losses in enumerate(outputs):
                    self.log(f"loss{index}", sum(losses))
        """,
    )
    assert "if len(self.trainer.num_val_batches) > 1:" in after
    assert "        return self.loss(batch)\n" in after


def test_a_body_that_only_fits_one_dataloader_makes_a_flat_list(tmp_path: Path) -> None:
    after = migrated(
        tmp_path,
        a="""\
        class M(pl.LightningModule):
            def validation_step(self, batch, batch_idx, dataloader_idx=0):
                return {"loss": self.loss(batch)}

            def validation_epoch_end(self, outputs):
                self.log("loss", sum(o["loss"] for o in outputs))
        """,
    )
    assert "num_val_batches" not in after
    assert "self.validation_step_outputs.append(output)" in after


def test_one_class_of_a_hierarchy_collects_for_all(tmp_path: Path) -> None:
    after = migrated(
        tmp_path,
        a="""\
        class A(pl.LightningModule):
            def validation_step(self, batch, batch_idx):
                return self.loss(batch)

            def validation_epoch_end(self, outputs):
                self.log("a", sum(outputs))
        """,
        b="""\
        from a import A

        class B(A):
            def validation_step(self, batch, batch_idx):
                return super().validation_step(batch, batch_idx) * 2

            def validation_epoch_end(self, outputs):
                self.log("b", float(len(outputs)))

        class C(A):
            def validation_epoch_end(self, outputs):
                self.log("c", 1.0)
        """,
    )
    assert after.count("self.validation_step_outputs = []") == 1
    assert after.count(".append(outputs)") == 1
    assert after.count(".append(") == 1
    assert after.count(".clear()") == 3


def test_a_chain_leaves_the_list_to_its_base(tmp_path: Path) -> None:
    after = migrated(
        tmp_path,
        a="""\
        class A(pl.LightningModule):
            def validation_step(self, batch, batch_idx):
                return self.loss(batch)

            def validation_epoch_end(self, outputs):
                self.log("a", sum(outputs))

        class B(A):
            def validation_epoch_end(self, outputs):
                self.log("b", max(outputs))
                super().validation_epoch_end(outputs)
        """,
    )
    assert (
        dedent("""\
        class B(A):
            def on_validation_epoch_end(self):
                outputs = list(self.validation_step_outputs)
                self.log("b", max(outputs))
                super().on_validation_epoch_end()
        """)
        in after
    )
    assert after.count(".clear()") == 1


def test_outputs_made_for_a_call_stay_with_a_private_method(tmp_path: Path) -> None:
    after = migrated(
        tmp_path,
        a="""\
        class A(pl.LightningModule):
            def validation_step(self, batch, batch_idx):
                return self.loss(batch)

            def validation_epoch_end(self, outputs):
                self.log("a", sum(outputs))
                return len(outputs)

        class B(A):
            def validation_epoch_end(self, outputs):
                count = super().validation_epoch_end([o[0] for o in outputs])
                self.log("n", float(count))
        """,
    )
    assert after.count("def on_validation_epoch_end(self):") == 1
    assert after.count("def _validation_epoch_end(self, outputs):") == 2
    assert "count = super()._validation_epoch_end([o[0] for o in outputs])" in after


# One stage for another --------------------------------------------------------------------------


def test_aliases_stay_aliases(tmp_path: Path) -> None:
    assert migrated(
        tmp_path,
        a="""\
        class M(pl.LightningModule):
            def __init__(self):
                super().__init__()

            def validation_step(self, batch, batch_idx):
                return self.loss(batch)

            test_step = validation_step

            def validation_epoch_end(self, outputs):
                self.log("loss", sum(outputs))

            test_epoch_end = validation_epoch_end
        """,
    ) == dedent("""\
        class M(pl.LightningModule):
            def __init__(self):
                super().__init__()
                self.validation_step_outputs = []

            def validation_step(self, batch, batch_idx):
                output = self.loss(batch)
                self.validation_step_outputs.append(output)
                return output

            test_step = validation_step

            def on_validation_epoch_end(self):
                self.log("loss", sum(self.validation_step_outputs))
                self.validation_step_outputs.clear()

            on_test_epoch_end = on_validation_epoch_end
        """)


def test_a_stage_that_hands_everything_on_shares_the_list(tmp_path: Path) -> None:
    after = migrated(
        tmp_path,
        a="""\
        class M(pl.LightningModule):
            def validation_step(self, batch, batch_idx):
                return self.loss(batch)

            def validation_epoch_end(self, outputs):
                self.log("loss", sum(outputs))

            def test_step(self, batch, batch_idx):
                return self.validation_step(batch, batch_idx)

            def test_epoch_end(self, outputs):
                return self.validation_epoch_end(outputs)
        """,
    )
    assert after.count(".append(") == 1
    assert (
        "    def on_test_epoch_end(self):\n        return self.on_validation_epoch_end()\n" in after
    )


def test_a_step_called_by_another_does_not_collect_twice(tmp_path: Path) -> None:
    after = migrated(
        tmp_path,
        a="""\
        class M(pl.LightningModule):
            def validation_step(self, batch, batch_idx):
                return self.loss(batch)

            def validation_epoch_end(self, outputs):
                self.log("loss", sum(outputs))

            def test_step(self, batch, batch_idx):
                return self.validation_step(batch, batch_idx)
        """,
    )
    assert (
        "def on_validation_batch_end(self, outputs, batch, batch_idx, dataloader_idx=0):" in after
    )
    assert "        return self.loss(batch)\n" in after


# Hooks that are there already -------------------------------------------------------------------


def test_the_old_hook_runs_before_the_new_one_of_the_same_class(tmp_path: Path) -> None:
    after = migrated(
        tmp_path,
        a="""\
        class M(pl.LightningModule):
            def validation_epoch_end(self, outputs):
                self.total = 1.0

            def on_validation_epoch_end(self):
                self.log("total", self.total)
        """,
    )
    assert "    def _validation_epoch_end(self):\n        self.total = 1.0\n" in after
    assert "        self._validation_epoch_end()\n        self.log(" in after


def test_a_new_hook_of_a_subclass_keeps_calling_the_old_one(tmp_path: Path) -> None:
    after = migrated(
        tmp_path,
        a="class A(pl.LightningModule):\n"
        "    def validation_epoch_end(self, outputs):\n        self.total = 1.0\n",
        b="from a import A\n\nclass B(A):\n"
        "    def on_validation_epoch_end(self):\n        self.log('total', self.total)\n",
    )
    assert "        super().on_validation_epoch_end()\n        self.log('total'" in after


def test_a_batch_end_that_is_there_collects(tmp_path: Path) -> None:
    after = migrated(
        tmp_path,
        a="""\
        class M(pl.LightningModule):
            def validation_step(self, *args):
                return self.shared(*args)

            def shared(self, batch, batch_idx):
                if batch_idx:
                    return self.loss(batch)

            def on_validation_batch_end(self, out, batch, batch_idx, dataloader_idx=0):
                \"\"\"Count.\"\"\"
                self.count += 1

            def validation_epoch_end(self, outputs):
                self.log("loss", torch.stack(outputs).sum())
        """,
    )
    assert (
        '        """Count."""\n'
        "        if out is not None:\n"
        "            self.validation_step_outputs.append(out)\n"
        "        self.count += 1\n"
    ) in after


# Half-migrated ----------------------------------------------------------------------------------


def test_a_parameter_that_nobody_fills_goes(tmp_path: Path) -> None:
    after = migrated(
        tmp_path,
        a="""\
        class M(pl.LightningModule):
            def __init__(self):
                super().__init__()
                self.validation_step_outputs = []

            def validation_step(self, batch, batch_idx):
                loss = self.loss(batch)
                self.validation_step_outputs.append(loss)
                return loss

            def on_validation_epoch_end(self, outputs):
                self.log("loss", sum(outputs))
        """,
    )
    assert after.count("self.validation_step_outputs = []") == 1
    assert after.count(".append(") == 1
    assert '        self.log("loss", sum(self.validation_step_outputs))\n' in after


def test_a_list_in_a_base_that_took_the_hooks_place_is_used(tmp_path: Path) -> None:
    after = migrated(
        tmp_path,
        a="""\
        class A(pl.LightningModule):
            def __init__(self):
                super().__init__()
                self.validation_step_outputs = []

            def on_validation_epoch_end(self):
                self.log("a", sum(self.validation_step_outputs))
                self.validation_step_outputs.clear()

        class B(A):
            def validation_step(self, batch, batch_idx):
                return self.loss(batch)

            def validation_epoch_end(self, outputs):
                self.log("b", sum(outputs))
        """,
    )
    assert after.count("self.validation_step_outputs = []") == 1
    assert "super().on_validation_epoch_end" not in after
    assert after.count(".append(output)") == 1


# Lists that are kept ----------------------------------------------------------------------------

KEPT = """\
class M(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.outputs = []

    def validation_step(self, batch, batch_idx):
        self.outputs.append({value})

    def on_validation_epoch_end(self):
        {read}
{more}
"""


@pytest.mark.parametrize(
    ("value", "read", "more"),
    [
        ("self(batch)", "self.log('x', torch.cat(self.outputs).std())", ""),
        ("self(batch)", "self.report()", "    def report(self):\n        print(self.outputs)"),
        ("self(batch)", "x = self.outputs; self.log('x', torch.cat(x).std())", ""),
        ("float(batch[0])", "self.log('x', sum(self.outputs))", ""),
        (
            "self(batch)",
            "self.log('x', torch.cat(self.outputs).std())",
            "    def on_epoch_end(self):\n        self.outputs.clear()",
        ),
    ],
    ids=[
        "read",
        "read by a helper",
        "read by an alias",
        "numbers summed",
        "cleared in a dead hook",
    ],
)
def test_a_list_that_nobody_empties_is_found(
    tmp_path: Path, value: str, read: str, more: str
) -> None:
    text = KEPT.format(value=value, read=read, more=more)
    assert found(tmp_path, a=text) == ["LM204 7"]


@pytest.mark.parametrize(
    ("value", "read", "more"),
    [
        ("self(batch)", "print(self.outputs); self.outputs.clear()", ""),
        ("self(batch)", "print(self.outputs); self.outputs = []", ""),
        ("self(batch)", "print(self.outputs); del self.outputs[:]", ""),
        ("self(batch)", "print(self.outputs); x = self.outputs; x.clear()", ""),
        ("self(batch)", "use(self.outputs)", ""),
        (
            "self(batch)",
            "print(self.outputs)",
            "    def on_validation_epoch_start(self):\n        self.outputs = []",
        ),
        ("self(batch)", "self._free(self.outputs)", "    def _free(self, x):\n        x.clear()"),
        ("self(batch)", "print(self.outputs)\n        for x in (self.outputs,): x.clear()", ""),
        ("float(batch[0])", "print(self.outputs)", ""),
        ("self(batch)", "pass", ""),
    ],
    ids=[
        "clear",
        "new list",
        "del",
        "alias",
        "unknown function",
        "at the start",
        "helper",
        "loop",
        "history of numbers",
        "never read",
    ],
)
def test_a_list_that_is_emptied_or_meant_to_grow_is_quiet(
    tmp_path: Path, value: str, read: str, more: str
) -> None:
    assert found(tmp_path, a=KEPT.format(value=value, read=read, more=more)) == []


def test_a_list_emptied_by_a_base_or_a_callback_is_quiet(tmp_path: Path) -> None:
    model = """\
    from base import Base

    class M(Base):
        def validation_step(self, batch, batch_idx):
            self.outputs.append(self(batch))

        def on_validation_epoch_end(self):
            self.log("x", torch.cat(self.outputs).std())
    """
    made = "class Base(pl.LightningModule):\n    def __init__(self):\n        self.outputs = []\n"
    emptied = made + "    def on_validation_epoch_start(self):\n        self.outputs.clear()\n"
    assert found(tmp_path / "a", model=model, base=made) == ["LM204 5"]
    assert found(tmp_path / "b", model=model, base=emptied) == []
    callback = (
        "class Free(pl.Callback):\n    def on_validation_end(self, trainer, module):\n"
        "        module.outputs.clear()\n"
    )
    assert found(tmp_path / "c", model=model, base=made, callback=callback) == []


def test_an_early_return_blocks_the_clear_and_names_its_line(tmp_path: Path) -> None:
    text = KEPT.format(
        value="self(batch)",
        read="if self.off:\n            return\n        print(torch.cat(self.outputs))",
        more="",
    )
    assert "returns early at a.py:15" in blocked(tmp_path, a=text)[0].replace("\\", "/").replace(
        str(tmp_path) + "/", ""
    )


# What cannot be decided -------------------------------------------------------------------------


def test_what_blocks_is_named_with_its_line(tmp_path: Path) -> None:
    reasons = blocked(
        tmp_path,
        a="""\
        class M(pl.LightningModule):
            def training_step(self, batch, batch_idx, optimizer_idx):
                return self.loss(batch)

            def training_epoch_end(self, outputs):
                self.log("x", sum(o["loss"] for o in outputs))

            def validation_epoch_end(self, outputs):
                self.log("x", 1.0)

        def by_hand(model: M):
            model.validation_epoch_end([])
        """,
    )
    assert len(reasons) == 2
    assert "`optimizer_idx` at " in reasons[0]
    assert "a.py:6" in reasons[0]
    assert "`model.validation_epoch_end` at " in reasons[1]
    assert "a.py:16" in reasons[1]


def test_a_mixin_without_init_of_its_own_is_blocked(tmp_path: Path) -> None:
    reasons = blocked(
        tmp_path,
        a="""\
        class Mixin:
            def validation_epoch_end(self, outputs):
                self.log("x", sum(outputs))

        class M(Mixin, pl.LightningModule):
            def validation_step(self, batch, batch_idx):
                return self.loss(batch)
        """,
    )
    assert "is a mixin" in reasons[0]


# Hooks behind the step --------------------------------------------------------------------------


def test_a_step_end_is_called_by_the_step(tmp_path: Path) -> None:
    assert migrated(
        tmp_path,
        a="""\
        class M(pl.LightningModule):
            def validation_step(self, batch, batch_idx):
                x, y = batch
                return self(x), y

            def validation_step_end(self, outputs):
                self.metric(*outputs)
                return outputs
        """,
    ) == dedent("""\
        class M(pl.LightningModule):
            def validation_step(self, batch, batch_idx):
                x, y = batch
                return self._validation_step_end((self(x), y))

            def _validation_step_end(self, outputs):
                self.metric(*outputs)
                return outputs
        """)


def test_a_step_end_without_result_leaves_the_output(tmp_path: Path) -> None:
    after = migrated(
        tmp_path,
        a="""\
        class M(pl.LightningModule):
            def test_step(self, batch, batch_idx):
                return self(batch)

            def test_step_end(self, output):
                self.metric(output)
        """,
    )
    assert (
        "        output = self(batch)\n        self._test_step_end(output)\n        return output\n"
    ) in after


def test_a_step_end_that_only_hands_on_goes(tmp_path: Path) -> None:
    after = migrated(
        tmp_path,
        a="""\
        class M(pl.LightningModule):
            def training_step(self, batch, batch_idx):
                return self.loss(batch)

            def training_step_end(self, outputs):
                return outputs
        """,
    )
    assert "step_end" not in after


def test_a_step_end_of_a_base_runs_at_the_end_of_the_batch(tmp_path: Path) -> None:
    after = migrated(
        tmp_path,
        a="""\
        class A(pl.LightningModule):
            def validation_step_end(self, outputs):
                self.metric.update(outputs)
                return outputs

            def validation_epoch_end(self, outputs):
                self.log("x", sum(outputs))
        """,
        b="""\
        from a import A

        class B(A):
            def validation_step(self, batch, batch_idx):
                return self(batch)
        """,
    )
    assert (
        "        outputs = self._validation_step_end(outputs)\n"
        "        if outputs is not None:\n"
        "            self.validation_step_outputs.append(outputs)\n"
    ) in after


def test_a_training_step_end_over_steps_elsewhere_is_blocked(tmp_path: Path) -> None:
    reasons = blocked(
        tmp_path,
        a="""\
        class A(pl.LightningModule):
            def training_step_end(self, outputs):
                return outputs.mean()

        class B(A):
            def training_step(self, batch, batch_idx):
                return self.loss(batch)
        """,
    )
    assert "training_step of B" in reasons[0]


# Types and relations ----------------------------------------------------------------------------


def test_the_output_type_goes_with_its_import(tmp_path: Path) -> None:
    after = migrated(
        tmp_path,
        a="""\
        from pytorch_lightning.utilities.types import EPOCH_OUTPUT, STEP_OUTPUT

        class M(pl.LightningModule):
            def validation_epoch_end(self, outputs: EPOCH_OUTPUT) -> None:
                self.log("x", 1.0)

        def count(outputs: "EPOCH_OUTPUT") -> int:
            return len(outputs)
        """,
    )
    assert "EPOCH_OUTPUT" not in after
    assert "import STEP_OUTPUT\n" in after
    assert 'outputs: "list"' in after


def test_relations_are_told(tmp_path: Path) -> None:
    text = HEAD + KEPT.format(
        value="self(batch)", read="self.log('x', torch.cat(self.outputs).std())", more=""
    )
    projects.written(tmp_path, {"a.py": text})
    (diagnostic,) = projects.check(tmp_path, "LM204").diagnostics
    assert diagnostic.fix is not None
    assert diagnostic.fix.relation is Relation.CORRECTS


# Numbers that nobody sees -----------------------------------------------------------------------

LOGGED = """\
class M(pl.LightningModule):
    def {hook}(self):
        self.log("score", 1.0)
{more}

class C(pl.Callback):
    def on_{loop}_epoch_end(self, trainer, pl_module):
        metrics = trainer.callback_metrics
        print(metrics[{key}])
"""


def test_a_callback_that_reads_too_early_is_moved_behind_the_module(tmp_path: Path) -> None:
    text = LOGGED.format(hook="on_validation_epoch_end", loop="validation", key="'score'", more="")
    assert found(tmp_path, a=text) == ["LM207 9"]
    after = migrated(tmp_path, a=text)
    assert "    def on_validation_end(self, trainer, pl_module):\n" in after
    assert "    def on_validation_epoch_end(self):\n" in after


@pytest.mark.parametrize(
    ("hook", "loop", "key", "more"),
    [
        ("validation_step", "validation", "'score'", ""),
        ("on_validation_epoch_end", "test", "'score'", ""),
        ("on_validation_epoch_end", "validation", "'other'", ""),
        (
            "on_validation_epoch_end",
            "validation",
            "'score'",
            "    def training_step(self, batch):\n        self.log('score', 0.0)\n",
        ),
    ],
    ids=["logged in a step", "another loop", "another key", "logged in a step as well"],
)
def test_a_callback_that_may_read_in_time_is_quiet(
    tmp_path: Path, hook: str, loop: str, key: str, more: str
) -> None:
    assert found(tmp_path, a=LOGGED.format(hook=hook, loop=loop, key=key, more=more)) == []


def test_no_later_hook_in_training_is_told(tmp_path: Path) -> None:
    text = LOGGED.format(hook="on_train_epoch_end", loop="train", key="'score'", more="")
    assert "no hook of a callback runs behind" in blocked(tmp_path, a=text)[0]


def test_a_returned_log_is_logged_once_for_all_its_names(tmp_path: Path) -> None:
    after = migrated(
        tmp_path,
        a="""\
        class M(pl.LightningModule):
            def training_step(self, batch, batch_idx):
                loss = self.loss(batch)
                logs = {"train_loss": loss}
                bar = logs
                return {"loss": loss, "log": logs, "progress_bar": bar}

            def on_validation_epoch_end(self):
                logs = {"val_loss": self.total}
                return {
                    "val_loss": self.total,
                    "log": logs,
                }
        """,
    )
    assert '        self.log_dict(logs, prog_bar=True)\n        return {"loss": loss}\n' in after
    assert (
        "        self.log_dict(logs)\n"
        "        return {\n"
        '            "val_loss": self.total,\n'
        "        }\n"
    ) in after


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("return {'loss': x, 'log': make(x)}", "give it a name"),
        (
            "logs = {'a': x}\n        self.log('a', x)\n        return {'loss': x, 'log': logs}",
            '"a" is logged at line',
        ),
        (
            "logs = make()\n        return {'loss': x, 'log': logs, 'progress_bar': {'a': x}}",
            "may share a key",
        ),
        (
            "out = {'loss': x, 'log': {'a': x}}\n        self.keep(out)\n        return out",
            "built apart from the return",
        ),
    ],
    ids=["call", "logged already", "two dicts", "built apart"],
)
def test_a_returned_log_that_is_not_plain_is_blocked(
    tmp_path: Path, body: str, reason: str
) -> None:
    text = (
        "class M(pl.LightningModule):\n    def training_step(self, batch, batch_idx):\n"
        f"        x = self(batch)\n        {body}\n"
    )
    (told,) = blocked(tmp_path, a=text)
    assert reason in told


def test_a_returned_log_that_another_hook_reads_is_blocked(tmp_path: Path) -> None:
    (told,) = blocked(
        tmp_path,
        a="""\
        class M(pl.LightningModule):
            def training_step(self, batch, batch_idx):
                x = self(batch)
                logs = {"a": x}
                return {"loss": x, "log": logs}

            def on_train_batch_end(self, outputs, batch, batch_idx):
                print(outputs["log"])
        """,
    )
    assert "reads the key" in told


def test_a_loss_without_graph_may_be_kept(tmp_path: Path) -> None:
    text = """\
    class M(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.kept = []

        def training_step(self, batch, batch_idx):
            loss = torch.tensor([self.solver.step(batch)])
            out = {"loss": loss}
            self.kept.append(out)
            return out
    """
    assert found(tmp_path, a=text) == []


# Families of hooks ------------------------------------------------------------------------------


def test_a_base_that_reads_nothing_leaves_the_list_to_its_subclass(tmp_path: Path) -> None:
    after = migrated(
        tmp_path,
        a="""\
        class A(pl.LightningModule):
            def validation_step(self, batch, batch_idx):
                return self.loss(batch)

            def validation_epoch_end(self, outputs):
                self.log("a", 1.0)

        class B(A):
            def validation_epoch_end(self, outputs):
                super().validation_epoch_end(outputs)
                self.log("b", sum(outputs))
        """,
    )
    assert after.count("self.validation_step_outputs = []") == 1
    assert after.index("class B") < after.index("self.validation_step_outputs = []")
    assert after.count(".clear()") == 1
    assert "        super().on_validation_epoch_end()\n        self.log(" in after


def test_hooks_that_override_each_other_all_run_what_ran_besides_them(tmp_path: Path) -> None:
    after = migrated(
        tmp_path,
        a="""\
        class A(pl.LightningModule):
            def test_epoch_end(self, outputs):
                self.log("a", 1.0)

            def on_test_epoch_end(self):
                self.log("on_a", 1.0)

        class B(A):
            def on_test_epoch_end(self):
                self.log("on_b", 1.0)
        """,
    )
    assert after.count("        self._test_epoch_end()\n        self.log(") == 2


def test_a_hook_of_a_base_that_may_have_taken_the_place_is_left_to_a_person(
    tmp_path: Path,
) -> None:
    (told,) = blocked(
        tmp_path,
        a="""\
        class A(pl.LightningModule):
            def on_validation_epoch_end(self):
                self.log("a", 1.0)

        class B(A):
            def validation_epoch_end(self, outputs):
                self.log("b", 1.0)
        """,
    )
    assert "A.on_validation_epoch_end at " in told


def test_a_call_does_not_reach_a_hook_that_only_ran_besides(tmp_path: Path) -> None:
    after = migrated(
        tmp_path,
        a="""\
        class A(pl.LightningModule):
            def validation_epoch_end(self, outputs):
                self.log("a", 1.0)

            def test_epoch_end(self, outputs):
                self.validation_epoch_end(outputs)

        class B(A):
            def on_validation_epoch_end(self):
                self.log("b", 1.0)
        """,
    )
    assert "    def on_test_epoch_end(self):\n        self._validation_epoch_end()\n" in after
    assert '        super().on_validation_epoch_end()\n        self.log("b"' in after.replace(
        "'", '"'
    )


def test_an_alias_that_cannot_share_its_list_is_left_to_a_person(tmp_path: Path) -> None:
    reasons = blocked(
        tmp_path,
        a="""\
        class A(pl.LightningModule):
            def validation_step(self, batch, batch_idx):
                return self.loss(batch)

            def validation_epoch_end(self, outputs):
                self.log("a", sum(outputs))

        class B(A):
            def validation_epoch_end(self, outputs):
                self.log("b", sum(outputs))
                super().validation_epoch_end(outputs)

            test_epoch_end = validation_epoch_end
        """,
    )
    assert "the alias B.test_epoch_end" in reasons[0]
