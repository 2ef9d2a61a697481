"""The driver made executable: a function that passes for the one it was captured from.

Its code has the user's file, name and globals, and its broken instruction stands at the user's line and columns. So
tracebacks, warnings, loggers and whatever else looks at the stack see what they see in eager execution.
"""

from __future__ import annotations

import builtins
import keyword
import re
import types
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from tracegraph.capture.bytecode.decode import decode
from tracegraph.capture.bytecode.places import Place, moved
from tracegraph.capture.drivers.result import CaptureResult

_WORD = re.compile(r"[^\W\d]\w*")


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
    known = vars(builtins) | objects
    given = {name: known[name] for name in _names(result.driver, known)}
    maker = _maker(result.driver, tuple(given), _beginning(result), result.native_line, _break(result))
    space: dict[str, Any] = {}
    exec(maker, space)
    run = space["make"](**given)
    code = run.__code__.replace(
        co_filename=original.co_filename, co_name=original.co_name, co_qualname=original.co_qualname
    )
    return types.FunctionType(code, namespace, original.co_name, None, run.__closure__)


def arguments_of_driver(frame: types.FrameType, function: types.FunctionType) -> dict[str, Any] | None:
    """The arguments by name of the call of `function` whose driver runs in `frame`; None if it was resumed there."""
    code = function.__code__
    if frame.f_code.co_firstlineno != code.co_firstlineno:
        return None
    return dict(zip(code.co_varnames, frame.f_locals["args"], strict=False))


def _names(driver: str, known: dict[str, Any]) -> list[str]:
    """Words of the driver that may stand for what is known by that name, in order."""
    return sorted(w for w in set(_WORD.findall(driver)) if w in known and not keyword.iskeyword(w))


@lru_cache(maxsize=512)
def _maker(driver: str, names: tuple[str, ...], first: Place, native_line: int | None, broken: Place) -> types.CodeType:
    """The code of a module whose function `make`, given what `names` stand for, gives the driver.

    All of the driver stands at `first`, and what follows its line `native_line` at `broken`.
    """
    body = driver.replace("\n", "\n ")  # no line of a driver ends inside a string
    code = compile(f"def make({', '.join(names)}):\n {body}\n return run\n", "<driver>", "exec")
    return moved(code, lambda line: broken if native_line is not None and line > native_line else first)


# ------------------------------------------------------------------------------------------ lines


def _beginning(result: CaptureResult) -> Place:
    """Where the captured part of the function begins."""
    code, unit = result.unit.code, result.unit
    start = code.co_firstlineno if unit.is_entry else decode(code).instructions[unit.index].line
    return (start or code.co_firstlineno, start or code.co_firstlineno, -1, -1)


def _break(result: CaptureResult) -> Place:
    """Where the broken instruction comes from; the beginning if there is none."""
    return _beginning(result) if result.broken_at is None else _place(result.unit.code, result.broken_at)


def _place(code: types.CodeType, index: int) -> Place:
    """Where an instruction comes from."""
    instruction = decode(code).instructions[index]
    line, end_line, column, end_column = list(code.co_positions())[instruction.offset // 2]
    if line is None or end_line is None or column is None or end_column is None:
        known = line or instruction.line or code.co_firstlineno
        return known, known, -1, -1
    return line, end_line, column, end_column
