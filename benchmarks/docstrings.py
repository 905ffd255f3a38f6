"""Run the docstring examples of old metric libraries there and, migrated, on today's TorchMetrics.

    python benchmarks/docstrings.py --python PATH     # an environment with torch and torchmetrics
    python benchmarks/docstrings.py --show            # and what does not come out right

Their authors wrote them with the answers, so they are programs with known results. Each example is
collected and run in the old library (downloaded without dependencies, put in front of the path of
the given environment), then migrated by ``lintmetrics fix --apply`` and run on the new one, and the
numbers printed are compared. A second migration adds ``--unsafe-fixes``.

Two counts must be 0: examples that run and print another number though no finding said so, and
examples that fail though nothing was reported.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

LIBRARIES = (
    ("pytorch-lightning", "1.0.8", "pytorch_lightning.metrics"),
    ("torchmetrics", "0.2.0", "torchmetrics"),
    ("torchmetrics", "0.7.3", "torchmetrics"),
    ("torchmetrics", "0.9.3", "torchmetrics"),
)

# What cannot be decided from the code, or has no call in 1.9 that gives the old number; everything
# else counts. Checked by hand; the reason is printed.
NO_RIGHT_ANSWER = (
    (r"MulticlassMode", "an enumeration that is gone and has no successor"),
    (
        r"[hH]inge(?:Loss)?$|hinge\.hinge$",
        "1.9 applies a sigmoid or softmax to decision values; no object gives the old loss, and a "
        "tensor that is not named cannot be written out twice",
    ),
    (
        r"[pP]recision_?[rR]ecall_?[cC]urve",
        "1.9 keeps points that were cut; no call gives the old curve",
    ),
    (r"\.(roc|ROC)$|\.roc\.", "the first threshold was the largest score plus 1 and is 1.0 now"),
    (r"[eE]rgas|ErrorRelative", "1.4.0 corrected the formula; the old number was wrong"),
    (r"MultioutputWrapper", "the number of classes is not stated where the wrapper cuts"),
    (r"1\.0\.8.*\.average_precision$", "targets of three values, which no task takes"),
    (
        r"0\.2\.0.*[aA]verage_?[pP]recision$",
        "the release decides: a list up to 0.5, a mean later",
    ),
    (r"RecallAtFixedPrecision", "a threshold that nothing reaches is nan, and was 1e6"),
)

_SITECUSTOMIZE = """
import sys, types
import numpy
numpy.Inf = numpy.inf
import tqdm.auto
board = types.ModuleType("torch.utils.tensorboard")
board.SummaryWriter = type("SummaryWriter", (), {})
board.summary = types.ModuleType("torch.utils.tensorboard.summary")
board.summary.hparams = None
sys.modules["torch.utils.tensorboard"] = board
sys.modules["torch.utils.tensorboard.summary"] = board.summary
"""

_COLLECT = r"""
import contextlib, doctest, importlib, inspect, io, json, pkgutil, sys, warnings
warnings.filterwarnings("ignore")
import torch
package, out = sys.argv[1:]
root = importlib.import_module(package)
modules = [package]
for info in pkgutil.walk_packages(root.__path__, package + "."):
    if "__main__" not in info.name:
        modules.append(info.name)
seen, found = set(), []

def script(obj, name):
    examples = doctest.DocTestParser().get_examples(inspect.getdoc(obj) or "")
    lines = ["import torch", "from torch import tensor"]
    if "import " + name not in (obj.__doc__ or ""):
        home = obj.__module__
        for place in (package + ".functional", package):
            try:
                if getattr(importlib.import_module(place), name, None) is obj:
                    home = place
            except ImportError:
                pass
        lines.append(f"from {home} import {name}")
    shown = 0
    for example in examples:
        text = example.source.rstrip("\n")
        if example.want.strip():
            try:
                compile(text, name, "eval")
            except SyntaxError:
                pass
            else:
                text = text if text.startswith("print(") else f"print({shown}, '|', repr({text}))"
                shown += 1
        lines.append(text)
    return "\n".join(lines) + "\n" if shown else None

for module_name in modules:
    try:
        module = importlib.import_module(module_name)
    except BaseException:
        continue
    for name, obj in sorted(vars(module).items()):
        wanted = inspect.isclass(obj) or inspect.isfunction(obj)
        if name.startswith("_") or not wanted or not str(obj.__module__).startswith(package):
            continue
        full = f"{obj.__module__}.{obj.__qualname__}"
        if full in seen:
            continue
        seen.add(full)
        text = script(obj, name)
        if text is None:
            continue
        printed = io.StringIO()
        torch.manual_seed(42)
        try:
            with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
                exec(compile(text, full, "exec"), {"__name__": "example"})
        except BaseException as error:
            found.append({"name": full, "error": f"{type(error).__name__}: {error}"[:200]})
        else:
            found.append({"name": full, "text": text, "printed": printed.getvalue()})
