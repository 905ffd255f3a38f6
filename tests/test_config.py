"""What a config file may say, which one counts, and how mistakes are named."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from lintmetrics import packs
from lintmetrics.config import CommandLine, ConfigError, Configuration, Settings, shown_settings

CODE, OTHER = list(packs.rules())[:2]
NAME = packs.rules()[CODE].name


@pytest.fixture(autouse=True)
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def settings(text: str, name: str = "lintmetrics.toml", **line: object) -> Settings:
    Path(name).write_text(text)
    return Configuration(CommandLine(**line)).settings_for("a.py")  # type: ignore[arg-type]


def test_every_key_is_read(tree: Path) -> None:
    found = settings(f"""
        select = ["{CODE}"]
        extend-select = ["{OTHER}"]
        ignore = ["{NAME}"]
        exclude = ["a/"]
        extend-exclude = ["b/"]
        per-file-ignores = {{ "tests/**" = ["{CODE}"] }}
        lightning-bases = ["acme.Base"]
        style = "outputs"
        target = {{ lightning = "2.5", torchmetrics = "1.8" }}
    """)
    assert found == Settings(
        select=(CODE, OTHER),
        ignore=(NAME,),
        exclude=("a/", "b/"),
        per_file_ignores={"tests/**": (CODE,)},
        lightning_bases=("acme.Base",),
        style="outputs",
        target_lightning="2.5",
        target_torchmetrics="1.8",
        root=str(tree),
        origin=str(tree / "lintmetrics.toml"),
    )


def test_versions_may_be_flat_keys() -> None:
    found = settings('target-lightning = "2.5"\ntarget-torchmetrics = "1.8"')
    assert (found.target_lightning, found.target_torchmetrics) == ("2.5", "1.8")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("selct = []", "unknown key selct; did you mean select?"),
        ("per_file_ignores = {}", "unknown key per_file_ignores; did you mean per-file-ignores?"),
        ("zzzzzzzz = 1", "unknown key zzzzzzzz; known keys: select"),
        ("select = 'LM1'", "select must be a list of strings"),
        ("select = [1]", "select must be a list of strings"),
        ("per-file-ignores = { a = 'LM101' }", "per-file-ignores must be a table of lists"),
        ("style = 3", "style must be one of"),
        ("style = 'output'", "unknown style 'output'; did you mean outputs?"),
        ("target-lightning = 2.6", 'target-lightning must be a version in quotes, such as "2.6"'),
        ("target = { lightnin = '2' }", "unknown key target.lightnin; did you mean lightning?"),
        ("target = { lightning = 2 }", "target.lightning must be a version"),
        ("target = '2'", "target must be a table"),
        ("select = [", "not valid TOML"),
        ("ignore = ['average-batch-value']", f"did you mean {NAME}?"),
        (f"select = ['{CODE}9']", f"did you mean {CODE}?"),
        ("per-file-ignores = { 'a.py' = ['LX1'] }", "no rule is called 'LX1'"),
    ],
)
def test_a_mistake_is_named_with_what_is_right(text: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(text)
    assert told in str(caught.value)
    assert str(caught.value).startswith("lintmetrics.toml: ")
    assert "\n" not in str(caught.value)


def test_a_mistake_in_a_project_file_names_the_whole_key() -> None:
    with pytest.raises(ConfigError, match=r"pyproject.toml: unknown key tool.lintmetrics.selct"):
        settings("[tool.lintmetrics]\nselct = []", "pyproject.toml")


def test_the_nearest_file_counts(tree: Path) -> None:
    for name, text in {
        "pyproject.toml": "[tool.lintmetrics]\nstyle = 'outputs'\n",
        "a/pyproject.toml": "[project]\nname = 'about-lintmetrics'\n",
        "a/b/lintmetrics.toml": "style = 'torchmetrics'\n",
        "a/b/pyproject.toml": "[tool.lintmetrics]\nstyle = 'auto'\n",
    }.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    configuration = Configuration()
    assert configuration.settings_for("x.py").style == "outputs"
    assert configuration.settings_for("a/x.py").style == "outputs"
    assert configuration.settings_for("a/x.py").root == str(tree)
    assert configuration.settings_for("a/b/c/x.py").style == "torchmetrics"
    assert configuration.settings_for(str(tree / "a" / "b")).root == str(tree / "a" / "b")


def test_each_file_is_read_once(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree / "lintmetrics.toml").write_text("style = 'outputs'")
    configuration = Configuration()
    configuration.settings_for("a/b/x.py")
    (tree / "lintmetrics.toml").write_text("broken")
    assert configuration.settings_for("a/b/y.py").style == "outputs"
    assert configuration.settings_for("a/z.py").style == "outputs"


def test_isolated_reads_no_file() -> None:
    assert settings("broken", isolated=True).style == "auto"


def test_a_file_may_be_named(tree: Path) -> None:
    (tree / "lintmetrics.toml").write_text("style = 'torchmetrics'")
    (tree / "other.toml").write_text("style = 'outputs'")
    assert Configuration(CommandLine(config=("other.toml",))).settings_for("a.py").style == (
        "outputs"
    )
    (tree / "sub").mkdir()
    (tree / "sub" / "pyproject.toml").write_text("[tool.lintmetrics]\nstyle = 'outputs'")
    line = CommandLine(config=("sub/pyproject.toml",))
    assert Configuration(line).settings_for("a.py").style == "outputs"


@pytest.mark.parametrize(
    "config", [("none.toml",), ("a.toml", "b.toml"), ("styl='auto'",), ("style=outputs",)]
)
def test_a_bad_config_option_is_named(config: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="--config"):
        Configuration(CommandLine(config=config))


def test_a_key_may_be_set_on_the_command_line() -> None:
    line = ("style='outputs'", "target.lightning='2.1'", "target.torchmetrics='1.2'")
    found = settings("style = 'torchmetrics'\nexclude = ['a']", config=line)
    assert (found.style, found.target_lightning, found.exclude) == ("outputs", "2.1", ("a",))
    assert found.target_torchmetrics == "1.2"


def test_a_selection_on_the_command_line_replaces_that_of_the_file() -> None:
    text = f'select = ["{OTHER}"]\nignore = ["{CODE}"]'
    assert settings(text, select=(CODE,)).select == (CODE,)
    assert settings(text, select=(CODE,)).ignore == ()
    extended = settings(text, extend_select=(CODE,))
    assert (extended.select, extended.ignore) == ((OTHER, CODE), ())
    assert settings(text, ignore=(OTHER,)).ignore == (CODE, OTHER)
    assert settings(text, style="outputs").style == "outputs"


@pytest.mark.parametrize("option", ["select", "extend_select", "ignore"])
def test_an_unknown_selector_is_named(option: str) -> None:
    with pytest.raises(ConfigError, match=f"--{option.replace('_', '-')}: no rule is called"):
        Configuration(CommandLine(**{option: ("LM9999",)}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pattern", "path", "ignored"),
    [
        ("tests/**", "tests/a/b.py", True),
        ("tests/", "src/tests/b.py", True),
        ("/tests/", "src/tests/b.py", False),
        ("*.ipynb", "a/n.ipynb", True),
        ("__init__.py", "a/__init__.py", True),
        ("!src/", "tests/a.py", True),
        ("!src/", "src/a.py", False),
    ],
)
def test_ignores_of_single_files(tree: Path, pattern: str, path: str, ignored: bool) -> None:
    found = Settings(per_file_ignores={pattern: (CODE,)}, root=str(tree))
    assert found.ignored_at(path) == ((CODE,) if ignored else ())
    assert found.ignored_at(str(tree / path)) == ((CODE,) if ignored else ())


def test_settings_are_shown_as_they_would_be_written(tree: Path) -> None:
    text = f'style = "outputs"\nper-file-ignores = {{ "a b/**" = ["{CODE}"] }}'
    first = settings(text)
    again = settings(shown_settings(first))
    assert again == first


def test_settings_cross_processes() -> None:
    configuration = Configuration()
    found = configuration.settings_for("a.py")
    assert pickle.loads(pickle.dumps(configuration)).settings_for("a.py") == found
