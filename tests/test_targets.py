"""Which releases the code is judged for: what is said, what the project pins, and what follows."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import projects
import pytest

from lintmetrics import runner
from lintmetrics.config import CommandLine, ConfigError, Configuration
from lintmetrics.diagnostics import Report
from lintmetrics.pins import newest_allowed
from lintmetrics.releases import reaches
from lintmetrics.sources import discover


@pytest.fixture(autouse=True)
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project in the working directory."""
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def target(**files: str) -> tuple[str, str]:
    """Return the targets of a file in the working directory, beside the files that are given."""
    for name, text in files.items():
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
    found = Configuration().settings_for("model.py")
    return found.target_lightning, found.target_torchmetrics


# What is pinned ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bounds", "newest"),
    [
        ("==2.1.3", "2.1.3"),
        ("==2.1.*", "2.1"),
        ("===2.1", "2.1"),
        ("~=2.1", "2"),
        ("~=2.1.0", "2.1"),
        ("^2.1", "2"),
        ("^0.11.4", "0.11"),
        ("~2.1.3", "2.1"),
        ("2.1.0", "2.1.0"),
        ("=2.1", "2.1"),
        ("<2.2", "2.1"),
        ("<2.2.0rc1", "2.1"),
        ("<2.0.1", "2.0.0"),
        ("<2", "1"),
        ("<=2.3", "2.3"),
        (">=2.0,<2.4,!=2.2", "2.3"),
        ("(>=1.8,<2.0)", "1"),
        (">=2.0", ""),
        (">2", ""),
        ("!=2.1", ""),
        ("*", ""),
        ("", ""),
        ("==1.9 || ==2.1", ""),
        (" @ git+https://example.org/lightning@2.0.1", ""),
    ],
)
def test_bounds_say_the_newest_release_that_they_let_in(bounds: str, newest: str) -> None:
    assert newest_allowed(bounds) == newest


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "requirements.txt",
            "torch\nlightning[extra]==2.1.3  # as on the cluster\ntorchmetrics==1.2",
        ),
        (
            "requirements-dev.txt",
            "pytorch-lightning == 2.1.3 ; python_version > '3.8'\ntorchmetrics==1.2",
        ),
        ("requirements/base.txt", "pytorch_lightning==2.1.3\ntorchmetrics==1.2\n"),
        ("constraints.txt", "Lightning==2.1.3\nTorchMetrics==1.2\n"),
        (
            "pyproject.toml",
            '[project]\ndependencies = ["lightning==2.1.3", "torchmetrics[image]==1.2"]',
        ),
        (
            "pyproject.toml",
            '[project.optional-dependencies]\ntrain = ["lightning==2.1.3"]\n'
            '[dependency-groups]\ndev = ["torchmetrics==1.2", {include-group = "test"}]',
        ),
        (
            "pyproject.toml",
            '[tool.poetry.dependencies]\nlightning = {version = "2.1.3", extras = ["extra"]}\n'
            '[tool.poetry.group.dev.dependencies]\ntorchmetrics = "1.2"',
        ),
        ("Pipfile", '[packages]\nlightning = "==2.1.3"\ntorchmetrics = "==1.2"'),
        (
            "setup.cfg",
            "[options]\ninstall_requires =\n    lightning==2.1.3\n    torchmetrics==1.2\n",
        ),
        (
            "setup.py",
            "from setuptools import setup\nNEEDS = ['lightning==2.1.3']\n"
            "setup(install_requires=NEEDS + ['torchmetrics==1.2'])",
        ),
        (
            "environment.yml",
            "dependencies:\n  - python=3.10\n  - conda-forge::lightning=2.1.3\n  - pip:\n"
            "    - torchmetrics==1.2\n",
        ),
        (
            "environment.yaml",
            "dependencies:\n  - lightning=2.1.3=pyhd8ed1ab_0\n  - torchmetrics 1.2\n",
        ),
        (
            "uv.lock",
            'version = 1\n\n[[package]]\nname = "lightning"\nversion = "2.1.3"\n\n'
            '[[package]]\nname = "torchmetrics"\nversion = "1.2"\n',
        ),
    ],
)
def test_metadata_of_every_kind_is_read(name: str, text: str) -> None:
    assert target(**{name: text}) == ("2.1.3", "1.2")