with open(out, "w") as file:
    json.dump(found, file)
"""

_RUN = r"""
import contextlib, io, json, sys, warnings
warnings.filterwarnings("ignore")
import torch
results = {}
for path in sys.stdin.read().split("\n"):
    printed = io.StringIO()
    torch.manual_seed(42)
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
            exec(compile(open(path).read(), path, "exec"), {"__name__": "example"})
    except BaseException as error:
        results[path] = ["fails", f"{type(error).__name__}: {error}"[:160]]
    else:
        results[path] = ["runs", printed.getvalue()]
print("\x1e" + json.dumps(results))
"""


@dataclass
class Example:
    """One docstring as a script, with what it printed in its own library.

    Outcomes are ``same``, ``differs`` or ``fails`` on the new library: as it was, after the safe
    fixes, and after all fixes.
    """

    label: str
    name: str
    text: str
    printed: str
    outcomes: list[str] = field(default_factory=list)
    reported: bool = False
    said_so: bool = False
    edited: bool = False
    detail: str = ""

    @property
    def no_answer(self) -> str:
        """Why no migration can be right, empty where one can."""
        full = f"{self.label} {self.name}"
        return next((why for pattern, why in NO_RIGHT_ANSWER if re.search(pattern, full)), "")


_NUMBER = re.compile(
    r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+)|\bnan\b|\binf\b|\bTrue\b|\bFalse\b"
)
_ENTRY = re.compile(r"'(\w+)': (tensor\([^)]*\))")


def numbers(text: str) -> list[float]:
    """Return the numbers of a printed text; entries of dicts in order of their keys."""
    lines = []
    for line in text.splitlines():
        line = re.sub(r"^\d+ \|", "", line)
        entries = sorted(_ENTRY.findall(line))
        lines.append(" ".join(value for _, value in entries) if entries else line)
    named = {"True": 1.0, "False": 0.0}
    plain = re.sub(r"dtype=[\w.]+|size=\([^)]*\)", "", "\n".join(lines))
    return [named[n] if n in named else float(n) for n in _NUMBER.findall(plain)]


def same(old: str, new: str) -> bool:
    """Tell whether two printed texts hold the same numbers."""
    left, right = numbers(old), numbers(new)
    return len(left) == len(right) and all(
        (a != a and b != b) or a == b or abs(a - b) <= 2e-4 + 1e-4 * abs(a)
        for a, b in zip(left, right, strict=True)
    )


def _install(python: str, cache: Path, package: str, version: str) -> Path:
    target = cache / f"{package}-{version}"
    if not target.exists():
        command = [python, "-m", "pip", "install", "-q", "--no-deps", "--target", str(target)]
        subprocess.run([*command, f"{package}=={version}"], check=True, stderr=subprocess.DEVNULL)
    return target


def _shims(python: str, cache: Path) -> list[Path]:
    shim = cache / "shim"
    shim.mkdir(parents=True, exist_ok=True)
    (shim / "sitecustomize.py").write_text(_SITECUSTOMIZE)
    others = (("setuptools", "80.9.0"), ("future", "1.0.0"), ("pyDeprecate", "0.3.2"))
    return [shim, *(_install(python, cache, *other) for other in others)]


def collect(python: str, cache: Path, package: str, version: str, root: str) -> list[Example]:
    """Return the examples of one old library that run there."""
    library = _install(python, cache, package, version)
    path = os.pathsep.join(map(str, [library, *_shims(python, cache)]))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "examples.json"
        subprocess.run(
            [python, "-c", _COLLECT, root, str(out)],
            env={**os.environ, "PYTHONPATH": path},
            check=True,
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        found = json.loads(out.read_text())
    label = f"{package} {version}"
    return [Example(label, e["name"], e["text"], e["printed"]) for e in found if "text" in e]


def _lintmetrics(folder: Path, *arguments: str) -> str:
    here = Path(__file__).resolve().parent.parent
    parts = [here, here / "rules", here / "codemods"]
    path = os.pathsep.join([*map(str, parts), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", "lintmetrics", *arguments, "."],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    if done.returncode not in (0, 1):
        raise SystemExit(f"lintmetrics {' '.join(arguments)}: {done.stdout}{done.stderr}")
    return done.stdout


def _judge(python: str, folder: Path, examples: list[Example]) -> None:
    paths = [str(folder / f"example_{index:03d}.py") for index in range(len(examples))]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [python, "-c", _RUN],
        input="\n".join(paths),
        capture_output=True,
        text=True,
        env=environment,
        cwd=folder,
    )
    if "\x1e" not in done.stdout:
        raise SystemExit(done.stderr[-2000:])
    results = json.loads(done.stdout.rsplit("\x1e", 1)[1])
    for path, example in zip(paths, examples, strict=True):
        state, text = results[path]
        if state == "runs":
            example.outcomes.append("same" if same(example.printed, text) else "differs")
        else:
            example.outcomes.append("fails")
        example.detail = text.replace("\n", " ")[:120]


def migrate(python: str, examples: list[Example], keep: Path | None) -> None:
    """Run the examples as they are, after the safe fixes and after all fixes."""
    with tempfile.TemporaryDirectory() as scratch:
        before = Path(scratch) / "before"
        before.mkdir()
        for index, example in enumerate(examples):
            (before / f"example_{index:03d}.py").write_text(example.text)
        _judge(python, before, examples)
        for finding in json.loads(_lintmetrics(before, "check", "--output-format", "json")):
            example = examples[int(Path(finding["filename"]).stem.rpartition("_")[2])]
            example.reported = True
            declared = finding["relation"] in ("corrects", "assumes") or finding["blocked_by"]
            example.said_so = example.said_so or bool(declared)
        for name, options in (("safe", ()), ("all", ("--unsafe-fixes",))):
            after = Path(scratch) / name
            shutil.copytree(before, after)
            _lintmetrics(after, "fix", "--apply", *options)
            _judge(python, after, examples)
            for index, example in enumerate(examples):
                text = (after / f"example_{index:03d}.py").read_text()
                example.edited = example.edited or text != example.text
            if keep is not None:
                shutil.copytree(after, keep / examples[0].label.replace(" ", "-") / name)


def main() -> None:
    """Print one line for each library and what does not come out right."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--python", default=sys.executable, help="has torch and torchmetrics 1.9")
    parser.add_argument("--cache", type=Path, default=Path(".lintmetrics-docstrings"))
    parser.add_argument("--keep", type=Path, help="folder for the migrated examples")
    parser.add_argument("--show", action="store_true", help="list what does not come out right")
    options = parser.parse_args()
    cache = options.cache.resolve()
    everything: list[Example] = []
    header = "library                  examples  as is  to do  right  said other  waiting  silent"
    print(header)
    for package, version, root in LIBRARIES:
        examples = collect(options.python, cache, package, version, root)
        migrate(options.python, examples, options.keep)
        everything += examples
        _line(examples[0].label, examples)
    _line("all", everything)
    need = [e for e in everything if e.outcomes[0] != "same"]
    decidable = [e for e in need if not e.no_answer]
    for title, position in (("--apply", 1), ("--apply --unsafe-fixes", 2)):
        right = sum(e.outcomes[position] == "same" for e in decidable)
        strict = sum(e.outcomes[position] == "same" for e in need)
        print(
            f"{title}: {right} of {len(decidable)} that have a right answer in the code are right, "
            f"{strict} of all {len(need)} that 1.9 fails or answers otherwise"
        )
    silent = [e for e in everything if _is_silent(e, 1) or _is_silent(e, 2)]
    print(f"another number, or a failure, that nothing was said about: {len(silent)}")
    reasons = Counter(e.no_answer for e in need if e.no_answer)
    for why, count in reasons.most_common():
        print(f"  {count:3d} without a right answer: {why}")
    if options.show:
        for e in everything:
            if e.outcomes[1] != "same":
                why = e.no_answer or e.detail
                print(f"  {e.label} {e.name}: {' -> '.join(e.outcomes)}  {why}")
    if silent:
        for e in silent:
            print(f"  SILENT {e.label} {e.name}: {' -> '.join(e.outcomes)}  {e.detail}")
        raise SystemExit(1)


def _is_silent(example: Example, position: int) -> bool:
    outcome = example.outcomes[position]
    if outcome == "differs":
        return not example.said_so
    return outcome == "fails" and not example.reported


def _line(label: str, examples: list[Example]) -> None:
    need = [e for e in examples if e.outcomes[0] != "same"]
    right = sum(e.outcomes[1] == "same" for e in need)
    other = sum(e.outcomes[1] == "differs" and e.said_so for e in examples)
    waiting = sum(e.outcomes[1] == "fails" and e.reported for e in examples)
    silent = sum(_is_silent(e, 1) for e in examples)
    print(
        f"{label:24s} {len(examples):8d} {len(examples) - len(need):6d} {len(need):6d} {right:6d}"
        f" {other:11d} {waiting:8d} {silent:7d}"
    )


if __name__ == "__main__":
    main()
