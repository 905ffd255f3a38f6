"""Measure the generated tables of ``lintmetrics/facts`` again, from the releases themselves.

    python benchmarks/facts/tables.py --python PATH            # compare; exits 1 where they differ
    python benchmarks/facts/tables.py --python PATH --write    # and write what was measured

``PATH`` is an environment with torch and TorchMetrics 1.9.0. Each old release is installed without
its dependencies into a folder of its own, which is put in front of that environment. Measured are
the names, their ranges of releases, and the signatures; the columns ``new`` and ``remark`` of
``moves.csv`` and ``new`` of ``gone_modules.csv`` are judgements, kept from the committed table and
checked: what they name has to be there in 1.9.0.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

FACTS = Path(__file__).resolve().parents[2] / "lintmetrics" / "facts"
OLD = "pytorch_lightning.metrics"
NEW = "torchmetrics"
CURRENT = "tm-1.9.0"
PACKAGES = {"pl": ("pytorch-lightning", OLD), "tm": ("torchmetrics", NEW)}
RELEASES = (
    "pl-1.0.8", "pl-1.1.8", "pl-1.2.10",
    "tm-0.2.0", "tm-0.3.2", "tm-0.4.1", "tm-0.5.1", "tm-0.6.2", "tm-0.7.3", "tm-0.8.2", "tm-0.9.3",
    "tm-0.10.3", "tm-0.11.4", "tm-1.0.3", "tm-1.2.1", "tm-1.4.3", "tm-1.6.3", "tm-1.8.2",
)  # fmt: skip
# Signatures of 1.x before 1.9 are left out: a call that 1.0 to 1.8 took has its task, and what
# changed in it is a row of argument_changes.csv.
SIGNATURES = (*(r for r in RELEASES if not r.startswith("tm-1.")), CURRENT)
# Looked at besides, to say with which minor release a metric came.
BETWEEN = ("tm-1.1.2", "tm-1.3.2", "tm-1.5.2", "tm-1.7.4")
# What the releases import that is no longer there, or no longer there under that name.
SHIMS = (("setuptools", "80.9.0"), ("future", "1.0.0"), ("pyDeprecate", "0.3.2"))
SITECUSTOMIZE = """
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
SOURCE = "benchmarks/facts/tables.py"
# Modules of Lightning before 1.0, which no release that still installs has.
LOST_MODULES = ("pytorch_lightning.metrics.converters", "pytorch_lightning.metrics.sklearns")
Row = dict[str, str]
Modules = dict[str, dict[str, Any]]


# The releases -------------------------------------------------------------------------------------


def installed(python: str, cache: Path, package: str, version: str, folder: str) -> Path:
    """Return the folder that holds one release alone, installed when it is not there yet."""
    target = cache / folder
    if not target.exists():
        command = [python, "-m", "pip", "install", "-q", "--no-deps", "--target", str(target)]
        subprocess.run([*command, f"{package}=={version}"], check=True, stderr=subprocess.DEVNULL)
    return target


