"""CPU seconds of lintmetrics beside what stands next to it, all in one run.

    python benchmarks/speed.py             # needs ruff; makes an environment for fixit and torchfix
    python benchmarks/speed.py --no-peers  # without fixit and torchfix
    python benchmarks/speed.py --before COMMIT  # a synthetic repository, with that commit and today

Every figure is the least CPU time (user and system, children included) of some runs, in which the
commands of a row take turns: what else the machine does falls on each, and only ever adds. Wall
time and single figures mean little on a shared machine, the ratios are what is claimed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from packages import Package, cache
from synthetic import FILES, MODULES, written

LIGHTNING = Package(
    "lightning",
    "2.6.6",
    "speed",
    "lightning-2.6.6-py3-none-any.whl",
    "",
)
PEERS = {"fixit": ["fixit==2.2.1"], "torchfix": ["torchfix==0.7.0"]}
PEER_ARGUMENTS: dict[str, list[str]] = {"fixit": ["lint"], "torchfix": []}
EMPTY_CLICK = (
    "import click\n\n@click.group()\n@click.version_option('1')\ndef main(): pass\n\nmain()\n"
)
BARE_PARSE = """
import sys
import libcst
for name in open(sys.argv[1]).read().splitlines():
    libcst.parse_module(open(name, 'rb').read())
