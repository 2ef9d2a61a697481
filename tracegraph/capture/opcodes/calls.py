"""Calls, in both stack layouts."""

from __future__ import annotations

from typing import Any

from tracegraph.capture.bytecode.decode import NULL_AFTER_CALLABLE
from tracegraph.capture.calls.callables import call
from tracegraph.capture.protocols.iteration import listed
from tracegraph.capture.stack.values import NULL, Observed
from tracegraph.capture.trace.frame import Frame


def op_CALL(frame: Frame, arg: tuple[int, tuple[str, ...]]) -> None:
    count, names = arg
    _call(frame, frame.pop_many(count), names)


def op_CALL_KW(frame: Frame, count: int) -> None:
    names = frame.pop()
    _call(frame, frame.pop_many(count), names)


def op_CALL_FUNCTION_EX(frame: Frame, flags: int) -> None:
    kwargs = frame.pop() if flags & 1 else {}
    starred = frame.pop()
    try:
        values = listed(frame.tracer, starred)
    except Observed as observed:
        if not str(observed.exception).endswith("object is not iterable"):
            raise
        function, _ = _callee(frame, [])
        kind = frame.tracer.type_of(starred).__name__
        text = f"{function_text(function)} argument after * must be an iterable, not {kind}"
        raise Observed(TypeError(text)) from None
    function, args = _callee(frame, values)
    if not all(isinstance(name, str) for name in kwargs):
        raise Observed(TypeError("keywords must be strings"))
    frame.push(call(frame.tracer, function, tuple(args), dict(kwargs), frame))


def _call(frame: Frame, values: list[Any], names: tuple[str, ...]) -> None:
    function, values = _callee(frame, values)
    split = len(values) - len(names)
    kwargs = dict(zip(names, values[split:], strict=True))
    frame.push(call(frame.tracer, function, tuple(values[:split]), kwargs, frame))


def _callee(frame: Frame, args: list[Any]) -> tuple[Any, list[Any]]:
    """The callable and its arguments, with `self` if the method was pushed unbound."""
    first, second = frame.pop_many(2)
    if NULL_AFTER_CALLABLE:
        return (first, args) if second is NULL else (first, [second, *args])
    return (second, args) if first is NULL else (first, [second, *args])


def function_text(function: Any) -> str:
    """A function as CPython names it in such errors."""
    name = getattr(function, "__qualname__", None)
    module = getattr(function, "__module__", None)
    if not isinstance(name, str):
        return str(type(function))
    return f"{module}.{name}()" if module not in (None, "builtins") else f"{name}()"
