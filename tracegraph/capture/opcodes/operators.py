"""Arithmetic, comparison, identity, containment and truth."""

from __future__ import annotations

import operator

from tracegraph.capture.protocols import containers, operators, special_methods
from tracegraph.capture.protocols.branches import is_taken
from tracegraph.capture.trace.frame import Frame


def op_BINARY_OP(frame: Frame, symbol: str) -> None:
    a, b = frame.pop_many(2)
    frame.push(operators.binary(frame.tracer, symbol, a, b))


def op_COMPARE_OP(frame: Frame, symbol: str) -> None:
    a, b = frame.pop_many(2)
    frame.push(operators.compare(frame.tracer, symbol, a, b))


def op_IS_OP(frame: Frame, is_inverted: bool) -> None:
    a, b = frame.pop_many(2)
    frame.push(operators.identical(frame.tracer, a, b) is not is_inverted)


def op_CONTAINS_OP(frame: Frame, is_inverted: bool) -> None:
    item, container = frame.pop_many(2)
    frame.push(containers.contains(frame.tracer, container, item) is not is_inverted)


def op_UNARY_NOT(frame: Frame, arg: object) -> None:
    frame.push(not special_methods.truth(frame.tracer, frame.pop()))


def op_UNARY_NEGATIVE(frame: Frame, arg: object) -> None:
    frame.push(operators.unary(frame.tracer, "__neg__", operator.neg, frame.pop()))


def op_UNARY_POSITIVE(frame: Frame, arg: object) -> None:
    frame.push(operators.unary(frame.tracer, "__pos__", operator.pos, frame.pop()))


def op_UNARY_INVERT(frame: Frame, arg: object) -> None:
    frame.push(operators.unary(frame.tracer, "__invert__", operator.invert, frame.pop()))


def op_TO_BOOL(frame: Frame, arg: object) -> None:
    frame.push(is_taken(frame, frame.current + 1, frame.pop()))


def op_BINARY_SUBSCR(frame: Frame, arg: object) -> None:
    container, key = frame.pop_many(2)
    frame.push(containers.subscript(frame.tracer, container, key))


def op_STORE_SUBSCR(frame: Frame, arg: object) -> None:
    value, container, key = frame.pop_many(3)
    containers.set_subscript(frame.tracer, container, key, value)


def op_DELETE_SUBSCR(frame: Frame, arg: object) -> None:
    container, key = frame.pop_many(2)
    containers.delete_subscript(frame.tracer, container, key)


def op_BINARY_SLICE(frame: Frame, arg: object) -> None:
    container, start, stop = frame.pop_many(3)
    frame.push(containers.subscript(frame.tracer, container, slice(start, stop)))


def op_STORE_SLICE(frame: Frame, arg: object) -> None:
    value, container, start, stop = frame.pop_many(4)
    containers.set_subscript(frame.tracer, container, slice(start, stop), value)


def op_GET_LEN(frame: Frame, arg: object) -> None:
    frame.push(special_methods.length(frame.tracer, frame.peek()))
