"""What C code may be given: it must not run the program's Python code, nor see contents the trace does not own."""

from __future__ import annotations

import enum
import types
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from tracegraph.capture.guards.guard import GuardKind
from tracegraph.capture.guards.sources import Slot
from tracegraph.capture.reporting import break_reasons as reasons
from tracegraph.capture.reporting.graph_break import Break
from tracegraph.capture.stack.texts import VaryingText
from tracegraph.capture.stack.values import (
    CONTAINER_TYPES,
    DICT_VIEW_TYPES,
    IDENTITY_TYPES,
    SEQUENCES,
    STAND_INS,
    VALUE_BASES,
    base_value,
    is_constant,
    is_instance_of_python_class,
    is_python_class,
    is_varying,
)
from tracegraph.capture.trace.adapters import adapted
from tracegraph.ir import SymExpr
from tracegraph.ops.graphs.recording import Traced

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Tracer

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


def has_operators(tracer: Tracer, value: Any) -> bool:
    """Whether `value` is a class whose metaclass, a program's, defines operators; else they are C code."""
    return isinstance(value, type) and type(value) is not type and _operator_of(tracer, value) is not None


def check_metaclass(tracer: Tracer, cls: type) -> None:
    """What C code is given to hash.

    Raises:
        Break: the metaclass of `cls` defines operators.
    """
    name = _operator_of(tracer, cls)
    if name is not None:
        raise Break(reasons.UNSUPPORTED_VALUE, f"{name} of the metaclass of {cls.__name__}")


def _operator_of(tracer: Tracer, cls: type) -> str | None:
    """An operator that a metaclass of the program defines."""
    meta: type = type(cls)
    for base in meta.__mro__:
        if not is_python_class(base) or base.__module__ in ("abc", "enum", "typing"):
            continue
        name = next((n for n in vars(base) if n in _CLASS_OPERATORS), None)
        if name is not None:
            tracer.note_metaclass(cls)
            return name
        if not tracer.is_fresh(base):
            tracer.note_metaclass(cls)
            tracer.guards.add(GuardKind.KEYS, Slot(tracer.class_source(base), "__dict__"), tuple(vars(base)))
    return None


#: special methods of a class that decide how operators, functions and statements treat it
_CLASS_OPERATORS = frozenset(
    name for kind in (int, list, dict, set) for name in vars(kind) if name.startswith("__")
) - {"__new__", "__init__", "__init_subclass__", "__doc__", "__getattribute__", "__repr__", "__str__", "__format__",
     "__class_getitem__", "__sizeof__", "__getnewargs__", "__reduce__"}  # fmt: skip


def is_followed(tracer: Tracer, value: Any) -> bool:
    """Whether the C-level contents of an instance of a Python class are the trace's own, or never change."""
    if isinstance(value, tuple):
        return True
    if isinstance(value, int | float | str | bytes | complex | enum.Enum):
        tracer.pin(value)
        return True
    return not tracer.is_outside(value) or tracer.effects.is_tracked(value)


def specialised(tracer: Tracer, value: Any) -> Any:
    """Replace numbers that vary by their values, one level deep."""
    if is_varying(value):
        return tracer.native(_value, value)
    if type(value) is VaryingText:
        return value.plain()
    if type(value) in SEQUENCES and any(map(_is_specialised, value)):
        return type(value)(specialised(tracer, v) for v in value)
    if type(value) is slice:
        return slice(*(specialised(tracer, v) for v in (value.start, value.stop, value.step)))
    return value


def _is_specialised(value: Any) -> bool:
    return is_varying(value) or type(value) is VaryingText


def _value(number: Any) -> Any:
    return int(number) if type(number) is SymExpr else number.numbers.specialise(number)


def plain_number(tracer: Tracer, value: Any) -> Any:
    """A member of an IntEnum, or another instance of a class derived from a number, as that number."""
    if is_instance_of_python_class(value) and isinstance(value, int | float | complex):
        tracer.pin(value)
        return base_value(value)
    return value


def plain_data(tracer: Tracer, value: Any) -> Any:
    """`value` with instances of classes derived from numbers and text, in sequences too, replaced by their values."""
    if is_instance_of_python_class(value) and isinstance(value, VALUE_BASES):
        tracer.pin(value)
        return base_value(value)
    if type(value) in SEQUENCES:
        return type(value)(plain_data(tracer, v) for v in value)
    return {k: plain_data(tracer, v) for k, v in value.items()} if type(value) is dict else value


def stringable(tracer: Tracer, value: Any) -> Any:
    """`value` ready to be turned into text.

    Raises:
        Break: its text depends on the elements of a tensor, or on an object that cannot be followed.
    """
    for part in flatten(value):
        if type(part) is Traced:
            raise Break(reasons.DATA_DEPENDENT, "the text of a tensor")
        if isinstance(part, _CALLABLES) or is_opaque(tracer, part):
            raise Break(reasons.NATIVE_CALL, f"the text of an object of type {type(part).__name__}")
        if isinstance(part, type) and is_python_class(part) and not tracer.is_fresh(part):
            _read_names(tracer, part)
        if isinstance(part, BaseException) and not all(map(is_constant, flatten(part.args))):
            raise Break(reasons.NATIVE_CALL, "the text of an exception with arguments that are no constants")
    return with_values(tracer, adapted(tracer, value))


def _read_names(tracer: Tracer, cls: type) -> None:
    """Read what the text of a class consists of."""
    from tracegraph.capture.objects.attributes import get

    for name in ("__module__", "__qualname__"):
        get(tracer, cls, name)


def with_values(tracer: Tracer, value: Any) -> Any:
    """`value` with the numbers and texts in it that vary replaced by what they are."""
    if _is_specialised(value):
        return specialised(tracer, value)
    if type(value) in SEQUENCES and any(map(_is_specialised, flatten(value))):
        return type(value)(with_values(tracer, v) for v in value)
    if type(value) is dict and any(map(_is_specialised, flatten(value))):
        return {k: with_values(tracer, v) for k, v in value.items()}
    return value


_ITERABLE = SEQUENCES | {set, frozenset}


def flatten(value: Any, depth: int = 0) -> Iterable[Any]:
    """The leaves of nested builtin containers, and the containers themselves once."""
    kind = type(value)
    if depth > _MAX_DEPTH:
        raise Break(reasons.UNSUPPORTED_VALUE, "a container nested too deeply, or in itself")
    if (
        kind in SEQUENCES
        or kind in (set, frozenset)
        or kind.__name__ in ("deque", "dict_keys", "dict_values", "dict_items")
    ):
        for item in value:
            yield from flatten(item, depth + 1)
    elif isinstance(value, dict | types.MappingProxyType) and not is_instance_of_python_class(value):
        for key, item in value.items():
            yield from flatten(key, depth + 1)
            yield from flatten(item, depth + 1)
    elif kind is slice:
        for part in (value.start, value.stop, value.step):
            yield from flatten(part, depth + 1)
    else:
        yield value


def comparable(tracer: Tracer, value: Any) -> Any:
    """`value` ready for C code that compares the elements of a container.

    Raises:
        Break: an element cannot be followed.
    """
    if type(value) not in CONTAINER_TYPES and not isinstance(value, DICT_VIEW_TYPES):
        return value
    for part in flatten(value):
        if is_opaque(tracer, part):
            raise Break(reasons.UNSUPPORTED_VALUE, f"comparing objects of type {type(part).__name__}")
    return adapted(tracer, value)
