"""Building, extending and taking apart containers."""

from __future__ import annotations

from typing import Any

from tracegraph.capture.bytecode.decode import NULL_AFTER_CALLABLE
from tracegraph.capture.opcodes.calls import function_text
from tracegraph.capture.protocols.iteration import iterate, listed, mapping, materialised, walk
from tracegraph.capture.stack.values import SEQUENCES, Observed
from tracegraph.capture.trace.frame import Frame
from tracegraph.capture.trace.keys import check_hashable, check_operands


def op_BUILD_TUPLE(frame: Frame, count: int) -> None:
    frame.push(tuple(frame.pop_many(count)))


def op_BUILD_LIST(frame: Frame, count: int) -> None:
    frame.push(frame.pop_many(count))


def op_BUILD_SET(frame: Frame, count: int) -> None:
    elements: set[Any] = set()
    for value in frame.pop_many(count):
        elements.add(check_hashable(frame.tracer, value, elements))
    frame.push(elements)


def op_BUILD_MAP(frame: Frame, count: int) -> None:
    items = frame.pop_many(2 * count)
    made: dict[Any, Any] = {}
    for key, value in zip(items[::2], items[1::2], strict=True):
        made[check_hashable(frame.tracer, key, made)] = value
    frame.push(made)


def op_BUILD_CONST_KEY_MAP(frame: Frame, count: int) -> None:
    keys = frame.pop()
    frame.push(dict(zip(keys, frame.pop_many(count), strict=True)))


def op_BUILD_SLICE(frame: Frame, count: int) -> None:
    frame.push(slice(*frame.pop_many(count)))


def op_LIST_APPEND(frame: Frame, depth: int) -> None:
    value = frame.pop()
    frame.peek(depth).append(value)


def op_SET_ADD(frame: Frame, depth: int) -> None:
    value = frame.pop()
    elements = frame.peek(depth)
    elements.add(check_hashable(frame.tracer, value, elements))


def op_MAP_ADD(frame: Frame, depth: int) -> None:
    key, value = frame.pop_many(2)
    target = frame.peek(depth)
    target[check_hashable(frame.tracer, key, target)] = value


def op_LIST_EXTEND(frame: Frame, depth: int) -> None:
    values = _unpackable(frame, frame.pop())
    frame.tracer.native(frame.peek(depth).extend, values)


def _unpackable(frame: Frame, value: Any) -> list[Any]:
    try:
        return listed(frame.tracer, value)
    except Observed as observed:
        if isinstance(observed.exception, TypeError) and "is not iterable" in str(observed.exception):
            name = frame.tracer.type_of(value).__name__
            raise Observed(TypeError(f"Value after * must be an iterable, not {name}")) from None
        raise


def op_SET_UPDATE(frame: Frame, depth: int) -> None:
    value = frame.pop()
    elements = frame.peek(depth)
    for item in walk(frame.tracer, value):
        elements.add(check_hashable(frame.tracer, item, elements))


def op_DICT_UPDATE(frame: Frame, depth: int) -> None:
    new = mapping(frame.tracer, frame.pop())
    target = frame.peek(depth)
    check_operands(frame.tracer, target, new)
    target.update(new)


def op_DICT_MERGE(frame: Frame, depth: int) -> None:
    """`f(**a, **b)`: repeated names are an error."""
    value = frame.pop()
    target = frame.peek(depth)
    callee = frame.stack[-(depth + (3 if NULL_AFTER_CALLABLE else 2))]
    try:
        new = mapping(frame.tracer, value)
    except Observed as observed:
        if not isinstance(observed.exception, TypeError):
            raise
        kind = frame.tracer.type_of(value).__name__
        text = f"{function_text(callee)} argument after ** must be a mapping, not {kind}"
        raise Observed(TypeError(text)) from None
    repeated = next((k for k in new if k in target), None)
    if repeated is not None:
        text = f"{function_text(callee)} got multiple values for keyword argument {repeated!r}"
        raise Observed(TypeError(text))
    target.update(new)


def op_LIST_TO_TUPLE(frame: Frame, arg: object) -> None:
    frame.push(tuple(frame.pop()))


def op_UNPACK_SEQUENCE(frame: Frame, count: int) -> None:
    items = _items(frame, count)
    if len(items) > count:
        raise Observed(ValueError(f"too many values to unpack (expected {count})"))
    if len(items) < count:
        raise Observed(ValueError(f"not enough values to unpack (expected {count}, got {len(items)})"))
    frame.stack.extend(reversed(items))


def _items(frame: Frame, count: int) -> list[Any]:
    """At most `count` + 1 items: what unpacking takes from an iterator."""
    value = frame.pop()
    if isinstance(value, tuple | list) and type(value) in SEQUENCES:
        return list(value)
    _check_unpacked(frame, value)
    items: list[Any] = []
    for item in walk(frame.tracer, iterate(frame.tracer, value)):
        items.append(item)
        if len(items) > count:
            break
    return items


def _check_unpacked(frame: Frame, value: Any) -> None:
    cls = frame.tracer.type_of(value)
    if not hasattr(cls, "__iter__") and not hasattr(cls, "__getitem__"):
        raise Observed(TypeError(f"cannot unpack non-iterable {cls.__name__} object"))


def op_UNPACK_EX(frame: Frame, arg: int) -> None:
    before, after = arg & 0xFF, arg >> 8
    value = frame.pop()
    _check_unpacked(frame, value)
    items = list(materialised(frame.tracer, value))
    if len(items) < before + after:
        at_least = f"(expected at least {before + after}, got {len(items)})"
        raise Observed(ValueError(f"not enough values to unpack {at_least}"))
    middle = items[before : len(items) - after]
    frame.stack.extend(reversed([*items[:before], middle, *items[len(items) - after :]]))
