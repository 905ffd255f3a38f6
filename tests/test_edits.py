"""The applier and the editor: what is outside an edit stays byte for byte, whatever the layout."""

from __future__ import annotations

import ast
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lintmetrics.edits import (
    CannotEdit,
    Edit,
    Editor,
    EditSet,
    FunctionNode,
    apply,
    conflicts,
)
from lintmetrics.project import Module, Project
from lintmetrics.source import Source


class _Plain:
    def pack(self, text: str) -> bytes:
        return text.encode()

    def locate(self, line: int) -> tuple[int | None, int]:
        return None, line


def parsed(text: str) -> Module:
    """Return a text as a module of a project of its own."""
    source = Source("m.py", text, _Plain())
    project = Project(lambda path: (source, ast.parse(source.code)))
    module = project.module_at("m.py")
    assert module is not None
    return module


def functions(module: Module) -> list[FunctionNode]:
    """Return every function of a module, in order."""
    return [
        node
        for node in ast.walk(module.tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]


# The applier ------------------------------------------------------------------------------------


@st.composite
def planned(draw: st.DrawFn) -> tuple[str, list[Edit]]:
    text = draw(st.text(alphabet="ab\r\né(", max_size=40))
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=8)))
    pairs = list(pairwise(cuts))[::2]
    new = draw(st.lists(st.text(max_size=4), min_size=len(pairs), max_size=len(pairs)))
    edits = [Edit("m.py", a, b, n) for (a, b), n in zip(pairs, new, strict=True)]
    return text, draw(st.permutations(edits))


@settings(deadline=None)
@given(planned())
def test_edits_in_any_order_replace_their_ranges_and_nothing_else(
    case: tuple[str, list[Edit]],
) -> None:
    text, edits = case
    expected = text
    for edit in sorted(edits, reverse=True):
        expected = expected[: edit.start] + edit.new + expected[edit.end :]
    assert apply(text, edits) == expected


@settings(deadline=None)
@given(planned())
def test_an_edit_planned_twice_is_made_once(case: tuple[str, list[Edit]]) -> None:
    text, edits = case
    assert apply(text, [*edits, *edits]) == apply(text, edits)


def test_edits_that_overlap_are_refused() -> None:
    with pytest.raises(ValueError, match="overlap"):
        apply("abcdef", [Edit("m.py", 0, 3, "x"), Edit("m.py", 2, 4, "y")])
    assert conflicts(Edit("m.py", 0, 3, "x"), [Edit("m.py", 2, 4, "y")])
    assert not conflicts(Edit("m.py", 0, 3, "x"), [Edit("m.py", 3, 4, "y")])
    assert not conflicts(Edit("m.py", 0, 3, "x"), [Edit("n.py", 0, 3, "y")])


# The editor, over layouts of every kind ---------------------------------------------------------

PARAMETERS = [
    "outputs",
    "outputs: List[Dict[str, Tensor]]",
    'outputs: "List[str]" = ")"',
    "outputs=(1, [2], {3: ')'})",
    "*args, **kwargs",
    "outputs, /",
    "*, outputs=None",
    "outputs: int = 1, unused: Callable[[int], int] = max",
    "",
]
LAYOUTS = [
    "(self, {0}){1}:",
    "(self,{0}){1} :",
    "(\n        self, {0}\n    ){1}:",
    "(\n        self,\n        {0},\n    ){1}:",
    "(  self  ,  {0}  ){1}:",
    "(self, {0}  # type: ignore[override]\n    ){1}:",
    "(self, \\\n        {0}){1}:",
]
BODIES = [
    "        pass",
    '        """Doc."""\n        return 1',
    '        """Doc."""',
    "        # a comment first\n        x = 1  # and one behind\n        return x",
    "\n        x = (1,\n             2)\n\n        if x:\n            return x\n",
    '        """Doc (of\n        two lines."""\n\n        # why\n        for x in y: z = x\n',
    "        x = 1; y = 2",
    "        return \\\n            1",
]
HEADS = [
    "    ",
    "    @wraps(f)\n    ",
    "    @a.b(\n        c,\n    )\n    # note\n    ",
    "    async ",
]
RETURNS = ["", " -> None", ' -> Dict[str, "a)b"]']


@st.composite
def modules(draw: st.DrawFn) -> str:
    """Return a class with methods laid out in odd ways, with any line ending and indentation."""
    methods = []
    for index in range(draw(st.integers(1, 3))):
        parameters = draw(st.sampled_from(PARAMETERS))
        layout = draw(st.sampled_from(LAYOUTS if parameters else ["(self){1}:", "( self ){1}:"]))
        if parameters.startswith("**") or parameters.endswith(("/", "**kwargs")):
            layout = layout.replace("{0},", "{0}")
        signature = layout.format(parameters, draw(st.sampled_from(RETURNS)))
        body = draw(st.sampled_from(BODIES))
        methods.append(
            f"{draw(st.sampled_from(HEADS))}def method{index}{signature}"
            f"{draw(st.sampled_from(['', '  # behind the def']))}\n{body}\n"
        )
    text = "# é: more bytes than letters\nclass M(Base):\n" + "\n".join(methods)
    text += draw(st.sampled_from(["", "\n", "\n\nx = 1\n"]))
    if draw(st.booleans()):
        text = text.removesuffix("\n")
    if draw(st.booleans()):
        text = text.replace("    ", "\t")
    return text.replace("\n", draw(st.sampled_from(["\n", "\r\n"])))


