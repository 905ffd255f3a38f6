"""What a project asks for: ``Settings``, and how they are read.

The nearest ``lintmetrics.toml``, or ``pyproject.toml`` with a ``[tool.lintmetrics]`` table, above a
file is the one that counts for it; nothing is merged, so one look tells what holds.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from lintmetrics.errors import LintmetricsError
from lintmetrics.releases import LIBRARIES, NEWEST

if TYPE_CHECKING:
    from lintmetrics.pins import Pin

STYLES = ("auto", "torchmetrics", "outputs", "put")
TARGETS = {
    "lightning": "lightning",
    "pytorch-lightning": "lightning",
    "pytorch_lightning": "lightning",
    "torchmetrics": "torchmetrics",
}
"""What a target may be called, with the library that it is for."""


@dataclass(frozen=True)
class Settings:
    """The settings in force for one project, after config file and command line.

    Args:
        select: codes, code prefixes or rule names to run; ``("ALL",)`` for all.
        ignore: codes, prefixes or names to leave out.
        exclude: git-ignore patterns of paths to leave out.
        per_file_ignores: pattern to codes, prefixes or names.
        lightning_bases: dotted names of LightningModule classes in packages outside the project.
        style: ``"auto"``, ``"torchmetrics"``, ``"outputs"`` or ``"put"``.
        target_lightning: version the code must run on, such as ``"2.6"``; newest when empty.
        target_torchmetrics: the same for TorchMetrics.
        pinned_at: library to the place that pins what became its target, such as
            ``requirements.txt:3``.
        root: the directory that the patterns are relative to; the working directory when empty.
        origin: the file that the settings were read from; empty when there is none.
    """

    select: tuple[str, ...] = ("ALL",)
    ignore: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    per_file_ignores: dict[str, tuple[str, ...]] = field(default_factory=dict)
    lightning_bases: tuple[str, ...] = ()
    style: str = "auto"
    target_lightning: str = ""
    target_torchmetrics: str = ""
    pinned_at: dict[str, str] = field(default_factory=dict)
    root: str = ""
    origin: str = ""

    @property
    def targets(self) -> dict[str, str]:
        """The target of each library, by its name; empty for the newest release."""
        return {"lightning": self.target_lightning, "torchmetrics": self.target_torchmetrics}

    def ignored_at(self, path: str) -> tuple[str, ...]:
        """Return the selectors that ``per_file_ignores`` leave out for one file."""
        if not self.per_file_ignores:
            return ()
        from lintmetrics.ignores import IgnorePatterns

        root = self.root or os.getcwd()
        relative = os.path.relpath(os.path.join(os.getcwd(), path), root).replace(os.sep, "/")
        ignored: list[str] = []
        for pattern, selectors in self.per_file_ignores.items():
            negated = pattern.startswith("!")
            if IgnorePatterns([pattern.removeprefix("!")]).covers(relative) != negated:
                ignored += selectors
        return tuple(ignored)


class ConfigError(LintmetricsError):
    """A config file, or an option that stands for one, says something that cannot be done."""


@dataclass(frozen=True)
class CommandLine:
    """What the command line says about settings; it beats the files.

    Args:
        select: replaces the selection of the file, its ignores too.
        extend_select: adds to the selection.
        ignore: adds to the ignores.
        style: as in ``Settings``.
        target: ``LIBRARY=VERSION`` items.
        config: paths of a config file and ``KEY=VALUE`` settings, in TOML.
        isolated: read no config file.
    """

    select: tuple[str, ...] = ()
    extend_select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    style: str | None = None
    target: tuple[str, ...] = ()
    config: tuple[str, ...] = ()
    isolated: bool = False


class Configuration:
    """Answers which settings hold at a path; reads each config file once."""

    def __init__(self, command_line: CommandLine | None = None) -> None:
        self._command_line = command_line or CommandLine()
        self._by_directory: dict[str, Settings] = {}
        self._judged: dict[str, Settings] = {}
        self._pins: dict[str, dict[str, Pin]] = {}
        self._fixed: Settings | None = None
        line = self._command_line
        paths = [item for item in line.config if not _is_setting(item)]
        inline = [item for item in line.config if _is_setting(item)]
        if len(paths) > 1:
            raise ConfigError(f"--config names two files, {paths[0]} and {paths[1]}; give one")
        if paths and line.isolated:
            raise ConfigError("--config FILE and --isolated exclude each other")
        self._inline: dict[str, Any] = {}
        for item in inline:
            _merge(self._inline, _parsed(item, f"--config '{item}'"))
        _check(self._inline, "--config", "")
        check_selectors(line.select, "--select")
        check_selectors(line.extend_select, "--extend-select")
        check_selectors(line.ignore, "--ignore")
        self._targets = targets_of(line.target)
        if line.isolated:
            self._fixed = _without_newest(self._finished(Settings(root=os.getcwd())))
        elif paths:
            self._fixed = self._finished(self._explicit(paths[0]))

    def settings_for(self, path: str | os.PathLike[str]) -> Settings:
        """Return the settings that hold for a file, or in a directory.

        Raises:
            ConfigError: the config file is broken.
        """
        if self._fixed is not None and self._command_line.isolated:
            return self._fixed
        path = os.path.abspath(os.fspath(path))
        known = self._judged.get(path)
        if known is None:
            directory = path if os.path.isdir(path) else os.path.dirname(path)
            known = self._judged.get(directory)
            if known is None:
                settings = self._fixed or self._in_directory(directory)
                known = self._judged[directory] = self._with_targets(settings, directory)
        return known

    def _with_targets(self, settings: Settings, directory: str) -> Settings:
        """Return settings with the targets that the project's metadata pins, where none is said."""
        if all(settings.targets.values()):
            return _without_newest(settings)
        from lintmetrics.pins import targets

        pinned = targets(self._pinned(directory))
        given: dict[str, Any] = {}
        places: dict[str, str] = {}
        for library, said in settings.targets.items():
            if not said and library in pinned:
                given[f"target_{library}"] = pinned[library].version
                places[library] = pinned[library].place
        return _without_newest(replace(settings, **given, pinned_at=places))

    def _pinned(self, directory: str) -> dict[str, Pin]:
        """Return the nearest pin of each library, in a directory and those above of a project."""
        from lintmetrics.pins import pins_in

        known = self._pins.get(directory)
        if known is None:
            known = pins_in(directory)
            above = os.path.dirname(directory)
            if above != directory and not os.path.exists(os.path.join(directory, ".git")):
                known = {**self._pinned(above), **known}
            self._pins[directory] = known
        return known

    def _in_directory(self, directory: str) -> Settings:
        passed: list[str] = []
        while True:
            known = self._by_directory.get(directory)
            if known is not None:
                break
            passed.append(directory)
            table = _table_in(directory)
            if table is not None:
                values, origin = table
                known = self._finished(_settings(values, origin, directory))
                break
            parent = os.path.dirname(directory)
            if parent == directory:
                known = self._finished(Settings(root=os.getcwd()))
                break
            directory = parent
        for directory in passed:
            self._by_directory[directory] = known
        return known

    def _explicit(self, path: str) -> Settings:
        if not os.path.isfile(path):
            raise ConfigError(f"--config: {path} is no file; name a TOML file or give KEY=VALUE")
        values: Mapping[str, Any] = _read(path)
        if os.path.basename(path) == "pyproject.toml":
            values = _tool_table(values)
        # Ruff's rule, and the only one that makes sense for a file shared by projects.
        return _settings(values, path, os.getcwd())

    def _finished(self, settings: Settings) -> Settings:
        """Return the settings with the command line on top."""
        line = self._command_line
        if self._inline:
            inline = _settings(self._inline, "--config", settings.root)
            changed = {
                item.name: getattr(inline, item.name)
                for item in fields(Settings)
                if item.name not in ("root", "origin") and _names(item.name) & set(self._inline)
            }
            settings = replace(settings, **changed)
        if line.select:
            settings = replace(settings, select=line.select, ignore=())
        if line.extend_select:
            ignore = tuple(item for item in settings.ignore if item not in line.extend_select)
            settings = replace(
                settings, select=(*settings.select, *line.extend_select), ignore=ignore
            )
        if line.ignore:
            settings = replace(settings, ignore=(*settings.ignore, *line.ignore))
        if line.style:
            settings = replace(settings, style=line.style)
        said: dict[str, Any] = {
            f"target_{library}": version for library, version in self._targets.items()
        }
        return replace(settings, **said) if said else settings


