"""Notebooks are one module of code; everything else in the file stays as it is."""

from __future__ import annotations

import ast
import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lintmetrics import syntax
from lintmetrics.errors import SourceError
from lintmetrics.source import Source
from lintmetrics.sources import decode


def notebook(*sources: str | list[str], indent: int | None = 1, **metadata: Any) -> bytes:
    """Return a notebook with a Markdown cell and then these code cells."""
    cells: list[dict[str, Any]] = [
        {"cell_type": "markdown", "metadata": {}, "source": ["# Title\n", "%magic"]}
    ]
    for number, source in enumerate(sources, 1):
        output = {"output_type": "stream", "name": "stdout", "text": ["é\u2028 </b>\n"]}
        cells.append(
            {"cell_type": "code", "execution_count": number, "id": f"c{number}"}
            | {"metadata": {"z": 1, "a": 2}, "outputs": [output], "source": source}
        )
    whole = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, indent=indent, ensure_ascii=False).encode() + b"\n"


def read(*sources: str | list[str]) -> Source:
    return decode(notebook(*sources), "n.ipynb")


def view(cell: str) -> str:
    """Return what the parser sees of one cell."""
    source = read(cell)
    return source.code.split("\n#\x1f")[0]


CELL_TEXT = st.text(st.sampled_from("ab %!?=\n\r\t'\"\\#(){}[]é\u2028\U0001f600"), max_size=40)
CELLS = st.lists(st.one_of(CELL_TEXT, st.lists(CELL_TEXT, max_size=4)), max_size=5)


@settings(deadline=None)
@given(CELLS, st.sampled_from([None, 0, 1, 4]))
@example([[], "", ["a\n", "b"]], 1)
def test_an_unchanged_text_gives_the_same_bytes(cells: list[Any], indent: int | None) -> None:
    data = notebook(*cells, indent=indent)
    source = decode(data, "n.ipynb")
    assert source.container.pack(source.text) == data
    assert len(source.code) == len(source.text)


@settings(deadline=None)
@given(CELLS, st.integers(0, 4), CELL_TEXT)
def test_a_changed_cell_changes_nothing_else(cells: list[Any], index: int, new: str) -> None:
    if index >= len(cells):
        return
    source = decode(notebook(*cells), "n.ipynb")
    container: Any = source.container
    texts = [cell.text for cell in container.cells]
    texts[index] = new
    packed = container.pack(container.join(texts))
    wanted = json.loads(notebook(*cells))
    got = json.loads(packed)
    assert "".join(got["cells"][index + 1].pop("source")) == new
    wanted["cells"][index + 1].pop("source")
    assert got == wanted
    # The layout outside the cell is untouched, too.
    cell = container.cells[index]
    raw = container.raw.encode()
    assert packed.startswith(container.raw[: cell.start].encode())
    assert packed.endswith(container.raw[cell.end :].encode())
    assert raw == notebook(*cells)


def test_a_line_added_is_one_line_added_to_the_file() -> None:
    source = read(["import torch\n", "x = 1\n", "y = 'é</a>'"], "z = 1")
    before = source.container.pack(source.text).decode().splitlines()
    after = source.container.pack(source.text.replace("x = 1\n", "x = 1\nnew = 2\n"))
    added = [line for line in after.decode().splitlines() if line not in before]
    assert added == ['    "new = 2\\n",']
    assert len(after.decode().splitlines()) == len(before) + 1


def test_escapes_of_lines_that_stay_are_kept() -> None:
    data = notebook(["SLASH\n", "b = 1"]).replace(b"SLASH", rb"u = '\u00e9 <\/b>'")
    source = decode(data, "n.ipynb")
    assert source.text.startswith("u = 'é </b>'\n")
    packed = source.container.pack(source.text.replace("b = 1", "b = 2"))
    assert packed == data.replace(b"b = 1", b"b = 2")


def test_an_insertion_at_the_border_stays_in_its_cell() -> None:
    source = read("a = 1", "b = 2")
    end_of_first = source.text.index("\n") + 1
    text = source.text[:end_of_first] + "c = 3\n" + source.text[end_of_first:]
    cells = json.loads(source.container.pack(text))["cells"]
    assert [cell["source"] for cell in cells[1:]] == ["a = 1\nc = 3", "b = 2"]
    start_of_second = source.text.index("b = 2")
    text = source.text[:start_of_second] + "c = 3\n" + source.text[start_of_second:]
    cells = json.loads(source.container.pack(text))["cells"]
    assert [cell["source"] for cell in cells[1:]] == ["a = 1", "c = 3\nb = 2"]


def test_a_change_across_a_border_is_refused() -> None:
    source = read("a = 1", "b = 2")
    with pytest.raises(SourceError, match="border"):
        source.container.pack("a = 1\nb = 2\n")


def test_places_are_told_by_cell() -> None:
    source = read("a = 1\nb = 2\n", "c = 3")
    place = source.location(source.text.index("c = 3"))
    assert (place.cell, place.line, place.column) == (3, 1, 1)
    place = source.location(source.text.index("b = 2"))
    assert (place.cell, place.line, place.column) == (2, 2, 1)


