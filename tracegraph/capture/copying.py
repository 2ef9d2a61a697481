"""How an object takes itself apart for `copy.copy` and `copy.deepcopy`: `object.__reduce_ex__` as part of the trace."""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any

from tracegraph.capture import break_reasons as reasons
from tracegraph.capture import polyfills
from tracegraph.capture.break_reasons import Break
from tracegraph.capture.sources import MISSING
from tracegraph.capture.values import native_base

if TYPE_CHECKING:
    from tracegraph.capture.tracer import Tracer

#: methods by which a class changes how its instances are copied
_HOOKS = ("__reduce__", "__reduce_ex__", "__getstate__", "__getnewargs__", "__getnewargs_ex__")


def reduce(tracer: Tracer, value: Any) -> tuple[Any, ...]:
    """`value.__reduce_ex__(4)` of an object whose class leaves it to `object`.

    Raises:
        Break: the class has hooks, slots or contents of a C class.
    """
    from tracegraph.capture.attributes import get

    cls = type(value)
    hooks = (tracer.class_entry(cls, name) for name in _HOOKS)
    if any(isinstance(h, types.FunctionType) for h in hooks) or tracer.class_entry(cls, "__slots__") is not MISSING:
        raise Break(reasons.NATIVE_CALL, f"copying an object of type {cls.__name__}")
    if native_base(cls) is not object:
        raise Break(reasons.NATIVE_CALL, f"copying an object of type {cls.__name__}")
    state = dict(get(tracer, value, "__dict__"))
    return polyfills.new_object, (cls,), state or None