@pytest.mark.parametrize(
    "text",
    [
        "pytorch-lightning==1.9.5\ntorchmetrics==1.2",
        "pytorch-lightning>=1.5,<2.0\ntorchmetrics==0.11.4",
        "lightning~=1.8",
        "torchmetrics<1.0",
    ],
)
def test_a_project_that_has_not_moved_is_judged_for_the_newest(text: str) -> None:
    assert target(**{"requirements.txt": text}) == ("", "")


@pytest.mark.parametrize(
    "text",
    [
        "lightning\ntorchmetrics",
        "lightning>=2.0",
        "lightning~=2.1",
        "lightning>=2.0,<3",
        "pytorch-lightning-bolts==0.5\nlightning-utilities==0.10",
        "-r lightning==2.0",
        "lightning @ file:///lightning-2.0.whl",
    ],
)
def test_what_lets_the_newest_in_pins_nothing(text: str) -> None:
    assert target(**{"requirements.txt": text}) == ("", "")


def test_a_lock_file_beats_what_it_was_made_from() -> None:
    lock = '[[package]]\nname = "lightning"\nversion = "2.2.1"\nsource = "x"\n'
    project = '[project]\ndependencies = ["lightning<2.5", "torchmetrics<1.3"]\n'
    assert target(**{"poetry.lock": lock, "pyproject.toml": project}) == ("2.2.1", "1.2")


def test_of_several_bounds_the_highest_counts() -> None:
    files = {"requirements.txt": "lightning==2.0.1", "environment.yml": "- lightning=2.3"}
    assert target(**files) == ("2.3", "")
    assert target(**{"setup.py": "needs = ['lightning>=1.6']"}) == ("2.3", "")


def test_the_nearest_metadata_counts_and_none_above_the_repository(tree: Path) -> None:
    (tree / "requirements.txt").write_text("lightning==2.1\ntorchmetrics==1.1")
    (tree / "examples").mkdir()
    (tree / "examples" / "requirements.txt").write_text("lightning==2.4")
    (tree / "other" / ".git").mkdir(parents=True)
    configuration = Configuration()
    assert configuration.settings_for("a/b.py").targets == {
        "lightning": "2.1",
        "torchmetrics": "1.1",
    }
    assert configuration.settings_for("examples/b.py").targets == {
        "lightning": "2.4",
        "torchmetrics": "1.1",
    }
    assert not any(configuration.settings_for("other/b.py").targets.values())


def test_what_is_said_beats_what_is_pinned() -> None:
    files = {"requirements.txt": "lightning==2.1\ntorchmetrics==1.1"}
    assert target(**files) == ("2.1", "1.1")
    said = Configuration(CommandLine(target=("lightning=2.3",))).settings_for("a.py")
    assert (said.target_lightning, said.target_torchmetrics) == ("2.3", "1.1")
    assert said.pinned_at == {"torchmetrics": "requirements.txt:2"}
    newest = Configuration(CommandLine(target=("lightning=newest",))).settings_for("a.py")
    assert newest.target_lightning == ""
    assert target(**{"lintmetrics.toml": 'target = { lightning = "1.9" }'}) == ("1.9", "1.1")
    line = CommandLine(isolated=True, target=("torchmetrics=1.2",))
    assert Configuration(line).settings_for("a.py").targets == {
        "lightning": "",
        "torchmetrics": "1.2",
    }


@pytest.mark.parametrize(
    "text", ["lightning==", "lightning == two", "lightning==2.0; '", "\x00lightning==2"]
)
def test_metadata_that_cannot_be_read_pins_nothing(text: str) -> None:
    names = ("requirements.txt", "pyproject.toml", "setup.py", "setup.cfg", "environment.yml")
    files = dict.fromkeys((*names, "uv.lock"), text)
    assert target(**files) in (("", ""), ("2.0", ""))