def targets_of(items: Iterable[str]) -> dict[str, str]:
    """Return the versions that ``LIBRARY=VERSION`` items say, by library.

    Raises:
        ConfigError: an item says none.
    """
    found: dict[str, str] = {}
    for item in items:
        name, _, version = item.partition("=")
        library = TARGETS.get(name, "")
        if not library:
            near = _near(name, TARGETS) or "lightning or torchmetrics"
            raise ConfigError(f"--target: unknown library {name!r}; did you mean {near}?")
        if not version or not _version(version):
            raise ConfigError(f"--target {item}: say a version, as in {library}=2.0, or {NEWEST}")
        found[library] = version
    return found


def _without_newest(settings: Settings) -> Settings:
    """Return settings with no target where the newest release is asked for by name."""
    newest = [library for library, version in settings.targets.items() if version == NEWEST]
    given: dict[str, Any] = {f"target_{library}": "" for library in newest}
    return replace(settings, **given) if given else settings


def _is_setting(item: str) -> bool:
    return "=" in item and not os.path.exists(item)


def _names(name: str) -> set[str]:
    """Return the keys that a field of ``Settings`` is read from."""
    key = name.replace("_", "-")
    return {key, f"extend-{key}"} | ({"target"} if name.startswith("target_") else set())


def _merge(into: dict[str, Any], values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


def _parsed(text: str, where: str) -> dict[str, Any]:
    import sys

    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{where}: not valid TOML: {error}") from None


def _named(path: str) -> str:
    """Return a path as an error names it."""
    relative = os.path.relpath(path) if os.path.isabs(path) else path
    return path if relative.startswith("..") else relative


def _read(path: str) -> dict[str, Any]:
    name = _named(path)
    try:
        with open(path, "rb") as file:
            text = file.read().decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{name}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{name}: is not UTF-8, as TOML must be") from None
    return _parsed(text, name)


def _table_in(directory: str) -> tuple[Mapping[str, Any], str] | None:
    """Return the settings that stand in a directory, and the file that holds them."""
    path = os.path.join(directory, "lintmetrics.toml")
    if os.path.isfile(path):
        return _read(path), path
    path = os.path.join(directory, "pyproject.toml")
    try:
        with open(path, "rb") as file:
            data = file.read()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError):
        return None
    # Most projects have a pyproject.toml and do not speak of us: parse only those that do.
    if b"lintmetrics" not in data:
        return None
    values = _read(path)
    tool = values.get("tool")
    if not isinstance(tool, dict) or "lintmetrics" not in tool:
        return None
    return _tool_table(values, path), path


