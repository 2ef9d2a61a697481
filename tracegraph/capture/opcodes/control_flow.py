"""Jumps, loops, returns and match statements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tracegraph.capture.calls.callables import call
from tracegraph.capture.objects import attributes
from tracegraph.capture.objects.type_checks import call_isinstance, call_issubclass
from tracegraph.capture.protocols.branches import is_taken
from tracegraph.capture.protocols.containers import contains
from tracegraph.capture.protocols.iteration import advance, iterate
from tracegraph.capture.protocols.special_methods import truth
from tracegraph.capture.stack.storage import MISSING
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
    frame.push(_counts_as(frame, Sequence) and not is_text)


def op_MATCH_MAPPING(frame: Frame, arg: object) -> None:
    frame.push(_counts_as(frame, Mapping))


def _counts_as(frame: Frame, abstract: type) -> bool:
    return call_issubclass(frame.tracer, (frame.tracer.type_of(frame.peek()), abstract), {}, frame)


def op_MATCH_KEYS(frame: Frame, arg: object) -> None:
    subject, keys = frame.peek(2), frame.peek()
    get = attributes.get(frame.tracer, subject, "get") if keys else None
    found: list[Any] = []
    for position, key in enumerate(keys):
        if contains(frame.tracer, list(keys[:position]), key):
            raise Observed(ValueError(f"mapping pattern checks duplicate key ({key!r})"))
        found.append(call(frame.tracer, get, (key, MISSING), {}))
        if found[-1] is MISSING:
            frame.push(None)
            return
    frame.push(tuple(found))


def op_MATCH_CLASS(frame: Frame, count: int) -> None:
    subject, cls, names = frame.pop_many(3)
    if not isinstance(cls, type):
        raise Observed(TypeError("called match pattern must be a class"))
    is_instance = call_isinstance(frame.tracer, (subject, cls), {}, frame)
    frame.push(_pattern_attributes(frame, subject, cls, count, names) if is_instance else None)


#: classes whose single positional pattern is the subject itself, with those derived from them
_SELF_MATCHING = (bool, bytearray, bytes, dict, float, frozenset, int, list, set, str, tuple)


def _pattern_attributes(frame: Frame, subject: Any, cls: type, count: int, names: tuple[str, ...]) -> Any:
    found: list[Any] = []
    order: Any = attributes.find(frame.tracer, cls, "__match_args__") if count else ()
    is_itself = order is MISSING and issubclass(cls, _SELF_MATCHING)
    order = () if order is MISSING else order
    if type(order) is not tuple:
        text = f"{cls.__name__}.__match_args__ must be a tuple (got {frame.tracer.type_of(order).__name__})"
        raise Observed(TypeError(text))
    allowed = 1 if is_itself else len(order)
    if allowed < count:
        plural = "" if allowed == 1 else "s"
        text = f"{cls.__name__}() accepts {allowed} positional sub-pattern{plural} ({count} given)"
        raise Observed(TypeError(text))
    if is_itself:
        found, count = [subject] * count, 0
    asked: list[str] = []
    for name in (*order[:count], *names):
        if type(name) is not str:
            kind = frame.tracer.type_of(name).__name__
            raise Observed(TypeError(f"__match_args__ elements must be strings (got {kind})"))
        if name in asked:
            raise Observed(TypeError(f"{cls.__name__}() got multiple sub-patterns for attribute {name!r}"))
        asked.append(name)
        value = attributes.find(frame.tracer, subject, name)
        if value is MISSING:
            return None
        found.append(value)
    return tuple(found)