def _is_subsequence(lines: list[str], of: list[str]) -> bool:
    rest = iter(of)
    return all(line in rest for line in lines)


@settings(max_examples=150, deadline=None)
@given(modules())
def test_only_the_first_parameter_stays(text: str) -> None:
    ast.parse(text)
    module = parsed(text)
    for function in functions(module):
        editor = Editor()
        editor.keep_first_parameter(module, function)
        after = apply(text, editor.edits)
        (changed,) = [f for f in functions(parsed(after)) if f.name == function.name]
        left = changed.args
        assert [a.arg for a in (*left.posonlyargs, *left.args)] == ["self"]
        assert not any((left.vararg, left.kwarg, left.kwonlyargs))
        assert [ast.dump(s) for s in changed.body] == [ast.dump(s) for s in function.body]
        for edit in editor.edits:
            assert text[edit.end :] == after[len(after) - len(text) + edit.end :]
            assert text[: edit.start] == after[: edit.start]
        again = Editor()
        second = parsed(after)
        again.keep_first_parameter(
            second, next(f for f in functions(second) if f.name == function.name)
        )
        assert not again.edits or apply(after, again.edits) == after


@settings(max_examples=150, deadline=None)
@given(modules())
def test_lines_put_at_the_start_and_the_end_of_a_body_are_all_that_is_new(text: str) -> None:
    module = parsed(text)
    for function in functions(module):
        for put in (Editor.insert_at_body_start, Editor.append_to_body):
            editor = Editor()
            try:
                put(editor, module, function, ["new()", "if new:", "    new()"])
            except CannotEdit:
                continue
            after = apply(text, editor.edits)
            (changed,) = [f for f in functions(parsed(after)) if f.name == function.name]
            before = [ast.dump(s) for s in function.body]
            dumped = [ast.dump(s) for s in changed.body]
            assert len(dumped) == len(before) + 2
            assert _is_subsequence(before, dumped)
            assert _is_subsequence(text.rstrip("\r\n").splitlines(), after.splitlines())
            assert ("\r\n" in after) == ("\r\n" in text)


@settings(max_examples=100, deadline=None)
@given(modules(), st.data())
def test_a_removed_statement_takes_nothing_with_it(text: str, data: st.DataObject) -> None:
    module = parsed(text)
    statements = [s for f in functions(module) for s in f.body]
    statement = data.draw(st.sampled_from(statements))
    editor = Editor()
    try:
        editor.remove(module, statement)
    except CannotEdit:
        return
    after = apply(text, editor.edits)
    kept = [s for s in ast.walk(parsed(after).tree) if isinstance(s, ast.stmt)]
    assert len(kept) >= 2
    comments = [line.split("#")[1] for line in text.splitlines() if "#" in line]
    assert all(comment in after for comment in comments)


@settings(max_examples=100, deadline=None)
@given(modules())
def test_what_goes_into_init_stands_behind_super(text: str) -> None:
    module = parsed(text)
    (cls,) = module.class_nodes
    editor = Editor()
    editor.insert_in_init(module, cls, ["self.outputs = []"])
    after = apply(text, editor.edits)
    (init,) = [f for f in functions(parsed(after)) if f.name == "__init__"]
    assert ast.unparse(init.body[-1]) == "self.outputs = []"
    assert _is_subsequence(text.splitlines(), after.splitlines())


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("super().__init__()\n", ["super().__init__()", "new()"]),
        ("Base.__init__(self, 1)\n        x = 1\n", ["Base.__init__(self, 1)", "new()", "x = 1"]),
        ("x = 1\n        super(M, self).__init__()  # up\n", ["x = 1", "super", "new()"]),
        ("if x:\n            super().__init__()\n", ["new()", "if x"]),
        ('"""Doc."""\n        return\n', ['"""Doc', "new()", "return"]),
    ],
    ids=["super", "named base", "later", "conditional", "none"],
)
def test_init_is_extended_right_behind_the_call_of_its_base(
    before: str, expected: list[str]
) -> None:
    module = parsed(f"class M(Base):\n    def __init__(self):\n        {before}")
    editor = Editor()
    editor.insert_in_init(module, module.class_nodes[0], ["new()"])
    lines = [
        line.strip()
        for line in apply(module.source.text, editor.edits).splitlines()[2:]
        if not line.startswith("            ")
    ]
    assert len(lines) == len(expected)
    assert all(a.startswith(b) for a, b in zip(lines, expected, strict=True))


def test_a_parameter_with_something_to_say_is_not_dropped() -> None:
    module = parsed("def f(self,\n      outputs,  # one for each batch\n      ): pass\n")
    with pytest.raises(CannotEdit, match="comment"):
        Editor().keep_first_parameter(module, functions(module)[0])


def test_two_changes_of_one_place_are_refused() -> None:
    module = parsed("x = 1\n")
    editor = Editor()
    editor.replace(module, module.tree.body[0], "y = 1")
    with pytest.raises(CannotEdit, match=r"meet at m\.py:1"):
        editor.replace_range(module, 2, 3, "+=")


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 4), st.sampled_from("ab"))))
def test_a_set_of_edits_answers_as_a_search_through_all_of_them(
    drawn: list[tuple[int, int, str]],
) -> None:
    kept = EditSet()
    for start, length, new in drawn:
        edit = Edit("m.py", start, start + length, new)
        assert kept.clashes(edit) == conflicts(edit, kept)
        if not kept.clashes(edit):
            kept.add(edit)
