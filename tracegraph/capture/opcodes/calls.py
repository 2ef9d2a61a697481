"""Calls, in both stack layouts."""

from __future__ import annotations

from typing import Any

from tracegraph.capture.calls import call
from tracegraph.capture.decode import NULL_AFTER_CALLABLE
from tracegraph.capture.frame import Frame
from tracegraph.capture.operators import listed
from tracegraph.capture.values import NULL


def op_CALL(frame: Frame, arg: tuple[int, tuple[str, ...]]) -> None:
    count, names = arg
    _call(frame, frame.pop_many(count), names)


def op_CALL_KW(frame: Frame, count: int) -> None:
    names = frame.pop()
    _call(frame, frame.pop_many(count), names)


def op_CALL_FUNCTION_EX(frame: Frame, flags: int) -> None:
    kwargs = frame.pop() if flags & 1 else {}
    values = listed(frame.tracer, frame.pop())
    function, args = _callee(frame, values)
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
