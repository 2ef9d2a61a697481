"""f-strings."""

from __future__ import annotations

from typing import Any

from tracegraph.capture.calls.callables import call
from tracegraph.capture.stack.texts import VaryingText, joined
from tracegraph.capture.trace.frame import Frame

_CONVERSIONS: tuple[Any, ...] = (None, str, repr, ascii)


def op_FORMAT_VALUE(frame: Frame, arg: tuple[int, bool]) -> None:
    conversion, has_spec = arg
    spec = frame.pop() if has_spec else ""
    value = frame.pop()
    if conversion:
        value = call(frame.tracer, _CONVERSIONS[conversion], (value,), {})
    frame.push(call(frame.tracer, format, (value, spec), {}))


def op_CONVERT_VALUE(frame: Frame, conversion: int) -> None:
    frame.push(call(frame.tracer, _CONVERSIONS[conversion], (frame.pop(),), {}))


def op_BUILD_STRING(frame: Frame, count: int) -> None:
    parts = frame.pop_many(count)
    if any(type(p) is VaryingText for p in parts):
        frame.push(frame.tracer.numbers.text(joined, *parts))
    else:
        frame.push("".join(parts))
