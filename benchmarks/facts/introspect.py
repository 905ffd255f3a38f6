"""Write down every public name of one release of a metric library; runs inside that release.

    PYTHONPATH=OVERLAY python introspect.py PACKAGE OUT.json

For each importable module: the names that it defines or, for a package, exports, with kind,
home, parameters and whether a class is a ``Metric``. Names that a package exports only where
something optional is installed are taken from where they are defined.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import pkgutil
import sys
import types
import typing
import warnings

Record = dict[str, typing.Any]


def parameters(function: typing.Any, skip: int) -> list[list[str]] | None:
    """Return ``[name, default as text or None, kind]`` of each parameter."""
    try:
        found = list(inspect.signature(function).parameters.values())[skip:]
    except (TypeError, ValueError):
        return None
    return [
        [p.name, None if p.default is p.empty else repr(p.default), p.kind.name]  # type: ignore
        for p in found
    ]


def described(thing: object, package: str) -> Record | None:
    """Return what there is to know of a class or function of the package."""
    home = getattr(thing, "__module__", None) or ""
    if not home.startswith(package.split(".")[0]):
        return None
    if inspect.isclass(thing):
        names = {base.__name__ for base in thing.__mro__}
        return {
            "kind": "class",
            "home": home,
            "is_metric": bool(names & {"Metric", "MetricCollection"}),
            "init": parameters(thing.__init__, 1),  # type: ignore[misc]
            "new": parameters(thing.__new__, 1) if "__new__" in vars(thing) else None,
            "update": parameters(thing.update, 1) if hasattr(thing, "update") else None,
        }
    if inspect.isfunction(thing) or hasattr(thing, "__wrapped__"):
        return {"kind": "function", "home": home, "parameters": parameters(thing, 0)}
    return None


def optional(module: types.ModuleType) -> dict[str, object]:
    """Return what a package would export if everything optional were installed."""
    found: dict[str, object] = {}
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if not isinstance(node, ast.ImportFrom) or node.module is None or node.level:
            continue
        for alias in node.names:
            bound = alias.asname or alias.name
            if hasattr(module, bound) or not node.module.startswith(module.__name__.split(".")[0]):
                continue
            try:
                found[bound] = getattr(importlib.import_module(node.module), alias.name)
            except (ImportError, AttributeError):
                continue
    return found


def main() -> None:
    """Introspect one package."""
    warnings.simplefilter("ignore")
    package, out = sys.argv[1:]
    root = importlib.import_module(package)
    modules = {package: root}
    failed = {}
    for info in pkgutil.walk_packages(root.__path__, package + "."):
        if any(part.startswith("_") for part in info.name.split(".")):
            continue
        try:
            modules[info.name] = importlib.import_module(info.name)
        except Exception as error:  # Whatever an old release does on today's Python.
            failed[info.name] = f"{type(error).__name__}: {error}"
    table = {}
    for name, module in modules.items():
        is_package = hasattr(module, "__path__")
        things = {**vars(module), **(optional(module) if is_package else {})}
        records = {}
        for bound, thing in things.items():
            record = None if bound.startswith("_") else described(thing, package)
            if record is not None:
                records[bound] = record
        table[name] = {"is_package": is_package, "names": records}
    with open(out, "w", encoding="utf-8") as file:
        json.dump({"modules": table, "failed": failed}, file)


if __name__ == "__main__":
    main()
