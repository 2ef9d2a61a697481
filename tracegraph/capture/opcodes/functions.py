"""Making functions and closures."""

from __future__ import annotations

import types
from typing import Any

from tracegraph.capture.bytecode.decode import NULL_AFTER_CALLABLE
from tracegraph.capture.trace.frame import Frame

# Flags of MAKE_FUNCTION, and of SET_FUNCTION_ATTRIBUTE since 3.13.
_DEFAULTS, _KEYWORD_DEFAULTS, _ANNOTATIONS, _CLOSURE = 1, 2, 4, 8


def op_MAKE_FUNCTION(frame: Frame, flags: int | None) -> None:
    code = frame.pop()
    flags = 0 if NULL_AFTER_CALLABLE else (flags or 0)
    parts = {flag: frame.pop() for flag in (_CLOSURE, _ANNOTATIONS, _KEYWORD_DEFAULTS, _DEFAULTS) if flags & flag}
    # a placeholder closure until SET_FUNCTION_ATTRIBUTE brings the real one
    closure = parts.get(_CLOSURE, tuple(types.CellType() for _ in code.co_freevars))
    function = types.FunctionType(code, frame.namespace, code.co_name, parts.get(_DEFAULTS), closure)
    function.__kwdefaults__ = parts.get(_KEYWORD_DEFAULTS)
    _annotate(function, parts.get(_ANNOTATIONS, ()))
    frame.push(frame.tracer.fresh(function))


def _annotate(function: types.FunctionType, annotations: tuple[Any, ...]) -> None:
    """Names and values in turn, as the compiler lays them out."""
    if annotations:
        function.__annotations__ = dict(zip(annotations[::2], annotations[1::2], strict=True))


def op_SET_FUNCTION_ATTRIBUTE(frame: Frame, flag: int) -> None:
    value, function = frame.pop_many(2)
    if flag == _CLOSURE:
        old = function
        function = types.FunctionType(old.__code__, old.__globals__, old.__name__, old.__defaults__, value)
        function.__kwdefaults__ = old.__kwdefaults__
        function.__annotations__ = old.__annotations__
        frame.tracer.fresh(function)
    elif flag == _DEFAULTS:
        function.__defaults__ = value
    elif flag == _KEYWORD_DEFAULTS:
        function.__kwdefaults__ = value
    elif flag == _ANNOTATIONS:
        _annotate(function, value)
    frame.push(function)