@pytest.mark.parametrize(
    ("item", "told"),
    [
        ("lightening=2.0", "did you mean lightning?"),
        ("lightning", "say a version"),
        ("lightning=two", "say a version"),
        ("torch=2.0", "did you mean torchmetrics?"),
    ],
)
def test_a_target_that_says_nothing_is_named(item: str, told: str) -> None:
    with pytest.raises(ConfigError, match="--target") as caught:
        Configuration(CommandLine(target=(item,)))
    assert told in str(caught.value)


def test_a_target_is_its_last_patch() -> None:
    assert reaches("2.5", "2.5.1")
    assert not reaches("2.5.0", "2.5.1")
    assert reaches("2", "2.6.6")
    assert not reaches("1.9.5", "2.0")
    assert reaches("", "2.6")


# What follows -----------------------------------------------------------------------------------


def judged(text: str, *targets: str, fixed: bool = False) -> Report:
    """Check or fix one file for targets."""
    Path("model.py").write_text(dedent(text))
    configuration = Configuration(CommandLine(target=targets))
    files, _ = discover(["model.py"], configuration.settings_for)
    if fixed:
        return runner.fix(files, configuration.settings_for, 1, None, projects.ALL, write=True)
    return runner.check(files, configuration.settings_for, 1)


def found(text: str, *targets: str) -> list[str]:
    """Return the codes of what is found for targets."""
    return projects.codes(judged(text, *targets))


HOOKS = """
    import pytorch_lightning as pl
    from pytorch_lightning.utilities.types import EPOCH_OUTPUT


    class Model(pl.LightningModule):
        def validation_step(self, batch, batch_idx):
            return self(batch)

        def validation_step_end(self, scores):
            return scores

        def validation_epoch_end(self, outputs: EPOCH_OUTPUT):
            print(len(outputs))
"""


@pytest.mark.parametrize(
    ("lightning", "codes"),
    [("1.9", []), ("2.0", ["LM206", "LM202", "LM201"]), ("newest", ["LM206", "LM202", "LM201"])],
)
def test_hooks_are_judged_for_the_release_that_dropped_them(
    lightning: str, codes: list[str]
) -> None:
    assert [c for c in found(HOOKS, f"lightning={lightning}") if c < "LM210"] == codes


def test_returned_dicts_were_logged_up_to_1_2() -> None:
    text = """
        import pytorch_lightning as pl


        class Model(pl.LightningModule):
            def training_step(self, batch, batch_idx):
                loss = self(batch)
                return {"loss": loss, "log": {"train_loss": loss}}
    """
    assert "LM208" not in found(text, "lightning=1.2")
    assert "LM208" in found(text, "lightning=1.3")


METRICS = """
    from torchmetrics import F1, Accuracy, MeanSquaredError

    f1 = F1()
    accuracy = Accuracy()
    mse = MeanSquaredError(compute_on_step=False)
"""


@pytest.mark.parametrize(
    ("torchmetrics", "codes"),
    [
        ("0.6", []),
        ("0.9", ["LM301"]),
        ("0.11", ["LM301", "LM302", "LM302"]),
        ("1.2", ["LM301", "LM302", "LM302", "LM303"]),
        ("newest", ["LM301", "LM302", "LM302", "LM303"]),
    ],
)
def test_metrics_are_judged_for_the_release_that_changed_them(
    torchmetrics: str, codes: list[str]
) -> None:
    assert found(METRICS, f"torchmetrics={torchmetrics}") == codes


def test_messages_name_the_release_that_is_judged_for() -> None:
    report = judged(METRICS, "torchmetrics=1.2", "lightning=2.1")
    assert {"TorchMetrics 1.2" in d.message for d in report.diagnostics} == {True}
    report = judged("import pytorch_lightning as pl\npl.Trainer(gpus=1)", "lightning=2.1")
    assert report.diagnostics[0].message.endswith("on Lightning 2.1")


