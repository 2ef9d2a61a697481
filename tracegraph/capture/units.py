"""What is captured: a function from its start, or from the instruction behind a graph break.

Both are the same thing here, a `Unit`: a code object, a position in it, and how the arguments of a call fill its
variables and its stack. A resumed function is traced on the *original* code, so resuming never nests.
"""

from __future__ import annotations

import inspect
import types
from dataclasses import dataclass
from typing import Any

from tracegraph.capture.functions import parameter_names


@dataclass(frozen=True)
class Unit:
    """A place where execution of `code` may begin.

    Attributes:
        index: canonical instruction to begin at; 0 with `is_entry` for the function itself.
        names: variables that the first arguments fill, in order.
        stack: what lies on the stack: True for a value (the remaining arguments, in order), False for NULL.
        cells: names of the cells that a call provides.
        raises: begin by raising the last argument instead of executing the instruction.
    """

    code: types.CodeType
    namespace_id: int
    index: int = 0
    names: tuple[str, ...] = ()
    stack: tuple[bool, ...] = ()
    cells: tuple[str, ...] = ()
    is_entry: bool = True
    raises: bool = False

    @property
    def label(self) -> str:
        """A readable name, used for graphs and in messages."""
        name = self.code.co_name.strip("<>")
        return name if self.is_entry else f"{name}_resumed_at_{self.index}"


def entry(function: types.FunctionType) -> Unit:
    """The unit of a whole function."""
    code = function.__code__
    names = parameter_names(code)
    return Unit(code, id(function.__globals__), 0, names, (), code.co_freevars)


def spread(code: types.CodeType, bound: tuple[Any, ...]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Bound parameters as the (args, kwargs) of a call: the inverse of binding."""
    count = code.co_argcount
    args, kwargs = list(bound[:count]), {}
    position = count
    for name in code.co_varnames[count : count + code.co_kwonlyargcount]:
        kwargs[name] = bound[position]
        position += 1
    if code.co_flags & inspect.CO_VARARGS:
        args += bound[position]
        position += 1
    if code.co_flags & inspect.CO_VARKEYWORDS:
        kwargs |= bound[position]
    return tuple(args), kwargs
