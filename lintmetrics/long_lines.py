"""Lines that fixes made longer than the file's others, broken as Black would break them.

A line is broken at its last bracket, or in parentheses of its own around the operators of a value;
what is inside stands on one line where it fits, else each part on its own. Lines that stand as
their author wrote them are left alone, and so are those that hold comments or parts of a text.
"""

from __future__ import annotations

import io
import keyword
import tokenize
from collections.abc import Sequence

from lintmetrics.edits import Edit
from lintmetrics.source import Source

_WIDTH = 100
_WIDEST = 120
_STEP = "    "
_OPENING = frozenset("([{")
_CLOSING = frozenset(")]}")
# What is broken first has the higher number, as Black ranks them.
_COMPREHENSION, _COMMA, _TERNARY, _LOGIC = 20, 18, 16, 14
_RANKS = dict.fromkeys(("<", ">", "<=", ">=", "==", "!=", "in", "not", "is"), 10)
_RANKS |= {"|": 9, "^": 8, "&": 7, "<<": 6, ">>": 6, "+": 5, "-": 5}
_RANKS |= dict.fromkeys(("*", "/", "//", "%", "@"), 4)
_HEADS = ("return", "assert", "if", "elif", "while")
_LAYOUT = ("NEWLINE", "NL", "INDENT", "DEDENT", "ENDMARKER")

_Tokens = Sequence[tokenize.TokenInfo]


class _CannotBreak(Exception):
    """The line is laid out in a way that is not understood."""


def broken_lines(before: str, after: Source) -> tuple[Edit, ...]:
    """Return the edits that break the lines that fixes made too long.

    Args:
        before: the text of the file as its author left it.
        after: the file as the fixes made it.
    """
    known = set(before.splitlines())
    width = _width(known)
    lines = after.text.splitlines()
    long = [n for n, line in enumerate(lines, 1) if len(line) > width and line not in known]
    if not long:
        return ()
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(after.code).readline))
    except (tokenize.TokenError, SyntaxError):
        return ()
    edits: list[Edit] = []
    for number in long:
        line = lines[number - 1]
        row, depth, ends = _row(tokens, number, line)
        try:
            done = _broken(row, depth, width, ends)
        except _CannotBreak:
            continue
        begin = after.offset(number, 0)
        start, end = begin + len(line) - len(line.lstrip()), begin + len(line.rstrip())
        indent = after.indent_of(start)
        if indent.startswith("\t"):
            done = [_with_tabs(part) for part in done]
        text = (after.newline + indent).join(done)
        edits.append(Edit(after.path, start, end, text))
    return tuple(edits)


def _width(lines: set[str]) -> int:
    """Return how long lines of a file may be: as its longest, within reason."""
    longest = max((len(line) for line in lines if "http" not in line), default=0)
    return min(max(longest, _WIDTH), _WIDEST)


