"""Python that is newer than the one that runs is read with the same offsets."""

from __future__ import annotations

import ast
import contextlib
import sys
import warnings

import pytest

from lintmetrics import syntax
from lintmetrics.errors import SourceError
from lintmetrics.source import Source
from lintmetrics.sources import decode

OLDEST = (3, 10)


def read(text: str) -> Source:
    return decode(text.encode(), "a.py")


def masked(text: str) -> str:
    """Return the view that an old Python is given, without asking the running one."""
    code = syntax._masked(text, OLDEST)
    assert code is not None
    assert len(code) == len(text)
    assert [i for i, c in enumerate(code) if c == "\n"] == [
        i for i, c in enumerate(text) if c == "\n"
    ]
    return code


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("type X = int | str\n", "X=0               \n"),
        ("if a:\n    type Xy[T] = list[T]\n", "if a:\n    Xy=0                \n"),
        ("def f[T: int = str](x: T): pass\n", "def f              (x: T): pass\n"),
        ("class A[*Ts, **P](B): pass\n", "class A          (B): pass\n"),
        ("async def f[\n    T,\n](x): pass\n", "async def f\\\n     \\\n (x): pass\n"),
        ("try:\n    x\nexcept* E:\n    y\n", "try:\n    x\nexcept  E:\n    y\n"),
        ("def f(*a: *Ts): pass\n", "def f(*a:  Ts): pass\n"),
        ("x = a[*b, 1]\n", "x = a[ b, 1]\n"),
        ("é = a[*b]; type Ü = é\n", "é = a[ b]; Ü=0       \n"),
    ],
)
def test_new_constructs_become_old_ones_of_the_same_length(text: str, seen: str) -> None:
    assert masked(text) == seen
    ast.parse(seen, feature_version=OLDEST)


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="this Python reads them itself")
@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ('k = f"{d["a"]}_acc"\n', 'k = f"{___   }_acc"\n'),
        ('k = f"{stage}_{d["a"]}"\n', 'k = f"{stage}_{___   }"\n'),
        ('k = "x" f"{d["a"]}" "y"\n', 'k = "x" f"{___   }" "y"\n'),
        ("k = f'{'\\n'.join(x)}'\n", "k = f'{___         }'\n"),
        ('k = f"{\n  d\n}"\n', "k = (_ \n   \n )\n"),
    ],
)
def test_new_fstrings_keep_what_can_be_read(text: str, seen: str) -> None:
    source = read(text)
    tree = syntax.parse(source)
    assert source.code == seen
    assert source.text == text
    assert isinstance(tree.body[0], ast.Assign)


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="this Python reads them itself")
def test_template_strings_become_an_unknown_name() -> None:
    source = read('x = t"{a} b"\nself.log("k", y)\n')
    tree = syntax.parse(source)
    assert source.code.startswith("x = ___     \n")
    assert source.segment(tree.body[1]) == 'self.log("k", y)'


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="this Python reads them itself")
def test_exceptions_without_parentheses_are_read() -> None:
    source = read("try:\n    x\nexcept A, B:\n    y = 1\n")
    statement = syntax.parse(source).body[0]
    assert isinstance(statement, ast.Try)
    assert source.segment(statement.handlers[0].body[0]) == "y = 1"


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="this Python reads it itself")
def test_offsets_hold_in_the_text_of_the_author() -> None:
    text = "type é = int\r\nclass A[T](B):\r\n    def f(self):\r\n        self.log('é', 1)\r\n"
    source = read(text)
    tree = syntax.parse(source)
    (call,) = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    assert source.segment(call) == "self.log('é', 1)"
    assert source.text == text


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("def f(:\n", 1),
        ("x = 1\nprint 'a'\n", 2),
        ("if x:\n\ty\n        z\n", 3),
        ("x = (\n", 1),
    ],
)
def test_what_is_no_python_is_said_with_its_line(text: str, line: int) -> None:
    with pytest.raises(SourceError, match="syntax error") as caught:
        syntax.parse(read(text))
    assert caught.value.line == line
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 5000 + ")" * 5000,
        "type X = " + "(" * 5000 + ")" * 5000,
        "-" * 200_000 + "1",
        "a" + ".b" * 90_000,
    ],
)
def test_nesting_beyond_the_parser_is_said_or_survived(text: str) -> None:
    with contextlib.suppress(SourceError):
        syntax.parse(read(text))


def test_warnings_about_the_code_read_stay_out_of_the_report() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        syntax.parse(read("x = '\\d'\nassert (x, 'y')\n1 is 1\n"))


def test_newlines_of_all_kinds_are_lines() -> None:
    source = read("a = 1\rb = 2\r\nc = 3\n")
    tree = syntax.parse(source)
    assert [source.segment(statement) for statement in tree.body] == ["a = 1", "b = 2", "c = 3"]