def test_old_metrics_of_lightning_are_judged_for_lightning() -> None:
    text = "from pytorch_lightning.metrics import MeanSquaredError\n\nmse = MeanSquaredError()\n"
    assert found(text, "lightning=1.2") == []
    assert found(text, "lightning=1.5") == ["LM301"]


def test_a_shim_is_no_shim_before_1_0() -> None:
    text = "from torchmetrics import PeakSignalNoiseRatio\n\npsnr = PeakSignalNoiseRatio(1.0)\n"
    assert "LM301" in found(text, "torchmetrics=1.3")
    assert found(text, "torchmetrics=0.11") == []


WRONG = """
    import pytorch_lightning as pl
    import torchmetrics.functional as F


    class Model(pl.LightningModule):
        def validation_step(self, batch, batch_idx):
            x, y = batch
            scores = self(x)
            self.log("auroc", F.auroc(scores, y, task="binary"))
"""


@pytest.mark.parametrize("lightning", ["1.6", "2.0", "newest"])
def test_wrong_numbers_are_wrong_on_every_release(lightning: str) -> None:
    assert found(WRONG, f"lightning={lightning}") == ["LM101"]


def test_a_fix_writes_only_what_the_target_has() -> None:
    report = judged(WRONG, "torchmetrics=0.9", fixed=True)
    assert projects.codes(report) == ["LM101"]
    assert report.diagnostics[0].blocked == "AUROC has no task in TorchMetrics 0.9, the target"
    newer = WRONG.replace('F.auroc(scores, y, task="binary")', "F.mutual_info_score(scores, y)")
    newer = newer.replace("torchmetrics.functional as", "torchmetrics.functional.clustering as")
    blocked = judged(newer, "torchmetrics=1.1", fixed=True).diagnostics[0].blocked
    assert blocked == "MutualInfoScore came with TorchMetrics 1.2, and the target is 1.1"
    assert judged(WRONG, "torchmetrics=1.1", fixed=True).diagnostics == []


def test_a_name_of_lightning_is_written_where_the_target_has_it() -> None:
    text = """
        from pytorch_lightning.plugins import NativeMixedPrecisionPlugin

        NativeMixedPrecisionPlugin(16, "cuda")
    """
    (found,) = judged(text, "lightning=2.0").diagnostics
    assert found.blocked.endswith("MixedPrecision came with Lightning 2.1, and the target is 2.0")
    (found,) = judged(text, "lightning=2.1").diagnostics
    assert found.fix is not None


def test_a_pin_of_the_project_is_heard_and_told(capsys: pytest.CaptureFixture[str]) -> None:
    from lintmetrics.cli import main

    Path("requirements.txt").write_text("torch\nlightning==2.0.9\n")
    Path("model.py").write_text("import lightning.pytorch as pl\n\npl.Trainer(gpus=1)\n")
    assert main(["check", "--output-format", "concise"]) == 1
    said = capsys.readouterr()
    assert "raises TypeError on Lightning 2.0.9" in said.out
    assert "Judged for Lightning 2.0.9, pinned at requirements.txt:2" in said.err


def test_two_targets_follow_one_option(capsys: pytest.CaptureFixture[str]) -> None:
    from lintmetrics.cli import main

    Path("model.py").write_text("import pytorch_lightning as pl\n\npl.Trainer(gpus=1)\n")
    for line in (
        ["check", "--target", "lightning=1.5", "torchmetrics=0.9"],
        ["check", "model.py", "--target", "lightning=1.5,torchmetrics=0.9"],
        ["check", "--target", "lightning=1.5", "--target", "torchmetrics=0.9", "."],
    ):
        assert (main([*line, "--select", "LM5"]), capsys.readouterr().out) == (0, "")
    assert main(["check", "--target", "lightning=2.0", "torchmetric=0.9"]) == 2
