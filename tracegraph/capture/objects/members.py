"""Enum members: the methods that the enum module gives them run natively, on members, classes and plain data.

A member never changes and its operators answer with members, so such a call depends on nothing but the identity of its
arguments.
"""

from __future__ import annotations

import enum
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from tracegraph.capture.guards.sources import constant_source
from tracegraph.capture.stack.values import is_constant, is_varying
from tracegraph.capture.trace.functions import inline
from tracegraph.capture.trace.safety import specialised

if TYPE_CHECKING:
    from tracegraph.capture.trace.tracer import Tracer


def are_members(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a function of the enum module may run natively on these arguments."""
    return not kwargs and all(_is_fixed(a) for a in args)


def _is_fixed(value: Any) -> bool:
    is_plain = is_constant(value) or is_varying(value)
    return is_plain or isinstance(value, enum.Enum) or (isinstance(value, type) and issubclass(value, enum.Enum))


def look_up(tracer: Tracer, cls: type[enum.Enum], value: Any) -> Any:
    """`cls(value)`: natively, unless the program's own `_missing_` is asked."""
    missing = tracer.class_entry(cls, "_missing_")
    function = missing.__func__ if isinstance(missing, classmethod) else missing
    is_of_enum = getattr(function, "__module__", None) == "enum"
    if is_of_enum or value in cls._value2member_map_ or isinstance(value, cls):
        return call_member(tracer, cls, (value,), {})
    function = cast(types.FunctionType, enum.Enum.__new__)
    return inline(tracer, function, (cls, specialised(tracer, value)), {})


def call_member(tracer: Tracer, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`function(*args)`, natively; the members among the arguments are guarded by identity."""
    for arg in args:
        tracer.pin(arg)
    result = tracer.native(function, *(specialised(tracer, a) for a in args), **kwargs)
    return tracer.read(result, constant_source(result)) if isinstance(result, enum.Enum) else result
