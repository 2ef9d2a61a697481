"""Building, extending and taking apart containers."""

from __future__ import annotations

from typing import Any

from tracegraph.capture import break_reasons as reasons
from tracegraph.capture.break_reasons import Break
from tracegraph.capture.frame import Frame
from tracegraph.capture.operators import iterate, materialised, walk
from tracegraph.capture.safety import check_hashable
from tracegraph.capture.values import Observed, is_python_class


def op_BUILD_TUPLE(frame: Frame, count: int) -> None:
    frame.push(tuple(frame.pop_many(count)))


def op_BUILD_LIST(frame: Frame, count: int) -> None:
    frame.push(frame.pop_many(count))


def op_BUILD_SET(frame: Frame, count: int) -> None:
    frame.push({check_hashable(frame.tracer, v) for v in frame.pop_many(count)})


def op_BUILD_MAP(frame: Frame, count: int) -> None:
    items = frame.pop_many(2 * count)
    keys = [check_hashable(frame.tracer, k) for k in items[::2]]
    frame.push(dict(zip(keys, items[1::2], strict=True)))


def op_BUILD_CONST_KEY_MAP(frame: Frame, count: int) -> None:
    keys = frame.pop()
    frame.push(dict(zip(keys, frame.pop_many(count), strict=True)))


def op_BUILD_SLICE(frame: Frame, count: int) -> None:
    frame.push(slice(*frame.pop_many(count)))


def op_LIST_APPEND(frame: Frame, depth: int) -> None:
    value = frame.pop()
    frame.peek(depth).append(value)


def op_SET_ADD(frame: Frame, depth: int) -> None:
    value = check_hashable(frame.tracer, frame.pop())
    frame.peek(depth).add(value)


def op_MAP_ADD(frame: Frame, depth: int) -> None:
    key, value = frame.pop_many(2)
    frame.peek(depth)[check_hashable(frame.tracer, key)] = value


def op_LIST_EXTEND(frame: Frame, depth: int) -> None:
    values = _unpackable(frame, frame.pop())
    frame.tracer.native(frame.peek(depth).extend, values)


def _unpackable(frame: Frame, value: Any) -> list[Any]:
    try:
        return list(walk(frame.tracer, value))
    except Observed as observed:
        if isinstance(observed.exception, TypeError) and "is not iterable" in str(observed.exception):
            name = frame.tracer.type_of(value).__name__
            raise Observed(TypeError(f"Value after * must be an iterable, not {name}")) from None
        raise


def op_SET_UPDATE(frame: Frame, depth: int) -> None:
    values = [check_hashable(frame.tracer, v) for v in walk(frame.tracer, frame.pop())]
    frame.peek(depth).update(values)


def op_DICT_UPDATE(frame: Frame, depth: int) -> None:
    new = _mapping(frame, frame.pop())
    frame.peek(depth).update(new)


def op_DICT_MERGE(frame: Frame, depth: int) -> None:
    """`f(**a, **b)`: repeated names are an error."""
    new = _mapping(frame, frame.pop())
    target = frame.peek(depth)
    repeated = next((k for k in new if k in target), None)
    if repeated is not None:
        raise Observed(TypeError(f"got multiple values for keyword argument {repeated!r}"))
    target.update(new)


def _mapping(frame: Frame, value: Any) -> dict[Any, Any]:
    from tracegraph.capture.instance_dicts import InstanceDict

    if isinstance(value, InstanceDict):
        return dict(value)
    if isinstance(value, dict) and not (frame.tracer.is_outside(value) and is_python_class(type(value))):
        return value
    raise Break(reasons.UNSUPPORTED_VALUE, f"unpacking a mapping of type {type(value).__name__}")


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
    if isinstance(value, tuple | list) and type(value) in (tuple, list):
        return list(value)
    items: list[Any] = []
    for item in walk(frame.tracer, iterate(frame.tracer, value)):
        items.append(item)
        if len(items) > count:
            break
    return items


def op_UNPACK_EX(frame: Frame, arg: int) -> None:
    before, after = arg & 0xFF, arg >> 8
    items = list(materialised(frame.tracer, frame.pop()))
    if len(items) < before + after:
        at_least = f"(expected at least {before + after}, got {len(items)})"
        raise Observed(ValueError(f"not enough values to unpack {at_least}"))
    middle = items[before : len(items) - after]
    frame.stack.extend(reversed([*items[:before], middle, *items[len(items) - after :]]))