def _with_tabs(line: str) -> str:
    body = line.lstrip()
    return "\t" * ((len(line) - len(body)) // len(_STEP)) + body


def _row(tokens: _Tokens, number: int, line: str) -> tuple[list[tokenize.TokenInfo], int, bool]:
    """Return the tokens of a line, with how many brackets are open where it begins.

    The last of it tells whether a bracket closes right behind the line.
    """
    row: list[tokenize.TokenInfo] = []
    depth = inside = 0
    ends = False
    for token in tokens:
        kind = tokenize.tok_name[token.type]
        if token.end[0] < number:
            if token.type == tokenize.OP:
                depth += (token.string in _OPENING) - (token.string in _CLOSING)
            continue
        if kind in _LAYOUT:
            continue
        if token.start[0] > number:
            ends = token.string in _CLOSING
            break
        # Since Python 3.12 a formatted string is several tokens; here it is one.
        if inside:
            row[-1] = row[-1]._replace(end=token.end)
        else:
            row.append(token._replace(line=line))
        inside += (kind == "FSTRING_START") - (kind == "FSTRING_END")
        if kind == "FSTRING_START" and inside == 1:
            row[-1] = row[-1]._replace(type=tokenize.STRING)
    return row, depth, ends


def _broken(row: _Tokens, depth: int, width: int, ends: bool) -> list[str]:
    """Return the lines that one becomes, without the indentation that all of them share."""
    if not row or any(t.type == tokenize.COMMENT or t.start[0] != t.end[0] for t in row):
        raise _CannotBreak
    if any(token.string in (";", "lambda") for token in row):
        raise _CannotBreak
    width -= row[0].start[1]
    tail = ""
    if row[-1].string in (",", ":") and len(row) > 1:
        tail, row = row[-1].string, row[:-1]
    if _text(row) + tail != row[0].line.strip():
        raise _CannotBreak  # It goes on behind a backslash.
    if depth and max(_ranked(row).values(), default=0) == _COMMA and (ends or tail == ","):
        # All that brackets hold stood on this line; now each part has its own.
        _value_at(row)
        parts = _pieces(row, _ranked(row), _COMMA)
        done = [line for part in parts for line in _fitted(part, ",", width)]
    else:
        done = _element(row, tail, width) if depth else _statement(row, tail, width)
    if max(map(len, done)) > width:
        raise _CannotBreak
    return done


def _statement(row: _Tokens, tail: str, width: int) -> list[str]:
    """Break a statement, or the head of one."""
    value = _value_at(row)
    rest = row[value:]
    ranks = _ranked(rest)
    best = max(ranks.values(), default=0)
    head = f"{_text(row[:value])} ("
    if value and best == _COMMA:
        return [head, *_inside(rest, width, ends=True, literal=True), f"){tail}"]
    if value and best and _needs_parentheses(row, rest, ranks, width):
        return [head, *_inside(rest, width, ends=False), f"){tail}"]
    calls = _chained(rest)
    if value and not best and len(calls) > 1:
        whole = [rest] if len(_text(rest)) <= width - len(_STEP) else _pieces(rest, calls, 1)
        return [head, *(_STEP + _text(part) for part in whole), f"){tail}"]
    return _at_last_bracket(row, tail, width)


def _chained(row: _Tokens) -> dict[int, int]:
    """Return the dots of methods that are called on what methods answered."""
    found: dict[int, int] = {}
    depth = 0
    for index, token in enumerate(row):
        depth += (token.string in _OPENING) - (token.string in _CLOSING)
        if token.string == "." and not depth and index and row[index - 1].string in _CLOSING:
            found[index] = 1
    return found


def _element(row: _Tokens, tail: str, width: int) -> list[str]:
    """Break what stands on lines of its own inside brackets."""
    _value_at(row)
    ranks = _ranked(row)
    best = max(ranks.values(), default=0)
    if best == _COMMA:
        raise _CannotBreak
    if not best:
        return _at_last_bracket(row, tail, width)
    lines = [part for piece in _pieces(row, ranks, best) for part in _fitted(piece, "", width)]
    return [*lines[:-1], lines[-1] + tail]


def _fitted(row: _Tokens, tail: str, width: int) -> list[str]:
    line = _text(row) + tail
    return [line] if len(line) <= width else _element(row, tail, width)


def _value_at(row: _Tokens) -> int:
    """Return where the value begins that may get parentheses of its own; 0 where none may."""
    at = depth = 0
    for index, token in enumerate(row):
        depth += (token.string in _OPENING) - (token.string in _CLOSING)
        if depth < 0:
            raise _CannotBreak
        if depth or token.type != tokenize.OP or token.string[-1:] != "=":
            continue
        is_argument = token.string == "=" and row[index - 1].end == token.start
        if not is_argument and token.string not in _RANKS:
            at = index + 1
    if depth:
        raise _CannotBreak
    return 1 if not at and row[0].string in _HEADS else at


def _needs_parentheses(row: _Tokens, rest: _Tokens, ranks: dict[int, int], width: int) -> bool:
    """Tell whether a value is broken at its operators, and not at its last bracket."""
    best = max(ranks.values())
    if list(ranks.values()).count(best) > 1 or rest[-1].string not in _CLOSING:
        return True
    opening = len(row) - len(rest) + _opening(rest, len(rest) - 1)
    return opening == len(row) - 2 or len(_text(row[: opening + 1])) > width


def _at_last_bracket(row: _Tokens, tail: str, width: int) -> list[str]:
    """Break at the last bracket that holds something and leaves a short head."""
    close = len(row) - 1
    while close > 0:
        if row[close].string in _CLOSING:
            opening = _opening(row, close)
            head = _text(row[: opening + 1])
            if close - opening > 1 and len(head) <= width:
                literal = opening == 0 or not _ends_operand(row[opening - 1])
                body = _inside(row[opening + 1 : close], width, True, literal)
                return [head, *body, _text(row[close:]) + tail]
            close = opening
        close -= 1
    raise _CannotBreak


def _inside(row: _Tokens, width: int, ends: bool, literal: bool = False) -> list[str]:
    """Return what stands in brackets, on lines of its own.

    Args:
        row: what stands there.
        width: how long lines may be.
        ends: whether the last of several parts ends with a comma.
        literal: whether it is the display of a list, dict or tuple.
    """
    ranks = _ranked(row)
    best = max(ranks.values(), default=0)
    inner = width - len(_STEP)
    in_parts = best == _COMMA and (literal or row[-1].string == ",")
    if not in_parts and len(_text(row)) <= inner:
        return [_STEP + _text(row)]
    if not best:
        return [_STEP + line for line in _at_last_bracket(row, "", inner)]
    comma = "," if best == _COMMA and ends else ""
    return [
        _STEP + line for piece in _pieces(row, ranks, best) for line in _fitted(piece, comma, inner)
    ]


def _pieces(row: _Tokens, ranks: dict[int, int], best: int) -> list[_Tokens]:
    """Return the parts between commas, or those that begin with an operator."""
    pieces: list[_Tokens] = []
    begun = 0
    for index in sorted(i for i, rank in ranks.items() if rank == best):
        if best == _COMMA or index > begun:
            pieces.append(row[begun:index])
            begun = index + (best == _COMMA)
    return [*pieces, row[begun:]] if begun < len(row) else pieces


def _ranked(row: _Tokens) -> dict[int, int]:
    """Return the rank of each token outside all brackets at which a row may be broken."""
    found: dict[int, int] = {}
    depth = 0
    is_comprehension = False
    for index, token in enumerate(row):
        text = token.string
        depth += (text in _OPENING) - (text in _CLOSING)
        if depth:
            continue
        if text == ",":
            found[index] = _COMMA
        elif text == "for" or (text == "async" and row[index + 1].string == "for"):
            is_comprehension = True
            found[index] = _COMPREHENSION
        elif text in ("if", "else"):
            found[index] = _COMPREHENSION if is_comprehension else _TERNARY
        elif text in ("and", "or"):
            found[index] = _LOGIC
        elif text in _RANKS and index and _ends_operand(row[index - 1]):
            found[index] = _RANKS[text]
    return found


def _ends_operand(token: tokenize.TokenInfo) -> bool:
    """Tell whether a token ends a value, so that an operator or a bracket behind it is of it."""
    if token.type == tokenize.NAME:
        return not keyword.iskeyword(token.string) or token.string in ("None", "True", "False")
    return token.type in (tokenize.NUMBER, tokenize.STRING) or token.string in _CLOSING


def _opening(row: _Tokens, close: int) -> int:
    """Return where the bracket opens that a token closes."""
    depth = 0
    for index in range(close, -1, -1):
        depth += (row[index].string in _CLOSING) - (row[index].string in _OPENING)
        if depth == 0:
            return index
    raise _CannotBreak


def _text(row: _Tokens) -> str:
    """Return tokens as the source has them."""
    return row[0].line[row[0].start[1] : row[-1].end[1]] if row else ""
