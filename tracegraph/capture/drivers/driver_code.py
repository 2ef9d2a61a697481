"""The driver made executable: a function that passes for the one it was captured from.

Its code has the user's file, name and globals, and its broken instruction stands at the user's line and columns. So
tracebacks, warnings, loggers and whatever else looks at the stack see what they see in eager execution.
"""

from __future__ import annotations

import ast
import builtins
import types
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from tracegraph.capture.bytecode.decode import decode
from tracegraph.capture.drivers.result import CaptureResult

#: line, last line, column, last column; columns -1: unknown
_Place = tuple[int, int, int, int]


def make_driver(
    result: CaptureResult, objects: dict[str, Any], namespace: dict[str, Any]
) -> Callable[[Sequence[Any], tuple[Any, ...]], Any]:
    """`result.driver` as a function of (args, cells).

    Args:
        objects: what the driver refers to by name.
        namespace: the globals of the captured function. The driver reads none of them: it takes `objects`, and
            builtins that the user's globals may hide, from its closure.
    """
    original = result.unit.code
    maker, free = _maker(result.driver, _beginning(result), result.native_line, _break(result))
    space: dict[str, Any] = {}
    exec(maker, space)
    run = space["make"](*(objects[name] if name in objects else getattr(builtins, name) for name in free))
    code = run.__code__.replace(
        co_filename=original.co_filename, co_name=original.co_name, co_qualname=original.co_qualname
    )
    return types.FunctionType(code, namespace, original.co_name, None, run.__closure__)


@lru_cache(maxsize=512)
def _maker(
    driver: str, first: _Place, native_line: int | None, broken: _Place
) -> tuple[types.CodeType, tuple[str, ...]]:
    """The code of a module whose function `make` gives the driver, and the names that are its arguments.

    All of the driver stands at `first`, and what follows its line `native_line` at `broken`.
    """
    (definition,) = ast.parse(driver).body
    assert isinstance(definition, ast.FunctionDef)
    nodes = list(ast.walk(definition))
    for node in nodes:
        if isinstance(node, ast.stmt | ast.expr | ast.excepthandler | ast.keyword | ast.arg):
            place = broken if native_line is not None and node.lineno >= native_line else first
            node.lineno, node.end_lineno, node.col_offset, node.end_col_offset = place
    free = tuple(_free_names(nodes))
    maker = ast.parse(f"def make({', '.join(free)}): return run").body[0]
    assert isinstance(maker, ast.FunctionDef)
    maker.body.insert(0, definition)
    return compile(ast.Module([maker], []), "<driver>", "exec"), free


def _free_names(nodes: list[ast.AST]) -> list[str]:
    """Names that a function of these nodes reads and never assigns."""
    names: set[str] = set()
    bound: set[str] = set()
    for node in nodes:
        match node:
            case ast.Name():
                (bound if isinstance(node.ctx, ast.Store) else names).add(node.id)
            case ast.arg():
                bound.add(node.arg)
            case ast.ExceptHandler(name=str(name)):
                bound.add(name)
    return sorted(names - bound)


# ------------------------------------------------------------------------------------------ lines


def _beginning(result: CaptureResult) -> _Place:
    """Where the captured part of the function begins."""
    code, unit = result.unit.code, result.unit
    start = code.co_firstlineno if unit.is_entry else decode(code).instructions[unit.index].line
    return (start or code.co_firstlineno, start or code.co_firstlineno, -1, -1)


def _break(result: CaptureResult) -> _Place:
    """Where the broken instruction comes from; the beginning if there is none."""
    return _beginning(result) if result.broken_at is None else _place(result.unit.code, result.broken_at)


def _place(code: types.CodeType, index: int) -> _Place:
    """Where an instruction comes from."""
    instruction = decode(code).instructions[index]
    line, end_line, column, end_column = list(code.co_positions())[instruction.offset // 2]
    if line is None or end_line is None or column is None or end_column is None:
        known = line or instruction.line or code.co_firstlineno
        return known, known, -1, -1
    return line, end_line, column, end_column