def _tool_table(values: Mapping[str, Any], path: str = "") -> Mapping[str, Any]:
    table = values.get("tool", {}).get("lintmetrics", {})
    if not isinstance(table, dict):
        raise ConfigError(f"{_named(path)}: tool.lintmetrics must be a table")
    return table


# --- What a file may say ---------------------------------------------------------------------


def _strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _string(value: Any) -> bool:
    return isinstance(value, str)


def _lists(value: Any) -> bool:
    return isinstance(value, dict) and all(_strings(item) for item in value.values())


def _version(value: Any) -> bool:
    return isinstance(value, str) and (
        value == NEWEST
        or all(part.isdigit() for part in (value or "0").removesuffix(".*").split("."))
    )


_KEYS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "select": (_strings, 'a list of strings, such as ["LM1"]'),
    "extend-select": (_strings, 'a list of strings, such as ["LM1"]'),
    "ignore": (_strings, 'a list of strings, such as ["LM101"]'),
    "extend-ignore": (_strings, 'a list of strings, such as ["LM101"]'),
    "exclude": (_strings, 'a list of git-ignore patterns, such as ["legacy/"]'),
    "extend-exclude": (_strings, 'a list of git-ignore patterns, such as ["legacy/"]'),
    "per-file-ignores": (_lists, 'a table of lists, such as { "tests/**" = ["LM101"] }'),
    "extend-per-file-ignores": (_lists, 'a table of lists, such as { "tests/**" = ["LM101"] }'),
    "lightning-bases": (_strings, 'a list of dotted names, such as ["acme.nn.BaseModel"]'),
    "style": (_string, 'one of "auto", "torchmetrics", "outputs", "put"'),
    "target-lightning": (_version, 'a version in quotes, such as "2.6"'),
    "target-torchmetrics": (_version, 'a version in quotes, such as "1.9"'),
    "target": (lambda value: isinstance(value, dict), 'a table, such as { lightning = "2.6" }'),
}


def _near(word: str, words: Iterable[str]) -> str:
    import difflib

    close = difflib.get_close_matches(word, list(words), 3, 0.5)
    # Among codes that differ in one digit alike, the one that the word begins with is meant.
    return max(close, key=word.startswith, default="")


