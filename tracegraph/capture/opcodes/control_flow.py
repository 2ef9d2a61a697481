"""Jumps, loops, returns and match statements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tracegraph.capture.objects import attributes
from tracegraph.capture.protocols.branches import is_taken
from tracegraph.capture.protocols.containers import contains, subscript
from tracegraph.capture.protocols.iteration import advance, iterate
from tracegraph.capture.protocols.special_methods import truth
from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break
from tracegraph.capture.stack.values import Observed
from tracegraph.capture.trace.frame import Frame, Returned


def op_JUMP(frame: Frame, arg: object) -> None:
    frame.jump()


def op_POP_JUMP_IF_TRUE(frame: Frame, arg: object) -> None:
    if is_taken(frame, frame.current, frame.pop()):
        frame.jump()


def op_POP_JUMP_IF_FALSE(frame: Frame, arg: object) -> None:
    if not is_taken(frame, frame.current, frame.pop()):
        frame.jump()


def op_POP_JUMP_IF_NONE(frame: Frame, arg: object) -> None:
    if frame.pop() is None:
        frame.jump()


def op_POP_JUMP_IF_NOT_NONE(frame: Frame, arg: object) -> None:
    if frame.pop() is not None:
        frame.jump()


def op_JUMP_IF_TRUE_OR_POP(frame: Frame, arg: object) -> None:
    if truth(frame.tracer, frame.peek()):
        frame.jump()
    else:
        frame.pop()


def op_JUMP_IF_FALSE_OR_POP(frame: Frame, arg: object) -> None:
    if not truth(frame.tracer, frame.peek()):
        frame.jump()
    else:
        frame.pop()


def op_GET_ITER(frame: Frame, arg: object) -> None:
    frame.push(iterate(frame.tracer, frame.pop()))


def op_FOR_ITER(frame: Frame, arg: object) -> None:
    try:
        frame.push(advance(frame.tracer, frame.peek()))
    except Observed as observed:
        if not isinstance(observed.exception, StopIteration):
            raise
        frame.pop()
        frame.jump()


def op_RETURN_VALUE(frame: Frame, arg: object) -> Returned:
    return Returned(frame.pop())


# ------------------------------------------------------------------------------------------ match


def op_MATCH_SEQUENCE(frame: Frame, arg: object) -> None:
    is_text = issubclass(frame.tracer.type_of(frame.peek()), str | bytes | bytearray)
    frame.push(_matches(frame, Sequence) and not is_text)


def op_MATCH_MAPPING(frame: Frame, arg: object) -> None:
    frame.push(_matches(frame, Mapping))


def _matches(frame: Frame, abstract: type) -> bool:
    return issubclass(frame.tracer.type_of(frame.peek()), abstract)


def op_MATCH_KEYS(frame: Frame, arg: object) -> None:
    subject, keys = frame.peek(2), frame.peek()
    if all(contains(frame.tracer, subject, k) for k in keys):
        frame.push(tuple(subscript(frame.tracer, subject, k) for k in keys))
    else:
        frame.push(None)


def op_MATCH_CLASS(frame: Frame, count: int) -> None:
    subject, cls, names = frame.pop_many(3)
    if not isinstance(cls, type):
        raise Observed(TypeError("called match pattern must be a class"))
    if not issubclass(frame.tracer.type_of(subject), cls):
        frame.push(None)
        return
    frame.push(_pattern_attributes(frame, subject, cls, count, names))


#: classes whose single positional pattern is the subject itself
_SELF_MATCHING = (bool, bytearray, bytes, dict, float, frozenset, int, list, set, str, tuple)


def _pattern_attributes(frame: Frame, subject: Any, cls: type, count: int, names: tuple[str, ...]) -> Any:
    found: list[Any] = []
    if count and cls in _SELF_MATCHING:
        if count > 1:
            raise Break(reasons.UNSUPPORTED_VALUE, f"{count} positional patterns for {cls.__name__}")
        found.append(subject)
        count = 0
    order: tuple[str, ...] = attributes.get(frame.tracer, cls, "__match_args__") if count else ()
    if len(order) < count:
        text = f"{cls.__name__}() accepts {len(order)} positional sub-patterns ({count} given)"
        raise Observed(TypeError(text))
    for name in (*order[:count], *names):
        if not attributes.has(frame.tracer, subject, name):
            return None
        found.append(attributes.get(frame.tracer, subject, name))
    return tuple(found)
