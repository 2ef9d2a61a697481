"""Generators and `yield from` inside the trace."""

from __future__ import annotations

from tracegraph.capture.bytecode.decode import SEND_KEEPS_RECEIVER
from tracegraph.capture.calls.callables import call
from tracegraph.capture.objects import attributes
from tracegraph.capture.protocols import iteration
from tracegraph.capture.stack.values import Observed
from tracegraph.capture.trace.frame import Frame, Yielded


def op_RETURN_GENERATOR(frame: Frame, arg: object) -> None:
    """The generator exists already; this is the value its first resumption sends and the next instruction pops."""
    frame.push(None)


def op_YIELD_VALUE(frame: Frame, arg: object) -> Yielded:
    return Yielded(frame.pop())


def op_GET_YIELD_FROM_ITER(frame: Frame, arg: object) -> None:
    frame.push(iteration.iterate(frame.tracer, frame.pop()))


def op_SEND(frame: Frame, arg: object) -> None:
    value = frame.pop()
    receiver = frame.peek()
    try:
        if value is None:
            frame.push(iteration.advance(frame.tracer, receiver))
        else:
            frame.push(call(frame.tracer, attributes.get(frame.tracer, receiver, "send"), (value,), {}))
    except Observed as observed:
        if not isinstance(observed.exception, StopIteration):
            raise
        if not SEND_KEEPS_RECEIVER:
            frame.pop()
        frame.push(observed.exception.value)
        frame.jump()


def op_CLEANUP_THROW(frame: Frame, arg: object) -> None:
    """What was thrown into a generator that delegates has come out of the other iterator."""
    exception = frame.pop()
    if not isinstance(exception, StopIteration):
        raise Observed(exception)
    frame.pop_many(2)
    frame.stack.extend((None, exception.value))


def op_END_SEND(frame: Frame, arg: object) -> None:
    value = frame.pop()
    frame.pop()
    frame.push(value)