def _check(values: Mapping[str, Any], where: str, prefix: str) -> None:
    """Check that every key is known and has a value of its type."""
    for key, value in values.items():
        if key not in _KEYS:
            near = _near(key.replace("_", "-"), _KEYS)
            hint = f"did you mean {near}?" if near else f"known keys: {', '.join(_KEYS)}"
            raise ConfigError(f"{where}: unknown key {prefix}{key}; {hint}")
        right, wanted = _KEYS[key]
        if not right(value):
            raise ConfigError(f"{where}: {prefix}{key} must be {wanted}, not {value!r}")
    target = values.get("target", {})
    for key, value in target.items():
        if key not in LIBRARIES:
            near = _near(key, LIBRARIES) or "lightning or torchmetrics"
            raise ConfigError(f"{where}: unknown key {prefix}target.{key}; did you mean {near}?")
        if not _version(value):
            raise ConfigError(
                f"{where}: {prefix}target.{key} must be a version in quotes, such as "
                f'"2.6", not {value!r}'
            )
    if "style" in values and values["style"] not in STYLES:
        near = _near(values["style"], STYLES)
        hint = f"did you mean {near}?" if near else f"known: {', '.join(STYLES)}"
        raise ConfigError(f"{where}: unknown {prefix}style {values['style']!r}; {hint}")


def _settings(values: Mapping[str, Any], origin: str, root: str) -> Settings:
    """Return the settings that a table spells.

    Raises:
        ConfigError: a key, a type or a selector is not known.
    """
    where = _named(origin)
    prefix = "tool.lintmetrics." if origin.endswith("pyproject.toml") else ""
    _check(values, where, prefix)
    for key in ("select", "extend-select", "ignore", "extend-ignore"):
        check_selectors(values.get(key, ()), f"{where}: {prefix}{key}")
    per_file: dict[str, tuple[str, ...]] = {}
    for key in ("per-file-ignores", "extend-per-file-ignores"):
        for pattern, selectors in values.get(key, {}).items():
            check_selectors(selectors, f"{where}: {prefix}{key}.{pattern!r}")
            per_file[pattern] = (*per_file.get(pattern, ()), *selectors)
    target = values.get("target", {})
    return Settings(
        select=(*values.get("select", ("ALL",)), *values.get("extend-select", ())),
        ignore=(*values.get("ignore", ()), *values.get("extend-ignore", ())),
        exclude=(*values.get("exclude", ()), *values.get("extend-exclude", ())),
        per_file_ignores=per_file,
        lightning_bases=tuple(values.get("lightning-bases", ())),
        style=values.get("style", "auto"),
        target_lightning=target.get("lightning", values.get("target-lightning", "")),
        target_torchmetrics=target.get("torchmetrics", values.get("target-torchmetrics", "")),
        root=root,
        origin=origin if os.path.isabs(origin) else "",
    )


def check_selectors(selectors: Sequence[str], where: str) -> None:
    """Check that each selector means at least one rule.

    Raises:
        ConfigError: one does not; names the nearest that does.
    """
    unknown = [item for item in selectors if item != "ALL"]
    if not unknown:
        return
    from lintmetrics import packs

    rules = packs.rules().values()
    for selector in unknown:
        if any(packs.matches(selector, rule) for rule in rules if selector):
            continue
        words = [word for rule in rules for word in (rule.code, rule.name)]
        near = _near(selector, words) or _near(selector.upper(), words)
        hint = f"did you mean {near}?" if near else "`lintmetrics rules` lists them"
        raise ConfigError(f"{where}: no rule is called {selector!r}; {hint}")


def shown_settings(settings: Settings) -> str:
    """Return settings as the TOML that would spell them."""
    import json

    lines = [f"# {settings.origin or 'defaults: no config file was found'}"]
    for key in ("select", "ignore", "exclude", "lightning_bases"):
        value = json.dumps(list(getattr(settings, key)), ensure_ascii=False)
        lines.append(f"{key.replace('_', '-')} = {value}")
    lines.append(f"style = {json.dumps(settings.style)}")
    for library, version in settings.targets.items():
        place = settings.pinned_at.get(library)
        remark = f"  # pinned at {place}" if place else ""
        lines.append(f"target-{library} = {json.dumps(version or NEWEST)}{remark}")
    if settings.per_file_ignores:
        lines.append("\n[per-file-ignores]")
        for pattern, selectors in settings.per_file_ignores.items():
            lines.append(f"{json.dumps(pattern)} = {json.dumps(list(selectors))}")
    return "\n".join(lines)