@pytest.mark.parametrize(
    ("cell", "seen"),
    [
        ("%matplotlib inline\nx = 1", "0                 \nx = 1"),
        ("!pip install -q 'a\nx = 1", "0                 \nx = 1"),
        ("!ls \\\n  -la\nx", "0    \n     \nx"),
        ("files = !ls *.py\nx", "files = 0       \nx"),
        ("t = %timeit -o f()", "t = 0             "),
        ("a, b = %magic (", "a, b = 0       "),
        ("x = a != b", "x = a != b"),
        ("x = (a\n  % b)\n%time y", "x = (a\n  % b)\n0      "),
        ("s = '''\n%time\n!ls\n'''\n!ls", "s = '''\n%time\n!ls\n'''\n0  "),
        ("for i in y:\n    %time i\n    !echo", "for i in y:\n    0      \n    0    "),
        ("model.fit?", "0         "),
        ("?model\nx??", "0     \n0  "),
        ("x = 1  # what?", "x = 1  # what?"),
        ("# %time\nx", "# %time\nx"),
        ("%%bash\necho 'x\n", "0     \n       \n"),
        ("%%time\nx = 1\n!ls", "0     \nx = 1\n0  "),
        ("%%capture out --no-stderr\nx", "0                        \nx"),
        ("\n\n%%html\n<b>", "\n\n0     \n   "),
        ("x = y \\\n  % z", "x = y \\\n  % z"),
        ("print('a?')", "print('a?')"),
        ("x = 'it''s' + \"\\\"\" # '\n!ls", "x = 'it''s' + \"\\\"\" # '\n0  "),
        ("f(a,\n  b='%s'\n)\n%cd ..", "f(a,\n  b='%s'\n)\n0     "),
        ("d = {'a': 1}\nd['a']?", "d = {'a': 1}\n0      "),
        ("if x == y: pass\n!ls", "if x == y: pass\n0  "),
    ],
)
def test_magics_are_placeholders_of_the_same_length(cell: str, seen: str) -> None:
    assert view(cell) == seen
    assert isinstance(syntax.parse(read(cell)), ast.Module)


def test_version_three_notebooks_are_read() -> None:
    sheet = {
        "cells": [
            {"cell_type": "code", "language": "python", "input": ["x = 1\n", "y = 2"]},
            {"cell_type": "code", "language": "ruby", "input": "puts 1"},
            {"cell_type": "heading", "source": "x"},
        ]
    }
    data = json.dumps({"metadata": {}, "nbformat": 3, "worksheets": [sheet]}).encode()
    source = decode(data, "n.ipynb")
    assert source.text == "x = 1\ny = 2\n#\x1f\n"
    assert source.container.pack(source.text) == data


@pytest.mark.parametrize(
    ("metadata", "taken"),
    [
        ({"kernelspec": {"language": "R", "name": "ir"}}, False),
        ({"language_info": {"name": "julia"}}, False),
        ({"language_info": {"name": "python"}, "kernelspec": {"language": "python"}}, True),
        ({"kernelspec": None}, True),
        ({}, True),
    ],
)
def test_only_python_is_read(metadata: dict[str, Any], taken: bool) -> None:
    source = decode(notebook("x = 1", **metadata), "n.ipynb")
    assert bool(source.text) == taken
    assert isinstance(syntax.parse(source), ast.Module)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (b"{", "not valid JSON"),
        (b'{"cells": [}', "not valid JSON"),
        (b'{"cells": [{"cell_type": "code", "source": "x}]}', "not valid JSON"),
        (b'{"cells": []} trailing', "not valid JSON"),
        (b"[]", "not a notebook"),
        (b"{}", "not a notebook"),
        (b'{"cells": {}}', "not a notebook"),
        (b"\xff\xfe{\0", "not UTF-8"),
        (b"<<<<<<< HEAD\n{}", "not valid JSON"),
        (b'{"a":' + b"[" * 100_000, "nested too deeply"),
        (b'{"cells": [{"cell_type": "code", "source": "\\u0000"}]}', "NUL"),
    ],
)
def test_what_is_no_notebook_is_said_in_one_line(data: bytes, reason: str) -> None:
    with pytest.raises(SourceError, match=reason) as caught:
        decode(data, "n.ipynb")
    assert "\n" not in str(caught.value)


def test_odd_cells_are_passed_over() -> None:
    cells: list[Any] = [1, None, {"cell_type": "code"}, {"cell_type": "code", "source": [1]}]
    cells += [{"cell_type": "code", "source": None}, {"cell_type": 3, "source": "x"}]
    cells += [{"cell_type": "code", "source": "ok"}]
    source = decode(json.dumps({"cells": cells}).encode(), "n.ipynb")
    assert source.text == "ok\n#\x1f\n"
    assert source.container.locate(1) == (7, 1)


def test_a_mark_of_byte_order_is_kept() -> None:
    data = b"\xef\xbb\xbf" + notebook("x = 1")
    source = decode(data, "n.ipynb")
    assert source.container.pack(source.text) == data


def test_a_syntax_error_is_told_by_cell() -> None:
    with pytest.raises(SourceError, match=r"cell 3, line 2: syntax error"):
        syntax.parse(read("x = 1", "y = 1\ndef (:\n"))


def test_windows_newlines_in_cells_are_kept() -> None:
    source = read("a = 1\r\nb = 2\r\n", "c\r\n")
    text = source.text.replace("b = 2\r\n", "b = 2\r\nnew\r\n")
    cells = json.loads(source.container.pack(text))["cells"]
    assert [cell["source"] for cell in cells[1:]] == ["a = 1\r\nb = 2\r\nnew\r\n", "c\r\n"]
