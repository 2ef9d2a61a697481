"""Code whose instructions were given other places tells them as if it had been compiled there."""

from __future__ import annotations

import ast
import traceback
import types

import pytest

from tracegraph.capture.bytecode.places import Place, moved

TEXT = """
def outer(x):
    values = [x / n for n in range(3, -1, -1)]
    try:
        return values
    finally:
        (lambda: values.clear())()
"""


def function_of(text: str) -> types.CodeType:
    return next(c for c in compile(text, "<text>", "exec").co_consts if isinstance(c, types.CodeType))


def compiled_at(place_of: dict[int, Place]) -> types.CodeType:
    """TEXT, compiled with the places of its nodes set by line."""
    tree = ast.parse(TEXT)
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt | ast.expr | ast.arg):
            node.lineno, node.end_lineno, node.col_offset, node.end_col_offset = place_of[node.lineno]
    return next(c for c in compile(tree, "<text>", "exec").co_consts if isinstance(c, types.CodeType))


PLACES = {
    "close": lambda line: (line + 3, line + 3, 4, 11),
    "far apart": lambda line: (10 + 1000 * line, 10 + 1000 * line, 3 * line, 200),
    "backwards": lambda line: (900 - 100 * line, 900 - 100 * line, 0, 63),
}


@pytest.mark.parametrize("name", PLACES)
def test_places_are_those_of_code_compiled_there(name: str) -> None:
    place_of = PLACES[name]
    found = moved(function_of(TEXT), place_of)
    wanted = compiled_at({line: place_of(line) for line in range(1, 10)})

    def places(code: types.CodeType) -> set[tuple[object, ...]]:
        inner = [c for c in code.co_consts if isinstance(c, types.CodeType)]
        # the first instructions belong to no expression: only their line is given
        own = {p for p in code.co_positions() if None not in p and p[2:] != (0, 0) and p != place_of(2)}
        return own.union(*map(places, inner))

    assert places(found) == places(wanted)
    assert found.co_firstlineno == wanted.co_firstlineno


LINES = (2, 3, 4, 5, 7)


@pytest.mark.parametrize("rest", [(0, None, None), (0, 5, 80), (70, 100, 3)])
def test_every_instruction_is_at_the_place_of_its_line(rest: tuple[int, int | None, int | None]) -> None:
    more, first, last = rest
    columns = (-1, -1) if first is None or last is None else (first, last)
    found = moved(function_of(TEXT), lambda line: (line + 40, line + 40 + more, *columns))
    assert {p for p in found.co_positions() if p[0]} == {(n + 40, n + 40 + more, first, last) for n in LINES}


def test_a_traceback_shows_the_place() -> None:
    code = moved(function_of(TEXT), lambda line: (300, 300, 6, 18))
    with pytest.raises(ZeroDivisionError) as caught:
        types.FunctionType(code, {})(1)
    last = traceback.extract_tb(caught.tb)[-1]
    assert (last.lineno, last.colno, last.end_colno) == (300, 6, 18)
