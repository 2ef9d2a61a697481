"""What C code may be given: it must not run the program's Python code, nor see contents the trace does not own."""

from __future__ import annotations

import enum
import types
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from tracegraph.capture import break_reasons as reasons
from tracegraph.capture.break_reasons import Break
from tracegraph.capture.sources import MISSING
from tracegraph.capture.values import (
    CONTAINER_TYPES,
    IDENTITY_TYPES,
    STAND_INS,
    Observed,
    is_constant,
    is_instance_of_python_class,
    is_varying,
)
from tracegraph.ops.recording import Traced
from tracegraph.ops.sym_float import SymFloat

if TYPE_CHECKING:
    from tracegraph.capture.tracer import Tracer

_CALLABLES = (types.FunctionType, types.MethodType)
_MAX_DEPTH = 20


def is_opaque(tracer: Tracer, value: Any) -> bool:
    """Whether `value` is an outside object of a C type whose contents are neither guarded nor copied."""
    if not tracer.is_outside(value) or type(value) in STAND_INS:
        return False
    if type(value) in CONTAINER_TYPES:
        return tracer.is_marked_opaque(value)
    known = isinstance(value, (*IDENTITY_TYPES, *_CALLABLES)) or is_constant(value)
    return not known and not is_instance_of_python_class(value)


def is_followed(tracer: Tracer, value: Any) -> bool:
    """Whether the C-level contents of an instance of a Python class are the trace's own, or never change."""
    if isinstance(value, tuple):
        return True
    if isinstance(value, int | float | str | bytes | complex | enum.Enum):
        tracer.pin(value)
        return True
    return not tracer.is_outside(value)


def specialised(tracer: Tracer, value: Any) -> Any:
    """Replace numbers that vary by their values, one level deep."""
    if is_varying(value):
        return tracer.native(_value, value)
    if type(value) in (tuple, list) and any(map(is_varying, value)):
        return type(value)(specialised(tracer, v) for v in value)
    if type(value) is slice:
        return slice(*(specialised(tracer, v) for v in (value.start, value.stop, value.step)))
    return value


def _value(number: Any) -> int | float:
    return float(number) if type(number) is SymFloat else int(number)


def stringable(tracer: Tracer, value: Any) -> Any:
    """`value` ready to be turned into text.

    Raises:
        Break: its text depends on the elements of a tensor, or on code of the program.
    """
    for part in flatten(value):
        if type(part) is Traced:
            raise Break(reasons.DATA_DEPENDENT, "the text of a tensor")
        if is_instance_of_python_class(part) and not isinstance(part, enum.Enum):
            raise Break(reasons.NATIVE_CALL, f"the text of an object of type {type(part).__name__}")
        if isinstance(part, _CALLABLES) or is_opaque(tracer, part):
            raise Break(reasons.NATIVE_CALL, f"the text of an object of type {type(part).__name__}")
    return _with_values(tracer, value)


def _with_values(tracer: Tracer, value: Any) -> Any:
    if is_varying(value):
        return tracer.native(_value, value)
    if type(value) in (tuple, list) and any(map(is_varying, flatten(value))):
        return type(value)(_with_values(tracer, v) for v in value)
    if type(value) is dict and any(map(is_varying, flatten(value))):
        return {k: _with_values(tracer, v) for k, v in value.items()}
    return value


def flatten(value: Any, depth: int = 0) -> Iterable[Any]:
    """The leaves of nested builtin containers, and the containers themselves once."""
    kind = type(value)
    if depth > _MAX_DEPTH:
        raise Break(reasons.UNSUPPORTED_VALUE, "a container nested too deeply, or in itself")
    if kind in (list, tuple, set, frozenset) or kind.__name__ in ("deque", "dict_keys", "dict_values", "dict_items"):
        for item in value:
            yield from flatten(item, depth + 1)
    elif isinstance(value, dict) and not is_instance_of_python_class(value):
        for key, item in value.items():
            yield from flatten(key, depth + 1)
            yield from flatten(item, depth + 1)
    elif kind is slice:
        for part in (value.start, value.stop, value.step):
            yield from flatten(part, depth + 1)
    else:
        yield value


def check_elements(tracer: Tracer, value: Any) -> None:
    """Let C code compare the elements of `value`.

    Raises:
        Break: that would run Python code of the program.
    """
    if type(value) not in CONTAINER_TYPES:
        return
    for part in flatten(value):
        if is_opaque(tracer, part):
            raise Break(reasons.UNSUPPORTED_VALUE, f"comparing objects of type {type(part).__name__}")
        if is_instance_of_python_class(part):
            check_default(tracer, part, "__eq__")


def check_default(tracer: Tracer, value: Any, name: str) -> None:
    """Require that a special method is C code over identity or immutable contents, and pin what it looks at."""
    raw = tracer.class_entry(type(value), name)
    is_immutable = isinstance(value, enum.Enum | int | float | str | bytes)
    if raw is not MISSING and isinstance(raw, types.FunctionType) and not isinstance(value, enum.Enum):
        raise Break(reasons.UNSUPPORTED_VALUE, f"{type(value).__name__}.{name} called by a builtin")
    if is_immutable or getattr(raw, "__objclass__", object) is object:
        tracer.pin(value)
    elif not is_followed(tracer, value):
        raise Break(reasons.UNSUPPORTED_VALUE, f"{name} of an object of type {type(value).__name__}")


def check_hashable(tracer: Tracer, key: Any) -> Any:
    """`key` fit for a dict or set in the trace.

    Raises:
        Break: hashing or comparing it would run Python code of the program.
    """
    if is_constant(key):
        return key
    if is_varying(key):
        return tracer.native(_value, key)
    if type(key) is tuple:
        return tuple(check_hashable(tracer, k) for k in key)
    if getattr(type(key), "__hash__", None) is None:
        raise Observed(TypeError(f"unhashable type: {type(key).__name__!r}"))
    if is_instance_of_python_class(key):
        check_default(tracer, key, "__hash__")
        check_default(tracer, key, "__eq__")
    elif is_opaque(tracer, key):
        raise Break(reasons.UNSUPPORTED_VALUE, f"an object of type {type(key).__name__} as a key")
    else:
        tracer.pin(key)
    return key
