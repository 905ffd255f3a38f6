"""What a run imports: nothing heavy, and no more than it needs."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import pytest

from lintmetrics.cli import main

HEAVY = {"torch", "lightning", "pytorch_lightning", "torchmetrics", "numpy", "libcst"}
PROBE = """
import sys
from lintmetrics.cli import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
print("\\n".join(sys.modules), file=sys.stderr)
"""


def _imported(*arguments: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *arguments], capture_output=True, text=True, check=True
    )
    return {name.split(".")[0] for name in done.stderr.splitlines()} | set(done.stderr.splitlines())


def test_the_version_needs_no_engine() -> None:
    loaded = _imported("--version")
    assert not loaded & {"lintmetrics.runner", "lintmetrics.analysis", "lintmetrics_rules"}
    assert not loaded & HEAVY


@pytest.mark.parametrize("verb", ["check", "fix"])
def test_no_run_imports_what_it_speaks_of(verb: str, tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(
        "import pytorch_lightning as pl\n\n\nclass Model(pl.LightningModule):\n"
        "    def validation_epoch_end(self, outputs):\n        pass\n"
    )
    assert not _imported(verb, str(tmp_path)) & HEAVY


def test_a_tree_without_lightning_is_not_even_parsed(tmp_path: Path) -> None:
    (tmp_path / "plain.py").write_text("import math\n\nprint(math.log(2))\n")
    assert not _imported("check", str(tmp_path)) & {"lintmetrics.analysis", "libcst"}


@pytest.mark.parametrize("enabled", [True, False])
def test_a_run_leaves_the_collector_as_it_was(enabled: bool, tmp_path: Path) -> None:
    (tmp_path / "plain.py").write_text("import math\n")
    was = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        main(["check", "--isolated", str(tmp_path)])
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if was else gc.disable)()
