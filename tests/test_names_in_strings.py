"""Names of Lightning in strings that somebody imports: Hydra's targets, patches, configurations."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import projects
import pytest

GONE = "pytorch_lightning.loggers.TestTubeLogger"
MOVED = "pytorch_lightning.callbacks.progress.ProgressBarBase"
STRATEGY = "pytorch_lightning.plugins.DeepSpeedPlugin"


def _found(folder: Path, text: str) -> list[str]:
    projects.written(folder, {"config.py": "from x import *\n" + dedent(text)})
    report = projects.check(folder, "LM505")
    assert not report.failures
    return [one.message.partition(" ")[0] for one in report.diagnostics]


@pytest.mark.parametrize(
    "text",
    [
        'loggers = {"testtube": {"target": "NAME", "params": {}}}\n',
        'build(_target_="NAME", save_dir=".")\n',
        'CLASS_PATH = "NAME"\nclass_path = CLASS_PATH\n'.replace("CLASS_PATH", "class_path", 1),
        'with mock.patch("NAME") as logger:\n    run(logger)\n',
        'made = import_string("NAME")\n',
    ],
)
def test_a_class_to_import_is_found(text: str, tmp_path: Path) -> None:
    assert _found(tmp_path, text.replace("NAME", GONE)) == [GONE]
    assert _found(tmp_path, text.replace("NAME", "pytorch_lightning.loggers.CSVLogger")) == []


@pytest.mark.parametrize(
    "text",
    [
        '"""NAME"""\n',
        'def f():\n    "NAME"\n',
        'print("NAME")\n',
        'if name == "NAME":\n    pass\n',
        'log = logging.getLogger("NAME")\n',
        'old = {"NAME": "pytorch_lightning.loggers.CSVLogger"}\n',
        'if target.startswith("NAME"):\n    pass\n',
        'warnings.filterwarnings("ignore", module="NAME")\n',
        'title = "NAME"\n',
        'x = {"target": "NAME and more"}\n',
        'x = {"target": "pytorch_lightning.loggers.test_tube"}\n',
        'x = {"target": "torch.loggers.TestTubeLogger"}\n',
        'if version.parse(pl.__version__) < version.parse("1.5"):\n    x = {"target": "NAME"}\n',
    ],
)
def test_other_strings_are_quiet(text: str, tmp_path: Path) -> None:
    head = "import pytorch_lightning as pl\nfrom packaging import version\n"
    assert _found(tmp_path, head + text.replace("NAME", GONE)) == []


def test_the_new_name_is_written_between_the_quotes(tmp_path: Path) -> None:
    text = (
        'a = {"target": \'OLD\', "more": 1}  # as OLD\nb = {"target": "pytorch_" "lightning.x"}\n'
    )
    projects.written(tmp_path, {"config.py": text.replace("OLD", STRATEGY)})
    projects.fix(tmp_path, "LM505")
    new = "pytorch_lightning.strategies.DeepSpeedStrategy"
    assert (tmp_path / "config.py").read_text(encoding="utf-8") == text.replace(
        "OLD", new, 1
    ).replace("OLD", STRATEGY)


@pytest.mark.parametrize(
    ("handler", "found"),
    [
        # What raises in the end does without nothing.
        ("if debug:\n            post_mortem()\n        raise", [GONE]),
        ("if debug:\n            return 1\n        raise", []),
        ("print(1)", []),
    ],
)
def test_what_ends_in_the_same_error_is_no_fallback(
    handler: str, found: list[str], tmp_path: Path
) -> None:
    text = f"""
def main(debug):
    try:
        import signal

        run(signal, {{"target": "{GONE}"}})
    except Exception:
        {handler}
"""
    assert _found(tmp_path, text) == found