"""


def cpu(commands: Sequence[Sequence[str]], runs: int) -> list[float]:
    """Return the least CPU seconds of each command, which take turns.

    Their exit codes do not matter, and the first turn only fills caches.
    """
    taken: list[list[float]] = [[] for _ in commands]
    for turn in range(runs + 1):
        for command, seconds in zip(commands, taken, strict=True):
            found, _ = measured(command)
            if turn:
                seconds.append(found)
    return [min(seconds) for seconds in taken]


def measured(command: Sequence[str], path: Path | None = None) -> tuple[float, float]:
    """Return the CPU seconds of a command and the peak of its memory in MiB.

    Args:
        command: the command; ``path``: the checkout whose packages it imports, where not its own.
    """
    # Installed packages are compiled ahead; a checkout is once it has run.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    if path is not None:
        folders = (path, path / "rules", path / "codemods")
        environment["PYTHONPATH"] = os.pathsep.join(map(str, folders))
    process = subprocess.Popen(
        command,
        cwd=tempfile.gettempdir(),  # -m imports from the working directory first.
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, _, usage = os.wait4(process.pid, 0)
    process.returncode = 0
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def compare(before: str, runs: int) -> None:
    """Print what a synthetic repository costs at an older commit and today, and with one rule."""
    root = Path(__file__).resolve().parent.parent
    with tempfile.TemporaryDirectory() as name:
        old = Path(name) / "old"
        subprocess.run(
            ["git", "-C", str(root), "worktree", "add", "-q", "--detach", str(old), before],
            check=True,
        )
        try:
            _compare(before, runs, root, old, written(Path(name) / "repository"))
        finally:
            subprocess.run(
                ["git", "-C", str(root), "worktree", "remove", "--force", str(old)], check=True
            )


def codes(path: Path) -> str:
    """Return the codes of the rules of a checkout, with commas."""
    folders = (path, path / "rules", path / "codemods")
    done = subprocess.run(
        [sys.executable, "-m", "lintmetrics", "rules", "--output-format", "json"],
        cwd=tempfile.gettempdir(),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))},
        capture_output=True,
        text=True,
        check=True,
    )
    return ",".join(rule["code"] for rule in json.loads(done.stdout))


def _compare(before: str, runs: int, root: Path, old: Path, tree: Path) -> None:
    check = [sys.executable, "-m", "lintmetrics", "check", "-j1", "--isolated"]
    ways = {
        "before": ([*check, str(tree)], old),
        "now": ([*check, str(tree)], root),
        "one": ([*check, "--select", "LM101", str(tree)], root),
        "then": ([*check, "--select", codes(old), str(tree)], root),
    }
    taken: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    for attempt in range(runs + 1):
        for way, (command, path) in ways.items():
            found = measured(command, path)
            if attempt:  # The first run compiles.
                taken[way].append(found)
    seconds = {way: min(one for one, _ in found) for way, found in taken.items()}
    memory = {way: statistics.median(one for _, one in found) for way, found in taken.items()}
    what = f"{FILES:,} files with {MODULES} modules"
    print("| what | today | beside it | ratio |\n|---|---|---|---|")
    for label, other in (
        (f"{what}: `check`", "before"),
        (f"{what}: `check`, all rules", "one"),
        (f"{what}: `check`, all {len(codes(root).split(','))} rules", "then"),
    ):
        beside = {
            "before": f"at {before}",
            "one": "with `--select LM101`",
            "then": f"with the {len(codes(old).split(','))} rules of {before}",
        }[other]
        print(
            f"| {label} | {seconds['now']:.2f} CPU s | {seconds[other]:.2f} CPU s {beside} | "
            f"{seconds['now'] / seconds[other]:.2f} |"
        )
        print(
            f"| the same | {memory['now']:.0f} MiB | {memory[other]:.0f} MiB {beside} | "
            f"{memory['now'] / memory[other]:.2f} |"
        )


def row(label: str, ours: float, other: float, beside: str, budget: str) -> None:
    """Print one line of the table."""
    print(
        f"| {label} | {ours:.2f} | {beside} {other:.2f} | {ours / other:.2f} | {budget} |",
        flush=True,
    )


def tool() -> list[str]:
    """Return the command of the installed lintmetrics."""
    found = shutil.which("lintmetrics", path=str(Path(sys.executable).parent))
    return [found] if found else [sys.executable, "-m", "lintmetrics"]


def gated(tree: Path) -> list[str]:
    """Return the files of a tree that pass the gate."""
    from lintmetrics import gate

    return [
        str(path)
        for path in sorted(tree.rglob("*.py"))
        if gate.names_a_library(data := path.read_bytes()) or gate.is_interesting(data)
    ]


def lightning_tree() -> Path:
    """Return the unpacked sources of Lightning itself."""
    folder = cache() / LIGHTNING.label
    if not folder.is_dir():
        archives = cache() / "archives"
        archives.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            [
                *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
                *("--dest", str(archives), f"lightning=={LIGHTNING.version}"),
            ],
            check=True,
        )
        shutil.unpack_archive(archives / LIGHTNING.file, folder, "zip")
    return folder


def without_lightning(folder: Path) -> Path:
    """Write a tree of 3,000 files that have nothing to do with Lightning: the standard library."""
    source = Path(os.__file__).parent
    count = 0
    for path in sorted(source.rglob("*.py")):
        if "site-packages" in path.parts or count >= 1000:
            continue
        for copy in range(3):
            target = folder / f"part{copy}" / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        count += 1
    return folder


def module_with(findings: int) -> str:
    """Return a module with so many findings in one class."""
    head = """\
    import pytorch_lightning as pl
    from torchmetrics.functional import auroc


    class Classifier(pl.LightningModule):
        def validation_step(self, batch, batch_idx):
            x, y = batch
            score = self(x)
    """
    lines = [
        f"        self.log('auroc_{i}', auroc(score, y, task='binary'))" for i in range(findings)
    ]
    return textwrap.dedent(head) + "\n".join(lines) + "\n"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--no-peers", action="store_true", help="leave out fixit and torchfix")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--before", metavar="COMMIT", help="only compare with an older commit")
    given = parser.parse_args()
    if given.before:
        compare(given.before, given.runs)
        return
    ours = tool()
    check = [*ours, "check", "--isolated"]
    ruff = shutil.which("ruff", path=str(Path(sys.executable).parent)) or "ruff"
    print(
        "| what | lintmetrics, CPU s | beside it, CPU s | ratio | budget |\n|---|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        empty = scratch / "empty.py"
        empty.write_text(EMPTY_CLICK)
        version = cpu(
            [[*ours, "--version"], [sys.executable, str(empty), "--version"]], 3 * given.runs
        )
        row("`--version`", *version, "an empty click program", "1.5")
        plain = str(without_lightning(scratch / "plain"))
        bare = cpu(
            [[*check, "-j1", plain], [ruff, "check", "--isolated", "--no-cache", plain]],
            given.runs,
        )
        row("a tree of 3,000 files without Lightning", *bare, "`ruff check`", "1")
        tree = lightning_tree()
        files = gated(tree)
        listed = scratch / "files.txt"
        listed.write_text("\n".join(files))
        doubled = scratch / "doubled"
        shutil.copytree(tree, doubled / "one")
        shutil.copytree(tree, doubled / "two")
        once, parsed, twice = cpu(
            [
                [*check, "-j1", str(tree)],
                [sys.executable, "-c", BARE_PARSE, str(listed)],
                [*check, "-j1", str(doubled)],
            ],
            given.runs,
        )
        row(
            f"Lightning {LIGHTNING.version} itself ({len(files)} files pass the gate)",
            once,
            parsed,
            "LibCST parse of those files",
            "2",
        )
        if not given.no_peers:
            for name_, arguments in PEER_ARGUMENTS.items():
                beside = cpu([[*check, "-j1", str(tree)], [*peer(name_), *arguments, str(tree)]], 1)
                row("the same", *beside, name_, "0.05")
        row("the Lightning tree twice", twice, once, "once", "2 (linear)")
        one = next(Path(f) for f in files if f.endswith("demos/boring_classes.py"))
        one_list = scratch / "one.txt"
        one_list.write_text(str(one))
        started = cpu(
            [[*check, str(one)], [sys.executable, "-c", BARE_PARSE, str(one_list)]],
            3 * given.runs,
        )
        row("one Lightning file", *started, "importing LibCST and parsing it", "1.5")
        modules = []
        for findings in (1, 250, 1000):
            modules.append(scratch / f"findings_{findings}.py")
            modules[-1].write_text(module_with(findings))
        least, some, many = cpu([[*check, str(module)] for module in modules], 3 * given.runs)
        row(
            "1,000 findings in one file, one finding taken off",
            many - least,
            some - least,
            "250 findings",
            "4 (linear)",
        )


def peer(name: str) -> list[str]:
    """Return the command of a peer, installed into an environment of its own."""
    requirement = PEERS[name]
    folder = cache() / f"env-{name}"
    if not (folder / "bin" / name).exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run(
            [str(folder / "bin" / "pip"), "install", "--quiet", *requirement], check=True
        )
    return [str(folder / "bin" / name)]


if __name__ == "__main__":
    main()