def introspected(python: str, cache: Path, release: str) -> Modules:
    """Return the modules of one release with their names."""
    out = cache / f"{release}.json"
    if not out.exists():
        library, version = release.split("-")
        package, root = PACKAGES[library]
        shim = cache / "shim"
        shim.mkdir(parents=True, exist_ok=True)
        (shim / "sitecustomize.py").write_text(SITECUSTOMIZE)
        path = [] if release == CURRENT else [installed(python, cache, package, version, release)]
        path += [shim, *(installed(python, cache, *one, "-".join(one)) for one in SHIMS)]
        done = subprocess.run(
            [python, str(Path(__file__).with_name("introspect.py")), root, str(out)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise SystemExit(f"{release} cannot be introspected: {done.stderr[-2000:]}")
    found = json.loads(out.read_text(encoding="utf-8"))
    for module, error in found["failed"].items():
        print(f"{release}: {module} cannot be imported: {error}", file=sys.stderr)
    modules: Modules = found["modules"]
    return modules


# The tables ---------------------------------------------------------------------------------------


def is_shim(record: dict[str, Any]) -> bool:
    """Tell whether 1.9 keeps a name only as a deprecated stand-in."""
    return "_deprecated" in record["home"]


def names(modules: Modules) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield ``(module, name, record)`` of what modules define and packages export."""
    for module, content in modules.items():
        for name, record in content["names"].items():
            if content["is_package"] or record["home"] == module:
                yield module, name, record


def moves(data: dict[str, Modules], known: Iterable[Row]) -> list[Row]:
    """Return every public name of an old release that 1.9 lacks or only shims."""
    now = data[CURRENT]
    judged = {row["old"]: row for row in known}
    seen: dict[str, tuple[str, list[str], str]] = {}
    for release in RELEASES:
        for module, name, record in names(data[release]):
            here = now.get(module, {"names": {}})["names"].get(name)
            if here is not None and not is_shim(here):
                continue
            status = "gone" if here is None else "deprecated"
            old = f"{module}.{name}"
            seen.setdefault(old, (record["kind"], [], status))[1].append(release)
    table = []
    for old, (kind, releases, status) in sorted(seen.items()):
        judgement = judged.get(old, {"new": "", "remark": ""})
        new = judgement["new"]
        if status == "gone" and new and new.rsplit(".", 1)[1] == old.rsplit(".", 1)[1]:
            status = "moved"
        row = {"old": old, "kind": kind, "first": releases[0], "last": releases[-1]}
        row |= {"status": status, "new": new, "remark": judgement["remark"]}
        table.append(row)
    return table


def gone_modules(data: dict[str, Modules], known: Iterable[Row]) -> list[Row]:
    """Return every module of an old release that 1.9 lacks."""
    judged = {row["old"]: row["new"] for row in known}
    seen: dict[str, list[str]] = {}
    now = data[CURRENT]
    for release in RELEASES:
        for module in data[release]:
            package, _, name = module.rpartition(".")
            # A function of the same name hid some modules, then and now.
            hidden = name in now.get(package, {"names": {}})["names"]
            if module not in now and not hidden:
                seen.setdefault(module, []).append(release)
    table = [
        {"old": old, "first": releases[0], "last": releases[-1], "new": judged.get(old, "")}
        for old, releases in sorted(seen.items())
    ]
    lost = [{"old": old, "first": "pl-0.8", "last": "pl-0.9", "new": ""} for old in LOST_MODULES]
    return sorted([*table, *lost], key=lambda row: row["old"])


def written(parameters: list[list[str]] | None) -> str:
    """Return parameters as a signature is written."""
    parts: list[str] = []
    starred = False
    for name, default, kind in parameters or ():
        if kind == "VAR_KEYWORD":
            parts.append(f"**{name}")
            continue
        if kind == "VAR_POSITIONAL":
            parts.append(f"*{name}")
            starred = True
            continue
        if kind == "KEYWORD_ONLY" and not starred:
            parts.append("*")
            starred = True
        parts.append(name if default is None else f"{name}={default}")
    return ", ".join(parts)


def constructor(record: dict[str, Any]) -> list[list[str]] | None:
    """Return what a class is called with: the dispatchers by task have a ``__new__`` for it."""
    new: list[list[str]] | None = record["new"]
    init: list[list[str]] | None = record["init"]
    return new if new and not all(kind.startswith("VAR") for _, _, kind in new) else init


def signatures(data: dict[str, Modules]) -> list[Row]:
    """Return the signatures of every metric, with the releases that had them in a row."""
    found: dict[tuple[str, str, str], list[list[Any]]] = {}
    for number, release in enumerate(SIGNATURES):
        library = PACKAGES[release.split("-")[0]][1]
        for key, signature in _of_release(data[release]).items():
            rows = found.setdefault((library, *key), [])
            if rows and rows[-1][1] == number - 1 and rows[-1][2:] == list(signature):
                rows[-1][1] = number
            else:
                rows.append([number, number, *signature])
    return [
        {
            "library": library,
            "name": name,
            "kind": kind,
            "first": SIGNATURES[first].split("-")[1],
            "last": SIGNATURES[last].split("-")[1],
            "parameters": parameters,
            "update": update,
        }
        for (library, name, kind), rows in sorted(found.items())
        for first, last, parameters, update in rows
    ]


def _of_release(modules: Modules) -> dict[tuple[str, str], tuple[str, str]]:
    """Return the signature of each metric of one release; the most public place decides."""
    found: dict[tuple[str, str], tuple[str, str]] = {}
    shims: set[tuple[str, str]] = set()
    for module in sorted(modules, key=lambda m: ("utilities" in m, m.count("."), m)):
        for name, record in modules[module]["names"].items():
            key = (name, record["kind"])
            if key in found and (key not in shims or is_shim(record)):
                continue
            if record["kind"] == "class":
                if not record["is_metric"]:
                    continue
                parameters, update = constructor(record), written(record["update"])
            else:
                parameters, update = record["parameters"], ""
            if parameters is None:
                continue
            found[key] = (written(parameters), update)
            shims.discard(key)
            if is_shim(record):
                shims.add(key)
    return found


def introductions(data: dict[str, Modules]) -> list[Row]:
    """Return every metric of today with the minor release of TorchMetrics that brought it."""
    releases = sorted((r for r in data if r.startswith("tm-")), key=version)
    table = []
    for name, kind in sorted(_of_release(data[CURRENT])):
        first = next(r for r in releases if (name, kind) in _of_release(data[r]))
        since = ".".join(str(part) for part in version(first)[:2])
        table.append({"name": name, "kind": kind, "since": since})
    return table


# Arguments ----------------------------------------------------------------------------------------


def last_with(data: dict[str, Modules], metric: str, argument: str, of_update: bool) -> str:
    """Return the last release in which a metric, whatever its name was, took an argument."""
    former = {row["old"].rsplit(".", 1)[1] for row in committed("moves")
              if row["new"].rsplit(".", 1)[-1] == metric}  # fmt: skip
    last = ""
    for release in RELEASES:
        for content in data[release].values():
            for name, record in content["names"].items():
                if metric != "*" and name not in {metric, *former}:
                    continue
                if of_update:
                    found = record.get("update") or []
                else:
                    both = (record.get("parameters"), record.get("init"), record.get("new"))
                    found = [parameter for part in both for parameter in part or ()]
                if any(parameter[0] == argument for parameter in found):
                    last = release
    return last


def version(release: str) -> tuple[int, ...]:
    """Return the numbers of a version, such as ``(0, 10, 3)``."""
    return tuple(int(part) for part in release.rpartition("-")[2].split("."))


def misdated(data: dict[str, Modules]) -> list[str]:
    """Return the rows about arguments whose ``until`` is not what the releases show.

    Rows for every metric are left out: one late metric would date them all.
    """
    lines = []
    for table in ("argument_changes", "update_arguments"):
        for row in committed(table):
            if row.get("action") == "keep" or row["metric"] == "*":
                continue
            last = last_with(data, row["metric"], row["argument"], table == "update_arguments")
            if not _agrees(row["until"], last):
                lines.append(
                    f"? {table} {row['metric']} {row['argument']}: until {row['until']}, and the "
                    f"last that has it is {last or 'none'}"
                )
    return lines


def _agrees(until: str, last: str) -> bool:
    if not last or until == "none":
        return until == (last or "none")
    library, _, shown = until.rpartition(" ")
    if library != ("pl" if last.startswith("pl") else ""):
        return False
    if version(last)[: shown.count(".") + 1] == version(shown):
        return True
    following = [*RELEASES, CURRENT][RELEASES.index(last) + 1]
    return version(last) < version(shown) < version(following)


# Comparison ---------------------------------------------------------------------------------------


def committed(table: str) -> list[Row]:
    """Return the rows of a table as it is."""
    with (FACTS / f"{table}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def unresolved(data: dict[str, Modules], row: Row) -> bool:
    """Tell whether the successor that a row names is not there in 1.9."""
    module, _, name = row["new"].rpartition(".")
    now = data[CURRENT]
    return bool(row["new"]) and row["new"] not in now and name not in now.get(
        module, {"names": {}}
    )["names"]  # fmt: skip


def differences(key: tuple[str, ...], old: list[Row], new: list[Row]) -> list[str]:
    """Return what was measured otherwise than committed, one line each."""

    def keyed(rows: list[Row]) -> dict[tuple[str, ...], Row]:
        return {tuple(row[column] for column in key): row for row in rows}

    before, after = keyed(old), keyed(new)
    lines = [f"- {' '.join(k)}" for k in before if k not in after]
    lines += [f"+ {' '.join(k)}: {after[k]}" for k in after if k not in before]
    for k in before.keys() & after.keys():
        for column, value in after[k].items():
            if before[k].get(column) != value:
                lines.append(f"~ {' '.join(k)}: {column} {before[k].get(column)!r} -> {value!r}")
    return sorted(lines)


def main() -> None:
    """Measure, compare and, when asked to, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--python", default=sys.executable, help="has torch and torchmetrics 1.9.0")
    parser.add_argument("--cache", type=Path, default=Path(".lintmetrics-facts"))
    parser.add_argument("--write", action="store_true", help="write the tables")
    options = parser.parse_args()
    cache = options.cache.resolve()
    cache.mkdir(parents=True, exist_ok=True)
    data = {r: introspected(options.python, cache, r) for r in (*RELEASES, *BETWEEN, CURRENT)}
    tables = {
        "moves": (("old",), moves(data, committed("moves"))),
        "gone_modules": (("old",), gone_modules(data, committed("gone_modules"))),
        "signatures": (("library", "name", "kind", "first"), signatures(data)),
        "metric_introductions": (("name", "kind"), introductions(data)),
    }
    differ = False
    for table, (key, rows) in tables.items():
        for row in rows:
            row["source"] = SOURCE
        lines = differences(key, committed(table), rows)
        lines += [f"! {r['old']}: 1.9.0 has no {r['new']}" for r in rows
                  if "new" in r and unresolved(data, r)]  # fmt: skip
        differ = differ or bool(lines)
        print(f"{table}: {len(rows)} rows, {len(lines)} differences")
        for line in lines:
            print(f"  {line}")
        if options.write:
            with (FACTS / f"{table}.csv").open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)
    lines = misdated(data)
    print(f"arguments: {len(lines)} differences", *lines, sep="\n  ")
    raise SystemExit(1 if differ or lines else 0)


if __name__ == "__main__":
    main()
