"""Raising, catching and `with`."""

from __future__ import annotations

from typing import Any

from tracegraph.capture.calls.callables import call
from tracegraph.capture.objects import attributes
from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break, Extent
from tracegraph.capture.stack.storage import MISSING
from tracegraph.capture.stack.values import Observed
from tracegraph.capture.trace.frame import ActiveException, Frame


def op_RAISE_VARARGS(frame: Frame, count: int) -> None:
    if count == 0:
        handled = frame.tracer.handled_exception()
        if handled is None:
            raise Break(reasons.FRAME_ACCESS, "`raise` of an exception that the caller handles", Extent.FRAME)
        raise Observed(handled, again=True)
    cause = frame.pop() if count == 2 else MISSING
    exception = _instance(frame, frame.pop())
    if cause is not MISSING:
        exception.__cause__ = _instance(frame, cause, "exception causes") if cause is not None else None
        exception.__suppress_context__ = True
    raise Observed(exception)


def _instance(frame: Frame, value: Any, what: str = "exceptions") -> BaseException:
    if isinstance(value, type) and issubclass(value, BaseException):
        value = call(frame.tracer, value, (), {})
    if not isinstance(value, BaseException):
        raise Observed(TypeError(f"{what} must derive from BaseException"))
    if frame.tracer.is_outside(value):
        raise Break(reasons.UNSUPPORTED_VALUE, "raising an exception object made outside")
    return value


def op_PUSH_EXC_INFO(frame: Frame, arg: object) -> None:
    exception = frame.pop()
    frame.push(frame.exceptions[-1].exception if frame.exceptions else None)
    frame.push(exception)
    frame.exceptions.append(ActiveException(exception, frame.raised_at))


def op_POP_EXCEPT(frame: Frame, arg: object) -> None:
    frame.pop()
    frame.exceptions.pop()


def op_CHECK_EXC_MATCH(frame: Frame, arg: object) -> None:
    kinds = frame.pop()
    frame.push(isinstance(frame.peek(), kinds))


def op_RERAISE(frame: Frame, depth: int) -> None:
    raise Observed(frame.pop(), again=True)


def op_BEFORE_WITH(frame: Frame, arg: object) -> None:
    manager = frame.pop()
    kind = frame.tracer.type_of(manager)
    leave = attributes.get_special(frame.tracer, manager, "__exit__")
    enter = attributes.get_special(frame.tracer, manager, "__enter__")
    if leave is MISSING or enter is MISSING:
        text = f"{kind.__name__!r} object does not support the context manager protocol"
        raise Observed(TypeError(text))
    frame.push(leave)
    frame.push(call(frame.tracer, enter, (), {}))


def op_WITH_EXCEPT_START(frame: Frame, arg: object) -> None:
    exception = frame.peek()
    leave = frame.peek(4)
    frame.push(call(frame.tracer, leave, (type(exception), exception, exception.__traceback__), {}))


def op_STOPITERATION_ERROR(frame: Frame, arg: object) -> None:
    """A StopIteration that escapes a generator becomes a RuntimeError."""
    exception = frame.pop()
    if isinstance(exception, StopIteration):
        replacement = RuntimeError("generator raised StopIteration")
        replacement.__cause__ = replacement.__context__ = exception
        exception = replacement
    frame.push(exception)
